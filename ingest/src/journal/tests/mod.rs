//! The journal's tests: what is promised, under every fault that can be made on one machine.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod backup;
mod crash;
mod damage;
mod follow;
mod formats;
mod full;
mod golden;
mod recover;
mod rig;
mod signals;
mod writing;
