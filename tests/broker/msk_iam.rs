//! A broker that looks at tokens as Amazon MSK does: the real binary with the role of a container, whose credentials end soon.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::secured::with_properties;
use super::world::{BOUND, OPEN, PROMOTERS, SETTLE, lively};
use crate::harness::case::Case;
use crate::harness::context::Context;
use crate::harness::msk_iam::{self, Agent, SECRET, SESSION};
use crate::harness::wait::wait_until;

pub const CASES: &[Case] = &[Case::special(
    "msk_iam: the role of a container lets in, each session anew, and all is published once",
    msk_iam::way_in,
    role,
)];

/// Long enough for a slow machine between a token and the session that is proved by it.
const LIFE: Duration = Duration::from_secs(6);
const WRONG: &str = "wr0ng/of+tests=";

fn role(context: &Context) -> Result<()> {
    let agent = Agent::start(LIFE)?;
    let environment = agent.environment();
    let environment = environment.each_ref().map(|(name, value)| (*name, value.as_str()));
    let simulator = lively(context, "6s")?;
    // All that anybody logs, AWS's crates among them.
    let told = "log.level = \"trace\"\nkafka.debug = \"broker,security\"";
    let config = with_properties(context, &context.config(simulator.url(), PROMOTERS, told), &properties(context)?);
    agent.give(WRONG);
    let connector = context.connector("one", &config, &environment)?;
    connector.wait_logged("another signature", 1, BOUND)?;
    ensure!(!connector.log()?.contains(OPEN), "a wrong signature lets nobody in");
    agent.give(SECRET);
    connector.wait_logged(OPEN, 1, BOUND)?;
    let renewed = agent.asked() + 2;
    wait_until("tokens are renewed", BOUND, || Ok((agent.asked() >= renewed).then_some(())))?;
    connector.wait_logged("Received REAUTH op", 2, BOUND)?;
    context.settle(&simulator, SETTLE)?;
    ensure!(connector.terminate()?.success(), "it ends in order");
    let log = connector.log()?;
    ensure!(log.contains("kafka token issued"), "what is logged at debug is there");
    ensure!(![SECRET, SESSION, WRONG].iter().any(|secret| log.contains(secret)), "no secret is shown");
    // Base64 of what every token begins with.
    ensure!(!log.contains("aHR0cHM6Ly9rYWZrYS5"), "no token is shown");
    Ok(())
}

fn properties(context: &Context) -> Result<Vec<(&'static str, String)>> {
    Ok(vec![
        ("bootstrap.servers", format!("localhost:{}", context.broker().way_in()?.port)),
        ("security.protocol", "sasl_plaintext".to_owned()),
        ("sasl.mechanisms", "OAUTHBEARER".to_owned()),
        ("sasl.oauthbearer.method", "aws_msk_iam".to_owned()),
        // So short a session makes a broker refuse some connections: two proofs within a second are too many for it.
        ("reconnect.backoff.max.ms", "500".to_owned()),
    ])
}
