//! Whether a change was written over somebody else's.
//!
//! A change is a whole record, and rests on the one that was read before it. Two that are made at the same moment may rest on the same
//! one, and then the later takes back what the earlier says. No right but that to write is needed to make a change, so nothing keeps
//! two apart. But of two that have overtaken each other one stands behind the other in the partition, and whoever wrote that one finds
//! the other between what it has read and what it wrote: so whatever is written over is told, by the command that did so.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::change_plan::PlannedWrite;
use super::registry_view::{LearningDecoder, RegistryView};
use crate::model::promoter::Promoter;
use crate::registry::record::{RegistryContent, RegistryKey};

/// How many promoters are named.
const NAMED_MAX: usize = 10;

/// What others wrote between the reading of `view` and the `writes` that rest on it, which have been written; in words, or nothing.
/// Blocks.
///
/// # Errors
/// Where the topic can't be read on.
pub fn overwritten(view: &RegistryView, writes: &[PlannedWrite]) -> anyhow::Result<Option<String>> {
    let ends = view.reader.ends_now(&view.settings.kafka)?;
    // Nobody else has written: nothing is read again.
    if view.reader.count_left(&ends)? <= writes.len() as u64 {
        return Ok(None);
    }
    let mut found = Overwritten::by(writes);
    let mut decoder = LearningDecoder::new(&view.settings, view.until)?;
    while let Some(record) = view.reader.next_before(&ends)? {
        // One that stands in another partition than its key's has never held.
        if let Ok((promoter, content)) = decoder.decode(&record)?
            && view.reader.is_in_place(&promoter, record.partition)
        {
            found.take(&promoter, &content);
        }
    }
    Ok(found.words())
}

/// Finds it in the records behind what was read, as they stand.
struct Overwritten<'a> {
    writes: &'a [PlannedWrite],
    /// Where each stands among the writes.
    places: HashMap<(&'a Promoter, RegistryKey), usize>,
    /// Of those of which somebody else's record stands there, and the own one not yet.
    before_own: HashSet<usize>,
    promoters: BTreeSet<&'a Promoter>,
}

impl<'a> Overwritten<'a> {
    fn by(writes: &'a [PlannedWrite]) -> Overwritten<'a> {
        let keys = writes.iter().map(|(promoter, content)| (promoter, content.key()));
        let places = keys.enumerate().map(|(place, key)| (key, place)).collect();
        Overwritten { writes, places, before_own: HashSet::new(), promoters: BTreeSet::new() }
    }

    fn take(&mut self, promoter: &Promoter, content: &RegistryContent) {
        let Some(&place) = self.places.get(&(promoter, content.key())) else { return };
        let (promoter, own) = &self.writes[place];
        // Where a broker's clock is behind and gives records their time, the own one comes back with another than it had.
        if !content.says_as(own) {
            self.before_own.insert(place);
        } else if self.before_own.remove(&place) {
            self.promoters.insert(promoter);
        }
    }

    fn words(self) -> Option<String> {
        if self.promoters.is_empty() {
            return None;
        }
        let named: Vec<&str> = self.promoters.iter().take(NAMED_MAX).map(|promoter| promoter.key()).collect();
        let more = if self.promoters.len() > NAMED_MAX { ", …" } else { "" };
        Some(format!(
            "it is written, over what somebody else wrote at the same moment of {} of these promoters, which does not hold any more: \
             {}{more}. promoters list shows what holds now; have the other change made again",
            self.promoters.len(),
            named.join(", ")
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::time::UnixMillis;
    use crate::registry::record::PromoterRecord;

    fn promoter(id: &str) -> Promoter {
        Promoter::from_key(&format!("wx1/{id}")).unwrap()
    }

    fn record(paused: bool) -> RegistryContent {
        RegistryContent::Record(Some(PromoterRecord { paused, ..PromoterRecord::default() }))
    }

    /// What is told of records of o1 and o2 that stand behind what was read, where both were written paused.
    fn told(records: &[(&str, RegistryContent)]) -> Option<String> {
        let writes = [(promoter("o1"), record(true)), (promoter("o2"), record(true))];
        let mut found = Overwritten::by(&writes);
        for (id, content) in records {
            found.take(&promoter(id), content);
        }
        found.words()
    }

    #[test]
    fn what_stands_between_the_reading_and_the_own_record_is_written_over_and_nothing_else() {
        let own = || record(true);
        assert_eq!(told(&[("o1", own()), ("o2", own())]), None);
        assert_eq!(told(&[("o3", record(false)), ("o1", own()), ("o2", own())]), None, "another promoter's");
        assert_eq!(told(&[("o1", own()), ("o1", record(false))]), None, "that one has to tell it");
        let discovered = RegistryContent::Discovery(None);
        assert_eq!(told(&[("o1", discovered), ("o1", own())]), None, "under another key");
        for others in [record(false), RegistryContent::Record(None)] {
            let told = told(&[("o2", others), ("o1", own()), ("o2", own())]).unwrap();
            assert!(told.contains(" 1 of these promoters") && told.contains("any more: wx1/o2."), "{told}");
        }
    }

    #[test]
    fn the_own_record_is_known_whatever_time_the_broker_gives_it() {
        let own = RegistryContent::Record(Some(PromoterRecord {
            paused: true,
            updated_at: UnixMillis(7),
            ..PromoterRecord::default()
        }));
        assert!(told(&[("o1", record(false)), ("o1", own)]).is_some());
    }

    #[test]
    fn ten_are_named() {
        let ids: Vec<String> = (0..11).map(|number| format!("o{number:02}")).collect();
        let writes: Vec<PlannedWrite> = ids.iter().map(|id| (promoter(id), record(true))).collect();
        let mut found = Overwritten::by(&writes);
        for (promoter, content) in &writes {
            found.take(promoter, &record(false));
            found.take(promoter, content);
        }
        let told = found.words().unwrap();
        assert!(told.contains(" 11 of these") && told.contains("wx1/o09, ….") && !told.contains("o10"), "{told}");
    }
}
