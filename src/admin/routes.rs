//! What is asked for where.

use std::sync::Arc;

use axum::Router;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware;
use axum::response::Response;
use axum::routing::{get, post};

use super::observed::ObservedConnector;
use super::permission::Doorkeeper;
use super::{changes, host, metrics, page, permission, probes, promoters, status};

/// For every answer: nothing of it is kept, guessed at, shown in a frame or told to others, and what it shows comes from here.
const HEADERS: [(HeaderName, &str); 5] = [
    (header::CACHE_CONTROL, "no-store"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; \
         form-action 'self'; frame-ancestors 'none'",
    ),
];

/// Probes and metrics are answered by whatever name they are asked: an orchestrator names a pod as it likes, and a refusal
/// would have it restarted.
pub fn router(observed: Arc<ObservedConnector>) -> Router {
    let by_any_name = Router::new()
        .route("/live", get(probes::live))
        .route("/ready", get(probes::ready))
        .route("/metrics", get(metrics::metrics));
    let token = observed.changing.as_ref().map(|changing| changing.token.clone());
    // By any method: whoever may change nothing is told no more than that.
    let changing = Router::new()
        .route("/api/v1/promoters/{app}/{id}/pause", post(changes::pause))
        .route("/api/v1/promoters/{app}/{id}/resume", post(changes::resume))
        .route("/api/v1/promoters/{app}/{id}/rewind", post(changes::rewind))
        .layer(middleware::from_fn_with_state(Arc::new(Doorkeeper::new(token)), permission::check));
    let by_own_name = Router::new()
        .route("/", get(page::status_page))
        .route("/promoter", get(page::promoter_page))
        .route("/page.css", get(page::style))
        .route("/page.js", get(page::script))
        .route("/api/v1/status", get(status::status))
        .route("/api/v1/promoters", get(promoters::promoters))
        .route("/api/v1/promoters/{app}/{id}", get(promoters::explain))
        .merge(changing)
        .fallback(unknown)
        // Last, for axum lays it only over the routes and the fallback that are there already.
        .layer(middleware::from_fn(host::check));
    by_any_name.merge(by_own_name).layer(middleware::map_response(with_headers)).with_state(observed)
}

async fn unknown() -> (StatusCode, &'static str) {
    (StatusCode::NOT_FOUND, "there is nothing here; ask for /, /live, /ready, /metrics or /api/v1/status\n")
}

async fn with_headers(mut response: Response) -> Response {
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}
