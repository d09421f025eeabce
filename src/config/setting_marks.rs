//! Which settings of the configuration have changed between two readings, without keeping what they were: secrets are among
//! them.

use std::collections::BTreeMap;
use std::path::Path;

use blake3::{Hash, Hasher};

use super::reader::document::{Node, TomlValue, join};
use super::reader::secret;

/// What is read again while the connector runs, of an app.
const RELOADED: [&str; 2] = ["promoters", "promoters_file"];
/// The setting that names the file of the schema registry's password.
pub const REGISTRY_PASSWORD: &str = "schema_registry.password_file";
/// That of the password of Kafka, written as one key or as two.
const KAFKA_PASSWORD: &str = "kafka.sasl.password_file";
/// Ends the names of settings that stand in a file of their own.
const FILE: &str = "_file";

/// Makes marks. Its key is this process's own, so that nobody can find out by trying what a mark was made of.
#[derive(Clone)]
pub struct SettingMarker {
    key: [u8; 32],
}

/// A mark of each setting but the promoters, by its key path; that of an app's names the app, so that apps can change places.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SettingMarks(BTreeMap<String, Hash>);

impl SettingMarker {
    pub fn new() -> SettingMarker {
        SettingMarker { key: rand::random() }
    }

    /// Marks the settings in the `root` of a file. Those that stand in files of their own, whose paths begin in `directory`, are
    /// marked by the content of these, too.
    pub fn marks(&self, root: &[(String, Node)], directory: &Path) -> SettingMarks {
        let mut marks = SettingMarks::default();
        self.add_table("", root, directory, &mut marks);
        marks
    }

    fn add_table(&self, path: &str, table: &[(String, Node)], directory: &Path, marks: &mut SettingMarks) {
        let is_app = path.starts_with("apps[");
        for (key, node) in table {
            if !(is_app && RELOADED.contains(&key.as_str())) {
                self.add(join(path, key), &node.value, directory, marks);
            }
        }
    }

    fn add(&self, path: String, value: &TomlValue, directory: &Path, marks: &mut SettingMarks) {
        match value {
            TomlValue::Table(table) => self.add_table(&path, table, directory, marks),
            TomlValue::List(items) if items.iter().any(|item| matches!(item.value, TomlValue::Table(_))) => {
                for (index, item) in items.iter().enumerate() {
                    let name = app_id(&item.value).map_or_else(|| index.to_string(), str::to_owned);
                    self.add(format!("{path}[{name}]"), &item.value, directory, marks);
                }
            }
            value => {
                let mut hasher = Hasher::new_keyed(&self.key);
                write(&mut hasher, value);
                // Of a secret that is read again while the connector runs the path alone is a setting.
                // One that can't be read is a fault of the configuration, and no mark of a faulty one is ever compared.
                if path.ends_with(FILE)
                    && !is_read_again(&path)
                    && let Ok(file) = secret::path(value, directory)
                    && let Ok(text) = secret::read_file(&file, secret::BYTES_MAX, directory)
                {
                    hasher.update(text.as_bytes());
                }
                marks.0.insert(path, hasher.finalize());
            }
        }
    }
}

impl SettingMarks {
    /// The settings that are not the same in `later`, by their key paths, in order: changed, added or taken away.
    pub fn changed(&self, later: &SettingMarks) -> Vec<String> {
        let changed = later.0.iter().filter(|(path, mark)| self.0.get(*path) != Some(mark));
        let gone = self.0.iter().filter(|(path, _)| !later.0.contains_key(*path));
        let mut paths: Vec<String> = changed.chain(gone).map(|(path, _)| path.clone()).collect();
        paths.sort();
        paths
    }
}

/// Whether the secret is read again whose file this setting names.
fn is_read_again(path: &str) -> bool {
    [REGISTRY_PASSWORD, KAFKA_PASSWORD].contains(&path)
        || (path.starts_with("apps[") && path.ends_with("].secret_file"))
}

fn app_id(app: &TomlValue) -> Option<&str> {
    let TomlValue::Table(table) = app else { return None };
    table.iter().find_map(|(key, node)| match &node.value {
        TomlValue::Text(text) if key == "app_id" => Some(text.as_str()),
        _ => None,
    })
}

/// The kind of each value stands before it, and its length, so that no two are written alike.
fn write(hasher: &mut Hasher, value: &TomlValue) {
    match value {
        TomlValue::Text(text) => write_bytes(hasher, b"t", text.as_bytes()),
        TomlValue::Time(text) => write_bytes(hasher, b"d", text.as_bytes()),
        TomlValue::Integer(integer) => write_bytes(hasher, b"i", &integer.to_le_bytes()),
        TomlValue::Float(float) => write_bytes(hasher, b"f", &float.to_le_bytes()),
        TomlValue::Boolean(boolean) => write_bytes(hasher, b"b", &[u8::from(*boolean)]),
        TomlValue::List(items) => {
            write_bytes(hasher, b"l", &items.len().to_le_bytes());
            items.iter().for_each(|item| write(hasher, &item.value));
        }
        TomlValue::Table(table) => {
            write_bytes(hasher, b"m", &table.len().to_le_bytes());
            for (key, node) in table {
                write_bytes(hasher, b"k", key.as_bytes());
                write(hasher, &node.value);
            }
        }
        TomlValue::Reported => write_bytes(hasher, b"r", b""),
    }
}

fn write_bytes(hasher: &mut Hasher, kind: &[u8; 1], bytes: &[u8]) {
    hasher.update(kind).update(&bytes.len().to_le_bytes()).update(bytes);
}

#[cfg(test)]
mod tests {
    use super::super::reader::document::parse;
    use super::super::reader::problem::Problems;
    use super::*;

    const BEFORE: &str = "http.timeout = \"15s\"\nlog.level = \"info\"\nkafka.\"linger.ms\" = 5\n\
                          apps = [{ app_id = \"wx1\", secret = \"one\", promoters = [\"oA\"], spare_urls = [\"http://a\"] }]\n";

    fn marks(marker: &SettingMarker, text: &str) -> SettingMarks {
        let problems = Problems::default();
        let table = parse(text, &|_| None, &problems);
        assert!(problems.is_empty(), "{text}");
        marker.marks(&table, Path::new(""))
    }

    /// What has changed where `after` is read behind [`BEFORE`].
    fn changed(after: &str) -> Vec<String> {
        let marker = SettingMarker::new();
        marks(&marker, BEFORE).changed(&marks(&marker, after))
    }

    #[test]
    fn a_setting_that_is_changed_added_or_taken_away_is_named_by_its_key_path() {
        assert_eq!(changed(BEFORE), [""; 0]);
        assert_eq!(changed(&BEFORE.replace("15s", "16s")), ["http.timeout"]);
        assert_eq!(changed(&BEFORE.replace("log.level = \"info\"\n", "")), ["log.level"]);
        assert_eq!(changed(&BEFORE.replace("\"http://a\"", "\"http://a\", \"http://b\"")), ["apps[wx1].spare_urls"]);
        assert_eq!(changed(&format!("{BEFORE}[retry]\nmax = \"1s\"\n")), ["retry.max"]);
        assert_eq!(changed(&BEFORE.replace("= 5", "= \"5\"")), ["kafka.linger.ms"]);
    }

    #[test]
    fn promoters_are_no_setting_and_apps_may_change_places() {
        let promoters = "promoters = [\"oB\"], promoters_file = \"p.csv\"";
        assert_eq!(changed(&BEFORE.replace("promoters = [\"oA\"]", promoters)), [""; 0]);
        let first = "apps = [{ app_id = \"wx0\", secret = \"none\" }, {";
        assert_eq!(changed(&BEFORE.replace("apps = [{", first)), ["apps[wx0].app_id", "apps[wx0].secret"]);
    }

    #[test]
    fn what_stands_in_a_file_of_its_own_is_marked_with_it() {
        let directory = tempfile::tempdir().unwrap();
        let (marker, problems) = (SettingMarker::new(), Problems::default());
        let text = "[records]\nuser_ids_key_file = \"secret\"\n[schema_registry]\npassword_file = \"secret\"\n\
                    [kafka]\n\"sasl.password_file\" = \"secret\"\n\"ssl.key.password_file\" = \"secret\"\n\
                    [[apps]]\napp_id = \"wx1\"\nsecret_file = \"secret\"\n";
        let table = parse(text, &|_| None, &problems);
        let read = |secret: &str| {
            std::fs::write(directory.path().join("secret"), secret).unwrap();
            marker.marks(&table, directory.path())
        };
        let first = read("one");
        assert_eq!(first.changed(&read("one")), [""; 0]);
        // The others are read again without a restart.
        assert_eq!(first.changed(&read("two")), ["kafka.ssl.key.password_file", "records.user_ids_key_file"]);
    }

    #[test]
    fn a_mark_tells_nothing_to_whoever_has_not_its_key() {
        assert_ne!(marks(&SettingMarker::new(), BEFORE), marks(&SettingMarker::new(), BEFORE));
    }
}
