//! A fleet, as the broker and its instances see it.

use std::collections::{BTreeMap, BTreeSet};

use super::step::Step;
use promoter_connector::model::shard::OwnedShards;
use promoter_connector::model::shares::WHOLE;
use promoter_connector::model::shares::divider::Divider;
use promoter_connector::model::shares::held::HeldShares;
use promoter_connector::model::shares::note::{PartitionNote, ShareNote};
use promoter_connector::model::shares::wanted::{BudgetSize, ShareNeed};

pub const INSTANCES: usize = 4;
pub const NAMES: [&str; 2] = ["wx1/getorder", "wx1/getrelation"];
pub const SIZE: BudgetSize = BudgetSize { per_minute: 600, per_day: 0 };
/// Owns nothing.
pub const NOBODY: usize = INSTANCES;

pub fn budgets() -> BTreeMap<String, BudgetSize> {
    NAMES.iter().map(|name| ((*name).to_owned(), SIZE)).collect()
}

#[derive(Default)]
pub struct Instance {
    /// It knows nothing of shares, and has equal parts.
    pub is_old: bool,
    /// Its brokers take no longer ones.
    pub are_notes_short: bool,
    pub held: HeldShares,
    pub divider: Option<Divider>,
    /// What it may tell: the divider whose ledger is durable.
    pub told: Option<Divider>,
    /// The notes as they were when its reading began.
    pub reading: Option<(u64, Vec<PartitionNote>)>,
    /// What it saw last.
    pub seen: Vec<PartitionNote>,
}

/// A transaction that the broker has checked, and that has not ended.
pub struct OpenTransaction {
    pub by: usize,
    /// When it was sent.
    pub sent: u64,
    pub commits: bool,
    pub write: OpenWrite,
}

pub enum OpenWrite {
    Note(usize, PartitionNote),
    Ledger(Vec<u8>),
}

/// Everything durable, and who is alive.
pub struct Fleet {
    /// Instances hear of a generation in which they are given nothing when they do, and not at once.
    pub is_heard_late: bool,
    pub generation: i32,
    pub owners: Vec<usize>,
    /// Each with when it was sent.
    pub notes: Vec<(u64, PartitionNote)>,
    pub open: Vec<OpenTransaction>,
    pub ledger: Option<Vec<u8>>,
    /// Of whatever is sent, and of ledgers.
    pub count: u64,
    pub needs: Vec<BTreeMap<String, ShareNeed>>,
    pub instances: Vec<Instance>,
    /// The divider's shard was restored by its owner.
    pub divider_restored: bool,
}

impl Fleet {
    pub fn new(partitions: usize, is_heard_late: bool) -> Fleet {
        let mut fleet = Fleet {
            is_heard_late,
            generation: 1,
            owners: (0..partitions).map(|partition| partition % INSTANCES).collect(),
            notes: vec![(0, PartitionNote::Absent); partitions],
            open: Vec::new(),
            ledger: None,
            count: 0,
            needs: vec![NAMES.iter().map(|name| ((*name).to_owned(), ShareNeed::default())).collect(); partitions],
            instances: (0..INSTANCES).map(|_| Instance::default()).collect(),
            divider_restored: false,
        };
        (0..INSTANCES).for_each(|number| fleet.hear(number));
        fleet
    }

    pub fn count(&mut self) -> u64 {
        self.count += 1;
        self.count
    }

    /// What an instance owns, in the latest generation.
    pub fn hear(&mut self, number: usize) {
        let is_owned = |(_, owner): &(usize, &usize)| **owner == number;
        let owned = self.owners.iter().enumerate().filter(is_owned);
        let owned: BTreeSet<i32> = owned.map(|(partition, _)| i32::try_from(partition).unwrap()).collect();
        let now = OwnedShards { owned, in_all: self.owners.len(), generation: self.generation };
        self.instances[number].held.own(&now);
    }

    /// Whoever had them hears of that before whoever gets them, and the others when they do.
    pub fn give(&mut self, partitions: &[usize], to: usize) {
        self.generation += 1;
        let had: BTreeSet<usize> = partitions.iter().map(|partition| self.owners[*partition]).collect();
        for partition in partitions {
            self.owners[*partition] = NOBODY;
            self.divider_restored &= *partition != 0;
        }
        let is_late = self.is_heard_late;
        (0..INSTANCES).filter(|number| !is_late || had.contains(number)).for_each(|number| self.hear(number));
        partitions.iter().for_each(|partition| self.owners[*partition] = to);
        self.hear(to);
    }

    pub fn owned(&self, number: usize) -> Vec<usize> {
        (0..self.owners.len()).filter(|partition| self.owners[*partition] == number).collect()
    }

    pub fn seen(&self) -> Vec<PartitionNote> {
        self.notes.iter().map(|(_, note)| note.clone()).collect()
    }

    pub fn act(&mut self, step: &Step) {
        let partitions = self.owners.len();
        match *step {
            Step::BeginReading(number) => {
                // It has opened its log before, and what was left open under its name has ended with that.
                self.end_those(|open| open.by == number);
                let seen = self.seen();
                let instance = &mut self.instances[number];
                instance.reading = Some((instance.held.begin_reading(), seen));
            }
            Step::EndReading(number, counts_on_it) => self.end_reading(number, counts_on_it),
            Step::Hear(number) => self.hear(number),
            Step::Note(partition) => self.begin_note(partition % partitions, None),
            Step::BeginNote(partition, commits) => self.begin_note(partition % partitions, Some(commits)),
            Step::End(index) => {
                if let Some(index) = index.checked_rem(self.open.len()) {
                    let open = self.open.remove(index);
                    self.end(open);
                }
            }
            Step::Divide(number, end) => self.divide(number, end),
            Step::Restore => self.restore(),
            Step::Damage(is_removed) => self.ledger = (!is_removed).then(|| b"?".to_vec()),
            Step::Move(partition, to) => {
                let partition = partition % partitions;
                if self.owners[partition] != to {
                    self.give(&[partition], to);
                }
            }
            Step::Kill(number, to) => {
                self.instances[number] = Instance { is_old: self.instances[number].is_old, ..Instance::default() };
                self.give(&self.owned(number), to);
            }
            Step::Restart(number) if !self.instances[number].is_old => {
                self.instances[number] = Instance::default();
                self.divider_restored &= self.owners[0] != number;
                self.hear(number);
            }
            Step::Restart(_) => {}
            Step::Change(number, to) => {
                let is_old = !self.instances[number].is_old;
                self.instances[number] = Instance { is_old, ..Instance::default() };
                self.give(&self.owned(number), to);
            }
            Step::Need(partition, name, usual, pasts) => {
                self.needs[partition % partitions].insert(NAMES[name].to_owned(), ShareNeed { usual, pasts });
            }
        }
    }

    pub fn end_reading(&mut self, number: usize, counts_on_it: bool) {
        let is_heard = self.instances.iter().all(|instance| instance.held.generation() == self.generation);
        let instance = &mut self.instances[number];
        if let Some((reading, notes)) = instance.reading.take() {
            instance.held.take(reading, &notes, is_heard && counts_on_it);
            instance.seen = notes;
        }
    }

    /// The broker takes it only in the latest generation. `commits` where it stays open.
    pub fn begin_note(&mut self, partition: usize, commits: Option<bool>) {
        let by = self.owners[partition];
        let owner = &self.instances[by];
        if owner.held.generation() != self.generation {
            return;
        }
        let note = match owner.is_old {
            true => PartitionNote::Unfollowed,
            false => PartitionNote::Shares(self.note(owner, partition)),
        };
        let write = OpenWrite::Note(partition, note);
        let open = OpenTransaction { by, sent: self.count(), commits: commits != Some(false), write };
        match commits {
            Some(_) => self.open.push(open),
            None => self.end(open),
        }
    }

    pub fn note(&self, owner: &Instance, partition: usize) -> ShareNote {
        let divider = owner.told.as_ref().filter(|_| partition == 0 && self.divider_restored);
        let note = ShareNote {
            generation: owner.held.generation(),
            goes_by: owner.held.goes_by(i32::try_from(partition).unwrap()),
            is_lifted: owner.held.is_lifted(),
            needs: Some(self.needs[partition].clone()),
            division: divider.and_then(Divider::division),
        };
        let note = if owner.are_notes_short { note.shortened() } else { note };
        let read = ShareNote::decode(&note.encode().unwrap()).unwrap();
        assert_eq!(read, note);
        read
    }

    pub fn end(&mut self, open: OpenTransaction) {
        match open.write {
            _ if !open.commits => {}
            OpenWrite::Note(partition, note) => {
                // What was sent later stays.
                if self.notes[partition].0 < open.sent {
                    self.notes[partition] = (open.sent, note);
                }
            }
            OpenWrite::Ledger(ledger) => self.ledger = Some(ledger),
        }
    }

    pub fn end_those(&mut self, ends: impl Fn(&OpenTransaction) -> bool) {
        let ended: Vec<_> = self.open.extract_if(.., |open| ends(open)).collect();
        ended.into_iter().for_each(|open| self.end(open));
    }

    pub fn restore(&mut self) {
        let number = self.owners[0];
        if self.divider_restored || self.instances[number].is_old {
            return;
        }
        // Its reader waits for what is open below the fence.
        self.end_those(|open| open.by == number || matches!(open.write, OpenWrite::Ledger(_)));
        let divider = Divider::new(self.ledger.as_deref(), self.owners.len());
        self.instances[number].know(divider);
        self.divider_restored = true;
    }

    pub fn divide(&mut self, number: usize, end: Option<bool>) {
        let is_owner = self.owners[0] == number
            && self.divider_restored
            && self.instances[number].held.generation() == self.generation;
        let name = self.count();
        let instance = &mut self.instances[number];
        let name = instance.held.may_begin(&instance.seen).then_some(name);
        let next = instance.divider.as_mut().and_then(|divider| divider.next(&instance.seen, &budgets(), name));
        let Some(next) = next else { return };
        // The transaction of one that is not the owner any more is refused.
        if !is_owner {
            instance.divider = None;
            return;
        }
        let ledger = next.encoded().unwrap();
        let Some(commits) = end else {
            self.ledger = Some(ledger);
            return instance.know(next);
        };
        // What will become of it is not known to it: it begins anew.
        (instance.divider, instance.told) = (None, None);
        self.divider_restored = false;
        let sent = self.count();
        self.open.push(OpenTransaction { by: number, sent, commits, write: OpenWrite::Ledger(ledger) });
    }

    pub fn in_force(&self, name: &str) -> f64 {
        let shares = self.instances.iter().enumerate().map(|(number, instance)| match instance.is_old {
            true => self.owned(number).len() as f64 / self.owners.len() as f64,
            false => instance.held.share(name).of(1.0),
        });
        shares.sum()
    }

    /// Everybody is alive and does what is to be done, once.
    pub fn round(&mut self) {
        self.act(&Step::Restore);
        for number in (0..INSTANCES).filter(|number| !self.instances[*number].is_old).collect::<Vec<_>>() {
            self.act(&Step::Hear(number));
            self.act(&Step::BeginReading(number));
            self.act(&Step::EndReading(number, false));
            self.act(&Step::Divide(number, None));
        }
        (0..self.owners.len()).for_each(|partition| self.act(&Step::Note(partition)));
    }

    /// In parts of the whole.
    pub fn share(&self, number: usize) -> u16 {
        self.instances[number].held.share(NAMES[0]).of(f64::from(WHOLE)).round() as u16
    }
}

impl Instance {
    /// The ledger of this one is durable.
    pub fn know(&mut self, divider: Divider) {
        if let Some(division) = divider.division() {
            self.held.tell(&division);
        }
        (self.divider, self.told) = (Some(divider.clone()), Some(divider));
    }
}
