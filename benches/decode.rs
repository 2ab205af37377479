//! What an event costs at the door: decoding one, and encoding it again.
//!
//! ```text
//! cargo bench --bench decode
//! ```
//!
//! Under `cargo test` it runs a handful of rounds, so that it cannot rot.
#![allow(clippy::print_stdout, reason = "a benchmark reports on standard output")]

use std::hint::black_box;
use std::time::Instant;

use highwater_model::{decode, encode};

const EVENTS: [(&str, &str); 3] = [
    (
        "AgentStateChange",
        r#"{"event_type":"AgentStateChange","event_id":"evt-20260515-143207-a4821","timestamp":"2026-05-15T14:32:07.123Z","agent_id":"agent-4821","previous_state":"available","new_state":"on-call","state_reason":null,"queue_id":"queue-billing-voice","contact_id":"contact-99281","source":"genesys-cloud"}"#,
    ),
    (
        "ContactArrival",
        r#"{"event_type":"ContactArrival","event_id":"evt-20260515-143208-c99282","timestamp":"2026-05-15T14:32:08.456Z","contact_id":"contact-99282","queue_id":"queue-billing-voice","channel":"voice","ani":"+1555XXXX789","ivr_path":["main-menu","billing","agent"],"estimated_handle_time":285}"#,
    ),
    (
        "QueueUpdate",
        r#"{"event_type":"QueueUpdate","event_id":"evt-20260515-143210-q001","timestamp":"2026-05-15T14:32:10.000Z","queue_id":"queue-billing-voice","contacts_waiting":7,"longest_wait_seconds":42,"agents_available":12,"agents_on_call":23,"agents_acw":5,"agents_aux":3,"service_level_current":0.78,"interval_volume_so_far":87,"interval_aht_so_far":292.4}"#,
    ),
];

fn main() {
    // Cargo says `--bench` when it means it.
    let rounds = if std::env::args().any(|arg| arg == "--bench") { 200_000 } else { 10 };
    for (name, text) in EVENTS {
        let decoded = decode(text.as_bytes()).expect("the sources' own samples decode");
        let reading = time(rounds, || {
            black_box(decode(black_box(text.as_bytes())).is_ok());
        });
        let writing = time(rounds, || {
            black_box(encode(black_box(&decoded.envelope), "evt-20260515-143207-a4821"));
        });
        println!("{name:<18} {} bytes  decode {reading:>5} ns  encode {writing:>5} ns", text.len());
    }
}

/// The median of five runs, ns per round.
#[allow(clippy::disallowed_methods, reason = "a benchmark measures the real clock")]
fn time(rounds: u128, mut work: impl FnMut()) -> u128 {
    let mut runs: Vec<u128> = (0..5)
        .map(|_| {
            let begun = Instant::now();
            (0..rounds).for_each(|_| work());
            begun.elapsed().as_nanos() / rounds
        })
        .collect();
    runs.sort_unstable();
    runs[2]
}
