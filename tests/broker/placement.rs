//! Every record stands in the partition of its promoter.

use anyhow::{Context as _, Result, ensure};
use promoter_connector::model::day_record::DayContent;
use promoter_connector::model::fence::Fence;
use promoter_connector::model::promoter::Promoter;
use promoter_connector::model::shard::Shard;
use promoter_connector::model::state_record::StateKey;

use super::world::{PROMOTERS, SETTLE, lively};
use crate::harness::case::Case;
use crate::harness::consumer::read_all;
use crate::harness::context::Context;

const PARTITIONS: i32 = 3;

pub const CASES: &[Case] = &[Case::shared("placement: events and state stand in their promoter's partition", places)];

fn places(context: &Context) -> Result<()> {
    let simulator = lively(context, "4s")?;
    let config = context.config(simulator.url(), PROMOTERS, "");
    let connector = context.connector("one", &config, &[])?;
    context.settle(&simulator, SETTLE)?;
    for topic in ["touches", "orders", "dead-letters", "state"] {
        let records = read_all(context.bootstrap(), &context.topics().name(topic))?;
        ensure!(!records.is_empty(), "{topic} has no records");
        for record in records {
            let key = record.key.as_deref().context("every record has a key")?;
            let promoter = match topic {
                // Whose the topic is, how far requests are answered, and what was published of each day: no promoter's.
                "state"
                    if Fence::connector_of(key).is_some()
                        || key.starts_with(b"answered/")
                        || DayContent::is_key(key) =>
                {
                    continue;
                }
                "state" => StateKey::decode(key)?.promoter().clone(),
                _ => Promoter::from_key(&record.key_text())?,
            };
            let place = Shard::of(&promoter, PARTITIONS).0;
            ensure!(record.partition == place, "{topic}: {promoter} belongs to {place}, not to {}", record.partition);
        }
    }
    connector.must_run()
}
