//! Retention: segments go when they are old and two checkpoints and two bases can do without them, and a replay from
//! what is left knows what they said.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::sync::Mutex;
use std::time::{Duration, Instant};

use highwater_ingest::intake::{Delivery, Intake};
use highwater_ingest::journal::{Journal, Options, PartitionSpec};
use highwater_model::{
    AgentState, AgentStateChange, Channel, ContactArrival, Envelope, Event, EventKey, encode,
};

use super::*;

struct Hand(Mutex<(EventTime, Instant)>);

impl Clock for Hand {
    fn now_ms(&self) -> EventTime {
        self.0.lock().unwrap().0
    }

    fn instant(&self) -> Instant {
        self.0.lock().unwrap().1
    }
}

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;
const START: i64 = 1_750_000_000_000;

/// A journal whose clock is moved by hand, an hour to a segment.
struct Rig {
    dir: tempfile::TempDir,
    clock: Arc<Hand>,
    writer: JournalWriter,
    partition: u32,
    checkpoints: Checkpoints,
}

impl Rig {
    #[expect(clippy::disallowed_methods, reason = "an origin, from which only steps count")]
    fn new() -> Rig {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(Hand(Mutex::new((START, Instant::now()))));
        let options = Options { tick_every: Duration::from_hours(1_000), ..Options::default() };
        let journal = Journal::open(&dir.path().join("journal"), options, clock.clone()).unwrap();
        let (writer, _) = journal.start(0, JournalWriter::abort_on_fatal()).unwrap();
        let partition = writer.register_partition(PartitionSpec::live("test", "test"));
        let checkpoints = Checkpoints::open(&dir.path().join("checkpoints")).unwrap();
        Rig { dir, clock, writer, partition, checkpoints }
    }

    fn now(&self) -> i64 {
        self.clock.now_ms()
    }

    fn pass(&self, ms: i64) {
        self.clock.0.lock().unwrap().0 += ms;
    }

    fn append(&self, id: &str, event: Event) -> Epoch {
        let at = self.now();
        let raw =
            encode(&Envelope { seq: 0, key: EventKey::default(), at, event }, id).into_bytes();
        let items = vec![Intake::native(raw, 0)];
        let (received, received_at) = (self.clock.instant(), at);
        let delivery = Delivery {
            partition: self.partition,
            items,
            received: Some(received),
            received_at,
            history: false,
        };
        self.writer.append(delivery).unwrap().epoch
    }

    fn arrival(&self, n: i64) -> Epoch {
        let event = Event::ContactArrival(ContactArrival {
            contact: format!("c{n}").as_str().into(),
            queue: "sales".into(),
            channel: Channel::Voice,
            estimated_handle_s: None,
        });
        self.append(&format!("arrival-{n}"), event)
    }

    fn checkpoint(&self, epoch: Epoch) {
        let tip = journal::tip_until(&self.dir.path().join("journal"), epoch).unwrap().unwrap();
        let Tip { epoch, seq, hash } = tip;
        let about = About { definition: "x".into(), epoch, seq, hash, changelog: None };
        self.checkpoints.write(&about, &Kept { epoch, workers: Vec::new() }).unwrap();
    }

    fn retention(&self) -> Retention {
        Retention {
            journal_dir: self.dir.path().join("journal"),
            base_dir: self.dir.path().join("base"),
            retain_ms: 7 * DAY,
            settings: Settings::default(),
            journal: self.writer.clone(),
            clock: self.clock.clone(),
            disk: crate::engine::real_disk,
        }
    }

    fn beginning(&self) -> Result<Beginning> {
        Beginning::of(&self.dir.path().join("journal"), &self.dir.path().join("base"))
    }

    fn segments(&self) -> usize {
        journal::segments(&self.dir.path().join("journal")).unwrap().len()
    }
}

#[test]
fn old_segments_go_and_what_they_said_stays() {
    let rig = Rig::new();
    let state = AgentStateChange {
        agent: "anna".into(),
        previous: AgentState::Unknown,
        new: AgentState::Break,
        reason: None,
        queue: None,
        contact: None,
        source: None,
    };
    rig.append("state", Event::AgentStateChange(state));
    let mut dropped = 0;
    for day in 0..20 {
        rig.pass(DAY);
        let epoch = rig.arrival(day);
        rig.checkpoint(epoch);
        dropped += rig.retention().look(&rig.checkpoints).unwrap();
        let oldest = journal::segments(&rig.dir.path().join("journal")).unwrap();
        // A day is a segment here; what was begun within seven days is there, and hardly more.
        assert!(oldest.len() <= 11, "day {day}: {} segments", oldest.len());
    }
    assert!(dropped >= 10 && rig.segments() >= 8, "{dropped} went, {} stay", rig.segments());

    let beginning = rig.beginning().unwrap();
    let base = beginning.base.as_ref().unwrap();
    let (events, signals) = base.input();
    assert!(!signals.is_empty());
    let agents = events.iter().filter(|entry| {
        matches!(entry, Entry::Kept(Envelope { event: Event::AgentStateChange(_), .. }))
    });
    assert_eq!(agents.count(), 1, "the agent's last state is from 20 days ago, and stays");
    let vouched = beginning.vouched_from().unwrap();
    assert!(vouched > START && vouched < rig.now() - 7 * DAY, "{vouched}");

    // The journal goes on from the base, and from the older one when the newest is damaged.
    for _ in 0..2 {
        let beginning = rig.beginning().unwrap();
        let mut scan = Scan::open(&rig.dir.path().join("journal"), beginning.after).unwrap();
        let mut records = 0;
        while let Some(frame) = scan.next_frame().unwrap() {
            records += frame.envelopes.len();
        }
        assert!(records >= 7, "{records}");
        let found = checkpoint::list(&rig.dir.path().join("base")).unwrap();
        let mut bytes = std::fs::read(&found[0].path).unwrap();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        std::fs::write(&found[0].path, bytes).unwrap();
    }
    for found in checkpoint::list(&rig.dir.path().join("base")).unwrap() {
        std::fs::write(found.path, b"gone").unwrap();
    }
    let refused = rig.beginning().map(|_| ()).unwrap_err().to_string();
    assert!(refused.contains("restore that directory"), "{refused}");
}

#[test]
fn nothing_goes_that_a_checkpoint_needs() {
    let rig = Rig::new();
    let first = rig.arrival(0);
    for day in 1..20 {
        rig.pass(DAY);
        let epoch = rig.arrival(day);
        if day == 1 {
            rig.checkpoint(first);
            rig.checkpoint(epoch);
        }
    }
    let before = rig.segments();
    assert_eq!(rig.retention().look(&rig.checkpoints).unwrap(), 0);
    assert_eq!(rig.segments(), before);
    assert!(rig.beginning().unwrap().base.is_none(), "the journal has its beginning");
}
