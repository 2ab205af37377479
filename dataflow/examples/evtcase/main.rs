//! Conformance runner: reads one `evtcase/1` case per line, runs it through the window operator that queries use, and
//! writes one line per case with the panes each step produced.
//!
//! ```text
//! {"id", "config", "steps"}  ──►  {"id", "steps": [[pane, …], …], "dropped": n}   or   {"id", "error"}
//! ```
//!
//! Each case is answered, whatever became of the others. `"ignored"` names fields that are not known, if there are any.

mod case;
mod join;
mod run;

use std::io::{BufRead, Write};
use std::panic::catch_unwind;

use serde_json::{Value, json};

fn main() -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().split(b'\n') {
        let line = line?;
        if line.trim_ascii().is_empty() {
            continue;
        }
        writeln!(out, "{}", answer(&line))?;
        out.flush()?;
    }
    Ok(())
}

/// The line that answers a case.
fn answer(line: &[u8]) -> Value {
    let line = line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(line);
    let case: Value = match serde_json::from_slice(line) {
        Ok(case) => case,
        Err(error) => return json!({"id": null, "error": format!("not JSON: {error}")}),
    };
    let id = case["id"].clone();
    match catch_unwind(|| run::run(&case)) {
        Ok(Ok(run::Outcome { steps, dropped, ignored })) => {
            let mut answer = json!({"id": id, "steps": steps, "dropped": dropped});
            if !ignored.is_empty() {
                answer["ignored"] = json!(ignored);
            }
            answer
        }
        Ok(Err(reason)) => json!({"id": id, "error": reason}),
        Err(_) => json!({"id": id, "error": "the run panicked; standard error says where"}),
    }
}
