//! Erlang's formulas against what must hold of them at any size; published vectors are in `tests/acceptance/forecast.rs`.

use super::*;

fn load(contacts: f64, aht_s: f64) -> Load {
    Load { contacts, interval_s: 1800.0, aht_s }
}

fn close(is: f64, should: f64, digits: i32) {
    assert!((is - should).abs() <= 0.5001 * 10f64.powi(-digits), "{is} should be {should}");
}

#[test]
fn a_load_at_or_above_the_agents_is_an_answer() {
    for agents in [0, 5, 10] {
        let overload = erlang_c(load(100.0, 180.0), agents, 20.0).unwrap_err();
        assert_eq!((overload.erlangs, overload.agents), (10.0, agents));
    }
    for agents in [0, 1, 5, 10] {
        let is = erlang_a(load(100.0, 180.0), agents, 20.0, 120.0);
        assert!((0.0..=1.0).contains(&is.service_level), "{is:?}");
        assert!((0.0..=1.0).contains(&is.abandon_probability), "{is:?}");
        // What is not abandoned is served.
        let served = is.occupancy * f64::from(agents) / 10.0;
        close(served + is.abandon_probability, 1.0, 9);
    }
}

#[test]
fn nothing_to_do_needs_nobody() {
    let none = load(0.0, 180.0);
    assert_eq!(erlang_c(none, 0, 20.0), Ok(Performance::IDLE));
    assert_eq!(erlang_a(none, 0, 20.0, 60.0), Performance::IDLE);
    assert_eq!(agents_by_erlang_c(none, 0.8, 20.0), 0);
    assert_eq!(agents_by_erlang_a(none, 0.8, 20.0, 60.0), 0);
}

#[test]
fn more_agents_serve_better() {
    for contacts in [3.0, 100.0, 2_000.0] {
        let load = load(contacts, 240.0);
        let first = load.erlangs() as u32 + 1;
        let mut before: Option<(Performance, Performance)> = None;
        for agents in first..first + 40 {
            let c = erlang_c(load, agents, 20.0).unwrap();
            let a = erlang_a(load, agents, 20.0, 180.0);
            if let Some((c_before, a_before)) = before {
                assert!(c.service_level >= c_before.service_level - 1e-12, "{agents}");
                assert!(a.service_level >= a_before.service_level - 1e-12, "{agents}");
                assert!(c.mean_wait_s <= c_before.mean_wait_s + 1e-12, "{agents}");
                assert!(a.abandon_probability <= a_before.abandon_probability + 1e-12, "{agents}");
            }
            assert!(a.mean_wait_s <= c.mean_wait_s + 1e-9, "giving up shortens the queue");
            before = Some((c, a));
        }
    }
}

#[test]
fn with_endless_patience_erlang_a_is_erlang_c() {
    for (contacts, aht, agents) in [(100.0, 180.0, 14), (360.0, 240.0, 55), (1440.0, 60.0, 50)] {
        let c = erlang_c(load(contacts, aht), agents, 20.0).unwrap();
        let a = erlang_a(load(contacts, aht), agents, 20.0, 1e9);
        close(a.wait_probability, c.wait_probability, 5);
        close(a.service_level, c.service_level, 5);
        close(a.mean_wait_s, c.mean_wait_s, 3);
        close(a.occupancy, c.occupancy, 5);
    }
}

#[test]
fn large_queues_neither_overflow_nor_tire() {
    let large = Load { contacts: 900_000.0, interval_s: 900.0, aht_s: 300.0 };
    let agents = agents_by_erlang_c(large, 0.8, 20.0);
    assert!((300_000..303_000).contains(&agents), "{agents}");
    let is = erlang_a(large, 290_000, 20.0, 300.0);
    close(is.abandon_probability, 1.0 / 30.0, 3);
    let patient = erlang_a(load(200.0, 180.0), 10, 20.0, 1e7);
    assert!(patient.service_level < 1e-9 && patient.abandon_probability > 0.49, "{patient:?}");
}

#[test]
fn the_fewest_agents_are_the_fewest() {
    for contacts in [0.5, 12.0, 100.0, 1440.0] {
        for (target, threshold) in [(0.8, 20.0), (0.9, 10.0), (0.5, 120.0)] {
            let load = load(contacts, 180.0);
            let c = agents_by_erlang_c(load, target, threshold);
            assert!(erlang_c(load, c, threshold).unwrap().service_level >= target);
            assert!(
                erlang_c(load, c - 1, threshold).is_ok_and(|p| p.service_level < target)
                    || erlang_c(load, c - 1, threshold).is_err()
            );
            let a = agents_by_erlang_a(load, target, threshold, 180.0);
            assert!(a <= c + 1, "{a} and {c}");
            assert!(erlang_a(load, a, threshold, 180.0).service_level >= target);
            assert!(erlang_a(load, a - 1, threshold, 180.0).service_level < target);
        }
    }
    assert!(agents_by_erlang_c(load(100.0, 180.0), 1.0, 20.0) < 40, "a target of 1 ends");
}

#[test]
fn shrinkage_grosses_up() {
    assert_eq!(with_shrinkage(70, 0.3), 100);
    assert_eq!(with_shrinkage(71, 0.3), 102);
    assert_eq!(with_shrinkage(0, 0.3), 0);
    assert_eq!(with_shrinkage(10, 0.0), 10);
}
