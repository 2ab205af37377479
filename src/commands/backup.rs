//! `highwater journal backup`: a data directory in use, copied so that a service can be started on the copy.
//!
//! Each part is copied before what it builds on: checkpoints, then the views that have reached them, then the base,
//! then the journal that has all of it. Whatever is committed meanwhile, the journal of the copy is never behind.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use anyhow::{Context, Result, bail};
use highwater_ingest::{checkpoint, journal};
use tracing::warn;

use crate::base::{Beginning, base_in};
use crate::plan::{checkpoints_in, journal_in, views_in};

/// Copies `data_dir`, whose views are at `views`, to `to`, which must not be there yet. Returns how many records are in
/// the copy at least.
pub(super) fn take(data_dir: &Path, views: &Path, to: &Path) -> Result<u64> {
    // A wrong directory makes nothing.
    journal::stat(&journal_in(data_dir))?;
    if to.exists() {
        bail!("{} is there already\nhint: give a directory that is not", to.display());
    }
    fs::create_dir_all(to).with_context(|| format!("cannot make {}", to.display()))?;
    files(&checkpoints_in(data_dir), &checkpoints_in(to))?;
    if views.exists() {
        let copied = highwater_sinks::backup(views, &views_in(to));
        copied.with_context(|| format!("cannot copy the views in {}", views.display()))?;
    } else {
        warn!("there are no views yet; a start on the copy makes them");
    }
    files(&base_in(data_dir), &base_in(to))?;
    let tip = journal::backup(&journal_in(data_dir), &journal_in(to));
    let tip = tip.context("cannot copy the journal")?;
    sync(to)?;
    // Retention may have dropped what came after the bases that were copied; then this says so.
    Beginning::of(&journal_in(to), &base_in(to)).context("take the backup again")?;
    Ok((tip.seq + 1).saturating_sub(journal::stat(&journal_in(to))?.retained_from))
}

/// Copies checkpoints or bases, which never change once they have their names.
fn files(from: &Path, to: &Path) -> Result<()> {
    let found = checkpoint::list(from)?;
    if found.is_empty() {
        return Ok(());
    }
    fs::create_dir_all(to).with_context(|| format!("cannot make {}", to.display()))?;
    for found in found {
        let Some(name) = found.path.file_name() else { continue };
        let copy = to.join(name);
        let copied = fs::copy(&found.path, &copy);
        match copied.and_then(|_| File::open(&copy)?.sync_all()) {
            Ok(()) => {}
            // A newer one has taken its place meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                return Err(error).with_context(|| format!("cannot copy {}", found.path.display()));
            }
        }
    }
    sync(to)
}

fn sync(dir: &Path) -> Result<()> {
    let synced = File::open(dir).and_then(|dir| dir.sync_all());
    synced.with_context(|| format!("cannot sync {}", dir.display()))
}
