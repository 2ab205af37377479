//! The registry: every query and rule has a file, an oracle and a place in `docs/views.md`, made from the registry.

use std::collections::BTreeMap;
use std::fmt::Write;

use highwater_dataflow::view::{Kind, View};
use highwater_queries::registry::{QUERIES, RULES, views};

use super::{between, expect_document, read, report, root};

const BEGIN: &str = "<!-- Made from queries/src/registry.rs: HIGHWATER_BLESS=1 cargo test tidy -->";
const END: &str = "<!-- End of what is made. -->";

#[test]
fn every_query_and_rule_has_a_file_and_an_oracle() {
    let mut findings = Vec::new();
    let names = QUERIES.iter().map(|query| query.name).chain(RULES.iter().map(|rule| rule.name));
    for name in names {
        for path in [format!("queries/src/{name}.rs"), format!("tests/oracle/{name}.rs")] {
            if !root().join(&path).exists() {
                findings.push(format!("{name}: {path} is missing"));
            }
        }
    }
    report("a query or rule is its file, its oracle and one line of the registry:", &findings);
}

#[test]
fn names_are_unique() {
    let names = QUERIES.iter().map(|query| query.name).chain(RULES.iter().map(|rule| rule.name));
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for name in names.chain(views().iter().map(|view| view.name).filter(|name| !is_query(name))) {
        *seen.entry(name).or_default() += 1;
    }
    let twice: Vec<String> =
        seen.into_iter().filter(|(_, n)| *n > 1).map(|(name, _)| name.to_owned()).collect();
    report("queries, rules and views have names of their own:", &twice);
}

/// A query may share its name with the view it mainly publishes.
fn is_query(name: &str) -> bool {
    QUERIES.iter().any(|query| query.name == name)
}

#[test]
fn columns_carry_their_units() {
    let mut findings = Vec::new();
    for view in views() {
        if view.key == 0 || view.key > view.columns.len() {
            findings.push(format!("{}: a key of {} columns", view.name, view.key));
        }
        for column in view.columns {
            if column.doc.is_empty() {
                findings.push(format!("{}.{}: no description", view.name, column.name));
            }
            if column.name.ends_with("_at") && column.kind == Kind::Int {
                findings.push(format!("{}.{}: an instant ends in _ms", view.name, column.name));
            }
        }
    }
    report("columns say what they hold, in which unit:", &findings);
}

#[test]
fn views_are_documented() {
    let mut made = String::new();
    made.push_str("\n## Queries and rules\n\n| name | publishes | what it is |\n|---|---|---|\n");
    for query in QUERIES {
        let views: Vec<String> = query.views.iter().map(|view| linked(view)).collect();
        let _ =
            writeln!(made, "| `{}` | {} | {} |", query.name, views.join(", "), purpose(query.name));
    }
    for rule in RULES {
        let what = purpose(rule.name);
        let _ = writeln!(made, "| `{}` | rule: [`alerts`](#alerts) | {what} |", rule.name);
    }
    for view in views() {
        describe(view, &mut made);
    }
    made.push('\n');
    let document = read("docs/views.md");
    expect_document("docs/views.md", &between(&document, BEGIN, END, &made));
}

fn linked(view: &View) -> String {
    format!("[`{0}`](#{0})", view.name)
}

fn describe(view: &View, made: &mut String) {
    let key: Vec<String> =
        view.columns[..view.key].iter().map(|column| format!("`{}`", column.name)).collect();
    let _ = write!(
        made,
        "\n## {}\n\n{}\n\nKey: {}.\n\n| column | type | what |\n|---|---|---|\n",
        view.name,
        view.doc,
        key.join(", ")
    );
    for column in view.columns {
        let kind = match column.kind {
            Kind::Int => "integer",
            Kind::Real => "real",
            Kind::Text => "text",
        };
        let _ =
            writeln!(made, "| `{}` | {kind} | {} |", column.name, column.doc.replace('|', "\\|"));
    }
}

/// The first sentence of a query's file, without its name.
fn purpose(name: &str) -> String {
    let file = read(&format!("queries/src/{name}.rs"));
    let first = file.lines().next().unwrap_or_default().trim_start_matches("//! ");
    let (_, sentence) = first.split_once(": ").unwrap_or(("", first));
    sentence.to_owned()
}
