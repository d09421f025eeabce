//! What may happen to a fleet.

use proptest::prelude::*;

use super::fleet::{INSTANCES, NAMES};

#[derive(Clone, Debug)]
pub enum Step {
    BeginReading(usize),
    /// Whether it counts on those who have not heard of its generation to be no members, where that is so.
    EndReading(usize, bool),
    Hear(usize),
    /// The owner of a partition writes its note.
    Note(usize),
    /// It does, and its transaction stays open; later it is committed or not.
    BeginNote(usize, bool),
    /// One of the open transactions ends.
    End(usize),
    /// The owner of the divider's shard, or one that has been, makes a division; it may end before it knows what has become of that.
    Divide(usize, Option<bool>),
    /// The divider's shard is restored.
    Restore,
    /// Somebody damages the ledger, or removes it.
    Damage(bool),
    /// A partition goes to an instance.
    Move(usize, usize),
    /// An instance ends, and another takes over.
    Kill(usize, usize),
    /// An instance ends and is back with what it had, in the same generation.
    Restart(usize),
    /// It ends, and is back with another version.
    Change(usize, usize),
    Need(usize, usize, u64, u64),
}

fn step() -> impl Strategy<Value = Step> {
    let (instance, partition) = (0..INSTANCES, 0..16_usize);
    prop_oneof![
        4 => instance.clone().prop_map(Step::BeginReading),
        4 => (instance.clone(), any::<bool>()).prop_map(|(number, counts)| Step::EndReading(number, counts)),
        4 => instance.clone().prop_map(Step::Hear),
        8 => partition.clone().prop_map(Step::Note),
        2 => (partition.clone(), any::<bool>()).prop_map(|(partition, commits)| Step::BeginNote(partition, commits)),
        2 => partition.clone().prop_map(Step::End),
        4 => (instance.clone(), prop_oneof![3 => Just(None), 1 => any::<bool>().prop_map(Some)])
            .prop_map(|(number, end)| Step::Divide(number, end)),
        2 => Just(Step::Restore),
        1 => (partition.clone(), instance.clone()).prop_map(|(partition, to)| Step::Move(partition, to)),
        1 => (instance.clone(), instance.clone()).prop_map(|(number, to)| Step::Kill(number, to)),
        1 => instance.prop_map(Step::Restart),
        2 => (partition, 0..NAMES.len(), 0..1_000_000_u64, 0..3_u64)
            .prop_map(|(partition, name, usual, pasts)| Step::Need(partition, name, usual, pasts)),
    ]
}

/// Now and then one of `others`; and now and then everybody does what is to be done, or most would stand still.
pub fn steps(others: impl Strategy<Value = Step>) -> impl Strategy<Value = Vec<Option<Step>>> {
    let step = prop_oneof![30 => step().prop_map(Some), 1 => others.prop_map(Some), 6 => Just(None)];
    proptest::collection::vec(step, 0..200)
}
