//! Journals as formats 1 and 2 lie on customers' disks, committed: this version reads them, goes on from them, and says
//! of a later one what to do.
//!
//! ```text
//! HIGHWATER_BLESS=1 cargo test -p highwater-ingest golden      only for a format that is not yet on anybody's disk
//! ```

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

use super::super::segment::FORMAT;
use super::super::*;
use super::rig::*;

/// One line per file: its name, and its bytes compressed, in base64.
fn golden(format: i64) -> PathBuf {
    let name = format!("src/journal/tests/golden_{format}.txt");
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// Three segments; records good and bad, as they happened and of a recording; every kind of statement about event time.
fn write(dir: &Path) {
    let mut rig = Rig::open(dir, Options { segment_bytes: 300, ..options() }).unwrap();
    let (http, file) = (rig.live("http"), rig.register(PartitionSpec::recorded("calls", "file")));
    for i in 0..5 {
        rig.append(if i % 2 == 0 { http } else { file }, 2, START + i * 1_000).unwrap();
        rig.clock.advance(250);
    }
    rig.commit(vec![deliver(http, vec![garbage(90)])]).unwrap();
    rig.clock.advance(60_000);
    rig.tick(&[(http, 60_000)]);
    rig.commit(vec![end(file)]).unwrap();
    rig.journal.store.close().unwrap();
}

fn bless() {
    let dir = scratch();
    write(dir.path());
    let mut lines: Vec<String> = Vec::new();
    for entry in fs::read_dir(dir.path()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name == "witness" || name.ends_with(".sqlite") {
            let mut zipped = GzEncoder::new(Vec::new(), Compression::best());
            zipped.write_all(&fs::read(&path).unwrap()).unwrap();
            lines.push(format!("{name} {}\n", BASE64.encode(zipped.finish().unwrap())));
        }
    }
    lines.sort();
    fs::write(golden(FORMAT), lines.concat()).unwrap();
}

fn unpack(format: i64, dir: &Path) {
    for line in fs::read_to_string(golden(format)).unwrap().lines() {
        let (name, zipped) = line.split_once(' ').unwrap();
        let mut bytes = Vec::new();
        let zipped = BASE64.decode(zipped).unwrap();
        GzDecoder::new(zipped.as_slice()).read_to_end(&mut bytes).unwrap();
        fs::write(dir.join(name), bytes).unwrap();
    }
}

#[test]
fn journals_of_both_formats_are_read_and_continued() {
    if std::env::var_os("HIGHWATER_BLESS").is_some() {
        bless();
    }
    let fresh = scratch();
    write(fresh.path());
    // The last segment has no recording: nothing in it is of format 2.
    for (format, segments) in [(1, [1, 1, 1]), (FORMAT, [2, 2, 1])] {
        let dir = scratch();
        unpack(format, dir.path());
        assert_eq!(formats(dir.path()), segments);
        assert_eq!(verify(dir.path()).unwrap().problem.map(|error| error.to_string()), None);
        let mut said = frames(fresh.path());
        if format == 1 {
            // It had no word for that.
            said.iter_mut().flat_map(|it| &mut it.records).for_each(|it| it.recorded = false);
        }
        assert_eq!(frames(dir.path()), said, "it says what it said when it was written");
        let mut rig = Rig::open(dir.path(), options()).unwrap();
        let seq = rig.journal.tip().seq;
        assert_eq!(seq, 11);
        let http = rig.live("http");
        assert_eq!(rig.append(http, 1, START).unwrap().meta.first_seq, seq + 1);
        assert_eq!(formats(dir.path()), segments, "nor is that");
        let tape = rig.register(PartitionSpec::recorded("tape", "file"));
        rig.append(tape, 1, START).unwrap();
        drop(rig);
        assert_eq!(formats(dir.path()).last(), Some(&2), "no version before may take it for live");
        assert_eq!(verify(dir.path()).unwrap().intact.seq, seq + 2);
        let recorded = frames(dir.path()).pop().unwrap().records[0].recorded;
        assert!(recorded);
    }
}

/// What each segment says of itself.
fn formats(dir: &Path) -> Vec<i64> {
    let of = |file: files::SegmentFile| {
        let conn = rusqlite::Connection::open(file.path).unwrap();
        conn.query_row("SELECT format FROM meta", [], |row| row.get(0)).unwrap()
    };
    files::list(dir).unwrap().into_iter().map(of).collect()
}

#[test]
fn a_journal_of_a_later_format_is_refused_and_left_alone() {
    let dir = scratch();
    unpack(FORMAT, dir.path());
    let newest = files::list(dir.path()).unwrap().pop().unwrap();
    let conn = rusqlite::Connection::open(&newest.path).unwrap();
    conn.execute("UPDATE meta SET format = 3", []).unwrap();
    drop(conn);
    let before = fs::read(&newest.path).unwrap();
    let error = Rig::open(dir.path(), options()).err().unwrap();
    assert!(error.to_string().contains("has format 3, this version reads up to 2"), "{error}");
    assert!(error.to_string().contains("run the version that wrote it"), "{error}");
    assert_eq!(fs::read(&newest.path).unwrap(), before);
}
