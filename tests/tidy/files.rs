//! Rules every file keeps: a header, a size, and nothing that speaks of somebody's machine or of work left over.

use super::{Text, read, report, texts};

/// Lines a source file may have.
const LINES_MAX: usize = 600;

/// Files above it, with their size when they were entered: they may shrink, not grow. Better left empty.
const OVERSIZED: &[(&str, usize)] = &[];

/// Packages in `Cargo.lock`, ours included. Raising it is a decision to argue for in the commit.
const LOCKED_PACKAGES_MAX: usize = 300;

#[test]
fn every_source_file_says_what_it_is() {
    let mut findings = Vec::new();
    for Text { path, content } in texts(&[".rs"]) {
        if !content.starts_with("//! ") {
            findings.push(path);
        }
    }
    report("a .rs file opens with a `//!` sentence that says what it holds:", &findings);
}

#[test]
fn source_files_stay_small() {
    let mut findings = Vec::new();
    for Text { path, content } in texts(&[".rs", ".js", ".css"]) {
        let lines = content.lines().count();
        let exception = OVERSIZED.iter().find(|(name, _)| *name == path);
        let max = exception.map_or(LINES_MAX, |(_, was)| *was);
        if lines > max {
            findings.push(format!("{path}: {lines} lines, {max} at most"));
        } else if exception.is_some() && lines <= LINES_MAX {
            findings.push(format!("{path}: {lines} lines; take it off the list of exceptions"));
        }
    }
    for (name, _) in OVERSIZED {
        if !super::root().join(name).exists() {
            findings.push(format!("{name}: gone; take it off the list of exceptions"));
        }
    }
    report("one file, one idea; split what grows beyond it:", &findings);
}

#[test]
fn nothing_speaks_of_a_machine_or_of_work_left_over() {
    // In parts, so that this file does not find itself.
    let paths = ["work", "root", "home", "Users"].map(|name| format!("/{name}/"));
    let notes =
        [["TO", "DO"], ["FIX", "ME"], ["XX", "X"], ["HA", "CK"]].map(|parts| parts.concat());
    let macros = ["todo", "unimplemented"].map(|name| format!("{name}!("));
    let mut findings = Vec::new();
    for text in texts(&[]) {
        if text.name() == "Cargo.lock" {
            continue;
        }
        for (number, line) in text.content.lines().enumerate() {
            let path = paths.iter().find(|path| names_a_path(line, path));
            let note = notes.iter().find(|note| names_a_note(line, note));
            let unfinished = macros.iter().find(|name| line.contains(name.as_str()));
            if let Some(word) = path.or(note).or(unfinished) {
                findings.push(format!("{}:{}: {word}", text.path, number + 1));
            }
        }
    }
    report(
        "no absolute paths of a machine, no notes to self; do it or decide against it:",
        &findings,
    );
}

#[test]
fn lines_end_cleanly() {
    let mut findings = Vec::new();
    for text in texts(&[".rs", ".toml", ".md", ".js", ".css", ".html", "run"]) {
        if !text.content.is_empty() && !text.content.ends_with('\n') {
            findings.push(format!("{}: no newline at its end", text.path));
        }
        if text.content.contains("\r\n") {
            findings.push(format!("{}: Windows line ends", text.path));
        }
    }
    report("files are plain text with newlines:", &findings);
}

#[test]
fn the_lock_file_stays_within_its_budget() {
    let packages = read("Cargo.lock").lines().filter(|line| *line == "[[package]]").count();
    assert!(
        packages <= LOCKED_PACKAGES_MAX,
        "Cargo.lock holds {packages} packages, {LOCKED_PACKAGES_MAX} at most; see what came in with \
         `git diff Cargo.lock`, and do without it or argue for it where the budget is set"
    );
}

#[test]
fn modules_have_names_that_say_something() {
    let vague = ["utils.rs", "util.rs", "helpers.rs", "helper.rs", "misc.rs", "common.rs"];
    let vague_files: Vec<String> = texts(&[".rs"])
        .into_iter()
        .filter(|text| vague.contains(&text.name()))
        .map(|text| text.path)
        .collect();
    report("a file is named after the one idea it holds:", &vague_files);
}

/// Whether `line` holds an absolute path, as opposed to a part of a relative one or of an address.
fn names_a_path(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        before.is_none_or(|c| !(c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '/')))
    })
}

fn names_a_note(line: &str, note: &str) -> bool {
    line.match_indices(note).any(|(at, _)| {
        let word = |c: char| c.is_alphanumeric() || c == '_';
        let before = line[..at].chars().next_back().is_some_and(word);
        let after = line[at + note.len()..].chars().next().is_some_and(word);
        !before && !after
    })
}
