//! `highwater demo`: a simulated contact center behind the real service.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context, Result, bail};
use highwater_dataflow::Step;
use highwater_sinks::channel::{ChannelConfig, LogConfig};
use tracing::warn;

use super::print;
use crate::cli;
use crate::config::{self, Config, Sim, Source};
use crate::plan::Plan;
use crate::service;

pub(crate) fn demo(demo: cli::Demo) -> Result<()> {
    let scratch = match demo.data {
        Some(_) => None,
        None => Some(tempfile::tempdir().context("cannot make a temporary directory")?),
    };
    let data = demo.data.as_deref().or(scratch.as_ref().map(tempfile::TempDir::path));
    let data = data.unwrap_or(Path::new("data"));
    let plan = match Plan::resolve(config(&demo, data), Path::new(""), &|_| None) {
        Ok(plan) => plan,
        Err(what) => bail!(what),
    };
    let hello = |address: SocketAddr| {
        if let Err(error) = print(&hello(&demo, address, data)) {
            warn!(%error, "nobody reads what we say");
        }
    };
    service::run(plan, hello)
}

fn config(demo: &cli::Demo, data: &Path) -> Config {
    let mut config = Config::default();
    data.clone_into(&mut config.service.data_dir);
    config.http.listen = demo.listen;
    config.wallboard.site_name = format!("Demo center, {} agents", demo.agents);
    let mut center = toml::Table::new();
    center.insert("agents".into(), i64::from(demo.agents).into());
    center.insert("seed".into(), i64::try_from(demo.seed).unwrap_or(i64::MAX).into());
    center.insert("speed".into(), demo.speed.into());
    config.sources.push(Source::Sim(Sim {
        name: config::sim_name(),
        disorder_ms: config::sim_disorder_ms(),
        center,
        process: 0,
    }));
    let steps = vec![Step::Opened, Step::Resolved, Step::Retracted];
    config.alerts.push(ChannelConfig::Log(LogConfig { name: "log".into(), steps }));
    config
}

fn hello(demo: &cli::Demo, address: SocketAddr, data: &Path) -> String {
    let kept =
        if demo.data.is_some() { "kept for the next start" } else { "gone when you stop it" };
    let speed = demo.speed;
    format!(
        "\n  A contact center with {agents} agents, {speed} times as fast as life: http://{address}\n\n  \
         Look at   the queues: contacts wait, are answered, give up; service level as it is now\n            \
         the alerts: a team drifts off its schedule; some are withdrawn when a late event shows why\n            \
         the corrections: intervals that were right until something late made them righter\n\n  \
         Ask it    curl http://{address}/v1/views/queue_now\n            \
         curl http://{address}/metrics\n            \
         highwater latency --url http://{address}\n            \
         highwater views --data {data} queue_interval --limit 20\n\n  \
         Its data  {data} ({kept})\n  \
         Stop it   Ctrl-C\n\n",
        agents = demo.agents,
        data = data.display(),
    )
}
