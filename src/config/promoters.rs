//! The promoters of an app: `promoters` and the table in `promoters_file`, merged.

use std::collections::HashMap;
use std::fmt;

use foldhash::fast::RandomState;

use super::promoter_rows::{NamedPromoter, PromoterRows, read_rows};
use super::reader::document::TomlValue;
use super::reader::problem::Mistake;
use super::reader::secret::{path, read_file};
use super::reader::section::{Context, Section};
use super::reader::value::text;
use super::reader::watched_file::WatchedFile;
use crate::model::promoter::{AppId, Promoter};
use crate::registry::table::ConfiguredPromoter;

/// A Mini Program has at most 100,000 promoters (official page), of some fifty bytes each.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;
const COLUMNS: &[&str] = &["promoter", "feeds", "start_from"];

/// Reads both keys of an app's section and reports every row that can't be read.
pub fn read(section: &mut Section, app_id: &AppId) -> Vec<(Promoter, ConfiguredPromoter)> {
    let mut roll = Roll { app_id, entries: Vec::new(), places: HashMap::default() };
    for item in section.list("promoters", text) {
        match roll.met(&item.value, Place::Item(item.key.clone())) {
            Ok(promoter) => roll.entries.push((promoter, ConfiguredPromoter::default())),
            Err(mistake) => section.problem_of_item(&item, mistake),
        }
    }
    let context = section.context();
    if let Some(text) = section.optional("promoters_file", |value| table(value, context)) {
        for mistake in roll.add_table(&text) {
            section.problem("promoters_file", mistake);
        }
    }
    roll.entries
}

/// # Errors
/// [`Mistake`] where the file can't be read, is larger than [`FILE_BYTES_MAX`], or is not UTF-8.
fn table(value: &TomlValue, context: &Context) -> Result<String, Mistake> {
    let path = path(value, context.directory)?;
    // Before it is read: what is written meanwhile makes it another one.
    context.tables.borrow_mut().push(WatchedFile::look(path.clone()));
    read_file(&path, FILE_BYTES_MAX, context.directory)
}

/// The promoters met so far, and where.
struct Roll<'a> {
    app_id: &'a AppId,
    entries: Vec<(Promoter, ConfiguredPromoter)>,
    places: HashMap<Promoter, Place, RandomState>,
}

/// Where a promoter is named: there may be a million of them, of which nobody is told.
enum Place {
    /// Its key.
    Item(String),
    /// Of the table.
    Line(usize),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Item(key) => f.write_str(key),
            Place::Line(line) => write!(f, "line {line} of promoters_file"),
        }
    }
}

impl Roll<'_> {
    /// A promoter of this app that was not met before.
    ///
    /// # Errors
    /// [`Mistake`] where the id can't be one, or was met before.
    fn met(&mut self, promoter_id: &str, place: Place) -> Result<Promoter, Mistake> {
        let promoter = Promoter::new(self.app_id, promoter_id)
            .map_err(|error| Mistake::new(error.to_string(), "write the promoter's id as the upstream gives it"))?;
        if let Some(first) = self.places.get(&promoter) {
            return Err(Mistake::new(format!("is the same promoter as {first}"), "remove one of them"));
        }
        self.places.insert(promoter.clone(), place);
        Ok(promoter)
    }

    /// Adds the rows of a table; gives the mistakes of those that can't be read, each with its line.
    fn add_table(&mut self, text: &str) -> Vec<Mistake> {
        let mut accept = |named: NamedPromoter<'_>| self.met(named.promoter_id, Place::Line(named.line));
        let PromoterRows { rows, faulty } = match read_rows(text, COLUMNS, &mut accept) {
            Ok(rows) => rows,
            Err(mistake) => return vec![mistake],
        };
        for (promoter, patch) in rows {
            let start_from = patch.start_from.flatten().into();
            self.entries.push((promoter, ConfiguredPromoter { feeds: patch.feeds.unwrap_or_default(), start_from }));
        }
        let more = faulty.more();
        let placed = faulty.reported.into_iter().map(|(line, mistake)| mistake.at(&format!("in its line {line}")));
        let more =
            (more > 0).then(|| Mistake::new(format!("has {more} more rows that can't be read"), "correct these first"));
        placed.chain(more).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::feeds::{FeedDrafts, START_FROM_REMEDY};
    use super::super::promoter_rows::{HEADER, ROWS_REPORTED_MAX};
    use super::*;
    use crate::model::feed::Feed;

    /// What the table gives: entries as `id feeds start`, and problems.
    fn rows(text: &str) -> (Vec<String>, Vec<String>) {
        let (app_id, feeds) = (AppId::new("wx1").unwrap(), FeedDrafts::defaults().settle());
        let mut roll = Roll { app_id: &app_id, entries: Vec::new(), places: HashMap::default() };
        let mistakes = roll.add_table(text);
        let entry = |(promoter, configured): &(Promoter, ConfiguredPromoter)| {
            let entry = feeds.polled_for(promoter.clone(), configured.feeds, configured.start_from);
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
