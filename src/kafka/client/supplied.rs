//! How clients are made, whichever way they log in.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Weak};

use rdkafka::ClientConfig;
use rdkafka::admin::AdminClient;
use rdkafka::bindings as native;
use rdkafka::client::ClientContext;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaResult;
use rdkafka::producer::{BaseProducer, Producer, ProducerContext};

use super::context::LogContext;
use super::credentials::{BrokerCredentials, CredentialSubscription};
use super::native::NativeClient;

/// A client's configuration, and what of its login changes while it lives, if anything does.
#[derive(Clone)]
pub struct ClientSetup {
    pub config: ClientConfig,
    pub credentials: Option<BrokerCredentials>,
}

impl ClientSetup {
    /// # Errors
    /// Where librdkafka takes the configuration for none, or there is no thread for its credentials.
    pub fn create_with_context<X, C>(&self, context: X) -> KafkaResult<Supplied<C>>
    where
        X: ClientContext,
        C: FromClientConfigAndContext<X> + NativeClient,
    {
        let Some(credentials) = &self.credentials else {
            return Ok(Supplied { _place: None, client: Arc::new(self.config.create_with_context(context)?) });
        };
        let mut config = self.config.clone();
        credentials.prepare(&mut config);
        let client: Arc<C> = Arc::new(config.create_with_context(context)?);
        let supplied: Weak<C> = Arc::downgrade(&client);
        let place = Some(credentials.supply(supplied)?);
        Ok(Supplied { _place: place, client })
    }
}

/// It is read and changed as the configuration that it is.
impl Deref for ClientSetup {
    type Target = ClientConfig;

    fn deref(&self) -> &ClientConfig {
        &self.config
    }
}

impl DerefMut for ClientSetup {
    fn deref_mut(&mut self) -> &mut ClientConfig {
        &mut self.config
    }
}

/// A client that is handed its credentials as long as it lives.
pub struct Supplied<C> {
    /// Before the client, as its place demands.
    _place: Option<CredentialSubscription>,
    client: Arc<C>,
}

/// The consumer of those who need nothing but a log.
pub type LoggedConsumer = Supplied<BaseConsumer<LogContext>>;

impl<C> Supplied<C> {
    /// For whoever uses it now and then, and keeps it from ending only meanwhile.
    pub fn downgrade(&self) -> Weak<C> {
        Arc::downgrade(&self.client)
    }
}

impl<C> Deref for Supplied<C> {
    type Target = C;

    fn deref(&self) -> &C {
        &self.client
    }
}

impl<X: ConsumerContext + 'static> NativeClient for BaseConsumer<X> {
    fn native(&self) -> *mut native::rd_kafka_t {
        self.client().native_ptr()
    }
}

impl<X: ProducerContext + 'static> NativeClient for BaseProducer<X> {
    fn native(&self) -> *mut native::rd_kafka_t {
        self.client().native_ptr()
    }
}

impl<X: ClientContext + 'static> NativeClient for AdminClient<X> {
    fn native(&self) -> *mut native::rd_kafka_t {
        self.inner().native_ptr()
    }
}
