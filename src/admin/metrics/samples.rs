//! The numbers of one look, and their text.

use std::collections::BTreeMap;
use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::catalogue::{ALL, Metric, MetricKind};
use crate::telemetry::buckets::BucketSnapshot;

const PREFIX: &str = "promoter_connector";

/// The value of each label of a metric, in their order.
type LabelValues = Vec<String>;

#[derive(Clone, Debug, PartialEq)]
pub enum SampleValue {
    Number(f64),
    Buckets(BucketSnapshot),
}

/// By the metric's name. A metric without a sample is told as well: that there is such a one.
#[derive(Debug, Default)]
pub struct Samples(BTreeMap<&'static str, Vec<(LabelValues, SampleValue)>>);

impl Samples {
    pub fn number(&mut self, metric: &'static Metric, labels: &[&str], value: f64) {
        self.put(metric, labels, SampleValue::Number(value));
    }

    pub fn count(&mut self, metric: &'static Metric, labels: &[&str], value: u64) {
        self.number(metric, labels, value as f64);
    }

    pub fn flag(&mut self, metric: &'static Metric, labels: &[&str], is_so: bool) {
        self.number(metric, labels, f64::from(u8::from(is_so)));
    }

    pub fn buckets(&mut self, metric: &'static Metric, labels: &[&str], buckets: BucketSnapshot) {
        self.put(metric, labels, SampleValue::Buckets(buckets));
    }

    fn put(&mut self, metric: &'static Metric, labels: &[&str], value: SampleValue) {
        debug_assert_eq!(metric.labels.len(), labels.len(), "{} has other labels", metric.name);
        let labels = labels.iter().map(|label| (*label).to_owned()).collect();
        self.0.entry(metric.name).or_default().push((labels, value));
    }

    /// Those of a metric.
    #[cfg(test)]
    pub fn of(&self, metric: &'static Metric) -> &[(LabelValues, SampleValue)] {
        self.0.get(metric.name).map_or(&[], Vec::as_slice)
    }

    /// # Errors
    /// Never, for it is written into memory.
    pub fn text(self) -> Result<String, fmt::Error> {
        let mut registry = Registry::with_prefix(PREFIX);
        registry.register_collector(Box::new(self));
        let mut text = String::new();
        text::encode(&mut text, &registry)?;
        Ok(text)
    }
}

impl Collector for Samples {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        for metric in ALL {
            let Metric { name, kind, labels, help } = metric;
            let kind = match kind {
                MetricKind::Gauge => MetricType::Gauge,
                MetricKind::Counter => MetricType::Counter,
                MetricKind::Histogram => MetricType::Histogram,
            };
            let mut described = encoder.encode_descriptor(name, help, None, kind)?;
            for (values, value) in self.0.get(name).into_iter().flatten() {
                let labels: Vec<(&str, &str)> = labels.iter().copied().zip(values.iter().map(String::as_str)).collect();
                encode(described.encode_family(&labels)?, metric.kind, value)?;
            }
        }
        Ok(())
    }
}

fn encode(mut encoder: MetricEncoder, kind: MetricKind, value: &SampleValue) -> Result<(), fmt::Error> {
    match (kind, value) {
        (MetricKind::Counter, SampleValue::Number(number)) => {
            encoder.encode_counter::<NoLabelSet, f64, f64>(number, None)
        }
        (_, SampleValue::Number(number)) => encoder.encode_gauge(number),
        (_, SampleValue::Buckets(BucketSnapshot { bounds, counts, sum })) => {
            // The last bound is that of all.
            let bounds = bounds.iter().copied().chain([f64::INFINITY]);
            let buckets: Vec<(f64, u64)> = bounds.zip(counts.iter().copied()).collect();
            encoder.encode_histogram::<NoLabelSet>(*sum, counts.iter().sum(), &buckets, None)
        }
    }
}
