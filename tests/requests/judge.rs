//! What was asked and what the world gave, against what was answered.

use std::collections::BTreeMap;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use promoter_connector::model::material::{Material, MaterialOutcome, MaterialRefusal, MaterialResult};
use promoter_connector::model::request::record::{RecordOffset, RequestAnswer};
use promoter_connector::model::time::UnixMillis;
use serde_json::Value;

use super::plan::{Kind, Planned, START};
use super::upstream::{Call, Calls, Given};
use crate::sample_requests::End;

/// An upstream that stays unable is asked for a minute, and for ten where a deadline is further away; up to the pause
/// before the call that would come after it.
const PATIENCE_MILLIS: [i64; 2] = [50_000, 590_000];
const OVERDUE: &str = "the deadline passed before the upstream had answered; before that: ";
const EXPIRED: [&str; 2] = ["deadline had passed", "deadline passed before the upstream had answered"];
/// A promoter without authorisation.
const UNAUTHORISED: i64 = 103_006;
const LONG_PATH: i64 = 103_005;
/// Codes that open a breaker of the app's requests for longer than any pause between two calls.
const OPENS_BREAKER: [i64; 4] = [45_009, 45_011, 48_001, 50_002];
const SAME_TOKEN: &str = "its source gives the rejected token again";
const TOKEN_REFUSED: [i64; 3] = [40_001, 40_014, 42_001];
/// Codes that no document names.
const UNFORESEEN: [i64; 3] = [9_300_001, 61_007, -605];
/// Codes of an upstream that is unable for a while; it may also give none at all.
const UNABLE: [i64; 5] = [-1, 103_009, 103_011, 103_012, 103_013];

/// An answer with the time of its commit.
#[derive(Clone)]
pub struct Committed {
    pub location: RecordOffset,
    /// Of the record at that place that it answers.
    pub fingerprint: u64,
    pub answer: RequestAnswer,
    pub at: UnixMillis,
}

/// How a request ended, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ended {
    Succeeded,
    FailedForGood,
    FailedUnforeseen,
    FailedOutOfPatience,
    RejectedUnasked,
    RejectedByUpstream,
    ExpiredUnread,
    ExpiredWaiting,
    ExpiredAsking,
    DeadLetter,
}

impl Ended {
    pub const ALL: [Ended; 10] = [
        Ended::Succeeded,
        Ended::FailedForGood,
        Ended::FailedUnforeseen,
        Ended::FailedOutOfPatience,
        Ended::RejectedUnasked,
        Ended::RejectedByUpstream,
        Ended::ExpiredUnread,
        Ended::ExpiredWaiting,
        Ended::ExpiredAsking,
        Ended::DeadLetter,
    ];
}

type Judgement<R> = Result<R, String>;

fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> Judgement<()> {
    if holds { Ok(()) } else { Err(otherwise()) }
}

/// Each request has one answer, and one that the world gave cause for. Tells how often what was the end.
pub fn judge(requests: &[Planned], answers: &[Committed], calls: &Calls) -> Judgement<BTreeMap<Ended, usize>> {
    let mut by_record: BTreeMap<(i32, i64, u64), Vec<&Committed>> = BTreeMap::new();
    for committed in answers {
        let RecordOffset { partition, offset } = committed.location;
        by_record.entry((partition, offset, committed.fingerprint)).or_default().push(committed);
    }
    ensure(calls.astray.is_empty(), || format!("calls for no request: {:?}", calls.astray))?;
    let mut by_app: BTreeMap<&str, Vec<&Call>> = BTreeMap::new();
    for (app, calls) in &calls.of_tokens {
        by_app.entry(app).or_default().extend(calls);
    }
    for (number, calls) in &calls.of_requests {
        by_app.entry(&requests[*number].asked.request.app_id).or_default().extend(calls);
    }
    let mut ends = BTreeMap::new();
    for (number, planned) in requests.iter().enumerate() {
        let RecordOffset { partition, offset } = planned.location;
        let answers = by_record.remove(&(partition, offset, planned.record().fingerprint())).unwrap_or_default();
        if planned.is_lost && answers.is_empty() {
            continue;
        }
        let [committed] = answers[..] else { return Err(format!("request {number} has {} answers", answers.len())) };
        let history = History::of(number, planned, calls, &by_app);
        let ended = history.check(committed).map_err(|error| {
            let (request, kind) = (&planned.asked.request, planned.kind);
            let (answer, at, calls) = (&committed.answer, committed.at, history.calls);
            format!(
                "{error}\nrequest {number} at {:?}, {kind:?}: {request:?}\n{at:?}: {answer:?}\n{calls:#?}",
                planned.at
            )
        })?;
        *ends.entry(ended).or_default() += 1;
    }
    ensure(by_record.is_empty(), || format!("answers to no request: {:?}", by_record.keys()))?;
    Ok(ends)
}

/// A request with all that was asked for it.
struct History<'a> {
    planned: &'a Planned,
    calls: &'a [Call],
    /// All that was asked for its app, by any request: where the upstream leaves the app without answers, none is asked.
    of_app: &'a [&'a Call],
}

impl<'a> History<'a> {
    fn of(
        number: usize,
        planned: &'a Planned,
        calls: &'a Calls,
        by_app: &'a BTreeMap<&str, Vec<&'a Call>>,
    ) -> History<'a> {
        let of_app = by_app.get(planned.asked.request.app_id.as_str());
        History {
            planned,
            calls: calls.of_requests.get(&number).map_or(&[], Vec::as_slice),
            of_app: of_app.map_or(&[], Vec::as_slice),
        }
    }

    fn check(&self, committed: &Committed) -> Judgement<Ended> {
        let late = self.calls.iter().find(|call| call.began > committed.at);
        ensure(late.is_none(), || format!("asked again when it was answered: {late:?}"))?;
        match &committed.answer {
            RequestAnswer::DeadLetter(letter) => {
                ensure(self.planned.asked.end == End::DeadLetter(letter.reason), || "not this dead letter".into())?;
                let origin = letter.origin.as_ref().map(|origin| (origin.partition, origin.offset));
                let RecordOffset { partition, offset } = self.planned.location;
                ensure(origin == Some((partition, offset)), || "a dead letter of another place".into())?;
                let raw = self.planned.asked.value.as_deref().unwrap_or_default();
                ensure(*letter.raw == *raw, || "a dead letter with other bytes".into())?;
                self.unasked(Ended::DeadLetter)
            }
            RequestAnswer::Reply(result) => {
                self.check_echo(result)?;
                match self.planned.kind {
                    Kind::Flawed => self.check_flawed(&result.outcome),
                    kind => self.check_carried_out(kind, &result.outcome, committed.at),
                }
            }
        }
    }

    fn check_echo(&self, result: &MaterialResult) -> Judgement<()> {
        let request = &self.planned.asked.request;
        // The outcome is checked by itself; every other field is an echo.
        let MaterialResult { request_id, app_id, promoter_openid, outcome: _ } = result;
        let echoed =
            [(request_id, &request.request_id), (app_id, &request.app_id), (promoter_openid, &request.promoter_openid)];
        ensure(echoed.iter().all(|(found, asked)| found == asked), || "the reply to another request".into())
    }

    /// No call was spent.
    fn unasked(&self, ended: Ended) -> Judgement<Ended> {
        ensure(self.calls.is_empty(), || "a call was spent".into())?;
        Ok(ended)
    }

    fn check_flawed(&self, outcome: &MaterialOutcome) -> Judgement<Ended> {
        let (status, refusal, ended) = match outcome {
            MaterialOutcome::Rejected(refusal) => ("REJECTED", refusal, Ended::RejectedUnasked),
            MaterialOutcome::Expired(refusal) => ("EXPIRED", refusal, Ended::ExpiredUnread),
            _ => return Err("a flaw was not found".into()),
        };
        let End::Refused(expected, words) = self.planned.asked.end else {
            return Err("a dead letter belongs here".into());
        };
        ensure(status == expected && refusal.message.contains(words), || format!("not {expected}: {words}"))?;
        ensure(refusal.errcode.is_none(), || "a code for what was not asked".into())?;
        self.unasked(ended)
    }

    fn check_carried_out(&self, kind: Kind, outcome: &MaterialOutcome, at: UnixMillis) -> Judgement<Ended> {
        let last = self.calls.iter().rev().find_map(|call| call.ended.as_ref());
        match (outcome, last) {
            (MaterialOutcome::Succeeded(material), Some((given_at, Given::Content(given)))) => {
                ensure(kind == Kind::Whole, || format!("{kind:?} has no material"))?;
                self.check_material(material, given, *given_at)?;
                Ok(Ended::Succeeded)
            }
            (MaterialOutcome::Rejected(refusal), Some((_, Given::Refusal(LONG_PATH)))) => {
                ensure(kind == Kind::LongPath && refusal.errcode == Some(LONG_PATH), || {
                    "refused as what it is not".into()
                })?;
                Ok(Ended::RejectedByUpstream)
            }
            (MaterialOutcome::Expired(refusal), _) => {
                self.check_overdue(at)?;
                if refusal.message.starts_with(OVERDUE) {
                    self.first_given(refusal).ok_or("expired behind a cause that was never given")?;
                    return Ok(Ended::ExpiredAsking);
                }
                let [unread, waiting] = EXPIRED.map(|words| refusal.message.contains(words));
                ensure(unread != waiting && refusal.errcode.is_none(), || "expired in other words".into())?;
                Ok(if unread { Ended::ExpiredUnread } else { Ended::ExpiredWaiting })
            }
            (MaterialOutcome::Failed(refusal), last) => self.check_failed(refusal, last.map(|(_, given)| given), at),
            _ => Err("not what was given last".into()),
        }
    }

    fn check_failed(&self, refusal: &MaterialRefusal, last: Option<&Given>, at: UnixMillis) -> Judgement<Ended> {
        match refusal.errcode {
            Some(code) if code == UNAUTHORISED || UNFORESEEN.contains(&code) => {
                ensure(last == Some(&Given::Refusal(code)), || format!("{code} was not given last"))?;
                Ok(if code == UNAUTHORISED { Ended::FailedForGood } else { Ended::FailedUnforeseen })
            }
            errcode if errcode.is_none_or(|code| UNABLE.contains(&code)) => {
                self.first_given(refusal).ok_or("unable as it never was")?;
                let first = self.first_unable().ok_or("never unable")?;
                let patience = PATIENCE_MILLIS[usize::from(self.planned.asked.request.deadline.is_some())];
                ensure(at.0 - first.0 >= patience, || format!("given up too early: unable since {first:?}"))?;
                Ok(Ended::FailedOutOfPatience)
            }
            _ => Err("this is no cause to fail".into()),
        }
    }

    fn check_overdue(&self, at: UnixMillis) -> Judgement<()> {
        let deadline = self.planned.asked.request.deadline;
        ensure(deadline.is_some_and(|deadline| deadline <= at), || "the deadline had not passed".into())
    }

    fn check_material(&self, material: &Material, given: &Value, given_at: UnixMillis) -> Judgement<()> {
        let text = |name: &str| given[name].as_str().map(str::to_owned);
        // Each field is named, so that none is forgotten.
        let Material { share_path, qrcode, tag, issued_at } = material;
        let image = qrcode.as_ref().map(|image| BASE64_STANDARD.encode(&image.bytes));
        ensure(*share_path == text("share_path") && *tag == text("tag"), || "other material".into())?;
        ensure(image == text("qrcode"), || "another image".into())?;
        let kinds = [tag.is_some(), share_path.is_some(), qrcode.is_some()];
        let asked = self.planned.asked.request.share_type.unwrap_or(0);
        let all = [1, 2, 3].map(|kind| asked == 0 || asked == kind);
        ensure(kinds == all, || "another kind of material".into())?;
        ensure(*issued_at == given_at, || format!("issued when it was not given, at {given_at:?}"))
    }

    /// The first time that the world gave the cause of this refusal to anybody of its app.
    fn first_given(&self, refusal: &MaterialRefusal) -> Option<UnixMillis> {
        let is_cause = |given: &Given| match (refusal.errcode, given) {
            // The token is refused, and then there is no other.
            (None, Given::Refusal(code)) if refusal.message.ends_with(SAME_TOKEN) => TOKEN_REFUSED.contains(code),
            (None, given) => *given == Given::Nothing,
            (Some(code), given) => *given == Given::Refusal(code),
        };
        let asked = self.of_app.iter().filter_map(|call| call.ended.as_ref());
        asked.filter(|(_, given)| is_cause(given)).map(|(at, _)| *at).min()
    }

    /// Since when the world was asked in vain: while the request was there, and no breaker open by an answer to itself.
    fn first_unable(&self) -> Option<UnixMillis> {
        let came = UnixMillis(START.0 + i64::try_from(self.planned.at.as_millis()).unwrap());
        let opens_breaker = |given: &Given| matches!(given, Given::Refusal(code) if OPENS_BREAKER.contains(code));
        let own = self.calls.iter().filter_map(|call| call.ended.as_ref());
        let since = own.filter(|(_, given)| opens_breaker(given)).map(|(at, _)| *at).max().unwrap_or(came).max(came);
        let is_unable = |given: &Given| match given {
            Given::Content(_) => false,
            Given::Refusal(code) => UNABLE.contains(code),
            Given::Nothing => true,
        };
        let is_it = |call: &&&Call| call.ended.as_ref().is_some_and(|(at, given)| *at >= since && is_unable(given));
        let unable = self.of_app.iter().filter(is_it);
        unable.map(|call| call.began.max(since)).min()
    }
}
