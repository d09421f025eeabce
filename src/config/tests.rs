//! The whole configuration, from text to `Config` or to its problems.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use secrecy::ExposeSecret;

use super::*;
use crate::domain::feed::{Feed, StartFrom};
use crate::domain::promoter::IdKind;
use crate::domain::time::UnixTime;

/// A directory with a configuration file and what it names.
struct Files {
    directory: tempfile::TempDir,
}

impl Files {
    fn with(files: &[(&str, &str)]) -> Files {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(directory.path().join(name), text).unwrap();
        }
        Files { directory }
    }

    fn load(&self, text: &str) -> Result<Config, String> {
        let path = self.directory.path().join("connector.toml");
        std::fs::write(&path, text).unwrap();
        Config::load(&path, &environment).map_err(|error| {
            let text = error.to_string().replace(&*path.to_string_lossy(), "connector.toml");
            text.replace(&*self.directory.path().to_string_lossy(), "DIRECTORY")
        })
    }
}

fn environment(name: &str) -> Option<String> {
    match name {
        "WX_SECRET" => Some("from-environment".to_owned()),
        "SERVERS" => Some("k1:9092,k2:9092".to_owned()),
        _ => None,
    }
}

fn load(text: &str) -> Result<Config, String> {
    Files::with(&[]).load(text)
}

/// The problems of `text`, without the line that names the file.
fn problems(text: &str) -> Vec<String> {
    problems_of(load(text))
}

fn problems_of(outcome: Result<Config, String>) -> Vec<String> {
    outcome.unwrap_err().lines().skip(1).map(|line| line.trim_start().to_owned()).collect()
}

const KAFKA: &str = "[kafka]\n\"bootstrap.servers\" = \"localhost:9092\"\n";
const APP: &str = "[[apps]]\napp_id = \"wx1\"\nsecret = \"s\"\n";

/// A file that is right but for what `more` adds at its end.
fn with(more: &str) -> String {
    format!("{KAFKA}{APP}{more}")
}

fn example(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("config").join(name)).unwrap()
}

#[test]
fn the_minimal_example_loads() {
    let config = load(&example("minimal.toml")).unwrap();
    let app = &config.apps[0];
    assert_eq!(app.app_id.as_str(), "wx0123456789abcdef");
    let TokenSource::Stable { secret } = &app.token else { panic!("{:?}", app.token) };
    assert_eq!(secret.expose_secret(), "from-environment");
    let promoters: Vec<&str> = app.promoters.iter().map(|entry| entry.promoter.promoter_id()).collect();
    assert_eq!(promoters, ["oABC", "oDEF"]);
    assert!(config.schema_registry.is_none());
    assert!(!config.connector.instance_id.is_empty());
}

#[test]
fn the_full_example_says_what_the_defaults_are() {
    let shown = |config: Config| format!("{:#?}", Config { schema_registry: None, ..config });
    assert_eq!(
        shown(load(&example("full.toml")).unwrap()),
        shown(load(&example("minimal.toml")).unwrap()),
        "left: full.toml, right: the defaults"
    );
}

/// full.toml with its lines "# key = …" switched on; `secret` gives way to `secret_file`.
fn full_example_switched_on() -> String {
    let switched_on = |line: &str| {
        let key_line = line.strip_prefix("# ").filter(|rest| {
            let key = rest.split_once(" = ").map_or("", |(key, _)| key);
            !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_lowercase() || b"_.\"".contains(&byte))
        });
        key_line.unwrap_or(line).to_owned() + "\n"
    };
    example("full.toml").lines().filter(|line| !line.starts_with("secret = ")).map(switched_on).collect()
}

#[test]
fn what_is_off_in_the_full_example_is_right_too() {
    let files = Files::with(&[
        ("kafka-password", "one\n"),
        ("registry-password", "two\r\n"),
        ("wx-secret", "three"),
        ("admin-token", "four\n"),
        ("promoters.csv", "promoter,feeds,start_from\noGHI,touches,earliest\n"),
    ]);
    let config = files.load(&full_example_switched_on()).unwrap();
    assert_eq!(config.connector.instance_id, "connector-1");
    assert!(config.kafka.properties.contains(&("sasl.password".to_owned(), "one".to_owned())));
    let basic_auth = config.schema_registry.unwrap().basic_auth.unwrap();
    assert_eq!((basic_auth.username.as_str(), basic_auth.password.expose_secret()), ("connector", "two"));
    assert_eq!(config.admin.token.unwrap().expose_secret(), "four");
    let app = &config.apps[0];
    let TokenSource::Stable { secret } = &app.token else { panic!("{:?}", app.token) };
    assert_eq!(secret.expose_secret(), "three");
    assert_eq!(app.feeds.touches.every, Duration::from_secs(30));
    assert_eq!(app.promoters[2].feeds, [Feed::Touches]);
    assert_eq!(app.promoters[2].start_from, Some(StartFrom::Earliest));
}

#[test]
fn every_key_stands_in_the_full_example() {
    let mut keys = BTreeSet::new();
    collect_keys("", &full_example_switched_on().parse().unwrap(), &mut keys);
    let sections = [
        ("connector", "name instance_id"),
        ("kafka", "bootstrap.servers"),
        ("topics", "prefix touches orders material_requests material_results dead_letters registry state"),
        ("topics", "create partitions replication retention"),
        ("schema_registry", "url username password_file"),
        ("apps", "app_id secret_file base_url spare_urls id_kind token.source promoters promoters_file discover"),
        ("apps.quota", "getrelation.per_minute getrelation.per_day getorder.per_minute getorder.per_day"),
        ("apps.quota", "getsharematerial.per_minute getsharematerial.per_day commands_share"),
        ("apps.feeds.touches", "every"),
        ("feeds.touches", "enabled every idle_every lateness start_from"),
        ("feeds.orders", "enabled every idle_every lateness start_from"),
        ("feeds.refunds", "enabled every idle_every lateness start_from"),
        ("commands", "enabled concurrency reply_topics"),
        ("commit", "linger events_max bytes_max"),
        ("retry", "initial max attempts too_fast parked stopped"),
        ("http", "timeout in_flight response_max"),
        ("admin", "listen token_file"),
        ("log", "level format"),
    ];
    for (section, names) in sections {
        for name in names.split(' ') {
            assert!(keys.contains(&format!("{section}.{name}")), "{section}.{name} is not in full.toml");
        }
    }
    assert!(example("full.toml").contains("\nsecret = \"${WX_SECRET}\"\n"));
}

fn collect_keys(path: &str, table: &toml::Table, keys: &mut BTreeSet<String>) {
    for (key, value) in table {
        let path = document::join(path, key);
        match value {
            toml::Value::Table(table) => collect_keys(&path, table, keys),
            toml::Value::Array(items) if items.iter().any(toml::Value::is_table) => {
                items.iter().filter_map(toml::Value::as_table).for_each(|table| collect_keys(&path, table, keys));
            }
            _ => {
                keys.insert(path);
            }
        }
    }
}

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
discover = "1h"
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
         set it, or write ${BROKERS:-default}",
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
        "apps[0].discover (line 17) asks for discovery, which is not available in this version; write \"off\"",
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
    let outcome = problems("[kafka]\n\"bootstrap.servers\" = localhost\n");
    assert!(!outcome.is_empty());
    assert!(outcome.iter().all(|problem| problem.starts_with("line 2 is not TOML: ")), "{outcome:?}");
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
        ("[apps.quota]\ncommands_share = 1.0", "apps[0].quota.commands_share"),
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
fn refunds_begin_where_orders_do_unless_told_otherwise() {
    let starts = |more: &str| {
        let feeds = load(&with(more)).unwrap().apps.remove(0).feeds;
        (feeds.orders.start_from, feeds.refunds.start_from)
    };
    let time = StartFrom::At(UnixTime(1_668_614_400));
    assert_eq!(starts(""), (StartFrom::Now, StartFrom::Now));
    assert_eq!(starts("[feeds.orders]\nstart_from = 2022-11-17T00:00:00+08:00\n"), (time, time));
    assert_eq!(
        starts("[feeds.orders]\nstart_from = \"earliest\"\n[feeds.refunds]\nstart_from = \"now\"\n"),
        (StartFrom::Earliest, StartFrom::Now)
    );
    assert_eq!(
        starts("[apps.feeds.orders]\nstart_from = \"earliest\"\n[feeds.orders]\nstart_from = \"now\"\n"),
        (StartFrom::Earliest, StartFrom::Earliest)
    );
    assert_eq!(
        starts("[apps.feeds.orders]\nstart_from = \"earliest\"\n[feeds.refunds]\nstart_from = \"now\"\n"),
        (StartFrom::Earliest, StartFrom::Now)
    );
}

#[test]
fn an_apps_feeds_win_over_those_of_all() {
    let more = "[apps.feeds.touches]\nevery = \"5m\"\n[apps.feeds.refunds]\nenabled = false\n\
                [feeds.touches]\nevery = \"2m\"\nlateness = \"1h\"\n";
    let app = load(&with(more)).unwrap().apps.remove(0);
    assert_eq!(app.feeds.touches.every, Duration::from_secs(300));
    assert_eq!(app.feeds.touches.lateness, Duration::from_secs(3600));
    assert_eq!(app.feeds.enabled().collect::<Vec<_>>(), [Feed::Touches, Feed::Orders]);
}

#[test]
fn the_promoters_of_both_sources_are_merged() {
    let files = Files::with(&[("p.csv", "promoter,feeds\noB,touches;refunds\noA,\n")]);
    let more = "promoters = [\"oA\"]\npromoters_file = \"p.csv\"\n[apps.feeds.refunds]\nenabled = false\n";
    assert_eq!(
        problems_of(files.load(&with(more))),
        ["apps[0].promoters_file (line 7) in its line 3 is the same promoter as promoters[0]; remove one of them"]
    );
    let app = files.load(&with(&more.replace("oA", "oC"))).unwrap().apps.remove(0);
    let entries: Vec<(&str, &[Feed])> =
        app.promoters.iter().map(|entry| (entry.promoter.key(), entry.feeds.as_slice())).collect();
    let both: &[Feed] = &[Feed::Touches, Feed::Orders];
    assert_eq!(entries, [("wx1/oC", both), ("wx1/oB", &[Feed::Touches]), ("wx1/oA", both)]);
}

#[test]
fn kafka_properties_pass_through_as_text() {
    let text = format!(
        "[kafka]\n\"bootstrap.servers\" = \"${{SERVERS}}\"\nsecurity.protocol = \"SSL\"\nsocket.keepalive.enable = true\n\
         \"linger.ms\" = 5\n{APP}"
    );
    let properties = load(&text).unwrap().kafka.properties;
    let property = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(
        properties,
        [
            property("bootstrap.servers", "k1:9092,k2:9092"),
            property("security.protocol", "SSL"),
            property("socket.keepalive.enable", "true"),
            property("linger.ms", "5"),
        ]
    );
}

#[test]
fn brokers_may_be_written_without_quotes_or_by_their_older_name_but_once() {
    assert!(load(&format!("[kafka]\nbootstrap.servers = \"h:1\"\n{APP}")).is_ok());
    assert!(load(&format!("[kafka]\n\"metadata.broker.list\" = \"h:1\"\n{APP}")).is_ok());
    assert_eq!(
        problems(&format!("[kafka]\nbootstrap.servers = \"h:1\"\n\"metadata.broker.list\" = \"h:1\"\n{APP}")),
        ["kafka.metadata.broker.list (line 3) is given twice; remove one of them"]
    );
    assert_eq!(
        problems(&format!("[kafka]\nbootstrap.x = \"h:1\"\n{APP}")),
        ["kafka.bootstrap.servers (line 1) is missing; write \"bootstrap.servers\" = \"host:9092\""]
    );
}

#[test]
fn urls_lose_their_trailing_slash() {
    let more = "base_url = \"http://127.0.0.1:8090/\"\nspare_urls = [\"https://h/x/\"]\nid_kind = \"unionid\"\n\
                [schema_registry]\nurl = [\"http://a:1/apis/ccompat/v7/\", \"http://b:1\"]\n";
    let config = load(&with(more)).unwrap();
    assert_eq!(config.apps[0].base_url, "http://127.0.0.1:8090");
    assert_eq!(config.apps[0].spare_urls, ["https://h/x"]);
    assert_eq!(config.apps[0].id_kind, IdKind::UnionId);
    assert_eq!(config.schema_registry.unwrap().urls, ["http://a:1/apis/ccompat/v7", "http://b:1"]);
}

#[test]
fn a_token_from_elsewhere_needs_no_secret() {
    let text = |token: &str| format!("{KAFKA}[[apps]]\napp_id = \"wx1\"\ntoken = {token}\n");
    let files = Files::with(&[]);
    let token = files.load(&text("{ source = \"file\", path = \"token\" }")).unwrap().apps.remove(0).token;
    let TokenSource::File { path } = token else { panic!("{token:?}") };
    assert_eq!(path, files.directory.path().join("token"));
    let token = load(&text("{ source = \"url\", url = \"http://h/token\" }")).unwrap().apps.remove(0).token;
    let TokenSource::Url { url } = token else { panic!("{token:?}") };
    assert_eq!(url, "http://h/token");
    assert_eq!(problems(&text("{ source = \"classic\" }")).len(), 1);
}

#[test]
fn a_secret_is_given_once() {
    let files = Files::with(&[("s", "x")]);
    assert_eq!(
        problems_of(files.load(&with("secret_file = \"s\"\n"))),
        ["apps[0].secret (line 5) is given twice, here and as secret_file; remove one of them"]
    );
    let empty = Files::with(&[("s", "\n")]);
    assert_eq!(
        problems_of(empty.load(&format!("{KAFKA}[[apps]]\napp_id = \"wx1\"\nsecret_file = \"s\"\n"))),
        ["apps[0].secret_file (line 5) names a file that is empty; put the secret there"]
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

const PLANTED: &str = "Pl4nted";

/// Every key that takes a secret, holding the planted one.
const SECRETS_EVERYWHERE: &str = r#"
[kafka]
"bootstrap.servers" = "localhost:9092"
"sasl.password" = "Pl4nted"
"ssl.key.pem" = "Pl4nted"
"ssl.keystore.password" = "Pl4nted"
"ssl.key.password" = "Pl4nted"
"sasl.oauthbearer.config" = "Pl4nted"
"sasl.oauthbearer.client.secret" = "Pl4nted"
[schema_registry]
url = "http://localhost:8081"
username = "u"
password = "Pl4nted"
[admin]
token = "${PLANTED}"
[[apps]]
app_id = "wx1"
secret = "${PLANTED}"
[[apps]]
app_id = "wx2"
secret_file = "secret"
token = { source = "classic" }
"#;

fn planted_environment(name: &str) -> Option<String> {
    (name == "PLANTED").then(|| PLANTED.to_owned())
}

fn load_planted(text: &str) -> Result<Config, ConfigError> {
    let files = Files::with(&[("secret", PLANTED), ("connector.toml", text)]);
    Config::load(&files.directory.path().join("connector.toml"), &planted_environment)
}

#[test]
fn no_secret_is_shown_by_a_configuration() {
    let config = load_planted(SECRETS_EVERYWHERE).unwrap();
    assert!(!format!("{config:?} {config:#?}").contains(PLANTED));
    let TokenSource::Classic { secret } = &config.apps[1].token else { panic!("{:?}", config.apps[1].token) };
    assert_eq!(secret.expose_secret(), PLANTED);
}

#[test]
fn no_secret_is_shown_by_problems_wherever_it_was_written() {
    let misplaced = [
        "[feeds.touches]\nevery = \"Pl4nted\"\nenabled = \"Pl4nted\"\nstart_from = \"Pl4nted\"\n",
        "[http]\nin_flight = \"Pl4nted\"\nresponse_max = \"${PLANTED}\"\n",
        "[connector]\nname = \"Pl4nted ${PLANTED}\"\ninstance_id = \"Pl4nted ${NONE}\"\n",
        "[topics]\nprefix = \"Pl4nted!\"\nretention = \"Pl4nted\"\n",
        "[log]\nlevel = \"Pl4nted\"\nformat = \"Pl4nted\"\n",
        "[commands]\nreply_topics = [\"Pl4nted!\"]\n",
        "[apps.token]\nsource = \"url\"\nurl = \"http://u:Pl4nted@h\"\n",
        "base_url = \"http://h?access_token=Pl4nted\"\nspare_urls = [\"Pl4nted\"]\n",
        "promoters = [\"a/Pl4nted\", \"Pl4nted\", \"Pl4nted\"]\npromoters_file = \"Pl4nted\"\n",
        "unterminated = \"Pl4nted\n",
        "unquoted = Pl4nted\n",
        "number = 1Pl4nted\n",
        "escape = \"\\Pl4nted\"\n",
        "[table Pl4nted]\n",
    ];
    let twice = SECRETS_EVERYWHERE
        .replace("secret_file = \"secret\"", "secret_file = \"Pl4nted\"\nsecret = \"Pl4nted\"")
        .replace("password = \"Pl4nted\"\n[admin]", "password = \"Pl4nted\"\npassword_file = \"Pl4nted\"\n[admin]");
    for more in misplaced {
        let error = load_planted(&format!("{twice}{more}")).unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains(PLANTED), "{more}: {shown}");
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(256))]

    /// The full example with some values replaced and some lines left out.
    #[test]
    fn a_configuration_is_given_or_its_problems_are(
        changes in proptest::collection::vec((0usize..400, 0usize..VALUES.len()), 0..12),
        left_out in proptest::collection::vec(0usize..400, 0..4),
    ) {
        let mut lines: Vec<String> = full_example_switched_on().lines().map(str::to_owned).collect();
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
