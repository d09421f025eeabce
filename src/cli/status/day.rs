//! Whether a day is complete: what the ledger says of it, shard by shard, and whose cursors have not passed it.

use std::collections::{BTreeMap, HashMap, HashSet};

use anyhow::Context;

use super::day_report::{DayReport, FeedOfApp, Holder, HolderKind, ShardDay};
use crate::avro::decode::Decoded;
use crate::avro::schemas::RecordKind;
use crate::changes::registry_view::RegistryView;
use crate::cli::Failure;
use crate::cli::learning_decoder::RecordDecoder;
use crate::clock;
use crate::kafka::topics::whole::WholeTopic;
use crate::model::cursor::Cursor;
use crate::model::day_record::{BEGUN_KEY, DayContent};
use crate::model::days::standing;
use crate::model::feed::{Feed, PerFeed, StartFrom};
use crate::model::promoter::Promoter;
use crate::model::shard::Shard;
use crate::model::state_record::{StateKey, StateValue};
use crate::model::time::{Day, UnixMillis};

/// What the state says of all promoters and shards.
#[derive(Default)]
struct CommittedDays {
    cursors: HashMap<Promoter, PerFeed<Option<Cursor>>>,
    /// Whom nobody names any more: they hold up no day.
    removed: HashSet<Promoter>,
    /// From which day on each shard counts.
    begun: HashMap<i32, Day>,
}

/// Blocks until the state and the ledger are read to where they end now.
///
/// # Errors
/// [`Failure::Refused`] where no ledger is wanted; else where one of both can't be read to its end in the view's time.
pub fn report(view: &RegistryView, day: Day, worst: usize) -> Result<DayReport, Failure> {
    let settings = &view.settings.kafka;
    let off = || Failure::Refused("topics.ledger is \"off\": no day is told to be complete".to_owned());
    let ledger = settings.topics.ledger.as_ref().ok_or_else(off)?;
    // The state first: what closes meanwhile is held up by cursors as they were, and is told to be open.
    let committed = read_state(view)?;
    let mut feeds = of_cursors(view, &committed, day);
    read_ledger(view, ledger, day, &mut feeds)?;
    Ok(DayReport::of(&settings.name, day, clock::now(), feeds, worst))
}

/// # Errors
/// Where it can't be read to its end.
fn read_state(view: &RegistryView) -> anyhow::Result<CommittedDays> {
    let settings = &view.settings.kafka;
    let state = WholeTopic::open(settings, &settings.topics.state, view.until)?;
    let mut committed = CommittedDays::default();
    while let Some(record) = state.next_record()? {
        let Some(key) = record.key.as_deref() else { continue };
        if key == BEGUN_KEY.as_bytes() {
            let begun = record.value.as_deref().and_then(|value| DayContent::decode(key, value).ok());
            if let Some(DayContent::Begun(day)) = begun {
                committed.begun.insert(record.partition, day);
            }
            continue;
        }
        // All others are passed over unread: there are many more of them.
        if !key.starts_with(b"cursor/") && !key.starts_with(b"removed/") {
            continue;
        }
        let Ok(key) = StateKey::decode(key) else { continue };
        // In another partition than its own it is nobody's.
        if Shard::of(key.promoter(), state.partitions()).0 != record.partition {
            continue;
        }
        let value = record.value.and_then(|value| StateValue::decode(&key, &value).ok());
        match (key, value) {
            (StateKey::Cursor(promoter, feed), Some(StateValue::Cursor(cursor))) => {
                committed.cursors.entry(promoter).or_default()[feed] = Some(cursor).filter(|cursor| cursor.polled);
            }
            (StateKey::Cursor(promoter, feed), _) => committed.cursors.entry(promoter).or_default()[feed] = None,
            (StateKey::Removed(promoter), Some(_)) => drop(committed.removed.insert(promoter)),
            (StateKey::Removed(promoter), None) => drop(committed.removed.remove(&promoter)),
            _ => {}
        }
    }
    Ok(committed)
}

/// Whose cursors stand where, and who has none yet.
fn of_cursors(view: &RegistryView, committed: &CommittedDays, day: Day) -> BTreeMap<(String, Feed), FeedOfApp> {
    let mut feeds: BTreeMap<(String, Feed), FeedOfApp> = BTreeMap::new();
    let shard = |promoter: &Promoter| Shard::of(promoter, view.partitions).0;
    let in_view = |promoter: &Promoter| view.is_of_configured_app(promoter) && !committed.removed.contains(promoter);
    for (promoter, cursors) in committed.cursors.iter().filter(|(promoter, _)| in_view(promoter)) {
        let merged = view.table.get(promoter);
        for feed in Feed::ALL {
            let Some(cursor) = cursors[feed] else { continue };
            let Some(stands) = standing(feed, cursor, cursor.complete_before) else { continue };
            let of_app = feeds.entry((promoter.app_id().to_owned(), feed)).or_default();
            let begun = Day::in_beijing(cursor.start);
            if begun <= day {
                let counted_from = committed.begun.get(&shard(promoter)).copied();
                of_app.expected.insert(shard(promoter), counted_from);
            }
            if stands > day || begun > day {
                continue;
            }
            let kind = match &merged {
                None => HolderKind::Unnamed,
                Some(merged) if !view.feeds(promoter, merged).value.contains(feed) => HolderKind::NotPolled,
                Some(merged) if merged.is_paused.value => HolderKind::Paused,
                Some(_) => HolderKind::Behind,
            };
            of_app.holders.push(Holder {
                promoter: promoter.clone(),
                kind,
                complete_before: Some(cursor.complete_before),
            });
        }
    }
    let mut polled = HashSet::new();
    for (promoter, merged) in view.table.iter().filter(|(promoter, _)| view.is_of_configured_app(promoter)) {
        let may_begin = match merged.start_from.value {
            // Where its app begins is not known here.
            None | Some(StartFrom::Earliest) => true,
            Some(StartFrom::At(time)) => time < day.beijing_end(),
            Some(StartFrom::Now) => false,
        };
        for feed in view.feeds(promoter, &merged).value.iter() {
            let of_app = feeds.entry((promoter.app_id().to_owned(), feed)).or_default();
            polled.insert((promoter.app_id().to_owned(), feed));
            let has_begun = committed.cursors.get(promoter).is_some_and(|cursors| cursors[feed].is_some());
            if !has_begun && may_begin && !merged.is_paused.value {
                of_app.holders.push(Holder {
                    promoter: promoter.clone(),
                    kind: HolderKind::NotBegun,
                    complete_before: None,
                });
            }
        }
    }
    // A feed that is polled for nobody any more is asked for no day.
    feeds.retain(|of, _| polled.contains(of));
    feeds
}

/// Adds what each shard has told of the day.
///
/// # Errors
/// Where the ledger is not there, can't be read to its end, or a schema registry that has to tell a schema does not.
fn read_ledger(
    view: &RegistryView,
    topic: &str,
    day: Day,
    feeds: &mut BTreeMap<(String, Feed), FeedOfApp>,
) -> anyhow::Result<()> {
    // A thread of its own: the one that waits does not drive what is asked.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let registry = view.settings.schema_registry.clone();
    let mut decoder = RecordDecoder::new(RecordKind::LedgerDay, registry, runtime.handle().clone())?;
    let ledger = WholeTopic::open(&view.settings.kafka, topic, view.until).context("there is no ledger to ask")?;
    // The last record of each day from this one on; only the first of a shard speaks for it.
    let mut told: HashMap<Vec<u8>, Option<ShardDay>> = HashMap::new();
    while let Some(record) = ledger.next_record()? {
        let Some(key) = record.key else { continue };
        let decoded = decoder.decode(record.value.as_deref())?.ok().flatten();
        let shard_day = decoded.as_ref().and_then(shard_day).filter(|told| told.day >= day);
        told.insert(key, shard_day);
    }
    for shard_day in told.into_values().flatten().filter(|told| told.since <= day) {
        if let Some(of_app) = feeds.get_mut(&(shard_day.app.clone(), shard_day.feed)) {
            of_app.add(shard_day);
        }
    }
    Ok(())
}

/// What a record says; nothing of one that is written otherwise.
fn shard_day(record: &Decoded) -> Option<ShardDay> {
    let number = |name| record.field(name)?.as_i64();
    let count = |name| u64::try_from(number(name)?).ok();
    let time = |name| {
        let time: jiff::Timestamp = record.text(name)?.parse().ok()?;
        Some(UnixMillis(time.as_millisecond()))
    };
    Some(ShardDay {
        app: record.text("app_id")?.to_owned(),
        feed: Feed::from_name(record.text("feed")?)?,
        day: Day::from_date(record.text("day")?)?,
        since: Day::from_date(record.text("empty_since")?)?,
        shard: i32::try_from(number("shard")?).ok()?,
        closed_at: time("closed_at"),
        published: count("published")?,
        dead_letters: count("dead_letters")?,
        duplicates: count("duplicates")?,
    })
}
