//! The demo: the simulated upstream over HTTP, a broker's stand-in, the real connector, and a consumer that prints
//! what arrives and judges it, in one process.
//!
//! ```text
//!  upstream (HTTP) <── polls ── connector ── transactions ──> stand-in ── read_committed ──> consumer
//!      │                                                                                        │
//!      └── what it showed ─────────────────────> ledger, verdict <── what arrived ──── screen ──┘
//! ```
//!
//! The end comes in the order of the data: the upstream stands still, the connector publishes what was shown and stops,
//! the consumer reads to the end, the verdict is given.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Error};
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::app::{self, Parts, Schemas};
use crate::config::Config;
use crate::kafka::settings::TopicPolicy;
use crate::kafka::stand_in::StandIn;
use consumer::Follower;
use screen::Screen;
use show::Show;
use upstream::Upstream;

mod consumer;
mod event;
mod ledger;
mod screen;
mod show;
mod upstream;

pub use ledger::Verdict;

/// How long before its end the demo's upstream stands still, so that the verdict comes about on time.
const QUIET: Duration = Duration::from_secs(2);
/// How long the connector may take to ask for everything and to publish it once the upstream stands still: longer
/// than any of its pauses.
const SETTLE_MAX: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(50);

const CONNECTOR: &str = include_str!("connector.toml");

/// What the demo is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub seed: u64,
    /// Until interrupted, if absent.
    pub duration: Option<Duration>,
}

/// Runs until the plan's end or until `interrupt` is cancelled, then settles what was shown, and judges.
pub async fn run(plan: Plan, interrupt: CancellationToken) -> anyhow::Result<Verdict> {
    let mut screen = Screen::stdout();
    let upstream = Upstream::start(plan.seed).await?;
    let stand_in = StandIn::start().map_err(Error::msg)?;
    let parts = connector(&upstream, &stand_in)?;
    introduce(&mut screen, plan, &upstream, &stand_in)?;
    let (follower, records) = Follower::start(&parts.kafka);
    let stop = CancellationToken::new();
    let mut running = Running {
        connector: tokio::spawn(app::run_parts(parts, Schemas::SINGLE_OBJECT, stop.clone())),
        follower,
        upstream,
    };
    let mut show = Show::new(screen, records, running.upstream.world.clone());

    show.until(running.unless_broken(end_of(plan, interrupt))).await??;
    running.upstream.stand_still();
    show.say("-- the upstream stands still; what it has shown is published to the end")?;
    let deadline = Instant::now() + SETTLE_MAX;
    while !show.is_settled() && Instant::now() < deadline {
        show.until(running.unless_broken(sleep(LOOK_EVERY))).await??;
    }
    stop.cancel();
    show.until(&mut running.connector).await?.context("the connector died")??;
    running.follower.finish.cancel();
    show.until(&mut running.follower.thread).await?.context("the consumer died")??;
    let verdict = show.verdict().await?;
    running.upstream.stop().await?;
    Ok(verdict)
}

async fn end_of(plan: Plan, interrupt: CancellationToken) {
    match plan.duration {
        Some(duration) => {
            let lively = sleep(duration - QUIET.min(duration / 2));
            // Either way the end has come.
            let _ = interrupt.run_until_cancelled(lively).await;
        }
        None => interrupt.cancelled().await,
    }
}

/// What runs beside the screen.
struct Running {
    connector: JoinHandle<anyhow::Result<()>>,
    follower: Follower,
    upstream: Upstream,
}

impl Running {
    /// Waits, unless one of the parts ends before it is told to.
    async fn unless_broken(&mut self, wait: impl Future<Output = ()>) -> anyhow::Result<()> {
        let (part, ended) = tokio::select! {
            () = wait => return Ok(()),
            ended = &mut self.connector => ("connector", ended),
            ended = &mut self.follower.thread => ("consumer", ended),
            ended = &mut self.upstream.server => ("simulated upstream", ended),
        };
        match ended {
            Ok(Err(error)) => Err(error.context(format!("the {part} failed"))),
            Ok(Ok(())) => Err(Error::msg(format!("the {part} ended too early"))),
            Err(error) => Err(Error::new(error).context(format!("the {part} died"))),
        }
    }
}

/// The connector as it is configured for the demo, and its topics.
fn connector(upstream: &Upstream, stand_in: &StandIn) -> anyhow::Result<Parts> {
    let config = config(&upstream.url, &stand_in.bootstrap_servers(), &upstream.facts_from.to_string())?;
    let mut parts = app::build(&config)?;
    parts.kafka.topic_policy = TopicPolicy::Trust;
    let names = &parts.kafka.topics;
    for topic in [&names.touches, &names.orders, &names.dead_letters, &names.registry, &names.state] {
        stand_in.create_topic(topic, config.topics.partitions).map_err(Error::msg)?;
    }
    Ok(parts)
}

fn config(upstream: &str, stand_in: &str, start: &str) -> anyhow::Result<Config> {
    let variable = |name: &str| match name {
        "UPSTREAM" => Some(upstream.to_owned()),
        "STAND_IN" => Some(stand_in.to_owned()),
        "START" => Some(start.to_owned()),
        _ => None,
    };
    Config::parse(CONNECTOR, Path::new("src/demo/connector.toml"), &variable).context("the demo's configuration")
}

fn introduce(
    screen: &mut Screen<std::io::Stdout>,
    plan: Plan,
    upstream: &Upstream,
    stand_in: &StandIn,
) -> anyhow::Result<()> {
    let (seed, promoters) = (plan.seed, upstream.promoters);
    let length = match plan.duration {
        Some(duration) => format!("for {} s", duration.as_secs_f64()),
        None => "until Ctrl-C".to_owned(),
    };
    screen.text(&format!(
        "promoter-connector demo, {length}: everything in this process, nothing to install\n\
         \n\
         upstream   simulated, over HTTP at {}; seed {seed}, {promoters} promoters, faults on\n\
         broker     a stand-in kept in memory, at {}; it proves nothing about exactly-once:\n\
         \x20          that is tested on a real Kafka, see \"Tests\" in README.md\n\
         connector  the real one, as src/demo/connector.toml configures it\n",
        upstream.url,
        stand_in.bootstrap_servers(),
    ))?;
    screen.head()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_connector_polls_every_promoter_of_the_simulated_upstream() {
        let upstream = Upstream::start(1).await.unwrap();
        let config = config(&upstream.url, "localhost:1", &upstream.facts_from.to_string()).unwrap();
        let polled = config.apps.iter().flat_map(|app| &app.promoters).map(|entry| entry.promoter.promoter_id());
        let polled: Vec<String> = polled.map(str::to_owned).collect();
        assert_eq!(polled, upstream.world.with(|world| world.promoter_ids()));
    }
}
