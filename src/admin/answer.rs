//! What programs are answered: one line of JSON.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// Why something is not answered, or not done.
#[derive(Debug, Serialize)]
pub struct RefusalAnswer {
    pub error: String,
}

/// `answer` on a line of its own.
pub fn json(status: StatusCode, answer: &impl Serialize) -> Response {
    match serde_json::to_string(answer) {
        Ok(text) => (status, [(header::CONTENT_TYPE, "application/json")], text + "\n").into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
