//! The wallboard over real connections: what a page is told, what it is refused, and what it cannot slow down.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
#![allow(clippy::disallowed_methods, reason = "some instant for a clock that stands still")]

mod access;
mod api;
mod conflation;
mod protocol;
mod rig;
