//! Which journal a data directory has, and which journals there are: a small file beside the journal.
//!
//! Answers are a function of all journals of a cluster. One that is left out would take its events out of every view
//! without a word, so everyone remembers all that ever took part, and nobody starts without them.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::number::Number;

/// What the file says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Member {
    /// The number of this directory's journal.
    journal: u8,
    /// Every journal that is known to exist.
    known: BTreeSet<u8>,
}

impl Member {
    /// Reads it; a directory that was never in a cluster has journal 0, and knows no other.
    pub(crate) fn of(data_dir: &Path) -> Result<Option<Member>> {
        let path = path(data_dir);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {}", path.display()));
            }
        };
        let member = toml::from_str(&text)
            .with_context(|| format!("{} does not say which journal this is", path.display()))?;
        Ok(Some(member))
    }

    /// The directory of process `process`, which may be a new one.
    ///
    /// Errors: it has the journal of another process.
    pub(crate) fn claim(data_dir: &Path, process: u8, used: bool) -> Result<Member> {
        match Member::of(data_dir)? {
            Some(member) if member.journal == process => Ok(member),
            Some(member) => bail!(
                "{} has the journal of process {}, and this is process {process}\n\
                 hint: give each process its own data directory, and one that is left over to another with --adopt",
                data_dir.display(),
                member.journal
            ),
            None if used && process != 0 => bail!(
                "{} has the journal of a single process, which is process 0 of a cluster, and this is process {process}",
                data_dir.display()
            ),
            None => Ok(Member { journal: process, known: BTreeSet::from([process]) }),
        }
    }

    pub(crate) fn number(&self) -> Number {
        Number(self.journal)
    }

    pub(crate) fn known(&self) -> &BTreeSet<u8> {
        &self.known
    }

    /// Remembers the journals there are, durably.
    pub(crate) fn remember(&mut self, data_dir: &Path, known: BTreeSet<u8>) -> Result<()> {
        if self.known == known && Member::of(data_dir)?.as_ref() == Some(self) {
            return Ok(());
        }
        self.known = known;
        let path = path(data_dir);
        let draft = path.with_extension("draft");
        let text = toml::to_string(self).expect("a member is plain data");
        let write = || {
            let mut file = File::create(&draft)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&draft, &path)?;
            File::open(data_dir)?.sync_all()
        };
        write().with_context(|| format!("cannot write {}", path.display()))
    }
}

fn path(data_dir: &Path) -> PathBuf {
    data_dir.join("member.toml")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

    use super::*;

    #[test]
    fn a_directory_keeps_its_number_and_what_it_knows() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Member::of(dir.path()).unwrap(), None);
        let mut member = Member::claim(dir.path(), 2, false).unwrap();
        member.remember(dir.path(), BTreeSet::from([0, 1, 2])).unwrap();
        assert_eq!(Member::claim(dir.path(), 2, true).unwrap(), member);
        assert!(Member::claim(dir.path(), 1, true).is_err());
    }

    #[test]
    fn the_directory_of_a_single_process_is_that_of_process_0() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Member::claim(dir.path(), 1, true).is_err());
        assert_eq!(Member::claim(dir.path(), 0, true).unwrap().number(), Number(0));
    }
}
