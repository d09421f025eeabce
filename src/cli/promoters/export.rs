//! `promoters export`: the registry's records, in a form that import takes; importing an export changes nothing.
//!
//! CSV has the columns of a `promoters_file`, and `app`, `paused` and `tags` only where a record needs them: so an export of plain
//! promoters of one app is such a file.

use std::collections::BTreeMap;

use anyhow::Context;
use serde::Serialize;

use super::{ExportOptions, FileFormat, names};
use crate::changes::registry_view::RegistryView;
use crate::changes::settings::ChangeSettings;
use crate::cli::{Failure, stdout};
use crate::model::feed::Feed;
use crate::model::promoter::Promoter;
use crate::registry::record::PromoterRecord;
use crate::telemetry::last_words;
use crate::text::counted;

/// How many records are written to stdout at once.
const PRINTED_RECORDS: usize = 1_000;

/// # Errors
/// [`Failure`] where the topic can't be read to its end, nobody takes what is written, or somebody may be lacking in it.
pub fn run(settings: ChangeSettings, options: &ExportOptions) -> Result<(), Failure> {
    if let Some(app) = &options.app {
        names::app(app, &settings.apps)?;
    }
    let view = RegistryView::read(settings, options.bound.until())?;
    let records = records(&view, options.app.as_deref());
    match options.format {
        FileFormat::Csv => print_csv(&records, view.settings.apps.len() > 1)?,
        FileFormat::Jsonl => print_json_lines(&records)?,
    }
    view.tell_unreadable();
    let is_asked_for = |promoter: &Promoter| options.app.as_ref().is_none_or(|app| promoter.app_id() == app);
    let lacking = view.count_lacking(is_asked_for);
    if lacking > 0 {
        let what = format!("{} can't be read, and the export lacks what they say", counted(lacking as u64, "record"));
        return Err(anyhow::anyhow!(what).into());
    }
    if view.unreadable.count() > 0 {
        last_words::say(&"the export lacks nothing that acts");
    }
    Ok(())
}

/// In the order of their keys.
fn records<'a>(view: &'a RegistryView, app: Option<&str>) -> Vec<(&'a Promoter, PromoterRecord)> {
    let promoters = view.table.iter().map(|(promoter, _)| promoter);
    let wanted = promoters.filter(|promoter| app.is_none_or(|app| promoter.app_id() == app));
    let mut records: Vec<_> =
        wanted.filter_map(|promoter| Some((promoter, view.table.registered(promoter)?))).collect();
    records.sort_unstable_by_key(|(promoter, _)| *promoter);
    records
}

/// The columns beyond those of every promoters_file.
#[derive(Clone, Copy)]
struct MoreColumns {
    app: bool,
    paused: bool,
    tags: bool,
}

impl MoreColumns {
    fn of(records: &[(&Promoter, PromoterRecord)], has_apps: bool) -> MoreColumns {
        let first = records.first().map(|(promoter, _)| promoter.app_id());
        MoreColumns {
            app: has_apps || records.iter().any(|(promoter, _)| Some(promoter.app_id()) != first),
            paused: records.iter().any(|(_, record)| record.paused),
            tags: records.iter().any(|(_, record)| !record.tags.is_empty()),
        }
    }

    fn header(self) -> Vec<&'static str> {
        let more = [(self.app, "app"), (self.paused, "paused"), (self.tags, "tags")];
        let more = more.into_iter().filter(|(is_there, _)| *is_there).map(|(_, name)| name);
        ["promoter", "feeds", "start_from"].into_iter().chain(more).collect()
    }

    fn row(self, promoter: &Promoter, record: &PromoterRecord) -> Vec<String> {
        let mut row = vec![
            promoter.promoter_id().to_owned(),
            record.feeds.to_string(),
            record.start_from.map_or_else(String::new, |start| start.to_string()),
        ];
        if self.app {
            row.push(promoter.app_id().to_owned());
        }
        if self.paused {
            row.push(if record.paused { "true".to_owned() } else { String::new() });
        }
        if self.tags {
            row.push(tags_cell(record));
        }
        row
    }
}

fn tags_cell(record: &PromoterRecord) -> String {
    let tags: BTreeMap<&str, &str> = record.tags.iter().collect();
    // A map of texts is always JSON.
    if tags.is_empty() { String::new() } else { serde_json::json!(tags).to_string() }
}

fn print_csv(records: &[(&Promoter, PromoterRecord)], has_apps: bool) -> anyhow::Result<()> {
    let columns = MoreColumns::of(records, has_apps);
    print_rows([columns.header()])?;
    records
        .chunks(PRINTED_RECORDS)
        .try_for_each(|chunk| print_rows(chunk.iter().map(|(promoter, record)| columns.row(promoter, record))))
}

fn print_rows<R: IntoIterator<Item: AsRef<[u8]>>>(rows: impl IntoIterator<Item = R>) -> anyhow::Result<()> {
    // What begins like a comment is quoted, or whoever reads the table would pass it by.
    let mut writer = csv::WriterBuilder::new().comment(Some(b'#')).from_writer(Vec::new());
    rows.into_iter().try_for_each(|row| writer.write_record(row))?;
    let bytes = writer.into_inner().context("the rows")?;
    stdout::print(std::str::from_utf8(&bytes)?)
}

/// As a record of the registry is in JSON.
#[derive(Serialize)]
struct JsonRecord<'a> {
    app_id: &'a str,
    promoter_openid: &'a str,
    feeds: Vec<&'static str>,
    start_from: Option<String>,
    paused: bool,
    tags: BTreeMap<&'a str, &'a str>,
    updated_at: String,
}

impl<'a> JsonRecord<'a> {
    fn of(promoter: &'a Promoter, record: &'a PromoterRecord) -> JsonRecord<'a> {
        JsonRecord {
            app_id: promoter.app_id(),
            promoter_openid: promoter.promoter_id(),
            feeds: record.feeds.iter().map(Feed::word).collect(),
            start_from: record.start_from.map(|start| start.to_string()),
            paused: record.paused,
            tags: record.tags.iter().collect(),
            updated_at: record.updated_at.rfc3339(),
        }
    }
}

fn print_json_lines(records: &[(&Promoter, PromoterRecord)]) -> anyhow::Result<()> {
    for chunk in records.chunks(PRINTED_RECORDS) {
        let mut text = String::new();
        for (promoter, record) in chunk {
            text += &serde_json::to_string(&JsonRecord::of(promoter, record))?;
            text.push('\n');
        }
        stdout::print(&text)?;
    }
    Ok(())
}
