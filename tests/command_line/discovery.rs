//! `promoters discover`, with the simulated upstream, and librdkafka's mock cluster for a broker.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use super::*;

const PROMOTERS: u64 = 5;

/// The simulated upstream, until it is dropped.
struct Upstream {
    child: Child,
    url: String,
}

impl Upstream {
    fn start() -> Upstream {
        let mut child = Command::new(env!("CARGO_BIN_EXE_promoter-connector"))
            .args(["simulate", "--listen", "127.0.0.1:0", "--faults", "none", "--promoters", &PROMOTERS.to_string()])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let line = lines.find(|line| line.contains("http://")).expect("it says where it listens");
        let port: String =
            line.split("http://127.0.0.1:").nth(1).unwrap().chars().take_while(char::is_ascii_digit).collect();
        Upstream { child, url: format!("http://127.0.0.1:{port}") }
    }

    fn place(&self) -> Place {
        let app = "[[apps]]\napp_id = \"wx_simulated\"\nsecret = \"simulated-secret\"\ndiscover_tags = [\"role_id\"]\n";
        Place::new(&format!("{app}base_url = \"{}\"\n", self.url))
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// What a discovery has counted, of those that are not 0.
fn counted(place: &Place, arguments: &[&str]) -> Vec<(String, u64)> {
    let report = place.object(&[&["discover"], arguments].concat());
    let app = report["apps"][0].as_object().unwrap();
    assert_eq!((&app["app_id"], &app["error"]), (&"wx_simulated".into(), &Value::Null));
    let counts = app.iter().filter_map(|(name, count)| Some((name.clone(), count.as_u64()?)));
    let mut counts: Vec<(String, u64)> = counts.filter(|(_, count)| *count > 0).collect();
    counts.sort();
    counts
}

fn counts<const N: usize>(named: [(&str, u64); N]) -> Vec<(String, u64)> {
    named.map(|(name, count)| (name.to_owned(), count)).to_vec()
}

#[test]
fn whom_the_list_names_is_registered_once_and_whoever_is_removed_stays_so_until_he_is_added() {
    let upstream = Upstream::start();
    let place = upstream.place();
    // One of them was declared and has never authorised.
    let first = counts([("found", PROMOTERS), ("listed", PROMOTERS + 1), ("not_authorised", 1)]);
    assert_eq!(counted(&place, &["--dry-run"]), first);
    assert!(place.listed().is_empty(), "a dry run writes nothing");
    assert_eq!(counted(&place, &[]), first);
    let again = counts([("listed", PROMOTERS + 1), ("not_authorised", 1), ("unchanged", PROMOTERS)]);
    assert_eq!(counted(&place, &["--remove"]), again);
    // Of one in ten the list tells no role, and who that is changes with what merchants edit.
    let (id, row) = place.listed().into_iter().find(|(_, row)| row["tags"]["source"] == "discovery").unwrap();
    assert_eq!((&row["state"], &row["sources"]), (&"polled".into(), &serde_json::json!(["discovery"])));

    assert_eq!(place.object(&["remove", &id])["removed"], 1);
    let removed =
        counts([("kept_removed", 1), ("listed", PROMOTERS + 1), ("not_authorised", 1), ("unchanged", PROMOTERS - 1)]);
    assert_eq!(counted(&place, &[]), removed);
    assert_eq!(place.listed().len() as u64, PROMOTERS - 1);
    assert_eq!(place.object(&["remove", &id])["not_registered"], 1);
    assert_eq!(place.object(&["add", &id])["added"], 1);
    assert_eq!(place.listed().len() as u64, PROMOTERS);
    // What the list says of him comes back with the next reading.
    let back = place.shown(&["discover", "--app", "wx_simulated"]);
    assert_eq!(back, "wx_simulated: 6 listed, 1 found, 4 unchanged, 1 not authorised\n");
    let (_, row) = place.listed().into_iter().find(|(listed, _)| *listed == id).unwrap();
    assert_eq!(
        (&row["sources"], &row["tags"]["source"]),
        (&serde_json::json!(["registry", "discovery"]), &"discovery".into())
    );
    let shown = place.shown(&["discover", "--app", "wx_simulated"]);
    assert_eq!(shown, "wx_simulated: 6 listed, 0 found, 5 unchanged, 1 not authorised\n");
}

#[test]
fn a_discovery_needs_an_app_of_the_configuration_and_its_secret() {
    let without = Place::new("[[apps]]\napp_id = \"wx1\"\n").promoters(&["discover"]);
    assert_eq!(without.code, Some(2));
    assert!(without.told.contains("apps[0].secret"), "{}", without.told);
    let other = Place::new("[[apps]]\napp_id = \"wx1\"\nsecret = \"s\"\n").promoters(&["discover", "--app", "wx9"]);
    assert_eq!(other.code, Some(2));
    assert!(other.told.contains("wx9 is none of the configured apps: wx1"), "{}", other.told);
}

#[test]
fn a_list_that_can_not_be_read_registers_nobody_and_is_told() {
    let app = "[[apps]]\napp_id = \"wx1\"\nsecret = \"s\"\nbase_url = \"http://127.0.0.1:9\"\n[retry]\nattempts = 1\n";
    let failed = Place::new(app).promoters(&["discover"]);
    assert_eq!(failed.code, Some(1));
    assert!(failed.shown.contains("wx1: the list of promoters can't be read: "), "{}", failed.shown);
    assert!(failed.told.contains("1 of 1 lists could not be read or registered"), "{}", failed.told);
    let failed = Place::new(app).promoters(&["discover", "--json"]);
    let report: Value = serde_json::from_str(&failed.shown).unwrap();
    let app = &report["apps"][0];
    assert_eq!((failed.code, &app["found"], &app["paused"]), (Some(1), &0.into(), &0.into()));
    assert!(app["error"].as_str().unwrap().contains("can't be read"), "{app}");
}
