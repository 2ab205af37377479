//! The view database: one STRICT table per view, the marker, the catalog and the outbox, written by one connection.
//!
//! Exactly once: the marker moves in the same transaction as the rows, and only from where this writer left it.

mod batch;
mod cell;
mod check;
mod known;
mod open;
mod plan;
mod schema;
mod store;
mod upkeep;

pub(crate) use batch::Batch;
pub use cell::Key;
pub(crate) use cell::{Bound, read_row};
pub(crate) use check::{Checking, condemn, is_damage};
pub use known::{Known, known};
pub use open::marker;
pub(crate) use open::opened_read_only;
pub use plan::{Desired, Reconciled, plan};
pub use schema::{Catalogued, CataloguedColumn};
pub(crate) use schema::{catalog, quoted};
pub(crate) use store::Store;
pub use upkeep::backup;

#[cfg(test)]
pub(crate) mod tests {
    pub(crate) use super::store::tests::{CELLS, SCORES, batch, cell, commit, score};
}
