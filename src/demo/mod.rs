//! The demo: the simulated upstream over HTTP, a mock cluster as the broker or a real one that is named, the real connector, a program
//! that asks for material, and a consumer that prints what arrives and compares it with what was shown, in one process.
//!
//! ```text
//!                                       requester ── requests for material ──┐
//!                                                                            v
//!  upstream (HTTP) <── polls ── connector ── transactions ─────────────> broker ───── read_committed ──> consumer
//!      │           <── calls ──                                                                             │
//!      └── what it showed ───────────────────────────> ledger, verdict <── what arrived ─────── screen ─────┘
//! ```
//!
//! The end comes in the order of the data: the last request is put, the upstream stands still, the connector publishes
//! what was shown, answers what was asked and stops, the consumer reads to the end, the verdict is given.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Error};
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::app;
use crate::config::Config;
use crate::kafka::client::settings::{RequestTopics, Settings};
use broker::DemoBroker;
use consumer::DemoConsumer;
use outcome::DemoOutcome;
use requester::{DemoRequester, RequesterTask};
use screen::Screen;
use show::{Show, Sources};
use upstream::Upstream;

mod broker;
mod consumer;
pub(crate) mod event;
mod materials;
mod outcome;
mod requester;
mod screen;
mod show;
mod upstream;

/// How long before its end the demo's upstream stands still, so that the verdict comes about on time.
const QUIET: Duration = Duration::from_secs(2);
/// How long the connector may take to ask for everything and to publish it once the upstream stands still: longer
/// than any of its pauses, and than a transaction that a broker which stood still for a while lets time out.
const SETTLE_MAX: Duration = Duration::from_secs(120);
const LOOK_EVERY: Duration = Duration::from_millis(50);

const CONNECTOR: &str = include_str!("connector.toml");

/// What the demo is asked for.
#[derive(Clone, Debug)]
pub struct DemoPlan {
    pub seed: u64,
    /// HOST:PORT of a real broker; a mock cluster in its place, if absent.
    pub bootstrap_servers: Option<Arc<str>>,
    /// Until interrupted, if absent.
    pub duration: Option<Duration>,
}

/// Runs until the plan's end or until `interrupt` is cancelled, then settles what was shown and asked, and gives the verdict.
///
/// # Errors
/// Where a part of it fails; a verdict that is bad is no error.
pub async fn run(plan: DemoPlan, interrupt: CancellationToken) -> anyhow::Result<DemoOutcome> {
    let mut screen = Screen::stdout();
    let upstream = Upstream::start(plan.seed).await?;
    let broker = DemoBroker::start(plan.bootstrap_servers.clone())?;
    let (mut config, topics) = connector(&upstream, &broker).await?;
    let status_page = free_address()?;
    config.admin.listen = Some(status_page);
    introduce(&mut screen, &plan, &upstream, &broker, status_page)?;
    let (consumer, records) = DemoConsumer::start(&config.kafka, &topics.results);
    let (requester_task, requested) = RequesterTask::start(requester(&config.kafka, &topics, &upstream));
    let sources = Sources { records, requested, request_topic: topics.requests, world: upstream.world.clone() };
    let mut show = Show::new(screen, sources);
    let stop = CancellationToken::new();
    let mut running = Running {
        connector: tokio::spawn(app::run(config, app::RunMode::default(), stop.clone())),
        consumer,
        requester: Some(requester_task),
        upstream,
    };

    show.until(running.unless_broken(end_of(&plan, interrupt))).await??;
    show.until(running.end_requests()).await??;
    running.upstream.stand_still();
    show.say("-- the upstream stands still; what it has shown and what was asked for is published to the end")?;
    let deadline = Instant::now() + SETTLE_MAX;
    while !show.is_settled() && Instant::now() < deadline {
        show.until(running.unless_broken(sleep(LOOK_EVERY))).await??;
    }
    stop.cancel();
    show.until(&mut running.connector).await?.context("the connector died")??;
    running.consumer.finish.cancel();
    show.until(&mut running.consumer.thread).await?.context("the consumer died")??;
    let outcome = show.verdict().await?;
    running.upstream.stop().await?;
    Ok(outcome)
}

async fn end_of(plan: &DemoPlan, interrupt: CancellationToken) {
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
    consumer: DemoConsumer,
    /// Until no more is asked for.
    requester: Option<RequesterTask>,
    upstream: Upstream,
}

impl Running {
    /// When it returns, every request has been put.
    ///
    /// # Errors
    /// Why the program that asks for material has ended before.
    async fn end_requests(&mut self) -> anyhow::Result<()> {
        let Some(requester) = self.requester.take() else { return Ok(()) };
        requester.stop.cancel();
        requester.task.await.context("the program that asks for material died")?
    }

    /// Waits, unless one of the parts ends before it is told to.
    ///
    /// # Errors
    /// Which part has ended, and why.
    async fn unless_broken(&mut self, wait: impl Future<Output = ()>) -> anyhow::Result<()> {
        let requests = async {
            match &mut self.requester {
                Some(requester) => (&mut requester.task).await,
                None => std::future::pending().await,
            }
        };
        let (part, ended) = tokio::select! {
            () = wait => return Ok(()),
            ended = &mut self.connector => ("connector", ended),
            ended = &mut self.consumer.thread => ("consumer", ended),
            ended = requests => ("program that asks for material", ended),
            ended = &mut self.upstream.server => ("simulated upstream", ended),
        };
        match ended {
            Ok(Err(error)) => Err(error.context(format!("the {part} failed"))),
            Ok(Ok(())) => Err(Error::msg(format!("the {part} ended too early"))),
            Err(error) => Err(Error::new(error).context(format!("the {part} died"))),
        }
    }
}

/// The connector as it is configured for the demo, and its topics, which are made.
///
/// # Errors
/// Where the demo's configuration is wrong, or the broker does not make a topic.
async fn connector(upstream: &Upstream, broker: &DemoBroker) -> anyhow::Result<(Config, RequestTopics)> {
    let mut config = config(&upstream.url, broker, &upstream.facts_from.to_string())?;
    let requests = config.requests.as_ref().context("the demo takes requests")?.topics.clone();
    broker.make_topics(&mut config, &requests).await?;
    Ok((config, requests))
}

/// One that nobody listens on, for it was asked for just now.
///
/// # Errors
/// Where the system gives no port.
fn free_address() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no port for the status page")?;
    Ok(listener.local_addr()?)
}

fn requester(settings: &Settings, topics: &RequestTopics, upstream: &Upstream) -> DemoRequester {
    DemoRequester {
        settings: settings.clone(),
        topic: topics.requests.clone(),
        app_id: upstream.app_id.clone(),
        promoters: upstream.requested_promoters.clone(),
    }
}

fn config(upstream: &str, broker: &DemoBroker, start: &str) -> anyhow::Result<Config> {
    let variable = |name: &str| match name {
        "UPSTREAM" => Some(upstream.to_owned()),
        "BROKER" => Some(broker.bootstrap_servers.clone()),
        "PREFIX" => Some(broker.prefix.clone()),
        "START" => Some(start.to_owned()),
        _ => None,
    };
    Config::parse(CONNECTOR, Path::new("src/demo/connector.toml"), &variable).context("the demo's configuration")
}

fn introduce(
    screen: &mut Screen<std::io::Stdout>,
    plan: &DemoPlan,
    upstream: &Upstream,
    broker: &DemoBroker,
    status_page: SocketAddr,
) -> anyhow::Result<()> {
    let (seed, promoters) = (plan.seed, upstream.promoters);
    let length = match plan.duration {
        Some(duration) => format!("for {} s", duration.as_secs_f64()),
        None => "until Ctrl-C".to_owned(),
    };
    let place = match plan.bootstrap_servers {
        Some(_) => "everything but the broker in this process",
        None => "everything in this process, nothing to install",
    };
    screen.text(&format!(
        "promoter-connector demo, {length}: {place}\n\
         \n\
         upstream   simulated, over HTTP at {}; seed {seed}, {promoters} promoters, faults on\n\
         broker     {}\n\
         connector  the real one, as src/demo/connector.toml configures it\n\
         status     at http://{status_page}/\n",
        upstream.url,
        broker.introduction(),
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
        let config = config(
            &upstream.url,
            &DemoBroker::start(Some("localhost:1".into())).unwrap(),
            &upstream.facts_from.to_string(),
        )
        .unwrap();
        let polled = config.apps.iter().flat_map(|app| &app.promoters).map(|(promoter, _)| promoter.promoter_id());
        let polled: Vec<String> = polled.map(str::to_owned).collect();
        assert_eq!(polled, upstream.world.with(|world| world.promoter_ids()));
    }
}
