//! How late facts appear.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::model::time::{Day, UnixTime};
use crate::simulator::options::{DayZone, WorldOptions};

/// Of one kind of facts. Times and lengths are in seconds.
#[derive(Clone, Copy)]
pub struct AppearanceDelay {
    /// Of the facts, those that appear late.
    share: f64,
    seconds_max: u32,
}

impl AppearanceDelay {
    pub fn new(options: &WorldOptions) -> AppearanceDelay {
        AppearanceDelay { share: options.late, seconds_max: seconds(options.late_max) }
    }

    /// Most facts appear at once, some take up to the limit.
    pub fn visible_at(self, time: u32, rng: &mut ChaCha8Rng) -> u32 {
        let late = rng.random_bool(self.share) && self.seconds_max > 0;
        time + if late { rng.random_range(0..=self.seconds_max) } else { 0 }
    }

    /// The same with a limit of its own, if there is one.
    pub fn up_to(self, seconds_max: Option<u32>) -> AppearanceDelay {
        AppearanceDelay { seconds_max: seconds_max.unwrap_or(self.seconds_max), ..self }
    }
}

/// Seconds from a payment to the end of its day.
pub fn rest_of_day(time: u32, days: DayZone) -> u32 {
    let time = UnixTime(i64::from(time));
    let end = match days {
        DayZone::Beijing => Day::in_beijing(time).beijing_end(),
        DayZone::Utc => Day::in_utc(time).utc_end(),
    };
    u32::try_from(end.0 - time.0).unwrap_or(0)
}

/// Seconds of an option, which is at most ten years.
pub fn seconds(duration: std::time::Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(u32::MAX)
}
