//! Feeds that the registry tells to be asked again while a session runs, and before one begins.

use super::registered::{NotingUpstream, SECOND, key, live_configured};
use super::*;
use crate::commit::testing::durable_topics::PARTITIONS;
use crate::commit::testing::memory_group::MemoryGroup;
use crate::model::rewind::{Rewind, RewindId};
use crate::registry::record::RegistryContent;

const ASKED_AGAIN: &str = "a feed is asked again from an earlier time";

fn rewind(id: u128, to: UnixTime) -> RegistryContent {
    RegistryContent::Rewind(Feed::Touches, Some(Rewind { id: RewindId(id), to, republish: true }))
}

async fn pass(seconds: u32) {
    tokio::time::sleep(seconds * SECOND).await;
}

/// How often was asked for what happened an hour before the start and earlier: calls ask a second more on either side.
fn asked_for_the_past(begin_times: &[UnixTime]) -> usize {
    begin_times.iter().filter(|time| **time <= NOW.minus(3600)).count()
}

#[tokio::test(start_paused = true)]
async fn a_rewind_acts_within_seconds_once_and_on_its_promoter_alone() {
    let captured = Captured::start();
    let group = MemoryGroup::of_one("one", PARTITIONS);
    let upstream = live_configured(&group, async |configured: &ConfiguredPromoters| {
        configured.replace(plain_two());
        pass(1000).await;
        group.say(&key("o1"), rewind(1, NOW.minus(3600)));
        pass(5).await;
        // The same again, as a rebalance would have it read; and one to a time that the cursor has not come to.
        group.say(&key("o1"), rewind(1, NOW.minus(3600)));
        group.say(&key("o1"), rewind(2, NOW.plus(900)));
        pass(1000).await;
    })
    .await;
    assert_eq!(asked_for_the_past(&upstream.begin_times("o1")), 1, "{:?}", upstream.begin_times("o1"));
    assert!(upstream.asked("o1", 1000 * SECOND, 1005 * SECOND) >= 1);
    assert_eq!(asked_for_the_past(&upstream.begin_times("o2")), 0);
    assert!(upstream.asked("o1", 1005 * SECOND, 2005 * SECOND) >= 14, "it is polled on");
    let told = captured.events(ASKED_AGAIN);
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!((&told[0]["promoter"], &told[0]["feed"]), (&"wx1/o1".into(), &"touches".into()));
}

fn plain_two() -> Vec<(Promoter, ConfiguredPromoter)> {
    ["o1", "o2"].map(|openid| (key(openid), ConfiguredPromoter::default())).to_vec()
}

#[tokio::test(start_paused = true)]
async fn a_rewind_that_was_written_while_nobody_ran_acts_at_the_next_start_and_at_none_after_it() {
    let group = MemoryGroup::of_one("one", PARTITIONS);
    let durable: Arc<Mutex<DurableTopics>> = Arc::default();
    let mut runs = Vec::new();
    for run in 0..4 {
        if run == 1 {
            group.say(&key("o1"), rewind(1, NOW.minus(7200)));
        }
        runs.push(live_once(&group, &durable).await);
    }
    let past: Vec<usize> = runs.iter().map(|begin_times| asked_for_the_past(begin_times)).collect();
    assert_eq!(past, [0, 1, 0, 0]);
}

/// Ten minutes of a process; since when each call has asked.
async fn live_once(group: &MemoryGroup, durable: &Arc<Mutex<DurableTopics>>) -> Vec<UnixTime> {
    let upstream = NotingUpstream::begin();
    let polls = pipeline(&upstream, promoter(touches_only(plan(StartFrom::At(NOW)))));
    let stop = CancellationToken::new();
    let make_log = || MemoryLog::shared(durable.clone(), FaultScript::uneventful(), "one", group);
    let end = async {
        pass(600).await;
        stop.cancel();
    };
    let (ended, ()) = tokio::join!(supervisor::run(&polls, make_log, &stop, retry()), end);
    ended.unwrap();
    upstream.begin_times("o1")
}
