use super::*;

const CONFIG: &str = "kafka.\"bootstrap.servers\" = \"localhost:9092\"\n\
                      apps = [{ app_id = \"wx1\", secret = \"s\", promoters = [\"oA\"], promoters_file = \"p.csv\" }]\n";

/// A file `name.toml` beside a table of promoters.
fn written(config: &str, table: &str) -> (ConfigFile, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("connector.toml");
    std::fs::write(&path, config).unwrap();
    std::fs::write(directory.path().join("p.csv"), table).unwrap();
    (ConfigFile::new(&path, |_| None), directory)
}

fn have_changed(files: &[WatchedFile]) -> Vec<bool> {
    files.iter().map(|file| file.again() != *file).collect()
}

#[test]
fn a_reading_tells_whom_it_names_and_which_files_it_was() {
    let (file, directory) = written(CONFIG, "promoter\noB\n");
    let ConfigReading { files, outcome } = file.read();
    let (config, marks) = outcome.unwrap();
    let promoters = config.apps[0].promoters.iter().map(|(promoter, _)| promoter.promoter_id());
    assert!(promoters.eq(["oA", "oB"]));
    assert_eq!(have_changed(&files), [false, false]);
    std::fs::write(directory.path().join("p.csv"), "promoter\noB\noC\n").unwrap();
    assert_eq!(have_changed(&files), [false, true]);
    let (_, later) = file.read().outcome.unwrap();
    assert_eq!(marks.changed(&later), [""; 0], "promoters are no setting");
}

#[test]
fn a_faulty_table_is_told_by_its_line_and_looked_at_again() {
    let (file, directory) = written(CONFIG, "promoter\noB\no C\n");
    let ConfigReading { files, outcome } = file.read();
    let error = outcome.map(|_| ()).unwrap_err().to_string();
    assert!(
        error.contains("connector.toml") && error.contains("promoters_file") && error.contains("line 3"),
        "{error}"
    );
    std::fs::write(directory.path().join("p.csv"), "promoter\noB\n").unwrap();
    assert_eq!(have_changed(&files), [false, true]);
}

#[test]
fn what_is_no_configuration_any_more_is_looked_at_again() {
    let (file, directory) = written("[kafka", "");
    let ConfigReading { files, outcome } = file.read();
    assert!(outcome.is_err());
    std::fs::write(directory.path().join("connector.toml"), CONFIG).unwrap();
    assert_eq!(have_changed(&files), [true]);
}
