//! An explanation as people read it, in the order in which they ask: is he known, who polls him, what stands in the way, how far is
//! each feed, what does it cost, is anything lost.

use super::{
    ExplanationLine, FeedFinding, FoundRegistration, LineSign, ParkedFinding, PromoterFindings, PromoterPlace,
};
use crate::admin::ages::duration;
use crate::admin::causes::{PARKED_ACTION, REGISTRY_HELD_UP, Severity, StatusCause};
use crate::admin::status::QuotaStatus;
use crate::model::time::UnixTime;
use crate::poll::freshness::FeedCondition;
use crate::registry::known::KnownPromoter;
use crate::registry::table::PromoterSource;
use crate::telemetry::health::foreign_members::FOREIGN_MEMBER_REMEDY;

pub(super) fn lines(findings: &PromoterFindings) -> Vec<ExplanationLine> {
    let mut lines: Vec<ExplanationLine> = registration(findings).into_iter().chain([place(findings)]).collect();
    lines.extend(findings.causes.iter().map(cause));
    lines.extend(findings.feeds.iter().map(|feed| feed_line(feed, findings.as_of)));
    lines.extend(calls(&findings.calls));
    lines.push(outlook(findings));
    lines
}

fn well(text: String) -> ExplanationLine {
    ExplanationLine { sign: LineSign::Well, text }
}

fn trouble(text: String) -> ExplanationLine {
    ExplanationLine { sign: LineSign::Trouble, text }
}

fn note(text: String) -> ExplanationLine {
    ExplanationLine { sign: LineSign::Note, text }
}

fn registration(findings: &PromoterFindings) -> Option<ExplanationLine> {
    match &findings.registration {
        FoundRegistration::Untold => None,
        FoundRegistration::Nobody => {
            let promoter = &findings.promoter;
            let is_read = findings.causes.iter().all(|cause| cause.code != REGISTRY_HELD_UP);
            Some(trouble(match is_read {
                true => format!(
                    "nobody has registered this promoter, or the record can't be read (promoters list names those): promoters add {promoter} does"
                ),
                false => "nobody has registered this promoter, as far as the registry can be read now".to_owned(),
            }))
        }
        FoundRegistration::Known(KnownPromoter { sources, paused_by, .. }) => {
            let sources: Vec<&str> = sources.iter().map(|source| source.name()).collect();
            let named = format!("named by {}", sources.join(", "));
            Some(match paused_by {
                None => well(format!("{named}; not paused")),
                Some(PromoterSource::Discovery) => trouble(format!(
                    "{named}; paused, for the upstream's list says that the promoter has not authorised the app"
                )),
                Some(source) => {
                    trouble(format!("{named}; paused by the {}: promoters resume polls it again", source.name()))
                }
            })
        }
    }
}

fn place(PromoterFindings { partition, place, .. }: &PromoterFindings) -> ExplanationLine {
    let partition = partition.map_or_else(|| "its partition".to_owned(), |partition| format!("partition {partition}"));
    match place {
        PromoterPlace::Here(instance) => well(format!("{partition} is owned by {instance}")),
        PromoterPlace::Restoring(instance) => {
            note(format!("{partition} is owned by {instance}, which reads its state, and polls once that is whole"))
        }
        PromoterPlace::Elsewhere(instance) => note(format!("{partition} is not owned by {instance}: ask the others")),
        PromoterPlace::NoSession(instance) => trouble(format!("{instance} polls nobody now")),
        PromoterPlace::Untold(instance) => trouble(format!(
            "{partition} is owned by {instance}, as the group says, which was not asked or does not answer at its admin \
             port; one that has ended stays in the group for its session. What follows stands in Kafka"
        )),
        PromoterPlace::Foreign(member) => trouble(format!(
            "{partition} is owned by a member of the consumer group that is no instance of this connector, so nobody polls it: \
             {member}; do: {FOREIGN_MEMBER_REMEDY}. What follows stands in Kafka"
        )),
        PromoterPlace::Nobody => trouble(format!(
            "no instance answers, and none owns {partition}: nobody polls it. What follows stands in Kafka"
        )),
        PromoterPlace::Unknown => note("no instance answers. What follows stands in Kafka".to_owned()),
    }
}

fn cause(cause: &StatusCause) -> ExplanationLine {
    let mut text = cause.code.to_owned();
    if let Some(since) = &cause.since {
        text += &format!(" since {since}");
    }
    text += ": ";
    if let Some(errcode) = cause.errcode {
        text += &format!("{errcode}: ");
    }
    text += &cause.text;
    if let Some(next_try) = &cause.next_try {
        text += &format!("; next try {next_try}");
    }
    text += &format!("; do: {}", cause.action);
    match cause.severity {
        Severity::Stopped | Severity::Late => trouble(text),
        Severity::Note => note(text),
    }
}

fn feed_line(finding: &FeedFinding, now: UnixTime) -> ExplanationLine {
    let feed = finding.feed;
    let ago = |time: UnixTime| duration(now.0.saturating_sub(time.0).max(0));
    let complete = match finding.complete_before {
        // Where no cursor is of what was read by this clock.
        Some(time) if time > now && finding.parked.is_none() => {
            let ahead = duration(time.0 - now.0);
            return note(format!(
                "{feed}: nothing is published before {time}, in {ahead}: it begins there by its start_from, or the clock was set back"
            ));
        }
        Some(time) => format!("complete to {time}, {} ago", ago(time)),
        None => return note(format!("{feed}: not begun yet")),
    };
    let read = match finding.read_to {
        Some(time) => format!("read {} ago", ago(time)),
        None => "not read yet since this instance polls it".to_owned(),
    };
    let promised = finding.promised_seconds.map(|promised| duration(promised.cast_signed()));
    let read = promised.map_or_else(String::new, |promised| format!("{read}, promised each {promised}; "));
    let now_polled = if finding.is_polled_now { "; is being polled" } else { "" };
    match (finding.condition, finding.parked) {
        (_, Some(parked)) => trouble(format!("{feed}: {}; {complete}{now_polled}", refused(parked))),
        // That it is not late yet is nothing that went well.
        (Some(FeedCondition::OnTime), None) if finding.read_to.is_none() => {
            note(format!("{feed}: {read}{complete}{now_polled}"))
        }
        (Some(FeedCondition::OnTime), None) => well(format!("{feed}: {read}{complete}{now_polled}")),
        (Some(FeedCondition::Late), None) => trouble(format!("{feed}: late: {read}{complete}{now_polled}")),
        (Some(FeedCondition::Backfilling), None) => note(format!("{feed}: reads its past; {complete}{now_polled}")),
        (Some(FeedCondition::Parked), None) => trouble(format!("{feed}: parked; {complete}{now_polled}")),
        (None, None) => note(format!("{feed}: {complete}")),
    }
}

fn refused(ParkedFinding { parked, next_try }: ParkedFinding) -> String {
    let code = parked.errcode().map_or_else(String::new, |errcode| format!(" with {errcode}"));
    let refused_at = parked.refused_at();
    format!(
        "parked, for the upstream refused it for good at {refused_at}{code}; next try {next_try}; do: {PARKED_ACTION}"
    )
}

/// Those of the instance that tells, beside what the app has and what all have used of it.
fn calls(calls: &[QuotaStatus]) -> Option<ExplanationLine> {
    let of_interface = |quota: &QuotaStatus| format!("{} {} ({})", quota.interface, quota.used, of_the_app(quota));
    let told: Vec<String> = calls.iter().map(of_interface).collect();
    (!told.is_empty()).then(|| note(format!("calls of this instance today: {}", told.join("; "))))
}

/// What the app has, and what is left of that: the upstream counts what all have called, and by its own limit.
fn of_the_app(QuotaStatus { limit, used_by_all, limit_told, .. }: &QuotaStatus) -> String {
    let Some(limit) = limit else { return "no limit known".to_owned() };
    match limit_told.zip(*used_by_all) {
        None => format!("the app has {limit}"),
        Some((told, used)) => {
            let own = if *limit < told { format!("per_day is {limit}; ") } else { String::new() };
            match used < told {
                true => format!("{own}the app has {told}, of which all together had used {used}"),
                false => format!(
                    "{own}the app has {told}, and all together had called {used} times: none is left until midnight in Beijing"
                ),
            }
        }
    }
}

/// Whether anything is lost by it. What stands still is only late: a cursor does not move over what was not read.
fn outlook(PromoterFindings { feeds, registration, place, .. }: &PromoterFindings) -> ExplanationLine {
    let complete = |finding: &FeedFinding| finding.complete_before.map(|time| format!("{} {time}", finding.feed));
    let cursors: Vec<String> = feeds.iter().filter_map(complete).collect();
    let from = cursors.join(", ");
    note(match (registration, place) {
        (FoundRegistration::Nobody, _) if cursors.is_empty() => "nothing of it was ever published".to_owned(),
        (FoundRegistration::Nobody, _) => {
            format!("its progress is kept for registry.forget: registered again, it goes on from {from}")
        }
        (FoundRegistration::Untold, PromoterPlace::Elsewhere(_) | PromoterPlace::NoSession(_)) => {
            "nothing is lost by waiting: it goes on from its cursors, which stand in Kafka".to_owned()
        }
        _ if cursors.is_empty() => "nothing is published yet: a feed begins where its start_from says".to_owned(),
        (FoundRegistration::Known(known), _) if known.paused_by.is_some() => {
            format!("nothing is lost by waiting: once polled again, it goes on from {from}")
        }
        _ => {
            format!("nothing is lost by waiting: it goes on from {from}, from which the lateness is taken off already")
        }
    })
}
