//! Every bit of a checkpoint is checked, two are kept, and no failure costs an older one.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use highwater_dataflow::Part;

use super::*;

fn kept(epoch: Epoch) -> Kept {
    let part = |name: &str, bytes: &[u8]| Part { name: name.to_owned(), bytes: bytes.to_vec() };
    let workers = vec![
        vec![part("Watermark", b"one"), part("Admit", &[7; 300])],
        vec![part("Watermark", b""), part("Admit", &epoch.to_le_bytes())],
    ];
    Kept { epoch, workers }
}

fn about(epoch: Epoch) -> About {
    About {
        definition: fingerprint([b"program".as_slice(), b"settings".as_slice()]),
        epoch,
        seq: epoch * 10,
        hash: [3; 32],
        changelog: (epoch > 1).then_some(epoch - 1),
    }
}

#[test]
fn what_was_written_is_read_and_two_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let checkpoints = Checkpoints::open(dir.path()).unwrap();
    assert_eq!(checkpoints.list().unwrap(), []);
    for epoch in [1, 2, 30] {
        checkpoints.write(&about(epoch), &kept(epoch)).unwrap();
    }
    let found = checkpoints.list().unwrap();
    assert_eq!(found.iter().map(|found| found.epoch).collect::<Vec<_>>(), [30, 2]);
    for found in found {
        let read = found.read().unwrap();
        assert_eq!(read, Checkpoint { about: about(found.epoch), kept: kept(found.epoch) });
        assert_eq!(found.about().unwrap(), about(found.epoch));
    }
}

#[test]
fn a_flipped_bit_anywhere_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let checkpoints = Checkpoints::open(dir.path()).unwrap();
    checkpoints.write(&about(5), &kept(5)).unwrap();
    let found = checkpoints.list().unwrap().remove(0);
    let whole = fs::read(&found.path).unwrap();
    for bit in 0..whole.len() * 8 {
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        fs::write(&found.path, &bytes).unwrap();
        assert!(found.read().is_err(), "bit {bit} of {}", whole.len() * 8);
    }
}

#[test]
fn a_file_cut_off_anywhere_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let checkpoints = Checkpoints::open(dir.path()).unwrap();
    checkpoints.write(&about(5), &kept(5)).unwrap();
    let found = checkpoints.list().unwrap().remove(0);
    let whole = fs::read(&found.path).unwrap();
    for length in 0..whole.len() {
        fs::write(&found.path, &whole[..length]).unwrap();
        let error = found.read().unwrap_err();
        assert!(matches!(error, CheckpointError::Damaged { .. }), "{length} bytes: {error}");
    }
    let longer = [whole.as_slice(), b"x"].concat();
    fs::write(&found.path, longer).unwrap();
    assert!(matches!(found.read(), Err(CheckpointError::Damaged { .. })));
}

/// Format 1 is on customers' disks: when this fails, the format has changed and needs a new number.
#[test]
fn a_checkpoint_of_format_1_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let checkpoints = Checkpoints::open(dir.path()).unwrap();
    checkpoints.write(&about(5), &kept(5)).unwrap();
    let path = checkpoints.list().unwrap().remove(0).path;
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/checkpoint/golden_1.txt");
    let hex = |bytes: &[u8]| {
        let lines = bytes.chunks(50);
        lines.fold(String::new(), |text, line| {
            line.iter().fold(text, |text, byte| format!("{text}{byte:02x}")) + "\n"
        })
    };
    let written = hex(&fs::read(&path).unwrap());
    if std::env::var_os("HIGHWATER_BLESS").is_some() {
        fs::write(&golden, &written).unwrap();
    }
    let text = fs::read_to_string(golden).unwrap();
    assert_eq!(written, text, "this version writes what it wrote");
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    fs::write(&path, digits.chunks(2).map(byte).collect::<Vec<u8>>()).unwrap();
    let found = checkpoints.list().unwrap().remove(0);
    assert_eq!(found.read().unwrap(), Checkpoint { about: about(5), kept: kept(5) });
}

#[test]
fn a_later_format_is_refused_by_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let checkpoints = Checkpoints::open(dir.path()).unwrap();
    checkpoints.write(&about(5), &kept(5)).unwrap();
    let found = checkpoints.list().unwrap().remove(0);
    let mut bytes = fs::read(&found.path).unwrap();
    bytes[8..12].copy_from_slice(&(file::FORMAT + 1).to_le_bytes());
    fs::write(&found.path, bytes).unwrap();
    let error = found.read().unwrap_err();
    assert!(matches!(error, CheckpointError::Newer { found: 2, known: 1, .. }), "{error}");
    assert!(error.to_string().contains("run the version that wrote it"), "{error}");
}

/// Fails at one step, as a full disk does.
struct FailsAt(Step);

impl Disk for FailsAt {
    fn reach(&mut self, step: Step) -> io::Result<()> {
        if step == self.0 { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}

#[test]
fn a_failure_at_any_step_leaves_the_older_one() {
    for step in [Step::BeforeSnapshotSync, Step::BeforeSnapshotName, Step::AfterSnapshotName] {
        let dir = tempfile::tempdir().unwrap();
        Checkpoints::open(dir.path()).unwrap().write(&about(5), &kept(5)).unwrap();
        let failing = Checkpoints::open_on(dir.path(), Box::new(FailsAt(step))).unwrap();
        failing.write(&about(6), &kept(6)).unwrap_err();
        let again = Checkpoints::open(dir.path()).unwrap();
        let found = again.list().unwrap();
        assert_eq!(found.last().unwrap().read().unwrap().kept, kept(5), "{step:?}");
        // One that has got its name is whole.
        assert!(found.iter().all(|found| found.read().is_ok()), "{step:?}");
        assert!(names(dir.path()).unwrap().iter().all(|name| !name.ends_with(DRAFT)));
    }
}
