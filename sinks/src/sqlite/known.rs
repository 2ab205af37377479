//! How far a view database is, without touching it: for whoever may not write it yet.

use std::path::Path;

use highwater_dataflow::Epoch;
use highwater_dataflow::view::View;

use super::check::condemned;
use super::open::{opened_read_only, read_definition, read_marker};
use super::schema::Table;
use crate::error::SinkError;

/// What a view database says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// Every epoch up to it is in the views; `None` before the first.
    pub marker: Option<Epoch>,
    /// The `Wiring::definition` that its rows are of; `None` when that is not known, or a table is missing or changed.
    pub definition: Option<String>,
}

/// Reads it. Nothing is known where there is no database that will be used.
pub fn known(path: &Path, views: &[&'static View]) -> Result<Known, SinkError> {
    if !path.exists() || condemned(path).is_some() {
        return Ok(Known::default());
    }
    let conn = opened_read_only(path)?;
    let marker = read_marker(&conn)?;
    let definition = read_definition(&conn)?;
    for table in views.iter().copied().map(Table::of) {
        if table.stored(&conn)?.as_ref() != Some(&table.create) {
            return Ok(Known { marker, definition: None });
        }
    }
    Ok(Known { marker, definition })
}
