//! One worker's life: take epochs while there is room, step, hand out closed ones.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender, TryRecvError};
use std::time::Duration;

use timely::dataflow::InputHandleVec;
use timely::scheduling::Activator;
use timely::worker::Worker;

use crate::Datum;
use crate::graph::{Graph, Outlet};
use crate::keep::{Keeper, Part, Unfit};
use crate::prompt::Fed;
use crate::pulse::{self, Pulse, Says, Word};
use crate::refusals::Journals;
use crate::runtime::{Batch, Leave, Order};
use crate::signal::Signal;
use crate::table::Change;
use crate::time::Epoch;
use crate::view::{Commit, Stamps};

/// What a worker is given.
pub(crate) struct Place<E> {
    pub(crate) epochs: Receiver<Order<E>>,
    /// The first worker of all has them.
    pub(crate) commits: Option<SyncSender<Commit>>,
    pub(crate) in_flight: usize,
    /// How often it looks for more before it sleeps.
    pub(crate) looks: u32,
    /// Whether it announces the epochs of its process to the others.
    pub(crate) speaks: bool,
    /// `None`: there is no other process.
    pub(crate) peers: Option<Peers>,
    /// Where it gives what is kept because process 0 said so: the epoch, its place in its process, its parts.
    pub(crate) parts: Sender<(Epoch, usize, Vec<Part>)>,
    pub(crate) local: usize,
    pub(crate) leave: Leave,
}

/// What a worker knows of other processes.
#[derive(Clone)]
pub(crate) struct Peers {
    /// Epochs up to here were journaled before the cluster started.
    pub(crate) started_after: Epoch,
    pub(crate) heard: Arc<dyn Fn(Epoch) + Send + Sync>,
    pub(crate) told: Arc<dyn Fn(Word) + Send + Sync>,
    pub(crate) journals: Journals,
    /// How many each process has.
    pub(crate) workers: usize,
}

/// How long a worker rests when nothing is under way, and how long when another worker may owe it progress: they wake
/// it, the pause only bounds a lost wake-up.
const REST: Duration = Duration::from_millis(50);
const PAUSE: Duration = Duration::from_micros(500);

/// Events that are enough for a step: what they become on their way fits the caches, where an operator finds what the one
/// before it wrote.
const ENOUGH: usize = 1_000;

/// A worker with its graph.
pub(crate) struct Life<E: Datum> {
    events: InputHandleVec<Epoch, Change<E>>,
    signals: InputHandleVec<Epoch, (Epoch, Signal)>,
    /// The operators through which they come.
    inputs: [Activator; 2],
    /// The epochs of this process, for the others.
    pulses: Option<InputHandleVec<Epoch, Pulse>>,
    /// Where this worker is alone.
    fed: Option<Fed>,
    speaks: bool,
    epochs: Receiver<Order<E>>,
    in_flight: usize,
    looks: u32,
    leave: Leave,
    keeper: Keeper,
    /// The last epoch taken.
    at: Epoch,
    /// The first one that may still be.
    to: Epoch,
    /// The epoch as of which parts are asked for, and by whom.
    keeping: Option<(Epoch, Sender<(usize, Vec<Part>)>)>,
    /// In a cluster: the epoch as of which everybody keeps, as it was heard; where the parts go, from which place.
    together: Rc<Cell<Option<Epoch>>>,
    parts: Sender<(Epoch, usize, Vec<Part>)>,
    local: usize,
    hands: Hands,
}

impl<E: Datum> Life<E> {
    /// Builds the graph.
    pub(crate) fn new(
        worker: &mut Worker,
        keeper: Keeper,
        place: Place<E>,
        build: &(impl for<'s> Fn(&mut Graph<'s, E>) + Send + Sync + 'static),
    ) -> Self {
        let Place { epochs, commits, in_flight, looks, speaks, peers, parts, local, leave } = place;
        let mut events: InputHandleVec<Epoch, Change<E>> = InputHandleVec::new();
        let mut signals: InputHandleVec<Epoch, (Epoch, Signal)> = InputHandleVec::new();
        let mut pulses: Option<InputHandleVec<Epoch, Pulse>> =
            peers.as_ref().map(|_| InputHandleVec::new());
        let announced: Rc<RefCell<BTreeSet<Epoch>>> = Rc::default();
        let owner = commits.is_some();
        let fed = (peers.is_none() && worker.peers() == 1).then(Fed::default);
        let together: Rc<Cell<Option<Epoch>>> = Rc::default();
        let (outlet, inputs) = worker.dataflow::<Epoch, _, _>(|scope| {
            let (mut rows, mut marks) = (events.to_stream(scope), signals.to_stream(scope));
            let address = scope.addr();
            let inputs = [*rows.name(), *marks.name()].map(|input| {
                scope.activator_for(address.iter().copied().chain([input.node]).collect())
            });
            let pulses = pulses.as_mut().map(|pulses| {
                let (keeper, together) = (keeper.clone(), together.clone());
                let pulses = pulse::everywhere(pulses.to_stream(scope), move |pulse| {
                    if pulse.says.keep {
                        keeper.ask(pulse.epoch);
                        together.set(Some(pulse.epoch));
                    }
                });
                rows = pulse::behind(pulses.clone(), rows.clone());
                marks = pulse::behind(pulses.clone(), marks.clone());
                pulses
            });
            let mut graph = Graph::new(rows, marks, &keeper, fed.clone());
            if let (Some(pulses), Some(peers)) = (pulses, &peers) {
                graph.cluster = Some((peers.journals.clone(), peers.workers));
                let announced = announced.clone();
                let (heard, told) = (peers.heard.clone(), peers.told.clone());
                graph.hear(pulses, move |Pulse { epoch, says }| {
                    if owner {
                        announced.borrow_mut().insert(epoch);
                    }
                    if speaks {
                        heard(epoch);
                        says.word.into_iter().for_each(&*told);
                    }
                });
            }
            build(&mut graph);
            (graph.finish(), inputs)
        });
        let at = keeper.resumed().unwrap_or_default();
        if let Some(resumed) = keeper.resumed() {
            events.advance_to(resumed + 1);
            signals.advance_to(resumed + 1);
            if let Some(pulses) = &mut pulses {
                pulses.advance_to(resumed + 1);
            }
        }
        if let Some(fed) = &fed {
            // What constants hold was there before the first epoch; it, and what is kept, goes everywhere first.
            fed.advance(at + 1);
            fed.stir();
        }
        let to = fed.as_ref().map_or(*events.time(), Fed::to);
        let started_after = peers.as_ref().map_or(0, |peers| peers.started_after);
        let hands =
            Hands { outlet, open: VecDeque::new(), announced, commits, started_after, taken: 0 };
        Life {
            events,
            signals,
            inputs,
            pulses,
            fed,
            speaks,
            epochs,
            in_flight,
            looks,
            leave,
            keeper,
            at,
            to,
            keeping: None,
            together,
            parts,
            local,
            hands,
        }
    }

    /// Whether the graph goes on from what it was given.
    pub(crate) fn check(&self) -> Result<(), Unfit> {
        self.keeper.check()
    }

    /// Runs until every epoch has been answered, or until it is told to leave.
    pub(crate) fn run(mut self, worker: &mut Worker) {
        let mut ended = false;
        let mut looked = 0;
        let mut rows = Vec::new();
        // What constants hold goes where it belongs before the first epoch does.
        worker.step();
        while !(ended && self.hands.open.is_empty()) {
            if self.leave.said() {
                self.abandon();
            }
            let mut taken = 0;
            while !ended && taken < ENOUGH && self.hands.open.len() < self.in_flight {
                match self.epochs.try_recv() {
                    Ok(Order::Epoch { batch, says }) => {
                        looked = 0;
                        taken += batch.events.len();
                        self.take(batch, says, &mut rows);
                    }
                    Ok(Order::Until { until, says }) => self.pass(until, says),
                    Ok(Order::Keep(to)) => {
                        self.keeper.ask(self.at);
                        self.keeping = Some((self.at, to));
                    }
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => ended = true,
                }
            }
            if !self.hands.open.is_empty() || ended {
                looked = 0;
                worker.step_or_park(Some(PAUSE));
            } else if looked < self.looks {
                looked += 1;
                std::thread::yield_now();
                worker.step();
            } else {
                worker.step_or_park(Some(REST));
            }
            self.hands.outlet.stepped();
            self.tell();
            self.hands.hand_out();
            let outlet = &self.hands.outlet;
            if let Some((epoch, to)) = self.keeping.take_if(|(epoch, _)| outlet.is_closed(*epoch)) {
                // Who asked may have gone; then nobody needs it.
                let _ = to.send((worker.index(), self.keeper.collect()));
                assert!(epoch <= self.at, "only what was handed over is kept");
            }
            let together = self.together.get().filter(|epoch| outlet.is_closed(*epoch));
            if let Some(epoch) = together {
                self.together.set(None);
                let _ = self.parts.send((epoch, self.local, self.keeper.collect()));
            }
        }
        let Life { events, signals, pulses, leave, epochs, mut hands, .. } = self;
        drop((events, signals, pulses));
        while worker.has_dataflows() {
            if leave.said() {
                drop((hands, epochs));
                wait_for_the_end();
            }
            worker.step_or_park(Some(Duration::from_millis(1)));
            hands.outlet.stepped();
            // Other processes may go on.
            hands.hand_out();
        }
    }

    fn take(&mut self, batch: Batch<E>, says: Says, rows: &mut Vec<Change<E>>) {
        let epoch = batch.epoch;
        assert!(epoch > Epoch::MIN, "the first epoch is that of constants: feed later ones");
        assert!(self.to <= epoch, "epochs are fed in increasing order");
        self.advance(epoch);
        rows.extend(batch.events.into_iter().map(|event| (event, epoch, 1)));
        self.events.send_batch(rows);
        rows.clear();
        for signal in batch.signals {
            self.signals.send((epoch, signal));
        }
        if let (Some(pulses), true) = (&mut self.pulses, self.speaks) {
            pulses.send(Pulse { epoch, says });
        }
        self.advance(epoch + 1);
        // Timely may not have been told of the epoch: then what was sent is still to be taken out.
        self.signals.flush();
        self.inputs.iter().for_each(Activator::activate);
        self.at = epoch;
        self.hands.open.push_back((epoch, batch.stamps));
    }

    /// Goes beyond `until`, telling the others about it where there is something to say.
    fn pass(&mut self, until: Epoch, says: Says) {
        if let (true, Some(pulses)) = (says != Says::default() && self.speaks, &mut self.pulses)
            && *pulses.time() <= until
        {
            pulses.advance_to(until);
            pulses.send(Pulse { epoch: until, says });
        }
        self.advance(until.saturating_add(1));
    }

    fn advance(&mut self, to: Epoch) {
        if self.to < to {
            self.to = to;
            match &self.fed {
                Some(fed) => fed.advance(to),
                None => self.announce(to),
            }
            self.tell();
        }
    }

    /// Tells timely how far a lone worker was fed, as long as anybody needs to know.
    fn tell(&mut self) {
        if self.fed.as_ref().is_some_and(Fed::astir) && *self.events.time() < self.to {
            self.announce(self.to);
        }
    }

    fn announce(&mut self, to: Epoch) {
        self.events.advance_to(to);
        self.signals.advance_to(to);
        if let Some(pulses) = &mut self.pulses {
            pulses.advance_to(to);
        }
    }

    /// Ends the commits, and keeps the inputs: dropping them would say that they have ended.
    fn abandon(self) -> ! {
        let Life { events, signals, pulses, epochs, hands, .. } = self;
        std::mem::forget((events, signals, pulses));
        drop((hands, epochs));
        wait_for_the_end()
    }
}

/// The process ends soon; until then its other threads have nothing to fear from this one.
fn wait_for_the_end() -> ! {
    loop {
        std::thread::park();
    }
}

/// Open epochs, and where their answers go.
struct Hands {
    outlet: Outlet,
    /// The epochs of this process that are not closed.
    open: VecDeque<(Epoch, Arc<Stamps>)>,
    /// On the first worker of a cluster: the epochs of all processes that are not handed out.
    announced: Rc<RefCell<BTreeSet<Epoch>>>,
    commits: Option<SyncSender<Commit>>,
    started_after: Epoch,
    /// The last epoch handed out.
    taken: Epoch,
}

impl Hands {
    fn hand_out(&mut self) {
        loop {
            let own = self.open.front().map(|(epoch, _)| *epoch);
            let other = self.announced.borrow().first().copied();
            let Some(epoch) = own.into_iter().chain(other).min() else { return };
            if !self.outlet.is_closed(epoch) {
                return;
            }
            self.announced.borrow_mut().remove(&epoch);
            let stamps = if own == Some(epoch) {
                self.open.pop_front().map(|(_, stamps)| stamps)
            } else {
                None
            };
            if self.taken == epoch {
                // Announced after it was handed out as our own.
                continue;
            }
            self.taken = epoch;
            if let Some(commits) = &self.commits {
                let stamps = stamps.unwrap_or_else(|| Arc::new(self.stamps_of_others(epoch)));
                // A receiver that went away has no more use for answers; the input side decides when to stop.
                let _ = commits.send(self.outlet.take(epoch, stamps));
            }
        }
    }

    /// The clocks of another process say nothing here: its epochs have no stamps.
    fn stamps_of_others(&self, epoch: Epoch) -> Stamps {
        Stamps { replay: epoch <= self.started_after, ..Stamps::default() }
    }
}
