//! What a trace is made of.

use std::time::SystemTime;

use tokio::time::Instant;

use crate::clock;

/// Where a span stands: its trace, and itself. Neither number is ever 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpanContext {
    pub trace: u128,
    pub span: u64,
}

impl SpanContext {
    /// The first span of a new trace.
    pub fn of_trace() -> SpanContext {
        SpanContext { trace: rand::random::<u128>().max(1), span: span_number() }
    }

    /// Another span of the same trace.
    pub fn beside(self) -> SpanContext {
        SpanContext { span: span_number(), ..self }
    }
}

fn span_number() -> u64 {
    rand::random::<u64>().max(1)
}

/// Something that was done, from its beginning to its end.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    pub context: SpanContext,
    /// The span below which it stands, in the same trace.
    pub parent: Option<u64>,
    pub name: SpanName,
    pub began: SystemTime,
    pub ended: SystemTime,
    pub fields: Vec<(&'static str, Value)>,
    /// Why it failed, in one word of a few.
    pub failure: Option<&'static str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanName {
    Poll,
    /// A call of the upstream.
    Page,
    /// What went into the log together.
    Batch,
}

impl SpanName {
    pub fn name(self) -> &'static str {
        match self {
            SpanName::Poll => "poll",
            SpanName::Page => "page",
            SpanName::Batch => "batch",
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Text(String),
    Number(i64),
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::Text(text.to_owned())
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Value {
        Value::Number(number)
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Value {
        Value::Number(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<usize> for Value {
    fn from(number: usize) -> Value {
        Value::from(number as u64)
    }
}

/// Tells moments by the wall clock as it was at one of them: where that is set meanwhile, nothing ends before it began.
#[derive(Clone, Copy, Debug)]
pub struct SpanClock {
    wall: SystemTime,
    at: Instant,
}

impl SpanClock {
    pub fn start() -> SpanClock {
        SpanClock { wall: clock::system_time(), at: Instant::now() }
    }

    pub fn began(&self) -> SystemTime {
        self.wall
    }

    pub fn time(&self, moment: Instant) -> SystemTime {
        self.wall + moment.saturating_duration_since(self.at)
    }
}
