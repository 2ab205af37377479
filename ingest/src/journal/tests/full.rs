//! A full disk refuses, loses nothing, and is over when there is room.

use std::io::ErrorKind;

use super::super::*;
use super::rig::*;

#[test]
fn a_full_disk_refuses_and_recovers_by_itself() {
    let dir = scratch();
    let disk = PlannedDisk::default();
    let journal =
        Journal::open_on(dir.path(), options(), FakeClock::new(), Box::new(disk.clone())).unwrap();
    let fatal: Fatal = std::sync::Arc::new(|error| panic!("a full disk is not fatal: {error}"));
    let (writer, mut follower) = journal.start(0, fatal).unwrap();
    let http = writer.register_partition(PartitionSpec::live("http", "test"));
    let batch =
        |n: u64| delivery(http, (0..100).map(|i| intake(n * 100 + i, START + i as i64)).collect());
    let mut accepted = vec![];
    // SQLite counts pages: the database says that it is full just as it does when the file system is.
    disk.0.lock().unwrap().pages = Some(20);
    let mut n = 0;
    let refused = loop {
        match writer.append(batch(n)) {
            Ok(appended) => accepted.push((n, appended.first_seq)),
            Err(refused) => break refused,
        }
        n += 1;
        assert!(n < 1_000, "it never filled up");
    };
    assert!(!accepted.is_empty());
    assert_eq!(refused.refusal, Refusal::Full);
    assert!(refused.refusal.retry_after().is_some());
    assert_eq!(refused.delivery.items.len(), 100);
    assert_eq!(refused.delivery.items[7].raw, intake(n * 100 + 7, START + 7).raw);
    assert!(writer.status().full);
    for _ in 0..5 {
        assert_eq!(writer.append(batch(n)).unwrap_err().refusal, Refusal::Full);
    }
    disk.0.lock().unwrap().pages = Some(100_000);
    // The same delivery that was given back.
    let appended = writer.append(refused.delivery).unwrap();
    let (_, last) = accepted.last().unwrap();
    assert_eq!(appended.first_seq, last + 100, "refused deliveries leave no gap in the numbers");
    assert!(!writer.status().full);
    writer.close();
    let mut seqs = vec![];
    while let Some(committed) = follower.next(std::time::Duration::ZERO).unwrap() {
        seqs.extend(committed.envelopes.iter().map(|envelope| envelope.seq));
    }
    assert_eq!(seqs, (1..=last + 199).collect::<Vec<_>>());
    drop((writer, follower));
    assert_eq!(verify(dir.path()).unwrap().problem.map(|e| e.to_string()), None);
}

#[test]
fn no_room_for_the_next_segment_is_a_full_disk_too() {
    let dir = scratch();
    let disk = PlannedDisk::default();
    let small = Options { segment_bytes: 500, ..options() };
    let mut rig = Rig::open_on(dir.path(), small, Box::new(disk.clone())).unwrap();
    let http = rig.live("http");
    rig.append(http, 10, START).unwrap();
    disk.0.lock().unwrap().fail = Some((Step::BeforeRotate, ErrorKind::StorageFull));
    let error = rig.append(http, 1, START).unwrap_err();
    assert!(matches!(error, JournalError::Full) && error.retry());
    disk.0.lock().unwrap().fail = None;
    assert_eq!(rig.append(http, 1, START).unwrap().meta.first_seq, 11);
    assert_eq!(files::list(dir.path()).unwrap().len(), 2);
}
