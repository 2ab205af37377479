//! The witness: a small file beside the segments that says how far the journal must reach.
//!
//! Two slots of 4 KiB, written in turn, so that a torn write leaves the one before. Slot, little-endian:
//!
//! ```text
//! 8 bytes "HWWITNS1" | u64 generation | u64 epoch | u64 seq | 32 bytes hash | u64 retained_from
//! zeros up to 4092 | u32 CRC32C of all before
//! ```

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use highwater_dataflow::Epoch;

use super::error::JournalError;
use super::files::sync_dir;
use super::frame::Hash;
use super::wire::Fields;

/// What must be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Witness {
    /// Counts the writes; its parity is the slot.
    pub generation: u64,
    /// The last committed frame; 0 before the first.
    pub epoch: Epoch,
    /// Its last record.
    pub seq: u64,
    pub hash: Hash,
    /// The first sequence number of the oldest segment that was not dropped.
    pub retained_from: u64,
}

/// The file, open for writing.
#[derive(Debug)]
pub(super) struct WitnessFile {
    file: File,
    path: PathBuf,
    pub last: Witness,
}

const SLOT: usize = 4096;
const MAGIC: &[u8; 8] = b"HWWITNS1";

impl WitnessFile {
    /// Makes the file, synced with its directory entry. It gets its name only when it is whole: a crash on the way
    /// leaves a directory that is as good as empty.
    pub(super) fn create(dir: &Path, first: Witness) -> Result<WitnessFile, JournalError> {
        let path = path_in(dir);
        let draft = path.with_extension("draft");
        let create = || -> io::Result<File> {
            let file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(true)
                .open(&draft)?;
            file.write_all_at(&[0; 2 * SLOT], 0)?;
            write_slot(&file, &first)?;
            file.sync_all()?;
            std::fs::rename(&draft, &path)?;
            sync_dir(dir)?;
            Ok(file)
        };
        let file = create().map_err(|e| JournalError::io("cannot create", &path, e))?;
        Ok(WitnessFile { file, path, last: first })
    }

    pub(super) fn open(dir: &Path) -> Result<WitnessFile, JournalError> {
        let last = read(dir)?;
        let path = path_in(dir);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(&path)
            .map_err(|e| JournalError::io("cannot open", &path, e))?;
        Ok(WitnessFile { file, path, last })
    }

    /// Writes what must be there from now on, and syncs it. The file has its size: this needs no space.
    pub(super) fn write(&mut self, mut next: Witness) -> Result<(), JournalError> {
        next.generation = self.last.generation + 1;
        // A failure here is never a mere full disk: the frame is committed and cannot be taken back.
        let io = |source| JournalError::Io {
            doing: "cannot write and sync",
            path: self.path.clone(),
            source,
        };
        write_slot(&self.file, &next).map_err(io)?;
        self.file.sync_data().map_err(io)?;
        self.last = next;
        Ok(())
    }
}

/// The newer of the two slots.
///
/// Errors: `Witness` when the file is absent or no slot is whole.
pub(super) fn read(dir: &Path) -> Result<Witness, JournalError> {
    let path = path_in(dir);
    let bytes = std::fs::read(&path).map_err(|e| match e.kind() {
        io::ErrorKind::NotFound => {
            JournalError::Witness { path: path.clone(), what: "it is missing".into() }
        }
        _ => JournalError::io("cannot read", &path, e),
    })?;
    let slots = bytes.chunks_exact(SLOT).take(2).filter_map(parse);
    slots.max_by_key(|witness| witness.generation).ok_or_else(|| JournalError::Witness {
        path,
        what: "neither of its two entries is whole".into(),
    })
}

pub(super) fn exists(dir: &Path) -> bool {
    path_in(dir).exists()
}

fn path_in(dir: &Path) -> PathBuf {
    dir.join("witness")
}

fn write_slot(file: &File, witness: &Witness) -> io::Result<()> {
    let mut slot = Vec::with_capacity(SLOT);
    slot.extend_from_slice(MAGIC);
    for n in [witness.generation, witness.epoch, witness.seq] {
        slot.extend_from_slice(&n.to_le_bytes());
    }
    slot.extend_from_slice(&witness.hash);
    slot.extend_from_slice(&witness.retained_from.to_le_bytes());
    slot.resize(SLOT - 4, 0);
    slot.extend_from_slice(&crc32c::crc32c(&slot).to_le_bytes());
    file.write_all_at(&slot, (witness.generation % 2) * SLOT as u64)
}

fn parse(slot: &[u8]) -> Option<Witness> {
    let (body, crc) = slot.split_last_chunk::<4>()?;
    if crc32c::crc32c(body) != u32::from_le_bytes(*crc) {
        return None;
    }
    let mut fields = Fields(body.strip_prefix(MAGIC)?);
    Some(Witness {
        generation: fields.u64().ok()?,
        epoch: fields.u64().ok()?,
        seq: fields.u64().ok()?,
        hash: fields.hash().ok()?,
        retained_from: fields.u64().ok()?,
    })
}
