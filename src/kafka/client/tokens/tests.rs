use std::time::Duration;

use rdkafka::admin::AdminClient;
use rdkafka::consumer::BaseConsumer;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::producer::{BaseProducer, DefaultProducerContext};
use tokio::time::Instant;

use super::*;
use crate::kafka::client::context::{self, LogContext};
use crate::kafka::client::credentials::BrokerCredentials;
use crate::kafka::client::settings::Settings;
use crate::kafka::client::settings::tests::settings;
use crate::kafka::client::supplied::{LoggedConsumer, Supplied};
use crate::oauth::error::IssueFault;

fn login(properties: &[(&str, &str)]) -> Login {
    let mechanism = ("sasl.mechanisms", "OAUTHBEARER");
    let all = [&[mechanism], properties].concat();
    let all: Vec<_> = all.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Login::read(&all).unwrap().unwrap()
}

fn unsecured(more: &str) -> Login {
    let config = format!("principal=me {more}");
    login(&[("enable.sasl.oauthbearer.unsecure.jwt", "true"), ("sasl.oauthbearer.config", &config)])
}

/// Without brokers: a client would have more to say of them than of tokens.
fn settings_with(login: Login) -> Settings {
    let properties = [("security.protocol", "sasl_plaintext"), ("sasl.mechanisms", "OAUTHBEARER")];
    Settings { credentials: BrokerCredentials::new(Some(login), None, None), ..settings(&properties) }
}

fn supply(settings: &Settings) -> &TokenRecipients {
    match settings.credentials.as_ref().unwrap() {
        BrokerCredentials::Tokens(tokens) => &tokens.supply,
        BrokerCredentials::Password(_) => panic!("it logs in by tokens"),
    }
}

fn token(life: Duration) -> BrokerToken {
    BrokerToken::new("text".into(), "me".into(), Instant::now(), life)
}

fn late() -> KafkaError {
    KafkaError::Global(RDKafkaErrorCode::OperationTimedOut)
}

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn librdkafka_is_given_the_token_with_its_extensions() {
    let settings = settings_with(unsecured("extension_traceId=1 extension_tenant=shop"));
    let consumer: LoggedConsumer = settings.reader_config().create_with_context(LogContext::default()).unwrap();
    let supply = supply(&settings);
    assert_eq!(supply.set(&token(HOUR), &*consumer), Ok(()));
    assert!(supply.set(&token(Duration::ZERO), &*consumer).unwrap_err().to_string().contains("unexpired"));
    // What librdkafka itself refuses shows that it has seen it.
    let extensions = ["traceId", "1", "auth", "2"].map(c_string).to_vec();
    let refused = TokenRecipients { extensions, state: Mutex::default() };
    assert!(refused.set(&token(HOUR), &*consumer).unwrap_err().to_string().contains("auth"));
}

#[test]
fn every_kind_of_client_has_its_place_until_it_is_dropped() {
    let settings = settings_with(unsecured(""));
    let clients = || supply(&settings).state().clients.iter().count();
    let consumer: LoggedConsumer = settings.reader_config().create_with_context(LogContext::default()).unwrap();
    let admin: Supplied<AdminClient<LogContext>> =
        settings.plain_config().create_with_context(LogContext::default()).unwrap();
    let producer: Supplied<BaseProducer<DefaultProducerContext>> =
        settings.request_producer_config().create_with_context(DefaultProducerContext).unwrap();
    assert_eq!(clients(), 3);
    drop(consumer);
    assert_eq!(clients(), 2);
    drop((admin, producer));
    assert_eq!(clients(), 0);
}

#[test]
fn why_there_is_no_token_is_among_a_clients_last_words() {
    let settings = settings_with(login(&[
        ("sasl.oauthbearer.method", "oidc"),
        ("sasl.oauthbearer.token.endpoint.url", "http://127.0.0.1:1/token"),
        ("sasl.oauthbearer.client.id", "me"),
        ("sasl.oauthbearer.client.secret", "hidden"),
    ]));
    let consumer: LoggedConsumer = settings.reader_config().create_with_context(LogContext::default()).unwrap();
    let began = std::time::Instant::now();
    let mut words = String::new();
    while !words.contains("no token from http://127.0.0.1:1: connection failed") {
        assert!(began.elapsed() < Duration::from_secs(20), "{words}");
        words = context::explained(&consumer, late()).to_string();
    }
    assert!(!words.contains("hidden"), "{words}");
}

#[test]
fn a_token_that_lasts_is_not_taken_away_by_a_failure() {
    let settings = Settings { credentials: None, ..settings_with(unsecured("")) };
    let client: Arc<BaseConsumer<LogContext>> =
        Arc::new(settings.reader_config().config.create_with_context(LogContext::default()).unwrap());
    let supply = TokenRecipients { extensions: Vec::new(), state: Mutex::default() };
    supply.state().clients.add(Arc::downgrade(&client) as Weak<dyn NativeClient>);
    let failed = IssueError { issuer: "https://issuer".into(), cause: IssueFault::Timeout, retry_after: None };
    supply.take(Ok(token(HOUR)));
    supply.take(Err(&failed));
    assert_eq!(context::explained(&client, late()), late().into());
    supply.take(Ok(token(Duration::from_millis(1))));
    std::thread::sleep(Duration::from_millis(2));
    supply.take(Err(&failed));
    assert!(context::explained(&client, late()).to_string().contains("no token from https://issuer"));
}
