//! Spans on their way to a collector, over real gRPC.

use std::net::TcpListener;
use std::time::{Duration, Instant, UNIX_EPOCH};

use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use promoter_connector::telemetry::log;
use promoter_connector::telemetry::traces::{Span, SpanContext, SpanName, TraceOrigin, Traces};

use super::whole_process::{PART, this_test_of};
use crate::BOUND;
use crate::harness::collector::{Collector, attribute};
use crate::harness::process::Process;
use crate::harness::{directory, wait::wait_until};

const AWAY: &str = "the collector of traces does not answer: what it misses is lost";
const BACK: &str = "the collector of traces answers again";

fn origin() -> TraceOrigin {
    TraceOrigin { service: "shop".into(), instance_id: "one".into() }
}

fn span() -> Span {
    Span {
        context: SpanContext { trace: 1, span: 2 },
        parent: Some(3),
        name: SpanName::Page,
        began: UNIX_EPOCH + Duration::from_secs(5),
        ended: UNIX_EPOCH + Duration::from_millis(5250),
        fields: vec![("interface", "getorder".into()), ("rows", 7_i64.into())],
        failure: Some("refused"),
    }
}

#[test]
fn a_collector_reads_what_was_put_and_the_end_waits_for_it() {
    let collector = Collector::start().unwrap();
    let traces = Traces::begin(&collector.url().parse().unwrap(), &origin()).unwrap();
    traces.put(span());
    assert!(traces.end(BOUND));
    let spans = collector.spans();
    let [(resource, span)] = &spans[..] else { panic!("{spans:?}") };
    for (key, value) in [("service.name", "shop"), ("service.instance.id", "one")] {
        assert_eq!(attribute(&resource.attributes, key).as_deref(), Some(value));
    }
    let number = |end| std::iter::repeat_n(0, 15).chain([end]).collect::<Vec<u8>>();
    assert_eq!(
        (&span.trace_id, &span.span_id, &span.parent_span_id),
        (&number(1), &number(2)[8..].into(), &number(3)[8..].into())
    );
    assert_eq!((span.name.as_str(), span.kind()), ("page", SpanKind::Client));
    assert_eq!((span.start_time_unix_nano, span.end_time_unix_nano), (5_000_000_000, 5_250_000_000));
    assert_eq!(attribute(&span.attributes, "interface").as_deref(), Some("getorder"));
    assert_eq!(attribute(&span.attributes, "rows").as_deref(), Some("7"));
    let status = span.status.as_ref().unwrap();
    assert_eq!((status.code(), status.message.as_str()), (StatusCode::Error, "refused"));
}

/// It takes connections, and answers nobody.
#[test]
fn nobody_waits_for_a_collector_that_hangs() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let traces = Traces::begin(&url.parse().unwrap(), &origin()).unwrap();
    let began = Instant::now();
    (0..100_000).for_each(|_| traces.put(span()));
    assert!(!traces.end(Duration::from_millis(100)));
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[test]
fn a_collector_that_is_away_is_told_once_and_so_is_its_return() {
    let directory = directory::temporary("traces").unwrap();
    let collector = Collector::start().unwrap();
    collector.refuse(true);
    let command = this_test_of("traces", "telling_process", &collector.url());
    let process = Process::start("telling", &command, directory.path()).unwrap();
    let wait = |what: &str, look: &dyn Fn() -> bool| {
        let look = || process.must_run().map(|()| look().then_some(()));
        wait_until(what, BOUND, look).unwrap();
    };
    let told = |line| process.errors().unwrap().matches(line).count();
    wait("it was called in vain more than once", &|| collector.calls() > 2);
    assert_eq!((told(AWAY), told(BACK)), (1, 0), "{}", process.errors_tail());
    assert!(process.errors().unwrap().contains("closed for today"));
    collector.refuse(false);
    wait("its return is told", &|| told(BACK) == 1);
    assert_eq!(told(AWAY), 1);
    assert!(!collector.spans().is_empty());
}

/// Started by the test above, which ends it.
#[test]
#[ignore = "a part of another test"]
fn telling_process() {
    let Ok(collector) = std::env::var(PART) else { return };
    log::start(&log::LogSettings { format: log::LogFormat::Json, ..Default::default() }).unwrap();
    let traces = Traces::begin(&collector.parse().unwrap(), &origin()).unwrap();
    loop {
        traces.put(span());
        std::thread::park_timeout(Duration::from_millis(50));
    }
}
