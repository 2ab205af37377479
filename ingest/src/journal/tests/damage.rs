//! Damage below the witness is never silent; loss above it is never a problem.

use std::fs;
use std::path::{Path, PathBuf};

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::super::segment::StoredFrame;
use super::super::*;
use super::rig::*;

/// A journal of three segments, closed (everything in the segments) or not (the last frames in the log).
fn journal(dir: &Path, close: bool) -> Vec<Frame> {
    let small = Options { segment_bytes: 900, ..options() };
    let mut rig = Rig::open(dir, small).unwrap();
    let http = rig.live("http");
    for i in 0..12 {
        rig.append(http, 1 + i % 4, START + i as i64).unwrap();
    }
    assert!(files::list(dir).unwrap().len() >= 3);
    let written = frames(dir);
    if close {
        rig.journal.store.close().unwrap();
    }
    written
}

#[test]
fn a_flipped_bit_is_refused_or_harmless() {
    for close in [true, false] {
        let (good, work) = (scratch(), scratch());
        let written = journal(good.path(), close);
        let files: Vec<PathBuf> = fs::read_dir(good.path())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| {
                let name = path.to_string_lossy();
                !name.ends_with("-shm") && fs::metadata(path).unwrap().len() > 0
            })
            .collect();
        let mut rng = SmallRng::seed_from_u64(20_260_101);
        let mut refused = 0;
        for flip in 0..500 {
            restore(good.path(), work.path());
            let from = &files[rng.random_range(0..files.len())];
            let path = work.path().join(from.file_name().unwrap());
            let mut bytes = fs::read(&path).unwrap();
            let mut at = rng.random_range(0..bytes.len());
            // Most of a small page is empty: look for a byte that says something, four times out of five.
            while flip % 5 != 0 && bytes[at] == 0 {
                at = rng.random_range(0..bytes.len());
            }
            bytes[at] ^= 1 << rng.random_range(0..8);
            fs::write(&path, bytes).unwrap();
            without_index(work.path());
            let context = format!("flip {flip} in byte {at} of {}", path.display());
            match Rig::open(work.path(), options()) {
                Ok(mut rig) => {
                    assert_eq!(frames(work.path()), written, "{context}");
                    let http = rig.live("http");
                    rig.append(http, 2, START).unwrap();
                    drop(rig);
                    Rig::open(work.path(), options()).unwrap_or_else(|e| panic!("{context}: {e}"));
                    assert_eq!(frames(work.path())[..written.len()], written, "{context}");
                }
                Err(JournalError::Damaged { from, to, .. }) => {
                    refused += 1;
                    assert!(1 <= from && from <= to, "{context}: {from} to {to}");
                }
                Err(JournalError::Newer { .. } | JournalError::Witness { .. }) => refused += 1,
                Err(error) => panic!("{context}: {error:?}"),
            }
        }
        assert!(refused > 200, "only {refused} of 500 flips hit anything");
    }
}

/// A thousand flips in what was acknowledged: in payloads and hashes, in segments and in the log of the last one.
#[test]
fn a_flipped_bit_below_the_witness_names_its_segment_and_range() {
    let (good, work) = (scratch(), scratch());
    let mut rng = SmallRng::seed_from_u64(20_260_102);
    let mut refused = 0;
    for close in [true, false] {
        restore(scratch().path(), good.path());
        journal(good.path(), close);
        // The two lie side by side in a row.
        let bytes = |frame: &StoredFrame| [&frame.hash[..], &frame.payload].concat();
        let written = stored(good.path());
        let places = written.iter().flat_map(|it| places(good.path(), it, &bytes(it)));
        let places: Vec<Place> = places.collect();
        assert!(places.iter().any(Place::in_log) != close);
        for flip in 0..500 {
            let place = &places[rng.random_range(0..places.len())];
            restore(good.path(), work.path());
            without_index(work.path());
            let path = work.path().join(&place.file);
            let mut bytes = fs::read(&path).unwrap();
            bytes[rng.random_range(place.from..place.to)] ^= 1 << rng.random_range(0..8);
            fs::write(&path, bytes).unwrap();
            let context = format!("flip {flip} in {place:?}");
            match Rig::open(work.path(), options()).err() {
                Some(JournalError::Damaged { segment, from, to, .. }) => {
                    assert!(place.file.starts_with(&segment), "{context}: {segment}");
                    let range = from..=to;
                    // What the log has of a frame breaks off everything that follows it, too.
                    let whole = range.contains(&place.seqs.0) && range.contains(&place.seqs.1);
                    assert!(whole || place.in_log(), "{context}: {range:?}");
                    refused += 1;
                }
                other => panic!("{context}: {other:?}"),
            }
        }
    }
    assert_eq!(refused, 1_000, "none was silent");
}

/// Where something of a frame lies: bytes `from` to `to` of a file.
#[derive(Debug)]
struct Place {
    file: String,
    from: usize,
    to: usize,
    seqs: (u64, u64),
}

impl Place {
    fn in_log(&self) -> bool {
        self.file.ends_with("-wal")
    }
}

/// Everywhere that `needle` lies as a whole.
fn places(dir: &Path, frame: &StoredFrame, needle: &[u8]) -> Vec<Place> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let file = path.file_name().unwrap().to_string_lossy().into_owned();
        if !file.starts_with("frames-") || file.ends_with("-shm") {
            continue;
        }
        let bytes = fs::read(&path).unwrap();
        for (from, _) in bytes.windows(needle.len()).enumerate().filter(|(_, it)| *it == needle) {
            let seqs = (frame.first_seq, frame.last_seq);
            found.push(Place { file: file.clone(), from, to: from + needle.len(), seqs });
        }
    }
    found
}

/// The shared-memory index belongs to a process that is gone.
fn without_index(dir: &Path) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.to_string_lossy().ends_with("-shm") {
            fs::remove_file(path).unwrap();
        }
    }
}

#[test]
fn a_refused_journal_is_left_as_it_was() {
    let dir = scratch();
    journal(dir.path(), false);
    let last = files::list(dir.path()).unwrap().pop().unwrap();
    let log = PathBuf::from(format!("{}-wal", last.path.display()));
    let mut bytes = fs::read(&log).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&log, &bytes).unwrap();
    let error = Rig::open(dir.path(), options()).err().unwrap();
    assert!(error.to_string().contains("ends before the last acknowledged record"), "{error}");
    assert_eq!(fs::read(&log).unwrap(), bytes, "the evidence stays");
    let report = verify(dir.path()).unwrap();
    assert!(report.problem.is_some() && report.intact.seq > 0, "{report}");
}

#[test]
fn segments_missing_swapped_or_strange_are_refused() {
    let (good, work) = (scratch(), scratch());
    journal(good.path(), true);
    let names: Vec<PathBuf> =
        files::list(good.path()).unwrap().into_iter().map(|f| f.path).collect();
    let at = |i: usize| work.path().join(names[i].file_name().unwrap());
    let refused = |what: &str| {
        let error = Rig::open(work.path(), options()).err().unwrap_or_else(|| panic!("{what}"));
        assert!(matches!(error, JournalError::Damaged { .. }), "{what}: {error}");
        assert!(error.to_string().contains("frames-"), "{what}: {error}");
    };
    for i in 0..3 {
        restore(good.path(), work.path());
        fs::remove_file(at(i)).unwrap();
        refused("one is missing");
    }
    restore(good.path(), work.path());
    (0..names.len()).for_each(|i| fs::remove_file(at(i)).unwrap());
    refused("all are missing");
    for (a, b) in [(0, 1), (1, 2), (0, 2)] {
        restore(good.path(), work.path());
        let (first, second) = (fs::read(at(a)).unwrap(), fs::read(at(b)).unwrap());
        fs::write(at(a), second).unwrap();
        fs::write(at(b), first).unwrap();
        refused("two are swapped");
    }
    // The same place in another journal.
    let other = scratch();
    let mut rig = Rig::open(other.path(), Options { segment_bytes: 900, ..options() }).unwrap();
    rig.clock.advance(5);
    let http = rig.live("http");
    for i in 0..12 {
        rig.append(http, 1 + i % 4, START + i as i64).unwrap();
    }
    drop(rig.journal.store);
    for name in &names {
        restore(good.path(), work.path());
        let name = name.file_name().unwrap();
        fs::copy(other.path().join(name), work.path().join(name)).unwrap();
        refused("one is of another journal");
    }
    restore(good.path(), work.path());
    fs::write(at(1), b"").unwrap();
    refused("one is empty");
}

#[test]
fn without_its_witness_a_journal_is_not_trusted() {
    let dir = scratch();
    journal(dir.path(), true);
    let witness = dir.path().join("witness");
    let whole = fs::read(&witness).unwrap();
    fs::remove_file(&witness).unwrap();
    let error = Rig::open(dir.path(), options()).err().unwrap();
    assert!(matches!(error, JournalError::Witness { .. }), "{error}");
    fs::write(&witness, vec![0; whole.len()]).unwrap();
    let error = Rig::open(dir.path(), options()).err().unwrap();
    assert!(matches!(error, JournalError::Witness { .. }), "{error}");
    // One torn slot is what a crash leaves: the other one holds.
    for slot in 0..2 {
        let mut torn = whole.clone();
        torn[slot * 4_096 + 100] ^= 0xff;
        fs::write(&witness, &torn).unwrap();
        Rig::open(dir.path(), options()).unwrap();
    }
}

#[test]
fn a_torn_tail_starts_at_every_byte() {
    let dir = scratch();
    let (kill, work) = (scratch(), scratch());
    let disk = PlannedDisk::default();
    let acked = {
        let mut rig = Rig::open_on(dir.path(), options(), Box::new(disk.clone())).unwrap();
        let http = rig.live("http");
        for i in 0..3 {
            rig.append(http, 2, START + i).unwrap();
        }
        let acked = frames(dir.path());
        disk.0.lock().unwrap().copy =
            Some((Step::BeforeWitness, dir.path().to_owned(), kill.path().to_owned()));
        let before = log_of(dir.path()).1.len();
        rig.append(http, 1, START).unwrap();
        (acked, before)
    };
    let (acked, before) = acked;
    let (name, log) = log_of(kill.path());
    assert!(before < log.len());
    let segment = files::list(kill.path()).unwrap()[0].path.clone();
    let mut kept = [0, 0];
    for cut in before..=log.len() {
        fs::remove_dir_all(work.path()).unwrap();
        fs::create_dir(work.path()).unwrap();
        fs::copy(&segment, work.path().join(segment.file_name().unwrap())).unwrap();
        fs::copy(kill.path().join("witness"), work.path().join("witness")).unwrap();
        fs::write(work.path().join(&name), &log[..cut]).unwrap();
        let rig = Rig::open(work.path(), options()).unwrap_or_else(|e| panic!("cut at {cut}: {e}"));
        let found = frames(work.path());
        assert_eq!(found[..3], acked, "cut at {cut}");
        let extra = rig.journal.recovery().unacknowledged_frames;
        assert_eq!(found.len() as u64, 3 + extra);
        kept[extra as usize] += 1;
    }
    assert_eq!(kept[1], 1, "only the whole log holds the last frame");
    // Below the witness the same cut is damage.
    for cut in (0..before).step_by(97) {
        restore(kill.path(), work.path());
        fs::remove_file(work.path().join(name.replace("-wal", "-shm"))).unwrap();
        fs::write(work.path().join(&name), &log[..cut]).unwrap();
        let error = Rig::open(work.path(), options()).err();
        assert!(matches!(error, Some(JournalError::Damaged { .. })), "cut at {cut}: {error:?}");
    }
}

fn log_of(dir: &Path) -> (String, Vec<u8>) {
    let file = files::list(dir).unwrap().pop().unwrap();
    let log = PathBuf::from(format!("{}-wal", file.path.display()));
    (log.file_name().unwrap().to_string_lossy().into_owned(), fs::read(&log).unwrap())
}
