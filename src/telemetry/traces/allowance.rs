//! So many a second, and some more at once after a quiet time.

use parking_lot::Mutex;
use tokio::time::Instant;

pub(super) struct Allowance {
    per_second: f64,
    at_once: f64,
    left: Mutex<Left>,
}

struct Left {
    count: f64,
    at: Instant,
}

impl Allowance {
    /// Begins with as many as may come at once.
    pub fn new(per_second: u32, at_once: u32) -> Allowance {
        let left = Left { count: f64::from(at_once), at: Instant::now() };
        Allowance { per_second: f64::from(per_second), at_once: f64::from(at_once), left: Mutex::new(left) }
    }

    /// Takes one, if there is one left.
    pub fn take(&self) -> bool {
        let now = Instant::now();
        let mut left = self.left.lock();
        let grown = now.saturating_duration_since(left.at).as_secs_f64() * self.per_second;
        *left = Left { count: (left.count + grown).min(self.at_once), at: now };
        let is_there = left.count >= 1.0;
        if is_there {
            left.count -= 1.0;
        }
        is_there
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn taken(allowance: &Allowance) -> usize {
        (0..1000).filter(|_| allowance.take()).count()
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_gets_what_is_there_at_once_and_then_so_many_a_second() {
        let allowance = Allowance::new(10, 50);
        assert_eq!(taken(&allowance), 50);
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(taken(&allowance), 20);
        tokio::time::advance(Duration::from_secs(3600)).await;
        assert_eq!(taken(&allowance), 50, "a quiet hour is not saved up");
    }
}
