//! Topics of one case: names that no other case uses, and the little administration that cases need.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::client::DefaultClientContext;

use super::client;
use super::wait::{block_on, wait_until};

const BOUND: Duration = Duration::from_secs(30);

pub struct Topics {
    bootstrap: String,
    prefix: String,
    admin: AdminClient<DefaultClientContext>,
}

impl Topics {
    /// The prefix is unique on this broker, over test processes that share a given one too.
    pub fn new(bootstrap: &str) -> Result<Topics> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
        let serial = NEXT.fetch_add(1, Ordering::Relaxed);
        let prefix = format!("t{:x}-{}-{serial}", since_epoch.as_secs(), std::process::id());
        let admin = client::config(bootstrap).create()?;
        Ok(Topics { bootstrap: bootstrap.to_owned(), prefix, admin })
    }

    /// What every name of this case begins with; the connector's `topics.prefix`.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// `<prefix>.<name>`.
    pub fn name(&self, name: &str) -> String {
        format!("{}.{name}", self.prefix)
    }

    /// Creates `<prefix>.<name>`, waits until its partitions have leaders, and gives its full name.
    pub fn create(&self, name: &str, partitions: i32, properties: &[(&str, &str)]) -> Result<String> {
        let name = self.name(name);
        let mut topic = NewTopic::new(&name, partitions, TopicReplication::Fixed(1));
        // As the connector makes them: the broker's own default would delete what the upstream's history is made of.
        let kept = ("retention.ms", "-1");
        let keeps_more = properties.iter().all(|(key, _)| *key != kept.0).then_some(&kept);
        for (key, value) in properties.iter().chain(keeps_more) {
            topic = topic.set(key, value);
        }
        let results = block_on(self.admin.create_topics([&topic], &options()))?;
        for result in results {
            result.map_err(|(name, code)| anyhow!("topic {name} can't be created: {code}"))?;
        }
        wait_until(&format!("the partitions of {name} have leaders"), BOUND, || {
            Ok((self.led_partitions(&name)? == partitions).then_some(()))
        })?;
        Ok(name)
    }

    /// The settings of a topic, by name. `name` is the full one.
    pub fn settings(&self, name: &str) -> Result<BTreeMap<String, String>> {
        let results = block_on(self.admin.describe_configs([&ResourceSpecifier::Topic(name)], &options()))?;
        let resource = results.into_iter().next().context("no answer for the topic")?;
        let resource = resource.map_err(|code| anyhow!("topic {name} can't be described: {code}"))?;
        Ok(resource.entries.into_iter().map(|entry| (entry.name, entry.value.unwrap_or_default())).collect())
    }

    /// How many partitions a topic has; 0 where there is none of this full name.
    pub fn partitions(&self, name: &str) -> Result<usize> {
        let metadata = self.admin.inner().fetch_metadata(Some(name), BOUND)?;
        Ok(metadata.topics().first().map_or(0, |topic| topic.partitions().len()))
    }

    /// Gives a topic that many partitions in all, by its full name, and waits until each has a leader.
    pub fn grow(&self, name: &str, partitions: i32) -> Result<()> {
        let new = NewPartitions::new(name, usize::try_from(partitions)?);
        for result in block_on(self.admin.create_partitions([&new], &options()))? {
            result.map_err(|(name, code)| anyhow!("topic {name} can't grow: {code}"))?;
        }
        wait_until("the new partitions have leaders", BOUND, || {
            Ok((self.led_partitions(name)? == partitions).then_some(()))
        })
    }

    /// Sets one setting of a topic, by its full name, and waits until the broker tells it; its other settings go back to their defaults.
    pub fn set(&self, name: &str, key: &str, value: &str) -> Result<()> {
        let change = AlterConfig::new(ResourceSpecifier::Topic(name)).set(key, value);
        for result in block_on(self.admin.alter_configs([&change], &options()))? {
            result.map_err(|(_, code)| anyhow!("{key} of topic {name} can't be set: {code}"))?;
        }
        // The controller has taken it, which a broker hears of a moment later.
        wait_until(&format!("{key} of topic {name} is {value}"), BOUND, || {
            Ok((self.settings(name)?.get(key).map(String::as_str) == Some(value)).then_some(()))
        })
    }

    /// Deletes a topic by its full name.
    pub fn delete(&self, name: &str) -> Result<()> {
        for result in block_on(self.admin.delete_topics(&[name], &options()))? {
            result.map_err(|(name, code)| anyhow!("topic {name} can't be deleted: {code}"))?;
        }
        Ok(())
    }

    pub fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    fn led_partitions(&self, name: &str) -> Result<i32> {
        let metadata = self.admin.inner().fetch_metadata(Some(name), BOUND)?;
        let led = metadata.topics().iter().flat_map(|topic| topic.partitions()).filter(|one| one.leader() >= 0);
        Ok(i32::try_from(led.count())?)
    }
}

fn options() -> AdminOptions {
    AdminOptions::new().operation_timeout(Some(BOUND)).request_timeout(Some(BOUND))
}
