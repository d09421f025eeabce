//! What CONTRIBUTING.md names is there, and what its map says is so.

#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]

use std::path::{Path, PathBuf};

const TEXT: &str = include_str!("../CONTRIBUTING.md");
const ROOTS: [&str; 6] = ["src/", "tests/", "schemas/", "config/", ".ci/", ".github/"];

/// The texts between two backticks that begin like a path.
fn paths() -> Vec<&'static str> {
    let words = TEXT.lines().flat_map(|line| line.split('`').skip(1).step_by(2)).flat_map(str::split_whitespace);
    words.filter(|word| ROOTS.iter().any(|root| word.starts_with(root))).collect()
}

#[test]
fn every_file_that_a_recipe_names_is_there() {
    let paths = paths();
    assert!(paths.len() > 30, "only {paths:?}");
    let missing: Vec<_> = paths.into_iter().filter(|path| !Path::new(path).exists()).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// The tests that hold a step in place, which the recipes set in italics.
#[test]
fn every_test_that_a_recipe_names_is_there() {
    let sources: String = ["src", "tests"].iter().flat_map(|root| files(Path::new(root))).collect();
    let names = TEXT.split('`').skip(1).step_by(2).filter(|word| word.matches('_').count() > 2 && !word.contains('.'));
    let names: Vec<_> = names.filter(|word| !word.contains(['/', ' ', '='])).collect();
    assert!(names.len() > 5, "only {names:?}");
    let missing: Vec<_> =
        names.into_iter().filter(|name| !sources.contains(&format!("fn {}", name.trim_end_matches('…')))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// The boundaries that the map names: a library, or a directory, and who alone may name it.
#[test]
fn each_library_is_named_in_its_own_directories_and_imports_point_downwards() {
    let within = |place: &Path, roots: &[&str]| roots.iter().any(|root| place.starts_with(root));
    let modules = modules();
    assert!(modules.len() > 20, "only {modules:?}");
    let mut crossings = Vec::new();
    for (place, text) in sources(Path::new("src")) {
        let lines = || text.lines().map(str::trim_start).filter(|line| !line.starts_with("//"));
        let mut check = |word: &str, allowed: bool| {
            crossings.extend(
                lines().filter(|line| !allowed && line.contains(word)).map(|line| (place.clone(), line.to_owned())),
            );
        };
        check("rdkafka::", within(&place, &["src/kafka"]));
        check("apache_avro::", within(&place, &["src/avro"]));
        check("backoff::", within(&place, &["src/retry.rs"]));
        let http = ["src/upstream", "src/oauth", "src/avro/schema_registry", "src/web.rs", "src/simulator/tests"];
        check("reqwest::", within(&place, &http));
        for neighbour in ["upstream", "poll"] {
            check(&format!("crate::{neighbour}::"), !within(&place, &["src/kafka", "src/model", "src/commit"]));
        }
        // `text` alone is left.
        for outer in modules.iter().filter(|module| !["model", "text"].contains(&module.as_str())) {
            check(&format!("crate::{outer}::"), !within(&place, &["src/model"]));
        }
    }
    assert!(crossings.is_empty(), "{crossings:#?}");
}

/// The names of the crate's modules, as `lib.rs` lists them.
fn modules() -> Vec<String> {
    let text = std::fs::read_to_string("src/lib.rs").unwrap();
    let module = |line: &str| {
        let line = line.strip_prefix("pub ").unwrap_or(line);
        Some(line.strip_prefix("mod ")?.strip_suffix(';')?.to_owned())
    };
    text.lines().filter_map(module).collect()
}

fn files(directory: &Path) -> Vec<String> {
    sources(directory).into_iter().map(|(_, text)| text).collect()
}

/// Each file of Rust with its text.
fn sources(directory: &Path) -> Vec<(PathBuf, String)> {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let read = |path: PathBuf| match path.extension() {
        _ if path.is_dir() => sources(&path),
        Some(extension) if extension == "rs" => {
            let text = std::fs::read_to_string(&path).unwrap();
            vec![(path, text)]
        }
        _ => Vec::new(),
    };
    entries.flat_map(read).collect()
}
