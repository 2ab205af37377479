//! Sources and the journal: every event becomes durable here before anyone is told it was accepted.

pub mod intake;
