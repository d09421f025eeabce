//! Whoever is called by an alert, or reads a cause on the page, finds what it means and what to do in `docs/runbook.md`.

use std::collections::BTreeSet;

use super::causes;

const RUNBOOK: &str = "docs/runbook.md";
const ALERTS: &str = "alerts/rules.yml";
/// What each entry has.
const PARTS: [&str; 5] = ["Means:", "Affects:", "See more:", "Do:", "Do not:"];

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The entries of a section by their headings, each with its text.
fn entries<'a>(runbook: &'a str, section: &str) -> Vec<(&'a str, &'a str)> {
    let (_, rest) = runbook.split_once(&format!("\n## {section}\n")).unwrap_or_else(|| panic!("no {section}"));
    let section = rest.split("\n## ").next().unwrap_or(rest);
    section.split("\n### ").skip(1).filter_map(|entry| entry.split_once('\n')).collect()
}

fn names<'a>(entries: &[(&'a str, &str)]) -> BTreeSet<&'a str> {
    let names: BTreeSet<_> = entries.iter().map(|(name, _)| *name).collect();
    assert_eq!(names.len(), entries.len(), "an entry stands there twice");
    names
}

#[test]
fn every_cause_has_an_entry_and_every_entry_is_of_a_cause() {
    let runbook = read(RUNBOOK);
    assert_eq!(names(&entries(&runbook, "Causes")), causes::codes().collect());
}

#[test]
fn every_alert_has_an_entry_that_it_links_and_every_entry_is_of_an_alert() {
    let (runbook, alerts) = (read(RUNBOOK), read(ALERTS));
    let values = |key: &'static str| {
        alerts.lines().filter_map(move |line| line.trim().trim_start_matches("- ").strip_prefix(key)).map(str::trim)
    };
    let alerts: Vec<&str> = values("alert:").collect();
    let entries = entries(&runbook, "Alerts");
    assert_eq!(names(&entries), alerts.iter().copied().collect());
    let links: Vec<String> = alerts.iter().map(|name| format!("{RUNBOOK}#{}", name.to_lowercase())).collect();
    assert_eq!(values("runbook_url:").collect::<Vec<_>>(), links);
}

#[test]
fn every_entry_says_what_it_means_who_is_affected_where_to_look_and_what_to_do() {
    let runbook = read(RUNBOOK);
    for (name, text) in entries(&runbook, "Alerts").into_iter().chain(entries(&runbook, "Causes")) {
        for part in PARTS {
            let is_told = text
                .lines()
                .any(|line| line.strip_prefix(&format!("- **{part}**")).is_some_and(|told| told.len() > 10));
            assert!(is_told, "{name} does not say: {part}");
        }
    }
}
