//! `schemas` without a registry that answers.

use super::promoter_connector;

#[test]
fn a_schema_is_shown_as_it_is_registered_without_a_configuration() {
    let output = promoter_connector(&["schemas", "show", "dead-letter"]);
    assert_eq!(output.status.code(), Some(0));
    let expected = include_str!("../../schemas/dead-letter.avsc");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
    let unknown = promoter_connector(&["schemas", "show", "letter"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(String::from_utf8(unknown.stderr).unwrap().contains("write one of touch, order, "));
}

#[test]
fn without_a_registry_the_fingerprints_tell_which_schema_a_record_has() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("connector.toml");
    std::fs::write(&file, "[kafka]\n\"bootstrap.servers\" = \"127.0.0.1:1\"\n").unwrap();
    let schemas = |command| promoter_connector(&["schemas", command, "--config", file.to_str().unwrap()]);
    let list = schemas("list");
    assert_eq!(list.status.code(), Some(0));
    let list = String::from_utf8(list.stdout).unwrap();
    let touches = list.lines().find(|line| line.starts_with("promoter.touches ")).unwrap();
    assert!(touches.contains("  193858e3cbd4ff09  09ffd4cbe3583819  no registry"), "{list}");
    for command in ["check", "register"] {
        let refused = schemas(command);
        assert_eq!(refused.status.code(), Some(2));
        assert!(String::from_utf8(refused.stderr).unwrap().contains("[schema_registry]"));
    }
}

#[test]
fn a_registry_that_is_away_takes_no_fingerprint_away() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("connector.toml");
    let config = "[kafka]\n\"bootstrap.servers\" = \"127.0.0.1:1\"\n[schema_registry]\nurl = \"http://127.0.0.1:1\"\n";
    std::fs::write(&file, config).unwrap();
    let list = promoter_connector(&["schemas", "list", "--config", file.to_str().unwrap()]);
    assert_eq!(list.status.code(), Some(1));
    let (shown, told) = (String::from_utf8(list.stdout).unwrap(), String::from_utf8(list.stderr).unwrap());
    let touches = shown.lines().find(|line| line.starts_with("promoter.touches ")).unwrap();
    assert!(touches.ends_with("  193858e3cbd4ff09  09ffd4cbe3583819  promoter.touches-value: not known"), "{shown}");
    assert!(told.contains("127.0.0.1:1") && told.lines().count() == 1, "{told}");
}
