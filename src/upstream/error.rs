//! From an answer to the reaction: the whole table of the upstream's error codes, in one function.

use std::fmt;
use std::time::Duration;

use super::wire::Envelope;
use crate::model::feed::Interface;

/// Which call was answered: some codes mean something else on another call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CallKind {
    Data(Interface),
    Token,
}

/// Why nothing more can be asked for an app until its operator has done something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StopReason {
    /// The app id or the secret is wrong, or frozen.
    Credentials,
    /// This host's IP address is not on the app's allow-list.
    IpNotAllowed,
    /// The API is not opened for the app, or its account is banned.
    NotOpened,
    /// Token after token is rejected.
    TokensRejected,
}

impl StopReason {
    pub fn name(self) -> &'static str {
        match self {
            StopReason::Credentials => "credentials",
            StopReason::IpNotAllowed => "ip_not_allowed",
            StopReason::NotOpened => "not_opened",
            StopReason::TokensRejected => "tokens_rejected",
        }
    }
}

/// What an answer asks its reader to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reaction {
    Read,
    /// There is nothing, or the pages are over.
    NoData,
    /// Permanent for this promoter: go on with the others, look again slowly.
    ParkPromoter,
    /// Permanent for this request.
    RefuseRequest,
    /// Not now; at the next turn.
    TryLater,
    /// The upstream is busy: retry with backoff.
    RetryBusy,
    /// Nothing readable came back: retry with backoff, on another host where there is one.
    RetryTransport,
    /// Refresh the token once, retry once.
    RejectToken,
    StopApp(StopReason),
    /// Nothing more for this interface until Beijing midnight.
    QuotaSpent,
    /// Nothing more for this interface for a minute.
    TooFast,
    /// The fault is in this program or its settings.
    ClientFault,
    /// Not documented: at the next turn, with an alarm.
    Unforeseen,
}

/// `errcode` is absent where the answer has no readable envelope, 0 for success.
///
/// The upstream answers with HTTP 200 and a code in the body; another status comes from what stands before it, whatever
/// its body says: a gateway's 403 with 103006 in it must not pass for "no data".
pub fn reaction(call: CallKind, status: u16, errcode: Option<i64>) -> Reaction {
    match (status, errcode) {
        // The request had no Content-Length.
        (412, _) => Reaction::ClientFault,
        (200, Some(0)) => Reaction::Read,
        (200, Some(errcode)) => reaction_to_errcode(call, errcode),
        _ => Reaction::RetryTransport,
    }
}

fn reaction_to_errcode(call: CallKind, errcode: i64) -> Reaction {
    match (errcode, call) {
        (-1, _) => Reaction::RetryBusy,
        (45009, _) => Reaction::QuotaSpent,
        (45011, _) => Reaction::TooFast,
        // Where a token is asked for, 40001 speaks of the secret; on a call of data, below, of the token.
        (40001, CallKind::Token) | (40125 | 40002 | 40013 | 41002 | 41004 | 40243, _) => {
            Reaction::StopApp(StopReason::Credentials)
        }
        (40164 | 61004 | 45035, _) => Reaction::StopApp(StopReason::IpNotAllowed),
        (48001 | 48004 | 50002 | 50004, _) => Reaction::StopApp(StopReason::NotOpened),
        (41001 | 43002 | 43003 | 44002 | 47001 | 40066, _) => Reaction::ClientFault,
        (103009 | 103011 | 103012 | 103013, _) => Reaction::TryLater,
        // What follows speaks of a token, a promoter or a request's content; a token call has none of them.
        (_, CallKind::Token) => Reaction::Unforeseen,
        (40001 | 40014 | 42001, _) => Reaction::RejectToken,
        // Spec: a last page that is full is followed by one with this code, so where rows are listed it is the end, and no
        // error.
        (103006, CallKind::Data(interface)) if interface.lists_rows() => Reaction::NoData,
        (103006 | 103014 | 103007 | 40003, _) => Reaction::ParkPromoter,
        (103001 | 103002 | 103004 | 103005, _) => Reaction::RefuseRequest,
        _ => Reaction::Unforeseen,
    }
}

/// What the other side said, fit for a log: bounded, on one line, without tokens and secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// Absent where there was no readable answer.
    pub errcode: Option<i64>,
    pub text: String,
}

/// The upstream's own texts are shorter; they end with ` rid: …`, which its support asks for.
const TEXT_CHARS_MAX: usize = 300;

impl Cause {
    /// `secrets` are cut out of the text before it is shortened, in case the other side echoes them.
    pub(super) fn answered(envelope: &Envelope, secrets: &[&str]) -> Cause {
        Cause { errcode: Some(envelope.errcode), text: presentable(&envelope.errmsg, secrets) }
    }

    pub(super) fn unanswered(text: &str, secrets: &[&str]) -> Cause {
        Cause { errcode: None, text: presentable(text, secrets) }
    }
}

/// What is shorter is nobody's secret, and stands in every text.
const SECRET_BYTES_MIN: usize = 4;

fn presentable(text: &str, secrets: &[&str]) -> String {
    let mut text = text.to_owned();
    for secret in secrets.iter().filter(|secret| secret.len() >= SECRET_BYTES_MIN) {
        text = text.replace(secret, "***");
    }
    text.chars().take(TEXT_CHARS_MAX).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.errcode {
            Some(errcode) => write!(f, "errcode {errcode}: {}", self.text),
            None => f.write_str(&self.text),
        }
    }
}

/// Why a breaker is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenReason {
    /// The app's operator has to do something.
    Stopped(StopReason),
    /// The token was rejected, and so was the next one, or the next one is the same. Its source may have another any moment;
    /// until it is asked again nobody sends the one that is known to be refused.
    TokenRejected,
    /// The token's source refuses it in a way that nobody foresaw: without it no call can be made.
    NoToken,
    /// 45009. `day_left` is the time until midnight in Beijing: the quota may be raised before, so it is tried before.
    QuotaSpent { day_left: Duration },
    /// 45011, with the answer's `Retry-After`.
    TooFast { retry_after: Option<Duration> },
    /// No answer but a `Retry-After` that is too long to be waited for by one call.
    RetryAfter(Duration),
    /// Call after call brought nothing readable.
    Unanswered,
}

impl OpenReason {
    pub fn name(self) -> &'static str {
        match self {
            OpenReason::Stopped(reason) => reason.name(),
            OpenReason::TokenRejected => "token_rejected",
            OpenReason::NoToken => "no_token",
            OpenReason::QuotaSpent { .. } => "quota_spent",
            OpenReason::TooFast { .. } => "too_fast",
            OpenReason::RetryAfter(_) => "retry_after",
            OpenReason::Unanswered => "unanswered",
        }
    }
}

impl fmt::Display for OpenReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a call gave no answer, cut by what its caller does. The texts hold no token and no secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    #[error("permanent for this promoter: {0}")]
    ParkPromoter(Cause),
    #[error("the request is refused: {0}")]
    RefuseRequest(Cause),
    #[error("to be tried later: {0}")]
    TryLater(Cause),
    /// A breaker is open: through the answer to this call (`by_response`), or before it was sent. To be asked again when the
    /// breaker lets calls pass.
    #[error("breaker open ({reason}): {cause}")]
    BreakerOpen { reason: OpenReason, cause: Cause, by_response: bool },
    #[error("given up after {attempts} attempts: {cause}")]
    Exhausted { attempts: u32, cause: Cause },
    #[error("undocumented: {0}")]
    Unforeseen(Cause),
    #[error("a fault of this client: {0}")]
    ClientFault(Cause),
    /// The answer came, and asking again would bring the same: too large, or no list where one belongs.
    #[error("unreadable: {0}")]
    Unreadable(Cause),
    #[error("cancelled")]
    Cancelled,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_reaction_on_every_call() {
        use Reaction::*;
        let credentials = StopApp(StopReason::Credentials);
        let ip = StopApp(StopReason::IpNotAllowed);
        let not_opened = StopApp(StopReason::NotOpened);
        // Codes; then the reaction on what lists rows, on getsharematerial, on a token call.
        let table: &[(&[i64], Reaction, Reaction, Reaction)] = &[
            (&[0], Read, Read, Read),
            (&[103006], NoData, ParkPromoter, Unforeseen),
            (&[103014, 103007, 40003], ParkPromoter, ParkPromoter, Unforeseen),
            (&[103001, 103002, 103004, 103005], RefuseRequest, RefuseRequest, Unforeseen),
            (&[103009, 103011, 103012, 103013], TryLater, TryLater, TryLater),
            (&[-1], RetryBusy, RetryBusy, RetryBusy),
            (&[40001], RejectToken, RejectToken, credentials),
            (&[40014, 42001], RejectToken, RejectToken, Unforeseen),
            (&[40125, 40002, 40013, 41002, 41004, 40243], credentials, credentials, credentials),
            (&[40164, 61004, 45035], ip, ip, ip),
            (&[45009], QuotaSpent, QuotaSpent, QuotaSpent),
            (&[45011], TooFast, TooFast, TooFast),
            (&[48001, 48004, 50002, 50004], not_opened, not_opened, not_opened),
            (&[41001, 43002, 43003, 44002, 47001, 40066], ClientFault, ClientFault, ClientFault),
            (&[1, 99999, 103000, 103003, i64::MAX, i64::MIN], Unforeseen, Unforeseen, Unforeseen),
        ];
        for (codes, on_data, on_material, on_token) in table {
            for code in *codes {
                for interface in Interface::ALL {
                    let expected = if interface.lists_rows() { on_data } else { on_material };
                    assert_eq!(reaction(CallKind::Data(interface), 200, Some(*code)), *expected, "{interface} {code}");
                }
                assert_eq!(reaction(CallKind::Token, 200, Some(*code)), *on_token, "{code}");
            }
        }
    }

    #[test]
    fn what_stands_before_the_upstream_speaks_by_its_status() {
        for call in Interface::ALL.map(CallKind::Data).into_iter().chain([CallKind::Token]) {
            for status in [201, 202, 203, 204, 206, 301, 302, 400, 403, 404, 429, 500, 502, 503, 504, 599] {
                for errcode in [None, Some(0), Some(40001), Some(103_006), Some(40164)] {
                    assert_eq!(reaction(call, status, errcode), Reaction::RetryTransport, "{status} {errcode:?}");
                }
            }
            assert_eq!(reaction(call, 200, None), Reaction::RetryTransport);
            assert_eq!(reaction(call, 412, None), Reaction::ClientFault);
        }
    }

    #[test]
    fn a_cause_is_short_on_one_line_and_without_secrets() {
        let errmsg = format!("bad token TOKEN\r\n{}", "x".repeat(1000));
        let cause = Cause::answered(&Envelope { errcode: 40001, errmsg }, &["", "TOKEN"]);
        let shown = cause.to_string();
        assert!(shown.starts_with("errcode 40001: bad token ***  xxx"), "{shown}");
        assert!(shown.chars().count() < 330);
    }
}
