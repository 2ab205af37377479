//! The formats on disk: they read back what they wrote, stand any bytes, and do not change by accident.

use highwater_dataflow::Signal;
use proptest::prelude::*;

use super::super::ledger::{Entry, Ledger};
use super::super::*;
use super::rig::*;

fn signal() -> impl Strategy<Value = Signal> {
    prop_oneof![
        (any::<u32>(), any::<i64>())
            .prop_map(|(partition, bound)| Signal::Bound { partition, bound }),
        any::<u32>().prop_map(|partition| Signal::Idle { partition }),
        any::<i64>().prop_map(|bound| Signal::Clock { bound }),
        Just(Signal::Tick),
    ]
}

fn record() -> impl Strategy<Value = Record> {
    let rejected = prop::option::of(".{0,40}");
    let raw = prop::collection::vec(any::<u8>(), 0..200);
    (any::<u32>(), any::<u8>(), any::<u64>(), any::<i64>(), any::<bool>(), rejected, raw).prop_map(
        |(partition, codec, position, received_at, recorded, rejected, raw)| Record {
            seq: 0,
            partition,
            codec,
            position,
            received_at,
            recorded,
            rejected,
            raw,
        },
    )
}

fn frame() -> impl Strategy<Value = Frame> {
    let registration = (any::<u32>(), ".{0,20}", ".{0,10}")
        .prop_map(|(id, name, kind)| Registration { id, name, kind });
    (
        any::<u64>(),
        1..u64::MAX / 2,
        any::<i64>(),
        prop::collection::vec(registration, 0..3),
        prop::collection::vec(signal(), 0..5),
        prop::collection::vec(record(), 0..8),
    )
        .prop_map(|(epoch, first_seq, clock_ms, registrations, signals, mut records)| {
            (first_seq..).zip(&mut records).for_each(|(seq, record)| record.seq = seq);
            Frame { epoch, first_seq, clock_ms, registrations, signals, records }
        })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_frame_reads_back(frame in frame()) {
        let read = Frame::decode(frame.epoch, frame.first_seq, &frame.encode());
        prop_assert_eq!(read, Ok(frame));
    }

    #[test]
    fn any_bytes_are_a_frame_or_none(bytes in prop::collection::vec(any::<u8>(), 0..300), seq in any::<u64>()) {
        let _ = Frame::decode(1, seq, &bytes);
        let mut bytes = bytes;
        if let Some(version) = bytes.first_mut() {
            *version = 1;
        }
        let _ = Frame::decode(1, seq, &bytes);
        let _ = Ledger::decode(&bytes);
    }

    #[test]
    fn a_changed_byte_of_a_record_is_noticed(frame in frame(), at in any::<prop::sample::Index>(), bit in 0..8_u8) {
        let good = frame.encode();
        let mut bad = good.clone();
        let at = at.index(bad.len());
        bad[at] ^= 1 << bit;
        // Lengths, signals and names are under the frame's hash; the records' bytes have their own checksums too.
        if let Ok(read) = Frame::decode(frame.epoch, frame.first_seq, &bad) {
            prop_assert_eq!(read.records, frame.records);
        }
    }
}

#[test]
fn the_ledger_reads_back() {
    let mut ledger = Ledger { clock_bound: 5, ..Ledger::default() };
    ledger.partitions.insert(3, Entry::new("http".into(), "http".into()));
    ledger.partitions.insert(
        9,
        Entry { position: Some(0), bound: -1, idle: true, ..Entry::new("f".into(), "file".into()) },
    );
    assert_eq!(Ledger::decode(&ledger.encode()), Ok(ledger.clone()));
    let bytes = ledger.encode();
    for cut in 0..bytes.len() {
        assert!(Ledger::decode(&bytes[..cut]).is_err());
    }
}

/// Format 1 is on customers' disks: when this fails, the format has changed and needs a new number.
#[test]
fn format_1_is_what_it_was() {
    let frame = Frame {
        epoch: 7,
        first_seq: 41,
        clock_ms: 1_767_225_600_000,
        registrations: vec![Registration { id: 1, name: "http".into(), kind: "h".into() }],
        signals: vec![
            Signal::Bound { partition: 1, bound: -2 },
            Signal::Idle { partition: 1 },
            Signal::Clock { bound: 9 },
            Signal::Tick,
        ],
        records: vec![
            Record {
                seq: 41,
                partition: 1,
                codec: 1,
                position: 5,
                received_at: 6,
                recorded: false,
                rejected: None,
                raw: b"{}".to_vec(),
            },
            Record {
                seq: 42,
                partition: 1,
                codec: 1,
                position: 8,
                received_at: 9,
                recorded: false,
                rejected: Some("no".into()),
                raw: b"x".to_vec(),
            },
        ],
    };
    let hex = frame.encode().iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
    assert_eq!(hex, GOLDEN);
    assert_eq!(frame.format(), 1);
    assert_eq!(Frame::decode(7, 41, &frame.encode()), Ok(frame));
}

/// In format 2 records may be recorded; nothing else of a frame is different.
#[test]
fn format_2_is_format_1_and_a_flag() {
    let [live, tape] = [false, true].map(|recorded| Frame {
        epoch: 7,
        first_seq: 41,
        clock_ms: 1_767_225_600_000,
        registrations: Vec::new(),
        signals: Vec::new(),
        records: vec![Record {
            seq: 41,
            partition: 1,
            codec: 1,
            position: 8,
            received_at: 9,
            recorded,
            rejected: Some("no".into()),
            raw: b"x".to_vec(),
        }],
    });
    assert_eq!((live.format(), tape.format()), (1, 2));
    let (one, two) = (live.encode(), tape.encode());
    assert_eq!(Frame::decode(7, 41, &two), Ok(tape));
    // The record's checksum, and its flags.
    let (checksum, flags) = (1 + 8 + 3 * 4 + 4, 1 + 8 + 3 * 4 + 8 + 5);
    let differ: Vec<usize> = (0..one.len()).filter(|at| one[*at] != two[*at]).collect();
    assert!(differ.iter().all(|at| (checksum..checksum + 4).contains(at) || *at == flags));
    assert_eq!((one.len(), one[flags], two[flags]), (two.len(), 1, 3));
}

const GOLDEN: &str = "\
    0100a8da769b0100000100000001000000040000006874747001000000680400000001010000\
    00feffffffffffffff0201000000000000000000000003000000000900000000000000040000\
    0000000000000000000002000000180000008f23442501000000010005000000000000000600\
    0000000000007b7d1d0000001f8fcde801000000010108000000000000000900000000000000\
    020000006e6f78\
";

#[test]
fn a_newer_format_is_refused_with_its_number() {
    let dir = scratch();
    drop(Rig::open(dir.path(), options()).unwrap());
    let file = files::list(dir.path()).unwrap().pop().unwrap();
    let conn = rusqlite::Connection::open(&file.path).unwrap();
    conn.execute("UPDATE meta SET format = 3", []).unwrap();
    drop(conn);
    let error = Rig::open(dir.path(), options()).err().unwrap();
    assert!(matches!(error, JournalError::Newer { found: 3, known: 2, .. }), "{error}");
    assert!(error.to_string().contains("run the version that wrote it"), "{error}");
}

#[test]
fn an_export_imports_as_the_same_journal() {
    let (dir, copy) = (scratch(), scratch());
    let small = Options { segment_bytes: 2_000, ..options() };
    let mut rig = Rig::open(dir.path(), small).unwrap();
    let http = rig.live("http");
    for i in 0..30 {
        rig.append(http, 3, START + i).unwrap();
        rig.commit(vec![deliver(http, vec![garbage(i as u64)])]).unwrap();
    }
    let tape = rig.register(PartitionSpec::recorded("tape", "test"));
    rig.append(tape, 3, START).unwrap();
    rig.journal.store.drop_before(40).unwrap();
    let mut text = Vec::new();
    let exported = export(dir.path(), &mut text).unwrap();
    let target = copy.path().join("new");
    assert_eq!(import(&target, &mut text.as_slice()).unwrap(), exported);
    assert_eq!(frames(&target), frames(dir.path()));
    let copied = Rig::open(&target, options()).unwrap();
    assert_eq!(copied.journal.book.lock().unwrap().ledger, rig.journal.book.lock().unwrap().ledger);
    drop(copied);
    assert_eq!(verify(&target).unwrap().problem.map(|e| e.to_string()), None);
    assert_eq!(stat(&target).unwrap().witness.seq, rig.journal.tip().seq);
    assert!(matches!(import(&target, &mut text.as_slice()), Err(JournalError::Occupied { .. })));
    // Cut off, or changed on the way.
    let lines = text.split_inclusive(|byte| *byte == b'\n').collect::<Vec<_>>();
    let cut = lines[..lines.len() - 1].concat();
    let error = import(&copy.path().join("cut"), &mut cut.as_slice()).unwrap_err();
    assert!(error.to_string().contains("without its last line"), "{error}");
    assert_eq!(frames(&copy.path().join("cut")), frames(dir.path()), "what was there is kept");
    let error = import(&copy.path().join("garbage"), &mut b"{}\n".as_slice()).unwrap_err();
    assert!(matches!(error, JournalError::BadExport { line: 1, .. }), "{error}");
}

#[test]
fn an_import_begins_a_segment_with_each_hour() {
    let (dir, copy) = (scratch(), scratch());
    let mut rig = Rig::open(dir.path(), options()).unwrap();
    let http = rig.live("http");
    for _ in 0..3 {
        for i in 0..4 {
            rig.append(http, 3, START + i).unwrap();
        }
        rig.clock.advance(3_600_000);
    }
    let mut text = Vec::new();
    export(dir.path(), &mut text).unwrap();
    import(copy.path(), &mut text.as_slice()).unwrap();
    assert_eq!(frames(copy.path()), frames(dir.path()));
    let begun = |dir| -> Vec<u64> { segments(dir).unwrap().iter().map(|s| s.first_seq).collect() };
    assert_eq!(begun(copy.path()), [1, 13, 25]);
    assert_eq!(verify(copy.path()).unwrap().problem.map(|e| e.to_string()), None);
}
