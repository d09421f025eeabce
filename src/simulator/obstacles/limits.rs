//! Calls counted by app and path: the limits per minute and per day, of which `quota/get` tells.

use std::collections::HashMap;

use crate::model::time::{Day, UnixTime};

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
    per_day: u64,
    counts: HashMap<(usize, &'static str), Count>,
}

/// Why a call is one too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Excess {
    InMinute,
    InDay,
}

impl Limits {
    pub fn new(per_minute: u32, per_day: u64) -> Limits {
        Limits { per_minute, per_day, counts: HashMap::new() }
    }

    /// Counts a call.
    ///
    /// # Errors
    /// It is one too many. One too many of the day is not counted.
    pub fn admit(&mut self, now: UnixTime, app: usize, path: &'static str) -> Result<(), Excess> {
        let count = self.counts.entry((app, path)).or_default();
        let minute = now.0.div_euclid(60);
        if count.minute != minute {
            (count.minute, count.in_minute) = (minute, 0);
        }
        let day = Some(Day::in_beijing(now));
        if count.day != day {
            (count.day, count.in_day) = (day, 0);
        }
        if count.in_day >= self.per_day {
            return Err(Excess::InDay);
        }
        count.in_day += 1;
        count.in_minute = count.in_minute.saturating_add(1);
        if self.per_minute == 0 || count.in_minute <= self.per_minute { Ok(()) } else { Err(Excess::InMinute) }
    }

    pub fn used_today(&self, now: UnixTime, app: usize, path: &str) -> u64 {
        let today = Some(Day::in_beijing(now));
        let count = self.counts.iter().find(|((owner, counted), _)| *owner == app && *counted == path);
        count.map(|(_, count)| count).filter(|count| count.day == today).map_or(0, |count| count.in_day)
    }

    pub fn per_day(&self) -> u64 {
        self.per_day
    }

    pub fn per_minute(&self) -> u32 {
        self.per_minute
    }
}
