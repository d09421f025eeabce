//! The rows of a table of promoters in CSV: of a `promoters_file`, and of what is imported.

use std::collections::BTreeMap;

use csv::StringRecord;

use super::feeds::START_FROM_REMEDY;
use super::reader::problem::Mistake;
use super::reader::section::{meant, nearest};
use crate::model::feed::{Feed, StartFrom};
use crate::model::feed_set::FeedSet;
use crate::model::promoter::Promoter;
use crate::registry::record::PromoterPatch;
use crate::registry::tags::Tags;
use crate::text::bounded;

/// More rows than these are counted, not listed.
pub const ROWS_REPORTED_MAX: usize = 20;

/// Whom a row names, as it is written there.
pub struct NamedPromoter<'a> {
    /// Where there is a column `app`, and something in it.
    pub app: Option<&'a str>,
    pub promoter_id: &'a str,
    /// Counted from 1 on.
    pub line: usize,
}

/// What a table says.
#[derive(Default)]
pub struct PromoterRows {
    /// Of a row, what its columns say: those that the table lacks are no part of it.
    pub rows: Vec<(Promoter, PromoterPatch)>,
    pub faulty: FaultyRows,
}

/// The rows that can't be read.
#[derive(Default)]
pub struct FaultyRows {
    /// All that is wrong with the first [`ROWS_REPORTED_MAX`] of them, with their lines.
    pub reported: Vec<(usize, Mistake)>,
    pub count: usize,
}

impl FaultyRows {
    pub fn add(&mut self, line: usize, mistakes: Vec<Mistake>) {
        self.count += 1;
        if self.count <= ROWS_REPORTED_MAX {
            self.reported.extend(mistakes.into_iter().map(|mistake| (line, mistake)));
        }
    }

    /// How many are not told.
    pub fn more(&self) -> usize {
        self.count.saturating_sub(ROWS_REPORTED_MAX)
    }
}

/// Reads a table in CSV whose header names some of the `columns`, among them `promoter`; `#` begins a comment. Each promoter is
/// one that `accept` makes of a row.
///
/// # Errors
/// Where the header is wrong, or a quote does not end: it has taken in all rows behind it.
pub fn read_rows<'t>(
    text: &'t str,
    columns: &'static [&'static str],
    accept: &'t mut dyn FnMut(NamedPromoter<'_>) -> Result<Promoter, Mistake>,
) -> Result<PromoterRows, Mistake> {
    let mut reader =
        csv::ReaderBuilder::new().comment(Some(b'#')).trim(csv::Trim::All).flexible(true).from_reader(text.as_bytes());
    let header = reader.headers().map_err(|_| Mistake::new("can't be read", HEADER))?;
    let columns = Columns::of(header, columns)?;
    let mut rows = PromoterRows::default();
    let mut record = StringRecord::new();
    // The text is UTF-8 and rows may have any length, so nothing is left for the reader to refuse.
    while reader.read_record(&mut record).is_ok_and(|is_there| is_there) {
        let row = PromoterRow { columns: &columns, record: &record, line: row_line(text, &record) };
        if reader.position().byte() >= text.len() as u64 && has_open_quote(text, &record) {
            return Err(Mistake::new(format!("has a quote in line {} that does not end", row.line), "close it"));
        }
        match row.read(accept) {
            Ok(read) => rows.rows.push(read),
            Err(mistakes) => rows.faulty.add(row.line, mistakes),
        }
    }
    Ok(rows)
}

/// Whether the row that ends the text goes on to its end within quotes: as the reader takes them, which begin a cell, are written twice
/// within it, and are no more than text elsewhere.
fn has_open_quote(text: &str, record: &StringRecord) -> bool {
    let begin = record.position().and_then(|position| usize::try_from(position.byte()).ok()).unwrap_or_default();
    let lines = text.get(begin..).unwrap_or_default().split_inclusive('\n');
    let row = lines.skip_while(|line| is_no_row(line.trim_end_matches(['\n', '\r']))).flat_map(str::chars);
    let (mut is_quoted, mut begins_cell, mut row) = (false, true, row.peekable());
    while let Some(character) = row.next() {
        match (is_quoted, character) {
            (true, '"') => is_quoted = row.next_if_eq(&'"').is_some(),
            (false, '"') => is_quoted = begins_cell,
            (false, '\n' | '\r') => return false,
            _ => {}
        }
        begins_cell = !is_quoted && character == ',';
    }
    is_quoted
}

fn is_no_row(line: &str) -> bool {
    line.is_empty() || line.starts_with('#')
}

struct PromoterRow<'a> {
    columns: &'a Columns,
    record: &'a StringRecord,
    line: usize,
}

impl PromoterRow<'_> {
    /// Gives all that is wrong with the row.
    ///
    /// # Errors
    /// All that is wrong with the row, in the order of its columns.
    fn read(
        &self,
        accept: &mut dyn FnMut(NamedPromoter<'_>) -> Result<Promoter, Mistake>,
    ) -> Result<(Promoter, PromoterPatch), Vec<Mistake>> {
        if self.record.len() > self.columns.count {
            return Err(vec![Mistake::new("has more cells than the header", "join the feeds by ;")]);
        }
        let mut mistakes = Vec::new();
        let promoter = self.promoter(accept).map_err(|mistake| mistakes.push(mistake)).ok();
        let patch = self.patch(&mut mistakes);
        match promoter {
            Some(promoter) if mistakes.is_empty() => Ok((promoter, patch)),
            _ => Err(mistakes),
        }
    }

    /// # Errors
    /// [`Mistake`] where the cell is empty, or `accept` refuses whom it names.
    fn promoter(
        &self,
        accept: &mut dyn FnMut(NamedPromoter<'_>) -> Result<Promoter, Mistake>,
    ) -> Result<Promoter, Mistake> {
        let promoter_id = self.filled("promoter");
        let promoter_id =
            promoter_id.ok_or_else(|| Mistake::new("has no promoter", "write the promoter's id or remove the row"))?;
        accept(NamedPromoter { app: self.filled("app"), promoter_id, line: self.line })
    }

    /// An empty cell says that there is nothing.
    fn patch(&self, mistakes: &mut Vec<Mistake>) -> PromoterPatch {
        let mut note = |mistake: Mistake| mistakes.push(mistake);
        let feeds = self.cell("feeds").map(|cell| feed_set(cell, &mut note));
        let start_from = self.read_cell("start_from", start, &mut note);
        let paused = self.read_cell("paused", switch, &mut note);
        let tags = self.read_cell("tags", tags, &mut note);
        PromoterPatch {
            feeds,
            start_from,
            paused: paused.map(|paused| paused.unwrap_or(false)),
            tags: tags.map(Option::unwrap_or_default),
        }
    }

    /// What stands in a column that is there; the inner one is absent where that is nothing.
    fn read_cell<T>(
        &self,
        column: &str,
        read: impl FnOnce(&str) -> Result<T, Mistake>,
        note: &mut impl FnMut(Mistake),
    ) -> Option<Option<T>> {
        let cell = self.cell(column)?;
        Some(Some(cell).filter(|cell| !cell.is_empty()).and_then(|cell| read(cell).map_err(note).ok()))
    }

    /// What stands in the column, which is nothing where the row ends before it.
    fn cell(&self, column: &str) -> Option<&str> {
        let at = self.columns.find(column)?;
        Some(self.record.get(at).unwrap_or_default())
    }

    fn filled(&self, column: &str) -> Option<&str> {
        self.cell(column).filter(|cell| !cell.is_empty())
    }
}

/// # Errors
/// [`Mistake`] where it is no start; a feed there tells that a row has its feeds in several cells.
fn start(cell: &str) -> Result<StartFrom, Mistake> {
    if Feed::from_name(cell).is_some() {
        return Err(Mistake::new("has a feed in start_from", "join the feeds by ; in one cell"));
    }
    let what = || format!("has {} in start_from, which is no start", shown(cell));
    cell.parse().map_err(|_| Mistake::new(what(), START_FROM_REMEDY))
}

/// # Errors
/// [`Mistake`] where it is neither true nor false.
fn switch(cell: &str) -> Result<bool, Mistake> {
    let what = || format!("has {} in paused", shown(cell));
    cell.parse().map_err(|_| Mistake::new(what(), "write true or false, or nothing"))
}

/// # Errors
/// [`Mistake`] where it is no JSON object of texts, or too many or too long ones.
fn tags(cell: &str) -> Result<Tags, Mistake> {
    let remedy = "write a JSON object of texts, such as {\"shop\":\"7\"}, or nothing";
    let texts: BTreeMap<String, String> =
        serde_json::from_str(cell).map_err(|_| Mistake::new(format!("has {} in tags", shown(cell)), remedy))?;
    Tags::new(texts).map_err(|error| Mistake::new(format!("has tags that {error}"), "leave some out"))
}

/// The feeds of a cell. What is wrong with its other words is noted.
fn feed_set(cell: &str, note: &mut impl FnMut(Mistake)) -> FeedSet {
    let names = Feed::ALL.map(Feed::name);
    let words = cell.split(';').map(str::trim).filter(|_| !cell.is_empty());
    let known = words.filter_map(|word| {
        let feed = Feed::from_name(word);
        if feed.is_none() {
            let what = format!("has {} in feeds, which is no feed", shown(word));
            let join = || format!("join {} by ;", names.join(", "));
            note(Mistake::new(what, meant(word, &names).map_or_else(join, |meant| format!("did you mean {meant}?"))));
        }
        feed
    });
    known.collect()
}

/// Of a word that is quoted.
const SHOWN_CHARS_MAX: usize = 40;

/// A word of the table, which holds no secrets: bounded, on one line.
fn shown(word: &str) -> String {
    let shown = bounded(word, SHOWN_CHARS_MAX);
    let more = if shown.len() < word.len() { "…" } else { "" };
    format!("{shown:?}{more}")
}

/// The line that a row begins in: the reader's position lies before the comments and empty lines in front of it.
fn row_line(text: &str, record: &StringRecord) -> usize {
    let Some(position) = record.position() else { return 0 };
    let at = usize::try_from(position.byte()).unwrap_or(usize::MAX);
    let before = text.get(at..).unwrap_or_default().lines();
    let skipped = before.take_while(|line| is_no_row(line)).count();
    usize::try_from(position.line()).unwrap_or(usize::MAX).saturating_add(skipped)
}

pub(super) const HEADER: &str = "begin it with the line promoter,feeds,start_from";

/// Where the columns stand.
struct Columns {
    places: Vec<(&'static str, usize)>,
    count: usize,
}

impl Columns {
    /// # Errors
    /// [`Mistake`] where the promoters have no column, or one is not known or there twice; the first from the left.
    fn of(header: &StringRecord, known: &'static [&'static str]) -> Result<Columns, Mistake> {
        let at = |name: &str| header.iter().position(|column| column == name);
        if at("promoter").is_none() {
            return Err(Mistake::new("has no column promoter", HEADER));
        }
        let column_problem = |(index, column): (usize, &str)| {
            if !known.contains(&column) {
                return Some(Mistake::new(format!("has an unknown column {column}"), nearest(column, known)));
            }
            let repeated = at(column) != Some(index);
            repeated.then(|| Mistake::new(format!("has the column {column} twice"), "remove one of them"))
        };
        match header.iter().enumerate().find_map(column_problem) {
            Some(mistake) => Err(mistake),
            None => {
                let places = known.iter().filter_map(|name| Some((*name, at(name)?))).collect();
                Ok(Columns { places, count: header.len() })
            }
        }
    }

    fn find(&self, name: &str) -> Option<usize> {
        self.places.iter().find(|(column, _)| *column == name).map(|(_, at)| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: &[&str] = &["app", "promoter", "feeds", "start_from", "paused", "tags"];

    fn read(text: &str) -> PromoterRows {
        let mut accept = |named: NamedPromoter<'_>| {
            Promoter::from_key(&format!("{}/{}", named.app.unwrap_or("wx1"), named.promoter_id))
                .map_err(|error| Mistake::new(error.to_string(), ""))
        };
        read_rows(text, COLUMNS, &mut accept).unwrap_or_else(|mistake| panic!("{mistake}"))
    }

    #[test]
    fn a_column_that_is_there_says_what_stands_in_it_if_only_nothing() {
        let rows = read("promoter,paused,tags,app\no1,true,\"{\"\"shop\"\":\"\"7\"\"}\",wx2\no2,,,\no3\n").rows;
        let nothing = PromoterPatch { paused: Some(false), tags: Some(Tags::default()), ..PromoterPatch::default() };
        let tags = Tags::new([("shop", "7")]).unwrap();
        let whole = PromoterPatch { paused: Some(true), tags: Some(tags), ..PromoterPatch::default() };
        let keys: Vec<&str> = rows.iter().map(|(promoter, _)| promoter.key()).collect();
        assert_eq!(keys, ["wx2/o1", "wx1/o2", "wx1/o3"]);
        assert_eq!(rows.into_iter().map(|(_, patch)| patch).collect::<Vec<_>>(), [whole, nothing.clone(), nothing]);
    }

    #[test]
    fn a_quote_that_does_not_end_is_told_also_in_the_last_row_and_one_that_ends_in_another_line_is_none() {
        let refused = |text: &str| read_rows(text, COLUMNS, &mut |_| Ok(Promoter::from_key("wx1/o1").unwrap())).err();
        let mistake = refused("promoter,feeds\no1\n# \"theirs\n\"o2,touches\no3\no4\n").unwrap();
        assert_eq!(mistake.to_string(), "has a quote in line 4 that does not end; close it");
        for open in ["oX,\"touches\n", "oX,\"touches", "oX,\"touches\r\n", "\"oX\n", "oX,\"a\"\"\n", "o1,\"a\"\noX,\""]
        {
            let mistake = refused(&format!("promoter,feeds\n{open}")).unwrap_or_else(|| panic!("{open}"));
            assert!(mistake.to_string().contains("that does not end"), "{open}");
        }
        for whole in ["oX,to\"uches\n", "oX,\"touches\"\n", "oX, \"touches\n", "oX,\"a\"\"\"\n", "oX,\"a\"b\"\n"] {
            assert!(refused(&format!("promoter,feeds\n{whole}")).is_none(), "{whole}");
        }
        for whole in
            ["promoter,feeds\no1,\"touches;\norders\"\n# a \"\n", "promoter,feeds\n# \"\no1,\"touches;\norders\""]
        {
            assert!(refused(whole).is_none(), "{whole}");
        }
    }

    #[test]
    fn what_is_no_switch_and_no_tags_is_told() {
        let faulty = read("promoter,paused,tags\no1,yes,shop\n").faulty;
        let told: Vec<String> = faulty.reported.iter().map(|(line, mistake)| format!("{line} {mistake}")).collect();
        assert_eq!(faulty.count, 1);
        assert_eq!(told[0], "2 has \"yes\" in paused; write true or false, or nothing");
        assert!(told[1].starts_with("2 has \"shop\" in tags; write a JSON object"), "{told:?}");
    }

    #[test]
    fn a_word_is_quoted_on_one_line_and_in_part() {
        assert_eq!(shown("a\nb"), "\"a\\nb\"");
        assert_eq!(shown(&"é".repeat(100)), format!("\"{}\"…", "é".repeat(SHOWN_CHARS_MAX)));
    }
}
