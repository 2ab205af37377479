//! A crash at each step between a frame and its acknowledgement, and disks that fail there.

use std::io::ErrorKind;
use std::sync::{Arc, Mutex};

use super::super::*;
use super::rig::*;

#[test]
fn a_kill_at_any_step_keeps_what_was_acknowledged() {
    // The last three are of checkpoints.
    let steps = Step::ALL.into_iter().take_while(|step| *step != Step::BeforeSnapshotSync);
    for step in steps {
        let (dir, kill) = (scratch(), scratch());
        let disk = PlannedDisk::default();
        let small = Options { segment_bytes: 110_000, ..options() };
        let mut rig = Rig::open_on(dir.path(), small.clone(), Box::new(disk.clone())).unwrap();
        let http = rig.live("http");
        let mut acked = 0;
        let rare = !matches!(
            step,
            Step::BeforeCommit | Step::AfterCommit | Step::BeforeWitness | Step::AfterWitness
        );
        let mut crashes = 0;
        for i in 0..1_200_u64 {
            let watch = rare || i % 97 == 0;
            disk.0.lock().unwrap().copy =
                (watch).then(|| (step, dir.path().to_owned(), kill.path().to_owned()));
            disk.0.lock().unwrap().taken.clear();
            let before = acked;
            acked = rig.append(http, 1 + i % 3, START + i as i64).unwrap().meta.last_seq;
            rig.journal.store.after_append(&small).unwrap();
            if i % 400 == 399 {
                rig.journal.store.drop_before(acked).unwrap();
            }
            let met = disk.0.lock().unwrap().taken.contains(&step);
            if watch && met {
                crashes += 1;
                let mut found = Rig::open(kill.path(), small.clone())
                    .unwrap_or_else(|e| panic!("killed at {step:?} of append {i}: {e}"));
                let tip = found.journal.tip();
                assert!(tip.seq == before || tip.seq == acked, "{step:?}: {tip:?}, acked {before}");
                let id = found.live("http");
                assert_eq!(id, http);
                let next = found.append(id, 1, START).unwrap();
                assert_eq!(next.meta.first_seq, tip.seq + 1);
            }
        }
        assert!(crashes > 0, "{step:?} was never reached");
    }
}

#[test]
fn after_a_failed_sync_nothing_is_acknowledged() {
    for step in [Step::AfterCommit, Step::BeforeWitness, Step::BeforeDirectorySync] {
        let dir = scratch();
        let disk = PlannedDisk::default();
        disk.0.lock().unwrap().fail = Some((step, ErrorKind::Other));
        let journal =
            Journal::open_on(dir.path(), options(), FakeClock::new(), Box::new(disk.clone()))
                .unwrap();
        let told = Arc::new(Mutex::new(Vec::new()));
        let fatal: Fatal = {
            let told = told.clone();
            Arc::new(move |error| told.lock().unwrap().push(error.to_string()))
        };
        let (writer, mut follower) = journal.start(0, fatal).unwrap();
        let http = writer.register_partition(PartitionSpec::live("http", "test"));
        let refused = writer.append(delivery(http, vec![intake(1, START)])).unwrap_err();
        assert_eq!(refused.refusal, Refusal::Failing);
        assert_eq!(refused.delivery.items[0].raw, intake(1, START).raw, "it is given back whole");
        let refused = writer.append(delivery(http, vec![intake(2, START)])).unwrap_err();
        assert_eq!(refused.refusal, Refusal::Failing);
        writer.close();
        assert!(writer.status().failed);
        assert_eq!(told.lock().unwrap().len(), 1, "{step:?}");
        assert!(follower.next(std::time::Duration::ZERO).unwrap().is_none());
        assert!(follower.ended());
        drop(writer);
        // The frame may be there; it was never acknowledged, and is one whole frame or none.
        let found = Rig::open(dir.path(), options()).unwrap().journal.tip().seq;
        assert!(found <= 1);
    }
}
