//! A broker that asks who is there: the real binary with each way of telling it, polls, requests and replies alike, and
//! with no more rights than README.md lists.

use std::time::Duration;

use anyhow::{Result, ensure};
use rdkafka::bindings::rd_kafka_AclOperation_t as Operation;

use super::request_client;
use super::world::{NO_LEDGER, OPEN, PROMOTERS, SETTLE, asking_is_answered, lively};
use crate::harness::case::Case;
use crate::harness::connector::Connector;
use crate::harness::context::Context;
use crate::harness::rights::{self, CREATE, DESCRIBE, DESCRIBE_CONFIGS, GROUP, READ, TOPIC, TRANSACTIONAL_ID, WRITE};
use crate::harness::security::{MTLS_USER, PASSWORD, PLAIN_USER, SCRAM_USER, Security};

/// A client that is refused goes on trying; what it says comes with the first refusal.
const TOLD_BOUND: Duration = Duration::from_secs(60);

pub const CASES: &[Case] = &[
    Case::secured("secured: PLAIN, with exactly the rights of README.md", plain),
    Case::secured("secured: SCRAM-SHA-512", scram),
    Case::secured("secured: a password that is corrected in its file lets in, without a restart", corrected_password),
    Case::secured("secured: PLAIN over TLS of an authority of its own", sasl_ssl),
    Case::secured("secured: TLS with a client's encrypted key", encrypted_key),
    Case::secured("secured: TLS with a client's keystore", keystore),
    Case::secured("secured: what keeps a client out is said", causes_are_told),
    Case::secured("secured: no right to the transactional id ends with 1", no_right_to_the_transactional_id),
    Case::secured("secured: no right to the group ends with 1", no_right_to_the_group),
    Case::secured("secured: no right to describe settings ends with 1", no_right_to_describe_settings),
    Case::secured("secured: a topic that may not be written is named", no_right_to_write_the_state),
    Case::secured("secured: no right to read the state ends with 1", no_right_to_read_the_state),
    Case::secured(
        "secured: no right to write events ends with 1, after a while in which it could be granted",
        no_right_to_write_events,
    ),
    Case::secured(
        "secured: without rights to the ledger it runs without one, and says so once",
        no_right_to_the_ledger,
    ),
];

fn plain(context: &Context) -> Result<()> {
    works(context, PLAIN_USER, &sasl_properties(context, "PLAIN", "plain", PASSWORD)?)?;
    // The topics are there, and another user asks.
    request_client::names_the_right_that_is_missing(context)
}

fn scram(context: &Context) -> Result<()> {
    // From a file of its own, with the line's end that editors leave there.
    let file = context.directory().join("password");
    std::fs::write(&file, format!("{PASSWORD}\n"))?;
    let mut properties = sasl_properties(context, "SCRAM-SHA-512", "scram", PASSWORD)?;
    properties.retain(|(name, _)| *name != "sasl.password");
    properties.push(("sasl.password_file", file.display().to_string()));
    works(context, SCRAM_USER, &properties)
}

fn corrected_password(context: &Context) -> Result<()> {
    grant(context, SCRAM_USER)?;
    let file = context.directory().join("password");
    std::fs::write(&file, "the last one\n")?;
    let mut properties = sasl_properties(context, "SCRAM-SHA-512", "scram", PASSWORD)?;
    properties.retain(|(name, _)| *name != "sasl.password");
    properties.push(("sasl.password_file", file.display().to_string()));
    let simulator = lively(context, "3s")?;
    let config = with_properties(context, &context.config(simulator.url(), PROMOTERS, ""), &properties);
    let connector = context.connector("one", &config, &[])?;
    connector.wait_logged("the log is opened again", 1, TOLD_BOUND)?;
    std::fs::write(&file, format!("{PASSWORD}\n"))?;
    connector.wait_logged(OPEN, 1, TOLD_BOUND)?;
    context.settle(&simulator, SETTLE)?;
    asking_is_answered(context, &connector)?;
    let log = connector.log()?;
    ensure!(log.matches("the password of kafka was changed in its file").count() == 1, "it is told once:\n{log}");
    ensure!(!log.contains(PASSWORD) && !log.contains("the last one"), "no password is shown");
    ensure!(connector.terminate()?.success(), "it ends in order");
    Ok(())
}

fn sasl_ssl(context: &Context) -> Result<()> {
    let security = context.broker().security()?;
    let mut properties = sasl_properties(context, "PLAIN", "plain", PASSWORD)?;
    properties.extend(tls(security, security.sasl_ssl, "sasl_ssl", "ca.pem"));
    works(context, PLAIN_USER, &properties)
}

fn encrypted_key(context: &Context) -> Result<()> {
    let security = context.broker().security()?;
    let mut properties = tls(security, security.ssl, "ssl", "ca.pem").to_vec();
    properties.push(("ssl.certificate.location", security.file("client.pem")));
    properties.push(("ssl.key.location", security.file("client.key")));
    properties.push(("ssl.key.password", PASSWORD.to_owned()));
    works(context, MTLS_USER, &properties)
}

fn keystore(context: &Context) -> Result<()> {
    let security = context.broker().security()?;
    let mut properties = tls(security, security.ssl, "ssl", "ca.pem").to_vec();
    properties.push(("ssl.keystore.location", security.file("client.p12")));
    properties.push(("ssl.keystore.password", PASSWORD.to_owned()));
    works(context, MTLS_USER, &properties)
}

/// Polls are published, and a request from the command line is answered, under the rights of README.md.
fn works(context: &Context, user: &str, properties: &[(&str, String)]) -> Result<()> {
    grant(context, user)?;
    let simulator = lively(context, "3s")?;
    let config = with_properties(context, &context.config(simulator.url(), PROMOTERS, ""), properties);
    let connector = context.connector("one", &config, &[])?;
    context.settle(&simulator, SETTLE)?;
    asking_is_answered(context, &connector)?;
    ensure!(connector.log()?.matches(OPEN).count() == 1, "nothing was refused");
    ensure!(connector.terminate()?.success(), "it ends in order");
    Ok(())
}

/// What README.md lists, and nothing else.
pub(super) fn grant(context: &Context, user: &str) -> Result<()> {
    grant_without(context, user, &[])
}

/// The same without these operations on the resources of these names.
pub(super) fn grant_without(context: &Context, user: &str, without: &[(Operation, &str)]) -> Result<()> {
    let allow = |operations: &[Operation], kind, names: &[String]| -> Result<()> {
        for name in names {
            let allowed = operations.iter().filter(|operation| !without.contains(&(**operation, name)));
            let allowed: Vec<Operation> = allowed.copied().collect();
            rights::allow(context.bootstrap(), user, &allowed, kind, std::slice::from_ref(name))?;
        }
        Ok(())
    };
    let name = context.topics().prefix();
    let topics =
        ["touches", "orders", "dead-letters", "material.requests", "material.results", "registry", "state", "ledger"];
    let topics = topics.map(|topic| context.topics().name(topic));
    allow(&[DESCRIBE, DESCRIBE_CONFIGS, READ, WRITE, CREATE], TOPIC, &topics)?;
    allow(&[DESCRIBE, READ], GROUP, &[name.to_owned(), format!("{name}:commands")])?;
    allow(&[DESCRIBE, WRITE], TRANSACTIONAL_ID, &[format!("{name}:one"), format!("{name}:one:commands")])
}

fn no_right_to_the_transactional_id(context: &Context) -> Result<()> {
    let id = format!("{}:one", context.topics().prefix());
    refused(
        context,
        &[(WRITE, &id), (DESCRIBE, &id)],
        &format!("transactional.id {id} may not be taken; allow this user"),
    )
}

fn no_right_to_the_group(context: &Context) -> Result<()> {
    let group = context.topics().prefix().to_owned();
    refused(context, &[(READ, &group), (DESCRIBE, &group)], &format!("the consumer group {group} may not be"))
}

fn no_right_to_describe_settings(context: &Context) -> Result<()> {
    let topic = context.topics().name("state");
    let words = format!("topic {topic}: its settings are not told");
    refused(context, &[(DESCRIBE_CONFIGS, &topic)], &words)
}

fn no_right_to_write_the_state(context: &Context) -> Result<()> {
    let topic = context.topics().name("state");
    refused(context, &[(WRITE, &topic)], &format!("topic {topic} may not be written; allow this user to WRITE it"))
}

fn no_right_to_read_the_state(context: &Context) -> Result<()> {
    let topic = context.topics().name("state");
    refused(context, &[(READ, &topic)], &format!("topic {topic} may not be read; allow this user to READ it"))
}

/// The start needs no such right.
fn no_right_to_write_events(context: &Context) -> Result<()> {
    let topic = context.topics().name("touches");
    grant_without(context, PLAIN_USER, &[(WRITE, &topic)])?;
    let simulator = lively(context, "120s")?;
    let config = context.config(simulator.url(), PROMOTERS, "commands.enabled = false");
    let properties = sasl_properties(context, "PLAIN", "plain", PASSWORD)?;
    let connector = context.connector("one", &with_properties(context, &config, &properties), &[])?;
    let end = connector.wait_exit(3 * TOLD_BOUND)?;
    let log = connector.log()?;
    let words = format!("topic {topic} may not be written; allow this user to WRITE it");
    ensure!(end.code() == Some(1) && log.contains(OPEN), "it polls, and does not end with {end}:\n{log}");
    ensure!(log.lines().last().is_some_and(|line| line.contains(&words)), "{words:?} is not the end of\n{log}");
    ensure!(log.matches(&words).count() > 1, "it was tried again:\n{log}");
    Ok(())
}

/// As after an upgrade where each right is granted by name.
fn no_right_to_the_ledger(context: &Context) -> Result<()> {
    let none = [DESCRIBE, DESCRIBE_CONFIGS, READ, WRITE, CREATE];
    for (without, words) in [(&none[..], "can't be made"), (&[WRITE][..], "may not be written")] {
        let context = context.anew()?;
        let ledger = context.topics().name("ledger");
        let without: Vec<(Operation, &str)> = without.iter().map(|operation| (*operation, ledger.as_str())).collect();
        grant_without(&context, PLAIN_USER, &without)?;
        let simulator = lively(&context, "2s")?;
        let config = context.config(simulator.url(), PROMOTERS, "commands.enabled = false");
        let config = with_properties(&context, &config, &sasl_properties(&context, "PLAIN", "plain", PASSWORD)?);
        let connector = context.connector("one", &config, &[])?;
        context.settle(&simulator, SETTLE)?;
        let log = connector.log()?;
        ensure!(log.matches(NO_LEDGER).count() == 1 && log.contains(words), "{words:?} is not said once in\n{log}");
        ensure!(log.matches(OPEN).count() == 1, "nothing was refused:\n{log}");
        ensure!(connector.terminate()?.success(), "it ends in order");
    }
    Ok(())
}

/// A start without these rights ends with 1 and these words.
fn refused(context: &Context, without: &[(Operation, &str)], words: &str) -> Result<()> {
    grant_without(context, PLAIN_USER, without)?;
    let simulator = lively(context, "1s")?;
    let config = context.config(simulator.url(), 1, "commands.enabled = false");
    let properties = sasl_properties(context, "PLAIN", "plain", PASSWORD)?;
    let connector = context.connector("one", &with_properties(context, &config, &properties), &[])?;
    let end = connector.wait_exit(TOLD_BOUND)?;
    let log = connector.log()?;
    ensure!(end.code() == Some(1) && !log.contains(OPEN), "it refuses, and does not end with {end}:\n{log}");
    ensure!(log.contains(words), "{words:?} is not in\n{log}");
    Ok(())
}

fn causes_are_told(context: &Context) -> Result<()> {
    let security = context.broker().security()?;
    let wrong_password = sasl_properties(context, "PLAIN", "plain", "wrong")?;
    let no_credentials = vec![("bootstrap.servers", address("127.0.0.1", security.sasl))];
    let mut wrong_authority = sasl_properties(context, "PLAIN", "plain", PASSWORD)?;
    wrong_authority.extend(tls(security, security.sasl_ssl, "sasl_ssl", "other-ca.pem"));
    let plaintext_to_tls = vec![("bootstrap.servers", address("127.0.0.1", security.ssl))];
    let mut tls_to_plaintext = tls(security, security.sasl, "ssl", "ca.pem").to_vec();
    tls_to_plaintext.push(("enable.ssl.certificate.verification", "false".to_owned()));
    let no_such_host = vec![("bootstrap.servers", address("no-such-host.invalid", security.sasl))];
    let histories = [
        ("wrong-password", wrong_password, "Authentication failed: Invalid username or password"),
        ("no-credentials", no_credentials, "security.protocol"),
        ("wrong-authority", wrong_authority, "certificate verify failed"),
        ("plaintext-to-tls", plaintext_to_tls, "security.protocol"),
        ("tls-to-plaintext", tls_to_plaintext, "security.protocol"),
        ("no-such-host", no_such_host, "Failed to resolve"),
    ];
    let simulator = lively(context, "1s")?;
    let config = context.config(simulator.url(), 1, "commands.enabled = false");
    let start = |(name, properties, words)| -> Result<(Connector, &str)> {
        Ok((context.connector(name, &with_properties(context, &config, properties), &[])?, words))
    };
    let started: Vec<_> =
        histories.iter().map(|(name, properties, words)| start((*name, properties, *words))).collect::<Result<_>>()?;
    request_client::tells_causes(context, &histories)?;
    for (connector, words) in &started {
        connector.wait_logged("the log is opened again", 1, TOLD_BOUND)?;
        let log = connector.log()?;
        let line = log.lines().find(|line| line.contains("the log is opened again")).unwrap_or_default();
        ensure!(line.contains(words), "{words:?} is not in the line\n{line}\nof\n{log}");
        ensure!(!log.contains(PASSWORD), "no password is shown");
    }
    Ok(())
}

pub(super) fn sasl_properties(
    context: &Context,
    mechanism: &str,
    user: &str,
    password: &str,
) -> Result<Vec<(&'static str, String)>> {
    Ok(vec![
        ("bootstrap.servers", address("127.0.0.1", context.broker().security()?.sasl)),
        ("security.protocol", "sasl_plaintext".to_owned()),
        ("sasl.mechanisms", mechanism.to_owned()),
        ("sasl.username", user.to_owned()),
        ("sasl.password", password.to_owned()),
    ])
}

pub(super) fn tls(security: &Security, port: u16, protocol: &str, authority: &str) -> [(&'static str, String); 3] {
    [
        ("bootstrap.servers", address("localhost", port)),
        ("security.protocol", protocol.to_owned()),
        ("ssl.ca.location", security.file(authority)),
    ]
}

pub(super) fn address(host: &str, port: u16) -> String {
    format!("{host}:{port}")
}

/// `config` with these properties in place of the open listener's address; of two of a name, the last.
pub(super) fn with_properties(context: &Context, config: &str, properties: &[(&str, String)]) -> String {
    let last: std::collections::BTreeMap<_, _> = properties.iter().map(|(name, value)| (*name, value)).collect();
    let lines: Vec<String> = last.iter().map(|(name, value)| format!("kafka.\"{name}\" = {value:?}")).collect();
    let open = format!("kafka.\"bootstrap.servers\" = \"{}\"", context.bootstrap());
    config.replace(&open, &lines.join("\n"))
}
