//! Tidy: rules about the repository itself, checked like any other behaviour.
//!
//! Where a document is made from the code, the failing test says so; this makes it anew:
//!
//! ```text
//! HIGHWATER_BLESS=1 cargo test tidy
//! ```

mod arrows;
mod documents;
mod files;
mod registry;

use std::path::{Path, PathBuf};

/// A text file of the repository.
struct Text {
    /// Relative to the repository's root, with `/`.
    path: String,
    content: String,
}

impl Text {
    fn name(&self) -> &str {
        self.path.rsplit('/').next().expect("a path has a last part")
    }
}

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The repository's texts with one of the endings (all with none), sorted by path.
fn texts(endings: &[&str]) -> Vec<Text> {
    let mut paths = Vec::new();
    walk(root(), &mut paths);
    paths.sort();
    let mut texts = Vec::new();
    for path in paths {
        let name = path.file_name().expect("a file has a name").to_string_lossy();
        if !endings.is_empty() && !endings.iter().any(|ending| name.ends_with(ending)) {
            continue;
        }
        // What is not UTF-8 is a picture or a fixture, not a text.
        if let Ok(content) = std::fs::read_to_string(&path) {
            let relative = path.strip_prefix(root()).expect("it was found under the root");
            texts.push(Text { path: relative.to_string_lossy().replace('\\', "/"), content });
        }
    }
    texts
}

fn walk(dir: &Path, paths: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().expect("an entry has a name").to_string_lossy().into_owned();
        let hidden = name.starts_with('.') && name != ".ci";
        if hidden || name == "target" {
            continue;
        }
        if path.is_dir() { walk(&path, paths) } else { paths.push(path) }
    }
}

pub(crate) fn read(path: &str) -> String {
    let full = root().join(path);
    std::fs::read_to_string(&full).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Compares a document with what it should be, or writes it when `HIGHWATER_BLESS` is set.
fn expect_document(path: &str, expected: &str) {
    if read(path) == expected {
        return;
    }
    if std::env::var_os("HIGHWATER_BLESS").is_some() {
        std::fs::write(root().join(path), expected).unwrap();
        return;
    }
    panic!("{path} does not match the code; make it anew with: HIGHWATER_BLESS=1 cargo test tidy");
}

/// `document` with what lies between two marker lines replaced.
fn between(document: &str, begin: &str, end: &str, content: &str) -> String {
    let (head, rest) =
        document.split_once(begin).unwrap_or_else(|| panic!("a document lost its marker: {begin}"));
    let (_, tail) =
        rest.split_once(end).unwrap_or_else(|| panic!("a document lost its marker: {end}"));
    format!("{head}{begin}\n{content}{end}{tail}")
}

/// Fails with all findings at once.
fn report(rule: &str, findings: &[String]) {
    assert!(findings.is_empty(), "{rule}\n  {}", findings.join("\n  "));
}
