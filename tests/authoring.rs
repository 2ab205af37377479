//! The query that `docs/authoring.md` builds, held against its oracle at every closed epoch.

mod missed_offers;
mod oracle;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use highwater_dataflow::view::{Row, Value, ViewRow};
use highwater_dataflow::{AlertRow, Batch, FOREVER, Millis, Options, Runtime};
use highwater_queries::{Inputs, Settings};

use crate::oracle::late_events::Door;
use crate::oracle::progress::Progress;
use crate::sim::delivery::{Trouble, deliver, epochs};
use crate::sim::random::Random;
use crate::sim::world::{Edits, happenings};
use missed_offers::unresponsive;

const LASTING: Millis = 120_000;

#[test]
fn the_example_of_the_guide_equals_its_oracle_at_every_epoch() {
    let mut too_late = 0;
    for (seed, workers, allowed_lateness_s) in [(1, 1, 0), (2, 2, 0), (3, 4, 600)] {
        let settings = Settings { interval_s: 300, allowed_lateness_s, ..Settings::default() };
        let trouble = Trouble {
            duplicates: 20,
            late: 10,
            very_late: 2,
            late_edits: true,
            partitions: 2,
            recording: None,
            disorder: 10_000,
            ends: false,
        };
        let mut random = Random::new(seed);
        let happenings = happenings(&mut random, Edits::Past);
        let told = deliver(&mut random, happenings, trouble);
        let epochs = epochs(&mut random, told, 40, trouble);

        let options =
            Options { workers, epochs_in_flight: 1, commits_waiting: 1, ..Options::default() };
        let chosen = settings.clone();
        let (runtime, commits) = Runtime::start(options, move |graph| {
            let input = Inputs::new(graph, &chosen);
            missed_offers::publish(graph, &input, &chosen);
            let alerts = unresponsive(&input, LASTING);
            graph.publish(alerts.rows);
            graph.notify(alerts.messages);
        });
        let (mut door, mut progress) = (Door::new(&settings), Progress::default());
        let mut offers = oracle::MissedOffers::new(&settings);
        let mut views: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
        let mut alerts: BTreeMap<String, Row> = BTreeMap::new();
        for epoch in epochs {
            let before = progress.watermark;
            progress.hear(&epoch.signals);
            door.admit(&epoch.entries, before);
            runtime.send(Batch {
                epoch: epoch.number,
                events: epoch.entries,
                signals: epoch.signals,
                stamps: Arc::default(),
            });
            let commit = commits.recv().unwrap();
            for changes in commit.changes {
                for (row, diff) in changes.rows {
                    if changes.view.name == AlertRow::VIEW.name {
                        if diff > 0 {
                            alerts.insert(text(&row[0]), row)
                        } else {
                            None
                        };
                    } else {
                        let rows = views.entry(changes.view.name).or_default();
                        let row = format!("{row:?}");
                        let fits = if diff > 0 { rows.insert(row) } else { rows.remove(&row) };
                        assert!(fits, "seed {seed}: one row per key, and only what was there goes");
                    }
                }
            }
            let (known, now) = (&door.known, progress.watermark);
            let (rows, late) = offers.rows(known, before, now);
            too_late += late.len();
            for (view, rows) in [("missed_offers", rows), ("late_elements", late)] {
                let rows: BTreeSet<String> = rows.iter().map(|row| format!("{row:?}")).collect();
                let held = views.get(view).cloned().unwrap_or_default();
                assert_eq!(held, rows, "seed {seed}, epoch {}, {view}", epoch.number);
            }
            let standing = alerts.values().filter(|row| text(&row[3]) != "retracted").map(claim);
            let standing: BTreeSet<_> = standing.collect();
            let spells = oracle::unresponsive(known, now, LASTING);
            assert_eq!(standing, spells, "seed {seed}, epoch {}", epoch.number);
        }
        runtime.finish();
        assert!(!alerts.is_empty(), "seed {seed} shows something");
    }
    assert!(too_late > 0, "something came for an interval that was final");
}

/// Whom a row of `alerts` is about, from when to when.
fn claim(row: &Row) -> (String, i64, i64) {
    let int = |cell: &Value| if let Value::Int(n) = cell { *n } else { FOREVER };
    (text(&row[2]), int(&row[4]), int(&row[5]))
}

fn text(cell: &Value) -> String {
    if let Value::Text(text) = cell { text.to_string() } else { panic!("no text: {cell:?}") }
}
