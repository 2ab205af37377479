//! `highwater run` and `highwater check`: a configuration, resolved, then run or printed.

use std::net::SocketAddr;
use std::path::{Path, absolute};

use anyhow::{Context, Result};
use tracing::info;

use super::place::base;
use super::print;
use crate::cli::Run;
use crate::clock::WallClock;
use crate::cluster::{self, Child};
use crate::config::{self, Config, Unusable};
use crate::plan::Plan;
use crate::service;
use crate::sources::SourcePlan;

pub(crate) fn run(run: &Run) -> Result<()> {
    let plan = resolve(run)?;
    if run.no_supervisor {
        Child::dies_with_its_supervisor();
    } else if plan.cluster.as_ref().is_some_and(|cluster| cluster.supervise) {
        return cluster::supervise(&plan.data_dir, &WallClock);
    }
    service::run(plan, |address: SocketAddr| info!("serving on http://{address}"))
}

pub(crate) fn check(run: &Run) -> Result<()> {
    let plan = resolve(run)?;
    for channel in &plan.alerts {
        let fault = channel.check(&environment).map_err(|error| error.to_string());
        fault.map_err(|what| Unusable::new(&run.config, what))?;
    }
    let files = plan.sources.iter().flat_map(SourcePlan::files).filter(|file| !file.exists());
    let missing: Vec<String> = files
        .map(|file| format!("There is no {} yet: its source would fail.\n", file.display()))
        .collect();
    let missing = missing.concat();
    print(&format!("{plan}\n{missing}This would run. Nothing was touched.\n"))
}

fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

pub(super) fn resolve(run: &Run) -> Result<Plan> {
    let path = &run.config;
    let config = overridden(config::read(path)?, run)?;
    let plan = Plan::resolve(config, base(path), &environment);
    Ok(plan.map_err(|what| Unusable::new(path, what))?)
}

/// What the command line says comes before what the file says. Its paths start where the command was given.
fn overridden(mut config: Config, run: &Run) -> Result<Config> {
    let here = |path: &Path| absolute(path).context("cannot tell the current directory");
    let cluster = &mut config.cluster;
    cluster.processes = run.processes.unwrap_or(cluster.processes);
    cluster.process = run.process.unwrap_or(cluster.process);
    if let Some(hosts) = &run.hosts {
        cluster.hosts = Some(here(hosts)?);
    }
    for dir in &run.adopt {
        cluster.adopt.push(here(dir)?);
    }
    config.service.workers = run.workers.or(config.service.workers);
    Ok(config)
}
