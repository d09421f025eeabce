//! `/metrics`: what there is to be counted and measured, in the text format of Prometheus. It is put together when it is asked
//! for, from what the parts keep; nothing in it is walked whose number is that of the promoters.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::observed::ObservedConnector;
use samples::Samples;

pub mod catalogue;
mod of_apps;
mod of_interfaces;
mod of_pipelines;
mod of_process;
mod samples;

#[cfg(test)]
mod tests;

/// As the format calls itself.
const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

pub async fn metrics(State(observed): State<Arc<ObservedConnector>>) -> Response {
    match samples(&observed).text() {
        Ok(text) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

fn samples(observed: &ObservedConnector) -> Samples {
    let mut samples = Samples::default();
    of_process::add(observed, &mut samples);
    of_pipelines::add(observed, &mut samples);
    of_apps::add(observed, &mut samples);
    of_interfaces::add(observed, &mut samples);
    samples
}
