//! What it costs to exchange a record between processes: bincode, columnar, and abomonation.
//!
//! ```text
//! cargo bench --bench codec
//! ```
//!
//! The same record, a state change on its way to its agent's worker, a thousand at a time. Decoding ends when every
//! field of every record has been read once: what is decoded in place pays then. Bincode is what the engine exchanges
//! with today. Abomonation is what it exchanged with in the past and is unsound (RUSTSEC-2021-0120): a baseline of
//! this benchmark alone, for bytes that it wrote itself. Under `cargo test` it runs a few rounds, so that it cannot rot.
#![allow(clippy::print_stdout, reason = "a benchmark reports on standard output")]
#![allow(clippy::disallowed_methods, reason = "a benchmark measures the real clock")]
#![allow(deprecated, reason = "its successor is a crate more")]
#![allow(unsafe_code, reason = "the baseline of the past cannot be had without")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use abomonation::{Abomonation, unsafe_abomonate};
use columnar::bytes::indexed;
use columnar::{Borrow, BorrowedOf, Clear, Columnar, FromBytes, Index, Len, Push};
use serde::{Deserialize, Serialize};

/// A state change and by how many it changes.
#[derive(Clone, Debug, PartialEq, Columnar, Serialize, Deserialize)]
struct Record {
    agent: String,
    queue: Option<String>,
    at: i64,
    seq: u64,
    state: u8,
    diff: i64,
}

unsafe_abomonate!(Record: agent, queue, at, seq, state, diff);

const RECORDS: usize = 1_000;

fn main() {
    // Cargo says `--bench` when it means it.
    let rounds = if std::env::args().any(|arg| arg == "--bench") { 2_000 } else { 3 };
    let records: Vec<Record> = (0..RECORDS as u64).map(record).collect();
    let expected = records.iter().map(|it| read(&it.agent, it.queue.as_deref(), it.at)).sum();
    println!(
        "{RECORDS} records, ns per record\n{:<14}{:>9}{:>9}{:>16}",
        "", "encode", "decode", "bytes each"
    );
    let codecs: [(&str, fn(&[Record], u32, u64) -> Cost); 3] =
        [("bincode", bincode), ("columnar", columnar), ("abomonation", abomonation)];
    for (name, codec) in codecs {
        // The median of five.
        let mut costs: Vec<Cost> = (0..5).map(|_| codec(&records, rounds, expected)).collect();
        costs.sort_by_key(|cost| cost.encode + cost.decode);
        let Cost { encode, decode, bytes } = costs[2];
        let each = |time: Duration| time.as_nanos() as f64 / f64::from(rounds) / RECORDS as f64;
        let size = bytes as f64 / RECORDS as f64;
        println!("{name:<14}{:>9.1}{:>9.1}{size:>16.1}", each(encode), each(decode));
    }
}

fn record(nth: u64) -> Record {
    Record {
        agent: format!("agent-{:05}", nth * 7919 % 10_000),
        queue: (!nth.is_multiple_of(3)).then(|| format!("queue-{}", nth % 40)),
        at: 1_778_839_351_000 + nth as i64,
        seq: nth,
        state: (nth % 5) as u8,
        diff: 1,
    }
}

/// Touches what a record holds.
fn read(agent: &str, queue: Option<&str>, at: i64) -> u64 {
    let first = |text: &str| text.bytes().last().map_or(0, u64::from);
    first(agent) + queue.map_or(0, first) + at as u64
}

/// Time of all rounds, and the size of one.
struct Cost {
    encode: Duration,
    decode: Duration,
    bytes: usize,
}

fn bincode(records: &[Record], rounds: u32, expected: u64) -> Cost {
    let mut bytes = Vec::new();
    let began = Instant::now();
    for _ in 0..rounds {
        bytes.clear();
        ::bincode::serialize_into(&mut bytes, black_box(records)).expect("memory takes it");
        black_box(&bytes);
    }
    let encode = began.elapsed();
    let began = Instant::now();
    for _ in 0..rounds {
        let decoded: Vec<Record> = ::bincode::deserialize(black_box(&bytes)).expect("we wrote it");
        let sum: u64 = decoded.iter().map(|it| read(&it.agent, it.queue.as_deref(), it.at)).sum();
        assert_eq!(sum, expected);
    }
    Cost { encode, decode: began.elapsed(), bytes: bytes.len() }
}

fn columnar(records: &[Record], rounds: u32, expected: u64) -> Cost {
    let mut columns = <Record as Columnar>::Container::default();
    let mut words: Vec<u64> = Vec::new();
    let began = Instant::now();
    for _ in 0..rounds {
        // Rows become columns and columns bytes: both are on the way out.
        columns.clear();
        for record in black_box(records) {
            columns.push(record);
        }
        words.clear();
        indexed::encode(&mut words, &columns.borrow());
        black_box(&words);
    }
    let encode = began.elapsed();
    let began = Instant::now();
    for _ in 0..rounds {
        let decoded = BorrowedOf::<Record>::from_bytes(&mut indexed::decode(black_box(&words)));
        let sum: u64 = (0..decoded.len())
            .map(|nth| {
                let it = decoded.get(nth);
                read(text(it.agent), it.queue.map(text), *it.at)
            })
            .sum();
        assert_eq!(sum, expected);
    }
    Cost { encode, decode: began.elapsed(), bytes: words.len() * 8 }
}

/// Strings come out as bytes.
fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("it went in as text")
}

fn abomonation(records: &[Record], rounds: u32, expected: u64) -> Cost {
    let records = records.to_vec();
    let mut bytes = Vec::new();
    let began = Instant::now();
    for _ in 0..rounds {
        bytes.clear();
        // SAFETY: what is written is read again by this function alone, with the same type and build.
        unsafe { ::abomonation::encode(black_box(&records), &mut bytes) }.expect("memory takes it");
        black_box(&bytes);
    }
    let encode = began.elapsed();
    let mut decode = Duration::ZERO;
    for _ in 0..rounds {
        // Decoding writes pointers into the bytes, so each round has its own.
        let mut bytes = bytes.clone();
        let began = Instant::now();
        // SAFETY: as above; the bytes are a vector's, whose start is aligned for all that is in a record.
        let decoded = unsafe { ::abomonation::decode::<Vec<Record>>(black_box(&mut bytes)) };
        let (decoded, _) = decoded.expect("we wrote it");
        let sum: u64 = decoded.iter().map(|it| read(&it.agent, it.queue.as_deref(), it.at)).sum();
        assert_eq!(sum, expected);
        decode += began.elapsed();
    }
    Cost { encode, decode, bytes: bytes.len() }
}
