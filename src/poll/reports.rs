//! Failures of polls in the log: each kind once in a while, with how many there were.

use std::collections::HashMap;
use std::fmt::Display;
use std::time::Duration;

use tokio::time::Instant;

use crate::domain::feed::Feed;
use crate::domain::promoter::{AppId, Promoter};

/// The least time between two lines of one kind: with an upstream that is down, every poll fails.
const REPORT_EVERY: Duration = Duration::from_secs(10);

pub struct Reports {
    app: AppId,
    kinds: HashMap<&'static str, Kind>,
}

struct Kind {
    reported: Instant,
    unreported: u64,
}

impl Reports {
    pub fn new(app: AppId) -> Reports {
        Reports { app, kinds: HashMap::new() }
    }

    pub fn failure(&mut self, kind: &'static str, promoter: &Promoter, feed: Feed, error: &dyn Display) {
        let now = Instant::now();
        let entry = self.kinds.entry(kind).or_insert(Kind { reported: now - REPORT_EVERY, unreported: 0 });
        if now.duration_since(entry.reported) < REPORT_EVERY {
            entry.unreported += 1;
            return;
        }
        let others = std::mem::take(&mut entry.unreported);
        entry.reported = now;
        tracing::warn!(app = %self.app, %promoter, %feed, kind, others, %error, "poll failed");
    }
}
