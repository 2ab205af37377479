//! The nouns and rules of contact-center workforce management: events, reference data, states. No I/O, no clock.
//!
//! Instants are `i64` milliseconds since the Unix epoch, UTC, in fields named `*_at` or `at`.

mod activity_code;
mod decode;
mod encode;
mod event;
mod event_key;
mod ids;
mod json;
mod opening;
mod reading;
mod state;
mod timestamp;
mod wire;

pub use decode::{Decoded, Malformed, decode};
pub use encode::encode;
pub use event::*;
pub use ids::*;
pub use state::{AgentState, Channel, ServiceLevel, Verdict};
pub use timestamp::{format_ms, parse_ms};
