//! `explain`: why a promoter is where it is.
//!
//! The instance that polls it knows best, and is asked at its admin port. Where none tells how it polls the promoter, what stands in
//! Kafka is told: who is registered, which instance the group has given the partition to, and how far the feeds are. Where that can't be
//! read, what the first instance has answered is told, which knows what stands in the way.

use std::path::Path;

use anyhow::Context;
use axum::http::StatusCode;
use clap::Args;
use serde::Deserialize;
use serde::de::IgnoredAny;
use url::Url;

use super::promoters::TimeBound;
use super::promoters::names;
use super::{Failure, stdout};
use crate::admin::client::{self, local_port, port_name};
use crate::admin::explanation::{self, Explanation, ExplanationLine, PromoterPlace};
use crate::changes::registry_view::RegistryView;
use crate::config::RegistryClientConfig;
use crate::model::promoter::Promoter;
use crate::telemetry::{last_words, log};

mod committed;

#[derive(Clone, Debug, Args)]
pub struct ExplainOptions {
    /// Whom it is about: APP_ID/ID, or the id alone where one app is configured.
    #[arg(value_name = "PROMOTER")]
    pub promoter: String,
    /// Ask the admin port there, and not the configured one; to be given once for each instance.
    #[arg(long = "at", value_name = "HOST:PORT", value_parser = port_name)]
    pub ports: Vec<String>,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub bound: TimeBound,
}

/// What an instance answers, as far as this command reads it.
#[derive(Debug, Deserialize)]
struct InstanceAnswer {
    place: String,
    instance: Option<String>,
    #[serde(default)]
    feeds: Vec<IgnoredAny>,
    lines: Vec<ExplanationLine>,
}

impl InstanceAnswer {
    fn is_here(&self) -> bool {
        self.place == PromoterPlace::HERE
    }

    fn place(&self) -> Option<PromoterPlace> {
        PromoterPlace::of_answer(&self.place, self.instance.clone()?)
    }

    fn text(&self, promoter: &Promoter) -> String {
        explanation::text(promoter.key(), &self.lines)
    }
}

/// # Errors
/// [`Failure::Refused`] where the name is none of a configured app's promoter; else where no instance answers and Kafka can't be
/// read.
pub fn run(path: &Path, options: &ExplainOptions) -> Result<(), Failure> {
    let config = RegistryClientConfig::load(path, &|name| std::env::var(name).ok())?;
    log::start(&config.log)?;
    let promoter = names::promoter(&options.promoter, &config.changes.apps)?;
    let ports = match options.ports.as_slice() {
        [] => config.admin.listen.map(local_port).into_iter().collect(),
        given => given.to_vec(),
    };
    let (runtime, mut places, mut told) = (super::runtime()?, Vec::new(), None);
    for port in &ports {
        match runtime.block_on(ask(port, &promoter)) {
            // Who polls some of its feeds knows more than Kafka does.
            Ok((answer, body)) if answer.is_here() && !answer.feeds.is_empty() => {
                return Ok(stdout::print(&if options.json { body + "\n" } else { answer.text(&promoter) })?);
            }
            Ok((answer, body)) => {
                places.extend(answer.place());
                told.get_or_insert((port, answer, body));
            }
            Err(error) => last_words::say(&format_args!("no instance tells: {error:#}")),
        }
    }
    let found = RegistryView::read(config.changes, options.bound.until())
        .and_then(|view| committed::findings(&view, promoter.clone(), &places));
    let explanation = match (found, told) {
        (Ok(findings), _) => Explanation::of(findings),
        // Whoever polls nobody now may know why, and why Kafka can't be read either; and knows more by now, for that took a while.
        (Err(error), Some((port, answer, body))) => {
            last_words::say(&format_args!("what stands in Kafka can't be read: {error:#}"));
            let (answer, body) = runtime.block_on(ask(port, &promoter)).unwrap_or((answer, body));
            return Ok(stdout::print(&if options.json { body + "\n" } else { answer.text(&promoter) })?);
        }
        (Err(error), None) => return Err(error.into()),
    };
    Ok(stdout::print(&if options.json {
        serde_json::to_string(&explanation).map_err(anyhow::Error::from)? + "\n"
    } else {
        explanation.text()
    })?)
}

/// What an instance says of the promoter, and that as it has written it.
///
/// # Errors
/// Where the port can't be asked, or answers with another status than 200, or with something else than an explanation.
async fn ask(port: &str, promoter: &Promoter) -> anyhow::Result<(InstanceAnswer, String)> {
    let (status, body) = client::get(port, &path_of(promoter)).await?;
    let body = String::from_utf8(body).with_context(|| format!("{port} answers no text"))?;
    anyhow::ensure!(status == StatusCode::OK, "{port} answers {status}: {}", crate::text::bounded(&body, 200));
    let answer = serde_json::from_str(&body).with_context(|| format!("{port} answers no explanation"))?;
    Ok((answer, body))
}

/// Where an instance explains the promoter. An id may have characters that end a path.
fn path_of(promoter: &Promoter) -> String {
    let mut url = Url::parse("http://localhost/api/v1/promoters").expect("a constant that is a URL");
    let mut segments = url.path_segments_mut().expect("a URL of HTTP has a path");
    segments.extend([promoter.app_id(), promoter.promoter_id()]);
    drop(segments);
    url.path().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_with_characters_that_end_a_path_is_asked_for_whole() {
        let promoter = Promoter::from_key("wx1/o?a#b%c").unwrap();
        assert_eq!(path_of(&promoter), "/api/v1/promoters/wx1/o%3Fa%23b%25c");
    }

    #[test]
    fn what_an_instance_explains_is_read_whatever_a_later_version_adds() {
        let body = r#"{"place":"here","instance":"pc-0","new":1,"feeds":[{"feed":"touches"}],"lines":[
            {"sign":"well","text":"owned"},{"sign":"trouble","text":"late"},{"sign":"hint","text":"new","more":2}]}"#;
        let answer: InstanceAnswer = serde_json::from_str(body).unwrap();
        assert!(answer.is_here() && answer.feeds.len() == 1);
        let promoter = Promoter::from_key("wx1/oABC").unwrap();
        assert_eq!(answer.text(&promoter), "wx1/oABC\n✓ owned\n✗ late\n· new\n");
    }
}
