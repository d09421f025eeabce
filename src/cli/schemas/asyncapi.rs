//! The topics as an AsyncAPI 3 document, for the catalogues that read such: where each is, what its records are, who writes them.

use serde_json::{Map, Value, json};

use crate::app::TopicSchema;
use crate::avro::schemas::RecordKind;
use crate::config::RequestClientConfig;

/// Of the document, and of its bindings to Kafka.
const VERSION: &str = "3.0.0";
const BINDING_VERSION: &str = "0.5.0";
/// In Avro's own words, of the version of its specification that the schemas keep to.
const AVRO: &str = "application/vnd.apache.avro;version=1.9.0";
const CONTENT_TYPE: &str = "application/avro";
const JSON: &str = "application/json";
const AS_JSON: &str =
    "With content-type application/json it is JSON of the same names, whose deadline is RFC 3339, or milliseconds.";
const KEY: &str = "UTF-8: app_id/promoter_openid";
const LEDGER_KEY: &str = "UTF-8: app_id/feed/day/shard";
const DEAD_LETTER_KEY: &str = "UTF-8: app_id/promoter_openid; none where it is of no promoter.";
const REQUEST_KEY: &str = "Whatever whoever asks has chosen, or none: the reply has the same.";
/// Of a topic of its own for replies.
const REPLIES: &str = "Replies to requests whose header reply-topic names it, under the request's key and headers.";
const SINGLE_OBJECT: &str =
    "Framed as a single object of Avro: C3 01, the schema's fingerprint (CRC-64-AVRO, little-endian), the data.";
const CONFLUENT: &str =
    "Framed for a schema registry: a zero byte, the schema's id (four bytes, big-endian), the data.";

/// What a topic is to those who read the document.
struct Channel {
    /// Its name in the document.
    name: &'static str,
    /// Operations are named after it.
    noun: &'static str,
    description: &'static str,
    /// What the connector does with it.
    actions: &'static [Action],
    is_compacted: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Send,
    Receive,
}

/// The document, of the `topics` that `config` names.
pub(super) fn document(config: &RequestClientConfig, topics: &[TopicSchema<'_>]) -> Value {
    let (mut channels, mut messages, mut operations) = (Map::new(), Map::new(), Map::new());
    for schema in topics {
        let channel = Channel::of(schema.kind);
        channels.insert(channel.name.to_owned(), channel.described(schema));
        messages.insert(record_name(schema.kind).to_owned(), message(schema.kind, config.schema_registry.is_some()));
        for action in channel.actions {
            operations.insert(format!("{}{}", action.name(), channel.noun), channel.operation(*action, schema.kind));
        }
    }
    for (index, topic) in config.requests.iter().flat_map(|requests| &requests.topics.reply_topics).enumerate() {
        let (name, noun) = (format!("materialReplies{}", index + 1), format!("MaterialReplies{}", index + 1));
        operations.insert(format!("{}{noun}", Action::Send.name()), operation(Action::Send, &name));
        channels.insert(name, channel(topic, REPLIES, RecordKind::MaterialResult));
    }
    json!({
        "asyncapi": VERSION,
        "info": {
            "title": config.kafka.name,
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Touches, orders and refunds of WeChat's promoter API, each fact once: read with isolation.level=read_committed. \
                            Requests for promoters' material, and their replies.",
        },
        "defaultContentType": CONTENT_TYPE,
        "servers": servers(config),
        "channels": channels,
        "operations": operations,
        "components": { "messages": messages },
    })
}

impl Channel {
    fn of(kind: RecordKind) -> Channel {
        const SENT: &[Action] = &[Action::Send];
        let (name, noun, description, actions, is_compacted) = match kind {
            RecordKind::Touch => {
                ("touches", "Touches", "Who entered a Mini Program through a promoter's material.", SENT, false)
            }
            RecordKind::Order => {
                ("orders", "Orders", "Payments and refunds of orders that promoters have led to.", SENT, false)
            }
            RecordKind::DeadLetter => (
                "deadLetters",
                "DeadLetters",
                "What could not be published as it stands, with the reason and its bytes.",
                SENT,
                false,
            ),
            RecordKind::Promoter => (
                "registry",
                "Registrations",
                "Whom to poll: the last record of each promoter counts, and a tombstone deregisters. Written by discovery and the \
                 command line, and by whoever registers promoters.",
                &[Action::Send, Action::Receive][..],
                true,
            ),
            RecordKind::LedgerDay => (
                "ledger",
                "LedgerDays",
                "What was published of each day by each shard, and which days are closed: the last record under a key holds.",
                SENT,
                true,
            ),
            RecordKind::MaterialRequest => (
                "materialRequests",
                "MaterialRequests",
                "Requests for a promoter's material.",
                &[Action::Receive][..],
                false,
            ),
            RecordKind::MaterialResult => (
                "materialResults",
                "MaterialResults",
                "Replies to requests that name no reply-topic of their own, under the request's key and headers.",
                SENT,
                false,
            ),
        };
        Channel { name, noun, description, actions, is_compacted }
    }

    fn described(&self, schema: &TopicSchema<'_>) -> Value {
        let mut channel = channel(schema.topic, self.description, schema.kind);
        if self.is_compacted {
            channel["bindings"]["kafka"]["topicConfiguration"] = json!({ "cleanup.policy": ["compact"] });
        }
        channel
    }

    fn operation(&self, action: Action, kind: RecordKind) -> Value {
        let mut operation = operation(action, self.name);
        if kind == RecordKind::MaterialRequest {
            operation["reply"] = json!({ "channel": { "$ref": format!("#/channels/{}", Channel::of(RecordKind::MaterialResult).name) } });
        }
        operation
    }
}

/// A topic, whose records are of `kind`.
fn channel(topic: &str, description: &str, kind: RecordKind) -> Value {
    let record = record_name(kind);
    json!({
        "address": topic,
        "description": description,
        "messages": { record: { "$ref": format!("#/components/messages/{record}") } },
        "bindings": { "kafka": { "topic": topic, "bindingVersion": BINDING_VERSION } },
    })
}

/// What the connector does with the channel of that name.
fn operation(action: Action, channel: &str) -> Value {
    json!({ "action": action.name(), "channel": { "$ref": format!("#/channels/{channel}") } })
}

impl Action {
    fn name(self) -> &'static str {
        match self {
            Action::Send => "send",
            Action::Receive => "receive",
        }
    }
}

fn message(kind: RecordKind, is_registered: bool) -> Value {
    let schema: Value = serde_json::from_str(kind.text()).expect("schemas/ has JSON, which the tests parse");
    let framing = if is_registered { CONFLUENT } else { SINGLE_OBJECT };
    let described = match kind {
        RecordKind::MaterialRequest => format!("{framing} {AS_JSON}"),
        _ => framing.to_owned(),
    };
    let mut kafka = json!({ "key": key(kind), "bindingVersion": BINDING_VERSION });
    if is_registered {
        kafka["schemaIdLocation"] = "payload".into();
        kafka["schemaIdPayloadEncoding"] = "confluent".into();
        kafka["schemaLookupStrategy"] = "TopicNameStrategy".into();
    }
    let mut message = json!({
        "name": kind.name(),
        "title": record_name(kind),
        "summary": schema["doc"],
        "description": described,
        "contentType": CONTENT_TYPE,
        "payload": { "schemaFormat": AVRO, "schema": schema },
        "bindings": { "kafka": kafka },
    });
    if let Some(headers) = headers(kind) {
        message["headers"] = headers;
    }
    message
}

/// What stands in the key of a record.
fn key(kind: RecordKind) -> Value {
    let (description, may_be_none) = match kind {
        RecordKind::Touch | RecordKind::Order | RecordKind::Promoter => (KEY, false),
        RecordKind::LedgerDay => (LEDGER_KEY, false),
        RecordKind::DeadLetter => (DEAD_LETTER_KEY, true),
        RecordKind::MaterialRequest | RecordKind::MaterialResult => (REQUEST_KEY, true),
    };
    let of_type = if may_be_none { json!(["string", "null"]) } else { json!("string") };
    json!({ "type": of_type, "description": description })
}

/// Of requests and their replies alone: other records have none.
fn headers(kind: RecordKind) -> Option<Value> {
    let content_type = |words: &[&str]| json!({ "type": "string", "enum": words });
    let correlation = json!({
        "type": "string", "description": "Or under any other name: every header of a request comes back with its reply, but for content-type.",
    });
    let properties = match kind {
        RecordKind::MaterialRequest => json!({
            "content-type": content_type(&[CONTENT_TYPE, JSON]),
            "correlation-id": correlation,
            "reply-topic": { "type": "string", "description": "One of commands.reply_topics, where the reply is to go." },
        }),
        RecordKind::MaterialResult => json!({
            "content-type": content_type(&[CONTENT_TYPE]),
            "correlation-id": correlation,
        }),
        RecordKind::Touch
        | RecordKind::Order
        | RecordKind::DeadLetter
        | RecordKind::Promoter
        | RecordKind::LedgerDay => return None,
    };
    Some(json!({ "type": "object", "properties": properties }))
}

/// Without its namespace.
fn record_name(kind: RecordKind) -> &'static str {
    kind.name().rsplit('.').next().unwrap_or_else(|| kind.name())
}

/// One for each broker that the configuration names.
fn servers(config: &RequestClientConfig) -> Value {
    let hosts = config.kafka.bootstrap_servers().split(',').map(str::trim).filter(|host| !host.is_empty());
    let described = |host: &str| {
        // librdkafka takes a protocol before the host, which here stands beside it.
        let host = host.rsplit("://").next().unwrap_or(host);
        let mut server = json!({ "host": host, "protocol": protocol(config) });
        if let Some(url) = config.schema_registry.as_ref().and_then(|registry| registry.urls.first()) {
            let bound = json!({
                "schemaRegistryUrl": url.as_str().trim_end_matches('/'), "schemaRegistryVendor": "confluent", "bindingVersion": BINDING_VERSION,
            });
            server["bindings"] = json!({ "kafka": bound });
        }
        if let Some(scheme) = security(config) {
            server["security"] = json!([scheme]);
        }
        server
    };
    hosts
        .enumerate()
        .map(|(index, host)| (format!("kafka-{}", index + 1), described(host)))
        .collect::<Map<_, _>>()
        .into()
}

fn security_protocol(config: &RequestClientConfig) -> String {
    config.kafka.property(&["security.protocol"]).unwrap_or("plaintext").to_ascii_lowercase()
}

fn protocol(config: &RequestClientConfig) -> &'static str {
    if security_protocol(config) == "plaintext" { "kafka" } else { "kafka-secure" }
}

/// How clients say who they are; nothing where they don't, or by a mechanism that has no word in AsyncAPI.
fn security(config: &RequestClientConfig) -> Option<Value> {
    if !security_protocol(config).starts_with("sasl") {
        return None;
    }
    // What librdkafka takes where nothing is said.
    let mechanism = config.kafka.property(&["sasl.mechanisms", "sasl.mechanism"]).unwrap_or("GSSAPI");
    let scheme = match mechanism.to_ascii_uppercase().as_str() {
        "PLAIN" => "plain",
        "SCRAM-SHA-256" => "scramSha256",
        "SCRAM-SHA-512" => "scramSha512",
        "GSSAPI" => "gssapi",
        "OAUTHBEARER" => return Some(json!({ "type": "http", "scheme": "bearer" })),
        _ => return None,
    };
    Some(json!({ "type": scheme }))
}

#[cfg(test)]
mod tests;
