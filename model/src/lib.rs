//! The nouns and rules of contact-center workforce management: events, reference data, states. No I/O, no clock.
//!
//! Instants are `i64` milliseconds since the Unix epoch, UTC, in fields named `*_at` or `at`.

mod decode;
mod encode;
mod event;
mod ids;
mod state;

pub use decode::{Decoded, Malformed, decode};
pub use encode::encode;
pub use event::*;
pub use ids::*;
pub use state::{AgentState, Channel, Verdict};
