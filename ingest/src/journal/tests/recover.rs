//! What was written is there again: frames, numbers, partitions, positions, segments.

use highwater_dataflow::FOREVER;

use super::super::*;
use super::rig::*;

#[test]
fn a_reopened_journal_is_the_same_journal() {
    let dir = scratch();
    let (written, tip) = {
        let mut rig = Rig::open(dir.path(), options()).unwrap();
        let (http, file) = (rig.live("http"), rig.live("file"));
        assert_eq!((http, file), (1, 2));
        for i in 0..20 {
            rig.append(if i % 3 == 0 { file } else { http }, 1 + i % 5, START + i as i64).unwrap();
            rig.clock.advance(1);
        }
        rig.commit(vec![end(file)]).unwrap();
        (frames(dir.path()), rig.journal.tip())
    };
    assert_eq!(written.len(), 21);
    // No close: this is what a killed process leaves.
    let mut rig = Rig::open(dir.path(), options()).unwrap();
    assert_eq!(rig.journal.tip(), tip);
    assert_eq!(rig.journal.recovery().unacknowledged_frames, 0);
    assert!(rig.journal.recovery().log_bytes > 0);
    assert_eq!(frames(dir.path()), written);
    let book = rig.journal.book.lock().unwrap();
    assert_eq!(book.ledger.partitions[&2].bound, FOREVER);
    assert_eq!(book.ledger.partitions[&1].position, Some(tip.seq), "the source resumes after it");
    drop(book);
    // Known names keep their numbers in whatever order they come; a new one gets a new number.
    assert_eq!(rig.live("new"), 3);
    assert_eq!(rig.live("file"), 2);
    assert_eq!(rig.live("http"), 1);
    let next = rig.append(1, 1, START).unwrap();
    assert_eq!(next.meta.first_seq, tip.seq + 1);
    assert!(next.meta.epoch > tip.epoch);
}

#[test]
fn epochs_rise_even_when_the_clock_falls() {
    let dir = scratch();
    let mut rig = Rig::open(dir.path(), options()).unwrap();
    let http = rig.live("http");
    let first = rig.append(http, 1, START).unwrap().meta;
    assert_eq!(first.epoch, START as u64 * 1_000);
    rig.clock.advance(-3_600_000);
    let second = rig.append(http, 1, START).unwrap().meta;
    assert_eq!((second.epoch, second.prev_epoch), (first.epoch + 1, first.epoch));
    rig.clock.advance(-4 * START);
    assert_eq!(rig.append(http, 1, START).unwrap().meta.epoch, first.epoch + 2);
}

#[test]
fn segments_follow_each_other_and_go_as_wholes() {
    let dir = scratch();
    let small = Options { segment_bytes: 2_000, ..options() };
    let mut rig = Rig::open(dir.path(), small.clone()).unwrap();
    let http = rig.live("http");
    for i in 0..40 {
        rig.append(http, 5, START + i).unwrap();
    }
    let tip = rig.journal.tip();
    let names = files::list(dir.path()).unwrap();
    assert!(names.len() > 4, "{} segments", names.len());
    let third = names[2].first_seq;
    assert_eq!(rig.journal.store.drop_before(third + 1).unwrap(), 2);
    assert_eq!(rig.journal.store.drop_before(third + 1).unwrap(), 0);
    assert_eq!(files::list(dir.path()).unwrap()[0].first_seq, third);
    drop(rig);

    let mut rig = Rig::open(dir.path(), small.clone()).unwrap();
    assert_eq!(rig.journal.tip(), tip);
    assert_eq!(rig.live("http"), http, "the name outlives the segments that first had it");
    assert_eq!(frames(dir.path())[0].first_seq, third);
    // Everything but the active one may go; the next start still knows how far the journal reached.
    rig.journal.store.drop_before(u64::MAX).unwrap();
    assert_eq!(files::list(dir.path()).unwrap().len(), 1);
    drop(rig);
    let rig = Rig::open(dir.path(), small).unwrap();
    assert_eq!(rig.journal.tip(), tip);
    assert_eq!(verify(dir.path()).unwrap().problem.map(|e| e.to_string()), None);
}

#[test]
fn an_hour_begins_a_segment_but_never_an_unnamed_one() {
    let dir = scratch();
    let mut rig = Rig::open(dir.path(), options()).unwrap();
    let http = rig.live("http");
    rig.append(http, 1, START).unwrap();
    rig.clock.advance(3_600_000);
    rig.append(http, 1, START).unwrap();
    assert_eq!(files::list(dir.path()).unwrap().len(), 2);
    // Frames without records name no new segment, however late it gets.
    rig.clock.advance(3_600_000);
    rig.tick(&[(http, 10_000)]).unwrap();
    assert_eq!(files::list(dir.path()).unwrap().len(), 3);
    for _ in 0..3 {
        rig.clock.advance(3_600_000);
        rig.tick(&[(http, 10_000)]).unwrap();
    }
    assert_eq!(files::list(dir.path()).unwrap().len(), 3);
    drop(rig);
    Rig::open(dir.path(), options()).unwrap();
}

#[test]
fn a_checkpoint_spares_reading_old_segments_but_not_the_links() {
    let dir = scratch();
    let small = Options { segment_bytes: 2_000, ..options() };
    let (tip, middle) = {
        let mut rig = Rig::open(dir.path(), small.clone()).unwrap();
        let http = rig.live("http");
        let epochs: Vec<_> =
            (0..40).map(|i| rig.append(http, 5, START + i).unwrap().meta.epoch).collect();
        (rig.journal.tip(), epochs[25])
    };
    let options = Options { verify: Verify::After(middle), ..small };
    assert_eq!(Rig::open(dir.path(), options.clone()).unwrap().journal.tip(), tip);
    let second = files::list(dir.path()).unwrap()[1].path.clone();
    std::fs::remove_file(second).unwrap();
    let error = Rig::open(dir.path(), options).err().unwrap();
    assert!(matches!(error, JournalError::Damaged { .. }), "{error}");
}

#[test]
fn a_second_process_is_refused() {
    let dir = scratch();
    let rig = Rig::open(dir.path(), options()).unwrap();
    let error = Rig::open(dir.path(), options()).err().unwrap();
    assert!(matches!(error, JournalError::Locked { .. }) && error.retry(), "{error}");
    drop(rig);
    Rig::open(dir.path(), options()).unwrap();
}

#[test]
fn lookups_find_records_dead_letters_and_ids() {
    let dir = scratch();
    let small = Options { segment_bytes: 3_000, ..options() };
    let mut rig = Rig::open(dir.path(), small).unwrap();
    let http = rig.live("http");
    for i in 0..30 {
        rig.clock.advance(i * 7);
        rig.append(http, 4, START + i).unwrap();
        rig.tick(&[(http, 10_000)]);
        rig.commit(vec![deliver(http, vec![garbage(900)])]).unwrap();
    }
    let all: Vec<Record> = frames(dir.path()).into_iter().flat_map(|f| f.records).collect();
    let mut reader = Reader::open(dir.path()).unwrap();
    for record in &all {
        assert_eq!(reader.record(record.seq).unwrap().as_ref(), Some(record));
    }
    assert_eq!(reader.record(0).unwrap(), None);
    assert_eq!(reader.record(all.len() as u64 + 1).unwrap(), None);
    let first: serde_json::Value = serde_json::from_slice(&all[1].raw).unwrap();
    assert_eq!(reader.event_id_of(2).unwrap().as_deref(), first["event_id"].as_str());
    assert_eq!(reader.event_id_of(5).unwrap(), None, "a dead letter without an id");

    let dead = reader.dead_letters(1, 100).unwrap();
    assert_eq!(
        dead.iter().map(|d| d.seq).collect::<Vec<_>>(),
        (1..=30).map(|i| i * 5).collect::<Vec<_>>()
    );
    assert_eq!(
        (dead[0].partition.as_str(), dead[0].position, dead[0].reason.as_str()),
        ("http", 900, "not JSON")
    );
    assert_eq!(
        reader.dead_letters(51, 3).unwrap().iter().map(|d| d.seq).collect::<Vec<_>>(),
        [55, 60, 65]
    );
    assert!(matches!(Reader::open(&dir.path().join("none")), Err(JournalError::Absent { .. })));
}
