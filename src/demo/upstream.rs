//! The simulated upstream, as lively as a person can follow.

use std::time::Duration;

use anyhow::Context;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::model::time::UnixTime;
use crate::simulator::faults::{FaultRate, InjectedFault};
use crate::simulator::{SharedWorld, World, WorldOptions, serve};

/// A few facts a second among all promoters, each with a short past.
const PROMOTERS: u32 = 20;
const TOUCHES_PER_HOUR: f64 = 600.0;
const ORDERS_PER_HOUR: f64 = 200.0;
const HISTORY: Duration = Duration::from_secs(2 * 3600);
const HISTORY_TOUCHES: u32 = 2;
const HISTORY_ORDERS: u32 = 1;
/// What the ledger has to keep at most; at this pace it is reached after a day.
const FACTS_MAX: u64 = 200_000;
/// Of those that material is asked for.
const REQUESTED_PROMOTERS: usize = 4;

pub struct Upstream {
    pub world: SharedWorld,
    pub url: String,
    pub promoters: u32,
    pub app_id: String,
    /// Material is asked for these: enough happens to them that a touch soon comes from it.
    pub requested_promoters: Vec<String>,
    /// No fact is older.
    pub facts_from: UnixTime,
    pub server: JoinHandle<anyhow::Result<()>>,
    shutdown: CancellationToken,
}

impl Upstream {
    /// Listens on a free port of the loopback.
    ///
    /// # Errors
    /// Where there is no such port.
    pub async fn start(seed: u64) -> anyhow::Result<Upstream> {
        let start = clock::now();
        let options = options(seed);
        let world = World::new(&options, start).context("the simulated world")?;
        let requested_promoters = world.liveliest(REQUESTED_PROMOTERS);
        let world = SharedWorld::new(world);
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.context("no port for the simulated upstream")?;
        let address = listener.local_addr().context("the listener has no address")?;
        let shutdown = CancellationToken::new();
        Ok(Upstream {
            url: format!("http://{address}"),
            promoters: PROMOTERS,
            app_id: options.apps.into_iter().next().context("the simulated world has no app")?,
            requested_promoters,
            facts_from: start.as_seconds().minus(HISTORY.as_secs().cast_signed()),
            server: tokio::spawn(serve(listener, world.clone(), shutdown.clone())),
            world,
            shutdown,
        })
    }

    /// From now on nothing new appears and nothing goes wrong.
    pub fn stand_still(&self) {
        self.world.with(|world| world.stand_still(clock::now()));
    }

    /// Ends it, and the requests that are under way.
    ///
    /// # Errors
    /// What the server has failed of.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.shutdown.cancel();
        self.server.await.context("the simulated upstream died")?
    }
}

fn options(seed: u64) -> WorldOptions {
    WorldOptions {
        seed,
        promoters: PROMOTERS,
        history: HISTORY,
        history_touches: Some(HISTORY_TOUCHES),
        history_orders: Some(HISTORY_ORDERS),
        touches_per_hour: TOUCHES_PER_HOUR,
        orders_per_hour: ORDERS_PER_HOUR,
        facts_max: FACTS_MAX,
        late_max: Duration::from_secs(8),
        refunds: 0.3,
        refund_within: Duration::from_secs(15),
        edit_every: Duration::from_secs(30),
        dead_rows: 0.02,
        // Faults that hold an interface for longer than a person likes to wait for the first event are left out.
        spell: Duration::from_secs(2),
        fault: vec![FaultRate { fault: InjectedFault::TooManyRequests, rate: 0.0 }],
        ..WorldOptions::default()
    }
}
