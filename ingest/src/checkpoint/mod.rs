//! Checkpoints on disk: what the dataflow's operators keep as of an epoch, beside the journal that goes on from there.
//!
//! A file is written under a temporary name, synced, renamed, and the directory synced; then all but the newest two
//! go. Whatever moment a crash picks, the newest whole one and the journal after it are enough. Everything in a file
//! is behind a checksum, and one that is damaged is told apart from one of another format or definition.

mod file;
#[cfg(test)]
mod tests;

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use highwater_dataflow::{Epoch, Kept};
use sha2::{Digest, Sha256};
use tracing::info;

use crate::journal::{self, Disk, Hash, JournalError, RealDisk, Step};

/// How many are kept: the newest, and the one before it in case the newest is damaged.
pub const KEPT: usize = 2;

/// What a checkpoint is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// The program and the settings that its content is for, as [`fingerprint`] names them.
    pub definition: String,
    /// The last frame of the journal that is in it: epoch, last record, and the chain's hash there.
    pub epoch: Epoch,
    pub seq: u64,
    pub hash: Hash,
    /// The last epoch that the changelog had when it was written, where there is one.
    pub changelog: Option<Epoch>,
}

impl About {
    /// Whether it is of the journal in `dir`. An epoch of a cluster may have no frame in every journal: the last one
    /// before it counts.
    pub fn is_of(&self, dir: &Path) -> Result<bool, JournalError> {
        let there = journal::tip_until(dir, self.epoch)?;
        Ok(there.is_some_and(|tip| (tip.seq, tip.hash) == (self.seq, self.hash)))
    }
}

/// A checkpoint, read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    pub about: About,
    pub kept: Kept,
}

/// Why a checkpoint cannot be written or used.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// Its content cannot be trusted. Another one, or the journal, has to do.
    #[error("checkpoint {} is damaged: {what}\nhint: delete it; it is not needed to start", path.display())]
    Damaged { path: PathBuf, what: String },
    /// It was written by a later version.
    #[error(
        "checkpoint {} has format {found}, this version reads up to {known}\n\
         hint: run the version that wrote it, or a later one",
        path.display()
    )]
    Newer { path: PathBuf, found: u32, known: u32 },
    /// The operating system refused; writing may succeed later, and the older ones are still there.
    #[error("cannot {doing} checkpoint {}", path.display())]
    Io {
        doing: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// A checkpoint on disk, not read yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub epoch: Epoch,
    pub path: PathBuf,
    pub bytes: u64,
}

/// The directory of checkpoints.
pub struct Checkpoints {
    dir: PathBuf,
    disk: Mutex<Box<dyn Disk>>,
}

const PREFIX: &str = "checkpoint-";
const SUFFIX: &str = ".bin";
const DRAFT: &str = ".draft";

impl Checkpoints {
    /// Opens the directory, which is made where needed, and removes what an interrupted write left.
    pub fn open(dir: &Path) -> Result<Checkpoints, CheckpointError> {
        Checkpoints::open_on(dir, Box::new(RealDisk))
    }

    /// Opens it on a disk that can be made to fail.
    pub fn open_on(dir: &Path, disk: Box<dyn Disk>) -> Result<Checkpoints, CheckpointError> {
        let fail = failing("open", dir);
        fs::create_dir_all(dir).map_err(&fail)?;
        for name in names(dir).map_err(&fail)? {
            if name.starts_with(PREFIX) && name.ends_with(DRAFT) {
                fs::remove_file(dir.join(name)).map_err(&fail)?;
            }
        }
        Ok(Checkpoints { dir: dir.to_owned(), disk: Mutex::new(disk) })
    }

    /// What there is, newest first.
    pub fn list(&self) -> Result<Vec<Found>, CheckpointError> {
        list(&self.dir)
    }

    /// Writes one, durable when this returns; then drops all but the newest [`KEPT`].
    ///
    /// On any error the older ones are as they were.
    pub fn write(&self, about: &About, kept: &Kept) -> Result<u64, CheckpointError> {
        let bytes = self.put(about, kept)?;
        if let Some(last) = self.list()?.get(KEPT - 1) {
            self.drop_before(last.epoch)?;
        }
        info!(epoch = about.epoch, record = about.seq, bytes, "checkpoint written");
        Ok(bytes)
    }

    /// Drops those of epochs before `epoch`.
    pub fn drop_before(&self, epoch: Epoch) -> Result<(), CheckpointError> {
        for old in self.list()?.into_iter().filter(|found| found.epoch < epoch) {
            fs::remove_file(&old.path).map_err(failing("remove", &old.path))?;
        }
        Ok(())
    }

    /// Writes one, durable when this returns, beside those there are.
    pub fn put(&self, about: &About, kept: &Kept) -> Result<u64, CheckpointError> {
        let path = self.dir.join(format!("{PREFIX}{:020}{SUFFIX}", about.epoch));
        let mut draft = path.clone().into_os_string();
        draft.push(DRAFT);
        let draft = PathBuf::from(draft);
        let fail = failing("write", &path);
        let written = (|| {
            let mut out = io::BufWriter::with_capacity(1 << 20, File::create(&draft)?);
            let bytes = file::write(&mut out, about, kept)?;
            out.flush()?;
            self.reach(Step::BeforeSnapshotSync)?;
            out.get_ref().sync_all()?;
            self.reach(Step::BeforeSnapshotName)?;
            fs::rename(&draft, &path)?;
            self.reach(Step::AfterSnapshotName)?;
            File::open(&self.dir)?.sync_all()?;
            Ok(bytes)
        })();
        if written.is_err() {
            // Best effort: the next start removes it too.
            let _ = fs::remove_file(&draft);
        }
        written.map_err(&fail)
    }

    fn reach(&self, step: Step) -> io::Result<()> {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner).reach(step)
    }
}

impl Found {
    /// What it is of, without its content.
    pub fn about(&self) -> Result<About, CheckpointError> {
        let mut file = self.file()?;
        file::head(&mut file, &self.path).map(|head| head.about)
    }

    /// All of it, every checksum checked.
    pub fn read(&self) -> Result<Checkpoint, CheckpointError> {
        let mut file = self.file()?;
        let head = file::head(&mut file, &self.path)?;
        let kept = file::content(&mut file, &head, &self.path)?;
        Ok(Checkpoint { about: head.about, kept })
    }

    fn file(&self) -> Result<io::BufReader<File>, CheckpointError> {
        let file = File::open(&self.path).map_err(failing("read", &self.path))?;
        Ok(io::BufReader::with_capacity(1 << 20, file))
    }
}

/// The checkpoints in `dir`, newest first; none when it is not there.
pub fn list(dir: &Path) -> Result<Vec<Found>, CheckpointError> {
    if !dir.exists() {
        return Ok(Vec::new());
    }
    let found = |name: String| {
        let epoch = name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?.parse().ok()?;
        let path = dir.join(name);
        let bytes = fs::metadata(&path).map_or(0, |meta| meta.len());
        Some(Found { epoch, path, bytes })
    };
    let names = names(dir).map_err(failing("list", dir))?;
    let mut all: Vec<Found> = names.into_iter().filter_map(found).collect();
    all.sort_by_key(|found| std::cmp::Reverse(found.epoch));
    Ok(all)
}

/// A name for what all `parts` say together: the same for the same, and for nothing else.
pub fn fingerprint<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut sha = Sha256::new();
    for part in parts {
        sha.update((part.len() as u64).to_le_bytes());
        sha.update(part);
    }
    sha.finalize().iter().take(16).fold(String::new(), |mut name, byte| {
        let _ = fmt::Write::write_fmt(&mut name, format_args!("{byte:02x}"));
        name
    })
}

/// A name for what a file holds. Its checksums by the MiB are named, not its bytes: programs are large, and starts
/// should not be.
pub fn fingerprint_of(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut bytes = vec![0; 1 << 20];
    let mut sums = Vec::new();
    loop {
        let mut length = 0;
        while length < bytes.len() {
            match file.read(&mut bytes[length..])? {
                0 => break,
                n => length += n,
            }
        }
        if length == 0 {
            return Ok(fingerprint([sums.as_slice()]));
        }
        sums.extend_from_slice(&(length as u64).to_le_bytes());
        sums.extend_from_slice(&crc32c::crc32c(&bytes[..length]).to_le_bytes());
    }
}

fn failing(doing: &'static str, path: &Path) -> impl Fn(io::Error) -> CheckpointError {
    let path = path.to_owned();
    move |source| CheckpointError::Io { doing, path: path.clone(), source }
}

fn names(dir: &Path) -> io::Result<Vec<String>> {
    fs::read_dir(dir)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
}
