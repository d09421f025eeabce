//! The status page: is it well, who is affected, why, since when and until when, and what is to be done. Each state has a word and a
//! sign, and not only a colour. It is put together here; a little JavaScript asks for it again and again.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use maud::{DOCTYPE, Markup, html};
use serde::Deserialize;

use super::observed::ObservedConnector;
use super::promoters::{explanation_of, parked};
use super::status::Status;

mod change_form;
mod panels;

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// A promoter that is looked for.
#[derive(Debug, Deserialize)]
pub struct PromoterQuery {
    /// As `APP/ID`.
    key: String,
}

pub async fn style() -> Response {
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], STYLE).into_response()
}

pub async fn script() -> Response {
    ([(header::CONTENT_TYPE, "text/javascript; charset=utf-8")], SCRIPT).into_response()
}

pub async fn status_page(State(observed): State<Arc<ObservedConnector>>) -> Response {
    let status = Status::of(&observed);
    let parked = parked(&observed).await;
    page(StatusCode::OK, &status, "", panels::all(&status, &parked), None)
}

pub async fn promoter_page(State(observed): State<Arc<ObservedConnector>>, query: Query<PromoterQuery>) -> Response {
    let (status, key) = (Status::of(&observed), query.0.key);
    let found = match key.trim().split_once('/') {
        Some((app, id)) => explanation_of(&observed, app, id).await,
        None => None,
    };
    match found {
        Some(explanation) => {
            let forms = change_form::forms(&explanation.promoter, observed.changing.is_some());
            page(StatusCode::OK, &status, &key, panels::explained(&explanation), Some(forms))
        }
        None => page(StatusCode::NOT_FOUND, &status, &key, panels::not_found(), None),
    }
}

/// `forms` stand behind what is brought up to date: what somebody types there stays.
fn page(code: StatusCode, status: &Status, looked_for: &str, content: Markup, forms: Option<Markup>) -> Response {
    let (sign, class) = sign(status.state);
    let markup = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (sign) " " (status.state) " · " (status.name) }
                link rel="stylesheet" href="/page.css";
                script src="/page.js" defer {}
            }
            body {
                p id="stale" role="alert" { "Not live: what stands below is old." }
                header {
                    h1 { span id="headline" class=(class) role="status" { (sign) " " (status.state) (panels::since(status)) } }
                    span class="quiet" { (status.name) " · " (status.instance) " · " span id="as-of" { (status.as_of) } }
                }
                form action="/promoter" method="get" role="search" {
                    p {
                        label for="key" { "Promoter " }
                        input id="key" name="key" value=(looked_for) placeholder="APP/ID" autocomplete="off" required;
                        " " button type="submit" { "Explain" } " "
                        label { input id="hide" type="checkbox"; " hide ids" }
                        @if !looked_for.is_empty() { " " a href="/" { "back to the whole" } }
                    }
                }
                main { (content) }
                @if let Some(forms) = forms { (forms) }
            }
        }
    };
    (code, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], markup.into_string()).into_response()
}

/// A sign that tells as much as its colour does.
fn sign(state: &str) -> (&'static str, &'static str) {
    match state {
        "well" | "standby" => ("✓", "well"),
        "late" | "starting" | "stopping" => ("▲", "late"),
        _ => ("✗", "stopped"),
    }
}
