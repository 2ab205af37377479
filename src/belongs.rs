//! Which journals a process has, and whom it works with.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use highwater_dataflow::{Clock, Epoch};
use highwater_ingest::checkpoint::fingerprint;
use highwater_ingest::journal::{Disk, Journal, Options};
use sha2::{Digest, Sha256};

use crate::base::{base_in, begins};
use crate::cluster::{self, Begins, Brings, Cluster, Joined, Member, Number};

/// Whom an engine works with, and which journals it has besides its own.
#[derive(Default)]
pub(crate) struct Belongs {
    /// `None`: it is the only process.
    pub(crate) cluster: Option<Cluster>,
    /// Where this process serves readers.
    pub(crate) url: String,
    /// Where what it knows of other journals is kept; `None` where there can be no others.
    pub(crate) data_dir: Option<PathBuf>,
    /// Data directories that belong to no process any more, and the journals in them.
    pub(crate) adopt: Vec<(PathBuf, PathBuf)>,
}

/// A journal before it is started.
pub(crate) struct Opened {
    pub(crate) number: Number,
    pub(crate) dir: PathBuf,
    pub(crate) journal: Journal,
}

impl Belongs {
    /// Whether one process with one journal is all there is.
    pub(crate) fn is_alone(&self) -> bool {
        self.cluster.is_none() && self.adopt.is_empty()
    }

    /// What checkpoints of this process are of; `None` where there are none, as it has several journals.
    ///
    /// `definition`: everything that answers depend on.
    pub(crate) fn checkpoints_of(&self, definition: &str) -> Option<String> {
        match &self.cluster {
            _ if !self.adopt.is_empty() => None,
            None => Some(definition.to_owned()),
            Some(Cluster { process, hosts, .. }) => {
                let whose = format!("process {process} of {}", hosts.len());
                Some(fingerprint([definition.as_bytes(), whose.as_bytes()]))
            }
        }
    }

    /// Which process of the cluster this is; 0 where there is no other.
    pub(crate) fn process(&self) -> usize {
        self.cluster.as_ref().map_or(0, |cluster| cluster.process)
    }

    /// Whether this process has the views.
    pub(crate) fn owns_views(&self) -> bool {
        self.cluster.as_ref().is_none_or(|cluster| cluster.process == 0)
    }

    /// Opens the journals: its own in `dir` first, then the adopted ones.
    pub(crate) fn open(
        &self,
        dir: PathBuf,
        options: &Options,
        disk: fn() -> Box<dyn Disk>,
        clock: &Arc<dyn Clock>,
    ) -> Result<Vec<Opened>> {
        let open = |dir: PathBuf, number| -> Result<Opened> {
            let journal = Journal::open_on(&dir, options.clone(), clock.clone(), disk());
            let journal =
                journal.with_context(|| format!("cannot open the journal {}", dir.display()))?;
            Ok(Opened { number, dir, journal })
        };
        let mut opened = vec![open(dir, Number(self.process() as u8))?];
        for (dir, journal) in &self.adopt {
            let Some(member) = Member::of(dir)? else {
                bail!(
                    "{} was never part of a cluster, and there is nothing to adopt\n\
                     hint: --adopt takes the data directory of a process that is not started any more",
                    dir.display()
                );
            };
            opened.push(open(journal.clone(), member.number())?);
        }
        Ok(opened)
    }

    /// Meets the other processes, if there are any, and makes sure that every journal is here.
    ///
    /// `config`: everything that answers depend on. `shown`: the last epoch in the views of this process.
    /// `checkpoints`: the epochs that it could go on from.
    pub(crate) fn meet(
        &self,
        opened: &[Opened],
        config: &str,
        shown: Epoch,
        checkpoints: Vec<Epoch>,
        clock: &Arc<dyn Clock>,
    ) -> Result<Option<Joined>> {
        let Some(data_dir) = &self.data_dir else { return Ok(None) };
        if self.is_alone() && Member::of(data_dir)?.is_none() {
            return Ok(None);
        }
        let used = opened[0].journal.recovery().tip.epoch > 0;
        let mut member = Member::claim(data_dir, opened[0].number.0, used)?;
        let mut known: BTreeSet<u8> = member.known().clone();
        for (dir, _) in &self.adopt {
            known.extend(Member::of(dir)?.iter().flat_map(|it| it.known().iter().copied()));
        }
        let Some(cluster) = &self.cluster else {
            let brought: Vec<Number> = opened.iter().map(|it| it.number).collect();
            let known = cluster::check_single(&brought, &known)?;
            member.remember(data_dir, known)?;
            return Ok(None);
        };
        cluster::expect_broken_links();
        let tip = |it: &Opened| (it.number, it.journal.recovery().tip.epoch);
        let brings = Brings {
            config: cluster::hex(&Sha256::digest(config)),
            journals: opened.iter().map(tip).collect(),
            known,
            checkpoints,
            begins: opened.iter().map(Opened::begins).collect::<Result<_>>()?,
            shown,
            url: self.url.clone(),
        };
        let joined = cluster::join(cluster, brings, clock.clone())?;
        member.remember(data_dir, joined.known.clone())?;
        Ok(Some(joined))
    }
}

impl Opened {
    /// Where the bases of this journal are.
    pub(crate) fn base_dir(&self) -> PathBuf {
        base_in(self.dir.parent().unwrap_or(Path::new(".")))
    }

    /// After which epochs it can be read.
    pub(crate) fn begins(&self) -> Result<Begins> {
        begins(&self.dir, &self.base_dir())
    }
}
