//! Compares what the upstream showed with what a consumer found: as exact multisets, by the ledger that the demo uses too,
//! and the order of what was found.
//!
//! It knows nothing of facts: `facts.rs` turns both sides into the keys that are compared here.

use std::collections::HashMap;
use std::fmt;

use anyhow::{Result, bail};
use promoter_connector::simulator::ledger::{Ledger, LedgerVerdict};

/// How many of each kind a verdict prints.
const SHOWN: usize = 5;

/// One published event, as the judge looks at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishedEvent {
    pub key: String,
    /// Events of one stream stand in the order of their times, page by page.
    pub stream: String,
    /// Of how many pages the stream may consist, where a consumer can't tell them apart.
    pub pages_max: u32,
    pub time: i64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    pub expected: usize,
    pub found: usize,
    /// Expected, and found less often than that.
    pub missing: Vec<String>,
    /// Found more often than expected, once for each time too many.
    pub twice: Vec<String>,
    /// Found, and never expected.
    pub foreign: Vec<String>,
    /// Found behind a later fact of their stream.
    pub misordered: Vec<String>,
}

/// `found` is in the order in which it was published, at least within each stream.
pub fn judge(expected: impl IntoIterator<Item = String>, found: impl IntoIterator<Item = PublishedEvent>) -> Verdict {
    let mut ledger = Ledger::default();
    expected.into_iter().for_each(|key| ledger.show(key));
    let mut misordered = Vec::new();
    // For each stream the latest time of the page it is in, and how many pages may still come.
    let mut streams: HashMap<String, (i64, u32)> = HashMap::new();
    for event in found {
        let PublishedEvent { key, stream, pages_max, time } = event;
        let (latest, pages_left) = streams.entry(stream).or_insert((time, pages_max.saturating_sub(1)));
        if time < *latest && *pages_left > 0 {
            *pages_left -= 1;
            *latest = time;
        } else if time < *latest {
            misordered.push(key.clone());
        }
        *latest = time.max(*latest);
        ledger.publish(key);
    }
    let LedgerVerdict { shown, published, missing, twice, never_shown } = ledger.verdict();
    Verdict { expected: shown, found: published, missing, twice, foreign: never_shown, misordered }
}

impl Verdict {
    pub fn is_exact(&self) -> bool {
        [&self.missing, &self.twice, &self.foreign, &self.misordered].iter().all(|faults| faults.is_empty())
    }

    /// An error that reads as the verdict, unless it is exact and there was something to judge.
    pub fn must_be_exact(&self) -> Result<()> {
        if self.expected == 0 {
            bail!("nothing was shown, so nothing is proven");
        }
        if !self.is_exact() {
            bail!("{self}");
        }
        Ok(())
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (missing, twice) = (self.missing.len(), self.twice.len());
        let (foreign, misordered) = (self.foreign.len(), self.misordered.len());
        write!(f, "shown {}, published {}, ", self.expected, self.found)?;
        write!(f, "missing {missing}, twice {twice}, foreign {foreign}, misordered {misordered}")?;
        let kinds = [
            ("missing", &self.missing),
            ("twice", &self.twice),
            ("foreign", &self.foreign),
            ("misordered", &self.misordered),
        ];
        for (kind, keys) in kinds {
            for key in keys.iter().take(SHOWN) {
                write!(f, "\n  {kind}: {key}")?;
            }
            if keys.len() > SHOWN {
                write!(f, "\n  {kind}: … and {} more", keys.len() - SHOWN)?;
            }
        }
        Ok(())
    }
}
