//! A frame: one group commit, one epoch; and its bytes in a segment.
//!
//! Payload, formats 1 and 2, little-endian (epoch and sequence numbers are columns of the row; the hash covers them):
//!
//! ```text
//! u8 1 | i64 clock_ms
//! u32 n | n x ( u32 id | text name | text kind )                    partitions that appear for the first time
//! u32 n | n x ( u8 tag | u32 partition | i64 bound )                signals
//! u32 n | n x ( u32 length of body | u32 CRC32C of seq and body | body )
//! body  = u32 partition | u8 codec | u8 flags | u64 position | i64 received_at | [text reason] | raw bytes
//! flags = 1: rejected, with a reason | 2: recorded (since format 2)
//! text  = u32 length | UTF-8
//! hash  = SHA-256( previous hash | u64 epoch | u64 first seq | u64 last seq | payload )
//! ```

use highwater_dataflow::{Epoch, EventTime, PartitionId, Signal};
use sha2::{Digest, Sha256};

use super::wire::{Bad, Fields, put_len, put_text};

/// A link of the chain: SHA-256.
pub type Hash = [u8; 32];

/// One group commit: everything that became durable, and visible, together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Microseconds of the journal's clock, strictly increasing.
    pub epoch: Epoch,
    /// The number of its first record; that of the next one to come when it has none.
    pub first_seq: u64,
    /// The journal's clock when the frame was made, ms UTC.
    pub clock_ms: EventTime,
    /// Partitions that no earlier frame mentions.
    pub registrations: Vec<Registration>,
    /// In force after the records.
    pub signals: Vec<Signal>,
    pub records: Vec<Record>,
}

/// A partition's number, fixed for ever.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    pub id: PartitionId,
    pub name: String,
    /// The kind of source ("http", "file").
    pub kind: String,
}

/// One piece of input, accepted or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Dense, from 1.
    pub seq: u64,
    pub partition: PartitionId,
    /// `Codec` as a number: a record of a codec that this version does not know is still a record.
    pub codec: u8,
    /// Place in the source.
    pub position: u64,
    /// The source's clock, ms UTC.
    pub received_at: EventTime,
    /// It was told from a recording, or as history: when it came says nothing of how late it is.
    pub recorded: bool,
    /// Why it is a dead letter.
    pub rejected: Option<String>,
    /// The bytes as they came.
    pub raw: Vec<u8>,
}

const VERSION: u8 = 1;
const SIGNAL_BYTES: usize = 13;
const RECORD_BYTES: usize = 8 + 22;
const REJECTED: u8 = 1;
const RECORDED: u8 = 2;

impl Frame {
    /// The number of its last record; `first_seq - 1` when it has none.
    pub fn last_seq(&self) -> u64 {
        self.first_seq + self.records.len() as u64 - 1
    }

    /// The first format that can say what it says; what an earlier one can say, a later one says in the same bytes.
    pub(super) fn format(&self) -> i64 {
        if self.records.iter().any(|record| record.recorded) { 2 } else { 1 }
    }

    /// How many of its records are dead letters.
    pub fn rejected(&self) -> usize {
        self.records.iter().filter(|record| record.rejected.is_some()).count()
    }

    /// Its payload.
    pub fn encode(&self) -> Vec<u8> {
        let raw: usize = self.records.iter().map(|record| record.raw.len()).sum();
        let mut out = Vec::with_capacity(64 + raw + self.records.len() * (RECORD_BYTES + 8));
        out.push(VERSION);
        out.extend_from_slice(&self.clock_ms.to_le_bytes());
        put_len(&mut out, self.registrations.len());
        for Registration { id, name, kind } in &self.registrations {
            out.extend_from_slice(&id.to_le_bytes());
            put_text(&mut out, name);
            put_text(&mut out, kind);
        }
        put_len(&mut out, self.signals.len());
        for signal in &self.signals {
            let (tag, partition, bound) = match *signal {
                Signal::Bound { partition, bound } => (1_u8, partition, bound),
                Signal::Idle { partition } => (2, partition, 0),
                Signal::Clock { bound } => (3, 0, bound),
                Signal::Tick => (4, 0, 0),
            };
            out.push(tag);
            out.extend_from_slice(&partition.to_le_bytes());
            out.extend_from_slice(&bound.to_le_bytes());
        }
        put_len(&mut out, self.records.len());
        for record in &self.records {
            put_record(&mut out, record);
        }
        out
    }

    /// The frame whose payload this is.
    ///
    /// Errors: what is wrong with the bytes. Any bytes may be given.
    pub fn decode(epoch: Epoch, first_seq: u64, payload: &[u8]) -> Result<Frame, &'static str> {
        let mut fields = Fields(payload);
        if fields.u8()? != VERSION {
            return Err("its format is not known");
        }
        let clock_ms = fields.i64()?;
        let registrations = (0..fields.count(12)?)
            .map(|_| {
                let id = fields.u32()?;
                Ok(Registration { id, name: fields.text()?, kind: fields.text()? })
            })
            .collect::<Result<_, Bad>>()?;
        let signals = (0..fields.count(SIGNAL_BYTES)?)
            .map(|_| take_signal(&mut fields))
            .collect::<Result<_, Bad>>()?;
        let count = fields.count(RECORD_BYTES)?;
        if first_seq == 0 || first_seq.checked_add(count as u64).is_none() {
            return Err("its sequence numbers are impossible");
        }
        let records = (first_seq..first_seq + count as u64)
            .map(|seq| take_record(&mut fields, seq))
            .collect::<Result<_, Bad>>()?;
        fields.end()?;
        Ok(Frame { epoch, first_seq, clock_ms, registrations, signals, records })
    }
}

/// The hash that links a frame to the chain.
pub(super) fn link(
    prev: &Hash,
    epoch: Epoch,
    first_seq: u64,
    last_seq: u64,
    payload: &[u8],
) -> Hash {
    let mut sha = Sha256::new();
    sha.update(prev);
    sha.update(epoch.to_le_bytes());
    sha.update(first_seq.to_le_bytes());
    sha.update(last_seq.to_le_bytes());
    sha.update(payload);
    sha.finalize().into()
}

fn put_record(out: &mut Vec<u8>, record: &Record) {
    let head = out.len();
    out.extend_from_slice(&[0; 8]);
    let body = out.len();
    out.extend_from_slice(&record.partition.to_le_bytes());
    out.push(record.codec);
    let rejected = if record.rejected.is_some() { REJECTED } else { 0 };
    out.push(rejected | if record.recorded { RECORDED } else { 0 });
    out.extend_from_slice(&record.position.to_le_bytes());
    out.extend_from_slice(&record.received_at.to_le_bytes());
    if let Some(reason) = &record.rejected {
        put_text(out, reason);
    }
    out.extend_from_slice(&record.raw);
    let len = u32::try_from(out.len() - body).expect("a frame stays below 4 GiB");
    let crc = checksum(record.seq, &out[body..]);
    out[head..head + 4].copy_from_slice(&len.to_le_bytes());
    out[head + 4..body].copy_from_slice(&crc.to_le_bytes());
}

fn take_record(fields: &mut Fields<'_>, seq: u64) -> Result<Record, Bad> {
    let len = fields.u32()? as usize;
    let crc = fields.u32()?;
    let body = fields.take(len)?;
    if checksum(seq, body) != crc {
        return Err("the checksum of a record in it is wrong");
    }
    let mut body = Fields(body);
    let partition = body.u32()?;
    let codec = body.u8()?;
    let flags = body.u8()?;
    if flags & !(REJECTED | RECORDED) != 0 {
        return Err("a record in it has an unknown flag");
    }
    let position = body.u64()?;
    let received_at = body.i64()?;
    let rejected = if flags & REJECTED == 0 { None } else { Some(body.text()?) };
    let (recorded, raw) = (flags & RECORDED != 0, body.0.to_vec());
    Ok(Record { seq, partition, codec, position, received_at, recorded, rejected, raw })
}

fn take_signal(fields: &mut Fields<'_>) -> Result<Signal, Bad> {
    let tag = fields.u8()?;
    let partition = fields.u32()?;
    let bound = fields.i64()?;
    match tag {
        1 => Ok(Signal::Bound { partition, bound }),
        2 => Ok(Signal::Idle { partition }),
        3 => Ok(Signal::Clock { bound }),
        4 => Ok(Signal::Tick),
        _ => Err("a signal in it is not known"),
    }
}

fn checksum(seq: u64, body: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&seq.to_le_bytes()), body)
}
