//! What stands on the page.

use maud::{Markup, html};

use crate::admin::ages::duration;
use crate::admin::causes::{Severity, StatusCause};
use crate::admin::explanation::{Explanation, ExplanationLine, LineSign};
use crate::admin::promoters::FeedAnswer;
use crate::admin::status::{FeedStatus, Status};
use crate::model::promoter::Promoter;

/// How much older than promised the worst may be, in seconds, before it is late; and how much before it is far too late.
const WORST_LATE: i64 = 60;
const WORST_FAR: i64 = 300;

pub fn all(status: &Status, parked: &[FeedAnswer]) -> Markup {
    html! {
        (causes(&status.causes))
        (fresh(&status.feeds))
        div class="panels" {
            (needs_you(parked))
            (quota(status))
            (kafka(status))
            (dead_letters(status))
        }
        (notes(&status.causes))
    }
}

pub fn since(status: &Status) -> Markup {
    let late: usize = status.feeds.iter().map(|feed| feed.late).sum();
    let all: usize = status.feeds.iter().map(|feed| feed.late + feed.on_time).sum();
    html! {
        @if late > 0 { " " (late) " of " (all) }
        @if let Some(since) = &status.since { " since " (since) }
    }
}

/// Those for which something is behind, or stands still.
fn causes(causes: &[StatusCause]) -> Markup {
    let graver: Vec<&StatusCause> = causes.iter().filter(|cause| cause.severity != Severity::Note).collect();
    html! {
        section aria-labelledby="why" {
            h2 id="why" { "Why" }
            @if graver.is_empty() { p { "Nothing stands in the way." } }
            ul { @for cause in graver { li { (one_cause(cause)) } } }
        }
    }
}

/// Those that can wait: below what somebody looks for who was called.
fn notes(causes: &[StatusCause]) -> Markup {
    let notes: Vec<&StatusCause> = causes.iter().filter(|cause| cause.severity == Severity::Note).collect();
    html! {
        @if !notes.is_empty() {
            section aria-labelledby="notes" {
                h2 id="notes" { "To be known" }
                ul { @for cause in notes { li { (one_cause(cause)) } } }
            }
        }
    }
}

fn one_cause(cause: &StatusCause) -> Markup {
    let (sign, class) = match cause.severity {
        Severity::Stopped => ("✗", "stopped"),
        Severity::Late => ("▲", "late"),
        Severity::Note => ("·", "quiet"),
    };
    html! {
        strong class=(class) { (sign) " " (cause.code) }
        dl {
            dt { "affects" } dd { (told(&cause.affects)) }
            dt { "told" } dd { @if let Some(errcode) = cause.errcode { (errcode) ": " } (told(&cause.text)) }
            @if let Some(since) = &cause.since { dt { "since" } dd { (since) } }
            @if let Some(next_try) = &cause.next_try { dt { "next try" } dd { (next_try) } }
            dt { "do" } dd { (cause.action) }
        }
    }
}

fn fresh(feeds: &[FeedStatus]) -> Markup {
    html! {
        section aria-labelledby="fresh" tabindex="0" {
            h2 id="fresh" { "Fresh" }
            table {
                thead { tr { @for title in ["app", "feed", "worst", "p95", "promised", "on time", "late", "backfilling", "parked", "paused"] {
                    th scope="col" { (title) }
                } } }
                tbody { @for feed in feeds { tr {
                    td { (feed.app) }
                    td { (feed.feed) }
                    td { (worst(feed)) }
                    td { (seconds(feed.p95_seconds)) }
                    td { (duration(feed.promised_seconds.cast_signed())) }
                    td { (feed.on_time) }
                    td { (feed.late) }
                    td { (feed.backfilling) }
                    td { (feed.parked) }
                    td { (feed.paused) }
                } } }
            }
        }
    }
}

fn worst(feed: &FeedStatus) -> Markup {
    let Some(worst) = feed.worst_seconds else { return html! { "–" } };
    let promised = feed.promised_seconds.cast_signed();
    let (sign, class) = match worst {
        _ if worst > promised.saturating_mul(2).saturating_add(WORST_FAR) => ("✗", "stopped"),
        _ if worst > promised.saturating_add(WORST_LATE) => ("▲", "late"),
        _ => ("✓", "well"),
    };
    html! { span class=(class) { (sign) " " (duration(worst)) } }
}

fn needs_you(parked: &[FeedAnswer]) -> Markup {
    html! {
        section aria-labelledby="needs" {
            h2 id="needs" { "Needs you" }
            @if parked.is_empty() { p { "No promoter is parked." } }
            ul { @for feed in parked { li { (id(&feed.promoter)) " " (feed.feed) " is parked" } } }
        }
    }
}

fn quota(status: &Status) -> Markup {
    html! {
        section aria-labelledby="quota" tabindex="0" {
            h2 id="quota" { "Calls today" }
            table {
                thead { tr { th scope="col" { "app" } th scope="col" { "interface" } th scope="col" { "called here" } th scope="col" { "limit" } } }
                tbody { @for quota in &status.quota { tr {
                    td { (quota.app) }
                    td { (quota.interface) }
                    td { (quota.used) }
                    td { @match quota.limit { Some(limit) => (limit), None => "–" } }
                } } }
            }
        }
    }
}

fn kafka(status: &Status) -> Markup {
    html! {
        section aria-labelledby="kafka" {
            h2 id="kafka" { "Kafka" }
            dl {
                @for pipeline in &status.pipelines {
                    dt { (pipeline.pipeline) }
                    dd {
                        @if pipeline.kafka_up { span class="well" { "✓ answers" } } @else { span class="stopped" { "✗ does not answer" } }
                        @if let Some(commit) = &pipeline.last_commit { ", last commit " (commit) }
                        @if let Some(waits) = &pipeline.waits_since { ", waits since " (waits) }
                    }
                }
                dt { "partitions" }
                dd { (status.partitions.polling) " of " (status.partitions.all) " polled here, " (status.partitions.restoring) " restoring" }
            }
        }
    }
}

fn dead_letters(status: &Status) -> Markup {
    html! {
        section aria-labelledby="dead" {
            h2 id="dead" { "Dead letters since the start" }
            @if status.dead_letters.is_empty() { p { "None." } }
            dl { @for letters in &status.dead_letters { dt { (letters.source) " " (letters.reason) } dd { (letters.count) } } }
        }
    }
}

pub fn explained(explanation: &Explanation) -> Markup {
    html! {
        section aria-labelledby="promoter" tabindex="0" {
            h2 id="promoter" { (id(&explanation.promoter)) }
            ul { @for line in &explanation.lines { li { (explanation_line(line)) } } }
            table {
                thead { tr { @for title in ["feed", "state", "read to", "complete before", "now"] { th scope="col" { (title) } } } }
                tbody { @for feed in &explanation.feeds { tr {
                    td { (feed.feed) }
                    td { (feed.state.unwrap_or("–")) }
                    td { (feed.read_to.as_deref().unwrap_or("–")) }
                    td { (feed.complete_before.as_deref().unwrap_or("–")) }
                    td { @if feed.is_polled_now { "is polled" } @else { "waits for its turn" } }
                } } }
            }
        }
        (causes(&explanation.causes))
        (notes(&explanation.causes))
    }
}

fn explanation_line(ExplanationLine { sign, text }: &ExplanationLine) -> Markup {
    let class = match sign {
        LineSign::Well => "well",
        LineSign::Trouble => "stopped",
        LineSign::Note => "quiet",
    };
    html! { span class=(class) { (sign.character()) } " " (told(text)) }
}

pub fn not_found() -> Markup {
    html! { section { p { "No app of that name is configured, or that is no id of a promoter. Write APP/ID." } } }
}

/// A text that may name promoters. Whatever looks like one can be hidden.
fn told(text: &str) -> Markup {
    html! {
        @for (place, word) in text.split(' ').enumerate() {
            @if place > 0 { " " }
            @if Promoter::from_key(word).is_ok() { (id(word)) } @else { (word) }
        }
    }
}

/// What the switch hides.
fn id(promoter: &str) -> Markup {
    html! { span class="id" { (promoter) } span class="masked" { "hidden" } }
}

fn seconds(seconds: Option<i64>) -> String {
    seconds.map_or_else(|| "–".to_owned(), duration)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_say_is_text_and_nothing_else() {
        let hostile = "<script>alert(1)</script>";
        let cause = StatusCause {
            errcode: Some(1),
            text: hostile.to_owned(),
            affects: hostile.to_owned(),
            ..StatusCause::new("late", Severity::Late, "look")
        };
        let page = causes(&[cause]).into_string();
        assert!(!page.contains("<script>") && page.contains("&lt;script&gt;"), "{page}");
        assert!(!id("wx1/<b>").into_string().contains("<b>"));
    }

    #[test]
    fn a_note_stands_in_nobodys_way() {
        let page = |severity| {
            let all = [StatusCause::new("late", severity, "look")];
            (causes(&all).into_string(), notes(&all).into_string())
        };
        let (why, below) = page(Severity::Note);
        assert!(why.contains("Nothing stands in the way") && below.contains("· late"), "{why}{below}");
        let (why, below) = page(Severity::Late);
        assert!(why.contains("▲ late") && below.is_empty(), "{why}{below}");
    }

    #[test]
    fn an_id_in_a_text_is_what_the_switch_hides() {
        let page = told("3 promoters, longest wx1/oABC").into_string();
        assert_eq!(page, format!("3 promoters, longest {}", id("wx1/oABC").into_string()));
        let others = "see http://127.0.0.1:9/a, or 40164: <b> /";
        assert_eq!(told(others).into_string(), html! { (others) }.into_string());
    }

    #[test]
    fn the_worst_is_told_by_a_word_a_sign_and_a_colour() {
        let feed = |worst_seconds| FeedStatus {
            app: "wx1".into(),
            feed: "orders",
            promised_seconds: 900,
            worst_seconds,
            p95_seconds: None,
            on_time: 0,
            late: 0,
            backfilling: 0,
            parked: 0,
            paused: 0,
            backfill_remaining_seconds: None,
        };
        for (seconds, sign) in [(Some(960), "✓ 16m"), (Some(961), "▲ 16m"), (Some(2101), "✗ 35m"), (None, "–")]
        {
            let told = worst(&feed(seconds)).into_string();
            assert!(told.contains(sign), "{told}");
        }
    }
}
