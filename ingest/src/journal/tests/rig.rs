//! What the tests are built from: a clock that is set, events with known times, a disk that can be made to fail.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use highwater_dataflow::{Clock, PartitionId};
use highwater_model::{Channel, ContactArrival, Envelope, Event, EventKey};
use tempfile::TempDir;

use super::super::assemble::Input;
use super::super::core::Durable;
use super::super::files;
use super::super::queue::Queued;
use super::super::segment::{Segment, StoredFrame};
use super::super::*;
use crate::intake::{Codec, Delivery, Intake, Unknown};

/// 2026-01-01T00:00:00Z.
pub(super) const START: i64 = 1_767_225_600_000;

pub(super) struct FakeClock {
    ms: AtomicI64,
    base: Instant,
}

impl FakeClock {
    pub(super) fn new() -> Arc<FakeClock> {
        Arc::new(FakeClock { ms: AtomicI64::new(START), base: moment() })
    }

    pub(super) fn advance(&self, ms: i64) {
        self.ms.fetch_add(ms, Ordering::SeqCst);
    }
}

/// Some instant to count from.
#[allow(clippy::disallowed_methods, reason = "instants cannot be made up")]
pub(super) fn moment() -> Instant {
    Instant::now()
}

impl Clock for FakeClock {
    fn now_ms(&self) -> i64 {
        self.ms.load(Ordering::SeqCst)
    }
    fn instant(&self) -> Instant {
        let ms = self.now_ms() - START;
        self.base + Duration::from_millis(u64::try_from(ms).unwrap_or(0))
    }
}

/// A directory in memory where there is one: these tests sync thousands of times.
pub(super) fn scratch() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

pub(super) fn options() -> Options {
    Options { decode, ..Options::default() }
}

/// The tests' own events: `{"event_id": text, "at": ms}`.
pub(super) fn decode(_codec: Codec, raw: &[u8]) -> Result<Envelope, String> {
    let value: serde_json::Value =
        serde_json::from_slice(raw).map_err(|_| "not JSON".to_string())?;
    let at = value["at"].as_i64().ok_or("no time")?;
    let id = value["event_id"].as_str().ok_or("no id")?;
    let arrival = ContactArrival {
        contact: highwater_model::ContactId::from(id),
        queue: "sales".into(),
        channel: Channel::default(),
        estimated_handle_s: None,
    };
    Ok(Envelope { seq: 0, key: EventKey(7), at, event: Event::ContactArrival(arrival) })
}

pub(super) fn intake(position: u64, at: i64) -> Intake {
    let raw = format!("{{\"event_id\":\"e{position}\",\"at\":{at}}}").into_bytes();
    let decoded = decode(Codec::Native, &raw);
    Intake { raw, codec: Codec::Native, position, decoded, unknown: Unknown::default() }
}

pub(super) fn garbage(position: u64) -> Intake {
    let raw = b"\xff not an event".to_vec();
    Intake::rejected(raw, position, "not JSON".into())
}

pub(super) fn delivery(partition: PartitionId, items: Vec<Intake>) -> Delivery {
    let received = Some(moment());
    Delivery { partition, items, received, received_at: START, history: false }
}

/// An open journal without its thread.
pub(super) struct Rig {
    pub journal: Journal,
    pub clock: Arc<FakeClock>,
    next: u64,
}

impl Rig {
    pub(super) fn open(dir: &Path, options: Options) -> Result<Rig, JournalError> {
        Rig::open_on(dir, options, Box::new(RealDisk))
    }

    pub(super) fn open_on(
        dir: &Path,
        options: Options,
        disk: Box<dyn Disk>,
    ) -> Result<Rig, JournalError> {
        let clock = FakeClock::new();
        let journal = Journal::open_on(dir, options, clock.clone(), disk)?;
        let next = journal.tip().seq + 1;
        Ok(Rig { journal, clock, next })
    }

    pub(super) fn register(&self, spec: PartitionSpec) -> PartitionId {
        self.journal.book.lock().unwrap().register(spec)
    }

    pub(super) fn live(&self, name: &str) -> PartitionId {
        self.register(PartitionSpec::live(name, "test"))
    }

    pub(super) fn commit(&mut self, inputs: Vec<Input>) -> Result<Option<Durable>, JournalError> {
        self.journal.commit(inputs, None).map_err(|failed| failed.error)
    }

    /// One frame of `n` events a second apart from `at`.
    pub(super) fn append(
        &mut self,
        partition: PartitionId,
        n: u64,
        at: i64,
    ) -> Result<Committed, JournalError> {
        let items = (0..n).map(|i| intake(self.next + i, at + 1_000 * i as i64)).collect();
        self.next += n;
        Ok(self.commit(vec![deliver(partition, items)])?.unwrap().0)
    }

    /// A look at the silence, every partition having been silent for `silent`.
    pub(super) fn tick(&mut self, silent: &[(PartitionId, u64)]) -> Option<Committed> {
        let silence: BTreeMap<_, _> =
            silent.iter().map(|&(id, ms)| (id, Duration::from_millis(ms))).collect();
        let durable = self.journal.commit(Vec::new(), Some(&silence));
        durable.map_err(|failed| failed.error).unwrap().map(|(committed, _)| committed)
    }
}

pub(super) fn deliver(partition: PartitionId, items: Vec<Intake>) -> Input {
    let acknowledgement: Acknowledgement = Box::new(|_| ());
    Input::Delivery(Queued { delivery: delivery(partition, items), end: false, acknowledgement })
}

pub(super) fn end(partition: PartitionId) -> Input {
    let acknowledgement: Acknowledgement = Box::new(|_| ());
    Input::Delivery(Queued { delivery: delivery(partition, vec![]), end: true, acknowledgement })
}

/// Every frame that the segments of `dir` hold, unchecked links and all.
pub(super) fn stored(dir: &Path) -> Vec<StoredFrame> {
    let files = files::list(dir).unwrap();
    let read = |file: &files::SegmentFile| {
        let segment = Segment::open_for_reading(&file.path).unwrap();
        segment.frames(0, usize::MAX >> 1, usize::MAX).unwrap()
    };
    files.iter().flat_map(read).collect()
}

pub(super) fn frames(dir: &Path) -> Vec<Frame> {
    stored(dir).iter().map(|frame| frame.open().unwrap()).collect()
}

/// What a process that is killed now leaves behind.
pub(super) fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

/// Replaces the content of `to` with that of `from`.
pub(super) fn restore(from: &Path, to: &Path) {
    if to.exists() {
        fs::remove_dir_all(to).unwrap();
    }
    copy_dir(from, to);
}

/// Steps taken, and what is to happen at one of them.
#[derive(Default)]
pub(super) struct Plan {
    pub taken: Vec<Step>,
    /// Copy the directory at this step.
    pub copy: Option<(Step, PathBuf, PathBuf)>,
    /// Fail at this step with this.
    pub fail: Option<(Step, io::ErrorKind)>,
    pub pages: Option<u32>,
}

/// A disk under a plan that the test can change.
#[derive(Clone, Default)]
pub(super) struct PlannedDisk(pub Arc<Mutex<Plan>>);

impl Disk for PlannedDisk {
    fn reach(&mut self, step: Step) -> io::Result<()> {
        let mut plan = self.0.lock().unwrap();
        plan.taken.push(step);
        if let Some((at, from, to)) = &plan.copy
            && *at == step
        {
            restore(from, to);
        }
        match plan.fail {
            Some((at, kind)) if at == step => Err(kind.into()),
            _ => Ok(()),
        }
    }

    fn page_limit(&mut self) -> Option<u32> {
        self.0.lock().unwrap().pages
    }
}
