//! Promoters that the configuration names when it is read again while a session runs.

use super::registered::{NotingUpstream, SECOND, key, live_configured};
use super::*;
use crate::commit::testing::durable_topics::PARTITIONS;
use crate::commit::testing::memory_group::MemoryGroup;
use crate::model::feed_set::FeedSet;
use crate::model::shard::Shard;
use crate::registry::record::PromoterRecord;

/// As they are polled where nothing else is said of them.
fn plain(openids: &[&str]) -> Vec<(Promoter, ConfiguredPromoter)> {
    openids.iter().map(|openid| (key(openid), ConfiguredPromoter::default())).collect()
}

async fn pass(seconds: u32) {
    tokio::time::sleep(seconds * SECOND).await;
}

fn group() -> MemoryGroup {
    MemoryGroup::of_one("one", PARTITIONS)
}

#[tokio::test(start_paused = true)]
async fn whom_it_names_anew_is_polled_within_seconds_and_whom_it_leaves_out_no_longer() {
    let undisturbed: NotingUpstream = live_configured(&group(), async |_: &ConfiguredPromoters| pass(900).await).await;
    let upstream = live_configured(&group(), async |configured: &ConfiguredPromoters| {
        pass(100).await;
        configured.replace(plain(&["o1", "o2", "o3"]));
        pass(200).await;
        configured.replace(plain(&["o3", "o1"]));
        pass(200).await;
        configured.replace(plain(&["o1", "o2"]));
        pass(400).await;
    })
    .await;
    let of_two = |from, to| upstream.asked("o2", from * SECOND, to * SECOND);
    assert_eq!(of_two(0, 100), 0);
    assert!(of_two(100, 105) >= 1 && of_two(105, 300) >= 3, "named");
    assert_eq!(of_two(301, 500), 0, "left out");
    assert!(of_two(500, 505) >= 1 && of_two(505, 900) >= 6, "named again");
    assert!(upstream.asked("o3", 100 * SECOND, 500 * SECOND) >= 6);
    assert_eq!(upstream.asked("o3", 501 * SECOND, 900 * SECOND), 0);
    assert_eq!(upstream.turns("o1"), undisturbed.turns("o1"), "who is named as before has the same turns");
}

#[tokio::test(start_paused = true)]
async fn now_is_when_a_promoter_is_named_first_and_his_cursor_counts_when_he_is_named_again() {
    let begun = live_configured(&group(), async |configured: &ConfiguredPromoters| {
        pass(1000).await;
        let now = ConfiguredPromoter { start_from: Some(StartFrom::Now).into(), ..ConfiguredPromoter::default() };
        configured.replace(vec![(key("o1"), ConfiguredPromoter::default()), (key("o2"), now)]);
        pass(100).await;
    })
    .await;
    let begin = begun.first_begin_time("o2");
    assert!((NOW.plus(990)..=NOW.plus(1000)).contains(&begin), "{begin}, and not what happened before");
}

#[tokio::test(start_paused = true)]
async fn whom_the_registry_names_too_is_polled_on() {
    let group = group();
    group.register(&key("o1"), Some(PromoterRecord::default()));
    let upstream = live_configured(&group, async |configured: &ConfiguredPromoters| {
        pass(200).await;
        configured.replace(Vec::new());
        pass(300).await;
        group.register(&key("o1"), None);
        pass(300).await;
    })
    .await;
    assert!(upstream.asked("o1", 200 * SECOND, 500 * SECOND) >= 4);
    assert_eq!(upstream.asked("o1", 501 * SECOND, 900 * SECOND), 0, "until that leaves him out as well");
}

#[tokio::test(start_paused = true)]
async fn a_promoter_whose_feeds_change_is_polled_for_those() {
    let upstream = live_configured(&group(), async |configured: &ConfiguredPromoters| {
        pass(200).await;
        // The app polls no orders for anybody.
        let orders = ConfiguredPromoter { feeds: FeedSet::from_iter([Feed::Orders]), ..ConfiguredPromoter::default() };
        configured.replace(vec![(key("o1"), orders)]);
        pass(200).await;
        configured.replace(plain(&["o1"]));
        pass(200).await;
    })
    .await;
    assert_eq!(upstream.asked("o1", 201 * SECOND, 400 * SECOND), 0);
    assert!(upstream.asked("o1", 400 * SECOND, 405 * SECOND) >= 1);
}

#[tokio::test(start_paused = true)]
async fn a_shard_that_comes_later_is_polled_by_the_latest_list() {
    let group = group();
    let shard = Shard::of(&key("o2"), PARTITIONS);
    group.take_away(shard, "other");
    let upstream = live_configured(&group, async |configured: &ConfiguredPromoters| {
        pass(100).await;
        configured.replace(plain(&["o1", "o2"]));
        pass(200).await;
        group.take_away(shard, "one");
        pass(200).await;
    })
    .await;
    assert_eq!(upstream.asked("o2", Duration::ZERO, 300 * SECOND), 0, "it is another instance's");
    assert!(upstream.asked("o2", 300 * SECOND, 310 * SECOND) >= 1);
}
