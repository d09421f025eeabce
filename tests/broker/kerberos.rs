//! A broker that asks for tickets of Kerberos: the real binary with a real KDC, by a keytab, and with a wrong one.

use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::secured::with_properties;
use super::world::{OPEN, PROMOTERS, SETTLE, lively};
use crate::harness::case::Case;
use crate::harness::connector::BINARY;
use crate::harness::context::Context;
use crate::harness::kerberos::{self, USER};

pub const CASES: &[Case] = &[
    Case::special("kerberos: tickets by a keytab let in, and all is published once", kerberos::way_in, keytab)
        .with(&[kerberos::available]),
    Case::special("kerberos: why there is no ticket is said", kerberos::way_in, no_ticket).with(&[kerberos::available]),
];

const TOLD_BOUND: Duration = Duration::from_secs(60);

fn keytab(context: &Context) -> Result<()> {
    let simulator = lively(context, "3s")?;
    let config = with_properties(context, &context.config(simulator.url(), PROMOTERS, ""), &properties(context, USER)?);
    let environment = environment(context)?;
    let environment = environment.each_ref().map(|(name, value)| (*name, value.as_str()));
    let connector = context.connector("one", &config, &environment)?;
    context.settle(&simulator, SETTLE)?;
    let file = context.directory().join("one.toml");
    let checked = Command::new(BINARY).arg("check").arg("--config").arg(file).envs(environment).output()?;
    let told = String::from_utf8_lossy(&checked.stdout);
    ensure!(checked.status.success(), "the check finds: {told}");
    ensure!(connector.log()?.matches(OPEN).count() == 1, "nothing was refused");
    ensure!(connector.terminate()?.success(), "it ends in order");
    Ok(())
}

fn no_ticket(context: &Context) -> Result<()> {
    let stranger = properties(context, "stranger@TESTS")?;
    let config = with_properties(context, &context.config("http://127.0.0.1:1", 1, ""), &stranger);
    let environment = environment(context)?;
    let environment = environment.each_ref().map(|(name, value)| (*name, value.as_str()));
    let connector = context.connector("one", &config, &environment)?;
    connector.wait_logged("GSSAPI", 1, TOLD_BOUND)?;
    ensure!(!connector.log()?.contains(OPEN), "a stranger is not let in");
    Ok(())
}

fn environment(context: &Context) -> Result<[(&'static str, String); 2]> {
    let cache = context.directory().join("tickets").display().to_string();
    let configuration = context.broker().way_in()?.file("krb5.conf");
    Ok([("KRB5_CONFIG", configuration), ("KRB5CCNAME", cache)])
}

fn properties(context: &Context, principal: &str) -> Result<Vec<(&'static str, String)>> {
    let way_in = context.broker().way_in()?;
    Ok(vec![
        ("bootstrap.servers", format!("localhost:{}", way_in.port)),
        ("security.protocol", "sasl_plaintext".to_owned()),
        ("sasl.mechanisms", "GSSAPI".to_owned()),
        ("sasl.kerberos.principal", principal.to_owned()),
        ("sasl.kerberos.keytab", way_in.file("user.keytab")),
    ])
}
