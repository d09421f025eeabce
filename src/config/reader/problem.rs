//! What is wrong with a configuration: all of it at once, and never a value.
//!
//! A secret may stand under the wrong key, and any text may come from the environment. So problems name keys,
//! lines and variables, and show nothing that was written as a value. The rows of a promoters_file are no values: their words
//! are quoted.

use std::cell::RefCell;
use std::fmt;
use std::path::PathBuf;

/// What is wrong with one value, and what to do about it; both read on from the key's name.
#[derive(Debug)]
pub struct Mistake {
    /// A predicate: `is empty`.
    what: String,
    /// An instruction: `write "stable"`.
    remedy: String,
}

impl Mistake {
    pub fn new(what: impl Into<String>, remedy: impl Into<String>) -> Mistake {
        Mistake { what: what.into(), remedy: remedy.into() }
    }

    /// The same mistake with its place inside the value, such as a line of the file that the value names.
    pub fn at(self, place: &str) -> Mistake {
        Mistake { what: format!("{place} {}", self.what), ..self }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.what, self.remedy)
    }
}

impl std::error::Error for Mistake {}

/// One mistake and its place. The path is empty for what is wrong with the file as a whole.
#[derive(Debug)]
struct Problem {
    path: String,
    line: Option<usize>,
    mistake: Mistake,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.path.as_str(), self.line) {
            ("", None) => write!(f, "the file {}", self.mistake),
            ("", Some(line)) => write!(f, "line {line} {}", self.mistake),
            (path, None) => write!(f, "{path} {}", self.mistake),
            (path, Some(line)) => write!(f, "{path} (line {line}) {}", self.mistake),
        }
    }
}

/// Collects problems while the whole file is read; readers share it.
#[derive(Default)]
pub struct Problems {
    list: RefCell<Vec<Problem>>,
}

impl Problems {
    pub fn add(&self, path: impl Into<String>, line: Option<usize>, mistake: Mistake) {
        self.list.borrow_mut().push(Problem { path: path.into(), line, mistake });
    }

    /// Forgets what is wrong elsewhere than under these keys, such as `topics` or `apps.promoters` (of any app); what is wrong
    /// with the file as a whole stays.
    pub fn keep_below(&self, keys: &[&str]) {
        self.list.borrow_mut().retain(|problem| {
            let path = without_indices(&problem.path);
            let is_below =
                |key: &&str| path.strip_prefix(key).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
            path.is_empty() || keys.iter().any(is_below)
        });
    }

    pub fn is_empty(&self) -> bool {
        self.list.borrow().is_empty()
    }

    /// Everything found, in the order of the file's lines; what belongs to no line comes first.
    pub fn into_error(self, file: PathBuf) -> ConfigError {
        let mut problems = self.list.into_inner();
        problems.sort_by_key(|problem| problem.line);
        ConfigError { file, problems }
    }
}

/// `apps[1].promoters[2]` as `apps.promoters`.
fn without_indices(path: &str) -> String {
    let mut keys = path.split('[');
    let first = keys.next().unwrap_or_default().to_owned();
    keys.fold(first, |path, part| path + part.split_once(']').map_or("", |(_, rest)| rest))
}

/// Every problem of a configuration. The text has one line for each, with its key path, its line, what is wrong
/// and what to write instead; it holds no value of the file or of the environment.
#[derive(Debug)]
pub struct ConfigError {
    file: PathBuf,
    problems: Vec<Problem>,
}

impl ConfigError {
    /// Each problem in its words.
    pub fn problems(&self) -> impl Iterator<Item = String> {
        self.problems.iter().map(Problem::to_string)
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.problems.len();
        write!(f, "{}: {count} problem{}", self.file.display(), if count == 1 { "" } else { "s" })?;
        for problem in &self.problems {
            write!(f, "\n  {problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}
