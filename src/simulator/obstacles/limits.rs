//! Calls counted by app and path: the limit per minute, and what `quota/get` tells.

use std::collections::HashMap;

use crate::model::time::{Day, UnixTime};

/// What `quota/get` calls the daily limit; the world does not enforce it, its 45009 come as spells. It is more than 5,000 calls a
/// minute come to, so it slows nobody down.
pub const DAILY_LIMIT: u64 = 10_000_000;

#[derive(Default)]
struct Count {
    minute: i64,
    in_minute: u32,
    day: Option<Day>,
    in_day: u64,
}

pub struct Limits {
    /// 0 for none.
    per_minute: u32,
    counts: HashMap<(usize, &'static str), Count>,
}

impl Limits {
    pub fn new(per_minute: u32) -> Limits {
        Limits { per_minute, counts: HashMap::new() }
    }

    /// Counts a call; false when it is one too many in this minute.
    pub fn admit(&mut self, now: UnixTime, app: usize, path: &'static str) -> bool {
        let count = self.counts.entry((app, path)).or_default();
        let minute = now.0.div_euclid(60);
        if count.minute != minute {
            (count.minute, count.in_minute) = (minute, 0);
        }
        let day = Some(Day::in_beijing(now));
        if count.day != day {
            (count.day, count.in_day) = (day, 0);
        }
        count.in_day += 1;
        count.in_minute = count.in_minute.saturating_add(1);
        self.per_minute == 0 || count.in_minute <= self.per_minute
    }

    pub fn used_today(&self, now: UnixTime, app: usize, path: &str) -> u64 {
        let today = Some(Day::in_beijing(now));
        let count = self.counts.iter().find(|((owner, counted), _)| *owner == app && *counted == path);
        count.map(|(_, count)| count).filter(|count| count.day == today).map_or(0, |count| count.in_day)
    }

    pub fn per_minute(&self) -> u32 {
        self.per_minute
    }
}
