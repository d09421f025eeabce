//! What is reported, in its exact words.

use std::sync::LazyLock;

use super::*;

#[test]
fn an_empty_file_is_told_what_it_needs() {
    assert_eq!(
        load("").unwrap_err(),
        "connector.toml: 2 problems\n  \
         kafka.bootstrap.servers is missing; write \"bootstrap.servers\" = \"host:9092\"\n  \
         apps has no app; write a table [[apps]] with app_id, secret and promoters"
    );
}

#[test]
fn all_problems_are_reported_at_once_in_the_order_of_their_lines() {
    let text = r#"
[conector]
name = "x"

[kafka]
"bootstrap.servers" = "${BROKERS}"
"enable.idempotence" = false

[feeds.touches]
every = "50ms"
lateness = "10"

[[apps]]
app_id = "wx1"
base_url = "ftp://example.com"
promoters = ["oA", "", "oA"]
discover = "1d"
[apps.feeds.orders]
idle_evry = "1h"
every = 60

[[apps]]
app_id = "wx1"
secret = ""
token = { source = "stabel", path = "x" }

[commit]
events_max = 0
bytes_max = "8 megabytes"
"#;
    let expected = [
        "conector (line 2) is not a known key; did you mean connector?",
        "kafka.bootstrap.servers (line 6) needs the environment variable BROKERS, which is not set; \
         set it, or write ${BROKERS:-default}, where the default may be empty",
        "kafka.enable.idempotence (line 7) can't be set here: \
         without it the broker could store a retried record twice; remove it",
        "feeds.touches.every (line 10) is too short; write a duration from \"100ms\" to \"30d\"",
        "feeds.touches.lateness (line 11) is not a duration such as \"90s\", \"10m\", \"6h\" or \"7d\"; \
         write a duration from \"1s\" to \"400d\"",
        "apps[0].secret (line 13) is missing; \
         write secret = \"${WX_SECRET}\" or secret_file = \"…\", or take the token from elsewhere by token",
        "apps[0].base_url (line 15) is a URL of another kind; begin it with http:// or https://",
        "apps[0].promoters[1] (line 16) is empty; write a text in quotes",
        "apps[0].promoters[2] (line 16) is the same promoter as promoters[0]; remove one of them",
        "apps[0].discover (line 17) is too long; write a duration from \"1m\" to \"12h\"",
        "apps[0].feeds.orders.idle_evry (line 19) is not a known key; did you mean idle_every?",
        "apps[0].feeds.orders.every (line 20) is not a duration such as \"90s\", \"10m\", \"6h\" or \"7d\"; \
         write a duration from \"100ms\" to \"30d\"",
        "apps[1].app_id (line 23) is the same as that of apps[0]; merge the two tables",
        "apps[1].secret (line 24) is empty; write \"${NAME}\", with NAME in the environment, or name a file that holds it",
        "apps[1].token.source (line 25) is none of the words known here; \
         write \"stable\" or \"classic\" or \"file\" or \"url\"",
        "commit.events_max (line 28) is not a whole number from 1 to 1000000; write one",
        "commit.bytes_max (line 29) is not a size such as \"512KiB\" or \"16MiB\"; \
         write a size from \"64KiB\" to \"256MiB\"",
    ];
    assert_eq!(problems(text), expected);
}

#[test]
fn a_file_that_is_not_toml_is_told_where() {
    assert_eq!(
        problems("a = 1\na = 2\n[kafka]\ny = \"abc\n"),
        [
            "line 2 gives a a second time; remove one of the two, or join the tables",
            "line 4 is not TOML: invalid basic string, expected `\"`; look at the quotes, brackets and equals signs there",
        ]
    );
}

/// Each line `key = …` of the full example, with what stands before and behind the key.
fn each_key(mut check: impl FnMut(&str, &dyn Fn(&str) -> Vec<String>)) {
    let files = ["kafka-password", "registry-password", "wx-secret", "admin-token"].map(|name| (name, "x"));
    let files = Files::with(&[&files[..], &[("promoters.csv", "promoter\noGHI\n")]].concat());
    // For each text clients are made with the properties of librdkafka, and those with TLS take their time.
    let is_quick = |line: &&str| !line.starts_with("\"security.") && !line.starts_with("\"sasl.");
    let example = full_example_switched_on().split_inclusive('\n').filter(is_quick).collect::<String>();
    let (mut before, mut keys) = (String::new(), 0);
    for line in example.split_inclusive('\n') {
        let behind = &example[before.len() + line.len()..];
        if let Some((key, _)) = line.split_once(" = ").filter(|(key, _)| !key.contains(['#', '"'])) {
            keys += 1;
            check(line, &|line| match files.load(&format!("{before}{line}\n{behind}")) {
                Ok(_) => Vec::new(),
                error => problems_of(error),
            });
            assert!(!key.contains(' '), "{key}");
        }
        before.push_str(line);
    }
    assert!(keys > 60, "{keys} keys");
}

#[test]
fn each_misspelt_key_is_told_the_right_one() {
    each_key(|line, problems| {
        let (key, value) = line.split_once(" = ").unwrap();
        let last = key.chars().last().unwrap();
        let found = problems(&format!("{key}{last} = {value}"));
        let told = format!("is not a known key; did you mean {key}?");
        assert!(found.iter().any(|problem| problem.ends_with(&told)), "{key}{last}: {found:?}");
    });
}

#[test]
fn a_number_where_a_text_belongs_is_told_how_a_text_is_written() {
    each_key(|line, problems| {
        let (key, value) = line.split_once(" = ").unwrap();
        if !value.starts_with('"') {
            return;
        }
        let found = problems(&format!("{key} = 7"));
        let of_key = found.iter().find(|problem| problem.contains(&format!("{key} (line ")));
        let told = |problem: &String| problem.contains("in quotes") || problem.contains('"');
        assert!(of_key.is_some_and(told), "{key}: {found:?}");
    });
    assert_eq!(problems(&with("[connector]\nname = 7\n")), ["connector.name (line 7) is not text; write it in quotes"]);
}

#[test]
fn a_key_or_table_that_is_given_twice_is_named() {
    let cases = [
        ("[log]\nlevel = \"info\"\nlevel = \"warn\"\n", "line 8 gives level a second time"),
        ("[log]\n[http]\n[log]\n", "line 8 gives log a second time"),
        ("[kafka]\n\"linger.ms\" = 5\n", "line 6 gives kafka a second time"),
        ("app_id = \"wx2\"\n", "line 6 gives app_id a second time"),
        ("token = { source = \"stable\", source = \"file\" }\n", "line 6 gives source a second time"),
    ];
    for (more, told) in cases {
        let found = problems(&with(more));
        assert_eq!(found, [format!("{told}; remove one of the two, or join the tables")], "{more}");
        let found = problems(&with(&format!("{more}[commit]\nlinger = \"1d\"\n")));
        assert!(found.len() == 2 && found[1].starts_with("commit.linger (line "), "{found:?}");
    }
}

#[test]
fn a_variable_that_is_empty_or_lacks_its_braces_is_told() {
    let text = |secret: &str| format!("{KAFKA}[[apps]]\napp_id = \"wx1\"\nsecret = \"{secret}\"\n");
    assert_eq!(
        problems(&text("${EMPTY}")),
        ["apps[0].secret (line 5) needs the environment variable EMPTY, which is empty; \
          set it, or write ${EMPTY:-default}, where the default may be empty"]
    );
    assert_eq!(
        problems(&text("$WX_SECRET")),
        ["apps[0].secret (line 5) is a $ and a name, as of a variable whose braces are missing; write ${NAME}; \
          what is meant as it stands can come from a variable or, if it is a secret, from a file"]
    );
}

#[test]
fn a_file_in_another_encoding_is_told_where_that_begins() {
    let files = Files::with(&[]);
    let latin1 = |name: &str, text: &str| {
        let bytes: Vec<u8> = text.chars().map(|c| u8::try_from(c).unwrap()).collect();
        std::fs::write(files.directory.path().join(name), bytes).unwrap();
    };
    latin1("secret", "schlüssel");
    latin1("promoters.csv", "promoter\noA\n# für später\n");
    let text = "promoters_file = \"promoters.csv\"\n[admin]\ntoken_file = \"secret\"\n";
    assert_eq!(
        problems_of(files.load(&with(text))),
        [
            "apps[0].promoters_file (line 6) names a file that is not UTF-8, from its line 3 on; save it in that encoding",
            "admin.token_file (line 8) names a file that is not UTF-8, from its line 1 on; save it in that encoding",
        ]
    );
    latin1("connector.toml", "# a\n# für uns\n");
    let error = Config::load(&files.directory.path().join("connector.toml"), &environment).unwrap_err().to_string();
    assert!(error.ends_with("\n  the file is not UTF-8, from its line 2 on; save it in that encoding"), "{error}");
}

#[test]
fn a_file_that_is_not_there_is_told_how_to_be_named() {
    let error = Config::load(Path::new("/nowhere/connector.toml"), &environment).unwrap_err();
    assert_eq!(
        error.to_string(),
        "/nowhere/connector.toml: 1 problem\n  \
         the file can't be read (entity not found); name the configuration with --config or PROMOTER_CONFIG"
    );
}

#[test]
fn every_limit_is_held() {
    let cases = [
        ("[connector]\nname = \"a b\"", "connector.name"),
        ("[connector]\ninstance_id = \"\"", "connector.instance_id"),
        ("[topics]\nprefix = \"a/b\"", "topics.prefix"),
        ("[topics]\ntouches = \"promoter_orders\"", "topics.orders"),
        ("[topics]\npartitions = 0", "topics.partitions"),
        ("[topics]\nreplication = 0", "topics.replication"),
        ("[topics]\nretention = \"1m\"", "topics.retention"),
        ("[schema_registry]\nurl = \"http://u:p@h\"", "schema_registry.url"),
        ("[schema_registry]\nurl = []", "schema_registry.url"),
        ("[schema_registry]\nurl = \"http://h\"\nusername = \"u\"", "schema_registry.password"),
        ("[schema_registry]\nurl = \"http://h\"\npassword = \"p\"", "schema_registry.username"),
        ("[schema_registry]\nusername = \"u\"\npassword = \"p\"", "schema_registry.url"),
        ("[feeds.orders]\nlateness = \"999ms\"", "feeds.orders.lateness"),
        ("[feeds.refunds]\nidle_every = \"30m\"", "feeds.refunds.idle_every"),
        ("[feeds.touches]\nstart_from = \"2026-01-01\"", "feeds.touches.start_from"),
        ("[feeds.touches]\nstart_from = 2026-01-01", "feeds.touches.start_from"),
        ("[apps.feeds.touches]\nevery = \"1h\"", "apps[0].feeds.touches.idle_every"),
        ("[apps.quota]\ngetorder = { per_minute = -1 }", "apps[0].quota.getorder.per_minute"),
        ("[apps.token]\nsource = \"file\"", "apps[0].token.path"),
        ("[apps.token]\nsource = \"url\"", "apps[0].token.url"),
        ("[apps.token]\nurl = \"http://h\"", "apps[0].token.url"),
        ("[commands]\nconcurrency = 0", "commands.concurrency"),
        ("[commands]\nreply_topics = [\"promoter.state\"]", "commands.reply_topics[0]"),
        ("[commit]\nlinger = \"11s\"", "commit.linger"),
        ("[commit]\nbytes_max = \"1GiB\"", "commit.bytes_max"),
        ("[retry]\ninitial = \"1m\"", "retry.max"),
        ("[retry]\nattempts = 21", "retry.attempts"),
        ("[http]\ntimeout = \"0s\"", "http.timeout"),
        ("[http]\nin_flight = 1025", "http.in_flight"),
        ("[http]\nresponse_max = \"32KiB\"", "http.response_max"),
        ("[admin]\nlisten = \"localhost:9464\"", "admin.listen"),
        ("[log]\nlevel = \"inof\"", "log.level"),
        ("[log]\nformat = \"xml\"", "log.format"),
    ];
    for (more, path) in cases {
        let found = problems(&with(more));
        assert_eq!(found.len(), 1, "{more}: {found:?}");
        assert!(found[0].starts_with(&format!("{path} (line ")), "{more}: {found:?}");
    }
}

#[test]
fn a_table_in_the_wrong_form_is_one_problem() {
    assert_eq!(
        problems(&format!("{KAFKA}[apps]\napp_id = \"wx1\"\n")),
        ["apps (line 3) is not a list of tables; write it as [[apps]]"]
    );
    assert_eq!(
        problems(&with("token = \"stable\"\n")),
        ["apps[0].token (line 6) is not a table; write token = { key = value }"]
    );
    assert_eq!(
        problems(&with("promoters = \"oA\"\n")),
        ["apps[0].promoters (line 6) is not a list; write promoters = [\"…\", \"…\"]"]
    );
}

#[test]
fn an_unknown_key_without_a_likeness_shows_what_there_is() {
    assert_eq!(
        problems(&with("[commit]\nzzz = 1\n")),
        ["commit.zzz (line 7) is not a known key; remove it, or write one of linger, events_max, bytes_max"]
    );
}

#[test]
fn a_missing_file_is_reported_with_where_it_was_looked_for() {
    assert_eq!(
        problems(&with("promoters_file = \"p.csv\"\n")),
        ["apps[0].promoters_file (line 6) names a file that can't be read (entity not found); \
          write the path of a readable file; a relative one begins in DIRECTORY"]
    );
}

static EXAMPLE: LazyLock<String> = LazyLock::new(full_example_switched_on);

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(256))]

    /// The full example with some values replaced and some lines left out.
    #[test]
    fn a_configuration_is_given_or_its_problems_are(
        changes in proptest::collection::vec((0usize..400, 0usize..VALUES.len()), 0..12),
        left_out in proptest::collection::vec(0usize..400, 0..4),
    ) {
        let mut lines: Vec<String> = EXAMPLE.lines().map(str::to_owned).collect();
        for (at, value) in changes {
            let Some(line) = lines.get_mut(at) else { continue };
            if let Some((key, _)) = line.clone().split_once(" = ") {
                *line = format!("{key} = {}", VALUES[value]);
            }
        }
        for at in left_out {
            if let Some(line) = lines.get_mut(at) {
                line.clear();
            }
        }
        if let Err(error) = load(&lines.join("\n")) {
            proptest::prop_assert!(error.lines().count() > 1, "{}", error);
        }
    }
}

const VALUES: [&str; 13] = [
    "1",
    "-1",
    "99999999999999999999",
    "1.5",
    "true",
    "2026-01-01",
    "\"\"",
    "\"x\"",
    "\"${NONE}\"",
    "[]",
    "[[1], \"${NONE}\"]",
    "{}",
    "{ source = { a = 1 } }",
];

#[test]
fn a_collector_of_traces_is_a_host_and_a_port_that_are_asked_unencrypted() {
    let remedy = "write where a collector nearby takes OTLP over gRPC, unencrypted, such as \"http://localhost:4317\"";
    for (otlp, what) in [
        ("localhost:4317", "is not a URL"),
        ("https://localhost:4317", "is a URL of another kind"),
        ("http://localhost:4318/v1/traces", "holds more than a host and a port"),
        ("http://localhost:4317?token=secret", "holds more than a host and a port"),
        ("http://one:secret@localhost:4317", "holds more than a host and a port"),
    ] {
        let problems = problems(&format!("[log]\notlp = \"{otlp}\"\n"));
        assert!(problems.contains(&format!("log.otlp (line 2) {what}; {remedy}")), "{otlp}: {problems:?}");
    }
}
