//! `promoters list`: who is polled, as configuration and registry together say, and which of them said what.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{ListOptions, names};
use crate::changes::registry_view::RegistryView;
use crate::changes::settings::ChangeSettings;
use crate::cli::{Failure, stdout};
use crate::model::feed::Feed;
use crate::model::promoter::Promoter;
use crate::registry::table::{MergedPromoter, PromoterSource};
use crate::telemetry::last_words;

/// How much text is made before it is printed.
const PRINTED_BYTES: usize = 1 << 16;

/// # Errors
/// [`Failure`] where the topic can't be read to its end, or nobody takes what is written.
pub fn run(settings: ChangeSettings, options: &ListOptions) -> Result<(), Failure> {
    if let Some(app) = &options.app {
        names::app(app, &settings.apps)?;
    }
    let after = options.after.as_ref().map(|after| names::behind(after, options.app.as_deref(), &settings.apps));
    let after = after.transpose()?;
    let view = RegistryView::read(settings, options.bound.until())?;
    let listed = ListedRow::of(&view, options, after.as_deref());
    if options.json {
        listed.print_json(&view)?;
    } else {
        listed.print_text(&view)?;
    }
    view.tell_unreadable();
    listed.tell_counts(&view);
    Ok(())
}

/// What the list shows, in the order of the keys.
struct ListedRow<'a> {
    rows: Vec<(&'a Promoter, MergedPromoter<'a>)>,
    /// How many there are, of the app that was asked for.
    all: usize,
    is_cut: bool,
}

impl<'a> ListedRow<'a> {
    fn of(view: &'a RegistryView, options: &ListOptions, after: Option<&str>) -> ListedRow<'a> {
        let is_wanted = |promoter: &Promoter| options.app.as_ref().is_none_or(|app| promoter.app_id() == app);
        let mut rows: Vec<_> = view.table.iter().filter(|(promoter, _)| is_wanted(promoter)).collect();
        let all = rows.len();
        if let Some(after) = after {
            rows.retain(|(promoter, _)| promoter.key() > after);
        }
        rows.sort_unstable_by_key(|(promoter, _)| *promoter);
        let is_cut = options.limit.is_some_and(|limit| limit < rows.len());
        rows.truncate(options.limit.unwrap_or(usize::MAX));
        ListedRow { rows, all, is_cut }
    }

    fn print_json(&self, view: &RegistryView) -> anyhow::Result<()> {
        let mut text = String::new();
        for (promoter, merged) in &self.rows {
            text += &serde_json::to_string(&JsonRow::of(view, promoter, merged))?;
            text.push('\n');
            print_full(&mut text)?;
        }
        stdout::print(&text)
    }

    fn print_text(&self, view: &RegistryView) -> anyhow::Result<()> {
        let width = self.rows.iter().map(|(promoter, _)| promoter.key().len()).max().unwrap_or(0).max("promoter".len());
        let mut text = String::new();
        if !self.rows.is_empty() {
            text += &format!("{:width$}  {}\n", "promoter", PromoterLine::header());
        }
        for (promoter, merged) in &self.rows {
            text += &format!("{:width$}  {}\n", promoter.key(), PromoterLine::of(view, promoter, merged));
            print_full(&mut text)?;
        }
        stdout::print(&text)
    }

    fn tell_counts(&self, view: &RegistryView) {
        let shown = self.rows.len();
        if self.is_cut
            && let Some((last, _)) = self.rows.last()
        {
            last_words::say(&format_args!("{shown} of {} promoters; go on with --after {last}", self.all));
        } else {
            last_words::say(&format_args!("{shown} of {} promoters", self.all));
        }
        let strange = self.rows.iter().filter(|(promoter, _)| !view.is_of_configured_app(promoter)).count();
        match strange {
            0 => {}
            1 => last_words::say(&"1 of them is of an app that is not configured here"),
            _ => last_words::say(&format_args!("{strange} of them are of apps that are not configured here")),
        }
    }
}

/// Prints what has become long, so that a list of a million is never all in memory.
fn print_full(text: &mut String) -> anyhow::Result<()> {
    if text.len() >= PRINTED_BYTES {
        stdout::print(text)?;
        text.clear();
    }
    Ok(())
}

/// Whether the promoter is polled where this configuration runs.
fn state(view: &RegistryView, promoter: &Promoter, merged: &MergedPromoter<'_>) -> &'static str {
    match (view.is_of_configured_app(promoter), merged.is_paused.value) {
        (false, _) => "unknown_app",
        (true, true) => "paused",
        (true, false) => "polled",
    }
}

fn source_name(source: Option<PromoterSource>) -> &'static str {
    source.map_or("default", PromoterSource::name)
}

/// The columns behind the promoter.
struct PromoterLine([String; 4]);

impl PromoterLine {
    fn header() -> PromoterLine {
        PromoterLine(["state", "feeds", "start_from", "known by"].map(str::to_owned))
    }

    fn of(view: &RegistryView, promoter: &Promoter, merged: &MergedPromoter<'_>) -> PromoterLine {
        let feeds = view.feeds(promoter, merged);
        let start_from = merged.start_from.value.map_or_else(|| "-".to_owned(), |start| start.to_string());
        let source = |source| match source {
            PromoterSource::Discovery if view.table.is_unauthorised(promoter) => "discovery (not authorised)",
            source => source.name(),
        };
        let sources: Vec<&str> = merged.sources().map(source).collect();
        PromoterLine([
            state(view, promoter, merged).to_owned(),
            format!("{} ({})", feeds.value, source_name(feeds.source)),
            format!("{start_from} ({})", source_name(merged.start_from.source)),
            sources.join(", "),
        ])
    }
}

impl std::fmt::Display for PromoterLine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [state, feeds, start_from, known_by] = &self.0;
        write!(f, "{state:11}  {feeds:41}  {start_from:36}  {known_by}")
    }
}

#[derive(Serialize)]
struct JsonRow<'a> {
    app_id: &'a str,
    promoter_openid: &'a str,
    state: &'static str,
    feeds: JsonField<Vec<&'static str>>,
    start_from: JsonField<Option<String>>,
    paused: JsonField<bool>,
    tags: JsonField<BTreeMap<&'a str, &'a str>>,
    sources: Vec<&'static str>,
    /// Whether the upstream's list said so last; nothing where discovery has not found the promoter.
    authorised: Option<bool>,
    /// Of the registry's record.
    updated_at: Option<String>,
}

/// A value, and who says so.
#[derive(Serialize)]
struct JsonField<T> {
    value: T,
    source: &'static str,
}

impl<'a> JsonRow<'a> {
    fn of(view: &RegistryView, promoter: &'a Promoter, merged: &MergedPromoter<'a>) -> JsonRow<'a> {
        let feeds = view.feeds(promoter, merged);
        JsonRow {
            app_id: promoter.app_id(),
            promoter_openid: promoter.promoter_id(),
            state: state(view, promoter, merged),
            feeds: JsonField { value: feeds.value.iter().map(Feed::word).collect(), source: source_name(feeds.source) },
            start_from: JsonField {
                value: merged.start_from.value.map(|start| start.to_string()),
                source: source_name(merged.start_from.source),
            },
            paused: JsonField { value: merged.is_paused.value, source: source_name(merged.is_paused.source) },
            tags: JsonField { value: merged.tags.value.iter().collect(), source: source_name(merged.tags.source) },
            sources: merged.sources().map(PromoterSource::name).collect(),
            authorised: merged.is_discovered.then(|| !view.table.is_unauthorised(promoter)),
            updated_at: merged.registered.map(|since| since.updated_at().rfc3339()),
        }
    }
}
