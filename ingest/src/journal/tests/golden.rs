//! A journal as format 1 lies on customers' disks, committed: this version reads it, goes on from it, and says of a
//! later one what to do.
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

use super::super::*;
use super::rig::*;

/// One line per file: its name, and its bytes compressed, in base64.
fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/journal/tests/golden_1.txt")
}

/// Two segments; records good and bad; every kind of statement about event time.
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
    fs::write(golden(), lines.concat()).unwrap();
}

fn unpack(dir: &Path) {
    for line in fs::read_to_string(golden()).unwrap().lines() {
        let (name, zipped) = line.split_once(' ').unwrap();
        let mut bytes = Vec::new();
        let zipped = BASE64.decode(zipped).unwrap();
        GzDecoder::new(zipped.as_slice()).read_to_end(&mut bytes).unwrap();
        fs::write(dir.join(name), bytes).unwrap();
    }
}

#[test]
fn a_journal_of_format_1_is_read_and_continued() {
    if std::env::var_os("HIGHWATER_BLESS").is_some() {
        bless();
    }
    let (dir, fresh) = (scratch(), scratch());
    unpack(dir.path());
    assert_eq!(verify(dir.path()).unwrap().problem.map(|error| error.to_string()), None);
    write(fresh.path());
    assert_eq!(
        frames(dir.path()),
        frames(fresh.path()),
        "it says what it said when it was written"
    );
    let mut rig = Rig::open(dir.path(), options()).unwrap();
    let seq = rig.journal.tip().seq;
    assert_eq!(seq, 11);
    let http = rig.live("http");
    assert_eq!(rig.append(http, 1, START).unwrap().meta.first_seq, seq + 1);
    drop(rig);
    assert_eq!(verify(dir.path()).unwrap().intact.seq, seq + 1);
}

#[test]
fn a_journal_of_a_later_format_is_refused_and_left_alone() {
    let dir = scratch();
    unpack(dir.path());
    let newest = files::list(dir.path()).unwrap().pop().unwrap();
    let conn = rusqlite::Connection::open(&newest.path).unwrap();
    conn.execute("UPDATE meta SET format = 2", []).unwrap();
    drop(conn);
    let before = fs::read(&newest.path).unwrap();
    let error = Rig::open(dir.path(), options()).err().unwrap();
    assert!(error.to_string().contains("has format 2, this version reads up to 1"), "{error}");
    assert!(error.to_string().contains("run the version that wrote it"), "{error}");
    assert_eq!(fs::read(&newest.path).unwrap(), before);
}
