//! What is reported of the properties of librdkafka in `[kafka]`, in its exact words.

use super::*;

#[test]
fn everything_that_librdkafka_refuses_is_told_at_once_in_its_words() {
    let kafka = r#"
[kafka]
"bootstrap.servers" = "h:1"
"linger.mss" = 5
"security.protokol" = "ssl"
"compression.type" = "lz5"
"message.timeout.ms" = 60000
[commit]
linger = "soon"
"#;
    let refused = |name: &str, line: usize, words: &str| {
        format!("kafka.{name} (line {line}) is refused by librdkafka: {words}; correct it, or remove it")
    };
    let told = problems(&format!("{APP}{kafka}"));
    let line = |offset: usize| APP.lines().count() + 1 + offset;
    let misspelt = |name: &str, line: usize, meant: &str| {
        let words = format!("No such configuration property: \"{name}\"");
        format!("kafka.{name} (line {line}) is refused by librdkafka: {words}; did you mean {meant}?")
    };
    assert_eq!(told[0], misspelt("linger.mss", line(3), "linger.ms"));
    assert_eq!(told[1], misspelt("security.protokol", line(4), "security.protocol"));
    let words = "Invalid value \"…\" for configuration property \"compression.codec\"";
    assert_eq!(told[2], refused("compression.type", line(5), words));
    assert!(told[3].starts_with(&format!("kafka.message.timeout.ms (line {}) is refused", line(6))), "{}", told[3]);
    assert!(told[4].starts_with("commit.linger"), "{}", told[4]);
    assert_eq!(told.len(), 5);
}

#[test]
fn what_is_wrong_with_a_login_by_tokens_is_told_by_its_keys() {
    let login = r#"
"security.protocol" = "sasl_ssl"
"sasl.mechanisms" = "OAUTHBEARER"
"sasl.oauthbearer.method" = "oidc"
"sasl.oauthbearer.token.endpoint.url" = "issuer"
"sasl.oauthbearer.client.idd" = "x"
"sasl.oauthbearer.grant.type" = "urn:ietf:params:oauth:grant-type:jwt-bearer"
"https.ca.location" = "/nowhere/ca.pem"
"#;
    let told = problems(&[KAFKA, login, APP].concat());
    let keys: Vec<&str> = told.iter().map(|problem| problem.split(" (").next().unwrap_or_default()).collect();
    let wrong = ["client.id", "client.secret", "token.endpoint.url", "client.idd", "grant.type"];
    let wrong = wrong.map(|key| format!("kafka.sasl.oauthbearer.{key}"));
    assert_eq!(keys[..5], wrong, "{told:?}");
    assert_eq!(keys[5..], ["kafka.https.ca.location"], "{told:?}");
}

#[test]
fn a_login_by_tokens_needs_a_method() {
    let told = problems(&[KAFKA, "\"sasl.mechanisms\" = \"OAUTHBEARER\"\n", APP].concat());
    assert_eq!(
        told,
        [
            "kafka.sasl.oauthbearer.method (line 3) is \"default\", whose tokens nobody signs, and those are not allowed; \
          write \"oidc\", beside sasl.oauthbearer.token.endpoint.url, sasl.oauthbearer.client.id and \
          sasl.oauthbearer.client.secret; or, for tests only, enable.sasl.oauthbearer.unsecure.jwt = true beside \
          sasl.oauthbearer.config"
        ]
    );
}

#[test]
fn a_property_is_told_the_nearest_name_also_where_that_is_our_own() {
    for (name, end) in [
        ("bootstrap.serverss", "did you mean bootstrap.servers?"),
        ("sasl.pasword_file", "did you mean sasl.password_file?"),
        ("ssl.ca.locatoin", "did you mean ssl.ca.location?"),
        ("quite.another.name", "correct it, or remove it"),
    ] {
        let told = problems(&format!("{APP}{KAFKA}\"{name}\" = \"x\"\n"));
        assert!(told.len() == 1 && told[0].ends_with(end), "{told:?}");
    }
}

#[test]
fn the_files_of_properties_are_looked_for_beside_the_configuration() {
    let location = |name: &str, file: &str| with_kafka(&format!("\"ssl.{name}.location\" = \"{file}\"\n"));
    for name in ["ca", "certificate", "crl", "key", "keystore"] {
        let missing = format!(
            "kafka.ssl.{name}.location (line 3) names a file that can't be read (entity not found); \
             write the path of a readable file; a relative one begins in DIRECTORY"
        );
        assert_eq!(problems(&location(name, "missing.pem")), [missing]);
    }
    let files = Files::with(&[("ca.pem", "nobody"), ("https.pem", "nobody")]);
    // It was found, and is what librdkafka complains of.
    let told =
        problems_of(files.load(&with_kafka("\"security.protocol\" = \"ssl\"\n\"ssl.ca.location\" = \"ca.pem\"\n")));
    assert!(told[0].contains("ssl.ca.location failed: ") && !told[0].contains("No such file"), "{told:?}");
    let kafka = files.load(&location("ca", "${CA:-ca.pem}")).unwrap().kafka;
    let place = files.directory.path().join("ca.pem").display().to_string();
    assert!(kafka.properties.contains(&("ssl.ca.location".into(), place)), "{:?}", kafka.properties);
    let kafka = files.load(&location("ca", "probe")).unwrap().kafka;
    assert!(kafka.properties.contains(&("ssl.ca.location".into(), "probe".into())), "{:?}", kafka.properties);
    let told = problems_of(files.load(&with_kafka("\"https.ca.location\" = \"https.pem\"\n")));
    assert!(!told[0].contains("can't be read"), "{told:?}");
}

/// A file that is right but for what `more` adds to its properties.
fn with_kafka(more: &str) -> String {
    format!("{KAFKA}{more}{APP}")
}

#[cfg(not(feature = "gssapi"))]
#[test]
fn kerberos_that_is_not_in_the_build_is_told_by_the_name_of_its_feature() {
    let named =
        "\"security.protocol\" = \"sasl_ssl\"\n\"sasl.mechanisms\" = \"GSSAPI\"\n\"sasl.kerberos.principal\" = \"x\"\n";
    let needed =
        "needs the cargo feature gssapi, which is not in this build; build the connector with --features gssapi";
    assert_eq!(
        problems(&with_kafka(named)),
        [
            format!("kafka.sasl.mechanisms (line 4) {needed}, or write another mechanism"),
            format!("kafka.sasl.kerberos.principal (line 5) {needed}, or remove it"),
        ]
    );
    assert_eq!(
        problems(&with_kafka("\"security.protocol\" = \"sasl_ssl\"\n")),
        [
            "kafka.security.protocol (line 3) has no sasl.mechanisms beside it, and GSSAPI, which is then meant, needs the cargo \
             feature gssapi, which is not in this build; write sasl.mechanisms, such as \"SCRAM-SHA-512\", or build the connector \
             with --features gssapi"
        ]
    );
}

#[cfg(feature = "gssapi")]
#[test]
fn the_properties_of_kerberos_reach_librdkafka() {
    let files = Files::with(&[("keytab", "nothing yet")]);
    let named = "\"security.protocol\" = \"sasl_ssl\"\n\"sasl.kerberos.keytab\" = \"keytab\"\n\"sasl.kerberos.principal\" = \"x\"\n";
    let kafka = files.load(&with_kafka(named)).unwrap().kafka;
    let keytab = files.directory.path().join("keytab").display().to_string();
    assert!(kafka.properties.contains(&("sasl.kerberos.keytab".into(), keytab)), "{:?}", kafka.properties);
    assert!(kafka.properties.contains(&("sasl.kerberos.principal".into(), "x".into())), "{:?}", kafka.properties);
}

#[cfg(not(feature = "msk-iam"))]
#[test]
fn tokens_for_msk_that_are_not_in_the_build_are_told_by_the_name_of_their_feature() {
    let msk = "\"sasl.mechanisms\" = \"OAUTHBEARER\"\n\"sasl.oauthbearer.method\" = \"aws_msk_iam\"\n\"sasl.oauthbearer.aws.region\" = \"x\"\n";
    assert_eq!(
        problems(&with_kafka(msk)),
        [
            "kafka.sasl.oauthbearer.method (line 4) needs the cargo feature msk-iam, which is not in this build; build the \
             connector with --features msk-iam"
        ]
    );
}
