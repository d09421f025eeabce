//! Why something stands still, or is about to: one list, made by one function, from which page, API and log tell. So they can't
//! disagree.

use std::time::Duration;

use serde::Serialize;

use self::foreign_member::FOREIGN_MEMBER;
use super::observed::ObservedConnector;
use super::open_breakers::{AppStop, BreakerMeaning, InterfaceHold, classify};
use crate::clock;
use crate::model::feed::Feed;
use crate::model::promoter::AppId;
use crate::model::time::{UnixMillis, UnixTime};
use crate::poll::freshness::FreshnessFigures;
use crate::poll::reports::Late;
use crate::session::PolledApp;
use crate::telemetry::health::HealthSnapshot;
use crate::telemetry::pipeline;
use crate::text::counted;
use crate::upstream::breaker::OpenBreaker;

mod at_risk;

mod foreign_member;

mod held_up;

pub use at_risk::{DEAD_LETTERS_NEW, LATENESS_NEARLY_USED};
pub use held_up::REGISTRY_HELD_UP;

/// How long something may wait to be committed, in milliseconds, before that is told.
const UNCOMMITTED_MAX: i64 = 60_000;

/// How long an app may have no token that is taken before somebody has to look.
const TOKEN_PATIENCE: Duration = Duration::from_secs(60);

/// The code of a pipeline whose log can't be opened.
const LOG_NOT_OPEN: &str = "log_not_open";
/// The code of a pipeline whom no broker answers.
const KAFKA_SILENT: &str = "kafka_silent";
/// The code of a pipeline in which something waits that Kafka does not take.
const NOT_COMMITTED: &str = "not_committed";
/// The code of promoters who are read later than promised.
pub const LATE: &str = "late";
/// The code of promoters whom the upstream refuses for good.
pub const PARKED: &str = "parked";
/// What to do about them.
pub const PARKED_ACTION: &str = "ask them to authorise, or remove them; they are tried from time to time";

/// The code of every cause that there may be; `docs/runbook.md` has an entry for each.
pub(super) fn codes() -> impl Iterator<Item = &'static str> {
    let stops = AppStop::ALL.into_iter().map(AppStop::code);
    let holds = InterfaceHold::ALL.into_iter().map(InterfaceHold::code);
    let named = [LOG_NOT_OPEN, KAFKA_SILENT, NOT_COMMITTED, FOREIGN_MEMBER, REGISTRY_HELD_UP, LATE, PARKED];
    named.into_iter().chain(at_risk::CODES).chain(stops).chain(holds)
}

/// One cause.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StatusCause {
    /// One of [`codes`].
    pub code: &'static str,
    pub severity: Severity,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interface: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pipeline: Option<&'static str>,
    /// Of the registry; none where it concerns the promoters of all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub partitions: Vec<i32>,
    /// The upstream's code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub errcode: Option<i64>,
    /// In the words of whoever refuses, with the upstream's `rid`.
    pub text: String,
    /// RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_try: Option<String>,
    pub affects: String,
    pub action: &'static str,
}

/// How bad it is. Of the first comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Somebody has to do something.
    Stopped,
    /// Something is behind or held, or may be so without anybody seeing it.
    Late,
    /// To be known, and looked at in time: nothing is behind for it.
    Note,
}

impl StatusCause {
    pub(super) fn new(code: &'static str, severity: Severity, action: &'static str) -> StatusCause {
        debug_assert!(codes().any(|one| one == code), "{code} is not one of the codes");
        StatusCause {
            code,
            severity,
            app: None,
            interface: None,
            pipeline: None,
            partitions: Vec::new(),
            errcode: None,
            text: String::new(),
            since: None,
            next_try: None,
            affects: String::new(),
            action,
        }
    }
}

/// All of them now, the worst first.
pub fn causes(observed: &ObservedConnector) -> Vec<StatusCause> {
    let mut causes = of_kafka(&observed.pipelines());
    for app in observed.apps.iter() {
        let open = app.client.breakers().not_closed();
        let of_breakers: Vec<StatusCause> = open.iter().map(|open| of_breaker(&app.app, open)).collect();
        // What the breakers tell is why its feeds are late.
        let is_explained = !of_breakers.is_empty() || !causes.is_empty();
        causes.extend(of_breakers);
        causes.extend(of_feeds(app, is_explained));
    }
    // These explain nothing that is late: who is polled here is polled on.
    causes.extend(
        observed
            .healths()
            .filter_map(|(pipeline, health)| foreign_member::cause(pipeline, &health.foreign_members.all())),
    );
    causes.extend(held_up::cause(&observed.polls.health.registry.all(), clock::now()));
    causes.extend(at_risk::causes(observed));
    // A stable sort: among those that are as bad as each other, Kafka's stay in front of the apps'.
    causes.sort_by_key(|cause| cause.severity);
    causes
}

fn of_kafka(pipelines: &[(&'static str, HealthSnapshot)]) -> Vec<StatusCause> {
    pipelines.iter().filter_map(|(pipeline, health)| of_pipeline(pipeline, health)).collect()
}

/// The one that explains the others.
fn of_pipeline(pipeline: &'static str, health: &HealthSnapshot) -> Option<StatusCause> {
    let now = clock::now();
    let waits_too_long = |since: &UnixMillis| now.0.saturating_sub(since.0) > UNCOMMITTED_MAX;
    // One that should have begun has, and lasts as long as the brokers let it.
    let lies_ahead = |next_try: &UnixMillis| *next_try > now;
    let cause = if let Some(trouble) = &health.trouble {
        StatusCause {
            text: trouble.error.clone(),
            since: Some(trouble.since.as_seconds().to_string()),
            next_try: Some(trouble.next_try).filter(lies_ahead).map(|next_try| next_try.as_seconds().to_string()),
            ..StatusCause::new(LOG_NOT_OPEN, Severity::Stopped, "do what the text says; else look at the brokers")
        }
    } else if let Some(silence) = silence(health) {
        // Brokers that are restarted answer again soon.
        let severity = if health.is_answered() { Severity::Late } else { Severity::Stopped };
        StatusCause {
            text: health.unanswered.clone().unwrap_or_else(|| "the brokers do not answer".to_owned()),
            since: Some(ago(silence)),
            ..StatusCause::new(KAFKA_SILENT, severity, "look at the brokers, and at the way to bootstrap.servers")
        }
    } else {
        let since = health.waits_since.filter(waits_too_long)?;
        StatusCause {
            text: "nothing was committed since, though something waits for it".to_owned(),
            since: Some(since.as_seconds().to_string()),
            ..StatusCause::new(NOT_COMMITTED, Severity::Late, "look at the brokers: replicas in sync, disks, rights")
        }
    };
    let affects = match pipeline {
        pipeline::POLLS => "all promoters of this instance",
        _ => "all requests for material that this instance answers",
    };
    Some(StatusCause { pipeline: Some(pipeline), affects: affects.to_owned(), ..cause })
}

/// For how long the brokers have answered nothing, where they were asked in vain or have not answered for long. A member of the group
/// loses what it owns before that is long.
fn silence(health: &HealthSnapshot) -> Option<Duration> {
    let is_told = health.unanswered.is_some() || !health.is_answered();
    health.silent_for.filter(|_| is_told)
}

fn of_breaker(app: &AppId, open: &OpenBreaker) -> StatusCause {
    let (code, severity, action) = match classify(open) {
        // Tokens come and go: one that is refused is nobody's business unless that lasts.
        BreakerMeaning::AppStopped(stop @ AppStop::Token) if open.since.elapsed() < TOKEN_PATIENCE => {
            (stop.code(), Severity::Late, stop.action())
        }
        BreakerMeaning::AppStopped(stop) => (stop.code(), Severity::Stopped, stop.action()),
        BreakerMeaning::InterfaceHeld(hold) => (hold.code(), Severity::Late, hold.action()),
    };
    let next_try =
        open.next_probe_in().map(|pause| clock::unix_millis(clock::system_time() + pause).as_seconds().to_string());
    let affects = match open.interface {
        None => format!("everything of app {app}"),
        Some(interface) => format!("{interface} of app {app}"),
    };
    StatusCause {
        app: Some(app.as_str().to_owned()),
        interface: open.interface.map(|interface| interface.name()),
        errcode: open.cause.errcode,
        text: open.cause.text.clone(),
        since: Some(ago(open.since.elapsed())),
        next_try,
        affects,
        ..StatusCause::new(code, severity, action)
    }
}

impl AppStop {
    pub fn code(self) -> &'static str {
        match self {
            AppStop::Credentials => "app_stopped_credentials",
            AppStop::Ip => "app_stopped_ip",
            AppStop::NotOpened => "app_stopped_not_opened",
            AppStop::Token => "app_stopped_token",
        }
    }

    fn action(self) -> &'static str {
        match self {
            AppStop::Credentials => "correct app_id and secret, and see that the account is not frozen",
            AppStop::Ip => "add the address that the text names to the app's IP allow-list",
            AppStop::NotOpened => "have the promoter interface opened for this app",
            AppStop::Token => "see who else fetches tokens of this app, or what its token source says",
        }
    }
}

impl InterfaceHold {
    pub fn code(self) -> &'static str {
        match self {
            InterfaceHold::Quota => "interface_held_quota",
            InterfaceHold::TooFast => "interface_held_too_fast",
            InterfaceHold::RetryAfter => "interface_held_retry_after",
            InterfaceHold::Transport => "interface_held_transport",
            InterfaceHold::Stopped => "interface_held_stopped",
        }
    }

    fn action(self) -> &'static str {
        match self {
            InterfaceHold::Quota => {
                "wait for midnight in Beijing, raise the app's quota, or poll less often (every, idle_every)"
            }
            InterfaceHold::TooFast => "it goes on by itself; lower per_minute in [apps.quota] if it comes again",
            InterfaceHold::RetryAfter => "it goes on by itself, when the upstream asks for it",
            InterfaceHold::Transport => {
                "look at the way to the upstream: base_url, name service, firewall; or the upstream is down"
            }
            InterfaceHold::Stopped => "have this interface opened for the app",
        }
    }
}

fn of_feeds(app: &PolledApp, is_explained: bool) -> Vec<StatusCause> {
    // By the earlier of both clocks, up to which feeds are read: where they differ, that is a cause of its own.
    let now = app.client.now();
    let latest = app.reports.progress().latest;
    let of_feed = |feed: Feed| {
        let settings = app.feeds.polled[feed]?.settings;
        let figures = app.reports.freshness(feed, settings.idle_every, now);
        let late = (figures.late > 0 && !is_explained).then(|| late(app, feed, &figures, latest.as_ref(), now));
        Some([late, (figures.parked > 0).then(|| parked(app, feed, figures.parked))])
    };
    Feed::ALL.into_iter().filter_map(of_feed).flatten().flatten().collect()
}

fn late(
    app: &PolledApp,
    feed: Feed,
    FreshnessFigures { late, oldest, .. }: &FreshnessFigures,
    latest: Option<&Late>,
    now: UnixTime,
) -> StatusCause {
    let worst = latest.filter(|latest| latest.feed == feed).map(|latest| format!(", longest {}", latest.promoter));
    StatusCause {
        app: Some(app.app.as_str().to_owned()),
        text: format!("{feed} are read later than promised"),
        since: oldest.map(|oldest| oldest.min(now).to_string()),
        affects: format!("{}{}", counted(*late as u64, "promoter"), worst.unwrap_or_default()),
        ..StatusCause::new(
            LATE,
            Severity::Late,
            "see whether the budget is too small for all promoters (quota), or their polls fail (log: polls failed)",
        )
    }
}

fn parked(app: &PolledApp, feed: Feed, count: usize) -> StatusCause {
    StatusCause {
        app: Some(app.app.as_str().to_owned()),
        text: format!(
            "the upstream refuses the {feed} of these promoters for good: they may not have authorised the app"
        ),
        affects: counted(count as u64, "promoter"),
        ..StatusCause::new(PARKED, Severity::Note, PARKED_ACTION)
    }
}

fn ago(duration: Duration) -> String {
    clock::now().minus(duration).as_seconds().to_string()
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;
    use crate::model::feed::Interface;
    use crate::telemetry::health::{LogTrouble, WorkStanding};
    use crate::upstream::error::{Cause, OpenReason, StopReason};

    fn health() -> HealthSnapshot {
        HealthSnapshot {
            is_alive: true,
            silent_for: Some(Duration::ZERO),
            unanswered: None,
            standing: WorkStanding::Working,
            trouble: None,
            last_commit: None,
            waits_since: None,
        }
    }

    fn code(health: HealthSnapshot) -> Option<&'static str> {
        of_pipeline("polls", &health).map(|cause| cause.code)
    }

    #[test]
    fn of_a_pipeline_the_cause_is_told_that_explains_the_others() {
        let trouble = |next_try| Some(LogTrouble { since: UnixMillis(0), next_try, error: "refused".into() });
        let silent_for = Some(Duration::from_secs(61));
        let waits_since = Some(UnixMillis(0));
        assert_eq!(code(health()), None);
        assert_eq!(code(HealthSnapshot { waits_since: Some(clock::now()), ..health() }), None, "for a moment");
        assert_eq!(code(HealthSnapshot { waits_since, ..health() }), Some("not_committed"));
        assert_eq!(code(HealthSnapshot { waits_since, silent_for, ..health() }), Some("kafka_silent"));
        let unanswered = HealthSnapshot { unanswered: Some("timed out".to_owned()), ..health() };
        let severity = |health: &HealthSnapshot| of_pipeline("polls", health).map(|cause| cause.severity);
        assert_eq!(severity(&unanswered), Some(Severity::Late), "asked in vain, and not for long");
        assert_eq!(severity(&HealthSnapshot { silent_for, ..unanswered }), Some(Severity::Stopped));
        let soon = UnixMillis(clock::now().0 + 5000);
        let all = HealthSnapshot { waits_since, silent_for, trouble: trouble(soon), ..health() };
        let cause = of_pipeline("polls", &all).unwrap();
        assert_eq!((cause.code, cause.text.as_str()), ("log_not_open", "refused"));
        assert_eq!(cause.next_try, Some(soon.as_seconds().to_string()));
        let under_way = HealthSnapshot { trouble: trouble(UnixMillis(5000)), ..health() };
        assert_eq!(of_pipeline("polls", &under_way).unwrap().next_try, None);
    }

    #[test]
    fn a_breaker_is_told_with_the_upstreams_words_and_what_to_do() {
        let app = AppId::new("wx1").unwrap();
        let cause = Cause { errcode: Some(40164), text: "invalid ip 203.0.113.7 rid: x".into() };
        let reason = OpenReason::Stopped(StopReason::IpNotAllowed);
        let next_probe = Some(Instant::now() + Duration::from_secs(60));
        let open = OpenBreaker { interface: None, reason, cause, since: Instant::now(), next_probe };
        let told = of_breaker(&app, &open);
        assert_eq!((told.code, told.severity, told.errcode), ("app_stopped_ip", Severity::Stopped, Some(40164)));
        assert!(told.text.contains("203.0.113.7 rid") && told.action.contains("allow-list"), "{told:?}");
        assert!(told.next_try > told.since, "{told:?}");
        let open = OpenBreaker { interface: Some(Interface::GetOrder), reason: OpenReason::Unanswered, ..open };
        let told = of_breaker(&app, &open);
        assert_eq!((told.code, told.affects.as_str()), ("interface_held_transport", "getorder of app wx1"));
    }

    #[test]
    fn what_is_at_risk_is_a_cause_since_it_was_met() {
        let observed = ObservedConnector::for_tests();
        assert_eq!(causes(&observed), []);
        observed.polls.figures.lateness_used[Feed::Orders].add(0.9);
        let first = causes(&observed);
        let codes: Vec<_> = first.iter().map(|cause| (cause.code, cause.severity)).collect();
        assert_eq!(codes, [(LATENESS_NEARLY_USED, Severity::Note)]);
        assert!(first[0].since.is_some());
        assert_eq!(causes(&observed), first);
    }

    #[test]
    fn who_is_in_the_group_of_a_pipeline_and_is_no_instance_is_a_cause_of_it() {
        use crate::telemetry::health::foreign_members::{SeenMember, tests::foreign};

        let observed = ObservedConnector::for_tests();
        let member = foreign("rdkafka-1", &[7]);
        observed.polls.health.foreign_members.set(vec![SeenMember { member, since: UnixMillis(0) }]);
        let told = causes(&observed);
        let codes: Vec<_> = told.iter().map(|cause| (cause.code, cause.pipeline, cause.severity)).collect();
        assert_eq!(codes, [(FOREIGN_MEMBER, Some(pipeline::POLLS), Severity::Stopped)]);
        observed.polls.health.foreign_members.set(Vec::new());
        assert_eq!(causes(&observed), []);
    }

    #[test]
    fn each_code_is_told_apart() {
        let distinct: std::collections::BTreeSet<_> = codes().collect();
        assert_eq!(distinct.len(), codes().count());
    }
}
