//! `promoters`: what it answers the shell, with librdkafka's mock cluster for a broker. What a real one makes of it is in
//! `tests/broker/registry.rs`.

#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]

use std::process::{Command, Output};
use std::time::{Duration, Instant};

use promoter_connector::kafka::client::mock_cluster::MockCluster;
use promoter_connector::model::promoter::Promoter;
use promoter_connector::model::shard::Shard;
use rdkafka::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use serde_json::Value;
use tempfile::TempDir;

#[path = "discovery.rs"]
mod discovery;

const TOPIC: &str = "promoter.registry";
const PARTITIONS: i32 = 3;
const BOUND: Duration = Duration::from_secs(30);

/// A registry of its own, and files.
struct Place {
    cluster: MockCluster,
    directory: TempDir,
}

/// What a command said.
struct Answer {
    code: Option<i32>,
    shown: String,
    told: String,
}

impl Place {
    /// With the apps of `apps`, in TOML.
    fn new(apps: &str) -> Place {
        let cluster = MockCluster::start().unwrap();
        cluster.create_topic(TOPIC, PARTITIONS).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let kafka = format!("[kafka]\n\"bootstrap.servers\" = \"{}\"\n", cluster.bootstrap_servers());
        let place = Place { cluster, directory };
        place.file("connector.toml", &(kafka + apps));
        place
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path = self.directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn promoters(&self, arguments: &[&str]) -> Answer {
        self.promoters_within("30s", arguments)
    }

    fn promoters_within(&self, timeout: &str, arguments: &[&str]) -> Answer {
        let config = self.directory.path().join("connector.toml");
        let output = Command::new(env!("CARGO_BIN_EXE_promoter-connector"))
            .arg("promoters")
            .args(arguments)
            .args(["--timeout", timeout, "--config"])
            .arg(config)
            .env_remove("NOT_SET_ANYWHERE")
            .current_dir(self.directory.path())
            .output();
        Answer::of(output.expect("the binary under test starts"))
    }

    /// What a command shows that has to succeed.
    fn shown(&self, arguments: &[&str]) -> String {
        let answer = self.promoters(arguments);
        assert_eq!(answer.code, Some(0), "{arguments:?}: {}", answer.told);
        answer.shown
    }

    /// The one JSON object that a command shows.
    fn object(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.shown(&[arguments, &["--json"]].concat())).unwrap()
    }

    /// All of the list, by the promoters' ids.
    fn listed(&self) -> Vec<(String, Value)> {
        let shown = self.shown(&["list", "--json"]);
        let row = |line: &str| {
            let row: Value = serde_json::from_str(line).unwrap();
            (row["promoter_openid"].as_str().unwrap().to_owned(), row)
        };
        shown.lines().map(row).collect()
    }

    /// Puts a record as some other program does.
    fn put(&self, key: &str, value: Option<&str>, content_type: Option<&str>) {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.cluster.bootstrap_servers()).set("partitioner", "murmur2_random");
        let producer: BaseProducer = config.create().unwrap();
        let mut record: BaseRecord<'_, str, str> = BaseRecord::to(TOPIC).key(key);
        record.payload = value;
        // What discovery says of a promoter stands where the promoter's own record does.
        record.partition =
            key.strip_suffix("/discovered").map(|key| Shard::of(&Promoter::from_key(key).unwrap(), PARTITIONS).0);
        if let Some(content_type) = content_type {
            record =
                record.headers(OwnedHeaders::new().insert(Header { key: "Content-Type", value: Some(content_type) }));
        }
        producer.send(record).map_err(|(error, _)| error).unwrap();
        producer.flush(BOUND).unwrap();
    }
}

impl Answer {
    fn of(output: Output) -> Answer {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Answer { code: output.status.code(), shown: text(output.stdout), told: text(output.stderr) }
    }
}

/// No secret is needed, and what others need may be wrong.
const ONE_APP: &str = "[[apps]]\napp_id = \"wx1\"\nsecret = \"${NOT_SET_ANYWHERE}\"\npromoters = [\"oConfigured\"]\n[http]\ntimeout = \"x\"\n";

#[test]
fn promoters_are_added_changed_paused_and_removed_and_each_is_counted() {
    let place = Place::new(ONE_APP);
    let added = place.object(&["add", "oA", "wx1/oB", "--feeds", "touches,orders", "--tag", "shop=7"]);
    assert_eq!((&added["added"], &added["changed"], &added["dry_run"]), (&2.into(), &0.into(), &false.into()));
    let again = place.object(&["add", "oA", "--feeds", "orders,touches"]);
    assert_eq!(
        (&again["unchanged"], &again["changed"]),
        (&1.into(), &0.into()),
        "what is there already is not written"
    );
    let dry = place.object(&["add", "oC", "oA", "--start-from", "earliest", "--dry-run"]);
    assert_eq!((&dry["added"], &dry["changed"], &dry["dry_run"]), (&1.into(), &1.into(), &true.into()));
    assert_eq!(place.listed().len(), 3, "a dry run writes nothing");

    assert_eq!(place.object(&["pause", "oA", "oConfigured"])["added"], 1);
    let listed = place.listed();
    let names: Vec<&str> = listed.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["oA", "oB", "oConfigured"]);
    let (paused, polled, configured) = (&listed[0].1, &listed[1].1, &listed[2].1);
    assert_eq!(
        (&paused["state"], &polled["state"], &configured["state"]),
        (&"paused".into(), &"polled".into(), &"paused".into())
    );
    assert_eq!(paused["tags"]["value"]["shop"], "7", "a pause keeps the other fields: {paused}");
    assert_eq!(paused["feeds"], serde_json::json!({"value": ["TOUCHES", "ORDERS"], "source": "registry"}));
    assert_eq!(configured["sources"], serde_json::json!(["configuration", "registry"]));
    assert_eq!(configured["feeds"]["source"], "default");

    assert_eq!(place.shown(&["pause", "oA"]), "wx1/oA paused already\n");
    assert_eq!(place.object(&["resume", "oA", "oB"])["changed"], 1);
    let removed = place.object(&["remove", "oA", "oNobody", "oConfigured"]);
    assert_eq!((&removed["removed"], &removed["not_registered"]), (&2.into(), &1.into()));
    assert_eq!(removed["still_configured"], serde_json::json!(["wx1/oConfigured"]));
    let told = place.shown(&["remove", "oConfigured"]);
    assert!(told.contains("goes on being polled: the configuration names it"), "{told}");
    let names: Vec<String> = place.listed().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["oB", "oConfigured"]);
}

#[test]
fn who_is_known_to_nobody_is_not_paused_and_nobody_else_is() {
    let place = Place::new(ONE_APP);
    let answer = place.promoters(&["pause", "oConfigured", "oNobody"]);
    assert_eq!(answer.code, Some(2), "as a rewind of nobody");
    assert!(answer.told.contains("wx1/oNobody is neither registered nor configured"), "{}", answer.told);
    assert_eq!(place.listed()[0].1["state"], "polled");
    assert_eq!(place.object(&["resume", "oConfigured"])["unchanged"], 1, "it needs no record");
    assert_eq!(place.shown(&["export"]).lines().count(), 1);
}

#[test]
fn a_file_with_a_faulty_line_registers_nobody_unless_that_is_wished() {
    let place = Place::new(ONE_APP);
    let file = place.file("new.csv", "promoter,feeds\noA,touches\noB,touchs\noA,\n");
    let answer = place.promoters(&["import", &file]);
    assert_eq!(answer.code, Some(2));
    assert!(
        answer.told.contains("line 3 has \"touchs\" in feeds, which is no feed; did you mean touches?"),
        "{}",
        answer.told
    );
    assert!(answer.told.contains("line 4 is the same promoter as line 2"), "{}", answer.told);
    assert!(answer.told.contains("new.csv: 2 of its lines are faulty: nothing is written"), "{}", answer.told);
    assert_eq!(answer.shown, "");
    let answer = place.promoters(&["import", &file, "--json"]);
    assert_eq!(answer.code, Some(2));
    let refused: Value = serde_json::from_str(&answer.shown).unwrap();
    assert_eq!((&refused["added"], &refused["faulty"]), (&0.into(), &2.into()));
    assert_eq!(refused["faults"][1]["line"], 4);
    assert_eq!(refused["faults"][1]["fault"], "is the same promoter as line 2; remove one of them");
    assert_eq!(place.listed().len(), 1);
    let imported = place.object(&["import", &file, "--skip-faulty"]);
    assert_eq!((&imported["added"], &imported["faulty"]), (&1.into(), &2.into()));
    // Of stdin, which is empty here.
    let empty = place.promoters(&["import", "-"]);
    assert!(empty.told.contains("standard input has no column promoter"), "{}", empty.told);
}

#[test]
fn an_export_imports_to_what_is_there_already_in_either_form() {
    let place = Place::new(&(ONE_APP.to_owned() + "[[apps]]\napp_id = \"wx2\"\n"));
    place.shown(&[
        "add",
        "wx1/oA",
        "--feeds",
        "orders",
        "--start-from",
        "2026-01-01T00:00:00+08:00",
        "--tag",
        "a=1,\"2\"",
    ]);
    place.shown(&["add", "wx2/oB", "--paused"]);
    place.shown(&["add", "wx2/oC"]);
    let exports = [("all.csv", place.shown(&["export"])), ("all.jsonl", place.shown(&["export", "--format", "jsonl"]))];
    for (name, export) in &exports {
        let file = place.file(name, export);
        let imported = place.object(&["import", &file]);
        assert_eq!(
            (&imported["unchanged"], &imported["added"], &imported["changed"]),
            (&3.into(), &0.into(), &0.into())
        );
    }
    // Into a registry that is empty.
    place.shown(&["remove", "wx1/oA", "wx2/oB", "wx2/oC"]);
    assert_eq!(place.shown(&["export"]).lines().count(), 1);
    let file = place.file("all.csv", &exports[0].1);
    assert_eq!(place.object(&["import", &file])["added"], 3);
    assert_eq!(place.shown(&["export"]), exports[0].1);
}

#[test]
fn an_export_of_plain_promoters_of_one_app_is_a_promoters_file() {
    let place = Place::new(ONE_APP);
    place.shown(&["add", "oA", "--feeds", "orders"]);
    assert_eq!(place.shown(&["export"]), "promoter,feeds,start_from\noA,orders,\n");
}

#[test]
fn what_others_write_is_read_and_what_can_not_be_read_is_told_and_breaks_nothing() {
    let place = Place::new(ONE_APP);
    let value =
        |id: &str| format!("{{\"app_id\":\"wx1\",\"promoter_openid\":\"{id}\",\"feeds\":[\"orders\"],\"theirs\":1}}");
    let json = Some("Application/JSON; charset=utf-8");
    place.put("wx1/oJson", Some(&value("oJson")), json);
    place.put("wx1/oOther", Some(&value("oJson")), json);
    place.put("wx1/oBytes", Some("?"), None);
    place.put("wx1/oField", Some(&value("oField").replace("orders", "order")), json);
    place.put("wx9/oStrange", Some("{\"app_id\":\"wx9\",\"promoter_openid\":\"oStrange\"}"), json);
    let answer = place.promoters(&["list"]);
    assert_eq!(answer.code, Some(0));
    assert!(answer.shown.contains("orders (registry)") && answer.shown.contains("unknown_app"), "{}", answer.shown);
    for words in [
        "key \"wx1/oOther\", changes nothing: key_mismatch: its key is of wx1/oOther, and its value of wx1/oJson",
        "key \"wx1/oBytes\", changes nothing: not_avro: ",
        "key \"wx1/oField\", changes nothing: invalid_field: feeds: \"order\" is none of the feeds touches, orders, refunds\n",
        "1 of them is of an app that is not configured here",
        "3 of 3 promoters",
    ] {
        assert!(answer.told.contains(words), "{words} is not in: {}", answer.told);
    }
    assert_eq!(place.promoters(&["export"]).code, Some(1), "an export that lacks something is not whole");
    // Whoever registers or removes them has healed them.
    assert_eq!(place.object(&["add", "oOther"])["added"], 1);
    assert_eq!(place.object(&["remove", "oBytes", "oField"])["removed"], 2);
    assert!(!place.promoters(&["list"]).told.contains("changes nothing"));
}

#[test]
fn an_export_is_whole_beside_a_stray_record_and_says_how_that_goes() {
    let place = Place::new(ONE_APP);
    place.shown(&["add", "oA"]);
    place.put("abc", Some("?"), None);
    // It stands in for nobody: the record before it acts.
    place.put("wx1/oA", Some("?"), None);
    let export = place.promoters(&["export"]);
    assert_eq!((export.code, export.shown.as_str()), (Some(0), "promoter,feeds,start_from\noA,,\n"), "{}", export.told);
    assert!(export.told.contains("key \"abc\", changes nothing: invalid_key"), "{}", export.told);
    assert!(export.told.contains("echo 'abc|' | kcat -P"), "{}", export.told);
    assert!(export.told.contains("the export lacks nothing that acts"), "{}", export.told);
    place.put("abc", None, None);
    place.shown(&["add", "oA"]);
    assert_eq!(place.promoters(&["export"]).told, "");
}

#[test]
fn whoever_has_not_authorised_is_polled_as_registered_and_that_is_told() {
    let place = Place::new(ONE_APP);
    for id in ["oA", "oB", "oC"] {
        let value = format!("{{\"app_id\":\"wx1\",\"promoter_openid\":\"{id}\",\"discovered\":\"UNAUTHORIZED\"}}");
        place.put(&format!("wx1/{id}/discovered"), Some(&value), Some("application/json"));
    }
    let rows = place.listed();
    assert_eq!((&rows[0].1["state"], &rows[0].1["authorised"]), (&"paused".into(), &false.into()));
    assert_eq!(rows[3].1["authorised"], Value::Null, "discovery has not found him");
    assert_eq!(place.object(&["add", "oA", "--paused", "--dry-run"])["not_authorised"], 0);
    assert_eq!(place.object(&["add", "oA", "oNew", "--dry-run"])["not_authorised"], 1);
    let told = place.shown(&["add", "oA", "oNew"]);
    assert!(told.contains("wx1/oA has not authorised the app, says discovery; it is polled all the same"), "{told}");
    assert!(!told.contains("wx1/oNew has"), "{told}");
    let file = place.file("new.csv", "promoter\noA\noB\noC\n");
    assert_eq!(place.object(&["import", &file, "--dry-run"])["not_authorised"], 3);
    let told = place.shown(&["import", &file]);
    assert!(told.contains("3 of them have not authorised the app, says discovery"), "{told}");
    assert!(told.ends_with(": wx1/oA, wx1/oB, wx1/oC\n"), "{told}");
    let list = place.shown(&["list"]);
    assert_eq!(list.matches("polled").count(), 5, "the registry counts more: {list}");
    assert_eq!(list.matches("registry, discovery (not authorised)").count(), 3, "{list}");
    assert_eq!(place.object(&["pause", "oA"])["not_authorised"], 0);
    let told = place.shown(&["resume", "oA"]);
    assert!(told.contains("it is polled all the same"), "{told}");
}

#[test]
fn a_promoter_of_an_app_that_is_gone_is_removed_and_one_of_an_app_that_nobody_names_is_not() {
    let place = Place::new(ONE_APP);
    let json = Some("application/json");
    place.put("other/oX", Some("{\"app_id\":\"other\",\"promoter_openid\":\"oX\"}"), json);
    let refused = place.promoters(&["remove", "other/oX", "wx9/oA"]);
    assert_eq!(refused.code, Some(2));
    assert!(refused.told.contains("wx9 is none of the configured apps: wx1"), "{}", refused.told);
    assert!(place.shown(&["export"]).contains("oX"), "all or none");
    place.put("other/oBytes", Some("?"), None);
    assert_eq!(place.object(&["remove", "other/oX", "other/oBytes", "other/oNobody"])["removed"], 2);
    assert_eq!(place.shown(&["export"]), "promoter,feeds,start_from\n");
    assert_eq!(place.shown(&["remove", "other/oX"]), "other/oX not registered: there is nothing to remove\n");
    assert_eq!(place.promoters(&["add", "other/oX"]).code, Some(2));
}

#[test]
fn a_list_is_read_page_by_page_and_app_by_app() {
    let place = Place::new(&(ONE_APP.to_owned() + "[[apps]]\napp_id = \"wx2\"\n"));
    place.shown(&["add", "wx2/oA", "wx2/oB", "wx2/oC"]);
    let page = |arguments: &[&str]| {
        let answer = place.promoters(&[&["list", "--app", "wx2", "--limit", "2"], arguments].concat());
        (
            answer.shown.lines().skip(1).map(|line| line.split(' ').next().unwrap().to_owned()).collect::<Vec<_>>(),
            answer.told,
        )
    };
    let (first, told) = page(&[]);
    assert_eq!(first, ["wx2/oA", "wx2/oB"]);
    assert!(told.contains("2 of 3 promoters; go on with --after wx2/oB"), "{told}");
    assert_eq!(page(&["--after", "wx2/oB"]).0, ["wx2/oC"]);
    assert_eq!(page(&["--after", "oB"]).0, ["wx2/oC"], "the app is named");
}

#[test]
fn what_can_not_be_meant_ends_with_2_before_a_broker_is_asked() {
    let place = Place::new(ONE_APP);
    let began = Instant::now();
    for (arguments, words) in [
        (&["add", "wx9/oA"][..], "wx9 is none of the configured apps: wx1"),
        (&["add", "o A"], "holds a slash, white space"),
        (&["add"], "PROMOTER"),
        (&["add", ""], "the name of a promoter is empty"),
        (&["add", "oA", "--feeds", "touchs"], "is none of the feeds touches, orders, refunds"),
        (&["add", "oA", "--start-from", "soon"], "is neither now"),
        (&["import", "none.csv"], "none.csv can't be read"),
        (&["list", "--app", "wx9"], "wx9 is none"),
    ] {
        let answer = place.promoters(arguments);
        assert_eq!(answer.code, Some(2), "{arguments:?}: {}", answer.told);
        assert!(answer.told.contains(words), "{arguments:?}: {}", answer.told);
    }
    assert!(began.elapsed() < BOUND);
}

#[test]
fn a_broker_that_is_not_there_is_told_in_the_time_that_is_given() {
    let place = Place::new(ONE_APP);
    // The port of a service that nobody runs any more.
    let kafka = "[kafka]\n\"bootstrap.servers\" = \"127.0.0.1:1\"\n";
    place.file("connector.toml", &(kafka.to_owned() + ONE_APP));
    let began = Instant::now();
    let answer = place.promoters_within("2s", &["add", "oA"]);
    let took = began.elapsed();
    assert_eq!(answer.code, Some(1), "{}", answer.told);
    assert!(answer.told.contains("127.0.0.1:1"), "{}", answer.told);
    assert!((Duration::from_secs(1)..Duration::from_secs(6)).contains(&took), "{took:?}: {}", answer.told);
}

#[test]
fn a_registry_that_is_not_there_is_told() {
    let place = Place::new(&(ONE_APP.to_owned() + "[topics]\nprefix = \"other\"\n"));
    let answer = place.promoters(&["list"]);
    assert_eq!(answer.code, Some(1));
    assert!(answer.told.contains("topic other.registry does not exist"), "{}", answer.told);
}

#[test]
fn a_hundred_thousand_promoters_are_imported_in_seconds() {
    let place = Place::new(ONE_APP);
    let rows: String = (0..100_000).map(|number| format!("oPromoter{number:019},touches;orders,earliest\n")).collect();
    let file = place.file("many.csv", &("promoter,feeds,start_from\n".to_owned() + &rows));
    let began = Instant::now();
    let imported = place.object(&["import", &file]);
    assert_eq!((&imported["added"], &imported["unchanged"]), (&100_000.into(), &0.into()));
    // A build without optimisation, on a machine that others use.
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
    assert_eq!(place.object(&["import", &file])["unchanged"], 100_000);
}
