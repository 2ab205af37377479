//! Small seeded contact centers for the property tests: what happens, how it is delivered, how it is run.

pub(crate) mod delivery;
pub(crate) mod drive;
pub(crate) mod instants;
pub(crate) mod random;
pub(crate) mod world;
