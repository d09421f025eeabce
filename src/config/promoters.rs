//! The promoters of an app: `promoters` and the table in `promoters_file`, merged.

use std::collections::HashMap;
use std::path::Path;

use csv::StringRecord;

use super::feeds::{AppFeeds, START_FROM_REMEDY};
use super::reader::document::TomlValue;
use super::reader::problem::Mistake;
use super::reader::secret::{path, read_file};
use super::reader::section::{Section, meant, nearest};
use super::reader::value::text;
use crate::model::feed::{Feed, StartFrom};
use crate::model::promoter::{AppId, Promoter};
use crate::session::PolledPromoter;

/// A Mini Program has at most 100,000 promoters (official page), of some fifty bytes each.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// More rows than these are counted, not listed.
const ROWS_REPORTED_MAX: usize = 20;

/// Reads both keys of an app's section and reports every row that can't be read.
pub fn read(section: &mut Section, app_id: &AppId, feeds: &AppFeeds) -> Vec<PolledPromoter> {
    let mut roll = Roll { app_id, feeds, entries: Vec::new(), places: HashMap::new() };
    for item in section.list("promoters", text) {
        match roll.met(&item.value, item.key.clone()) {
            Ok(promoter) => roll.add(promoter, None, None),
            Err(mistake) => section.problem_of_item(&item, mistake),
        }
    }
    let directory = section.context().directory;
    if let Some(text) = section.optional("promoters_file", |value| table(value, directory)) {
        for mistake in roll.add_table(&text) {
            section.problem("promoters_file", mistake);
        }
    }
    roll.entries
}

fn table(value: &TomlValue, directory: &Path) -> Result<String, Mistake> {
    read_file(&path(value, directory)?, FILE_BYTES_MAX, directory)
}

/// The promoters met so far, and where.
struct Roll<'a> {
    app_id: &'a AppId,
    feeds: &'a AppFeeds,
    entries: Vec<PolledPromoter>,
    places: HashMap<Promoter, String>,
}

impl Roll<'_> {
    /// A promoter of this app that was not met before.
    fn met(&mut self, promoter_id: &str, place: String) -> Result<Promoter, Mistake> {
        let promoter = Promoter::new(self.app_id, promoter_id)
            .map_err(|error| Mistake::new(error.to_string(), "write the promoter's id as the upstream gives it"))?;
        if let Some(first) = self.places.get(&promoter) {
            return Err(Mistake::new(format!("is the same promoter as {first}"), "remove one of them"));
        }
        self.places.insert(promoter.clone(), place);
        Ok(promoter)
    }

    fn add(&mut self, promoter: Promoter, only: Option<&[Feed]>, start_from: Option<StartFrom>) {
        self.entries.push(self.feeds.polled_for(promoter, only, start_from));
    }

    /// Adds the rows of a table; gives the mistakes of those that can't be read, each with its line.
    fn add_table(&mut self, text: &str) -> Vec<Mistake> {
        let mut reader = csv::ReaderBuilder::new()
            .comment(Some(b'#'))
            .trim(csv::Trim::All)
            .flexible(true)
            .from_reader(text.as_bytes());
        let columns = match reader.headers().map_err(|_| Mistake::new("can't be read", HEADER)).and_then(Columns::of) {
            Ok(columns) => columns,
            Err(mistake) => return vec![mistake],
        };
        let (mut mistakes, mut bad_rows) = (Vec::new(), 0);
        for record in reader.records() {
            // The text is UTF-8 and rows may have any length, so nothing is left for the reader to refuse.
            let Ok(record) = record else { continue };
            let line = row_line(text, &record);
            let Err(of_row) = self.add_row(&columns, &record, line) else { continue };
            bad_rows += 1;
            if bad_rows <= ROWS_REPORTED_MAX {
                mistakes.extend(of_row.into_iter().map(|mistake| mistake.at(&format!("in its line {line}"))));
            }
        }
        if bad_rows > ROWS_REPORTED_MAX {
            let more = bad_rows - ROWS_REPORTED_MAX;
            mistakes.push(Mistake::new(format!("has {more} more rows that can't be read"), "correct these first"));
        }
        mistakes
    }

    /// Gives all that is wrong with the row.
    fn add_row(&mut self, columns: &Columns, record: &StringRecord, line: usize) -> Result<(), Vec<Mistake>> {
        if record.len() > columns.count {
            return Err(vec![Mistake::new("has more cells than the header", "join the feeds by ;")]);
        }
        let cell = |column: Option<usize>| column.and_then(|at| record.get(at)).filter(|cell| !cell.is_empty());
        let promoter_id = cell(Some(columns.promoter))
            .ok_or_else(|| Mistake::new("has no promoter", "write the promoter's id or remove the row"));
        let promoter = promoter_id.and_then(|id| self.met(id, format!("line {line} of promoters_file")));
        let (only, mut mistakes) = cell(columns.feeds).map(feed_list).unzip();
        let start_from = cell(columns.start_from).map(start).transpose();
        match (promoter, start_from) {
            (Ok(promoter), Ok(start_from)) if mistakes.as_ref().is_none_or(Vec::is_empty) => {
                self.add(promoter, only.as_deref(), start_from);
                Ok(())
            }
            (promoter, start_from) => {
                let mistakes = mistakes.take().unwrap_or_default();
                Err(promoter.err().into_iter().chain(mistakes).chain(start_from.err()).collect())
            }
        }
    }
}

fn start(cell: &str) -> Result<StartFrom, Mistake> {
    if Feed::from_name(cell).is_some() {
        return Err(Mistake::new("has a feed in start_from", "join the feeds by ; in one cell"));
    }
    let what = || format!("has {} in start_from, which is no start", shown(cell));
    cell.parse().map_err(|_| Mistake::new(what(), START_FROM_REMEDY))
}

/// The feeds of a cell, and what is wrong with its other words.
fn feed_list(cell: &str) -> (Vec<Feed>, Vec<Mistake>) {
    let names = Feed::ALL.map(Feed::name);
    let (mut feeds, mut mistakes) = (Vec::new(), Vec::new());
    for word in cell.split(';').map(str::trim) {
        match (Feed::from_name(word), meant(word, &names)) {
            (Some(feed), _) => feeds.push(feed),
            (None, meant) => {
                let what = format!("has {} in feeds, which is no feed", shown(word));
                let join = || format!("join {} by ;", names.join(", "));
                let remedy = meant.map_or_else(join, |meant| format!("did you mean {meant}?"));
                mistakes.push(Mistake::new(what, remedy));
            }
        }
    }
    (feeds, mistakes)
}

/// Of a word that is quoted, in characters.
const SHOWN_MAX: usize = 40;

/// A word of the table, which holds no secrets: bounded, on one line.
fn shown(word: &str) -> String {
    match word.char_indices().nth(SHOWN_MAX) {
        Some((end, _)) => format!("{:?}…", &word[..end]),
        None => format!("{word:?}"),
    }
}

/// The line that a row begins in: the reader's position lies before the comments and empty lines in front of it.
fn row_line(text: &str, record: &StringRecord) -> usize {
    let Some(position) = record.position() else { return 0 };
    let at = usize::try_from(position.byte()).unwrap_or(usize::MAX);
    let before = text.get(at..).unwrap_or_default().lines();
    let skipped = before.take_while(|line| line.is_empty() || line.starts_with('#')).count();
    usize::try_from(position.line()).unwrap_or(usize::MAX).saturating_add(skipped)
}

const HEADER: &str = "begin it with the line promoter,feeds,start_from";

/// Where the columns stand.
struct Columns {
    promoter: usize,
    feeds: Option<usize>,
    start_from: Option<usize>,
    count: usize,
}

impl Columns {
    fn of(header: &StringRecord) -> Result<Columns, Mistake> {
        let at = |name: &str| header.iter().position(|column| column == name);
        let promoter = at("promoter").ok_or_else(|| Mistake::new("has no column promoter", HEADER))?;
        let known = ["promoter", "feeds", "start_from"];
        let column_problem = |(index, column): (usize, &str)| {
            if !known.contains(&column) {
                return Some(Mistake::new(format!("has an unknown column {column}"), nearest(column, &known)));
            }
            let repeated = at(column) != Some(index);
            repeated.then(|| Mistake::new(format!("has the column {column} twice"), "remove one of them"))
        };
        match header.iter().enumerate().find_map(column_problem) {
            Some(mistake) => Err(mistake),
            None => Ok(Columns { promoter, feeds: at("feeds"), start_from: at("start_from"), count: header.len() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::feeds::FeedDrafts;
    use super::*;

    /// What the table gives: entries as `id feeds start`, and problems.
    fn rows(text: &str) -> (Vec<String>, Vec<String>) {
        let (app_id, feeds) = (AppId::new("wx1").unwrap(), FeedDrafts::defaults().settle());
        let mut roll = Roll { app_id: &app_id, feeds: &feeds, entries: Vec::new(), places: HashMap::new() };
        let mistakes = roll.add_table(text);
        let entry = |entry: &PolledPromoter| {
            let polled = Feed::ALL.into_iter().filter(|feed| entry.feeds[*feed].is_some());
            let feeds: Vec<&str> = polled.map(Feed::name).collect();
            format!("{} {} {}", entry.promoter.promoter_id(), feeds.join("+"), entry.refunds_start)
        };
        (roll.entries.iter().map(entry).collect(), mistakes.iter().map(Mistake::to_string).collect())
    }

    #[test]
    fn a_table_names_promoters_with_feeds_and_start() {
        let (entries, mistakes) = rows("promoter,feeds,start_from\noA,touches;refunds,earliest\noB, orders ,\noC\n");
        assert_eq!(mistakes, Vec::<String>::new());
        assert_eq!(entries, ["oA touches+refunds earliest", "oB orders now", "oC touches+orders+refunds now"]);
    }

    #[test]
    fn columns_may_be_missing_or_in_another_order() {
        let (entries, mistakes) = rows("\u{feff}start_from,promoter\r\nearliest,oA\r\n,oB\r\n");
        assert_eq!(mistakes, Vec::<String>::new());
        assert_eq!(entries, ["oA touches+orders+refunds earliest", "oB touches+orders+refunds now"]);
    }

    #[test]
    fn each_bad_row_is_named_by_its_line() {
        let table =
            "# ours\npromoter,feeds,start_from\n\noA\n# theirs\n\noA\noB,touchs\noC,,soon\n,touches\no D\noE,,,x\n";
        let (entries, mistakes) = rows(table);
        assert_eq!(entries, ["oA touches+orders+refunds now"]);
        assert_eq!(
            mistakes,
            [
                "in its line 7 is the same promoter as line 4 of promoters_file; remove one of them",
                "in its line 8 has \"touchs\" in feeds, which is no feed; did you mean touches?",
                &format!("in its line 9 has \"soon\" in start_from, which is no start; {START_FROM_REMEDY}"),
                "in its line 10 has no promoter; write the promoter's id or remove the row",
                "in its line 11 holds a slash, white space or a control character; \
                 write the promoter's id as the upstream gives it",
                "in its line 12 has more cells than the header; join the feeds by ;",
            ]
        );
    }

    #[test]
    fn feeds_that_are_joined_by_commas_are_told_how() {
        let (_, mistakes) =
            rows("promoter,feeds,start_from\noA,touches,orders\noB,\"touches,orders\"\noC,touches orders\n");
        assert_eq!(
            mistakes,
            [
                "in its line 2 has a feed in start_from; join the feeds by ; in one cell",
                "in its line 3 has \"touches,orders\" in feeds, which is no feed; join touches, orders, refunds by ;",
                "in its line 4 has \"touches orders\" in feeds, which is no feed; join touches, orders, refunds by ;",
            ]
        );
    }

    #[test]
    fn all_that_is_wrong_with_a_row_is_told_at_once_with_the_wrong_words() {
        let (entries, mistakes) = rows("promoter,feeds,start_from\no Z,toches;orders;x,yesterday\noA,toches,\noA\n");
        assert_eq!(entries, Vec::<String>::new());
        assert_eq!(
            mistakes,
            [
                "in its line 2 holds a slash, white space or a control character; \
                 write the promoter's id as the upstream gives it",
                "in its line 2 has \"toches\" in feeds, which is no feed; did you mean touches?",
                "in its line 2 has \"x\" in feeds, which is no feed; join touches, orders, refunds by ;",
                &format!("in its line 2 has \"yesterday\" in start_from, which is no start; {START_FROM_REMEDY}"),
                "in its line 3 has \"toches\" in feeds, which is no feed; did you mean touches?",
                "in its line 4 is the same promoter as line 3 of promoters_file; remove one of them",
            ]
        );
    }

    #[test]
    fn a_word_is_quoted_on_one_line_and_in_part() {
        assert_eq!(shown("a\nb"), "\"a\\nb\"");
        assert_eq!(shown(&"é".repeat(100)), format!("\"{}\"…", "é".repeat(SHOWN_MAX)));
    }

    #[test]
    fn rows_are_counted_rightly_whatever_ends_and_fills_the_lines() {
        let table = "promoter,feeds\r\n\r\noA\r\n# theirs\r\n  \r\n\"oB\",\"touches;\r\norders\"\r\no C\r\n";
        let (entries, mistakes) = rows(table);
        assert_eq!(entries, ["oA touches+orders+refunds now", "oB touches+orders now"]);
        let lines: Vec<&str> =
            mistakes.iter().filter_map(|mistake| mistake.split_once(" h")).map(|(at, _)| at).collect();
        assert_eq!(lines, ["in its line 5", "in its line 8"]);
    }

    #[test]
    fn a_table_without_its_header_is_refused() {
        assert_eq!(rows("oA\noB\n").1, [format!("has no column promoter; {HEADER}")]);
        assert_eq!(rows("").1, [format!("has no column promoter; {HEADER}")]);
        assert_eq!(rows("promoter,feed\n").1, ["has an unknown column feed; did you mean feeds?"]);
        assert_eq!(rows("promoter,promoter\n").1, ["has the column promoter twice; remove one of them"]);
    }

    #[test]
    fn a_table_full_of_mistakes_is_reported_in_part() {
        let table = format!("promoter\n{}", "o A\n".repeat(50));
        let (_, mistakes) = rows(&table);
        assert_eq!(mistakes.len(), ROWS_REPORTED_MAX + 1);
        assert_eq!(mistakes.last().unwrap(), "has 30 more rows that can't be read; correct these first");
    }

    proptest::proptest! {
        #[test]
        fn no_table_panics(text in "(promoter,feeds\n)?[oA-C,;#\"\r\n é]{0,40}") {
            rows(&text);
        }
    }
}
