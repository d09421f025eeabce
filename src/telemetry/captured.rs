//! The log as a test sees it.

use std::io::{self, Write};
use std::sync::{Arc, LazyLock};

use parking_lot::Mutex;
use serde_json::Value;
use tracing::Dispatch;
use tracing::subscriber::{DefaultGuard, NoSubscriber};
use tracing_subscriber::filter::LevelFilter;

/// With a single subscriber in the process, tracing asks that of the thread which comes first whether an event matters, and
/// remembers the answer for all threads: a test that runs beside this one, without any, would switch events off. So there
/// are always some.
static OTHERS: LazyLock<[Dispatch; 2]> = LazyLock::new(|| [(); 2].map(|()| Dispatch::new(NoSubscriber::default())));

/// What is logged on this thread, at debug and above, until it is dropped.
pub struct Captured {
    bytes: Arc<Mutex<Vec<u8>>>,
    _guard: DefaultGuard,
}

impl Captured {
    pub fn start() -> Captured {
        LazyLock::force(&OTHERS);
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let sink = CaptureSink(bytes.clone());
        let builder = tracing_subscriber::fmt().with_max_level(LevelFilter::DEBUG).with_writer(move || sink.clone());
        let subscriber = builder.json().flatten_event(true).with_current_span(false).finish();
        Captured { bytes, _guard: tracing::subscriber::set_default(subscriber) }
    }

    /// The events so far that bear this message.
    pub fn events(&self, message: &str) -> Vec<Value> {
        let text = String::from_utf8(self.bytes.lock().clone()).unwrap();
        let events = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        events.filter(|event| event["message"] == message).collect()
    }
}

#[derive(Clone)]
struct CaptureSink(Arc<Mutex<Vec<u8>>>);

impl Write for CaptureSink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
