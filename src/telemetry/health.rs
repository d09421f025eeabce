//! How a pipeline is, as it says itself: what probes, metrics and the status page tell of it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use self::foreign_members::ForeignMembers;
use self::hold_ups::RegistryHoldUps;
use super::buckets::{BucketCounts, QUICK};
use crate::clock;
use crate::model::time::UnixMillis;

pub use outcomes::{PerSessionEnd, PerTransactionOutcome, SessionEnd, TransactionOutcome};

pub mod foreign_members;

pub mod hold_ups;

mod outcomes;

/// A pipeline says at least this often that it is alive.
pub const HEARTBEAT_EVERY: Duration = Duration::from_secs(20);
/// One that has not said so for this long hangs: far longer than anything it may do without waiting.
pub const HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(60);
/// What a session could not commit is met again by the next one within this time, or by another instance.
const MET_AGAIN_WITHIN: Duration = Duration::from_secs(60);
/// Brokers that have not answered for this long are silent.
pub const SILENCE_MAX: Duration = Duration::from_secs(60);

/// Of one pipeline, over all its sessions: written where something happens, read by whoever asks. Lives as long as the
/// process.
#[derive(Debug)]
pub struct PipelineHealth {
    state: Mutex<HealthState>,
    /// Since the process began.
    pub transactions: PerTransactionOutcome<AtomicU64>,
    pub transaction_durations: BucketCounts,
    /// Since the process began.
    pub sessions: PerSessionEnd<AtomicU64>,
    /// Of the polls: what of the registry can't be read on now.
    pub registry: RegistryHoldUps,
    /// Who else is in its group.
    pub foreign_members: ForeignMembers,
}

#[derive(Debug)]
struct HealthState {
    heartbeat: Instant,
    /// The same of whoever writes; nothing while no session runs.
    writer_heartbeat: Option<Instant>,
    answered: Option<Instant>,
    unanswered: Option<String>,
    standing: WorkStanding,
    trouble: Option<LogTrouble>,
    last_commit: Option<UnixMillis>,
    waits_since: Option<UnixMillis>,
    /// Since when there has been nothing to commit in this session.
    idle_since: Option<Instant>,
}

/// How far a pipeline has come. It never goes back: what happens later is no matter of its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WorkStanding {
    /// It has not worked yet.
    #[default]
    Starting,
    /// It is a member of its group, which has given it nothing so far.
    Standby,
    /// What it was given first is restored.
    Working,
}

/// Why the log is not open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogTrouble {
    /// When it failed first.
    pub since: UnixMillis,
    /// When it is opened again.
    pub next_try: UnixMillis,
    /// How it failed last.
    pub error: String,
}

/// The health of a pipeline at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthSnapshot {
    pub is_alive: bool,
    /// How long ago the brokers answered it last; nothing where they never did.
    pub silent_for: Option<Duration>,
    /// Why they have not answered since.
    pub unanswered: Option<String>,
    pub standing: WorkStanding,
    pub trouble: Option<LogTrouble>,
    pub last_commit: Option<UnixMillis>,
    /// Since when there is something to commit and nothing was; nothing where nothing waits.
    pub waits_since: Option<UnixMillis>,
}

impl Default for PipelineHealth {
    fn default() -> PipelineHealth {
        let state = HealthState {
            heartbeat: Instant::now(),
            writer_heartbeat: None,
            answered: None,
            unanswered: None,
            standing: WorkStanding::default(),
            trouble: None,
            last_commit: None,
            waits_since: None,
            idle_since: None,
        };
        PipelineHealth {
            state: Mutex::new(state),
            transactions: PerTransactionOutcome::new(|_| AtomicU64::default()),
            transaction_durations: BucketCounts::new(QUICK),
            sessions: PerSessionEnd::new(|_| AtomicU64::default()),
            registry: RegistryHoldUps::default(),
            foreign_members: ForeignMembers::default(),
        }
    }
}

impl PipelineHealth {
    /// It is alive; to be said each [`HEARTBEAT_EVERY`].
    pub fn heartbeat(&self) {
        self.state.lock().heartbeat = Instant::now();
    }

    /// The brokers have answered anything at all.
    pub fn answered(&self) {
        self.state.lock().note_answer();
    }

    /// The brokers were asked and have not answered.
    pub fn unanswered(&self, error: String) {
        self.state.lock().unanswered = Some(error);
    }

    /// A transaction has ended, which took so long. What was written is durable where it is committed.
    pub fn transaction(&self, outcome: TransactionOutcome, took: Duration) {
        self.transactions[outcome].fetch_add(1, Ordering::Relaxed);
        self.transaction_durations.add_duration(took);
        if outcome == TransactionOutcome::Committed {
            let mut state = self.state.lock();
            state.note_answer();
            (state.last_commit, state.waits_since, state.idle_since) = (Some(clock::now()), None, None);
        }
    }

    /// Whether there is anything to commit. Whoever writes says so in each round of its loop, at least each [`HEARTBEAT_EVERY`].
    pub fn work_waits(&self, waits: bool) {
        let mut state = self.state.lock();
        let now = Instant::now();
        state.writer_heartbeat = Some(now);
        if waits {
            state.waits_since.get_or_insert_with(clock::now);
            state.idle_since = None;
        } else if now - *state.idle_since.get_or_insert(now) >= MET_AGAIN_WITHIN {
            state.waits_since = None;
        }
    }

    /// A session has ended, or did not begin. What one could not commit waits on: a broker that takes nothing ends one session after
    /// the other, each of them sooner than an operator is called.
    pub fn session_ended(&self, end: SessionEnd) {
        self.sessions[end].fetch_add(1, Ordering::Relaxed);
        let mut state = self.state.lock();
        (state.writer_heartbeat, state.idle_since) = (None, None);
        if matches!(end, SessionEnd::Stopped | SessionEnd::Revoked) {
            state.waits_since = None;
        }
    }

    /// It is a member of its group, and owns nothing.
    pub fn stands_by(&self) {
        let mut state = self.state.lock();
        state.trouble = None;
        if state.standing == WorkStanding::Starting {
            state.standing = WorkStanding::Standby;
        }
    }

    /// The log is open.
    pub fn opened(&self) {
        self.state.lock().trouble = None;
    }

    /// What it was given is restored: it works.
    pub fn works(&self) {
        self.state.lock().standing = WorkStanding::Working;
    }

    /// The log can't be opened, or has to be opened again, which is done after `pause`.
    pub fn troubled(&self, error: String, pause: Duration) {
        let now = clock::now();
        let next_try = clock::unix_millis(clock::system_time() + pause);
        let mut state = self.state.lock();
        let since = state.trouble.as_ref().map_or(now, |trouble| trouble.since);
        state.trouble = Some(LogTrouble { since, next_try, error });
    }

    pub fn snapshot(&self) -> HealthSnapshot {
        let HealthState {
            heartbeat,
            writer_heartbeat,
            answered,
            unanswered,
            standing,
            trouble,
            last_commit,
            waits_since,
            idle_since: _,
        } = &*self.state.lock();
        HealthSnapshot {
            is_alive: [Some(*heartbeat), *writer_heartbeat]
                .into_iter()
                .flatten()
                .all(|latest| latest.elapsed() < HEARTBEAT_TIMEOUT),
            silent_for: answered.map(|answered| answered.elapsed()),
            unanswered: unanswered.clone(),
            standing: *standing,
            trouble: trouble.clone(),
            last_commit: *last_commit,
            waits_since: *waits_since,
        }
    }
}

impl HealthState {
    fn note_answer(&mut self) {
        (self.answered, self.unanswered) = (Some(Instant::now()), None);
    }
}

impl HealthSnapshot {
    /// Whether the brokers have answered lately.
    pub fn is_answered(&self) -> bool {
        self.silent_for.is_some_and(|silence| silence < SILENCE_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn brokers_are_silent_a_minute_after_their_last_answer_and_a_loop_hangs_that_has_no_heartbeat_for_one() {
        let health = PipelineHealth::default();
        assert!(!health.snapshot().is_answered(), "they never answered");
        health.answered();
        tokio::time::advance(Duration::from_secs(59)).await;
        let before = health.snapshot();
        assert!(before.is_answered() && before.is_alive);
        tokio::time::advance(Duration::from_secs(1)).await;
        let after = health.snapshot();
        assert!(!after.is_answered() && !after.is_alive);
        health.transaction(TransactionOutcome::Committed, Duration::ZERO);
        health.heartbeat();
        let again = health.snapshot();
        assert!(again.is_answered() && again.is_alive && again.last_commit.is_some());
        health.work_waits(false);
        tokio::time::advance(HEARTBEAT_TIMEOUT).await;
        health.heartbeat();
        assert!(!health.snapshot().is_alive, "who writes hangs");
        health.session_ended(SessionEnd::Reopened);
        assert!(health.snapshot().is_alive, "nobody writes");
    }

    #[tokio::test(start_paused = true)]
    async fn work_waits_since_it_came_or_since_the_last_commit() {
        let health = PipelineHealth::default();
        let waits_since = || health.snapshot().waits_since;
        health.work_waits(true);
        let since = waits_since();
        assert!(since.is_some());
        health.transaction(TransactionOutcome::Aborted, Duration::ZERO);
        health.work_waits(true);
        assert_eq!(waits_since(), since);
        health.transaction(TransactionOutcome::Committed, Duration::ZERO);
        assert_eq!(waits_since(), None, "what is left has not waited yet");
        health.work_waits(true);
        health.session_ended(SessionEnd::Revoked);
        assert_eq!(waits_since(), None, "it is another's");
    }

    #[tokio::test(start_paused = true)]
    async fn what_one_session_after_the_other_can_not_commit_waits_since_it_came() {
        let health = PipelineHealth::default();
        let waits_since = || health.snapshot().waits_since;
        health.work_waits(true);
        let since = waits_since();
        for end in [SessionEnd::Reopened, SessionEnd::NotOpened, SessionEnd::Failed] {
            health.session_ended(end);
            // The next one has not met it yet.
            health.work_waits(false);
            tokio::time::advance(MET_AGAIN_WITHIN / 2).await;
            health.work_waits(false);
            assert_eq!((since.is_some(), waits_since()), (true, since));
            health.work_waits(true);
        }
        health.session_ended(SessionEnd::Reopened);
        health.work_waits(false);
        tokio::time::advance(MET_AGAIN_WITHIN).await;
        health.work_waits(false);
        assert_eq!(waits_since(), None, "nobody meets it again");
    }

    #[test]
    fn who_has_worked_once_is_not_starting_any_more() {
        let health = PipelineHealth::default();
        let standing = || health.snapshot().standing;
        assert_eq!(standing(), WorkStanding::Starting);
        health.stands_by();
        assert_eq!(standing(), WorkStanding::Standby);
        health.works();
        health.stands_by();
        assert_eq!(standing(), WorkStanding::Working);
    }

    #[test]
    fn trouble_is_told_since_it_began_with_its_latest_words_until_it_is_over() {
        let health = PipelineHealth::default();
        health.troubled("refused".into(), Duration::ZERO);
        let first = health.snapshot().trouble.unwrap();
        health.troubled("late".into(), Duration::from_secs(9));
        let then = health.snapshot().trouble.unwrap();
        assert_eq!((then.since, then.error.as_str()), (first.since, "late"));
        assert!(then.next_try.0 >= then.since.0 + 9000);
        health.opened();
        assert_eq!(health.snapshot().trouble, None);
    }
}
