//! Cases of our own: the rules of the window model, one by one.

use serde_json::{Value, json};

fn case(id: &str, config: Value, steps: Value) -> Value {
    json!({"id": id, "kind": "panes", "config": config, "steps": steps})
}

/// `config` with the usual: fixed windows of 10, default trigger, collect.
fn fixed(more: Value) -> Value {
    let mut config = json!({
        "window": {"type": "fixed", "size": 10, "offset": 0}, "trigger": {"type": "default"},
        "accumulation": "accumulating", "allowed_lateness": 100, "combine": "collect",
    });
    for (field, value) in more.as_object().unwrap() {
        config[field] = value.clone();
    }
    config
}

fn count(n: u64) -> Value {
    json!({"type": "after_count", "n": n})
}

fn delay(delay: u64) -> Value {
    json!({"type": "after_processing_time", "delay": delay})
}

fn repeatedly(of: Value) -> Value {
    json!({"type": "repeatedly", "of": of})
}

fn end() -> Value {
    json!({"type": "after_watermark"})
}

/// `ts` is also the value.
fn add(times: &[i64]) -> Value {
    json!({"add": times.iter().map(|ts| json!({"ts": ts, "v": ts})).collect::<Vec<_>>()})
}

pub(crate) fn cases() -> Vec<Value> {
    let processing = json!({"type": "after_each", "of": [
        {"type": "or_finally", "main": repeatedly(delay(5)), "until": end()},
        repeatedly(delay(25)),
    ]});
    let two_or_end = repeatedly(json!({"type": "after_any", "of": [count(2), end()]}));
    vec![
        case(
            "default.on_time_then_late",
            fixed(json!({"combine": "sum"})),
            json!([
                {"watermark": 0}, add(&[1]), {"watermark": 10},
                {"expect": [{"value": 1, "timing": "ON_TIME", "index": 0, "nonspec_index": 0, "first": true, "last": false}]},
                add(&[3]),
                {"expect": [{"value": 4, "timing": "LATE", "index": 1, "nonspec_index": 1, "first": false, "last": false}]},
                {"watermark": 110}, {"expect": []}, add(&[4]), {"expect": []}, {"expect_dropped": 1},
            ]),
        ),
        case(
            "default.end_and_expiry_at_once",
            fixed(json!({"allowed_lateness": 50, "closing_behavior": "fire_always"})),
            json!([
                add(&[1]), {"watermark": 100},
                {"expect": [{"values": [1], "timing": "ON_TIME", "index": 0, "first": true, "last": true}]},
            ]),
        ),
        case(
            "any.all_states_discarding",
            fixed(json!({"trigger": two_or_end, "accumulation": "discarding",
            "closing_behavior": "fire_always", "timestamp_combiner": "earliest"})),
            json!([
                {"watermark": 0}, add(&[1, 2]),
                {"expect": [{"values": [1, 2], "ts": 1, "timing": "EARLY", "index": 0, "nonspec_index": -1, "first": true}]},
                {"watermark": 50},
                {"expect": [{"values": [], "ts": 9, "timing": "ON_TIME", "index": 1, "nonspec_index": 0, "last": false}]},
                {"watermark": 150},
                {"expect": [{"values": [], "ts": 9, "timing": "LATE", "index": 2, "nonspec_index": 1, "last": true}]},
            ]),
        ),
        case(
            "any.no_empty_final_pane",
            fixed(json!({"trigger": two_or_end, "timestamp_combiner": "earliest"})),
            json!([
                {"watermark": 0}, add(&[1, 2]), {"watermark": 20}, {"watermark": 250},
                {"expect": [{"values": [1, 2], "ts": 1}, {"values": [1, 2], "ts": 9}]},
            ]),
        ),
        case(
            "each.processing_time",
            fixed(
                json!({"trigger": processing, "timestamp_combiner": "earliest", "combine": "count"}),
            ),
            json!([
                {"watermark": 0}, {"clock": 0}, add(&[1, 3, 7, 5]), {"clock": 6},
                {"expect": [{"value": 4, "ts": 1, "timing": "EARLY", "index": 0, "nonspec_index": -1}]},
                add(&[8, 4]), {"watermark": 11},
                {"expect": [{"value": 6, "ts": 4, "timing": "ON_TIME", "index": 1, "nonspec_index": 0}]},
                add(&[8, 4, 5]), {"watermark": 12}, add(&[3]), {"clock": 15}, add(&[5]), {"clock": 32},
                {"expect": [{"value": 11, "ts": 9, "timing": "LATE", "index": 2, "nonspec_index": 1}]},
                add(&[3]), {"watermark": 125},
                {"expect": [{"value": 12, "ts": 9, "timing": "LATE", "index": 3, "nonspec_index": 2, "last": true}]},
            ]),
        ),
        case(
            "each.empty_on_time_only_if_asked",
            fixed(json!({"trigger": processing, "timestamp_combiner": "earliest",
            "combine": "count", "closing_behavior": "fire_always", "on_time_behavior": "fire_if_non_empty"})),
            json!([
                {"watermark": 0}, add(&[1, 3, 7, 5]), {"clock": 6}, {"watermark": 11},
                {"expect": [{"value": 4, "ts": 1, "timing": "EARLY"}]},
                {"watermark": 110},
                {"expect": [{"value": 4, "ts": 9, "timing": "LATE", "index": 1, "nonspec_index": 0, "last": true}]},
            ]),
        ),
        case(
            "processing_time.expiry_finds_it_pending",
            fixed(json!({"trigger": repeatedly(delay(10)),
            "window": {"type": "fixed", "size": 100, "offset": 0}, "allowed_lateness": 0, "timestamp_combiner": "earliest", "combine": "sum"})),
            json!([
                {"clock": 5000}, add(&[2, 5]), {"watermark": 100},
                {"expect": [{"value": 7, "ts": 2, "timing": "ON_TIME", "index": 0, "nonspec_index": 0, "first": true, "last": true}]},
                {"clock": 5011}, {"expect": []},
            ]),
        ),
        case(
            "processing_time.early_and_window_lives_on",
            fixed(json!({"trigger": repeatedly(delay(10)), "combine": "sum"})),
            json!([
                {"clock": 5000}, add(&[2, 5]), {"clock": 5009}, {"expect": []}, {"clock": 5010},
                {"expect": [{"value": 7, "timing": "EARLY", "last": false}]},
            ]),
        ),
        case(
            "never.fires_at_expiry",
            fixed(json!({"trigger": {"type": "after_watermark", "late": {"type": "never"}},
            "accumulation": "accumulating", "combine": "sum"})),
            json!([
                add(&[3]), {"watermark": 10}, {"expect": [{"value": 3, "timing": "ON_TIME", "last": false}]},
                add(&[4]), {"expect": []}, {"watermark": "+inf"}, {"expect": [{"value": 7, "timing": "LATE", "last": true}]},
            ]),
        ),
        case(
            "holds.late_elements_do_not_set_the_time",
            fixed(json!({"timestamp_combiner": "earliest"})),
            json!([
                {"watermark": 5}, add(&[2, 3, 7, 8]), {"watermark": 11}, {"expect": [{"values": [2, 3, 7, 8], "ts": 7}]},
            ]),
        ),
        case(
            "holds.none_in_time_gives_the_end",
            fixed(json!({"timestamp_combiner": "earliest"})),
            json!([
                {"watermark": 8}, add(&[2, 3, 7]), {"watermark": 11}, {"expect": [{"values": [2, 3, 7], "ts": 9}]},
            ]),
        ),
        case(
            "holds.latest",
            fixed(json!({"timestamp_combiner": "latest"})),
            json!([
                add(&[1, 2, 3, 10, 11, 25]), {"watermark": 100},
                {"expect": [{"values": [1, 2, 3], "ts": 3}, {"values": [10, 11], "ts": 11}, {"values": [25], "ts": 25}]},
            ]),
        ),
        case(
            "late_only.is_late",
            fixed(json!({})),
            json!([
                {"watermark": 15}, add(&[1]), {"expect": [{"timing": "LATE", "index": 0, "nonspec_index": 0, "first": true}]},
            ]),
        ),
        case(
            "count.finishes_and_closes",
            fixed(json!({"trigger": count(2), "accumulation": "discarding"})),
            json!([
                add(&[1, 2, 3]), {"expect": [{"values": [1, 2, 3], "timing": "EARLY", "last": true}]},
                add(&[4]), {"expect": []}, {"expect_dropped": 1}, {"watermark": "+inf"}, {"expect": []},
            ]),
        ),
        case(
            "sliding.finished_windows_refuse_one_by_one",
            fixed(json!({"window": {"type": "sliding", "size": 100, "period": 30, "offset": 0},
            "trigger": end(), "allowed_lateness": 1000, "combine": "sum"})),
            json!([
                {"add": [{"ts": 23, "v": 10}, {"ts": 40, "v": 12}]}, {"watermark": 70},
                {"add": [{"ts": 60, "v": 14}]},
                {"watermark": 130}, {"add": [{"ts": 40, "v": 16}]}, {"expect_dropped": 4},
                {"expect_by_window": [
                    {"window": [-60, 40], "panes": [{"value": 10}]}, {"window": [-30, 70], "panes": [{"value": 22}]},
                    {"window": [0, 100], "panes": [{"value": 36}]}, {"window": [30, 130], "panes": [{"value": 26}]},
                ]},
            ]),
        ),
        case(
            "sliding.early_and_late",
            fixed(json!({"window": {"type": "sliding", "size": 10, "period": 5, "offset": 0},
            "trigger": {"type": "after_watermark", "early": count(2), "late": count(1)}, "accumulation": "accumulating_retracting", "combine": "sum"})),
            json!([
                add(&[1]), {"expect": []}, add(&[6]), {"expect": [{"window": [0, 10], "value": 7, "timing": "EARLY"}]},
                {"watermark": 5}, {"expect": [{"window": [-5, 5], "value": 1, "timing": "ON_TIME"}]},
                {"watermark": 10}, {"expect_ordered": [
                    {"window": [0, 10], "value": 7, "timing": "EARLY", "retract": true},
                    {"window": [0, 10], "value": 7, "timing": "ON_TIME", "retract": false}]},
                add(&[2]), {"expect_ordered": [
                    {"window": [-5, 5], "value": 1, "retract": true}, {"window": [-5, 5], "value": 3, "timing": "LATE"},
                    {"window": [0, 10], "value": 7, "retract": true}, {"window": [0, 10], "value": 9, "timing": "LATE"}]},
                {"watermark": "+inf"}, {"expect": [{"window": [5, 15], "value": 6, "timing": "ON_TIME"}]},
            ]),
        ),
        case(
            "global.count_then_drain",
            json!({"window": {"type": "global"}, "trigger": repeatedly(count(3)),
            "accumulation": "discarding", "combine": "collect"}),
            json!([
                add(&[0, 1, 2]), add(&[3]), add(&[4, 5]), add(&[6]),
                {"expect": [{"values": [0, 1, 2], "timing": "EARLY", "index": 0}, {"values": [3, 4, 5], "index": 1}]},
                {"watermark": "+inf"}, {"expect": [{"values": [6], "timing": "ON_TIME", "index": 2, "nonspec_index": 0, "last": true}]},
            ]),
        ),
        case(
            "global.empty_drain",
            json!({"window": {"type": "global"}, "trigger": repeatedly(delay(3)),
            "accumulation": "discarding", "combine": "collect"}),
            json!([
                add(&[0]), {"clock": 3}, {"expect": [{"values": [0], "timing": "EARLY"}]},
                {"watermark": "+inf"}, {"expect": [{"values": [], "timing": "ON_TIME", "index": 1, "last": true}]},
            ]),
        ),
        case(
            "all.waits_for_both",
            fixed(
                json!({"trigger": repeatedly(json!({"type": "after_all", "of": [count(2), delay(5)]})), "accumulation": "discarding"}),
            ),
            json!([
                {"clock": 10}, add(&[1]), {"clock": 20}, {"expect": []}, add(&[2]), {"expect": [{"values": [1, 2]}]},
                add(&[3, 4]), {"expect": []}, {"clock": 25}, {"expect": [{"values": [3, 4], "index": 1}]},
            ]),
        ),
        case(
            "or_finally.until_counts_across_panes",
            fixed(
                json!({"trigger": {"type": "or_finally", "main": repeatedly(count(2)), "until": count(3)}, "accumulation": "discarding"}),
            ),
            json!([
                add(&[1, 2]), {"expect": [{"values": [1, 2], "last": false}]}, add(&[3]), {"expect": [{"values": [3], "last": true}]},
                add(&[4]), {"expect": []}, {"expect_dropped": 1},
            ]),
        ),
        case(
            "sessions.one_gap_apart_are_two",
            sessions(json!({})),
            json!([
                add(&[1, 11]), {"watermark": "+inf"}, {"expect": [{"window": [1, 11], "values": [1]}, {"window": [11, 21], "values": [11]}]},
            ]),
        ),
        case(
            "sessions.bridge_retracts_both",
            sessions(json!({"accumulation": "accumulating_retracting"})),
            json!([
                add(&[1, 15]), {"watermark": 30}, {"expect": [{"window": [1, 11]}, {"window": [15, 25]}]},
                add(&[8]), {"expect": [
                    {"window": [1, 11], "values": [1], "retract": true}, {"window": [15, 25], "values": [15], "retract": true},
                    {"window": [1, 25], "values": [1, 8, 15], "retract": false, "timing": "LATE", "index": 0}]},
                {"remove": [{"ts": 8, "v": 8}]}, {"expect": [
                    {"window": [1, 25], "values": [1, 8, 15], "retract": true},
                    {"window": [1, 11], "values": [1], "retract": false}, {"window": [15, 25], "values": [15], "retract": false}]},
                {"remove": [{"ts": 1, "v": 1}]}, {"expect": [{"window": [1, 11], "values": [1], "retract": true}]},
            ]),
        ),
        case(
            "sessions.late_element_joins_a_live_session",
            sessions(json!({"allowed_lateness": 0})),
            json!([
                add(&[1]), {"watermark": 8}, add(&[10]), {"watermark": 12}, add(&[0]), {"expect": []},
                {"watermark": 20}, {"expect": [{"window": [0, 20], "values": [0, 1, 10], "timing": "ON_TIME", "last": true}]}, {"expect_dropped": 0},
                add(&[19]), {"watermark": 29}, {"expect": [{"window": [19, 29]}]},
            ]),
        ),
        case(
            "sessions.closed_does_not_poison",
            sessions(
                json!({"trigger": count(1), "accumulation": "discarding", "allowed_lateness": 50}),
            ),
            json!([
                add(&[2]), {"expect": [{"window": [2, 12], "values": [2], "timing": "EARLY", "last": true}]},
                add(&[1, 3]), {"expect": [{"window": [1, 13], "values": [1, 3], "last": true}]},
                add(&[2]), {"expect": []}, {"expect_dropped": 1},
            ]),
        ),
        case(
            "sessions.closed_takes_nothing_that_touches_it",
            sessions(json!({"allowed_lateness": 1000,
            "trigger": {"type": "after_each", "of": [count(2), count(3)]}})),
            json!([
                add(&[0, 1]), add(&[2, 3]), add(&[4, 5]), add(&[6, 7]), add(&[8, 9]),
                {"expect_by_window": [
                    {"window": [0, 11], "panes": [{"values": [0, 1]}]},
                    {"window": [0, 15], "panes": [{"values": [0, 1, 2, 3, 4, 5], "last": true}]},
                ]}, {"expect_pane_count": 2}, {"expect_dropped": 4},
            ]),
        ),
        case(
            "sessions.each_again",
            sessions(json!({"allowed_lateness": 1000,
            "trigger": repeatedly(json!({"type": "after_each", "of": [count(2), count(3)]}))})),
            json!([
                add(&[0, 1]), add(&[2, 3]), add(&[4, 5]), add(&[6, 7]), add(&[8, 9]), {"expect_pane_count": 3},
                {"expect_by_window": [{"window": [0, 17], "panes": [{"values": [0, 1, 2, 3, 4, 5, 6, 7]}]}]},
            ]),
        ),
        case(
            "sessions.late_bridge_over_two_that_are_over",
            sessions(json!({"allowed_lateness": 1000,
            "trigger": {"type": "after_watermark", "early": count(2), "late": count(1)}})),
            json!([
                add(&[1, 15]), add(&[7, 30]), {"watermark": 100}, add(&[1, 2]), add(&[21]),
                {"expect_by_window": [
                    {"window": [1, 25], "panes": [{"values": [1, 7, 15]}, {"values": [1, 7, 15]}, {"values": [1, 1, 2, 7, 15]}]},
                    {"window": [30, 40], "panes": [{"values": [30], "timing": "ON_TIME"}]},
                    {"window": [1, 40], "panes": [{"values": [1, 1, 2, 7, 15, 21, 30], "timing": "LATE"}]},
                ]},
            ]),
        ),
        case(
            "sessions.all_waits_for_late_elements",
            sessions(json!({"allowed_lateness": 1000,
            "trigger": {"type": "after_all", "of": [count(5), end()]}})),
            json!([
                add(&[1]), add(&[2]), add(&[3]), {"watermark": 100}, add(&[1]), add(&[2]), add(&[3]),
                {"expect": [{"window": [1, 13], "values": [1, 1, 2, 2, 3]}]},
            ]),
        ),
        case(
            "sessions.extended_past_the_watermark",
            sessions(json!({"window": {"type": "sessions", "gap": 3000},
            "accumulation": "discarding", "allowed_lateness": 10, "combine": "count"})),
            json!([
                add(&[1000]), {"watermark": 2000}, add(&[2000]), {"watermark": 4999}, add(&[4500]), add(&[8500]),
                {"watermark": 7401}, add(&[7000]), {"watermark": 11502}, {"expect": [{"window": [1000, 11500], "value": 5}]},
                add(&[11600]), {"watermark": 14601}, {"expect": [{"window": [11600, 14600], "value": 1}]},
                add(&[10000]), {"expect": [{"window": [10000, 14600], "value": 1}]},
                add(&[14500]), {"watermark": 20001}, {"expect": [{"window": [10000, 17500], "value": 1}]}, {"expect_dropped": 0},
            ]),
        ),
        case(
            "sessions.finished_end_lives_again_when_it_moves",
            sessions(
                json!({"trigger": {"type": "after_watermark", "late": count(1)}, "allowed_lateness": 50}),
            ),
            json!([
                add(&[1]), {"watermark": 12}, {"expect": [{"window": [1, 11], "timing": "ON_TIME"}]},
                add(&[9]), {"expect": []}, {"watermark": 19}, {"expect": [{"window": [1, 19], "values": [1, 9], "timing": "ON_TIME", "index": 0}]},
            ]),
        ),
        case(
            "sessions.merged_rows_go_in_order_of_time",
            sessions(
                json!({"trigger": {"type": "always"}, "accumulation": "accumulating_retracting", "combine": "count"}),
            ),
            json!([
                add(&[40]), {"expect": [{"window": [40, 50], "value": 1}]}, add(&[52]), {"expect": [{"window": [52, 62], "value": 1}]},
                add(&[46]), {"expect_ordered": [
                    {"window": [40, 50], "value": 1, "retract": true}, {"window": [52, 62], "value": 1, "retract": true},
                    {"window": [40, 62], "value": 3, "retract": false}]},
            ]),
        ),
        case(
            "sessions.finished_part_rewinds_when_the_end_moves",
            sessions(json!({"trigger": {"type": "after_each", "of": [
                {"type": "or_finally", "main": count(5), "until": end()}, repeatedly(count(1))]}})),
            json!([
                add(&[100]), {"watermark": 110}, {"expect": [{"values": [100], "timing": "ON_TIME", "last": false}]},
                add(&[104]), {"expect": []}, add(&[101, 102, 103]), {"expect": []},
                add(&[102]), {"expect": [{"window": [100, 114], "timing": "EARLY", "index": 0}]}, add(&[102]), {"expect": [{"timing": "EARLY", "index": 1}]},
            ]),
        ),
        case(
            "each.parts_take_turns",
            fixed(json!({"accumulation": "discarding", "trigger": {"type": "after_each", "of": [
                {"type": "or_finally", "main": repeatedly(count(2)), "until": count(3)},
                {"type": "or_finally", "main": repeatedly(count(4)), "until": end()}]}})),
            json!([
                add(&[1]), {"expect": []}, add(&[2]), {"expect": [{"values": [1, 2]}]}, add(&[3, 4]), {"expect": [{"values": [3, 4]}]},
                add(&[5, 6, 7]), {"expect": []}, add(&[8]), {"expect": [{"values": [5, 6, 7, 8], "last": false}]},
                {"watermark": 10}, {"expect": [{"values": [], "timing": "ON_TIME", "last": true}]}, add(&[9]), {"expect_dropped": 1},
            ]),
        ),
        case(
            "never.speaks_once_when_the_window_is_over",
            sessions(
                json!({"trigger": {"type": "never"}, "allowed_lateness": 5, "combine": "count"}),
            ),
            json!([
                add(&[200]), add(&[205]), {"watermark": 216}, add(&[201]), {"watermark": 219}, {"expect": []},
                {"watermark": 220}, {"expect": [{"window": [200, 215], "value": 3, "timing": "ON_TIME", "last": true}]},
                add(&[201]), {"watermark": "+inf"}, {"expect": []}, {"expect_dropped": 1},
            ]),
        ),
        case(
            "text.values_are_sorted_as_text",
            fixed(json!({})),
            json!([
                {"add": [{"ts": 1, "v": "a"}, {"ts": 2, "v": "a b"}, {"ts": 3, "v": "a\"c"}]}, {"watermark": 10},
                {"expect": [{"values": ["a", "a b", "a\"c"]}]},
            ]),
        ),
        case(
            "retracting.a_correction_replaces_the_row",
            fixed(json!({"accumulation": "accumulating_retracting", "combine": "sum"})),
            json!([
                add(&[1, 2]), {"watermark": 10}, {"expect": [{"value": 3, "retract": false}]},
                {"remove": [{"ts": 2, "v": 2}]}, {"expect_ordered": [{"value": 3, "retract": true}, {"value": 1, "retract": false, "timing": "LATE"}]},
                {"remove": [{"ts": 1, "v": 1}]}, {"expect": [{"value": 1, "retract": true}]},
                {"expect_final_upsert": []}, {"watermark": "+inf"}, {"expect": []},
            ]),
        ),
    ]
}

/// A right version holds from its time on; rows come out when both sides have passed them, and are final then.
pub(crate) fn joins() -> Vec<Value> {
    let versions = json!({"id": "join.versions", "kind": "temporal_join", "config": {"join": "left"}, "steps": [
        {"watermarks": [2, 2]}, {"left": [{"ts": 3, "v": "a", "k": "x"}]}, {"right": [{"ts": 2, "v": "r", "k": "x"}]},
        {"watermarks": [9, 3]}, {"expect": []}, {"watermarks": [9, 9]},
        {"expect": [{"k": "x", "ts": 3, "left": "a", "right": "r", "right_ts": 2, "retract": false}]},
        {"right": [{"ts": 9, "op": "delete", "k": "x"}, {"ts": 11, "v": "s", "k": "x"}]},
        {"left": [{"ts": 10, "v": "b", "k": "x"}, {"ts": 12, "v": "c", "k": "x"}]}, {"expect": []}, {"watermark": 13},
        {"expect": [{"left": "b", "right": null}, {"left": "c", "right": "s"}]},
    ]});
    let late = json!({"id": "join.late", "kind": "temporal_join", "config": {"join": "left"}, "steps": [
        {"watermark": 20}, {"right": [{"ts": 21, "v": "r", "k": "x"}]}, {"left": [{"ts": 22, "v": "a", "k": "x"}]},
        {"left_watermark": 30}, {"expect": []}, {"right_watermark": 30}, {"expect": [{"left": "a", "right": "r"}]},
        {"left": [{"ts": 29, "v": "b", "k": "x"}, {"ts": 22, "v": "a", "k": "x", "op": "delete"}, {"ts": 33, "v": "c", "k": "y"}]},
        {"right": {"ts": 28, "v": "t", "k": "x"}}, {"expect": []}, {"watermarks": [35, 30]}, {"expect": []}, {"watermark": 35},
        {"expect": [{"k": "x", "ts": 29, "left": "b", "right": "t"}, {"k": "y", "left": "c", "right": null}]}, {"expect_dropped": 1},
        {"right": [{"ts": 32, "v": "s", "k": "y"}, {"ts": 32, "v": "q", "k": "y"}]}, {"expect": []},
        {"left": [{"ts": 36, "v": "d", "k": "y"}, {"ts": 37, "v": "e", "k": "y"}]}, {"left": [{"ts": 37, "v": "e", "k": "y", "op": "delete"}]},
        {"watermark": "+inf"}, {"expect": [{"left": "d", "right": "q", "right_ts": 32}]},
    ]});
    let inner = json!({"id": "join.inner", "kind": "temporal_join", "config": {}, "steps": [
        {"watermarks": {"left": 5, "right": 5}}, {"right": [{"ts": 6, "v": "r", "k": 1}]},
        {"left": [{"ts": 2, "v": "early", "k": 1}, {"ts": 8, "v": "twice", "k": 1}, {"ts": 8, "v": "twice", "k": 1}]},
        {"watermark": 9}, {"expect": [{"k": 1, "left": "twice", "right": "r"}, {"k": 1, "left": "twice", "right": "r"}]},
        {"left": [{"ts": 3, "v": "early", "k": 1}, {"ts": 7, "v": "late", "k": 1}]}, {"expect": []},
        {"watermark": 10}, {"expect": [{"ts": 7, "left": "late", "right": "r", "right_ts": 6}]}, {"expect_dropped": 0},
        {"right": [{"ts": 11, "v": "r", "k": 1, "row_kind": "UPDATE_BEFORE"}, {"ts": 11, "v": "s", "k": 1, "row_kind": "UPDATE_AFTER"}]},
        {"left": {"ts": 12, "v": "x", "k": 1}, "watermarks": {"left": 13}}, {"expect": []}, {"watermarks": {"right": 13}},
        {"expect": [{"ts": 12, "left": "x", "right": "s"}]},
    ]});
    vec![versions, late, inner]
}

fn sessions(more: Value) -> Value {
    let gap = more.get("window").cloned();
    let mut config = fixed(more);
    config["window"] = gap.unwrap_or(json!({"type": "sessions", "gap": 10}));
    config
}

/// Cases whose expectations are wrong, each in its own way.
pub(crate) fn wrong() -> Vec<Value> {
    let steps = |expectation: Value| json!([add(&[1, 2]), {"watermark": 10}, expectation]);
    let wrong = [
        json!({"expect": []}),
        json!({"expect": [{"values": [1]}]}),
        json!({"expect": [{"window": [0, 20]}]}),
        json!({"expect": [{"timing_not": "ON_TIME"}]}),
        json!({"expect_ordered": [{"values": [1, 2]}, {}]}),
        json!({"expect_pane_count": 2}),
        json!({"expect_flat": {"on_time": [1, 2, 3]}}),
        json!({"expect_dropped": 1}),
        json!({"expect_final_upsert": []}),
        json!({"expect_values_in_order": [["k", [0, 10], [2]]]}),
        json!({"expect_by_window": [{"window": [0, 10], "panes": []}]}),
    ];
    let case = |(nth, wrong): (usize, Value)| {
        case(&format!("wrong.{nth}"), fixed(json!({})), steps(wrong))
    };
    wrong.into_iter().enumerate().map(case).collect()
}
