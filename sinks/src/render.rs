//! Views as text: a table for people, CSV, JSON. Pure functions of a view's columns and rows.

use std::fmt::Write as _;

use highwater_dataflow::view::{Row, Value};
use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::sqlite::Catalogued;

/// Columns aligned under their names, numbers to the right; undefined cells are empty.
pub fn table(view: &Catalogued, rows: &[Row]) -> String {
    let names: Vec<String> = view.columns.iter().map(|column| column.name.clone()).collect();
    let cells: Vec<Vec<String>> =
        rows.iter().map(|row| row.iter().map(|value| printable(&text(value))).collect()).collect();
    let width = |n: usize| {
        let cells = cells.iter().map(|row| row[n].chars().count());
        cells.chain([names[n].chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..names.len()).map(width).collect();
    let mut out = String::new();
    let mut line = |cells: &[String]| {
        let padded =
            cells.iter().zip(&widths).zip(&view.columns).map(|((cell, &width), column)| {
                if column.kind == "text" {
                    format!("{cell:<width$}")
                } else {
                    format!("{cell:>width$}")
                }
            });
        let _ = writeln!(out, "{}", padded.collect::<Vec<_>>().join("  ").trim_end());
    };
    line(&names);
    line(&widths.iter().map(|width| "-".repeat(*width)).collect::<Vec<_>>());
    for row in &cells {
        line(row);
    }
    out
}

/// RFC 4180 with a header line. `spreadsheet`: a text that a spreadsheet would take for a formula gets a leading
/// apostrophe; without it the text is exactly the view's.
pub fn csv(view: &Catalogued, rows: &[Row], spreadsheet: bool) -> String {
    let mut out = String::new();
    let header = view.columns.iter().map(|column| field(&column.name));
    let _ = write!(out, "{}\r\n", header.collect::<Vec<_>>().join(","));
    for row in rows {
        let cells = row.iter().map(|value| match value {
            Value::Text(text) if spreadsheet && is_formula(text) => field(&format!("'{text}")),
            value => field(&text(value)),
        });
        let _ = write!(out, "{}\r\n", cells.collect::<Vec<_>>().join(","));
    }
    out
}

/// An array of objects, columns in the view's order; undefined cells are null.
pub fn json(view: &Catalogued, rows: &[Row]) -> String {
    let names: Vec<&str> = view.columns.iter().map(|column| column.name.as_str()).collect();
    let objects: Vec<_> = rows.iter().map(|row| JsonRow { names: &names, row }).collect();
    serde_json::to_string_pretty(&objects).expect("names and cells are JSON")
}

/// A row as a JSON object.
pub struct JsonRow<'a> {
    pub names: &'a [&'a str],
    pub row: &'a Row,
}

impl Serialize for JsonRow<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.names.len()))?;
        for (name, value) in self.names.iter().zip(self.row) {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Int(n) => n.to_string(),
        Value::Real(x) => x.to_string(),
        Value::Text(text) => text.to_string(),
    }
}

/// Control characters could move a terminal's cursor.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

fn is_formula(text: &str) -> bool {
    text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n'])
}

fn field(text: &str) -> String {
    if text.contains([',', '"', '\r', '\n']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::tests::{SCORES, score};

    fn view() -> Catalogued {
        Catalogued::of(&SCORES)
    }

    #[test]
    fn csv_quotes_and_disarms() {
        let rows = [
            score("plain", 1, 0.5),
            score("a,\"b\"\nc", 2, 0.0),
            score("=HYPERLINK(1)", -3, -1.5),
            score("@x", 4, 0.0),
        ];
        assert_eq!(
            csv(&view(), &rows, true),
            "name,score,share\r\nplain,1,0.5\r\n\"a,\"\"b\"\"\nc\",2,0\r\n'=HYPERLINK(1),-3,-1.5\r\n'@x,4,0\r\n"
        );
        assert!(csv(&view(), &rows, false).contains("\r\n=HYPERLINK(1),-3"));
    }

    #[test]
    fn tables_align() {
        let rows = [score("a", 10, 0.5), vec!["bcd\x1b[2J".into(), 5.into(), Value::Null]];
        assert_eq!(
            table(&view(), &rows),
            "name     score  share\n-------  -----  -----\na           10    0.5\nbcd\u{fffd}[2J      5\n"
        );
    }

    #[test]
    fn json_keeps_columns_in_order_and_null() {
        let rows = [vec!["a".into(), 1.into(), Value::Null]];
        let text = json(&view(), &rows).replace(['\n', ' '], "");
        assert_eq!(text, r#"[{"name":"a","score":1,"share":null}]"#);
    }
}
