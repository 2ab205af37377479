//! Where answers go: SQLite views with an exactly-once marker, alert channels behind an outbox, a changelog, readers.
//!
//! [`SinkWriter`] takes every closed epoch from the dataflow's port and owns the one write connection; everything
//! else here reads what it committed or is told of it as a [`Listener`].

pub mod changelog;
pub mod channel;
mod error;
mod inbox;
mod moment;
mod outbox;
pub mod reader;
pub mod render;
mod sender;
pub mod sqlite;
pub mod wallboard;
mod writer;

pub use error::SinkError;
pub use moment::{Moment, Reached};
pub use reader::{ViewReader, ViewReaders};
pub use sqlite::{
    Catalogued, CataloguedColumn, Desired, Key, Known, Reconciled, backup, known, marker, plan,
};
pub use writer::{
    CommittedBatch, Config, Control, Handle, Health, Listener, OpenViews, RealSleeper, SinkWriter,
    Sleeper, Status, Wiring,
};
