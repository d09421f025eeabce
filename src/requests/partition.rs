//! One partition of the request topic: how far it is read, and what of it is answered, app by app.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use super::command::{Command, Place};
use super::progress::{Progress, ProgressRecord, position, strand_record, trail_records, window_record};
use super::strand::{self, StrandNumber, StrandRecord, WindowKey};
use super::trail::Trail;
use super::window::{Window, WindowRecord};
use crate::model::time::UnixMillis;

/// How long a look through what is parked is rested from, at least, and by how much more than it took: deadlines are
/// answered so much later at most, and a tenth of the time goes there at most.
const REST_MIN: Duration = Duration::from_secs(5);
const REST_FACTOR: u32 = 10;

pub struct Partition {
    number: i32,
    /// The offset that is read next.
    next: i64,
    strands: BTreeMap<StrandNumber, Strand>,
    /// Those that are not written as they are.
    unwritten: BTreeSet<StrandNumber>,
    /// Where there are requests without an answer.
    pub backlogs: BTreeMap<WindowKey, Backlog>,
    trail: Trail,
}

struct Strand {
    record: StrandRecord,
    /// No request behind it was ever one of the strand, as far as nothing waits.
    last: i64,
    /// The schema that is asked for, before which the strand can't be read on.
    asked: Option<i32>,
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
        let Progress { partition, next, windows, stale, strands, stale_strands, trail } = progress;
        let backlog = |window: WindowRecord| Backlog {
            window: Window::resume(&window),
            written: Some(window),
            ..Backlog::default()
        };
        let mut backlogs: BTreeMap<WindowKey, Backlog> =
            windows.into_iter().map(|(key, window)| (key, backlog(window))).collect();
        stale.into_iter().for_each(|key| backlogs.entry(key).or_default().is_stale = true);
        let strand = |record| Strand { record, last: next - 1, asked: None };
        let strands = strands.into_iter().map(|(number, record)| (number, strand(record))).collect();
        Partition { number: partition, next, strands, unwritten: stale_strands, backlogs, trail }
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

    /// Where the request at `offset` in the schema with this id belongs, if that is a strand.
    pub fn strand_of(&self, offset: i64, schema_id: Option<i32>) -> Option<StrandNumber> {
        let id = schema_id?;
        let number = strand::number(id);
        self.strands.get(&number).is_some_and(|strand| strand.record.holds(offset, id)).then_some(number)
    }

    /// Whether requests of the strand stand in the topic that nobody has looked at.
    pub fn is_behind(&self, number: StrandNumber) -> bool {
        self.strands.get(&number).is_some_and(|strand| strand.record.behind.is_some())
    }

    /// The strand has got the request at `offset`, which is none of those behind.
    pub fn extend(&mut self, number: StrandNumber, offset: i64) {
        if let Some(strand) = self.strands.get_mut(&number) {
            strand.last = strand.last.max(offset);
        }
    }

    /// The request that was just read waits for its schema. `own` is the id of the connector's own.
    pub fn put_off(&mut self, offset: i64, schema_id: i32, own: Option<i32>) {
        let number = strand::number(schema_id);
        let begun = || Strand { record: StrandRecord::begin(offset, own), last: offset, asked: None };
        self.strands.entry(number).or_insert_with(begun).record.put_off(offset, schema_id);
        self.unwritten.insert(number);
    }

    /// The strand can't be read on before this schema is known.
    pub fn ask(&mut self, number: StrandNumber, schema_id: i32) {
        if let Some(strand) = self.strands.get_mut(&number) {
            strand.asked = Some(schema_id);
        }
    }

    /// Strands that wait for none of the schemas that are still asked for can be read on.
    pub fn go_on(&mut self, still_asked: &BTreeSet<i32>) {
        for strand in self.strands.values_mut() {
            strand.asked = strand.asked.filter(|asked| still_asked.contains(asked));
        }
    }

    /// The strands that can be read on, and from where.
    pub fn readable_strands(&self) -> impl Iterator<Item = (StrandNumber, i64)> {
        let readable = self.strands.iter().filter(|(_, strand)| strand.asked.is_none());
        readable.filter_map(|(number, strand)| Some((*number, strand.record.behind?)))
    }

    /// The strand has been read to before `next`.
    pub fn read_strand_to(&mut self, number: StrandNumber, next: i64) {
        if let Some(strand) = self.strands.get_mut(&number) {
            strand.record.behind = Some(next).filter(|next| *next < self.next);
            strand.last = self.next - 1;
            self.unwritten.insert(number);
        }
    }

    /// Before which offset all requests of the strand, or of none, have been looked at.
    pub fn end_of(&self, strand: Option<StrandNumber>) -> i64 {
        let behind = strand.and_then(|number| self.strands.get(&number)?.record.behind);
        behind.unwrap_or(self.next)
    }

    pub fn window(&mut self, key: &WindowKey) -> Option<&mut Window> {
        self.backlogs.get_mut(key).map(|backlog| &mut backlog.window)
    }

    /// The window of an app that has one, or is known.
    pub fn window_for(&mut self, key: &WindowKey, is_known: bool) -> Option<&mut Window> {
        if is_known && !self.backlogs.contains_key(key) {
            self.backlogs.insert(key.clone(), Backlog::default());
        }
        self.window(key)
    }

    /// The offset of the first request without an answer.
    pub fn first(&self) -> i64 {
        self.first_but_of(None)
    }

    /// The same of those that are not in this strand.
    fn first_but_of(&self, but: Option<StrandNumber>) -> i64 {
        let is_other = |strand: Option<StrandNumber>| but.is_none() || strand != but;
        let others = self.backlogs.iter().filter(|(key, _)| is_other(key.strand));
        let windows = others.filter_map(|(_, backlog)| backlog.window.first());
        let strands = self.strands.iter().filter(|(number, _)| is_other(Some(**number)));
        windows.chain(strands.filter_map(|(_, strand)| strand.record.behind)).fold(self.next, i64::min)
    }

    /// Forgets the strands of which nothing waits, where none of their requests will be read again for anybody else.
    fn end_strands(&mut self) {
        let waits = |number| {
            let mut own = self.backlogs.iter().filter(|(key, _)| key.strand == Some(number));
            self.is_behind(number) || own.any(|(_, backlog)| backlog.window.first().is_some())
        };
        let has_ended = |(number, strand): &(&StrandNumber, &Strand)| {
            !waits(**number) && strand.last < self.first_but_of(Some(**number))
        };
        let ended: Vec<StrandNumber> = self.strands.iter().filter(has_ended).map(|(number, _)| *number).collect();
        for number in ended {
            self.strands.remove(&number);
            self.unwritten.insert(number);
        }
    }

    /// What has changed since it was written last. Whatever is answered now must be written with it.
    pub fn take_records(&mut self) -> Vec<ProgressRecord> {
        self.end_strands();
        let mut records = vec![position(self.number, self.next)];
        for number in std::mem::take(&mut self.unwritten) {
            let strand = self.strands.get(&number).map(|strand| &strand.record);
            records.push(strand_record(self.number, number, strand));
        }
        for (key, backlog) in &mut self.backlogs {
            let window = backlog.window.record();
            if std::mem::take(&mut backlog.is_stale) || window != backlog.written {
                records.push(window_record(self.number, key, window.as_ref()));
                backlog.written = window;
            }
        }
        self.backlogs.retain(|_, backlog| backlog.written.is_some());
        records.extend(trail_records(self.number, &mut self.trail));
        records
    }
}
