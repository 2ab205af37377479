//! `highwater run` and `highwater check`: a configuration, resolved, then run or printed.

use std::net::SocketAddr;

use anyhow::Result;
use tracing::info;

use super::place::base;
use super::print;
use crate::cli::Run;
use crate::config::{self, Unusable};
use crate::plan::Plan;
use crate::service;

pub(crate) fn run(run: &Run) -> Result<()> {
    let plan = resolve(run)?;
    service::run(plan, |address: SocketAddr| info!("serving on http://{address}"))
}

pub(crate) fn check(run: &Run) -> Result<()> {
    let plan = resolve(run)?;
    print(&format!("{plan}\nThis would run. Nothing was touched.\n"))
}

pub(super) fn resolve(run: &Run) -> Result<Plan> {
    let path = &run.config;
    let env = |name: &str| std::env::var(name).ok();
    let plan = Plan::resolve(config::read(path)?, base(path), &env);
    Ok(plan.map_err(|what| Unusable::new(path, what))?)
}
