//! `promoters import`: registers the promoters of a file, all of them or none.

use std::fs::File;
use std::io::{self, Read};

use serde::{Serialize, Serializer};

use super::change::NOT_AUTHORISED;
use super::import_file::{ImportedFile, read_file};
use super::write::write;
use super::{FileFormat, ImportOptions, names};
use crate::changes::change_plan::{ChangePlan, Counts};
use crate::changes::registry_view::RegistryView;
use crate::changes::settings::ChangeSettings;
use crate::cli::{Failure, stdout};
use crate::config::Mistake;
use crate::config::promoter_rows::FaultyRows;
use crate::model::promoter::Promoter;
use crate::telemetry::last_words;
use crate::text;

/// A million promoters in JSON take some two hundred megabytes.
const FILE_BYTES_MAX: u64 = 512 * 1024 * 1024;

/// # Errors
/// [`Failure`] where lines of the file are wrong and none is to be left out, before anything is written; or where the
/// topic can't be read or does not take all of them.
pub fn run(settings: ChangeSettings, options: &ImportOptions) -> Result<(), Failure> {
    if let Some(app) = &options.app {
        names::app(app, &settings.apps)?;
    }
    let text = text(options)?;
    let format = options.format.unwrap_or_else(|| format(options, &text));
    let file = read_file(&text, format, options.app.as_deref(), &settings.apps);
    let ImportedFile { rows, faulty } = file.map_err(|mistake| refused(options, &mistake))?;
    tell(&faulty);
    if faulty.count > 0 && !options.skip_faulty {
        let lines = if faulty.count == 1 { "line is" } else { "lines are" };
        let (name, count) = (name(options), faulty.count);
        if options.output.json {
            stdout::print(&ImportReport::of(options, ChangePlan::default(), &faulty).json()?)?;
        }
        return Err(Failure::Refused(format!(
            "{name}: {count} of its {lines} faulty: nothing is written; --skip-faulty leaves them out"
        )));
    }
    let view = RegistryView::read(settings, options.bound.until())?;
    let (mut plan, now) = (ChangePlan::default(), crate::clock::now());
    for (promoter, patch) in rows {
        plan.register(&view, promoter, patch, now);
    }
    if !options.output.dry_run {
        write(&view, &plan)?;
    }
    let report = ImportReport::of(options, plan, &faulty);
    Ok(stdout::print(&if options.output.json { report.json()? } else { report.text() })?)
}

fn refused(options: &ImportOptions, reason: &dyn std::fmt::Display) -> Failure {
    Failure::Refused(format!("{} {reason}", name(options)))
}

/// As people call it.
fn name(options: &ImportOptions) -> String {
    if is_stdin(options) { "standard input".to_owned() } else { options.file.display().to_string() }
}

fn is_stdin(options: &ImportOptions) -> bool {
    options.file.as_os_str() == "-"
}

/// The whole file, or what comes on stdin.
///
/// # Errors
/// [`Failure::Refused`], naming the file, where it can't be read, is too large, or is not UTF-8.
fn text(options: &ImportOptions) -> Result<String, Failure> {
    let mut bytes = Vec::new();
    let read = if is_stdin(options) {
        io::stdin().take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)
    } else {
        File::open(&options.file).and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes))
    };
    match read {
        Ok(length) if length as u64 > FILE_BYTES_MAX => {
            Err(refused(options, &format_args!("has more than {FILE_BYTES_MAX} bytes; import it in parts")))
        }
        Ok(_) => String::from_utf8(text::owned_without_byte_order_mark(bytes))
            .map_err(|_| refused(options, &"is not UTF-8; save it in that encoding")),
        Err(error) => Err(refused(options, &format_args!("can't be read: {error}"))),
    }
}

/// What the file's name says, or its first character.
fn format(options: &ImportOptions, text: &str) -> FileFormat {
    match options.file.extension().and_then(|extension| extension.to_str()) {
        Some("csv") => FileFormat::Csv,
        Some("jsonl" | "ndjson" | "json") => FileFormat::Jsonl,
        _ if text.trim_start().starts_with('{') => FileFormat::Jsonl,
        _ => FileFormat::Csv,
    }
}

/// Says on stderr what is wrong with the first faulty lines, and how many more there are.
fn tell(faulty: &FaultyRows) {
    for (line, mistake) in &faulty.reported {
        last_words::say(&format_args!("line {line} {mistake}"));
    }
    if faulty.more() > 0 {
        last_words::say(&format_args!("{} more lines are faulty", faulty.more()));
    }
}

/// What was done.
#[derive(Serialize)]
struct ImportReport<'a> {
    dry_run: bool,
    #[serde(flatten)]
    counts: Counts,
    /// The first of those that are polled though discovery says that they have not authorised the app.
    #[serde(skip)]
    not_authorised: Vec<Promoter>,
    /// Lines that can't be registered.
    faulty: usize,
    /// What is wrong with the first of them.
    faults: Vec<JsonFault<'a>>,
}

#[derive(Serialize)]
struct JsonFault<'a> {
    line: usize,
    #[serde(serialize_with = "as_text")]
    fault: &'a Mistake,
}

fn as_text<S: Serializer>(mistake: &Mistake, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(mistake)
}

impl<'a> ImportReport<'a> {
    fn of(options: &ImportOptions, plan: ChangePlan, faulty: &'a FaultyRows) -> ImportReport<'a> {
        let ChangePlan { counts, not_authorised, .. } = plan;
        let faults = faulty.reported.iter().map(|(line, fault)| JsonFault { line: *line, fault }).collect();
        ImportReport { dry_run: options.output.dry_run, counts, not_authorised, faulty: faulty.count, faults }
    }

    fn json(&self) -> anyhow::Result<String> {
        Ok(serde_json::to_string(self)? + "\n")
    }

    fn text(&self) -> String {
        let Counts { added, changed, unchanged, .. } = self.counts;
        let mut text = format!("added {added}, changed {changed}, unchanged {unchanged}");
        if self.faulty > 0 {
            text += &format!(", left out {}", self.faulty);
        }
        text.push('\n');
        text += &self.not_authorised_text();
        text + if self.dry_run { "dry run: nothing was written\n" } else { "" }
    }

    /// Whom discovery alone would not poll: the first of them by name.
    fn not_authorised_text(&self) -> String {
        let (count, named) = (self.counts.not_authorised, &self.not_authorised);
        match named.as_slice() {
            [] => String::new(),
            [only] => format!("{only} {NOT_AUTHORISED}\n"),
            _ => {
                let more = if count > named.len() { ", …" } else { "" };
                let named: Vec<&str> = named.iter().map(Promoter::key).collect();
                format!(
                    "{count} of them have not authorised the app, says discovery; they are polled all the same from now on, for they \
                     are registered: {}{more}\n",
                    named.join(", ")
                )
            }
        }
    }
}
