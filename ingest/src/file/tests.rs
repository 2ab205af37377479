//! Files are read to the end, once, from anywhere, whatever is in them.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use highwater_dataflow::EventTime;

use super::tail::LINE_MAX;
use super::*;

/// 2026-03-02T08:00:00Z.
const EIGHT: EventTime = 1_772_438_400_000;

fn event(second: i64) -> String {
    format!(
        r#"{{"event_type":"ContactAbandoned","event_id":"e{second}","timestamp":"2026-03-02T08:{:02}:{:02}.000Z","contact_id":"c{second}","queue_id":"q","wait_ms":1,"stage":"queue"}}"#,
        second / 60,
        second % 60
    )
}

fn lines(count: i64) -> String {
    (0..count).map(|second| event(second) + "\n").collect()
}

fn config(paths: &[&Path]) -> Config {
    let paths = paths.iter().map(|path| path.to_path_buf()).collect();
    Config { paths, speed: None, follow: false }
}

/// Polls at `now` until there is no more at once.
fn drain(files: &mut Files, now: EventTime) -> (Vec<(usize, Intake)>, Polled) {
    let (mut all, mut out) = (Vec::new(), Vec::new());
    loop {
        let polled = files.poll(now, &mut out).unwrap();
        assert!(out.len() <= POLL_MAX);
        all.extend(out.drain(..).map(|intake| (polled.partition, intake)));
        if polled.next != Next::Ready {
            return (all, polled);
        }
    }
}

fn raws(intakes: &[(usize, Intake)]) -> Vec<&str> {
    intakes.iter().map(|(_, intake)| std::str::from_utf8(&intake.raw).unwrap()).collect()
}

#[test]
fn every_line_is_handed_over_once_from_any_position() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("day.jsonl");
    let text = format!("\u{feff}{}\r\n\r\n  \n{}\nnonsense\n{}", event(1), event(2), event(3));
    fs::write(&path, &text).unwrap();
    let packed = folder.path().join("day.jsonl.gz");
    let mut encoder = GzEncoder::new(fs::File::create(&packed).unwrap(), Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap();

    for path in [&path, &packed] {
        let mut files = Files::open(config(&[path]), &[]).unwrap();
        let (all, last) = drain(&mut files, 0);
        assert_eq!(last.next, Next::Done);
        assert_eq!(raws(&all), [&event(1), &event(2), "nonsense", &event(3)]);
        assert_eq!(all.iter().filter(|(_, intake)| intake.decoded.is_err()).count(), 1);
        assert_eq!(files.position(0), text.len() as u64);
        for (index, (_, intake)) in all.iter().enumerate() {
            let mut resumed = Files::open(config(&[path]), &[Some(intake.position)]).unwrap();
            let (rest, _) = drain(&mut resumed, 0);
            assert_eq!(raws(&rest), raws(&all)[index + 1..]);
        }
        for elsewhere in [5, text.len() as u64 + 1] {
            let error = Files::open(config(&[path]), &[Some(elsewhere)]).err().unwrap();
            assert!(error.to_string().contains("another file"), "{error}");
        }
    }
}

#[test]
fn a_replay_at_full_speed_has_the_clock_of_its_events() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("day.jsonl");
    fs::write(&path, format!("{}\n{}\n", event(30), event(10))).unwrap();
    let mut files = Files::open(config(&[&path]), &[]).unwrap();
    let polled = files.poll(7, &mut Vec::new()).unwrap();
    assert_eq!(polled.received_at, EIGHT + 30_000, "the greatest so far, not the last");
}

#[test]
fn a_poll_is_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("day.jsonl");
    let count = POLL_MAX as i64 / 2 + 1;
    fs::write(&path, lines(count).repeat(2)).unwrap();
    let mut files = Files::open(config(&[&path]), &[]).unwrap();
    let mut out = Vec::new();
    assert_eq!(files.poll(0, &mut out).unwrap().next, Next::Ready);
    assert_eq!(out.len(), POLL_MAX);
    let (rest, _) = drain(&mut files, 0);
    assert_eq!(rest.len(), 2);
}

#[test]
fn a_line_without_end_is_a_dead_letter_of_bounded_size() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("day.jsonl");
    let text = format!("{}\n{}\n{}\n", event(1), "x".repeat(3 * LINE_MAX), event(2));
    fs::write(&path, &text).unwrap();
    let (all, _) = drain(&mut Files::open(config(&[&path]), &[]).unwrap(), 0);
    assert_eq!(all.len(), 3);
    assert_eq!(all[1].1.raw.len(), LINE_MAX);
    assert!(all[1].1.decoded.as_ref().unwrap_err().contains("longer than"));
    assert_eq!(all[1].1.position, (text.len() - event(2).len() - 1) as u64);
    assert!(all[2].1.decoded.is_ok());
}

#[test]
fn a_paced_replay_keeps_the_distances_of_event_time() {
    let folder = tempfile::tempdir().unwrap();
    let [first, second] = ["a.jsonl", "b.jsonl"].map(|name| folder.path().join(name));
    // The second event of the first file is late: it goes out at once after the one before it.
    let text = [event(10), event(4), event(30)].join("\n");
    fs::write(&first, text).unwrap();
    fs::write(&second, format!("nonsense\n{}\n", event(20))).unwrap();
    let config = Config { speed: Some(10.0), ..config(&[&first, &second]) };
    let mut files = Files::open(config, &[]).unwrap();

    let mut now = 5_000;
    let mut timeline = Vec::new();
    loop {
        let (due, polled) = drain(&mut files, now);
        if !due.is_empty() {
            timeline.push((now - 5_000, due.iter().map(|(partition, _)| *partition).collect()));
        }
        match polled.next {
            Next::At(at) => now = at,
            Next::Done => break,
            Next::Ready => unreachable!(),
        }
        assert!(EIGHT <= polled.received_at && polled.received_at <= EIGHT + 30_000);
    }
    let expected: Vec<(i64, Vec<usize>)> =
        vec![(0, vec![0, 0, 1]), (1_000, vec![1]), (2_000, vec![0])];
    assert_eq!(timeline, expected);
}

#[test]
fn a_growing_file_is_followed_by_whole_lines() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("day.jsonl");
    fs::write(&path, event(1) + "\n").unwrap();
    let append = |text: &str| {
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    };
    let config = Config { follow: true, ..config(&[&path]) };
    let mut files = Files::open(config.clone(), &[]).unwrap();
    let (all, polled) = drain(&mut files, 100);
    assert_eq!((all.len(), polled.next), (1, Next::At(100 + FOLLOW_EVERY)));

    let line = event(2);
    append(&line[..40]);
    assert_eq!(drain(&mut files, 300).0.len(), 0, "half a line is not handed over");
    let position = files.position(0);
    append(&line[40..]);
    append("\n");
    let (all, _) = drain(&mut files, 500);
    assert_eq!(raws(&all), [&line]);
    let mut resumed = Files::open(config, &[Some(position)]).unwrap();
    assert_eq!(raws(&drain(&mut resumed, 0).0), [&line]);

    fs::write(&path, "").unwrap();
    let error = files.poll(700, &mut Vec::new()).unwrap_err();
    assert!(error.to_string().contains("only while they grow") && !error.retry(), "{error}");
    assert_eq!(files.poll(900, &mut Vec::new()).unwrap().next, Next::Done);
}

#[test]
fn a_torn_archive_gives_what_it_holds_then_fails() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("day.jsonl.gz");
    let mut encoder = GzEncoder::new(Vec::new(), Compression::none());
    encoder.write_all(lines(50).as_bytes()).unwrap();
    let packed = encoder.finish().unwrap();
    fs::write(&path, &packed[..packed.len() / 2]).unwrap();
    let other = folder.path().join("other.jsonl");
    fs::write(&other, lines(3)).unwrap();

    let mut files = Files::open(config(&[&path, &other]), &[]).unwrap();
    let (mut counts, mut failures) = ([0, 0], 0);
    let mut out = Vec::new();
    loop {
        match files.poll(0, &mut out) {
            Ok(Polled { next: Next::Done, .. }) => break,
            Ok(polled) => counts[polled.partition] += out.drain(..).count(),
            Err(error) => {
                assert!(!error.retry(), "{error}");
                failures += 1;
            }
        }
    }
    assert!((20..30).contains(&counts[0]), "{counts:?}");
    assert_eq!((counts[1], failures), (3, 1), "the other file is read on, the failure told once");
}

#[test]
fn what_cannot_work_is_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("day.jsonl");
    fs::write(&path, "").unwrap();
    let packed = folder.path().join("day.gz");
    let refused = |config: Config| Files::open(config, &[]).err().unwrap().to_string();
    assert!(refused(config(&[])).contains("at least one file"));
    assert!(refused(config(&[&path, &path])).contains("twice"));
    assert!(refused(Config { speed: Some(0.0), ..config(&[&path]) }).contains("speed"));
    assert!(refused(Config { follow: true, ..config(&[&packed]) }).contains("cannot be followed"));
    assert!(refused(config(&[&packed])).contains("cannot open"));
    let mut empty = Files::open(config(&[&path]), &[]).unwrap();
    assert_eq!(empty.poll(0, &mut Vec::new()).unwrap().next, Next::Done);
}
