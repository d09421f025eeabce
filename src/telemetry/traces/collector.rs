//! The collector, as OTLP over gRPC reaches it: the one context that knows its messages. With the module's tests the only user of tonic
//! and opentelemetry-proto.
//!
//! The SDK of OpenTelemetry is not used: its queue says of dropped spans only that there are some, and nothing here needs a context
//! that is passed on, or a sampler that decides before anything is known.

use std::error::Error;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use opentelemetry_proto::tonic::common::v1::any_value::Value as ProtoValue;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span as ProtoSpan, Status as SpanStatus};
use tonic::Status;
use tonic::transport::{Channel, Endpoint};
use url::Url;

use super::TraceOrigin;
use super::span::{Span, SpanName, Value};
use crate::text;

/// How long a call may take, with the connection that it may need.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// Where it is, and how its spans are headed. Connected with the first call, and again where the connection was lost.
pub(super) struct Collector {
    endpoint: Endpoint,
    resource: Resource,
    client: Option<TraceServiceClient<Channel>>,
}

/// Spans that a collector has not taken, of those that it was sent.
pub(super) struct RejectedSpans {
    pub spans: u64,
    /// In its own words.
    pub reason: String,
}

/// Why a collector has taken none of what it was sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ExportError {
    #[error("no answer for {ANSWER_MAX:?}")]
    Unanswered,
    /// In its own words, or those of the connection to it.
    #[error("{0}")]
    Refused(String),
}

impl Collector {
    /// # Errors
    /// Where `address` is none that can be asked.
    pub fn new(address: &Url, origin: &TraceOrigin) -> anyhow::Result<Collector> {
        let endpoint = Endpoint::from_shared(address.to_string()).context("the collector can't be asked there")?;
        let attributes = vec![
            attribute("service.name", origin.service.as_str().into()),
            attribute("service.instance.id", origin.instance_id.as_str().into()),
            attribute("service.version", env!("CARGO_PKG_VERSION").into()),
        ];
        let endpoint = endpoint.connect_timeout(ANSWER_MAX);
        Ok(Collector { endpoint, resource: Resource { attributes, ..Resource::default() }, client: None })
    }

    /// Tells what it has refused, if anything.
    ///
    /// # Errors
    /// Why it takes none of them, or has not answered within [`ANSWER_MAX`].
    pub async fn export(&mut self, spans: Vec<Span>) -> Result<Option<RejectedSpans>, ExportError> {
        let request = ExportTraceServiceRequest { resource_spans: vec![self.headed(spans)] };
        // Not before: connecting, even later, needs the runtime.
        let client = self.client.get_or_insert_with(|| TraceServiceClient::new(self.endpoint.connect_lazy()));
        let answer = tokio::time::timeout(ANSWER_MAX, client.export(request)).await;
        let answer = answer.map_err(|_| ExportError::Unanswered)?;
        let refused = answer
            .map_err(|status| ExportError::Refused(reason(&status)))?
            .into_inner()
            .partial_success
            .filter(|partial| partial.rejected_spans > 0);
        Ok(refused.map(|partial| RejectedSpans {
            spans: partial.rejected_spans.unsigned_abs(),
            reason: partial.error_message,
        }))
    }

    fn headed(&self, spans: Vec<Span>) -> ResourceSpans {
        let scope = InstrumentationScope { name: env!("CARGO_PKG_NAME").into(), ..InstrumentationScope::default() };
        let spans = spans.into_iter().map(proto_span).collect();
        let scope_spans = vec![ScopeSpans { scope: Some(scope), spans, ..ScopeSpans::default() }];
        ResourceSpans { resource: Some(self.resource.clone()), scope_spans, ..ResourceSpans::default() }
    }
}

fn reason(status: &Status) -> String {
    let told = match status.message() {
        "" => status.code().to_string(),
        message => message.to_owned(),
    };
    match status.source() {
        Some(cause) => format!("{told}: {}", text::innermost(cause)),
        None => told,
    }
}

fn proto_span(span: Span) -> ProtoSpan {
    let Span { context, parent, name, began, ended, fields, failure } = span;
    let kind = match name {
        SpanName::Poll => SpanKind::Internal,
        SpanName::Page => SpanKind::Client,
        SpanName::Batch => SpanKind::Producer,
    };
    // What went well is left unset: whether a poll is well that brought nothing is not said here.
    let status = failure.map(|word| SpanStatus { message: word.into(), code: StatusCode::Error.into() });
    ProtoSpan {
        trace_id: context.trace.to_be_bytes().into(),
        span_id: context.span.to_be_bytes().into(),
        parent_span_id: parent.map(|parent| parent.to_be_bytes().into()).unwrap_or_default(),
        name: name.name().into(),
        kind: kind.into(),
        start_time_unix_nano: unix_nanos(began),
        end_time_unix_nano: unix_nanos(ended),
        attributes: fields.into_iter().map(|(key, value)| attribute(key, value)).collect(),
        status,
        ..ProtoSpan::default()
    }
}

fn attribute(key: &str, value: Value) -> KeyValue {
    let value = match value {
        Value::Text(text) => ProtoValue::StringValue(text),
        Value::Number(number) => ProtoValue::IntValue(number),
    };
    KeyValue { key: key.into(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

/// 0 before 1970.
fn unix_nanos(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
