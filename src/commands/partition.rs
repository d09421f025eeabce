//! One partition of the request topic: how far it is read, and what of it is answered, app by app.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use super::command::{Command, Place};
use super::progress::{Progress, ProgressRecord, trail_records, window_record};
use super::trail::Trail;
use super::window::{Window, WindowRecord};
use crate::domain::time::UnixMillis;

/// How long a look through what is parked is rested from, at least, and by how much more than it took: deadlines are
/// answered so much later at most, and a tenth of the time goes there at most.
const REST_MIN: Duration = Duration::from_secs(5);
const REST_FACTOR: u32 = 10;

pub struct Partition {
    number: i32,
    /// The offset that is read next.
    next: i64,
    /// Before it, and not yet known what they are.
    unread: BTreeSet<i64>,
    /// By app, where it has requests without an answer.
    pub apps: BTreeMap<String, Backlog>,
    trail: Trail,
}

/// What of one app waits in one partition.
#[derive(Default)]
pub struct Backlog {
    pub window: Window,
    /// A look through the parked requests for deadlines that have passed.
    pub sweep: Option<Sweep>,
    /// No other one begins before.
    pub rests_until: Option<Instant>,
    /// What was read again last was for a sweep.
    pub swept_last: bool,
    /// As it was written last.
    written: Option<WindowRecord>,
    /// What was written is of another log.
    is_stale: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sweep {
    pub time: UnixMillis,
    pub next: i64,
    pub to: i64,
    pub began: Instant,
}

impl Backlog {
    /// The sweep has come to `next`.
    pub fn swept(&mut self, next: i64, now: Instant) {
        let Some(sweep) = &mut self.sweep else { return };
        sweep.next = next;
        if sweep.next >= sweep.to {
            self.end_sweep(now);
        }
    }

    /// Ends the sweep where it is.
    pub fn end_sweep(&mut self, now: Instant) {
        if let Some(sweep) = self.sweep.take() {
            self.rests_until = Some(now + REST_MIN.max(REST_FACTOR * (now - sweep.began)));
        }
    }

    /// Begins one, where a deadline may have passed.
    pub fn begin_sweep(&mut self, time: UnixMillis, now: Instant, end: i64) {
        let rests = self.rests_until.is_some_and(|until| until > now);
        let Some(next) = self.window.parked_from() else { return };
        if self.sweep.is_none() && !rests && self.window.may_have_expired(time) {
            self.window.forget_deadlines();
            self.sweep = Some(Sweep { time, next, to: end, began: now });
        }
    }
}

impl Partition {
    pub fn resume(progress: Progress) -> Partition {
        let Progress { partition, next, unread, windows, stale, trail } = progress;
        let backlog = |window: WindowRecord| Backlog {
            window: Window::resume(&window),
            written: Some(window),
            ..Backlog::default()
        };
        let mut apps: BTreeMap<String, Backlog> =
            windows.into_iter().map(|(app, window)| (app, backlog(window))).collect();
        stale.into_iter().for_each(|app| apps.entry(app).or_default().is_stale = true);
        Partition { number: partition, next, unread, apps, trail }
    }

    /// The offset that is read next.
    pub fn next(&self) -> i64 {
        self.next
    }

    /// Whether the record is new; then it counts as read from now on.
    pub fn read(&mut self, command: &Command) -> bool {
        let Place { offset, .. } = command.place;
        let is_new = offset >= self.next;
        if is_new {
            self.next = offset.saturating_add(1);
            self.trail.mark(offset, command.fingerprint());
        }
        is_new
    }

    pub fn unread(&self) -> &BTreeSet<i64> {
        &self.unread
    }

    /// It is not known yet what the record is.
    pub fn put_off(&mut self, offset: i64) {
        self.unread.insert(offset);
    }

    /// It is known what it is, and answered: a request of `app`, or none.
    pub fn answer_unread(&mut self, offset: i64, app: Option<&str>) {
        self.unread.remove(&offset);
        // Where the app's requests are read again, this one is met.
        match app {
            Some(app) => self.window(app).into_iter().for_each(|window| window.note(offset)),
            // Its schema may be known by then, and it must be nobody's request. No window is overfilled for that.
            None => self.apps.values_mut().for_each(|backlog| {
                backlog.window.answer_at_once(offset);
            }),
        }
    }

    pub fn window(&mut self, app: &str) -> Option<&mut Window> {
        self.apps.get_mut(app).map(|backlog| &mut backlog.window)
    }

    /// The window of an app that has one, or is known.
    pub fn window_for(&mut self, app: &str, is_known: bool) -> Option<&mut Window> {
        if is_known && !self.apps.contains_key(app) {
            self.apps.insert(app.to_owned(), Backlog::default());
        }
        self.window(app)
    }

    /// The offset of the first request without an answer.
    pub fn first(&self) -> i64 {
        let windows = self.apps.values().filter_map(|backlog| backlog.window.first());
        windows.chain(self.unread.first().copied()).fold(self.next, i64::min)
    }

    /// What has changed since it was written last. Whatever is answered now must be written with it.
    pub fn take_records(&mut self) -> Vec<ProgressRecord> {
        let mut records = vec![super::progress::position(self.number, self.next, &self.unread)];
        for (app, backlog) in &mut self.apps {
            let window = backlog.window.record();
            if std::mem::take(&mut backlog.is_stale) || window != backlog.written {
                records.push(window_record(self.number, app, window.as_ref()));
                backlog.written = window;
            }
        }
        self.apps.retain(|_, backlog| backlog.written.is_some());
        records.extend(trail_records(self.number, &mut self.trail));
        records
    }
}
