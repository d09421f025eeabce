//! The first step: the file's image, a tree of values with their lines, its environment references resolved.
//!
//! Kept apart from what the values mean, so that the second step can go on after any mistake and report all of
//! them; a derived reader would stop at the first.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::environment::{Environment, substitute};
use super::problem::{Mistake, Problems};

/// A value and the line it stands in, counted from 1. Holds secrets: no `Debug`.
pub struct Node {
    pub line: usize,
    pub value: TomlValue,
}

pub enum TomlValue {
    Text(String),
    Integer(i64),
    Float(f64),
    Boolean(bool),
    /// One of TOML's own dates and times, as it is written.
    Time(String),
    List(Vec<Node>),
    Table(Table),
    /// Could not be read, and a problem says so already: nobody should complain about it again.
    Reported,
}

/// Keys and values, in the order of their lines.
pub type Table = Vec<(String, Node)>;

/// Reads `text`. Problems of its form and of the environment go to `problems`.
pub fn parse(text: &str, environment: Environment, problems: &Problems) -> Table {
    let reader = ImageReader { lines: LineIndex::of(text), environment, problems };
    let (root, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        let line = error.span().map(|span| reader.lines.number(span.start));
        problems.add("", line, mistake(error, text));
    }
    // Where keys are only given twice, the rest is all there, and what is wrong with it can be told, too.
    let is_whole = errors.iter().all(|error| error.message() == DUPLICATE);
    if is_whole { reader.table(root.get_ref(), "") } else { Table::new() }
}

/// What the parser says of duplicate keys, whose span is the key.
const DUPLICATE: &str = "duplicate key";

/// The error's own text would show the line, which may hold a secret.
fn mistake(error: &toml::de::Error, text: &str) -> Mistake {
    let key = error.span().and_then(|span| text.get(span)).filter(|_| error.message() == DUPLICATE);
    match key {
        Some(key) => Mistake::new(format!("gives {key} a second time"), "remove one of the two, or join the tables"),
        None => Mistake::new(
            format!("is not TOML: {}", error.message()),
            "look at the quotes, brackets and equals signs there",
        ),
    }
}

struct ImageReader<'a> {
    lines: LineIndex,
    environment: Environment<'a>,
    problems: &'a Problems,
}

impl ImageReader<'_> {
    fn table(&self, table: &DeTable, path: &str) -> Table {
        let mut entries: Table = table
            .iter()
            .map(|(key, value)| {
                let path = join(path, key.get_ref());
                let node = self.node(value, &path, self.lines.number(key.span().start));
                (key.get_ref().clone().into_owned(), node)
            })
            .collect();
        // The parser's own tables are in the order of the keys.
        entries.sort_by_key(|(_, node)| node.line);
        entries
    }

    fn node(&self, value: &Spanned<DeValue>, path: &str, line: usize) -> Node {
        let value = match value.get_ref() {
            DeValue::String(text) => self.text(text, path, line),
            DeValue::Integer(integer) => match i64::from_str_radix(integer.as_str(), integer.radix()) {
                Ok(integer) => TomlValue::Integer(integer),
                Err(_) => self.report(path, line, Mistake::new("is too large a number", "write a smaller one")),
            },
            DeValue::Float(float) => match float.as_str().parse() {
                Ok(float) => TomlValue::Float(float),
                Err(_) => self.report(path, line, Mistake::new("is not a number", "write one")),
            },
            DeValue::Boolean(boolean) => TomlValue::Boolean(*boolean),
            DeValue::Datetime(time) => TomlValue::Time(time.to_string()),
            DeValue::Array(items) => {
                let read = |(index, item): (usize, &Spanned<DeValue>)| {
                    self.node(item, &format!("{path}[{index}]"), self.lines.number(item.span().start))
                };
                TomlValue::List(items.iter().enumerate().map(read).collect())
            }
            DeValue::Table(table) => TomlValue::Table(self.table(table, path)),
        };
        Node { line, value }
    }

    fn text(&self, text: &str, path: &str, line: usize) -> TomlValue {
        match substitute(text, self.environment) {
            Ok(text) => TomlValue::Text(text),
            Err(mistake) => self.report(path, line, mistake),
        }
    }

    fn report(&self, path: &str, line: usize, mistake: Mistake) -> TomlValue {
        self.problems.add(path, Some(line), mistake);
        TomlValue::Reported
    }
}

/// The path of `key` below `path`, as problems name it.
pub fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// Where each line begins.
struct LineIndex {
    starts: Vec<usize>,
}

impl LineIndex {
    fn of(text: &str) -> LineIndex {
        LineIndex { starts: std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect() }
    }

    /// The line, counted from 1, that the byte at `offset` stands in.
    fn number(&self, offset: usize) -> usize {
        self.starts.partition_point(|start| *start <= offset)
    }
}
