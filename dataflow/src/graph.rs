//! The graph under construction: what comes in, and what is published.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use timely::container::CapacityContainerBuilder;
use timely::dataflow::StreamVec;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::dataflow::operators::generic::operator::source;
use timely::progress::frontier::MutableAntichain;
use timely::progress::operate::FrontierInterest;

use crate::Datum;
use crate::alert::Notification;
use crate::edge::Direct;
use crate::events::Events;
use crate::keep::Keeper;
use crate::prompt::{Closing, Fed, first_open};
use crate::pulse::Pulse;
use crate::refusals::Journals;
use crate::rows::{Deliver, Reader, gather};
use crate::signal::Signal;
use crate::table::{Change, Table};
use crate::time::{Epoch, EventTime};
use crate::view::{Changes, Commit, Row, Stamps, ViewRow};
use crate::watermark::watermarks;

/// A dataflow graph while queries are being added to it. Input rows are of type `E`.
pub struct Graph<'s, E: Datum> {
    input: Table<'s, E>,
    outbox: Rc<RefCell<BTreeMap<Epoch, Pending>>>,
    open_from: Vec<Rc<Cell<Epoch>>>,
    listeners: Vec<Listener>,
    /// Where the watermark stands before the first epoch.
    start: EventTime,
    /// The journals of a cluster, and how many workers each of its processes has.
    pub(crate) cluster: Option<(Journals, usize)>,
}

/// Told of each closed epoch.
type Listener = Box<dyn FnMut(Epoch)>;

/// What the graph has to say about an epoch that is not yet handed out.
#[derive(Default)]
struct Pending {
    changes: Vec<Changes>,
    notifications: Vec<Notification>,
    watermark: Option<EventTime>,
}

/// The far end of a finished graph, on the worker that owns the sinks.
pub(crate) struct Outlet {
    outbox: Rc<RefCell<BTreeMap<Epoch, Pending>>>,
    open_from: Vec<Rc<Cell<Epoch>>>,
    fed: Option<Fed>,
    /// How far the worker was fed when it last stepped.
    stepped: Cell<Epoch>,
    watermark: RefCell<EventTime>,
    listeners: RefCell<Vec<Listener>>,
}

impl<'s, E: Datum> Graph<'s, E> {
    pub(crate) fn new(
        events: StreamVec<'s, Epoch, Change<E>>,
        signals: StreamVec<'s, Epoch, (Epoch, Signal)>,
        keeper: &Keeper,
        fed: Option<Fed>,
    ) -> Self {
        let closing = Closing::of(fed.clone());
        let (watermarks, start) = watermarks(signals, keeper, fed);
        let mut graph = Graph {
            input: Table::closing(events, watermarks, &closing),
            outbox: Rc::default(),
            open_from: Vec::new(),
            listeners: Vec::new(),
            start,
            cluster: None,
        };
        graph.follow();
        graph
    }

    /// Everything that was accepted, duplicates and late events included.
    pub fn input(&self) -> Table<'s, E> {
        self.input.clone()
    }

    /// The events a query reads; see [`Events`].
    pub fn events(&self, admitted: Table<'s, E>) -> Events<'s, E> {
        Events::new(admitted)
    }

    /// A table that holds `rows` from the start and never changes.
    pub fn constant<D: Datum>(&self, rows: impl IntoIterator<Item = D>) -> Table<'s, D> {
        let scope = self.input.scope();
        // One worker brings them in; operators exchange them from there.
        // A graph that goes on has them already.
        let first = scope.index() == 0 && self.input.watermarks.keeper.resumed().is_none();
        let rows: Vec<Change<D>> =
            rows.into_iter().filter(|_| first).map(|row| (row, Epoch::MIN, 1)).collect();
        // All at once: nobody should see a part of it.
        let changes = source::<_, CapacityContainerBuilder<Vec<Change<D>>>, _, _>(
            scope,
            "Constant",
            move |capability, _| {
                let mut given = Some((capability, rows));
                move |output| {
                    if let Some((capability, mut rows)) = given.take()
                        && !rows.is_empty()
                    {
                        output.session(&capability).give_container(&mut rows);
                    }
                }
            },
        );
        let watermarks = self.input.watermarks.clone();
        Table::closing(changes, watermarks, &self.input.how_closed())
    }

    /// Publishes a table as a view: sinks get its net changes at every closed epoch.
    ///
    /// A view's key must be unique among the rows of a closed epoch.
    pub fn publish<R: ViewRow>(&mut self, table: Table<'s, R>) {
        let outbox = Rc::clone(&self.outbox);
        self.sink(table, R::VIEW.name, move |epoch, rows| {
            let mut cells: Vec<(Row, i8)> = Vec::with_capacity(rows.len());
            rows.sort_by_key(|(_, _, diff)| *diff);
            for (row, _, diff) in rows.drain(..) {
                assert!(
                    diff == 1 || diff == -1,
                    "view {}: a row changed by {diff} copies; its key is not unique",
                    R::VIEW.name
                );
                let mut line = Row::with_capacity(R::VIEW.columns.len());
                row.cells(&mut line);
                debug_assert_eq!(line.len(), R::VIEW.columns.len(), "view {}", R::VIEW.name);
                cells.push((line, if diff > 0 { 1 } else { -1 }));
            }
            let changes = Changes { view: R::VIEW, rows: cells };
            outbox.borrow_mut().entry(epoch).or_default().changes.push(changes);
        });
    }

    /// Publishes alert messages: each row is one message, sent once.
    pub fn notify(&mut self, table: Table<'s, Notification>) {
        let outbox = Rc::clone(&self.outbox);
        self.sink(table, "Notifications", move |epoch, rows| {
            let mut outbox = outbox.borrow_mut();
            let pending = outbox.entry(epoch).or_default();
            pending.notifications.extend(rows.drain(..).map(|(message, _, _)| message));
            pending.notifications.sort();
        });
    }

    /// Calls `look` on worker 0 with the net changes of `table` at each closed epoch that has any, epochs in order.
    ///
    /// For embedding the graph in a program of one's own; effects belong there, views to [`Graph::publish`].
    pub fn observe<D: Datum>(
        &mut self,
        name: &str,
        table: Table<'s, D>,
        mut look: impl FnMut(Epoch, &[(D, Epoch, isize)]) + 'static,
    ) {
        self.sink(table, name, move |epoch, rows| look(epoch, rows));
    }

    /// Calls `listener` on worker 0 for each closed epoch, in order, after everything that observes it.
    pub fn on_closed(&mut self, listener: impl FnMut(Epoch) + 'static) {
        self.listeners.push(Box::new(listener));
    }

    /// Gathers `table` on worker 0 and gives `take` each closed epoch's consolidated changes.
    fn sink<D: Datum>(
        &mut self,
        table: Table<'s, D>,
        name: &str,
        mut take: impl FnMut(Epoch, &mut Vec<Change<D>>) + 'static,
    ) {
        let scope = table.scope();
        let mut builder = OperatorBuilder::new(name.to_owned(), scope);
        let waiting: Rc<RefCell<BTreeMap<Epoch, Vec<Change<D>>>>> = Rc::default();
        let came = Rc::clone(&waiting);
        let file: Deliver<D> = Box::new(move |_, rows| {
            let mut waiting = came.borrow_mut();
            // A message's rows may belong to later epochs than the message.
            for row in rows.drain(..) {
                waiting.entry(row.1).or_default().push(row);
            }
        });
        let mut pump = gather(&table.rows, |_| 0, scope, &mut builder, file);
        let closing = table.how_closed();
        let open = self.open_from(&closing, &mut builder);
        builder.build(move |_| {
            move |frontiers: &[MutableAntichain<Epoch>]| {
                pump();
                let from = closing.first_open(frontiers);
                let mut waiting = waiting.borrow_mut();
                while let Some(entry) = waiting.first_entry().filter(|entry| *entry.key() < from) {
                    let (epoch, mut rows) = entry.remove_entry();
                    differential_dataflow::consolidation::consolidate_updates(&mut rows);
                    if !rows.is_empty() {
                        take(epoch, &mut rows);
                    }
                }
                open.set(first_open(frontiers));
            }
        });
    }

    /// Tells `heard` of every pulse that any process sends, on every worker and before the epoch is closed.
    pub(crate) fn hear(
        &mut self,
        pulses: StreamVec<'s, Epoch, Pulse>,
        mut heard: impl FnMut(Pulse) + 'static,
    ) {
        let mut builder = OperatorBuilder::new("Epochs".to_owned(), pulses.scope());
        let edge = Direct::from(&pulses);
        let mut input = builder.new_input(pulses, edge);
        let closing = Closing::Frontiers;
        let open = self.open_from(&closing, &mut builder);
        builder.build(move |_| {
            move |frontiers: &[MutableAntichain<Epoch>]| {
                input.for_each(|_, data| data.drain(..).for_each(&mut heard));
                open.set(first_open(frontiers));
            }
        });
    }

    /// Notes the watermark of every epoch in which it advances, where commits are made.
    fn follow(&mut self) {
        let outbox = Rc::clone(&self.outbox);
        let owner = self.input.scope().index() == 0;
        let marks = self.input.watermarks.stream.clone();
        let mut builder = OperatorBuilder::new("Watermark sink".to_owned(), marks.scope());
        let edge = Direct::from(&marks);
        let mut input = builder.new_input(marks, edge);
        let closing = self.input.how_closed();
        let open = self.open_from(&closing, &mut builder);
        builder.build(move |_| {
            move |frontiers: &[MutableAntichain<Epoch>]| {
                input.for_each(|cap, data| {
                    if !owner {
                        // Nobody takes it here.
                        data.clear();
                        return;
                    }
                    let mut outbox = outbox.borrow_mut();
                    let pending = outbox.entry(*cap.time()).or_default();
                    pending.watermark = data.drain(..).max().max(pending.watermark);
                });
                open.set(first_open(frontiers));
            }
        });
    }

    /// Where a sink notes how far its frontier has come. One that is prompt has finished with what was fed once the worker
    /// has stepped, and need not run to say so.
    fn open_from(&mut self, closing: &Closing, sink: &mut Reader<'s>) -> Rc<Cell<Epoch>> {
        let open = Rc::new(Cell::new(Epoch::MIN));
        match closing {
            Closing::Fed(_) => {
                for input in 0..sink.shape().inputs() {
                    sink.set_notify_for(input, FrontierInterest::Never);
                }
            }
            Closing::Behind(fed) => fed.watch(&open),
            Closing::Frontiers => self.open_from.push(Rc::clone(&open)),
        }
        open
    }

    pub(crate) fn finish(self) -> Outlet {
        Outlet {
            outbox: self.outbox,
            open_from: self.open_from,
            fed: self.input.watermarks.fed.clone(),
            stepped: Cell::new(Epoch::MIN),
            watermark: RefCell::new(self.start),
            listeners: RefCell::new(self.listeners),
        }
    }
}

impl Outlet {
    /// Whether nothing more can be said at `epoch`.
    pub(crate) fn is_closed(&self, epoch: Epoch) -> bool {
        match &self.fed {
            Some(fed) => self.stepped.get() > epoch && (!fed.astir() || fed.passed(epoch)),
            None => self.open_from.iter().all(|open| open.get() > epoch),
        }
    }

    /// To be called after every step of the worker.
    pub(crate) fn stepped(&self) {
        if let Some(fed) = &self.fed {
            self.stepped.set(fed.to());
            fed.stepped();
        }
    }

    /// What `epoch`, closed, has to say; epochs are taken in order.
    pub(crate) fn take(&self, epoch: Epoch, stamps: Arc<Stamps>) -> Commit {
        self.listeners.borrow_mut().iter_mut().for_each(|listener| listener(epoch));
        let pending = self.outbox.borrow_mut().remove(&epoch).unwrap_or_default();
        let mut watermark = self.watermark.borrow_mut();
        *watermark = pending.watermark.unwrap_or(*watermark).max(*watermark);
        let mut changes = pending.changes;
        changes.sort_by_key(|changes| changes.view.name);
        Commit {
            epoch,
            changes,
            notifications: pending.notifications,
            watermark: *watermark,
            stamps,
        }
    }
}
