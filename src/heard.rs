//! What was heard from each source since the start: for the page's header and the metrics, never data.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use highwater_dataflow::{BEGINNING, Clock, EventTime, FOREVER, PartitionId};
use highwater_ingest::http::{self, NotDurable, Receipt};
use highwater_ingest::intake::Delivery;
use highwater_ingest::journal::{JournalWriter, PartitionStatus};
use highwater_sinks::wallboard::SourceStatus;

/// Counts per partition. One entry per partition of the configuration.
pub(crate) struct Heard {
    clock: Arc<dyn Clock>,
    voices: Mutex<BTreeMap<PartitionId, Voice>>,
    expected: AtomicU64,
}

#[derive(Clone, Debug, Default)]
struct Voice {
    name: String,
    events: u64,
    last_event: Option<EventTime>,
    last_received: Option<EventTime>,
    error: Option<String>,
    /// What of its events the decoder did not know.
    unknown: Unrecognised,
}

/// How many fields, and values of enumerations, nobody knew.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Unrecognised {
    pub(crate) fields: u64,
    pub(crate) values: u64,
}

/// What a delivery holds, taken down before it is handed over.
pub(crate) struct Note {
    partition: PartitionId,
    events: u64,
    /// Of each item, where it has one.
    times: Vec<Option<EventTime>>,
    unknown: Unrecognised,
}

impl Note {
    pub(crate) fn of(delivery: &Delivery) -> Note {
        let mut unknown = Unrecognised::default();
        for item in &delivery.items {
            unknown.fields += u64::from(item.unknown.fields);
            unknown.values += u64::from(item.unknown.values);
        }
        let times = delivery.items.iter().map(|item| Some(item.decoded.as_ref().ok()?.at));
        Note {
            partition: delivery.partition,
            events: delivery.items.len() as u64,
            times: times.collect(),
            unknown,
        }
    }
}

impl Heard {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Heard {
        Heard { clock, voices: Mutex::default(), expected: AtomicU64::new(0) }
    }

    /// Makes a partition known, so that it is shown before it speaks.
    pub(crate) fn expect(&self, partition: PartitionId, name: &str) {
        name.clone_into(&mut self.lock().entry(partition).or_default().name);
    }

    /// A delivery was taken by the journal.
    pub(crate) fn note(&self, note: &Note) {
        let now = self.clock.now_ms();
        let mut voices = self.lock();
        let voice = voices.entry(note.partition).or_default();
        voice.events += note.events;
        voice.unknown.fields += note.unknown.fields;
        voice.unknown.values += note.unknown.values;
        voice.last_received = Some(now);
        voice.error = None;
    }

    /// A delivery is durable. Of the items that the journal made dead letters the time may be anything: it does not count.
    pub(crate) fn reached(&self, mut note: Note, refused: impl IntoIterator<Item = usize>) {
        for item in refused {
            note.times[item] = None;
        }
        let mut voices = self.lock();
        let voice = voices.entry(note.partition).or_default();
        voice.last_event = voice.last_event.max(note.times.into_iter().flatten().max());
    }

    /// Per source what of its events nobody knew.
    pub(crate) fn unknown(&self) -> Vec<(String, Unrecognised)> {
        self.lock().values().map(|voice| (voice.name.clone(), voice.unknown)).collect()
    }

    /// A recording holds so many events that are still to come.
    pub(crate) fn will_come(&self, events: u64) {
        self.expected.fetch_add(events, Ordering::Relaxed);
    }

    /// How many events recordings hold, as far as they told.
    pub(crate) fn expected(&self) -> u64 {
        self.expected.load(Ordering::Relaxed)
    }

    /// How many events came, from all sources.
    pub(crate) fn events(&self) -> u64 {
        self.lock().values().map(|voice| voice.events).sum()
    }

    /// A source failed, and is asked again or given up.
    pub(crate) fn failed(&self, partition: PartitionId, error: &str) {
        self.lock().entry(partition).or_default().error = Some(error.to_owned());
    }

    /// The greatest event time heard.
    pub(crate) fn newest(&self) -> Option<EventTime> {
        self.lock().values().filter_map(|voice| voice.last_event).max()
    }

    /// Every partition by number: what was heard, and what the journal knows of it from before.
    pub(crate) fn sources(&self, known: &[PartitionStatus]) -> Vec<SourceStatus> {
        let voices = self.lock();
        let status = |(id, voice): (&PartitionId, &Voice)| {
            let known = known.iter().find(|known| known.id == *id);
            let bound = known.map_or(BEGINNING, |known| known.bound);
            let before = (bound != BEGINNING && bound != FOREVER).then_some(bound);
            SourceStatus {
                name: voice.name.clone(),
                last_event_ms: voice.last_event.or(before),
                last_received_ms: voice.last_received,
                idle: known.is_some_and(|known| known.idle),
                ended: bound == FOREVER,
                error: voice.error.clone(),
                events: voice.events,
            }
        };
        voices.iter().map(status).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<PartitionId, Voice>> {
        self.voices.lock().expect("nobody panics with the lock")
    }
}

/// The journal as the HTTP routes see it, with an ear at the door.
pub(crate) struct Door {
    pub(crate) writer: JournalWriter,
    pub(crate) heard: Arc<Heard>,
}

impl http::Journal for Door {
    fn submit(&self, delivery: Delivery) -> Result<Receipt, NotDurable> {
        let note = Note::of(&delivery);
        let receipt = http::Journal::submit(&self.writer, delivery)?;
        self.heard.note(&note);
        let heard = self.heard.clone();
        Ok(Box::pin(async move {
            let appended = receipt.await?;
            let items = appended.items.iter().enumerate();
            let refused = items.filter(|(_, placed)| placed.refused.is_some());
            heard.reached(note, refused.map(|(item, _)| item));
            Ok(appended)
        }))
    }
}
