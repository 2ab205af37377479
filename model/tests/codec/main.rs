//! Decoding and encoding, from the outside: the sources' samples, what is refused and why, and round trips.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod counted;
mod malformed;
mod round_trip;
mod samples;

use highwater_model::{Decoded, decode};

fn decoded(json: &str) -> Decoded {
    decode(json.as_bytes()).unwrap_or_else(|malformed| panic!("{malformed}\n{json}"))
}
