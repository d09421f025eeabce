use std::collections::BTreeSet;
use std::fs;

use async_trait::async_trait;
use secrecy::ExposeSecret;
use serde_json::Value;

use super::*;
use crate::model::promoter::Promoter;
use crate::model::time::UnixMillis;
use crate::telemetry::captured::Captured;
use crate::upstream::client::Client;
use crate::upstream::transport::{HttpRequest, HttpResponse, Transport, TransportError};

const READ: &str = "the configuration was read again";
const REFUSED: &str = "the configuration can't be read again: the promoters stay as they were";
const AFTER_RESTART: &str = "settings have changed that act only after a restart";
const CONFIG: &str = "kafka.\"bootstrap.servers\" = \"localhost:9092\"\nhttp.timeout = \"15s\"\n\
                      [[apps]]\napp_id = \"wx1\"\nsecret = \"hush\"\npromoters = [\"oA\", \"oB\"]\npromoters_file = \"p.csv\"\n";

/// Nobody polls here.
#[derive(Clone)]
struct Nowhere;

#[async_trait]
impl Transport for Nowhere {
    async fn send(&self, _: HttpRequest) -> Result<HttpResponse, TransportError> {
        Err(TransportError::Timeout)
    }

    fn now(&self) -> UnixMillis {
        UnixMillis(0)
    }
}

/// What reads a configuration again that stands in a directory of its own.
struct Scene {
    directory: tempfile::TempDir,
    reload: Reload,
    roster: watch::Receiver<Roster>,
    captured: Captured,
}

impl Scene {
    fn new() -> Scene {
        Scene::of(CONFIG)
    }

    fn of(config: &str) -> Scene {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("connector.toml");
        fs::write(&path, config).unwrap();
        fs::write(directory.path().join("wx-secret"), "one\n").unwrap();
        fs::write(directory.path().join("p.csv"), "promoter\noC\n").unwrap();
        let file = ConfigFile::new(&path, |_| None);
        let ConfigReading { files, outcome } = file.read();
        let (config, at_start) = outcome.unwrap();
        let secrets = config.filed_secrets();
        let polled = |AppSettings { client, feeds, promoters, parked_for, catch_up_spread, .. }| {
            PolledApp::new(Client::new(client, Nowhere), feeds, promoters, parked_for, catch_up_spread)
        };
        let apps: Arc<Vec<_>> = Arc::new(config.apps.into_iter().map(polled).collect());
        let (tell, latest) = watch::channel(roster(&apps));
        let files = FileLooks::of(files);
        let reload = Reload { file, files, at_start, secrets, failed: None, reported: Vec::new(), apps, roster: tell };
        Scene { directory, reload, roster: latest, captured: Captured::start() }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// Looks as often as it takes to read what has changed, and once more.
    fn look(&mut self) {
        (0..3).for_each(|_| self.reload.look());
    }

    fn promoters(&self) -> BTreeSet<String> {
        let latest = self.reload.apps[0].promoters.latest();
        latest.promoters.iter().map(|(promoter, _): &(Promoter, _)| promoter.promoter_id().to_owned()).collect()
    }

    fn counts(&self) -> Vec<[u64; 4]> {
        let counts =
            |event: &Value| ["added", "changed", "removed", "promoters"].map(|name| event[name].as_u64().unwrap());
        self.captured.events(READ).iter().map(counts).collect()
    }

    fn names(&self, promoters: &[&str]) {
        assert!(self.promoters().iter().eq(promoters), "{:?}", self.promoters());
    }
}

#[test]
fn a_changed_table_acts_at_the_second_look_that_finds_it_the_same() {
    let mut scene = Scene::new();
    scene.look();
    assert_eq!(scene.counts(), [[0; 4]; 0], "nothing has changed");
    let note = scene.roster.borrow().note("one");
    scene.write("p.csv", "promoter,start_from\noB2,earliest\n");
    scene.reload.look();
    scene.write("p.csv", "promoter,feeds\noD,\n");
    scene.reload.look();
    scene.names(&["oA", "oB", "oC"]);
    scene.reload.look();
    scene.names(&["oA", "oB", "oD"]);
    scene.look();
    assert_eq!(scene.counts(), [[1, 0, 1, 3]]);
    assert_ne!(scene.roster.borrow().note("one"), note, "the others are told");
    scene.write("p.csv", "promoter,feeds\noD,touches\n");
    scene.look();
    assert_eq!(scene.counts()[1..], [[0, 1, 0, 3]]);
}

#[test]
fn a_swapped_link_acts_and_so_does_the_list_in_the_file_itself() {
    let mut scene = Scene::new();
    scene.write("next.csv", "promoter\noE\n");
    std::os::unix::fs::symlink("next.csv", scene.path("link")).unwrap();
    fs::rename(scene.path("link"), scene.path("p.csv")).unwrap();
    scene.look();
    scene.names(&["oA", "oB", "oE"]);
    scene.write("connector.toml", &CONFIG.replace("\"oA\", ", ""));
    scene.look();
    scene.names(&["oB", "oE"]);
    scene.write("next.csv", "promoter\noFF\n");
    scene.look();
    scene.names(&["oB", "oFF"]);
    assert!(scene.captured.events(REFUSED).is_empty() && scene.captured.events(AFTER_RESTART).is_empty());
}

#[test]
fn a_faulty_table_is_refused_as_a_whole_and_said_once_until_it_is_asked_for() {
    let mut scene = Scene::new();
    scene.write("p.csv", "promoter\noD\no E\n");
    scene.look();
    scene.look();
    scene.names(&["oA", "oB", "oC"]);
    let [refused] = &scene.captured.events(REFUSED)[..] else { panic!("once") };
    let error = refused["error"].as_str().unwrap();
    assert!(error.contains("connector.toml") && error.contains("in its line 3 holds a slash"), "{error}");
    assert_eq!(refused["tables"].as_str(), scene.path("p.csv").to_str(), "what could be opened is named");
    scene.reload.read(true);
    assert_eq!(scene.captured.events(REFUSED).len(), 2);
    fs::remove_file(scene.path("p.csv")).unwrap();
    scene.look();
    let events = scene.captured.events(REFUSED);
    assert_eq!((events.len(), events[2]["tables"].as_str()), (3, Some("")), "gone");
    scene.names(&["oA", "oB", "oC"]);
    scene.write("p.csv", "promoter\noD\n");
    scene.look();
    scene.names(&["oA", "oB", "oD"]);
}

#[test]
fn what_could_not_be_read_for_the_sake_of_another_file_is_read_again() {
    let mut scene = Scene::of(&CONFIG.replace("secret = \"hush\"", "secret_file = \"wx-secret\""));
    fs::remove_file(scene.path("wx-secret")).unwrap();
    scene.write("p.csv", "promoter\noD\n");
    scene.look();
    scene.names(&["oA", "oB", "oC"]);
    (0..2 * READ_AGAIN_AFTER).for_each(|_| scene.reload.look());
    assert_eq!(scene.captured.events(REFUSED).len(), 1, "the same fault is told once");
    scene.write("wx-secret", "one\n");
    (0..READ_AGAIN_AFTER).for_each(|_| scene.reload.look());
    scene.names(&["oA", "oB", "oD"]);
    assert_eq!(scene.captured.events(READ).len(), 1);
    (0..2 * READ_AGAIN_AFTER).for_each(|_| scene.reload.look());
    assert_eq!(scene.captured.events(READ).len(), 1, "and no more");
}

#[test]
fn whoever_asks_is_told_even_that_nothing_has_changed() {
    let mut scene = Scene::new();
    scene.reload.read(true);
    assert_eq!(scene.counts(), [[0, 0, 0, 3]]);
}

#[test]
fn settings_that_need_a_restart_are_named_without_what_they_are() {
    let mut scene = Scene::new();
    let changed = CONFIG.replace("15s", "16s").replace("hush", "louder").replace("\"oB\"", "\"oD\"");
    scene.write("connector.toml", &changed);
    scene.look();
    scene.names(&["oA", "oC", "oD"]);
    // One more change of promoters names them no second time; a signal does.
    scene.write("p.csv", "promoter\noEE\n");
    scene.look();
    let told = scene.captured.events(AFTER_RESTART);
    let [one] = &told[..] else { panic!("{told:?}") };
    assert_eq!((&one["settings"], &one["more"]), (&"apps[wx1].secret, http.timeout".into(), &0.into()));
    assert!(!one.to_string().contains("louder") && !one.to_string().contains("hush"), "{one}");
    scene.reload.read(true);
    assert_eq!(scene.captured.events(AFTER_RESTART).len(), 2);
}

#[test]
fn promoters_under_another_kind_of_ids_and_of_other_apps_wait_for_a_restart() {
    let mut scene = Scene::new();
    let kind = CONFIG.replace("secret = \"hush\"", "secret = \"hush\"\nid_kind = \"unionid\"").replace("oA", "uA");
    scene.write("connector.toml", &format!("{kind}[[apps]]\napp_id = \"wx2\"\nsecret = \"s\"\npromoters = [\"oZ\"]\n"));
    scene.reload.read(true);
    scene.names(&["oA", "oB", "oC"]);
    let told = &scene.captured.events(AFTER_RESTART)[0]["settings"];
    assert_eq!(told, "apps[wx1].id_kind, apps[wx2].app_id, apps[wx2].secret");
    scene.write("connector.toml", &CONFIG.replace("wx1", "wx3"));
    scene.reload.read(true);
    scene.names(&["oA", "oB", "oC"]);
    assert_eq!(scene.counts(), [[0, 0, 0, 3]; 2]);
}

#[test]
fn a_long_list_of_settings_is_told_in_part() {
    let mut scene = Scene::new();
    scene.reload.say_settings((0..30).map(|number| format!("a{number:02}")).collect(), false);
    let told = &scene.captured.events(AFTER_RESTART)[0];
    assert_eq!((told["settings"].as_str().unwrap().split(", ").count(), &told["more"]), (NAMED_MAX, &10.into()));
}

#[test]
fn a_secret_that_has_changed_in_its_file_is_read_again_and_needs_no_restart() {
    let config = CONFIG.replace("secret = \"hush\"", "secret_file = \"wx-secret\"");
    let mut scene = Scene::of(&config);
    let read_again = "a secret was read again from its file";
    scene.write("wx-secret", "two\n");
    scene.reload.read(true);
    assert_eq!(scene.captured.events(read_again)[0]["setting"], "apps[wx1].secret_file");
    assert_eq!(scene.reload.secrets[0].1.latest().expose_secret(), "two");
    scene.reload.read(true);
    assert_eq!(scene.captured.events(read_again).len(), 1, "it is the same");
    assert!(scene.captured.events(AFTER_RESTART).is_empty());
    fs::copy(scene.path("wx-secret"), scene.path("other")).unwrap();
    scene.write("connector.toml", &config.replace("\"wx-secret\"", "\"other\""));
    scene.reload.read(true);
    assert_eq!(
        scene.captured.events(AFTER_RESTART)[0]["settings"],
        "apps[wx1].secret_file",
        "where it stands is a setting"
    );
}
