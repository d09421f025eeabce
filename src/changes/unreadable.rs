//! The records of the registry topic that change nothing because they can't be read.

use std::collections::BTreeMap;

use crate::kafka::topics::reader::ReadRecord;
use crate::model::promoter::Promoter;
use crate::model::shard::Shard;
use crate::registry::event::{MISPLACED, MISPLACED_DETAIL};
use crate::telemetry::last_words;
use crate::text;

/// How many are kept, and how many told.
const KEPT_MAX: usize = 10_000;
const LISTED_MAX: usize = 20;
/// How many characters of a key are told.
const KEY_CHARS_MAX: usize = 80;

/// One that is followed by a readable record with its key is none of them any more.
#[derive(Default)]
pub struct UnreadableRecords {
    /// By partition and key.
    kept: BTreeMap<(i32, Vec<u8>), UnreadableRecord>,
    /// How many there are beyond these.
    more: usize,
}

struct UnreadableRecord {
    offset: i64,
    /// A short code.
    reason: &'static str,
    detail: String,
}

impl UnreadableRecords {
    pub fn count(&self) -> usize {
        self.kept.len() + self.more
    }

    /// How many may stand in for somebody who acts: under the own key of one of whom `is_lacking` says that no other record is
    /// known, in its own partition. All others concern nobody. Those that are not kept may be any.
    pub fn count_lacking(&self, partitions: i32, is_lacking: impl Fn(&Promoter) -> bool) -> usize {
        let owners = self.kept.keys().filter_map(|place| owner(place, partitions));
        owners.filter(is_lacking).count() + self.more
    }

    /// Whether one stands in the partition under the key.
    pub fn holds(&self, partition: i32, key: &str) -> bool {
        !self.kept.is_empty() && self.kept.contains_key(&(partition, key.as_bytes().to_vec()))
    }

    pub fn add(&mut self, record: &ReadRecord, reason: &'static str, detail: String) {
        let place = place(record);
        if self.kept.len() >= KEPT_MAX && !self.kept.contains_key(&place) {
            self.more += 1;
            return;
        }
        self.kept.insert(place, UnreadableRecord { offset: record.offset, reason, detail });
    }

    /// A readable record takes away what stood under its key.
    pub fn heal(&mut self, record: &ReadRecord) {
        if !self.kept.is_empty() {
            self.kept.remove(&place(record));
        }
    }

    /// In this partition nobody sees it who owns the promoter. A tombstone takes away what stands there, too.
    pub fn misplaced(&mut self, record: &ReadRecord) {
        let is_healed = record.value.is_none() && self.kept.remove(&place(record)).is_some();
        if !is_healed {
            self.add(record, MISPLACED, MISPLACED_DETAIL.to_owned());
        }
    }

    /// Says the first of them on stderr, how many there are, and how they go.
    pub fn tell(&self, topic: &str, partitions: i32) {
        for ((partition, key), UnreadableRecord { offset, reason, detail }) in self.kept.iter().take(LISTED_MAX) {
            let key = String::from_utf8_lossy(key);
            let key = text::bounded(&key, KEY_CHARS_MAX);
            let place = format!("topic {topic} partition {partition} offset {offset}");
            last_words::say(&format_args!("{place}, key {key:?}, changes nothing: {reason}: {detail}"));
        }
        if self.count() > LISTED_MAX {
            last_words::say(&format_args!("{} records of topic {topic} in all change nothing", self.count()));
        }
        if self.kept.keys().any(|place| owner(place, partitions).is_some()) {
            last_words::say(
                &"promoters add and promoters remove put a readable record in the place of one under a promoter's own key",
            );
        }
        if let Some(place) = self.kept.keys().find(|place| owner(place, partitions).is_none()) {
            last_words::say(&tombstone_advice(topic, place));
        }
    }
}

/// The promoter for whom such a record counts.
fn owner((partition, key): &(i32, Vec<u8>), partitions: i32) -> Option<Promoter> {
    let promoter = Promoter::from_key(std::str::from_utf8(key).ok()?).ok()?;
    (Shard::of(&promoter, partitions).0 == *partition).then_some(promoter)
}

/// How a record goes that stands where nobody looks for it, or under a key that is no promoter's.
fn tombstone_advice(topic: &str, (partition, key): &(i32, Vec<u8>)) -> String {
    const WHAT: &str = "a tombstone under the same key in the same partition takes away what is no promoter's";
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/_-.:".contains(&byte);
    match std::str::from_utf8(key).ok().filter(|key| !key.is_empty() && key.len() <= KEY_CHARS_MAX) {
        Some(key) if key.bytes().all(is_plain) => {
            format!("{WHAT}: echo '{key}|' | kcat -P -b HOST:PORT -t {topic} -p {partition} -K '|' -Z")
        }
        _ => format!("{WHAT}: kcat -P with -p PARTITION, -K DELIMITER and -Z writes one"),
    }
}

fn place(record: &ReadRecord) -> (i32, Vec<u8>) {
    (record.partition, record.key.clone().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::time::UnixMillis;

    fn record(partition: i32, offset: i64, value: Option<&[u8]>) -> ReadRecord {
        ReadRecord {
            topic: "promoter.registry".into(),
            partition,
            offset,
            key: Some(b"wx1/o1".to_vec()),
            value: value.map(<[u8]>::to_owned),
            headers: Vec::new(),
            timestamp: UnixMillis(0),
        }
    }

    #[test]
    fn what_cannot_be_read_is_forgotten_once_a_readable_record_follows_it() {
        let mut unreadable = UnreadableRecords::default();
        unreadable.add(&record(0, 1, Some(b"?")), "not_avro", String::new());
        unreadable.add(&record(0, 2, Some(b"!")), "not_avro", String::new());
        assert_eq!(unreadable.count(), 1, "one key, one record");
        unreadable.heal(&record(1, 3, None));
        assert_eq!(unreadable.count(), 1, "of another partition");
        unreadable.heal(&record(0, 4, None));
        assert_eq!(unreadable.count(), 0);
    }

    #[test]
    fn only_what_stands_in_for_a_promoter_in_its_own_partition_can_be_lacking() {
        let partitions = 3;
        let promoter = Promoter::from_key("wx1/o1").unwrap();
        let own = Shard::of(&promoter, partitions).0;
        let keyed = |key: &str, partition| ReadRecord { key: Some(key.into()), ..record(partition, 1, Some(b"?")) };
        let mut unreadable = UnreadableRecords::default();
        for stray in [keyed("abc", own), keyed("wx1/o1", (own + 1) % partitions), keyed("wx1/o1/discovered", own)] {
            unreadable.add(&stray, "not_avro", String::new());
        }
        assert_eq!(unreadable.count_lacking(partitions, |_| true), 0);
        unreadable.add(&keyed("wx1/o1", own), "not_avro", String::new());
        assert_eq!(unreadable.count_lacking(partitions, |_| true), 1);
        assert_eq!(unreadable.count_lacking(partitions, |lacking| *lacking != promoter), 0, "another record is there");
    }

    #[test]
    fn how_a_stray_record_goes_is_told_as_a_command_where_a_shell_takes_its_key() {
        let told = |key: &[u8]| tombstone_advice("promoter.registry", &(2, key.to_vec()));
        let command = ": echo 'abc|' | kcat -P -b HOST:PORT -t promoter.registry -p 2 -K '|' -Z";
        assert!(told(b"abc").ends_with(command), "{}", told(b"abc"));
        for key in [&b"a'b"[..], b"", b"a|b", b"\xff"] {
            assert!(!told(key).contains("echo"), "{}", told(key));
        }
    }

    #[test]
    fn what_stands_in_the_wrong_partition_is_taken_away_by_a_tombstone_there() {
        let mut unreadable = UnreadableRecords::default();
        unreadable.misplaced(&record(0, 1, Some(b"?")));
        unreadable.misplaced(&record(0, 2, None));
        assert_eq!(unreadable.count(), 0);
        unreadable.misplaced(&record(0, 3, None));
        assert_eq!(unreadable.count(), 1, "whoever deregisters there is told");
    }
}
