//! The documents: decisions in order, paths and links that lead somewhere, code that is the real code.

use std::collections::BTreeMap;

use super::{Text, between, expect_document, read, report, root, texts};

/// The query that the README shows, verbatim.
const SHOWN: &str = "queries/src/team_drift.rs";
const SHOWN_BEGIN: &str =
    "<!-- From queries/src/team_drift.rs: HIGHWATER_BLESS=1 cargo test tidy -->";
const SHOWN_END: &str = "<!-- End of the query. -->";

#[test]
fn the_query_in_the_readme_is_the_real_one() {
    let source = read(SHOWN);
    let head = source.lines().take_while(|line| line.starts_with("//!"));
    let body = source.lines().skip_while(|line| !line.starts_with("pub fn team_drift"));
    let mut shown: Vec<&str> = head.collect();
    shown.push("");
    for line in body {
        shown.push(line);
        if line == "}" {
            break;
        }
    }
    let block = format!("```rust\n{}\n```\n", shown.join("\n"));
    let readme = read("README.md");
    expect_document("README.md", &between(&readme, SHOWN_BEGIN, SHOWN_END, &block));
}

/// The files of the example that `docs/authoring.md` shows, and what each is.
const TAUGHT: [(&str, &str); 2] =
    [("tests/authoring/missed_offers.rs", "query"), ("tests/authoring/oracle.rs", "oracle")];

#[test]
fn the_example_of_the_authoring_guide_is_the_real_one() {
    let mut guide = read("docs/authoring.md");
    for (path, what) in TAUGHT {
        let begin = format!("<!-- From {path}: HIGHWATER_BLESS=1 cargo test tidy -->");
        let end = format!("<!-- End of the {what}. -->");
        let block = format!("```rust\n{}```\n", read(path));
        guide = between(&guide, &begin, &end, &block);
    }
    expect_document("docs/authoring.md", &guide);
}

#[test]
fn the_event_in_the_readme_is_one() {
    // The shell puts the present there: an old event would be late.
    let readme = read("README.md").replace("'$(date -u +%FT%TZ)'", "2026-05-15T14:32:07Z");
    let (_, rest) = readme.split_once("-d '").expect("README.md posts an event with curl");
    let (json, _) = rest.split_once('\'').expect("the event ends with a quote");
    let decoded = highwater_model::decode(json.as_bytes()).unwrap();
    assert_eq!((decoded.unknown_fields, decoded.unknown_values), (0, 0), "{json}");
}

#[test]
fn decisions_are_numbered_and_complete() {
    let sections = ["Problem", "Success", "Out of scope", "Decision", "Alternatives"];
    let mut numbers: BTreeMap<String, String> = BTreeMap::new();
    let mut findings = Vec::new();
    for text in texts(&[".md"]) {
        if !text.path.starts_with("docs/decisions/") {
            continue;
        }
        let name = text.name().to_owned();
        let (number, slug) = name.split_at_checked(4).unwrap_or(("", &name));
        if number.len() != 4
            || !number.bytes().all(|b| b.is_ascii_digit())
            || !slug.starts_with('-')
        {
            findings.push(format!("{name}: decisions are named NNNN-what.md"));
            continue;
        }
        if let Some(other) = numbers.insert(number.to_owned(), name.clone()) {
            findings.push(format!("{name} has the number of {other}"));
        }
        for section in sections {
            if !text.content.lines().any(|line| line == format!("## {section}")) {
                findings.push(format!("{name}: no section `## {section}`"));
            }
        }
    }
    report("decisions are one page each, numbered once:", &findings);
}

#[test]
fn documents_name_files_that_exist() {
    let endings = [".rs", ".toml", ".md", ".js", ".css", ".html"];
    let mut findings = Vec::new();
    for Text { path, content } in texts(&[".md"]) {
        for (number, line) in without_comments(&content).lines().enumerate() {
            // What stands between backticks and looks like a path of this repository is one.
            for quoted in line.split('`').skip(1).step_by(2) {
                let plain =
                    |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '_' | '-');
                let placeholder = quoted.contains("NAME") || quoted.contains("NNNN");
                let is_path = quoted.contains('/')
                    && !placeholder
                    && !quoted.starts_with(['.', '/'])
                    && quoted.chars().all(plain)
                    && endings.iter().any(|ending| quoted.ends_with(ending));
                if is_path && !root().join(quoted).exists() {
                    findings.push(format!("{path}:{}: `{quoted}`", number + 1));
                }
            }
            for target in line.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
                let file = target.split('#').next().unwrap_or_default();
                if file.is_empty() || file.contains("://") {
                    continue;
                }
                let dir = root().join(&path);
                if !dir.parent().expect("a file is in a directory").join(file).exists() {
                    findings.push(format!("{path}:{}: ({target})", number + 1));
                }
            }
        }
    }
    report("paths and links in documents lead somewhere:", &findings);
}

#[test]
fn the_gate_runs_what_the_readme_says() {
    let (gate, readme) = (read(".ci/run"), read("README.md"));
    assert!(gate.contains("\nstep cargo test\n"), ".ci/run runs `cargo test`, as everyone does");
    assert!(readme.contains("\ncargo test\n"), "README.md says that `cargo test` runs the tests");
}

/// `text` with HTML comments blanked, so that line numbers stay.
fn without_comments(text: &str) -> String {
    let mut rest = text;
    let mut out = String::with_capacity(text.len());
    while let Some((before, comment)) = rest.split_once("<!--") {
        out.push_str(before);
        let (inside, after) = comment.split_once("-->").unwrap_or((comment, ""));
        out.extend(inside.matches('\n'));
        rest = after;
    }
    out.push_str(rest);
    out
}
