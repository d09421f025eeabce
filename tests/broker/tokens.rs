//! A broker that asks for tokens: the real binary with an issuer whose tokens live for seconds, and is away at times.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use super::secured::{address, grant, with_properties};
use super::world::{BOUND, OPEN, PROMOTERS, SETTLE, asking_is_answered, lively};
use crate::harness::case::Case;
use crate::harness::connector::BINARY;
use crate::harness::context::Context;
use crate::harness::security::{TOKEN_USER, UNSECURED_TOKEN_USER};
use crate::harness::token_endpoint::{CLIENT_ID, SCOPE, TokenEndpoint};
use crate::harness::wait::wait_until;

pub const CASES: &[Case] = &[
    Case::secured("tokens: an issuer is away at the start and in between, and all is published once", issuer),
    Case::secured("tokens: an issuer that refuses is quoted, and asked again", refusal),
    Case::secured("tokens: those that nobody signs are renewed too", unsecured),
];

const LIFE: Duration = Duration::from_secs(3);
/// So short a life makes a broker refuse some connections: two proofs within a second are too many for it.
const RECONNECT_MAX: (&str, &str) = ("reconnect.backoff.max.ms", "500");
const SECRET: &str = "s e+c/r=e:t";

fn issuer(context: &Context) -> Result<()> {
    grant(context, TOKEN_USER)?;
    let endpoint = endpoint(context)?;
    endpoint.be_away(true);
    let simulator = lively(context, "6s")?;
    let told = "log.level = \"info,librdkafka=trace\"\nkafka.debug = \"broker,security\"";
    let config = context.config(simulator.url(), PROMOTERS, told);
    let config = with_properties(context, &config, &properties(context, &endpoint, SECRET)?);
    let began = Instant::now();
    let connector = context.connector("one", &config, &[])?;
    connector.wait_logged("no kafka token", 1, BOUND)?;
    endpoint.be_away(false);
    connector.wait_logged(OPEN, 1, BOUND)?;
    asking_is_answered(context, &connector)?;
    let renewed = endpoint.seen().issued.len() + 2;
    wait_until("tokens are renewed", BOUND, || Ok((endpoint.seen().issued.len() >= renewed).then_some(())))?;
    connector.wait_logged("Received REAUTH op", 2, BOUND)?;
    endpoint.be_away(true);
    let (issued, away) = (Instant::now(), endpoint.seen().lost);
    let lost = || Ok((issued.elapsed() > LIFE && endpoint.seen().lost > away).then_some(()));
    wait_until("the last token has ended", BOUND, lost)?;
    endpoint.be_away(false);
    context.settle(&simulator, SETTLE)?;
    // One for all clients, at four fifths of at least two seconds; and that of the command.
    let issued = endpoint.seen().issued;
    let most = began.elapsed().as_millis() / 1600 + 2;
    ensure!(issued.len() as u128 <= most, "{} tokens in {:?}", issued.len(), began.elapsed());
    ensure!(connector.terminate()?.success(), "it ends in order");
    let log = connector.log()?;
    ensure!(log.contains("kafka tokens can be had again"), "the outage and its end are told:\n{log}");
    ensure!(!log.contains(SECRET) && !issued.iter().any(|token| log.contains(token)), "no secret is shown");
    Ok(())
}

fn refusal(context: &Context) -> Result<()> {
    let endpoint = endpoint(context)?;
    let config = context.config("http://127.0.0.1:1", 1, "");
    let config = with_properties(context, &config, &properties(context, &endpoint, "wrong-secret")?);
    let connector = context.connector("one", &config, &[])?;
    let asked = Command::new(BINARY)
        .args(["material", "request", "--app", "wx_simulated", "--promoter", "oSimulated000001"])
        .args(["--path", "pages/index", "--timeout", "3s", "--config"])
        .arg(context.directory().join("one.toml"))
        .output()
        .context("the command does not start")?;
    let told = String::from_utf8_lossy(&asked.stderr);
    let words = format!("no token from {}: it refuses (HTTP 401): invalid_client", endpoint.host());
    ensure!(asked.status.code() == Some(1) && told.contains(&words), "{words:?} is not in {told}");
    connector.wait_logged(&words, 2, BOUND)?;
    let log = connector.log()?;
    ensure!(!told.contains("wrong-secret") && !log.contains("wrong-secret"), "no secret is shown");
    ensure!(endpoint.seen().issued.is_empty() && endpoint.seen().refused >= 3, "it is asked again");
    Ok(())
}

fn unsecured(context: &Context) -> Result<()> {
    let port = context.broker().security()?.unsecured_tokens;
    let properties = [
        ("bootstrap.servers", address("127.0.0.1", port)),
        ("security.protocol", "sasl_plaintext".to_owned()),
        ("sasl.mechanisms", "OAUTHBEARER".to_owned()),
        ("enable.sasl.oauthbearer.unsecure.jwt", "true".to_owned()),
        ("sasl.oauthbearer.config", "principal=unsecured lifeSeconds=3".to_owned()),
        (RECONNECT_MAX.0, RECONNECT_MAX.1.to_owned()),
    ];
    grant(context, UNSECURED_TOKEN_USER)?;
    let simulator = lively(context, "4s")?;
    let config = with_properties(context, &context.config(simulator.url(), PROMOTERS, ""), &properties);
    let connector = context.connector("one", &config, &[])?;
    context.settle(&simulator, SETTLE)?;
    asking_is_answered(context, &connector)?;
    ensure!(connector.terminate()?.success(), "it ends in order");
    Ok(())
}

fn endpoint(context: &Context) -> Result<TokenEndpoint> {
    TokenEndpoint::start(context.broker().security()?, TOKEN_USER, SECRET, LIFE)
}

/// The secret is in a file of its own, with the line's end that editors leave there.
fn properties(context: &Context, endpoint: &TokenEndpoint, secret: &str) -> Result<Vec<(&'static str, String)>> {
    let security = context.broker().security()?;
    let file = context.directory().join("client-secret");
    std::fs::write(&file, format!("{secret}\n"))?;
    Ok(vec![
        ("bootstrap.servers", address("127.0.0.1", security.tokens)),
        ("security.protocol", "sasl_plaintext".to_owned()),
        ("sasl.mechanisms", "OAUTHBEARER".to_owned()),
        ("sasl.oauthbearer.method", "oidc".to_owned()),
        ("sasl.oauthbearer.token.endpoint.url", format!("{}/oauth2/token", endpoint.host())),
        ("sasl.oauthbearer.client.id", CLIENT_ID.to_owned()),
        ("sasl.oauthbearer.client.secret_file", file.display().to_string()),
        ("sasl.oauthbearer.scope", SCOPE.to_owned()),
        ("sasl.oauthbearer.extensions", "traceId=tests".to_owned()),
        ("https.ca.location", security.file("ca.pem")),
        (RECONNECT_MAX.0, RECONNECT_MAX.1.to_owned()),
    ])
}
