//! What holds for every message in the sources, for people and programs look for them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

const LEVELS: [&str; 5] = ["trace", "debug", "info", "warn", "error"];

/// A call of one of the macros.
struct MacroCall {
    place: String,
    level: &'static str,
    /// Its last text, if it has one.
    message: Option<String>,
    /// What stands between its parentheses, without texts.
    fields: String,
}

fn sources(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let (directories, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    let below = directories.iter().flat_map(|directory| sources(directory));
    files.into_iter().filter(|file| !file.ends_with("messages.rs")).chain(below).collect()
}

fn calls() -> Vec<MacroCall> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut calls = Vec::new();
    for file in sources(&root) {
        let text = fs::read_to_string(&file).unwrap();
        let place = file.strip_prefix(&root).unwrap().display().to_string();
        for level in LEVELS {
            let behind = text.split(&format!("tracing::{level}!(")).skip(1).map(str::to_owned).collect::<Vec<_>>();
            calls.extend(behind.iter().map(|behind| call(&place, level, behind)));
        }
    }
    // What a library says is passed on in its own words.
    calls.retain(|call| !call.fields.starts_with("target:"));
    assert!(calls.len() > 40, "{} calls", calls.len());
    calls
}

/// Reads up to the parenthesis that closes what stands before `behind`.
fn call(place: &str, level: &'static str, behind: &str) -> MacroCall {
    let (mut depth, mut message, mut fields) = (1, None, String::new());
    let mut rest = behind.chars();
    while let Some(character) = rest.next() {
        match character {
            '"' => message = Some(rest.by_ref().take_while(|character| *character != '"').collect()),
            '(' => depth += 1,
            ')' if depth == 1 => break,
            ')' => depth -= 1,
            _ => {}
        }
        fields.push(character);
    }
    MacroCall { place: place.to_owned(), level, message, fields }
}

#[test]
fn messages_are_constant_and_lowercase_without_a_full_stop() {
    for MacroCall { place, message, .. } in calls() {
        let Some(message) = message else { continue };
        let begins_well = message.starts_with(|first: char| first.is_ascii_lowercase());
        assert!(begins_well && !message.ends_with('.') && !message.contains('{'), "{place}: {message}");
    }
}

#[test]
fn a_message_has_one_level() {
    let mut levels = BTreeMap::new();
    for MacroCall { place, level, message, .. } in calls() {
        let Some(message) = message else { continue };
        let (first, elsewhere) = levels.entry(message.clone()).or_insert((level, place.clone()));
        assert_eq!(*first, level, "{message}: in {elsewhere} and in {place}");
    }
}

#[test]
fn an_error_stands_in_the_field_error() {
    for MacroCall { place, fields, .. } in calls() {
        for other in ["cause", "%reason", "?reason", "?error"] {
            let given_by = |field: &str| field.trim().starts_with(other);
            assert!(!fields.split(',').any(given_by) || place.ends_with("last_words.rs"), "{place}: {fields}");
        }
    }
}
