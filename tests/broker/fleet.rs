//! A fleet under load to which everything happens at once: instances start, stop in order, are killed and stand still for
//! longer than their session, and whatever the upstream shows is published once.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::abandoned::held;
use super::world::{BOUND, OPEN, PROMOTERS, QUICK_GROUP, SETTLE, SMALL_TRANSACTIONS, lively};
use crate::harness::case::Case;
use crate::harness::connector::Connector;
use crate::harness::context::Context;

const INSTANCES: [&str; 3] = ["one", "two", "three"];
/// How long the fleet is harmed.
const LIVELY: Duration = Duration::from_secs(45);

pub const CASES: &[Case] = &[
    Case::shared("fleet: joins, stops, kills and stand-stills lose and double nothing", everything_happens_at_once)
        .long(),
    Case::shared("fleet: what a killed instance was handing over is polled again", killed_while_it_hands_over),
    Case::shared("fleet: a stop does not wait for a restore", stopped_while_it_restores),
];

/// One instance of the fleet, if it runs.
struct Member<'a> {
    context: &'a Context,
    name: &'static str,
    config: String,
    running: Option<Connector>,
}

impl Member<'_> {
    fn start(&mut self) -> Result<()> {
        self.running = Some(self.context.connector(self.name, &self.config, &[])?);
        Ok(())
    }

    /// Does to it what `choice` says, one of a hundred; tells what that was.
    fn suffer(&mut self, choice: u32, random: &mut ChaCha8Rng) -> Result<&'static str> {
        let Some(connector) = &self.running else {
            self.start()?;
            return Ok("starts");
        };
        connector.must_run()?;
        match choice {
            0..30 => {
                let end = connector.terminate()?;
                ensure!(end.success(), "{} ends in order, and not with {end}", self.name);
                self.running = None;
                Ok("has stopped")
            }
            30..60 => {
                connector.kill9()?;
                self.running = None;
                Ok("is killed")
            }
            60..70 => {
                connector.kill9()?;
                self.start()?;
                Ok("is killed and starts at once")
            }
            _ => {
                connector.stop()?;
                std::thread::sleep(Duration::from_millis(random.random_range(200..6000)));
                connector.cont()?;
                Ok("stood still")
            }
        }
    }
}

fn everything_happens_at_once(context: &Context) -> Result<()> {
    let seed = std::env::var("FLEET_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let simulator = lively(context, "50s")?;
    let more = format!("{SMALL_TRANSACTIONS}\n{QUICK_GROUP}");
    let mut fleet = INSTANCES.map(|name| {
        let config =
            context.config_of(name, simulator.url(), PROMOTERS, &more).replace("partitions = 3", "partitions = 8");
        Member { context, name, config, running: None }
    });
    fleet[0].start()?;
    if let Some(first) = &fleet[0].running {
        first.wait_logged(OPEN, 1, BOUND)?;
    }
    let began = Instant::now();
    while began.elapsed() < LIVELY {
        let member = &mut fleet[random.random_range(0..INSTANCES.len())];
        let did = member.suffer(random.random_range(0..100), &mut random)?;
        println!("seed {seed}, {:?}: {} {did}", began.elapsed(), member.name);
        std::thread::sleep(Duration::from_millis(random.random_range(50..2500)));
    }
    for member in &mut fleet {
        if member.running.is_none() {
            member.start()?;
        }
    }
    context.settle(&simulator, SETTLE)?;
    for member in &fleet {
        let Some(connector) = &member.running else { continue };
        connector.must_run()?;
        let log = connector.log()?;
        let reopened = log.matches("a transaction before it has failed").count();
        println!(
            "seed {seed}: {} opened {}, refused and opened again {reopened}, shards lost {}",
            member.name,
            log.matches(OPEN).count(),
            log.matches("shards are not owned any more").count()
        );
        if let Ok(keep) = std::env::var("FLEET_LOGS") {
            std::fs::write(format!("{keep}/{seed}-{}.log", member.name), log)?;
        }
    }
    Ok(())
}

/// A member of a fixed name that is back within its session is given what it had without a new generation. What it was about to
/// give back when it was killed is nobody's then, until somebody joins or leaves.
fn killed_while_it_hands_over(context: &Context) -> Result<()> {
    const REVOKED: &str = "partitions revoked";
    let simulator = lively(context, "25s")?;
    let patient = "kafka.\"session.timeout.ms\" = 20000\nkafka.\"heartbeat.interval.ms\" = 500\n";
    let more = format!("{SMALL_TRANSACTIONS}\n{patient}");
    let config =
        |name| context.config_of(name, simulator.url(), PROMOTERS, &more).replace("partitions = 3", "partitions = 8");
    let one = context.connector("one", &config("one"), &[])?;
    one.wait_logged(OPEN, 1, BOUND)?;
    let _two = context.connector("two", &config("two"), &[])?;
    let deadline = Instant::now() + BOUND;
    let is_revoked = |log: &str| log.lines().any(|line| line.contains(REVOKED) && line.contains(".registry"));
    while !is_revoked(&one.log()?) {
        ensure!(Instant::now() < deadline, "a second instance takes nothing");
        std::thread::sleep(Duration::from_micros(200));
    }
    one.kill9()?;
    let again = context.connector("one", &config("one"), &[])?;
    // Of what is nobody's nothing would come however long it is waited for.
    let settled = context.settle(&simulator, SETTLE);
    for name in ["one", "two"] {
        let log = std::fs::read_to_string(context.directory().join(format!("{name}.err")))?;
        for line in log.lines().filter(|line| line.contains("partitions ") && !line.contains("requests")) {
            println!("{name}: {line}");
        }
    }
    again.must_run()?;
    settled
}

/// A stop does not wait for somebody else's open transaction, which holds up the restore of a shard.
fn stopped_while_it_restores(context: &Context) -> Result<()> {
    let simulator = lively(context, "10s")?;
    let more = format!("{SMALL_TRANSACTIONS}\n{QUICK_GROUP}");
    let config = |name| context.config_of(name, simulator.url(), PROMOTERS, &more);
    let one = context.connector("one", &config("one"), &[])?;
    one.wait_logged(OPEN, 1, BOUND)?;
    one.kill9()?;
    let _holder = held(context)?;
    let two = context.connector("two", &config("two"), &[])?;
    two.wait_logged("waiting for an open transaction", 1, BOUND)?;
    let began = Instant::now();
    let end = two.terminate()?;
    println!("{end} after {:?}", began.elapsed());
    ensure!(
        end.success() && began.elapsed() < Duration::from_secs(5),
        "it ended with {end} after {:?}",
        began.elapsed()
    );
    Ok(())
}
