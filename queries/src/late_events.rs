//! Late events and duplicates: what changed no answer, kept where it can be seen.
//!
//! in   refused entries; late elements of windows
//! out  late_events       one row per event that came after the correction horizon
//!      late_elements     per view, key and window: contributions that came after the window was final
//!      duplicate_counts  per kind of event

use highwater_dataflow::view::{Column, Row, Value, View, ViewRow};
use highwater_dataflow::window::{LateElement, Window};
use highwater_dataflow::{Graph, Reason, Table};
use highwater_model::Name;
use serde::{Deserialize, Serialize};

use crate::input::{Entry, Inputs};

/// A row of `late_events`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LateEvent {
    pub seq: u64,
    pub kind: Name,
    pub at: i64,
    pub behind: i64,
}

impl ViewRow for LateEvent {
    const VIEW: &'static View = &View {
        name: "late_events",
        doc: "Events from before the correction horizon: kept, counted, without effect.",
        key: 1,
        columns: &[
            Column::int("seq", "journal position; the bytes are there"),
            Column::text("event_type", "kind of event"),
            Column::int("event_ms", "its event time, ms UTC"),
            Column::int("behind_ms", "how far behind the watermark it was, ms"),
        ],
    };

    fn cells(&self, row: &mut Row) {
        row.extend([
            Value::Int(self.seq as i64),
            self.kind.clone().into(),
            self.at.into(),
            self.behind.into(),
        ]);
    }
}

/// A row of `late_elements`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LateElements {
    pub view: Name,
    pub key: Name,
    pub window: Window,
    pub count: i64,
}

impl ViewRow for LateElements {
    const VIEW: &'static View = &View {
        name: "late_elements",
        doc: "Contributions that came after their window was final, counted per window.",
        key: 3,
        columns: &[
            Column::text("view", "whose window it was"),
            Column::text("key", "the window's key"),
            Column::int("window_start_ms", "start of the window, ms UTC"),
            Column::int("window_end_ms", "end of the window, ms UTC"),
            Column::int("late", "by how many contributions the window would have changed since"),
        ],
    };

    fn cells(&self, row: &mut Row) {
        row.extend([
            Value::from(self.view.clone()),
            self.key.clone().into(),
            self.window.start.into(),
            self.window.end.into(),
            self.count.into(),
        ]);
    }
}

/// A row of `duplicate_counts`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DuplicateCount {
    pub kind: Name,
    pub count: i64,
}

impl ViewRow for DuplicateCount {
    const VIEW: &'static View = &View {
        name: "duplicate_counts",
        doc: "Events whose identity had been seen before, per kind; counted, without effect.",
        key: 1,
        columns: &[
            Column::text("event_type", "kind of event"),
            Column::int("duplicates", "how many"),
        ],
    };

    fn cells(&self, row: &mut Row) {
        row.extend([Value::from(self.kind.clone()), self.count.into()]);
    }
}

/// What the door turned away, as views.
pub(crate) fn publish<'s>(graph: &mut Graph<'s, Entry>, input: &Inputs<'s>) {
    let refused = input.refused.clone();
    graph.publish(refused.clone().flat_map(|refused| {
        match (refused.row.event(), refused.reason) {
            (Some(envelope), Reason::TooLate) => Some(LateEvent {
                seq: envelope.seq,
                kind: envelope.event.event_type().into(),
                at: envelope.at,
                behind: refused.behind,
            }),
            _ => None,
        }
    }));
    let duplicates = refused.flat_map(|refused| match (refused.row.event(), refused.reason) {
        (Some(envelope), Reason::Duplicate) => Some(Name::from(envelope.event.event_type())),
        _ => None,
    });
    graph.publish(duplicates.count().map(|(kind, n)| DuplicateCount { kind, count: n as i64 }));
}

/// Late elements of a view's windows, counted; what was taken back late counts against what came late.
///
/// State: a count per window that missed anything, for good, as the view's row is.
pub fn late_elements<'s>(
    view: &'static str,
    late: Table<'s, (Name, LateElement)>,
) -> Table<'s, LateElements> {
    let place = |(key, late): (Name, LateElement)| (key, late.window);
    let came = late.clone().filter(|(_, late)| !late.deletion).map(place);
    let gone = late.filter(|(_, late)| late.deletion).map(place);
    came.concat(gone.negate()).count().map(move |((key, window), n)| LateElements {
        view: view.into(),
        key,
        window,
        count: n as i64,
    })
}
