//! Real brokers: Apache Kafka in KRaft mode, one node each, on free ports and in their own directories.

use std::ffi::OsString;
use std::fs::{self, DirEntry};
use std::net::TcpListener;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rdkafka::consumer::{BaseConsumer, Consumer};
use tempfile::TempDir;

use super::availability::Brokers;
use super::client;
use super::directory;
use super::distribution::Distribution;
use super::old_kafka::OldBroker;
use super::process::Process;
use super::proxy::{Detour, DetourListeners};
use super::security::Security;
use super::wait::wait_until;
use super::way_in::{self, Prepare, WayIn};

/// A cold JVM answers after three seconds on two idle cores; they may be busy.
const START_BOUND: Duration = Duration::from_secs(90);
/// A broker that is given runs already.
const GIVEN_BOUND: Duration = Duration::from_secs(10);
/// As many cases at once can cut the network.
const DETOURS: usize = 2;
/// Another process may take a free port between the look at it and the broker's start.
const START_ATTEMPTS: usize = 3;

/// What formatting leaves behind for a broker that asks nobody who is there: the same files for each of them.
static FORMATTED: Mutex<Vec<(OsString, Vec<u8>)>> = Mutex::new(Vec::new());

pub enum Broker {
    Own(Box<OwnBroker>),
    Old(Box<OldBroker>),
    Given { bootstrap: String },
}

impl Broker {
    /// Starts a broker with `properties` beside those of the harness, or takes the one that is given.
    pub fn start(brokers: &Brokers, properties: &[(&str, &str)]) -> Result<Broker> {
        match brokers {
            Brokers::Own(distribution) => {
                OwnBroker::start(distribution, properties, Listeners::Open).map(|own| Broker::Own(Box::new(own)))
            }
            Brokers::Given { bootstrap } => {
                let broker = Broker::Given { bootstrap: bootstrap.clone() };
                if !broker.answers(GIVEN_BOUND)? {
                    bail!("the given broker {bootstrap} does not answer");
                }
                Ok(broker)
            }
        }
    }

    /// Starts a broker with listeners that ask who is there, and with rules about who may do what.
    pub fn start_secured(distribution: &Distribution) -> Result<Broker> {
        OwnBroker::start(distribution, &[], Listeners::Secured).map(|own| Broker::Own(Box::new(own)))
    }

    /// Starts a broker with one more way in.
    pub fn start_with_way_in(distribution: &Distribution, prepare: Prepare) -> Result<Broker> {
        OwnBroker::start(distribution, &[], Listeners::Special(prepare)).map(|own| Broker::Own(Box::new(own)))
    }

    /// Starts a broker of a version that still has a ZooKeeper.
    pub fn start_old(distribution: &Distribution) -> Result<Broker> {
        OldBroker::start(distribution).map(|old| Broker::Old(Box::new(old)))
    }

    /// Of a broker that was started with it.
    pub fn security(&self) -> Result<&Security> {
        self.own()?.security.as_ref().context("the broker is not secured")
    }

    /// Of a broker that was started with one more.
    pub fn way_in(&self) -> Result<&WayIn> {
        self.own()?.way_in.as_ref().context("the broker has no other way in")
    }

    /// Lets the client of this `client.id` write so many bytes a second.
    pub fn throttle(&self, client: &str, bytes: u32) -> Result<()> {
        let own = self.own()?;
        let mut command = own.distribution.command("kafka.admin.ConfigCommand");
        command.args(["--bootstrap-server", &own.bootstrap, "--alter", "--entity-type", "clients"]);
        command.current_dir(own.directory.path());
        let rate = format!("producer_byte_rate={bytes}");
        let answer = command.args(["--entity-name", client, "--add-config", &rate]).output();
        let answer = answer.context("Java does not start")?;
        ensure!(answer.status.success(), "no quota: {}", String::from_utf8_lossy(&answer.stderr));
        Ok(())
    }

    /// That of the listener which asks nobody.
    pub fn bootstrap(&self) -> &str {
        match self {
            Broker::Own(own) => &own.bootstrap,
            Broker::Old(old) => old.bootstrap(),
            Broker::Given { bootstrap } => bootstrap,
        }
    }

    /// SIGKILL.
    pub fn kill(&self) -> Result<()> {
        self.process(Process::kill9)
    }

    /// SIGSTOP: connections stay open and nothing answers.
    pub fn pause(&self) -> Result<()> {
        self.process(Process::pause)
    }

    /// SIGCONT.
    pub fn resume(&self) -> Result<()> {
        self.process(Process::resume)
    }

    /// A way to it that this process is the only one to be given.
    pub fn detour(&self) -> Result<Detour> {
        let detour = self.own()?.detours.lock().expect("no holder of this lock panics").pop();
        detour.context("there are not so many detours")
    }

    /// Whether it answers within `bound`.
    pub fn answers(&self, bound: Duration) -> Result<bool> {
        let consumer: BaseConsumer = client::config(self.bootstrap()).create()?;
        Ok(consumer.fetch_metadata(None, bound).is_ok())
    }

    /// Starts again on the same directory and ports, after `kill`, and waits until it answers.
    pub fn restart(&self) -> Result<()> {
        let own = self.own()?;
        own.run()?;
        own.wait_ready()
    }

    fn process(&self, act: impl FnOnce(&Process) -> Result<()>) -> Result<()> {
        match &*self.own()?.process.lock().expect("no holder of this lock panics") {
            Some(process) => act(process),
            None => bail!("the broker does not run"),
        }
    }

    fn own(&self) -> Result<&OwnBroker> {
        match self {
            Broker::Own(own) => Ok(own),
            Broker::Old(_) => bail!("an old broker is neither secured nor stopped"),
            Broker::Given { bootstrap } => bail!("the broker {bootstrap} is not the harness's own"),
        }
    }
}

/// What a broker listens to beside the way in that is open to all.
#[derive(Clone, Copy)]
enum Listeners {
    Open,
    Secured,
    Special(Prepare),
}

pub struct OwnBroker {
    distribution: Distribution,
    bootstrap: String,
    // Before the directory: it has to be dead before its files go.
    process: Mutex<Option<Process>>,
    security: Option<Security>,
    way_in: Option<WayIn>,
    /// Those that nobody has taken.
    detours: Mutex<Vec<Detour>>,
    directory: TempDir,
}

impl OwnBroker {
    fn start(distribution: &Distribution, properties: &[(&str, &str)], listeners: Listeners) -> Result<OwnBroker> {
        let mut last = None;
        for _ in 0..START_ATTEMPTS {
            match OwnBroker::try_start(distribution, properties, listeners) {
                Ok(broker) => return Ok(broker),
                Err(error) => last = Some(error),
            }
        }
        Err(last.expect("there is at least one attempt"))
    }

    fn try_start(distribution: &Distribution, properties: &[(&str, &str)], listeners: Listeners) -> Result<OwnBroker> {
        let directory = directory::temporary("kafka")?;
        let (port, controller_port) = (free_port()?, free_port()?);
        let data = directory.path().join("data");
        let detour = |_| Ok(Detour { from: free_port()?, to: free_port()? });
        let detours = (0..DETOURS).map(detour).collect::<Result<Vec<_>>>()?;
        let mut text = server_properties(port, controller_port, &detours);
        text.push_str(&format!("log.dirs={}\n", data.display()));
        let (security, way_in) = match listeners {
            Listeners::Open => (None, None),
            Listeners::Secured => {
                let ports = [free_port()?, free_port()?, free_port()?, free_port()?, free_port()?];
                (Some(Security::prepare(directory.path(), ports)?), None)
            }
            Listeners::Special(prepare) => (None, Some(prepare(directory.path())?)),
        };
        // Of a property that stands twice, the last counts.
        text.extend(security.iter().map(|security| security.server_properties(port, controller_port)));
        text.extend(way_in.iter().map(|way_in| way_in.server_properties(port, controller_port)));
        for (key, value) in properties {
            text.push_str(&format!("{key}={value}\n"));
        }
        fs::write(directory.path().join("server.properties"), text).context("server.properties can't be written")?;
        let bootstrap = format!("127.0.0.1:{port}");
        let process = Mutex::new(None);
        let (distribution, detours) = (distribution.clone(), Mutex::new(detours));
        let broker = OwnBroker { distribution, bootstrap, process, security, way_in, detours, directory };
        broker.format()?;
        broker.run()?;
        broker.wait_ready()?;
        Ok(broker)
    }

    /// Makes the directory of its data. Kafka's own tool for it is a cold JVM, so only the first of the open brokers waits for it.
    fn format(&self) -> Result<()> {
        let data = self.directory.path().join("data");
        if self.security.is_some() {
            return self.run_format();
        }
        let mut formatted = FORMATTED.lock().expect("no holder of this lock panics");
        if formatted.is_empty() {
            self.run_format()?;
            *formatted = files_of(&data)?;
            return Ok(());
        }
        directory::create(&data)?;
        for (name, bytes) in formatted.iter() {
            fs::write(data.join(name), bytes).with_context(|| format!("{} can't be written", name.display()))?;
        }
        Ok(())
    }

    fn run_format(&self) -> Result<()> {
        // Any 16 bytes in base64 will do, and no two brokers of this harness ever meet.
        let answer = self
            .distribution
            .command("kafka.tools.StorageTool")
            .args(["format", "-t", "cHJvbW90ZXItdGVzdC0wMQ", "-c", "server.properties"])
            .args(self.security.iter().flat_map(|_| Security::format_arguments()))
            .current_dir(self.directory.path())
            .output()
            .context("Java does not start")?;
        if !answer.status.success() {
            bail!("the directory can't be formatted: {}", String::from_utf8_lossy(&answer.stderr));
        }
        Ok(())
    }

    fn run(&self) -> Result<()> {
        let program = self.way_in.as_ref().map_or(way_in::KAFKA, |way_in| &way_in.program);
        let mut command = self.distribution.command(program);
        command.arg("server.properties");
        let options = self.security.iter().map(Security::java_options);
        let options = options.chain(self.way_in.iter().map(|way_in| way_in.java_options.clone()));
        command.envs(options.map(|options| ("JAVA_TOOL_OPTIONS", options)));
        let process = Process::start("kafka", &command, self.directory.path())?;
        *self.process.lock().expect("no holder of this lock panics") = Some(process);
        Ok(())
    }

    fn wait_ready(&self) -> Result<()> {
        ready_within_bound(&self.bootstrap, || {
            let process = self.process.lock().expect("no holder of this lock panics");
            process.as_ref().map_or(Ok(()), Process::must_run)
        })
    }
}

/// Each file of `directory` with what is in it.
fn files_of(directory: &Path) -> Result<Vec<(OsString, Vec<u8>)>> {
    let file = |entry: std::io::Result<DirEntry>| {
        let entry = entry?;
        Ok((entry.file_name(), fs::read(entry.path())?))
    };
    fs::read_dir(directory)?.map(file).collect::<Result<_>>().context("the formatted directory can't be read")
}

/// Waits until the broker at `bootstrap` answers, or `must_run` says that it never will.
pub fn ready_within_bound(bootstrap: &str, must_run: impl Fn() -> Result<()>) -> Result<()> {
    let consumer: BaseConsumer = client::config(bootstrap).create()?;
    wait_until("the broker answers", START_BOUND, || {
        must_run()?;
        Ok(ready(&consumer).then_some(()))
    })
}

/// It is there, and leads every partition it has.
fn ready(consumer: &BaseConsumer) -> bool {
    let Ok(metadata) = consumer.fetch_metadata(None, Duration::from_millis(500)) else { return false };
    !metadata.brokers().is_empty()
        && metadata.topics().iter().flat_map(|topic| topic.partitions()).all(|partition| partition.leader() >= 0)
}

/// A port below the ones that the system gives to outgoing connections: those could take a broker's port while it
/// is down. Processes begin at different places, and one process never asks for the same port twice.
pub fn free_port() -> Result<u16> {
    const FIRST: u16 = 16_000;
    const COUNT: u16 = 16_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = (std::process::id().wrapping_mul(37) % u32::from(COUNT)) as u16;
    for _ in 0..COUNT {
        let port = FIRST + (start + NEXT.fetch_add(1, Ordering::Relaxed) % COUNT) % COUNT;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no port from {FIRST} on is free")
}

/// Everything that makes a broker slow by default is made quick: rebalances, sessions, the end of abandoned
/// transactions, compaction, its own topics.
fn server_properties(port: u16, controller_port: u16, detours: &[Detour]) -> String {
    let DetourListeners { listened, advertised, protocols } = DetourListeners::of(detours);
    format!(
        "\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller_port}
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}{listened}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}{advertised}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT{protocols}
inter.broker.listener.name=PLAINTEXT
auto.create.topics.enable=false
default.replication.factor=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
transaction.abort.timed.out.transaction.cleanup.interval.ms=500
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=500
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
log.cleaner.backoff.ms=500
log.cleaner.dedupe.buffer.size=16777216
log.index.size.max.bytes=1048576
num.network.threads=2
num.io.threads=4
"
    )
}
