//! The wallboard over real connections: what a page is told, what it is refused, and what it cannot slow down.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod access;
mod api;
mod conflation;
mod protocol;
mod rig;
