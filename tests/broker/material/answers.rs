//! What is answered so far, as a read_committed consumer sees it.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::harness::connector::Connector;
use crate::harness::consumer::{Reader, Record};
use crate::harness::context::Context;

const BOUND: Duration = Duration::from_secs(120);

/// Replies and dead letters, as they come.
pub struct Answers {
    reader: Reader,
    seen: Vec<Record>,
}

impl Answers {
    pub fn open(context: &Context) -> Result<Answers> {
        let topics = ["material.results", "dead-letters"].map(|name| context.topics().name(name));
        let topics = topics.each_ref().map(String::as_str);
        Ok(Answers { reader: Reader::open(context.bootstrap(), &topics)?, seen: Vec::new() })
    }

    /// As of the last wait.
    pub fn count(&self) -> usize {
        self.seen.len()
    }

    /// Waits until there are at least `count` in all, from connectors that keep running.
    pub fn wait_for(&mut self, count: usize, connectors: &[&Connector]) -> Result<()> {
        let start = Instant::now();
        loop {
            self.reader.poll(&mut self.seen)?;
            if self.seen.len() >= count {
                return Ok(());
            }
            connectors.iter().try_for_each(|connector| connector.must_run())?;
            if start.elapsed() > BOUND {
                bail!("{} answers came within {BOUND:?}, and not {count}", self.seen.len());
            }
        }
    }

    /// Waits until `count` have come beside those that can be seen already.
    pub fn wait_for_more(&mut self, count: usize, connectors: &[&Connector]) -> Result<()> {
        self.reader.poll(&mut self.seen)?;
        self.wait_for(self.seen.len() + count, connectors)
    }
}
