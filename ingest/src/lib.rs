//! Sources and the journal: every event becomes durable here before anyone is told it was accepted.

pub mod anonymous_bank;
pub mod checkpoint;
pub mod file;
pub mod http;
pub mod intake;
pub mod journal;
pub mod sim;
pub mod source;
