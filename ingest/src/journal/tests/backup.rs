//! A backup is the same journal: same frames, same hashes, whoever writes meanwhile.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::super::*;
use super::rig::*;

#[test]
fn a_backup_beside_a_writer_that_rotates_and_drops_is_whole() {
    let (dir, out) = (scratch(), scratch());
    let small = Options { segment_bytes: 2_000, log_bytes: 30_000, ..options() };
    let mut rig = Rig::open(dir.path(), small.clone()).unwrap();
    let http = rig.live("http");
    for i in 0..40 {
        rig.append(http, 5, START + i).unwrap();
    }
    let ended = AtomicBool::new(false);
    let copies = thread::scope(|scope| {
        let taken = scope.spawn(|| {
            let mut copies = Vec::new();
            while !ended.load(Ordering::SeqCst) || copies.is_empty() {
                let to = out.path().join(format!("{}", copies.len()));
                let before = stat(dir.path()).unwrap().witness;
                let tip = backup(dir.path(), &to).unwrap();
                assert!(tip.seq >= before.seq, "{tip:?} of {before:?}");
                copies.push((to, tip));
            }
            copies
        });
        for i in 0..400 {
            let seq = rig.append(http, 5, START + i).unwrap().meta.last_seq;
            rig.journal.store.after_append(&small).unwrap();
            if i % 50 == 49 {
                rig.journal.store.drop_before(seq - 200).unwrap();
            }
        }
        ended.store(true, Ordering::SeqCst);
        taken.join().unwrap()
    });
    let last = rig.journal.tip();
    drop(rig);
    for (to, tip) in copies {
        let mut copy = Rig::open(&to, small.clone()).unwrap();
        let found = copy.journal.tip();
        assert!((tip.seq..=last.seq).contains(&found.seq), "{found:?}");
        assert_eq!(tip_until(&to, tip.epoch).unwrap(), Some(tip), "the chain is the same one");
        let http = copy.live("http");
        assert_eq!(copy.append(http, 1, START).unwrap().meta.first_seq, found.seq + 1);
    }
}

#[test]
fn a_backup_overwrites_nothing_and_copies_no_damage() {
    let (dir, out) = (scratch(), scratch());
    let to = out.path().join("copy");
    assert!(matches!(backup(dir.path(), &to), Err(JournalError::Absent { .. })));
    let mut rig = Rig::open(dir.path(), options()).unwrap();
    let http = rig.live("http");
    let seq = rig.append(http, 3, START).unwrap().meta.last_seq;
    assert_eq!(backup(dir.path(), &to).unwrap().seq, seq);
    assert_eq!(frames(&to), frames(dir.path()));
    assert!(matches!(backup(dir.path(), &to), Err(JournalError::Occupied { .. })));
    rig.journal.store.close().unwrap();
    let path = files::list(dir.path()).unwrap().remove(0).path;
    let mut bytes = std::fs::read(&path).unwrap();
    let payload = stored(dir.path()).remove(0).payload;
    let at = bytes.windows(payload.len()).position(|it| it == payload).unwrap();
    bytes[at + 20] ^= 4;
    std::fs::write(&path, bytes).unwrap();
    let error = backup(dir.path(), &out.path().join("damaged")).unwrap_err();
    assert!(matches!(error, JournalError::Damaged { .. }), "{error}");
}
