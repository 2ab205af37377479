//! A copy of a journal that is in use: everything that was acknowledged when it began, in another directory.
//!
//! Segments are copied through SQLite, each as of one moment, and get their names when they are whole and synced. The
//! witness comes last: until then the directory is no journal that would open.

use std::fs::{self, File};
use std::path::Path;

use super::error::JournalError;
use super::files::{self, SegmentFile};
use super::segment::Segment;
use super::store::Tip;
use super::verify::verify;
use super::witness::{self, Witness, WitnessFile};

/// Copies the journal in `dir` to `to`, beside a running writer or without one, and verifies the copy. Returns how far
/// it is known to reach; frames that became durable meanwhile may be in it as well.
///
/// The same frames under the same hashes: checkpoints and bases of the one are of the other. Errors: `Absent`;
/// `Occupied`; `Damaged` and the like when what is there cannot be trusted, and then the copy is not complete.
pub fn backup(dir: &Path, to: &Path) -> Result<Tip, JournalError> {
    if files::list(dir)?.is_empty() && !witness::exists(dir) {
        return Err(JournalError::Absent { dir: dir.to_owned() });
    }
    if witness::exists(to) || (to.exists() && !files::list(to)?.is_empty()) {
        return Err(JournalError::Occupied { dir: to.to_owned() });
    }
    let lock = files::lock(to)?;
    // The witness is read before the segments: a running writer only ever gets ahead of it.
    let witness = loop {
        let witness = witness::read(dir)?;
        match segments(dir, to, &witness) {
            Ok(()) => break witness,
            // Retention dropped a segment while it was copied: from the beginning, as it is now.
            Err(error) if witness::read(dir)?.retained_from == witness.retained_from => {
                return Err(error);
            }
            Err(_) => {}
        }
        for copied in files::list(to)? {
            files::remove(&copied.path).map_err(|e| JournalError::io("cannot remove", to, e))?;
        }
    };
    WitnessFile::create(to, Witness { generation: 0, ..witness })?;
    drop(lock);
    match verify(to)?.problem {
        Some(problem) => Err(problem),
        None => Ok(Tip { epoch: witness.epoch, seq: witness.seq, hash: witness.hash }),
    }
}

fn segments(dir: &Path, to: &Path, witness: &Witness) -> Result<(), JournalError> {
    let retained = |file: &SegmentFile| file.first_seq >= witness.retained_from;
    for file in files::list(dir)?.into_iter().filter(retained) {
        let copy = SegmentFile::new(to, file.first_seq);
        let draft = copy.draft();
        let fail = |e| JournalError::io("cannot copy", &draft, e);
        files::remove(&draft).map_err(fail)?;
        Segment::open_for_reading(&file.path)?.copy(&draft)?;
        File::open(&draft)
            .and_then(|draft| draft.sync_all())
            .and_then(|()| fs::rename(&draft, &copy.path))
            .map_err(fail)?;
    }
    files::sync_dir(to).map_err(|e| JournalError::io("cannot sync", to, e))
}
