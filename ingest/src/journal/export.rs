//! The journal as JSON lines, and back: for support, for moving, and for saving what is intact.
//!
//! First line: format and the ledger before the first frame. Then a line per frame, raw bytes in base64. Last line:
//! how many frames and records, and the SHA-256 of all lines before it, so that a cut-off file is noticed.

use std::io::{BufRead, Write};
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use highwater_dataflow::{EventTime, Signal};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::disk::RealDisk;
use super::error::JournalError;
use super::files;
use super::frame::{Frame, Record, Registration};
use super::ledger::Ledger;
use super::options::Options;
use super::segment::{Meta, Segment};
use super::store::Store;
use super::witness::{self, Witness, WitnessFile};

/// What was written or read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exported {
    pub frames: u64,
    pub records: u64,
}

/// Since 2 records may say that they were recorded.
const FORMAT: u32 = 2;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Line {
    Journal { format: u32, first_seq: u64, prev_epoch: u64, clock_ms: i64, ledger: String },
    Frame(FrameLine),
    End { frames: u64, records: u64, sha256: String },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FrameLine {
    epoch: u64,
    first_seq: u64,
    clock_ms: i64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    registrations: Vec<(u32, String, String)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    signals: Vec<Signal>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    records: Vec<RecordLine>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RecordLine {
    seq: u64,
    partition: u32,
    codec: u8,
    position: u64,
    received_at: i64,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    recorded: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rejected: Option<String>,
    raw: String,
}

/// Writes the journal in `dir` to `out`, beside a running writer or without one.
///
/// Stops in front of the first damage with its error: what was written up to there is good, though without the last
/// line. Errors of `out` are `Io`.
pub fn export(dir: &Path, out: &mut dyn Write) -> Result<Exported, JournalError> {
    let files = files::list(dir)?;
    let Some(first) = files.first() else {
        return Err(JournalError::Absent { dir: dir.to_owned() });
    };
    let mut out = Lines { out, sha: Sha256::new() };
    let meta = Segment::open_for_reading(&first.path)?.meta()?;
    out.put(&Line::Journal {
        format: FORMAT,
        first_seq: meta.first_seq,
        prev_epoch: meta.prev_epoch,
        clock_ms: meta.created_ms,
        ledger: BASE64.encode(&meta.ledger),
    })?;
    let mut exported = Exported::default();
    let mut tip = meta.before();
    for file in &files {
        let segment = Segment::open_for_reading(&file.path)?;
        let meta = segment.meta()?;
        if meta.before() != tip {
            return Err(segment.damaged("it does not follow the segment before it"));
        }
        let mut head = Some(meta.hash());
        loop {
            let frames = segment.frames(tip.epoch, 256, 1 << 20)?;
            if frames.is_empty() {
                break;
            }
            for stored in frames {
                let frame =
                    stored.check(&tip.linked(head.take())).map_err(|what| segment.damaged(what))?;
                tip = stored.tip();
                exported.frames += 1;
                exported.records += frame.records.len() as u64;
                out.put(&Line::Frame(frame.into()))?;
            }
        }
    }
    let Exported { frames, records } = exported;
    let sha256 = BASE64.encode(out.sha.clone().finalize());
    out.put(&Line::End { frames, records, sha256 })?;
    Ok(exported)
}

/// Makes a new journal in `dir` from an export: same frames, epochs and numbers.
///
/// An export without its last line (of a damaged journal, or cut off) is imported as far as it goes and then reported
/// as `BadExport`: the new journal holds what was intact. Errors: `Occupied`.
pub fn import(dir: &Path, input: &mut dyn BufRead) -> Result<Exported, JournalError> {
    if witness::exists(dir) || (dir.exists() && !files::list(dir)?.is_empty()) {
        return Err(JournalError::Occupied { dir: dir.to_owned() });
    }
    let mut lines = Input { from: input, sha: Sha256::new(), line: 0 };
    let Some(Line::Journal { format, first_seq, prev_epoch, clock_ms, ledger }) = lines.next()?
    else {
        return Err(lines.bad("it does not begin like an export"));
    };
    if format > FORMAT {
        return Err(lines.bad("it was written by a later version"));
    }
    let ledger = BASE64.decode(ledger).map_err(|e| lines.bad(&e.to_string()))?;
    Ledger::decode(&ledger).map_err(|what| lines.bad(what))?;
    if first_seq == 0 {
        return Err(lines.bad("records are numbered from 1"));
    }
    drop(files::lock(dir)?);
    let seq = first_seq - 1;
    let meta = Meta {
        first_seq,
        prev_epoch,
        prev_hash: [0; 32],
        created_ms: clock_ms,
        ledger,
        sealed: false,
    };
    // Epoch 0 demands nothing yet; the first append says more.
    let nothing = Witness { generation: 0, epoch: 0, seq, hash: [0; 32], retained_from: first_seq };
    WitnessFile::create(dir, nothing)?;
    Segment::create(dir, &meta)?;
    let mut import = Import::open(dir, clock_ms)?;
    let read = import.read(&mut lines);
    import.write()?;
    read?;
    import.store.close()?;
    Ok(import.imported)
}

/// A journal that is being made.
struct Import {
    store: Store,
    options: Options,
    /// What the frames that are written add up to, and with those that are not.
    written: Ledger,
    ledger: Ledger,
    /// Not written yet: a sync for each would take an hour where the whole takes a minute.
    frames: Vec<Frame>,
    bytes: usize,
    imported: Exported,
}

/// Frames become durable together up to about so many bytes of records.
const TOGETHER: usize = 4 << 20;

impl Import {
    fn open(dir: &Path, clock_ms: EventTime) -> Result<Import, JournalError> {
        let options = Options::default();
        let (store, ledger, _) = Store::open(dir, &options, clock_ms, Box::new(RealDisk))?;
        Ok(Import {
            store,
            options,
            written: ledger.clone(),
            ledger,
            frames: Vec::new(),
            bytes: 0,
            imported: Exported::default(),
        })
    }

    /// Takes all lines to the last. What was taken when it fails is good.
    fn read(&mut self, lines: &mut Input<'_>) -> Result<(), JournalError> {
        loop {
            let sha256 = BASE64.encode(lines.sha.clone().finalize());
            match lines.next()? {
                Some(Line::Frame(line)) => {
                    let frame = Frame::try_from(line).map_err(|what| lines.bad(what))?;
                    self.make_room(&frame)?;
                    self.take(frame).map_err(|what| lines.bad(what))?;
                }
                Some(Line::End { frames, records, sha256: claimed }) => {
                    if (Exported { frames, records }) != self.imported || claimed != sha256 {
                        return Err(lines.bad("its last line does not match the lines before it"));
                    }
                    return Ok(());
                }
                Some(Line::Journal { .. }) => return Err(lines.bad("a second export begins here")),
                None => return Err(lines.bad("it ends without its last line")),
            }
        }
    }

    /// Writes what may not be written together with `next`: they are many bytes, or of another hour.
    fn make_room(&mut self, next: &Frame) -> Result<(), JournalError> {
        let hour = |frame: &Frame| self.options.hour(frame.clock_ms);
        let other = self.frames.last().is_some_and(|last| hour(last) != hour(next));
        if other || self.bytes >= TOGETHER { self.write() } else { Ok(()) }
    }

    fn take(&mut self, frame: Frame) -> Result<(), &'static str> {
        let tip = self.store.tip();
        let last = self.frames.last().map_or((tip.epoch, tip.seq), |it| (it.epoch, it.last_seq()));
        if frame.epoch <= last.0 || frame.first_seq != last.1 + 1 {
            return Err("its frame does not follow the one before it");
        }
        let mut ledger = self.ledger.clone();
        ledger.apply(&frame)?;
        self.ledger = ledger;
        self.imported.frames += 1;
        self.imported.records += frame.records.len() as u64;
        self.bytes += frame.records.iter().map(|record| record.raw.len()).sum::<usize>();
        self.frames.push(frame);
        Ok(())
    }

    fn write(&mut self) -> Result<(), JournalError> {
        self.store.append(&self.frames, || self.written.clone(), &self.options)?;
        self.store.after_append(&self.options)?;
        self.written.clone_from(&self.ledger);
        self.frames.clear();
        self.bytes = 0;
        Ok(())
    }
}

struct Lines<'a> {
    out: &'a mut dyn Write,
    sha: Sha256,
}

impl Lines<'_> {
    fn put(&mut self, line: &Line) -> Result<(), JournalError> {
        let mut text = serde_json::to_vec(line).expect("a line is plain data");
        text.push(b'\n');
        self.sha.update(&text);
        self.out
            .write_all(&text)
            .map_err(|e| JournalError::io("cannot write", Path::new("the export"), e))
    }
}

struct Input<'a> {
    from: &'a mut dyn BufRead,
    sha: Sha256,
    line: u64,
}

impl Input<'_> {
    fn next(&mut self) -> Result<Option<Line>, JournalError> {
        let mut text = String::new();
        self.line += 1;
        let n = self
            .from
            .read_line(&mut text)
            .map_err(|e| JournalError::io("cannot read", Path::new("the export"), e))?;
        if n == 0 {
            return Ok(None);
        }
        self.sha.update(&text);
        serde_json::from_str(&text).map(Some).map_err(|e| self.bad(&e.to_string()))
    }

    fn bad(&self, what: &str) -> JournalError {
        JournalError::BadExport { line: self.line, what: what.into() }
    }
}

impl From<Frame> for FrameLine {
    fn from(frame: Frame) -> Self {
        let registrations =
            frame.registrations.into_iter().map(|it| (it.id, it.name, it.kind)).collect();
        let records = frame.records.into_iter().map(|it| RecordLine {
            seq: it.seq,
            partition: it.partition,
            codec: it.codec,
            position: it.position,
            received_at: it.received_at,
            recorded: it.recorded,
            rejected: it.rejected,
            raw: BASE64.encode(it.raw),
        });
        FrameLine {
            epoch: frame.epoch,
            first_seq: frame.first_seq,
            clock_ms: frame.clock_ms,
            registrations,
            signals: frame.signals,
            records: records.collect(),
        }
    }
}

impl TryFrom<FrameLine> for Frame {
    type Error = &'static str;

    fn try_from(line: FrameLine) -> Result<Frame, &'static str> {
        let registrations = line.registrations.into_iter();
        let records = (line.first_seq..).zip(line.records).map(|(seq, it)| {
            if it.seq != seq {
                return Err("its records are not numbered in order");
            }
            Ok(Record {
                seq,
                partition: it.partition,
                codec: it.codec,
                position: it.position,
                received_at: it.received_at,
                recorded: it.recorded,
                rejected: it.rejected,
                raw: BASE64.decode(it.raw).map_err(|_| "a record in it is not base64")?,
            })
        });
        Ok(Frame {
            epoch: line.epoch,
            first_seq: line.first_seq,
            clock_ms: line.clock_ms,
            registrations: registrations
                .map(|(id, name, kind)| Registration { id, name, kind })
                .collect(),
            signals: line.signals,
            records: records.collect::<Result<_, _>>()?,
        })
    }
}
