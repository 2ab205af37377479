//! One file per command: asks the rest of the program for what was asked of it, and prints the answer.

mod backup;
pub(crate) mod demo;
pub(crate) mod dlq;
pub(crate) mod journal;
pub(crate) mod latency;
mod place;
pub(crate) mod plan;
pub(crate) mod replay;
pub(crate) mod run;
mod stretch;
pub(crate) mod views;
pub(crate) mod why;

use std::io::{self, Write};

use anyhow::{Context, Result};

/// Writes an answer to standard output.
pub(crate) fn print(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .context("cannot write to standard output")
}
