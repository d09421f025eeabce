//! Of the process as a whole.

use super::catalogue::{BUILD_INFO, LOG_DROPPED, LOG_EVENTS, START};
use super::samples::Samples;
use crate::admin::observed::ObservedConnector;
use crate::telemetry::{event_counts, log};

/// Of what was built, where whoever built it has said so.
const COMMIT: Option<&str> = option_env!("PROMOTER_CONNECTOR_COMMIT");

pub fn add(observed: &ObservedConnector, samples: &mut Samples) {
    samples.flag(&BUILD_INFO, &[env!("CARGO_PKG_VERSION"), COMMIT.unwrap_or("unknown")], true);
    samples.number(&START, &[], observed.began.0 as f64 / 1000.0);
    for level in event_counts::LEVELS {
        let name = level.as_str().to_ascii_lowercase();
        samples.count(&LOG_EVENTS, &[&name], event_counts::events(level));
    }
    samples.count(&LOG_DROPPED, &[], log::dropped());
}
