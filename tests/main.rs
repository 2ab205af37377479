//! The one integration binary: what must hold of the repository and of the program as a whole.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod acceptance;
mod authoring;
mod backup;
mod bank;
mod bench;
mod cluster;
mod crash;
mod deploy;
mod full_disk;
mod oracle;
mod restart;
mod sim;
mod synced;
mod ten_days;
mod tidy;
mod torture;
mod views;
mod why;
