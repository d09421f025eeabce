//! What CONTRIBUTING.md names is there, and what its map says is so.

#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]

use std::collections::{BTreeMap, BTreeSet};
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
        check("tonic::", within(&place, &["src/telemetry/traces"]));
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

/// Modules that import each other in a circle could only be read, and changed, together. What is built for tests alone may reach anywhere.
#[test]
fn no_modules_beside_each_other_import_each_other_in_a_circle() {
    let sources = sources(Path::new("src"));
    let for_tests: Vec<PathBuf> = sources.iter().flat_map(|(place, text)| modules_for_tests(place, text)).collect();
    let is_for_tests = |place: &Path| for_tests.iter().any(|test| place.with_extension("").starts_with(test));
    let product: Vec<_> = sources.into_iter().filter(|(place, _)| !is_for_tests(place)).collect();
    let directories: BTreeSet<&Path> = product.iter().flat_map(|(place, _)| place.ancestors().skip(1)).collect();
    let (mut found, mut circles) = (0, Vec::new());
    for directory in directories.into_iter().filter(|directory| directory.starts_with("src")) {
        let imports = imports(directory, &product);
        found += imports.len();
        circles.extend(of_circles(&imports));
    }
    assert!(found > 500, "only {found}");
    assert!(circles.is_empty(), "{circles:#?}");
}

/// Which module below `directory` names which other one beside it, with the first line that does.
fn imports(directory: &Path, product: &[(PathBuf, String)]) -> BTreeMap<(String, String), String> {
    let below = |place: &Path| {
        let module = place.with_extension("");
        let inner: Vec<String> =
            module.strip_prefix(directory).ok()?.iter().map(|part| part.to_string_lossy().into_owned()).collect();
        (!inner.is_empty()).then_some(inner)
    };
    let modules: BTreeSet<String> = product.iter().filter_map(|(place, _)| below(place)?.into_iter().next()).collect();
    let absolute: String = std::iter::once("crate".to_owned())
        .chain(directory.iter().skip(1).map(|part| part.to_string_lossy().into_owned()))
        .map(|part| part + "::")
        .collect();
    let mut imports = BTreeMap::new();
    for (place, text) in product {
        let Some(inner) = below(place).filter(|inner| !["mod", "lib", "main"].contains(&&*inner[0])) else { continue };
        let depth = inner.len() - usize::from(inner.last().is_some_and(|last| last == "mod"));
        let relative = "super::".repeat(depth);
        for line in lines_of_product(text) {
            let named = |module: &&String| {
                **module != inner[0] && [&absolute, &relative].iter().any(|prefix| names(line, prefix, module))
            };
            for module in modules.iter().filter(named) {
                let edge = (inner[0].clone(), module.clone());
                imports.entry(edge).or_insert_with(|| format!("{}: {line}", place.display()));
            }
        }
    }
    imports
}

/// Those of the imports that are part of a circle.
fn of_circles(imports: &BTreeMap<(String, String), String>) -> Vec<String> {
    let mut reached = BTreeMap::<&str, BTreeSet<&str>>::new();
    for (importer, imported) in imports.keys() {
        reached.entry(importer).or_default().insert(imported);
    }
    // Whoever reaches a module reaches what that one does; once for each module, this finds every way.
    for through in reached.keys().copied().collect::<Vec<_>>() {
        let further = reached[through].clone();
        reached.values_mut().filter(|all| all.contains(through)).for_each(|all| all.extend(&further));
    }
    let reaches = |from: &str, to: &str| reached.get(from).is_some_and(|all| all.contains(to));
    let circles = imports.iter().filter(|((from, to), _)| reaches(from, to) && reaches(to, from));
    circles.map(|((from, to), line)| format!("{from} -> {to}: {line}")).collect()
}

/// Whether the line names the module by a path that begins with `prefix`.
fn names(line: &str, prefix: &str, module: &str) -> bool {
    let is_named = |rest: &str| {
        rest.strip_prefix(module).is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
    };
    let is_whole = |at: usize| !line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':');
    line.match_indices(prefix).filter(|(at, _)| is_whole(*at)).any(|(at, _)| {
        let path = &line[at + prefix.len()..];
        match path.strip_prefix('{') {
            Some(several) => several.split(',').map(str::trim).any(is_named),
            None => is_named(path),
        }
    })
}

/// The lines without comments, without the module of tests, which is the last of its file, and without what else is for tests.
fn lines_of_product(text: &str) -> impl Iterator<Item = &str> {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let lines = text.lines().map(str::trim_start).filter(|line| !line.starts_with("//"));
    lines
        .scan("", |before, line| Some((std::mem::replace(before, line), line)))
        .filter(|(before, _)| !is_condition(before))
        .map(|(_, line)| line)
}

/// Where the modules stand that the file declares for tests alone.
fn modules_for_tests(place: &Path, text: &str) -> Vec<PathBuf> {
    let directory = match place.file_stem().unwrap().to_str() {
        Some("mod" | "lib" | "main") => place.parent().unwrap().to_owned(),
        _ => place.with_extension(""),
    };
    let lines: Vec<&str> = text.lines().map(str::trim_start).collect();
    let declared = lines.windows(2).filter(|pair| is_condition(pair[0])).filter_map(|pair| {
        let (visibility, module) = pair[1].split_once("mod ")?;
        module.strip_suffix(';').filter(|_| visibility.is_empty() || visibility.starts_with("pub"))
    });
    declared.map(|module| directory.join(module)).collect()
}

/// Whether what follows the line is built for tests alone, or for them and debugging.
fn is_condition(line: &str) -> bool {
    line.starts_with("#[cfg(") && line.contains("test")
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
