//! The second step's tool: one table of the file, read key by key.
//!
//! Asking for a key makes it known; what was never asked for is an unknown key at the end. A mistake is reported
//! and reading goes on with the default, which is harmless: a file with any problem gives no configuration.

use std::cell::RefCell;
use std::path::Path;

use super::document::{Node, Table, TomlValue, join};
use super::problem::{Mistake, Problems};
use super::secret;
use super::watched_file::WatchedFile;
use crate::secret::Secret;

/// What all sections of one file share.
pub struct Context<'a> {
    /// The directory of the file: relative paths in it begin there.
    pub directory: &'a Path,
    pub problems: &'a Problems,
    /// The tables that were read beside the file, as they were just before.
    pub tables: RefCell<Vec<WatchedFile>>,
}

/// One value of a list.
pub struct Item<T> {
    /// Such as `promoters[2]`.
    pub key: String,
    line: usize,
    pub value: T,
}

pub struct Section<'a> {
    context: &'a Context<'a>,
    path: String,
    line: Option<usize>,
    /// `None` for a table that is absent, or is no table and was reported.
    table: Option<&'a Table>,
    known: Vec<&'static str>,
}

impl<'a> Section<'a> {
    pub fn root(table: &'a Table, context: &'a Context<'a>) -> Section<'a> {
        Section { context, path: String::new(), line: None, table: Some(table), known: Vec::new() }
    }

    pub fn context(&self) -> &'a Context<'a> {
        self.context
    }

    /// The section's key path, such as `apps[0]`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The value of `key`, whatever it is.
    fn node(&mut self, key: &'static str) -> Option<&'a Node> {
        self.known.push(key);
        self.find(key)
    }

    fn find(&self, key: &str) -> Option<&'a Node> {
        self.table?.iter().find(|(name, _)| name == key).map(|(_, node)| node)
    }

    /// Whether `key` is written, rightly or wrongly.
    pub fn has(&self, key: &str) -> bool {
        self.find(key).is_some()
    }

    /// The value of `key`, or `None` where it is absent or its mistake has been reported.
    pub fn optional<T>(&mut self, key: &'static str, read: impl FnOnce(&TomlValue) -> Result<T, Mistake>) -> Option<T> {
        let node = self.node(key)?;
        self.read(key, node, read)
    }

    pub fn or<T>(&mut self, key: &'static str, default: T, read: impl FnOnce(&TomlValue) -> Result<T, Mistake>) -> T {
        self.optional(key, read).unwrap_or(default)
    }

    /// Like `optional`, but absence is a problem too: `remedy` says what to write.
    pub fn required<T>(
        &mut self,
        key: &'static str,
        remedy: &str,
        read: impl FnOnce(&TomlValue) -> Result<T, Mistake>,
    ) -> Option<T> {
        if !self.has(key) {
            self.problem(key, Mistake::new("is missing", remedy));
        }
        self.optional(key, read)
    }

    /// The readable items of a list; an absent list is empty. What is wrong is reported item by item.
    pub fn list<T>(&mut self, key: &'static str, read: impl Fn(&TomlValue) -> Result<T, Mistake>) -> Vec<Item<T>> {
        let Some(node) = self.node(key) else { return Vec::new() };
        let items = match &node.value {
            TomlValue::List(items) => items,
            TomlValue::Reported => return Vec::new(),
            _ => {
                self.problem(key, Mistake::new("is not a list", format!("write {key} = [\"…\", \"…\"]")));
                return Vec::new();
            }
        };
        let read_item = |(index, node): (usize, &Node)| {
            let key = format!("{key}[{index}]");
            Some(Item { value: self.read(&key, node, &read)?, line: node.line, key })
        };
        items.iter().enumerate().filter_map(read_item).collect()
    }

    fn read<T>(&self, key: &str, node: &Node, read: impl FnOnce(&TomlValue) -> Result<T, Mistake>) -> Option<T> {
        if matches!(node.value, TomlValue::Reported) {
            return None;
        }
        read(&node.value)
            .map_err(|mistake| self.context.problems.add(join(&self.path, key), Some(node.line), mistake))
            .ok()
    }

    /// The secret under `key`, or in the file that `file_key` names: beside the configuration file where the path is
    /// relative. Both at once are a problem. The text of the problems holds neither secret nor path.
    pub fn secret(&mut self, key: &'static str, file_key: &'static str) -> Option<Secret> {
        let directory = self.context.directory;
        if self.has(key) && self.has(file_key) {
            let what = format!("is given twice, here and as {file_key}");
            self.problem(key, Mistake::new(what, "remove one of them"));
        }
        let written = self.optional(key, secret::from_value);
        let filed = self.optional(file_key, |value| secret::kept_in_file(value, directory));
        written.map(Secret::from).or(filed)
    }

    /// The table under `key`; an absent one reads like an empty one.
    pub fn section(&mut self, key: &'static str) -> Section<'a> {
        let node = self.node(key);
        let table = node.and_then(|node| match &node.value {
            TomlValue::Table(table) => Some(table),
            TomlValue::Reported => None,
            _ => {
                self.problem(key, Mistake::new("is not a table", format!("write {key} = {{ key = value }}")));
                None
            }
        });
        let line = node.map(|node| node.line).or(self.line);
        Section { context: self.context, path: join(&self.path, key), line, table, known: Vec::new() }
    }

    /// The table under `key`, where there is one.
    pub fn given(&mut self, key: &'static str) -> Option<Section<'a>> {
        let section = self.section(key);
        section.table.is_some().then_some(section)
    }

    /// The tables under `[[key]]`; `None` where something else stands there, which was reported.
    pub fn sections(&mut self, key: &'static str) -> Option<Vec<Section<'a>>> {
        let Some(node) = self.node(key) else { return Some(Vec::new()) };
        let items = match &node.value {
            TomlValue::List(items) if items.iter().all(|item| matches!(item.value, TomlValue::Table(_))) => items,
            TomlValue::Reported => return None,
            _ => {
                self.problem(key, Mistake::new("is not a list of tables", format!("write it as [[{key}]]")));
                return None;
            }
        };
        let section = |(index, item): (usize, &'a Node)| {
            let TomlValue::Table(table) = &item.value else { return None };
            let path = join(&self.path, &format!("{key}[{index}]"));
            let line = Some(item.line);
            Some(Section { context: self.context, path, line, table: Some(table), known: Vec::new() })
        };
        Some(items.iter().enumerate().filter_map(section).collect())
    }

    /// All entries of a table whose keys are not the connector's own; nothing in it is an unknown key.
    pub fn entries(&self) -> &'a [(String, Node)] {
        self.table.map_or(&[], Vec::as_slice)
    }

    /// Reports a problem of `key`, in its line or, where it is absent, in that of the section.
    pub fn problem(&self, key: &str, mistake: Mistake) {
        let line = self.find(key).map(|node| node.line).or(self.line);
        self.context.problems.add(join(&self.path, key), line, mistake);
    }

    pub fn problem_of_item<T>(&self, item: &Item<T>, mistake: Mistake) {
        self.context.problems.add(join(&self.path, &item.key), Some(item.line), mistake);
    }

    /// Reports the keys that nobody asked for, with the nearest known one.
    pub fn end(self) {
        for (key, node) in self.table.into_iter().flatten() {
            if !self.known.contains(&key.as_str()) {
                let mistake = Mistake::new("is not a known key", nearest(key, &self.known));
                self.context.problems.add(join(&self.path, key), Some(node.line), mistake);
            }
        }
    }
}

/// A name is meant for another one where at most one letter in so many has to be changed, added, left out or swapped.
const LETTERS_PER_SLIP: usize = 3;

/// The one of `known` that `name` may be meant for.
pub fn meant<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let slips = |candidate: &str| strsim::osa_distance(name, candidate);
    let (slips, best) = known.iter().map(|candidate| (slips(candidate), *candidate)).min_by_key(|(slips, _)| *slips)?;
    (slips * LETTERS_PER_SLIP <= name.chars().count()).then_some(best)
}

/// What to write instead of a name that is not among `known`.
pub fn nearest(name: &str, known: &[&str]) -> String {
    match meant(name, known) {
        Some(best) => format!("did you mean {best}?"),
        None => format!("remove it, or write one of {}", known.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_close_is_taken_for_what_was_meant() {
        let known = ["retry", "feeds", "schema_registry", "commands", "log"];
        for (name, best) in [("retyr", "retry"), ("fedes", "feeds"), ("schema_regsitri", "schema_registry")] {
            assert_eq!(meant(name, &known), Some(best));
        }
        for name in ["registry", "poll", "records", "lg", "", "command_topics"] {
            assert_eq!(meant(name, &known), None, "{name}");
        }
        assert_eq!(meant("retry", &[]), None);
    }
}
