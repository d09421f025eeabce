//! What is found at the schema registry: whether every schema is there, or could be registered.

use std::time::Instant;

use super::finding::{Finding, Verdict};
use crate::app::{TopicSchema, topic_schemas};
use crate::avro::schema_registry::{SchemaRegistry, SchemaRegistryError, SchemaRegistrySettings, TriedSchema};
use crate::avro::schemas::RecordKind;
use crate::kafka::client::settings::{RequestTopics, TopicNames};
use crate::text::with_causes;

const SUBJECT: &str = "schemas";

/// Nothing where there is no registry.
pub async fn findings(
    settings: Option<SchemaRegistrySettings>,
    topics: &TopicNames,
    requests: Option<&RequestTopics>,
) -> Vec<Finding> {
    let Some(settings) = settings else { return Vec::new() };
    let registry = match SchemaRegistry::new(settings) {
        Ok(registry) => registry,
        Err(error) => return vec![Finding::new(SUBJECT, Verdict::Wrong, with_causes(&error))],
    };
    let (began, mut findings, mut new) = (Instant::now(), Vec::new(), 0);
    let schemas = topic_schemas(topics, requests);
    for schema in &schemas {
        let TopicSchema { kind, .. } = schema;
        match registry.try_register(&schema.subject(), kind.text()).await {
            Ok(TriedSchema::Registered(_)) => {}
            Ok(TriedSchema::New | TriedSchema::Compatible) => new += 1,
            Ok(TriedSchema::Incompatible(words)) if *kind == RecordKind::LedgerDay => findings.push(no_ledger(&words)),
            Ok(TriedSchema::Incompatible(words)) => findings.push(incompatible(schema, &words)),
            Err(error) if *kind == RecordKind::LedgerDay && error.is_of_subject() => {
                findings.push(no_ledger(&with_causes(&error)));
            }
            Err(error) => {
                findings.push(failed(&error));
                if !error.is_of_subject() {
                    // It would say the same of the others.
                    break;
                }
            }
        }
    }
    if findings.is_empty() {
        let text = format!("{} are registered, {new} would be", schemas.len() - new);
        findings.push(Finding::new(SUBJECT, Verdict::Sound, text).took(began.elapsed()));
    }
    findings
}

fn incompatible(schema: &TopicSchema<'_>, words: &str) -> Finding {
    let text = format!("{} would be refused as incompatible with an earlier one: {words}", schema.subject());
    Finding::new(SUBJECT, Verdict::Wrong, text)
        .fixed_by("look at who registered it; or give the topics names of their own by topics.prefix")
}

/// It is not needed, but for the ledger.
fn no_ledger(words: &str) -> Finding {
    Finding::new(SUBJECT, Verdict::Warning, format!("no ledger would be kept: {words}"))
        .fixed_by("register its schema (`promoter-connector schemas register`), or set topics.ledger = \"off\"")
}

fn failed(error: &SchemaRegistryError) -> Finding {
    let verdict = if error.is_retriable() { Verdict::Unanswered } else { Verdict::Wrong };
    Finding::new(SUBJECT, verdict, with_causes(error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::avro::schema_registry::tests::FakeRegistry;

    async fn found_where_all_is_answered_by(status: u16) -> (Vec<Finding>, usize) {
        let fake = FakeRegistry::answering(vec![(status, "{}".to_owned())]).await;
        let settings = SchemaRegistrySettings { urls: vec![fake.url.parse().unwrap()], credentials: None };
        let found = findings(Some(settings), &TopicNames::default(), None).await;
        (found, fake.paths().len())
    }

    #[tokio::test]
    async fn each_subject_without_rights_is_told_and_wrong_credentials_once() {
        let schemas = topic_schemas(&TopicNames::default(), None).len();
        let (denied, calls) = found_where_all_is_answered_by(403).await;
        assert_eq!((denied.len(), calls), (schemas, schemas));
        let (unknown_user, calls) = found_where_all_is_answered_by(401).await;
        assert_eq!((unknown_user.len(), calls), (1, 1));
    }
}
