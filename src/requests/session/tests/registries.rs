//! Registries that are away, refuse, or take their time.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::*;
use crate::avro::schema_lookup::{SchemaFuture, SchemaSource};
use crate::avro::schema_registry::{ExchangeError, SchemaRegistry, SchemaRegistryError};

/// A registry on paused time that knows [`FOREIGN_SCHEMA`], and may be away.
#[derive(Clone, Default)]
pub(super) struct AbsentRegistry {
    pub is_back: Arc<AtomicBool>,
    pub asked: Arc<AtomicU64>,
}

impl AbsentRegistry {
    /// A process that knows no schema of others yet.
    pub fn executor(&self, apps: impl IntoIterator<Item = MaterialApp>) -> Arc<Executor> {
        let decoder = RequestDecoder::new(Framing::SingleObject);
        Arc::new(Executor::new(apps, "requests".into(), decoder, Some(Arc::new(self.clone())), PATIENCE))
    }
}

impl SchemaSource for AbsentRegistry {
    fn schema(&self, _id: i32) -> SchemaFuture<'_> {
        Box::pin(async {
            tokio::time::sleep(Duration::from_millis(5)).await;
            self.asked.fetch_add(1, Ordering::Relaxed);
            if self.is_back.load(Ordering::Relaxed) { Ok(Some(FOREIGN_SCHEMA.to_owned())) } else { Err(away()) }
        })
    }
}

/// A registry on paused time.
struct ScriptedRegistry {
    began: Instant,
    reply: fn(seconds: u64, id: i32) -> Result<Option<String>, SchemaRegistryError>,
}

impl SchemaSource for ScriptedRegistry {
    fn schema(&self, id: i32) -> SchemaFuture<'_> {
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(5)).await;
            (self.reply)(self.began.elapsed().as_secs(), id)
        })
    }
}

pub(super) fn executor_with(
    apps: impl IntoIterator<Item = MaterialApp>,
    reply: fn(u64, i32) -> Result<Option<String>, SchemaRegistryError>,
) -> Arc<Executor> {
    let registry = ScriptedRegistry { began: Instant::now(), reply };
    let patience = RetrySettings { initial: Duration::from_secs(5), max: Duration::from_secs(10), ..PATIENCE };
    let decoder = RequestDecoder::new(Framing::SingleObject);
    Arc::new(Executor::new(apps, "requests".into(), decoder, Some(Arc::new(registry)), patience))
}

pub(super) fn away() -> SchemaRegistryError {
    SchemaRegistryError::Unavailable { url: "u".into(), cause: ExchangeError::Timeout }
}

pub(super) fn refused() -> SchemaRegistryError {
    SchemaRegistryError::Denied { url: "u".into(), subject: "s".into() }
}

/// A registry that knows [`FOREIGN_SCHEMA`], and takes a while to tell it.
pub(super) async fn slow_registry() -> SchemaRegistry {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let registry =
        SchemaRegistry::new(format!("http://{}", listener.local_addr().unwrap()).parse::<url::Url>().unwrap().into())
            .unwrap();
    let answer = || async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        serde_json::json!({ "schema": FOREIGN_SCHEMA }).to_string()
    };
    tokio::spawn(axum::serve(listener, axum::Router::new().fallback(answer)).into_future());
    registry
}
