//! `highwater views`: what views there are, and one of them as a table, CSV or JSON.

use std::fmt::Write as _;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use highwater_dataflow::view::Value;
use highwater_sinks::reader::Select;
use highwater_sinks::{ViewReader, render};

use super::print;
use crate::cli::{Format, Views};
use crate::clock::WallClock;
use crate::cluster::Number;

pub(crate) fn views(views: Views) -> Result<()> {
    let path = match views.db {
        Some(path) => path,
        None => views.place.views()?,
    };
    if !path.exists() {
        if let Ok(Number(process @ 1..)) = views.place.number() {
            bail!(
                "this is the data directory of process {process} of a cluster, and process 0 has the views\n\
                 hint: give its data directory, or ask any process: GET /v1/views/NAME leads there"
            );
        }
        bail!(
            "there are no views in {}\nhint: give the data directory that `highwater run` uses, or the file that \
             `highwater replay --views` made",
            path.display()
        );
    }
    let reader = ViewReader::open(&path, Arc::new(WallClock))
        .with_context(|| format!("cannot read the views in {}", path.display()))?;
    let Some(name) = views.name else { return list(&reader) };
    if views.key.len() > reader.view(&name)?.key {
        bail!("{name} has a key of {} columns, --key gives more", reader.view(&name)?.key);
    }
    let prefix = views.key.iter().map(|text| Value::from(text.as_str())).collect();
    let reading = reader.read(&name, &Select { prefix, limit: views.limit })?;
    let text = match views.format {
        Format::Table => render::table(&reading.view, &reading.rows),
        Format::Csv => render::csv(&reading.view, &reading.rows, false),
        Format::Json => render::json(&reading.view, &reading.rows) + "\n",
    };
    print(&text)
}

fn list(reader: &ViewReader) -> Result<()> {
    let mut text = String::new();
    let all = reader.views()?;
    let width = all.iter().map(|view| view.name.len() + 2).max().unwrap_or(0);
    for view in all {
        let key: Vec<_> = view.columns[..view.key].iter().map(|it| it.name.as_str()).collect();
        writeln!(text, "{:<width$}{}", view.name, view.doc)?;
        writeln!(text, "{:<width$}key: {}", "", key.join(", "))?;
    }
    let progress = reader.progress()?;
    match progress.watermark_ms {
        Some(i64::MAX) => text.push_str("\nAll input has ended: every row is final.\n"),
        Some(at) => {
            writeln!(text, "\nRight up to {} (watermark).", highwater_model::format_ms(at))?;
        }
        None => text.push_str("\nNothing has been committed yet.\n"),
    }
    if progress.catching_up {
        text.push_str("The service works off its journal: this is the state before its start.\n");
    }
    print(&text)
}
