//! Shards on their way into a session: what is read of those that were assigned together, and what is tried again.
//!
//! Each is given out as soon as it is whole. One that fails in a way that may pass waits for the others of its restore, and is
//! then asked for again after a while, as often as need be; nothing that runs hears of it.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::StreamExt;
use tokio::time::{Instant, Sleep};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::commit::log::{LogError, OpenError, RestoredShard, Restores, ShardOwnership};
use crate::commit::queue::FenceSender;
use crate::model::duration::milliseconds;
use crate::model::shard::{AssignedShard, Shard};
use crate::retry::{Attempts, NextAttempt, PATIENCE, RetrySettings};
use crate::telemetry::pipeline;

/// The pauses between attempts. A process has few restores at once, so they need no jitter.
const RESTORE_PATIENCE: RetrySettings = RetrySettings { jitter: 0.0, ..PATIENCE };

/// All restores of a session.
#[derive(Default)]
pub(super) struct ShardRestores(Vec<ShardRestore>);

/// Of shards that were assigned together.
struct ShardRestore {
    /// Those that are not whole yet.
    shards: Vec<AssignedShard>,
    /// Why some of them have failed in this attempt.
    failed: Option<LogError>,
    attempts: Attempts,
    began: Instant,
    opened: usize,
    remembered: usize,
    stage: Stage,
}

enum Stage {
    Reading(RestoreAttempt),
    /// For the next attempt.
    Waiting(Pin<Box<Sleep>>),
}

/// One attempt.
pub(super) struct RestoreAttempt {
    restores: Restores,
    /// Whatever drops it gives the attempt up: no end of a session waits for one.
    _given_up: DropGuard,
}

/// Shards that may be polled.
pub(super) type WholeShards = Vec<(AssignedShard, RestoredShard)>;

pub(super) enum RestoreEvent {
    /// Shards are whole, which [`ShardRestores::opened`] is to be told.
    Whole(WholeShards),
    /// It is time for another attempt: [`ShardRestores::begin_due`].
    Due,
    /// For good.
    Failed(OpenError),
}

/// How far a restore has come.
pub(super) struct RestoreProgress {
    pub opened: usize,
    pub left: usize,
    /// Facts that are remembered of the opened ones.
    pub remembered: usize,
    pub began: Instant,
}

impl RestoreProgress {
    /// Says that shards are polled from now on.
    pub fn say(&self) {
        let RestoreProgress { opened: shards, left, remembered, began } = *self;
        let milliseconds = milliseconds(began.elapsed());
        match left {
            0 => tracing::info!(
                pipeline = pipeline::POLLS,
                shards,
                milliseconds,
                remembered,
                "log is open, polling begins"
            ),
            _ => tracing::info!(
                pipeline = pipeline::POLLS,
                shards,
                left,
                milliseconds,
                "shards are polled, others are being restored"
            ),
        }
    }
}

impl RestoreAttempt {
    pub fn begin(ownership: &dyn ShardOwnership, shards: Vec<AssignedShard>, fences: FenceSender) -> RestoreAttempt {
        let given_up = CancellationToken::new();
        let restores = ownership.restore(shards, fences, given_up.clone());
        RestoreAttempt { restores, _given_up: given_up.drop_guard() }
    }
}

impl ShardRestores {
    /// `begin` begins an attempt.
    pub fn begin(&mut self, shards: Vec<AssignedShard>, begin: impl Fn(Vec<AssignedShard>) -> RestoreAttempt) {
        let stage = Stage::Reading(begin(shards.clone()));
        self.0.push(ShardRestore {
            shards,
            failed: None,
            attempts: Attempts::new(&RESTORE_PATIENCE),
            began: Instant::now(),
            opened: 0,
            remembered: 0,
            stage,
        });
    }

    /// How many shards are not whole yet.
    pub fn shards(&self) -> usize {
        self.0.iter().map(|restore| restore.shards.len()).sum()
    }

    /// Whether the shard is among them.
    pub fn has(&self, shard: Shard) -> bool {
        self.0.iter().any(|restore| restore.shards.iter().any(|assigned| assigned.shard == shard))
    }

    /// What happens next, waiting for it if need be; for ever while nothing is restored. May be dropped and called again.
    pub async fn next(&mut self) -> RestoreEvent {
        poll_fn(|context| {
            // Those behind the first one that is ready are not polled in this round, and lose nothing by it: they are in the
            // next.
            let next = self.0.iter_mut().map(|restore| restore.poll(context)).find(Poll::is_ready);
            next.unwrap_or(Poll::Pending)
        })
        .await
    }

    /// Begins the attempts that are due.
    pub fn begin_due(&mut self, begin: impl Fn(Vec<AssignedShard>) -> RestoreAttempt) {
        let now = Instant::now();
        for ShardRestore { shards, stage, .. } in &mut self.0 {
            if matches!(stage, Stage::Waiting(until) if until.deadline() <= now) {
                *stage = Stage::Reading(begin(shards.clone()));
            }
        }
    }

    /// Gives up what is read of `revoked`; what was read with that begins anew.
    pub fn give_up(&mut self, revoked: &[AssignedShard], begin: impl Fn(Vec<AssignedShard>) -> RestoreAttempt) {
        let is_revoked = |assigned: &AssignedShard| revoked.contains(assigned);
        for mut restore in std::mem::take(&mut self.0) {
            if restore.shards.iter().any(is_revoked) {
                restore.shards.retain(|assigned| !is_revoked(assigned));
                // It may be that of a shard that has gone.
                restore.failed = None;
                if restore.shards.is_empty() {
                    continue;
                }
                if let Stage::Reading(reading) = restore.stage {
                    // The old one first: the same shards can't be read twice at once.
                    drop(reading);
                    restore.stage = Stage::Reading(begin(restore.shards.clone()));
                }
            }
            self.0.push(restore);
        }
    }

    /// Shards of one restore are polled from now on. Tells how far that one has come.
    pub fn opened(&mut self, shards: &[AssignedShard], remembered: usize) -> Option<RestoreProgress> {
        let first = shards.first()?;
        let at = self.0.iter().position(|restore| restore.shards.contains(first))?;
        let restore = &mut self.0[at];
        restore.shards.retain(|assigned| !shards.contains(assigned));
        restore.opened += shards.len();
        restore.remembered += remembered;
        let ShardRestore { opened, remembered, began, .. } = *restore;
        let left = restore.shards.len();
        if left == 0 {
            self.0.swap_remove(at);
        }
        Some(RestoreProgress { opened, left, remembered, began })
    }
}

impl ShardRestore {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<RestoreEvent> {
        let mut whole = WholeShards::new();
        while let Stage::Reading(reading) = &mut self.stage {
            match reading.restores.poll_next_unpin(context) {
                Poll::Ready(Some((assigned, Ok(restored)))) => whole.push((assigned, restored)),
                Poll::Ready(Some((_, Err(OpenError::Again(reason))))) => self.failed = Some(reason),
                // The session ends with it, so what is whole already need not be given out: the next one reads it again.
                Poll::Ready(Some((_, Err(error)))) => return Poll::Ready(RestoreEvent::Failed(error)),
                Poll::Pending => break,
                // Those that are whole are opened first: what is left then has failed.
                Poll::Ready(None) if !whole.is_empty() => break,
                Poll::Ready(None) => match self.failed.take() {
                    Some(reason) => self.stage = Stage::Waiting(Box::pin(tokio::time::sleep(self.pause(&reason)))),
                    // All were given out; this one goes when they are said to be opened.
                    None => break,
                },
            }
        }
        // All at once that are there: each opening costs the committer and every app a message.
        if !whole.is_empty() {
            return Poll::Ready(RestoreEvent::Whole(whole));
        }
        match &mut self.stage {
            Stage::Waiting(until) => until.as_mut().poll(context).map(|()| RestoreEvent::Due),
            Stage::Reading(_) => Poll::Pending,
        }
    }

    /// Before the next attempt.
    fn pause(&mut self, reason: &LogError) -> Duration {
        let pause = match self.attempts.failed(None) {
            NextAttempt::RetryAfter(pause) => pause,
            NextAttempt::DelayTooLong(_) | NextAttempt::GiveUp => RESTORE_PATIENCE.max,
        };
        let (attempt, retry_in_ms) = (self.attempts.made(), milliseconds(pause));
        let (shards, error) = (self.shards.len(), reason.with_causes());
        tracing::warn!(
            pipeline = pipeline::POLLS,
            shards,
            attempt,
            retry_in_ms,
            error,
            "shards can't be restored now, and are tried again"
        );
        pause
    }
}
