//! Polls the promoters of one app: takes what is due, bounds what is under way, and reacts to how polls end.
//!
//! Each app has a scheduler of its own, so what holds one app up (a slow host, wrong credentials, a quota) never
//! takes a place that another app waits for.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::gate::Gate;
use super::poller::{Job, PollError, poll};
use super::reports::Reports;
use super::schedule::Schedule;
use crate::commit::queue::IntakeSender;
use crate::domain::feed::{Feed, Interface};
use crate::domain::promoter::{AppId, Promoter};
use crate::domain::time::{Day, UnixTime};
use crate::domain::turns::{Pulled, Rules, Turns};
use crate::poll::pages::PagesFault;
use crate::wechat::client::Client;
use crate::wechat::error::{CallError, Hold};
use crate::wechat::transport::Transport;

/// After this many polls in a row whose token came back the same after its rejection, the app's credentials count as
/// wrong.
const TOKEN_REJECTIONS_MAX: u32 = 3;

/// How long what fails is left alone.
#[derive(Clone, Copy, Debug)]
pub struct Pauses {
    /// A promoter with a permanent error.
    pub parked: Duration,
    /// An app with wrong credentials, or an interface without quota.
    pub stopped: Duration,
}

/// One feed of one promoter, with its cursor.
#[derive(Debug)]
pub struct PolledFeed {
    pub promoter: Promoter,
    pub feed: Feed,
    pub rules: Rules,
    /// For orders, where nothing polls refunds: their lateness in seconds.
    pub refunds_lateness: Option<i64>,
    pub turns: Turns,
}

pub struct Scheduler<T> {
    app: AppId,
    client: Arc<Client<T>>,
    queue: IntakeSender,
    cancel: CancellationToken,
    pauses: Pauses,
    polls_max: usize,
    feeds: Vec<PolledFeed>,
    parked: Vec<bool>,
    schedule: Schedule<usize>,
    polls: JoinSet<(usize, Result<Pulled, PollError>)>,
    app_gate: Gate,
    interface_gates: [Gate; Interface::ALL.len()],
    token_rejections: u32,
    reports: Reports,
    began: Instant,
}

impl<T: Transport> Scheduler<T> {
    /// Every feed is due at once; the budgets spread the calls.
    pub fn new(
        app: AppId,
        client: Arc<Client<T>>,
        feeds: Vec<PolledFeed>,
        polls_max: usize,
        pauses: Pauses,
        queue: IntakeSender,
        cancel: CancellationToken,
    ) -> Scheduler<T> {
        let mut schedule = Schedule::new();
        for index in 0..feeds.len() {
            schedule.put(index, Duration::ZERO);
        }
        Scheduler {
            reports: Reports::new(app.clone()),
            app,
            client,
            queue,
            cancel,
            pauses,
            polls_max,
            parked: vec![false; feeds.len()],
            feeds,
            schedule,
            polls: JoinSet::new(),
            app_gate: Gate::default(),
            interface_gates: Default::default(),
            token_rejections: 0,
            began: Instant::now(),
        }
    }

    /// Runs until cancelled; polls under way then end at their next wait.
    pub async fn run(mut self) {
        let cancel = self.cancel.clone();
        loop {
            self.start_due_polls();
            let has_room = self.polls.len() < self.polls_max;
            tokio::select! {
                biased;
                () = cancel.cancelled() => break,
                Some(ended) = self.polls.join_next() => match ended {
                    Ok((index, result)) => self.end_poll(index, result),
                    // A panic has been reported by the panic hook. The feed it belonged to is not known any more, so
                    // the session starts again with all of them.
                    Err(error) => {
                        tracing::error!(app = %self.app, %error, "a poll died");
                        break;
                    }
                },
                () = until(self.began, self.schedule.next_due()), if has_room => {}
            }
        }
        cancel.cancel();
        while self.polls.join_next().await.is_some() {}
    }

    fn start_due_polls(&mut self) {
        while self.polls.len() < self.polls_max {
            let clock = self.began.elapsed();
            let Some(index) = self.schedule.take_due(clock) else { return };
            let interface = self.feeds[index].feed.interface() as usize;
            let waits = self.app_gate.waits_until(clock).max(self.interface_gates[interface].waits_until(clock));
            if let Some(until) = waits {
                self.schedule.put(index, until);
                continue;
            }
            self.app_gate.pass();
            self.interface_gates[interface].pass();
            self.start_poll(index);
        }
    }

    fn start_poll(&mut self, index: usize) {
        let feed = &self.feeds[index];
        let job = Job {
            promoter: feed.promoter.clone(),
            scope: feed.turns.scope(feed.feed, feed.rules, self.client.now()),
            cursor: feed.turns.cursor,
            lateness: feed.rules.lateness,
            refunds_lateness: feed.refunds_lateness,
        };
        let (client, queue, cancel) = (self.client.clone(), self.queue.clone(), self.cancel.clone());
        self.polls.spawn(async move {
            let result = poll(&client, &job, &queue, &cancel).await;
            (index, result)
        });
    }

    fn end_poll(&mut self, index: usize, result: Result<Pulled, PollError>) {
        let clock = self.began.elapsed();
        match result {
            Ok(pulled) => {
                self.answered(index);
                if std::mem::take(&mut self.parked[index]) {
                    tracing::info!(promoter = %self.feeds[index].promoter, "promoter answers again");
                }
                let feed = &mut self.feeds[index];
                let due = feed.turns.after(pulled, feed.rules, clock);
                self.schedule.put(index, due);
            }
            Err(PollError::Closed(_) | PollError::Call(CallError::Cancelled)) => {}
            Err(PollError::Pages(fault)) => {
                self.answered(index);
                if fault == PagesFault::WithoutEnd {
                    self.feeds[index].turns.ask_for_less();
                }
                self.fail(index, clock, "pages", &fault);
            }
            Err(PollError::Call(error)) => self.end_call(index, clock, &error),
        }
    }

    fn end_call(&mut self, index: usize, clock: Duration, error: &CallError) {
        match error {
            CallError::ParkPromoter(_) => {
                self.answered(index);
                if !std::mem::replace(&mut self.parked[index], true) {
                    self.report(index, "parked", error);
                }
                self.schedule.put(index, clock + self.pauses.parked);
            }
            CallError::StopApp { .. } => self.stop_app(index, clock, error),
            CallError::HoldInterface { hold, .. } => self.hold_interface(index, clock, hold, error),
            CallError::TokenRejectedAgain(_) => {
                self.token_rejections += 1;
                if self.token_rejections >= TOKEN_REJECTIONS_MAX {
                    self.stop_app(index, clock, error);
                } else {
                    self.undecided(index, clock);
                    self.fail(index, clock, "token", error);
                }
            }
            CallError::Exhausted { .. } => {
                self.undecided(index, clock);
                self.fail(index, clock, "exhausted", error);
            }
            CallError::RefuseRequest(_) | CallError::TryLater(_) | CallError::Unforeseen(_) => {
                self.answered(index);
                self.fail(index, clock, "refused", error);
            }
            CallError::ClientFault(_) | CallError::Unreadable(_) => {
                self.answered(index);
                self.fail(index, clock, "unreadable", error);
            }
            CallError::Cancelled => {}
        }
    }

    /// Any answer that is not about the app or the interface tells that both are served.
    fn answered(&mut self, index: usize) {
        self.token_rejections = 0;
        if self.app_gate.open() {
            tracing::info!(app = %self.app, "app is served again");
        }
        let interface = self.feeds[index].feed.interface();
        if self.interface_gates[interface as usize].open() {
            tracing::info!(app = %self.app, %interface, "interface is served again");
        }
    }

    /// The poll told nothing about the gates: if it was their probe, another one may go.
    fn undecided(&mut self, index: usize, clock: Duration) {
        let again = clock + self.feeds[index].turns.interval();
        self.app_gate.probe_again(again);
        self.interface_gates[self.feeds[index].feed.interface() as usize].probe_again(again);
    }

    fn stop_app(&mut self, index: usize, clock: Duration, error: &CallError) {
        self.undecided(index, clock);
        if self.app_gate.close(clock + self.pauses.stopped) {
            tracing::error!(app = %self.app, %error, "app is stopped and probed from time to time");
        }
        self.schedule.put(index, clock);
    }

    fn hold_interface(&mut self, index: usize, clock: Duration, hold: &Hold, error: &CallError) {
        let pause = match hold {
            Hold::TooFast(delay) | Hold::RetryAfter(delay) => *delay,
            // The quota may be raised at any time, so it is tried before the day ends, too.
            Hold::QuotaSpent => {
                let midnight = Day::in_beijing(self.client.now()).beijing_end();
                self.until_wall_clock(midnight).min(self.pauses.stopped)
            }
            Hold::DailyBudget { until } => self.until_wall_clock(*until),
        };
        let interface = self.feeds[index].feed.interface();
        if self.interface_gates[interface as usize].close(clock + pause) {
            tracing::warn!(app = %self.app, %interface, seconds = pause.as_secs(), %error, "interface is held");
        }
        // It was not the app that refused.
        self.app_gate.open();
        self.schedule.put(index, clock);
    }

    fn until_wall_clock(&self, until: UnixTime) -> Duration {
        // At least a second, or a clock that is behind would make it a busy loop.
        Duration::from_secs(until.0.saturating_sub(self.client.now().0).max(1).cast_unsigned())
    }

    fn fail(&mut self, index: usize, clock: Duration, kind: &'static str, error: &dyn std::fmt::Display) {
        self.report(index, kind, error);
        let due = self.feeds[index].turns.after_failure(clock);
        self.schedule.put(index, due);
    }

    fn report(&mut self, index: usize, kind: &'static str, error: &dyn std::fmt::Display) {
        let feed = &self.feeds[index];
        self.reports.failure(kind, &feed.promoter, feed.feed, error);
    }
}

/// Until something is due; for ever when nothing is.
async fn until(began: Instant, due: Option<Duration>) {
    match due {
        Some(due) => tokio::time::sleep_until(began + due).await,
        None => std::future::pending().await,
    }
}
