//! A world of a seed.

use std::time::Duration;

use promoter_connector::model::feed::{Feed, PerFeed};
use promoter_connector::model::time::{UnixMillis, UnixTime};
use promoter_connector::simulator::WorldOptions;
use promoter_connector::simulator::faults::Level;
use promoter_connector::simulator::options::DayZone;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// By feed, in seconds. Facts appear up to the whole of it, or die as unseen.
pub type Lateness = PerFeed<i64>;

/// 2023-11-15 00:00 in UTC, eight hours into Beijing's day.
pub const MIDNIGHT: i64 = 1_700_006_400;
/// Within an hour or so before a day ends, in one of the two zones.
pub fn start(random: &mut ChaCha8Rng) -> UnixMillis {
    let midnight = MIDNIGHT - if random.random_bool(0.5) { 8 * 3600 } else { 0 };
    UnixTime(midnight - random.random_range(0..4000)).as_millis()
}

pub fn lateness(random: &mut ChaCha8Rng) -> Lateness {
    let hours = |range: std::ops::Range<i64>, random: &mut ChaCha8Rng| random.random_range(range) * 1800;
    PerFeed { touches: 600, orders: hours(1..6, random), refunds: hours(1..10, random) }
}

pub fn world_options(seed: u64, lateness: Lateness, random: &mut ChaCha8Rng) -> WorldOptions {
    let late_max = |feed: Feed| Duration::from_secs(lateness[feed].cast_unsigned());
    let apps = ["wx1", "wx2"][..random.random_range(1..=2)].iter().map(|app| (*app).to_owned()).collect();
    WorldOptions {
        seed,
        apps,
        promoters: random.random_range(1..=2),
        touches_per_hour: 30.0,
        orders_per_hour: 12.0,
        history: Duration::from_secs(random.random_range(0..7200)),
        quiet_after: Some(Duration::from_secs(random.random_range(600..3600))),
        refund_within: Duration::from_secs(5400),
        edit_every: Duration::from_secs(1200),
        page_rows: random.random_range(4..40),
        faults: [Level::None, Level::Some, Level::Many, Level::Many][random.random_range(0..4)],
        spell: Duration::from_secs(120),
        late_max: late_max(Feed::Touches),
        orders_late_max: Some(late_max(Feed::Orders)),
        refunds_late_max: Some(late_max(Feed::Refunds)),
        days: if random.random_bool(0.5) { DayZone::Beijing } else { DayZone::Utc },
        two_dates: 0.1,
        told_later: 0.3,
        restless: if random.random_bool(0.3) { 0.05 } else { 0.0 },
        dead_rows: 0.02,
        odd_rows: 0.1,
        ..WorldOptions::default()
    }
}
