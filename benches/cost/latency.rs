//! How soon one event is answered: an event an epoch, on a schedule that waits for nobody.
//!
//! Each latency runs from when the event was to be sent to when the commit of its epoch is in hand. One thread sends and
//! collects, and never sleeps: a sleep's own inaccuracy is larger than what is measured. So it takes a core for itself.
//!
//! A virtual machine that shares its cores has tails of its own. What is the program's is told apart by three rows: the
//! dataflow, by a worker that stays awake between events and by one that sleeps; and `echo`, the same schedule and the
//! same channels to a thread that computes nothing. `late` is how late the load itself was at p99.9: its own stalls.
//! Processor time is of the whole process less the load's.

use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use highwater_dataflow::{Epoch, Options};
use rustix::time::{ClockId, clock_gettime};

use crate::center::{Center, Kind};
use crate::engine::{Engine, Query, batch};

/// A tenth of the events come first and are not counted.
const WARM_UP: u64 = 10;
/// How often a worker that stays awake looks for the next event: longer than the longest gap between two.
const LOOKS: u32 = 100_000;

/// Runs each rate over the same agents, with at most `events` events and 8 seconds.
pub(crate) fn run(agents: u32, rates: &[u64], events: u64) {
    let center = Center { agents, kind: Kind::States };
    println!("{agents} agents; adherence and team drift, one worker");
    println!(
        "{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}{:>8}",
        "events/s", "", "events", "p50 us", "p99 us", "p99.9 us", "max us", "late us", "CPU"
    );
    for rate in rates {
        let mut echo = Echo::start();
        measure("echo", &mut echo, center, 0, events.min(8 * rate), *rate);
        echo.end();
    }
    for (name, looks_before_sleep) in [("awake", LOOKS), ("asleep", 0)] {
        let options = Options { looks_before_sleep, ..Options::default() };
        let mut engine = Engine::start_with(Query::Adherence, options);
        engine.hire(center);
        let mut next = 0;
        for rate in rates {
            let count = events.min(8 * rate);
            measure(name, &mut engine, center, next, count, *rate);
            next += count;
        }
        engine.finish();
    }
}

/// Answers every event that it is sent.
trait Answers {
    /// The last epoch sent.
    fn epoch(&mut self) -> &mut Epoch;
    fn send(&mut self, event: Batch);
    /// The epochs answered since it was asked last.
    fn answered(&mut self, each: impl FnMut(Epoch));
}

type Batch = highwater_dataflow::Batch<crate::center::Event>;

impl Answers for Engine {
    fn epoch(&mut self) -> &mut Epoch {
        &mut self.epoch
    }

    fn send(&mut self, event: Batch) {
        self.runtime.send(event);
    }

    fn answered(&mut self, mut each: impl FnMut(Epoch)) {
        self.commits.try_iter().for_each(|commit| each(commit.epoch));
    }
}

/// A thread that answers without computing anything, and never sleeps.
struct Echo {
    epoch: Epoch,
    to: SyncSender<Batch>,
    back: Receiver<Batch>,
    thread: JoinHandle<()>,
}

impl Echo {
    fn start() -> Echo {
        let ((to, asked), (answer, back)) = (sync_channel::<Batch>(16), sync_channel(256));
        let thread = thread::spawn(move || {
            loop {
                match asked.try_recv() {
                    // Whoever asked may have gone.
                    Ok(event) => drop(answer.send(event)),
                    Err(TryRecvError::Empty) => thread::yield_now(),
                    Err(TryRecvError::Disconnected) => return,
                }
            }
        });
        Echo { epoch: 0, to, back, thread }
    }

    fn end(self) {
        drop(self.to);
        self.thread.join().expect("the echo computes nothing that could fail");
    }
}

impl Answers for Echo {
    fn epoch(&mut self) -> &mut Epoch {
        &mut self.epoch
    }

    fn send(&mut self, event: Batch) {
        self.to.send(event).expect("the echo lives");
    }

    fn answered(&mut self, mut each: impl FnMut(Epoch)) {
        self.back.try_iter().for_each(|event| each(event.epoch));
    }
}

/// Sends `count` events from number `first` on, and prints what became of them.
fn measure(
    name: &str,
    program: &mut impl Answers,
    center: Center,
    first: u64,
    count: u64,
    rate: u64,
) {
    let new = || Histogram::<u64>::new_with_bounds(1, 60_000_000_000, 3).expect("they are valid");
    let (mut took, mut late) = (new(), new());
    let before = *program.epoch();
    let mut batches = (first..first + count)
        .map(|nth| batch(before + 1 + nth - first, vec![center.event(nth)], center.bound(nth)))
        .collect::<Vec<_>>()
        .into_iter();
    let begins = Instant::now() + Duration::from_millis(10);
    let due = |nth: u64| begins + Duration::from_nanos(nth * 1_000_000_000 / rate);
    let since =
        |nth: u64| (Instant::now().saturating_duration_since(due(nth)).as_nanos() as u64).max(1);
    let cpu_before = others();
    let (mut sent, mut answered) = (0, 0);
    while answered < count {
        if sent < count && due(sent) <= Instant::now() {
            if count / WARM_UP <= sent {
                late.saturating_record(since(sent));
            }
            program.send(batches.next().expect("one for each"));
            sent += 1;
        }
        program.answered(|epoch| {
            let nth = epoch - before - 1;
            answered = nth + 1;
            if count / WARM_UP <= nth {
                took.saturating_record(since(nth));
            }
        });
        std::hint::spin_loop();
    }
    let busy = others().saturating_sub(cpu_before).as_secs_f64() / begins.elapsed().as_secs_f64();
    *program.epoch() += count;
    let us = |nanos: u64| nanos as f64 / 1e3;
    let at = |percentile| us(took.value_at_percentile(percentile));
    println!(
        "{rate:>10}{name:>10}{:>10}{:>10.1}{:>10.1}{:>10.1}{:>10.1}{:>10.1}{:>7.0}%",
        took.len(),
        at(50.0),
        at(99.0),
        at(99.9),
        us(took.max()),
        us(late.value_at_percentile(99.9)),
        busy * 1e2
    );
}

/// The processor time that all threads but this one have had.
pub(crate) fn others() -> Duration {
    let this = clock(ClockId::ThreadCPUTime);
    clock(ClockId::ProcessCPUTime).saturating_sub(this)
}

fn clock(id: ClockId) -> Duration {
    let time = clock_gettime(id);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
