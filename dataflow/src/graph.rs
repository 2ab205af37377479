//! The graph under construction: what comes in, and what is published.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::{Exchange, Pipeline};
use timely::dataflow::operators::{Operator, Probe, ToStream, probe};

use crate::Datum;
use crate::alert::Notification;
use crate::events::Events;
use crate::keep::Keeper;
use crate::signal::Signal;
use crate::table::{Change, Table, Watermarks};
use crate::time::{Epoch, EventTime};
use crate::view::{Changes, Commit, Row, Stamps, ViewRow};
use crate::watermark::watermarks;

/// A dataflow graph while queries are being added to it. Input rows are of type `E`.
pub struct Graph<'s, E: Datum> {
    input: Table<'s, E>,
    outbox: Rc<RefCell<BTreeMap<Epoch, Pending>>>,
    closed: probe::Handle<Epoch>,
    listeners: Vec<Listener>,
    /// Where the watermark stands before the first epoch.
    start: EventTime,
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
    closed: probe::Handle<Epoch>,
    watermark: RefCell<EventTime>,
    listeners: RefCell<Vec<Listener>>,
}

impl<'s, E: Datum> Graph<'s, E> {
    pub(crate) fn new(
        events: StreamVec<'s, Epoch, Change<E>>,
        signals: StreamVec<'s, Epoch, Signal>,
        keeper: &Keeper,
    ) -> Self {
        let (watermarks, start) = watermarks(signals, keeper);
        let graph = Graph {
            input: Table::new(events, watermarks),
            outbox: Rc::default(),
            closed: probe::Handle::new(),
            listeners: Vec::new(),
            start,
        };
        graph.follow(graph.input.watermarks.clone());
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
        let changes = rows.to_stream(scope).container::<Vec<Change<D>>>();
        Table::new(changes, self.input.watermarks.clone())
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
        let mut waiting: BTreeMap<Epoch, Vec<Change<D>>> = BTreeMap::new();
        table
            .changes
            .unary_frontier(Exchange::new(|_: &Change<D>| 0), name, move |_, _| {
                move |(input, frontier),
                      _output: &mut timely::dataflow::operators::generic::OutputBuilderSession<
                    '_,
                    Epoch,
                    timely::container::CapacityContainerBuilder<Vec<()>>,
                >| {
                    input.for_each(|_, data| {
                        // A message's rows may belong to later epochs than the message.
                        for row in data.drain(..) {
                            waiting.entry(row.1).or_default().push(row);
                        }
                    });
                    while let Some(entry) = waiting.first_entry() {
                        if frontier.less_equal(entry.key()) {
                            break;
                        }
                        let (epoch, mut rows) = entry.remove_entry();
                        differential_dataflow::consolidation::consolidate_updates(&mut rows);
                        if !rows.is_empty() {
                            take(epoch, &mut rows);
                        }
                    }
                }
            })
            .probe_with(&self.closed);
    }

    /// Notes the watermark of every epoch in which it advances.
    fn follow(&self, watermarks: Watermarks<'s>) {
        let outbox = Rc::clone(&self.outbox);
        watermarks
            .stream
            .unary::<timely::container::CapacityContainerBuilder<Vec<()>>, _, _, _>(
                Pipeline,
                "Watermark sink",
                move |_, _| {
                    move |input, _output| {
                        input.for_each(|cap, data| {
                            let mut outbox = outbox.borrow_mut();
                            let pending = outbox.entry(*cap.time()).or_default();
                            pending.watermark = data.drain(..).max().max(pending.watermark);
                        });
                    }
                },
            )
            .probe_with(&self.closed);
    }

    pub(crate) fn finish(self) -> Outlet {
        Outlet {
            outbox: self.outbox,
            closed: self.closed,
            watermark: RefCell::new(self.start),
            listeners: RefCell::new(self.listeners),
        }
    }
}

impl Outlet {
    /// Whether nothing more can be said at `epoch`.
    pub(crate) fn is_closed(&self, epoch: Epoch) -> bool {
        !self.closed.less_equal(&epoch)
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
