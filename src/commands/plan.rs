//! `highwater plan`: what a start with a configuration would change in the views, computed beside the live service.

use std::fmt::Write as _;

use anyhow::{Context, Result};
use highwater_sinks::{Desired, Reconciled};

use super::print;
use super::run::resolve;
use crate::base::Beginning;
use crate::cli::Run;
use crate::engine::views;
use crate::rerun::{Rerun, Stretch};

pub(crate) fn plan(run: &Run) -> Result<()> {
    let plan = resolve(run)?;
    let journal_dir = plan.journal_dir();
    if !journal_dir.exists() {
        let dir = journal_dir.display();
        return print(&format!("There is no journal in {dir} yet: nothing to compare with.\n"));
    }
    let beginning = Beginning::of(&journal_dir, &plan.checkpoints.base_dir)?;
    let vouched_from = beginning.vouched_from();
    let rerun = Rerun {
        journal_dir: &journal_dir,
        beginning: &beginning,
        settings: plan.settings,
        only: Vec::new(),
        workers: plan.workers,
        stretch: Stretch::ALL,
    };
    let (desired, _) = rerun.run(|commits| {
        let mut desired = Desired::of(&views(&[])).vouched_from(vouched_from);
        for commit in commits {
            desired.absorb(&commit);
        }
        Ok(desired)
    })?;
    let changes = highwater_sinks::plan(&plan.sinks.path, &desired)
        .with_context(|| format!("cannot read the views in {}", plan.sinks.path.display()))?;
    print(&told(&changes)?)
}

/// A line per view; a service that goes on meanwhile shows in them as well.
fn told(changes: &[Reconciled]) -> Result<String> {
    let mut text = format!("{:<20}{:>10}{:>10}{:>10}\n", "view", "added", "changed", "removed");
    for Reconciled { view, added, changed, removed, rebuilt } in changes {
        let note = if *rebuilt { "  made anew: its columns change" } else { "" };
        writeln!(text, "{view:<20}{added:>10}{changed:>10}{removed:>10}{note}")?;
    }
    let level = changes.iter().all(Reconciled::is_level);
    text.push_str(if level {
        "\nNothing would change. Nothing was touched.\n"
    } else {
        "\n`highwater run` would do this at its start. Nothing was touched.\n"
    });
    Ok(text)
}
