//! A broker of an older Apache Kafka, which keeps what it knows of itself in a ZooKeeper.

use std::fs;

use anyhow::{Context, Result};
use tempfile::TempDir;

use super::directory;
use super::distribution::Distribution;
use super::kafka::{free_port, ready_within_bound};
use super::process::Process;

/// Killed, with its ZooKeeper, when it is dropped.
pub struct OldBroker {
    bootstrap: String,
    // Before the directory: they have to be dead before their files go.
    _kafka: Process,
    _zookeeper: Process,
    _directory: TempDir,
}

impl OldBroker {
    pub fn start(distribution: &Distribution) -> Result<OldBroker> {
        let directory = directory::temporary("old-kafka")?;
        let (port, zookeeper_port) = (free_port()?, free_port()?);
        let write = |name: &str, text: String| {
            fs::write(directory.path().join(name), text).with_context(|| format!("{name} can't be written"))
        };
        write("zoo.cfg", zookeeper_properties(zookeeper_port, &directory.path().join("zookeeper").display()))?;
        write("server.properties", server_properties(port, zookeeper_port, &directory.path().join("data").display()))?;
        let mut command = distribution.command("org.apache.zookeeper.server.quorum.QuorumPeerMain");
        let zookeeper = Process::start("zookeeper", command.arg("zoo.cfg"), directory.path())?;
        let mut command = distribution.command("kafka.Kafka");
        let kafka = Process::start("kafka", command.arg("server.properties"), directory.path())?;
        let bootstrap = format!("127.0.0.1:{port}");
        ready_within_bound(&bootstrap, || kafka.must_run())?;
        Ok(OldBroker { bootstrap, _kafka: kafka, _zookeeper: zookeeper, _directory: directory })
    }

    pub fn bootstrap(&self) -> &str {
        &self.bootstrap
    }
}

fn zookeeper_properties(port: u16, directory: &impl std::fmt::Display) -> String {
    format!(
        "tickTime=500\ndataDir={directory}\nclientPort={port}\nclientPortAddress=127.0.0.1\nadmin.enableServer=false\n"
    )
}

fn server_properties(port: u16, zookeeper_port: u16, directory: &impl std::fmt::Display) -> String {
    format!(
        "\
broker.id=0
listeners=PLAINTEXT://127.0.0.1:{port}
zookeeper.connect=127.0.0.1:{zookeeper_port}
log.dirs={directory}
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=500
log.cleaner.dedupe.buffer.size=16777216
"
    )
}
