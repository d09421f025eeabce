//! The commands against a broker that asks who is there: what they say names the right that keeps them out.

use anyhow::{Result, ensure};

use super::framed::put;
use super::{prepare_with, promoters};
use crate::broker::secured::sasl_properties;
use crate::broker::world::BOUND;
use crate::harness::context::Context;
use crate::harness::rights::{self, DESCRIBE, READ, TOPIC, WRITE};
use crate::harness::security::{PASSWORD, SCRAM_USER};
use crate::harness::wait::wait_until;

/// Grants one right after the other, exactly those of README.md, until promoters are registered.
pub fn are_named(context: &Context) -> Result<()> {
    let properties = sasl_properties(context, "SCRAM-SHA-512", "scram", PASSWORD)?;
    let properties: String = properties.iter().map(|(name, value)| format!("kafka.\"{name}\" = {value:?}\n")).collect();
    let topic = prepare_with(context, &properties)?;
    // Of an empty topic nothing has to be read.
    put(context, &topic, "oThere", b"?".to_vec(), false)?;
    let says = |arguments: &[&str], words: &str| -> Result<()> {
        // A right that was given is known to the broker a moment later.
        wait_until(&format!("{words:?} is said"), BOUND, || {
            let output = promoters(context, arguments)?;
            let told = String::from_utf8_lossy(&output.stderr).into_owned();
            ensure!(output.status.code() == Some(1), "it fails, and does not end with {}: {told}", output.status);
            Ok(told.contains(words).then_some(()))
        })
    };
    let allow =
        |operation| rights::allow(context.bootstrap(), SCRAM_USER, &[operation], TOPIC, std::slice::from_ref(&topic));
    says(&["list"], &format!("topic {topic} may not be looked at; allow this user DESCRIBE and READ on it"))?;
    allow(DESCRIBE)?;
    says(&["list"], &format!("topic {topic} may not be read; allow this user to READ it"))?;
    allow(READ)?;
    says(&["add", "oA"], &format!("topic {topic} may not be written; allow this user to WRITE it"))?;
    allow(WRITE)?;
    wait_until("a promoter is registered", BOUND, || {
        Ok(promoters(context, &["add", "oA"])?.status.success().then_some(()))
    })
}
