//! The format of a checkpoint file.
//!
//! Format 1, numbers little-endian:
//!
//! ```text
//! "HWCHECKP" | u32 format | u32 length of head | u32 CRC32C of head | head | parts, one after the other
//! head = bincode: definition, epoch, seq, hash, changelog, per worker and operator: name, u64 length, u32 CRC32C
//! ```
//!
//! The checksum of the head covers the format and the checksums of the parts, and those their bytes: no bit is
//! outside.

use std::io::{self, Read, Write};
use std::path::Path;

use highwater_dataflow::{Kept, Part};
use serde::{Deserialize, Serialize};

use super::{About, CheckpointError};

pub(super) const FORMAT: u32 = 1;
const MAGIC: &[u8; 8] = b"HWCHECKP";
/// A head is a few lines per operator and worker.
const HEAD_MAX: u32 = 64 << 20;

pub(super) struct Head {
    pub(super) about: About,
    workers: Vec<Vec<Entry>>,
}

#[derive(Serialize, Deserialize)]
struct Entry {
    name: String,
    length: u64,
    crc: u32,
}

/// The head as it is encoded.
#[derive(Serialize, Deserialize)]
struct Lines {
    definition: String,
    epoch: u64,
    seq: u64,
    hash: [u8; 32],
    changelog: Option<u64>,
    workers: Vec<Vec<Entry>>,
}

/// Writes it all; returns how many bytes that were.
pub(super) fn write(out: &mut impl Write, about: &About, kept: &Kept) -> io::Result<u64> {
    assert_eq!(about.epoch, kept.epoch, "a checkpoint is of the epoch its content is of");
    let entry = |part: &Part| Entry {
        name: part.name.clone(),
        length: part.bytes.len() as u64,
        crc: crc32c::crc32c(&part.bytes),
    };
    let About { definition, epoch, seq, hash, changelog } = about.clone();
    let workers = kept.workers.iter().map(|parts| parts.iter().map(entry).collect()).collect();
    let lines = Lines { definition, epoch, seq, hash, changelog, workers };
    let head = bincode::serialize(&lines).expect("a head is plain data");
    let length = u32::try_from(head.len()).expect("a head is far below 4 GiB");
    out.write_all(MAGIC)?;
    out.write_all(&FORMAT.to_le_bytes())?;
    out.write_all(&length.to_le_bytes())?;
    out.write_all(&checksum(FORMAT, &head).to_le_bytes())?;
    out.write_all(&head)?;
    let mut bytes = 20 + u64::from(length);
    for part in kept.workers.iter().flatten() {
        out.write_all(&part.bytes)?;
        bytes += part.bytes.len() as u64;
    }
    Ok(bytes)
}

/// Reads and checks the head; `from` then stands before the parts.
pub(super) fn head(from: &mut impl Read, path: &Path) -> Result<Head, CheckpointError> {
    let damaged = |what: &str| damaged(path, what);
    let mut start = [0; 20];
    from.read_exact(&mut start).map_err(|e| reading(e, path))?;
    let number = |at: usize| {
        u32::from_le_bytes(start[at..at + 4].try_into().expect("four bytes are four bytes"))
    };
    let (format, length, crc) = (number(8), number(12), number(16));
    if start[..8] != *MAGIC {
        return Err(damaged("it does not begin like a checkpoint"));
    }
    if format > FORMAT {
        let (path, known) = (path.to_owned(), FORMAT);
        return Err(CheckpointError::Newer { path, found: format, known });
    }
    if length > HEAD_MAX {
        return Err(damaged("its head is impossibly long"));
    }
    let mut bytes = vec![0; length as usize];
    from.read_exact(&mut bytes).map_err(|e| reading(e, path))?;
    if checksum(format, &bytes) != crc || format != FORMAT {
        return Err(damaged("the checksum of its head is wrong"));
    }
    let lines: Lines = bincode::deserialize(&bytes).map_err(|e| damaged(&e.to_string()))?;
    let Lines { definition, epoch, seq, hash, changelog, workers } = lines;
    let about = About { definition, epoch, seq, hash, changelog };
    Ok(Head { about, workers })
}

/// Reads and checks the parts.
pub(super) fn content(
    from: &mut impl Read,
    head: &Head,
    path: &Path,
) -> Result<Kept, CheckpointError> {
    let mut workers = Vec::with_capacity(head.workers.len());
    for entries in &head.workers {
        let mut parts = Vec::with_capacity(entries.len());
        for Entry { name, length, crc } in entries {
            let mut bytes = Vec::new();
            from.take(*length).read_to_end(&mut bytes).map_err(|e| reading(e, path))?;
            if bytes.len() as u64 != *length || crc32c::crc32c(&bytes) != *crc {
                return Err(damaged(path, &format!("the part of operator {name} is not whole")));
            }
            parts.push(Part { name: name.clone(), bytes });
        }
        workers.push(parts);
    }
    let mut more = [0; 1];
    match from.read(&mut more) {
        Ok(0) => Ok(Kept { epoch: head.about.epoch, workers }),
        Ok(_) => Err(damaged(path, "there is more of it than its head says")),
        Err(error) => Err(reading(error, path)),
    }
}

fn checksum(format: u32, head: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&format.to_le_bytes()), head)
}

fn damaged(path: &Path, what: &str) -> CheckpointError {
    CheckpointError::Damaged { path: path.to_owned(), what: what.to_owned() }
}

fn reading(error: io::Error, path: &Path) -> CheckpointError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => damaged(path, "it is cut off"),
        _ => CheckpointError::Io { doing: "read", path: path.to_owned(), source: error },
    }
}
