//! Which deployment a command is about: by its data directory, or by its configuration.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::cli::Place;
use crate::cluster::{Member, Number};
use crate::config::{self, Config};
use crate::plan::{journal_in, views_in};

impl Place {
    /// The journal's directory.
    pub(super) fn journal(&self) -> Result<PathBuf> {
        Ok(journal_in(&self.data_dir()?))
    }

    /// Which journal of a cluster that is; 0 where there is no cluster.
    pub(super) fn number(&self) -> Result<Number> {
        let member = Member::of(&self.data_dir()?)?;
        Ok(member.map_or(Number(0), |member| member.number()))
    }

    fn data_dir(&self) -> Result<PathBuf> {
        match (&self.data, &self.config) {
            (Some(data), _) => Ok(data.clone()),
            (None, Some(path)) => Ok(data_dir(path, &config::read(path)?)),
            (None, None) => bail!("which one? give --data DIR or --config FILE"),
        }
    }

    /// The view database.
    pub(super) fn views(&self) -> Result<PathBuf> {
        match (&self.data, &self.config) {
            (Some(data), _) => Ok(views_in(data)),
            (None, Some(path)) => {
                let config = config::read(path)?;
                let default = || views_in(&data_dir(path, &config));
                Ok(config.sinks.path.as_ref().map_or_else(default, |views| base(path).join(views)))
            }
            (None, None) => bail!("which views? give --data DIR, --config FILE or --db FILE"),
        }
    }
}

/// Where relative paths of a configuration start.
pub(super) fn base(config: &Path) -> &Path {
    config.parent().unwrap_or(Path::new(""))
}

fn data_dir(path: &Path, config: &Config) -> PathBuf {
    base(path).join(&config.service.data_dir)
}
