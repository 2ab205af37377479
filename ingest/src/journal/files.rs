//! The journal's directory: which files are in it, who may write, and making its entries durable.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use super::error::JournalError;

/// A segment's file, named by its first sequence number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SegmentFile {
    pub first_seq: u64,
    pub path: PathBuf,
}

const PREFIX: &str = "frames-";
const SUFFIX: &str = ".sqlite";
/// What SQLite puts beside a database.
const COMPANIONS: [&str; 4] = ["", "-wal", "-shm", "-journal"];

impl SegmentFile {
    pub(super) fn new(dir: &Path, first_seq: u64) -> Self {
        SegmentFile { first_seq, path: dir.join(format!("{PREFIX}{first_seq:020}{SUFFIX}")) }
    }

    /// Its name while it is being made.
    pub(super) fn draft(&self) -> PathBuf {
        self.path.with_extension("draft")
    }

    /// Bytes in its write-ahead log.
    pub(super) fn log_bytes(&self) -> u64 {
        fs::metadata(companion(&self.path, "-wal")).map_or(0, |meta| meta.len())
    }

    pub(super) fn bytes(&self) -> u64 {
        fs::metadata(&self.path).map_or(0, |meta| meta.len()) + self.log_bytes()
    }
}

/// The segments of a directory, oldest first.
pub(super) fn list(dir: &Path) -> Result<Vec<SegmentFile>, JournalError> {
    let names = names(dir).map_err(|e| JournalError::io("cannot list", dir, e))?;
    let mut segments: Vec<SegmentFile> = names
        .iter()
        .filter_map(|name| name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?.parse().ok())
        .map(|first_seq| SegmentFile::new(dir, first_seq))
        .collect();
    segments.sort_by_key(|segment| segment.first_seq);
    Ok(segments)
}

/// Removes what an interrupted rotation left behind.
pub(super) fn remove_drafts(dir: &Path) -> Result<(), JournalError> {
    let remove = || -> io::Result<()> {
        for name in names(dir)? {
            if name.starts_with(PREFIX) && name.contains(".draft") {
                fs::remove_file(dir.join(name))?;
            }
        }
        Ok(())
    };
    remove().map_err(|e| JournalError::io("cannot tidy up", dir, e))
}

/// Removes a database with all that SQLite keeps beside it.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    for suffix in COMPANIONS {
        match fs::remove_file(companion(path, suffix)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
    }
    Ok(())
}

/// Makes the directory where needed and takes it for this process alone; free again when the file is dropped.
///
/// Errors: `Locked`.
pub(super) fn lock(dir: &Path) -> Result<File, JournalError> {
    let fail = |e| JournalError::io("cannot open", dir, e);
    if !dir.exists() {
        fs::create_dir_all(dir).map_err(fail)?;
        if let Some(parent) = dir.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            sync_dir(parent).map_err(fail)?;
        }
    }
    let path = dir.join("lock");
    let file = File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(|e| JournalError::io("cannot open", &path, e))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(JournalError::Locked { dir: dir.to_owned() }),
        Err(TryLockError::Error(e)) => Err(JournalError::io("cannot lock", &path, e)),
    }
}

/// Makes names in a directory durable; SQLite ignores the errors of its own attempt.
pub(super) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

fn companion(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn names(dir: &Path) -> io::Result<Vec<String>> {
    fs::read_dir(dir)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
}
