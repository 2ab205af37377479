//! Conformance runner: reads one `evtcase/1` case per line, runs it through the window operator that queries use, and
//! writes one line per case with the panes each step produced.
//!
//! ```text
//! {"id", "config", "steps"}  ──►  {"id", "steps": [[pane, …], …], "dropped": n}   or   {"id", "error"}
//! ```

mod case;
mod join;
mod run;

use std::io::{BufRead, Write};

use serde_json::{Value, json};

fn main() -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        if line.trim().is_empty() {
            continue;
        }
        writeln!(out, "{}", answer(&line))?;
        out.flush()?;
    }
    Ok(())
}

/// The line that answers a case.
fn answer(line: &str) -> Value {
    let case: Value = match serde_json::from_str(line) {
        Ok(case) => case,
        Err(error) => return json!({"id": null, "error": format!("not JSON: {error}")}),
    };
    let id = case["id"].clone();
    match run::run(&case) {
        Ok(run::Outcome { steps, dropped }) => {
            json!({"id": id, "steps": steps, "dropped": dropped})
        }
        Err(reason) => json!({"id": id, "error": reason}),
    }
}
