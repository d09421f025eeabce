//! Whether librdkafka takes the user's properties: each by itself, and all of them together in the clients that the
//! connector makes. Nothing is connected to.

use rdkafka::ClientConfig;
use rdkafka::consumer::BaseConsumer;
use rdkafka::error::KafkaError;
use rdkafka::producer::BaseProducer;
use rdkafka::types::RDKafkaConfRes;

use super::kerberos;
use super::profiles::BATCH_BYTES;
use super::settings::{Settings, TopicNames, TopicPolicy};

/// By librdkafka's two names for them. A client that is made only to be looked at connects nowhere.
const BOOTSTRAP: [&str; 2] = ["bootstrap.servers", "metadata.broker.list"];
/// What is shorter may be a part of any word; it is masked only where librdkafka quotes it.
const VALUE_BYTES_MIN: usize = 4;

/// What librdkafka has against the properties.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    /// The name of the property at fault; absent where librdkafka names none that was given.
    pub property: Option<String>,
    /// librdkafka's own words, with the values masked: a secret may stand under a wrong name.
    pub words: String,
}

/// Everything that librdkafka refuses, and every client that it could not make with the rest.
pub fn complaints(properties: &[(String, String)]) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    let mut taken = Vec::new();
    for (name, value) in properties {
        match ClientConfig::new().set(name, value).create_native_config() {
            // Only these are tried together: one that is refused by itself would keep every client from being made, and hide
            // the rest.
            Ok(_) => taken.push((name.clone(), value.clone())),
            Err(error) => {
                complaints.push(Complaint { property: Some(name.clone()), words: shown(&words(error), properties) });
            }
        }
    }
    for words in refused_together(&taken).into_iter().map(words) {
        let complaint = Complaint { property: at_fault(&words, &taken), words: shown(&words, properties) };
        if !complaints.contains(&complaint) {
            complaints.push(complaint);
        }
    }
    complaints
}

fn refused_together(properties: &[(String, String)]) -> Vec<KafkaError> {
    let offline: Vec<_> = properties.iter().filter(|(name, _)| !BOOTSTRAP.contains(&name.as_str())).cloned().collect();
    if offline.is_empty() {
        // With the connector's own properties alone every client can be made.
        return Vec::new();
    }
    // Names play no part in what librdkafka takes.
    let settings = Settings {
        properties: kerberos::without_tickets(offline),
        credentials: None,
        name: "name".into(),
        instance_id: "instance".into(),
        topics: TopicNames::default(),
        topic_policy: TopicPolicy::Trust,
    };
    let producers =
        [settings.producer_config(settings.transactional_id(), BATCH_BYTES), settings.request_producer_config()];
    let consumers = [
        settings.member_config(&settings.name),
        settings.reader_config(),
        settings.follower_config(),
        settings.requests_reader_config(),
    ];
    let producers = producers.iter().filter_map(|config| config.create::<BaseProducer>().err());
    producers.chain(consumers.iter().filter_map(|config| config.create::<BaseConsumer>().err())).collect()
}

fn words(error: KafkaError) -> String {
    let words = match error {
        KafkaError::ClientConfig(_, words, ..) | KafkaError::ClientCreation(words) => words,
        error => error.to_string(),
    };
    // Some end with a line's end.
    words.trim_end().to_owned()
}

/// Whether librdkafka has a property of this name, also where it takes it for topics only.
pub fn is_known(name: &str) -> bool {
    let set = ClientConfig::new().set(name, "").create_native_config();
    !matches!(set, Err(KafkaError::ClientConfig(RDKafkaConfRes::RD_KAFKA_CONF_UNKNOWN, ..)))
}

/// What names of properties are made of.
const LETTERS: &str = "abcdefghijklmnopqrstuvwxyz._";
/// No property's name is half as long; bounds how many neighbours there are.
const NAME_BYTES_MAX: usize = 100;

/// The names that are one letter, or the order of two, away from `name`, and what it is with librdkafka's own letters: the
/// likelier ones first. librdkafka does not list the names that it knows, but answers to each.
pub fn neighbours(name: &str) -> impl Iterator<Item = String> {
    let letters: Vec<char> = name.chars().take(NAME_BYTES_MAX).collect();
    let spelt = name.to_ascii_lowercase().replace(['_', '-'], ".");
    let joined = |parts: [&[char]; 3]| parts.concat().into_iter().collect::<String>();
    let ways = |at: usize| {
        let (before, behind) = letters.split_at(at);
        let mut ways = Vec::new();
        if let [first, rest @ ..] = behind {
            ways.push(joined([before, &[], rest]));
            if let [second, rest @ ..] = rest {
                ways.push(joined([before, &[*second, *first], rest]));
            }
            ways.extend(LETTERS.chars().map(|letter| joined([before, &[letter], rest])));
        }
        ways.extend(LETTERS.chars().map(|letter| joined([before, &[letter], behind])));
        ways
    };
    let ways: Vec<String> = (0..=letters.len()).rev().flat_map(ways).collect();
    std::iter::once(spelt).chain(ways)
}

fn shown(words: &str, properties: &[(String, String)]) -> String {
    properties.iter().fold(words.to_owned(), |words, (_, value)| masked(&words, value))
}

/// `words` without `value`, where it stands as a word or in quotes.
fn masked(words: &str, value: &str) -> String {
    let quoted = words.replace(&format!("\"{value}\""), "\"…\"");
    if value.len() < VALUE_BYTES_MIN {
        return quoted;
    }
    let mut masked = String::with_capacity(quoted.len());
    let mut rest = quoted.as_str();
    while let Some(at) = rest.find(value) {
        let (before, after) = (&rest[..at], &rest[at + value.len()..]);
        let joins = |character: char| character.is_alphanumeric() || "._".contains(character);
        let is_word =
            !before.ends_with(joins) && !after.starts_with(|next: char| next.is_alphanumeric() || next == '_');
        masked.push_str(before);
        masked.push_str(if is_word { "…" } else { value });
        rest = after;
    }
    masked + rest
}

/// Of the properties that `words` name, the first; else one whose value they quote.
fn at_fault(words: &str, properties: &[(String, String)]) -> Option<String> {
    let named = properties.iter().filter_map(|(name, _)| Some((words.find(name.as_str())?, name)));
    let valued = properties.iter().find(|(_, value)| masked(words, value) != words);
    let named = named.min_by_key(|(at, name)| (*at, usize::MAX - name.len())).map(|(_, name)| name);
    named.or(valued.map(|(name, _)| name)).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaints_of(properties: &[(&str, &str)]) -> Vec<(String, String)> {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let properties: Vec<(String, String)> = properties.iter().map(owned).collect();
        let parts = |complaint: Complaint| (complaint.property.unwrap_or_default(), complaint.words);
        complaints(&properties).into_iter().map(parts).collect()
    }

    #[test]
    fn properties_that_librdkafka_takes_pass() {
        let taken =
            [("bootstrap.servers", "a:1"), ("security.protocol", "sasl_plaintext"), ("sasl.mechanisms", "PLAIN")];
        let credentials = [("sasl.username", "user"), ("sasl.password", "password")];
        assert_eq!(complaints_of(&[&taken[..], &credentials].concat()), []);
    }

    #[test]
    fn each_refused_property_is_told_in_librdkafkas_words_and_without_its_value() {
        let refused = [("linger.mss", "hidden"), ("security.protocol", "hidden"), ("linger.ms", "-7777")];
        let told = complaints_of(&refused);
        let names: Vec<&str> = told.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["linger.mss", "security.protocol", "linger.ms"]);
        assert_eq!(told[0].1, "No such configuration property: \"linger.mss\"");
        assert_eq!(told[1].1, "Invalid value \"…\" for configuration property \"security.protocol\"");
        assert!(told.iter().all(|(_, words)| !words.contains("hidden") && !words.contains("7777")), "{told:?}");
    }

    #[test]
    fn what_does_not_go_together_is_told_with_the_property_at_fault() {
        for (properties, property, words) in [
            (&[("message.timeout.ms", "60000")][..], "message.timeout.ms", "`transaction.timeout.ms`"),
            (&[("security.protocol", "ssl"), ("ssl.ca.location", "/nowhere")], "ssl.ca.location", "failed"),
            (
                &[("security.protocol", "sasl_plaintext"), ("sasl.mechanisms", "MAGIC")],
                "sasl.mechanisms",
                "SASL mechanism",
            ),
            #[cfg(not(feature = "gssapi"))]
            (&[("security.protocol", "sasl_plaintext")], "", "GSSAPI"),
            #[cfg(feature = "gssapi")]
            (&[("security.protocol", "sasl_plaintext")], "", "sasl.kerberos.keytab"),
        ] {
            let told = complaints_of(properties);
            assert!(!told.is_empty(), "{properties:?} pass");
            for (name, told) in told {
                assert!(name == property && told.contains(words), "{properties:?}: {name}: {told}");
            }
        }
    }

    #[test]
    fn what_librdkafka_says_ends_without_a_lines_end() {
        let told = complaints_of(&[("linger.ms", "-7777")]);
        assert!(told.len() == 1 && told[0].1.contains("outside allowed range"), "{told:?}");
        assert_eq!(told[0].1, told[0].1.trim(), "{told:?}");
    }

    #[test]
    fn a_name_that_is_a_letter_away_is_found_whatever_the_letter() {
        // Among them one without a default, one of topics, and another name of one.
        for name in ["linger.ms", "ssl.ca.location", "acks", "metadata.broker.list"] {
            assert!(is_known(name), "{name}");
            let letters: Vec<char> = name.chars().collect();
            for at in 0..letters.len() {
                let (before, behind) = letters.split_at(at);
                let text = |parts: &[&[char]]| parts.concat().into_iter().collect::<String>();
                for misspelt in [
                    text(&[before, &['x'], behind]),
                    text(&[before, &['q'], &behind[1..]]),
                    text(&[before, &behind[1..]]),
                ] {
                    assert!(neighbours(&misspelt).any(|neighbour| neighbour == name), "{misspelt}");
                }
            }
        }
        for misspelt in ["lniger.ms", "LINGER.MS", "Linger_ms"] {
            assert!(neighbours(misspelt).any(|neighbour| neighbour == "linger.ms"), "{misspelt}");
        }
        assert!(!is_known("lniger.ms") && !is_known("sasl.password_file"));
        assert_eq!(neighbours(&"é".repeat(10_000)).filter(|name| is_known(name)).count(), 0);
    }

    #[test]
    fn a_value_is_masked_where_it_is_a_word() {
        assert_eq!(masked("mechanism MAGIC: not MAGICAL", "MAGIC"), "mechanism …: not MAGICAL");
        assert_eq!(masked("`a.timeout.ms` is above 5", "timeout"), "`a.timeout.ms` is above 5");
        assert_eq!(masked("Invalid value \"x\" for x", "x"), "Invalid value \"…\" for x");
    }
}
