//! `highwater replay --from T --to T`: queries over a stretch of a deployment's journal, into views of their own.

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use highwater_dataflow::latency::Latency;
use highwater_dataflow::{Clock, FOREVER};
use highwater_model::parse_ms;
use highwater_queries::Settings;
use highwater_sinks::{SinkWriter, Wiring};

use super::print;
use crate::base::{Beginning, base_in};
use crate::cli::Replay;
use crate::clock::WallClock;
use crate::config;
use crate::engine::views;
use crate::rerun::{Rerun, Stretch};

/// Computes it with `settings`, or those of the configuration that is named, and writes `replay.views`; the deployment may run meanwhile.
pub(crate) fn replay(replay: &Replay, settings: Settings) -> Result<()> {
    let settings = match &replay.config {
        Some(path) => config::read(path)?.queries,
        None => settings,
    };
    if let Err(what) = settings.check() {
        bail!(what);
    }
    let place = crate::cli::Place { data: replay.data.clone(), config: replay.config.clone() };
    let journal_dir = place.journal()?;
    if place.views().is_ok_and(|live| live == replay.views) {
        bail!("{} is the deployment's own; choose another file", replay.views.display());
    }
    let instant = |text: &Option<String>, otherwise: i64| match text {
        None => Ok(otherwise),
        Some(text) => parse_ms(text)
            .with_context(|| format!("{text:?} is no instant; write it as 2026-03-01T08:00:00Z")),
    };
    let stretch =
        Stretch { from: instant(&replay.from, i64::MIN)?, to: instant(&replay.to, FOREVER)? };
    if stretch.to <= stretch.from {
        bail!("--to must lie after --from");
    }
    let base_dir = base_in(journal_dir.parent().unwrap_or(&journal_dir));
    let beginning = Beginning::of(&journal_dir, &base_dir)?;
    let rerun = Rerun {
        journal_dir: &journal_dir,
        beginning: &beginning,
        settings,
        only: replay.queries.clone(),
        workers: replay.workers.into(),
        stretch,
    };
    let only = replay.queries.clone();
    let config = highwater_sinks::Config::at(&replay.views);
    let clock: Arc<dyn Clock> = Arc::new(WallClock);
    let wiring = Wiring::new(clock, Arc::new(Latency::default()));
    let (handle, last) = rerun.run(|commits| {
        let (send, passed) = std::sync::mpsc::sync_channel(256);
        let handle = SinkWriter::spawn(&config, &views(&only), passed, wiring)
            .with_context(|| format!("cannot open {}", config.path.display()))?;
        for commit in commits {
            if send.send(commit).is_err() {
                break;
            }
        }
        // The end of the replay must be known before the end of the commits.
        Ok((handle, send))
    })?;
    let (handle, send) = handle;
    handle.control().caught_up(last);
    drop(send);
    handle.join().context("cannot write the views")?;
    print(&format!("Read them:  highwater views --db {} NAME\n", replay.views.display()))
}
