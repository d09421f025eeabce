//! A file of promoters, as rows to be registered: in CSV, or a JSON object a line.

use std::collections::{BTreeMap, HashMap};

use serde::de::IgnoredAny;

use super::{FileFormat, names};
use crate::avro::promoter::{JSON_NAMES, PromoterStatement};
use crate::changes::settings::RegisteringApp;
use crate::config::promoter_rows::{FaultyRows, NamedPromoter, PromoterRows, read_rows};
use crate::config::{Mistake, nearest};
use crate::model::promoter::Promoter;
use crate::registry::record::PromoterPatch;
use crate::text::bounded;

/// Of a key that is not known, as it is shown.
const KEY_CHARS_MAX: usize = 64;

const COLUMNS: &[&str] = &["app", "promoter", "feeds", "start_from", "paused", "tags"];

/// Its rows that can be registered, each promoter once, and the others.
pub struct ImportedFile {
    pub rows: Vec<(Promoter, PromoterPatch)>,
    pub faulty: FaultyRows,
}

/// Rows that name no app are of `app`, or of the only one of `apps`.
///
/// # Errors
/// Where it has no header that could be read.
pub fn read_file(
    text: &str,
    format: FileFormat,
    app: Option<&str>,
    apps: &[RegisteringApp],
) -> Result<ImportedFile, Mistake> {
    let only = if let [only] = apps { Some(only.app_id.as_str()) } else { None };
    let mut met = MetPromoters { apps, app: app.or(only), lines: HashMap::new() };
    match format {
        FileFormat::Csv => {
            let mut accept = |named: NamedPromoter<'_>| met.named(&named);
            let PromoterRows { rows, faulty } = read_rows(text, COLUMNS, &mut accept)?;
            Ok(ImportedFile { rows, faulty })
        }
        FileFormat::Jsonl => Ok(json_lines(text, &mut met)),
    }
}

fn json_lines(text: &str, met: &mut MetPromoters<'_>) -> ImportedFile {
    let mut file = ImportedFile { rows: Vec::new(), faulty: FaultyRows::default() };
    for (line, text) in (1..).zip(text.lines()).filter(|(_, text)| !text.trim().is_empty()) {
        let stated = PromoterStatement::from_json(text.as_bytes());
        let stated = stated.map_err(|error| Mistake::new(format!("can't be registered: {error}"), "correct it"));
        let stated = stated.and_then(|stated| match stated.is_of_discovery() {
            true => Err(Mistake::new(
                "is a record of discovery",
                "leave it out: what the upstream lists is registered by itself",
            )),
            false => Ok(stated),
        });
        // Whoever writes the topic may add keys of its own; a line here is written for this command, and one that it does not know is a slip.
        let stated = stated.and_then(|stated| unknown_key(text).map_or(Ok(stated), Err));
        match stated.and_then(|stated| Ok((met.once(stated.promoter, line)?, stated.patch))) {
            Ok(row) => file.rows.push(row),
            Err(mistake) => file.faulty.add(line, vec![mistake]),
        }
    }
    file
}

/// The first key of the object that says nothing.
fn unknown_key(text: &str) -> Option<Mistake> {
    let keys: BTreeMap<String, IgnoredAny> = serde_json::from_str(text).ok()?;
    let key = keys.into_keys().find(|key| !JSON_NAMES.contains(&key.as_str()))?;
    let shown = bounded(&key, KEY_CHARS_MAX);
    Some(Mistake::new(format!("has an unknown key {shown:?}"), nearest(shown, &JSON_NAMES)))
}

/// The promoters of the lines so far.
struct MetPromoters<'a> {
    apps: &'a [RegisteringApp],
    /// Of the rows that name none.
    app: Option<&'a str>,
    lines: HashMap<Promoter, usize>,
}

impl MetPromoters<'_> {
    /// # Errors
    /// [`Mistake`] where there is no app to go by, or no such id; else as [`once`](Self::once).
    fn named(&mut self, named: &NamedPromoter<'_>) -> Result<Promoter, Mistake> {
        let app = named.app.or(self.app);
        let app = app.ok_or_else(|| Mistake::new("names no app", "write it in a column app, or name it with --app"))?;
        let key = format!("{app}/{}", named.promoter_id);
        let promoter = Promoter::from_key(&key)
            .map_err(|error| Mistake::new(error.to_string(), "write the promoter's id as the upstream gives it"))?;
        self.once(promoter, named.line)
    }

    /// The promoter, of a configured app and not met before.
    ///
    /// # Errors
    /// [`Mistake`] where the app is not configured, or a line before names the same promoter.
    fn once(&mut self, promoter: Promoter, line: usize) -> Result<Promoter, Mistake> {
        if !self.apps.iter().any(|app| app.app_id.is_of(&promoter)) {
            let what = names::unknown_app(promoter.app_id(), self.apps);
            return Err(Mistake::new(format!("is of an app that is not known: {what}"), "correct it"));
        }
        match self.lines.insert(promoter.clone(), line) {
            Some(first) => Err(Mistake::new(format!("is the same promoter as line {first}"), "remove one of them")),
            None => Ok(promoter),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::feed::StartFrom;
    use crate::model::feed_set::FeedSet;
    use crate::model::promoter::AppId;

    fn read(text: &str, format: FileFormat, apps: &[&str]) -> (Vec<(Promoter, PromoterPatch)>, Vec<String>) {
        let app = |id: &&str| RegisteringApp {
            app_id: AppId::new(id).unwrap(),
            feeds: FeedSet::default(),
            promoters: Vec::new(),
        };
        let apps: Vec<RegisteringApp> = apps.iter().map(app).collect();
        let file = read_file(text, format, None, &apps).unwrap_or_else(|mistake| panic!("{mistake}"));
        let told = file.faulty.reported.iter().map(|(line, mistake)| format!("{line} {mistake}")).collect();
        (file.rows, told)
    }

    #[test]
    fn a_row_is_of_its_app_or_of_the_only_one() {
        let (rows, told) = read("promoter\no1\n", FileFormat::Csv, &["wx1"]);
        assert_eq!((rows[0].0.key(), told.len()), ("wx1/o1", 0));
        let (rows, told) = read("promoter,app\no1,wx2\no2,\no3,wx9\no1,wx2\n", FileFormat::Csv, &["wx1", "wx2"]);
        assert_eq!((rows.len(), rows[0].0.key()), (1, "wx2/o1"));
        assert_eq!(
            told,
            [
                "3 names no app; write it in a column app, or name it with --app",
                "4 is of an app that is not known: wx9 is none of the configured apps: wx1, wx2; correct it",
                "5 is the same promoter as line 2; remove one of them",
            ]
        );
    }

    #[test]
    fn a_line_of_json_says_what_its_object_has() {
        let text = "{\"app_id\":\"wx1\",\"promoter_openid\":\"o1\",\"start_from\":\"earliest\"}\n\n\
                    {\"app_id\":\"wx1\",\"promoter_openid\":\"o2\",\"feeds\":[\"touchs\"]}\n{\n\
                    {\"app_id\":\"wx1\",\"promoter_openid\":\"o1\"}\n\
                    {\"app_id\":\"wx1\",\"promoter_openid\":\"o3\",\"discovered\":\"REMOVED\"}\n";
        let (rows, told) = read(text, FileFormat::Jsonl, &["wx1"]);
        let patch = PromoterPatch { start_from: Some(Some(StartFrom::Earliest)), ..PromoterPatch::default() };
        assert_eq!(rows, [(Promoter::from_key("wx1/o1").unwrap(), patch)]);
        assert_eq!(
            told[0],
            "3 can't be registered: feeds: \"touchs\" is none of the feeds touches, orders, refunds; correct it"
        );
        assert!(told[1].starts_with("4 can't be registered: it is no JSON object: EOF"), "{told:?}");
        assert_eq!(told[2], "5 is the same promoter as line 1; remove one of them");
        assert!(told[3].starts_with("6 is a record of discovery; leave it out"), "{told:?}");
        let slip = "{\"app_id\":\"wx1\",\"promoter_openid\":\"o4\",\"pause\":true}\n";
        let (rows, told) = read(slip, FileFormat::Jsonl, &["wx1"]);
        assert!(rows.is_empty(), "or he would be polled");
        assert_eq!(told, ["1 has an unknown key \"pause\"; did you mean paused?"]);
    }
}
