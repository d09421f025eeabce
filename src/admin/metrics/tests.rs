//! The documentation, the catalogue and what is told are one.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use super::catalogue::{ALL, DEAD_LETTERS, MetricKind};
use super::samples;
use crate::admin::observed::ObservedConnector;
use crate::app;
use crate::config::Config;
use crate::model::time::UnixMillis;
use crate::requests::totals::RequestTotals;

const DOCUMENTATION: &str = include_str!("../../../docs/metrics.md");

/// What the documentation says of a metric: its kind, and its labels with the values that they may have; none for a label whose
/// values are not listed.
type Documented<'a> = (&'a str, Vec<(&'a str, BTreeSet<&'a str>)>);

fn documented() -> BTreeMap<&'static str, Documented<'static>> {
    let rows = DOCUMENTATION.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| {
        let columns: Vec<&str> = row.split('|').map(str::trim).collect();
        let labels = columns[3].split(", ").filter(|label| !label.is_empty()).map(|label| {
            let (name, values) = label.split_once(": ").unwrap_or((label, ""));
            (name, values.split_whitespace().collect())
        });
        (columns[1].trim_matches('`'), (columns[2], labels.collect()))
    })
    .collect()
}

/// Two apps, of which one polls no refunds, in a process that has just begun.
fn observed() -> ObservedConnector {
    let text = "[kafka]\n\"bootstrap.servers\" = \"localhost:1\"\n\
                [[apps]]\napp_id = \"wx1\"\nsecret = \"s\"\n\
                [[apps]]\napp_id = \"wx2\"\nsecret = \"s\"\nfeeds.refunds.enabled = false\n";
    let config = Config::parse(text, Path::new("connector.toml"), &|_| None).unwrap();
    let requests = RequestTotals::default();
    requests.know_apps(vec!["wx1".into(), "wx2".into()]);
    ObservedConnector {
        began: UnixMillis(1_500),
        apps: Arc::new(app::polled_apps(config.apps, config.http).unwrap()),
        requests: Some(Arc::new(requests)),
        ..ObservedConnector::for_tests()
    }
}

#[test]
fn every_metric_is_documented_with_its_kind_and_labels_and_no_other() {
    let mut documented = documented();
    for metric in ALL {
        let (kind, labels) = documented.remove(metric.name).unwrap_or_else(|| panic!("{} is not", metric.name));
        let expected = match metric.kind {
            MetricKind::Gauge => "gauge",
            MetricKind::Counter => "counter",
            MetricKind::Histogram => "histogram",
        };
        let names: Vec<&str> = labels.iter().map(|(name, _)| *name).collect();
        assert_eq!((kind, names.as_slice()), (expected, metric.labels), "{}", metric.name);
    }
    assert_eq!(documented, BTreeMap::new());
}

#[test]
fn every_series_is_there_from_the_start_with_the_documented_values_of_its_labels() {
    let (samples, documented) = (samples(&observed()), documented());
    for metric in ALL.iter().filter(|metric| **metric != &DEAD_LETTERS) {
        let series = samples.of(metric);
        assert!(!series.is_empty(), "{} is not there", metric.name);
        for (at, (label, allowed)) in documented[metric.name].1.iter().enumerate() {
            let told: BTreeSet<&str> = series.iter().map(|(values, _)| values[at].as_str()).collect();
            let expected = if allowed.is_empty() { &told } else { allowed };
            assert_eq!(&told, expected, "{} {label}", metric.name);
        }
        let labels: BTreeSet<_> = series.iter().map(|(values, _)| values).collect();
        assert_eq!(labels.len(), series.len(), "{} has a series twice", metric.name);
    }
}

#[test]
fn the_text_is_what_prometheus_reads() {
    let text = samples(&observed()).text().unwrap();
    for line in [
        "# TYPE promoter_connector_polls counter",
        "promoter_connector_start_timestamp_seconds 1.5",
        "promoter_connector_polls_total{app=\"wx1\",feed=\"orders\",outcome=\"complete\"} 0.0",
        "promoter_connector_kafka_up{pipeline=\"polls\"} 0.0",
        "promoter_connector_upstream_call_duration_seconds_bucket{le=\"+Inf\",interface=\"getorder\"} 0",
        "promoter_connector_log_dropped_total 0.0",
    ] {
        assert!(text.lines().any(|told| told == line), "{line} is not in\n{text}");
    }
    assert!(text.ends_with("# EOF\n"));
    assert!(!text.contains("wx2\",feed=\"refunds\",state"), "nobody is polled for it");
}

/// However many there are, a look takes no longer than it takes to tell its series.
#[test]
fn a_look_is_quick() {
    let observed = observed();
    let began = std::time::Instant::now();
    for _ in 0..20 {
        samples(&observed).text().unwrap();
    }
    assert!(began.elapsed() < std::time::Duration::from_secs(1), "{:?}", began.elapsed());
}
