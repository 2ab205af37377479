//! `highwater bench`: how fast the program is, measured so that others can repeat it.
//!
//! ```text
//! feed -> load ------------------------> the service -> receiver   (alerts)
//!         (fixed schedule, open loop)      probe     -> page       (WebSocket)
//!                       \______________________________/
//!                            join -> report, plot
//! ```
//!
//! Every latency runs from the instant at which an event was *meant* to be sent: an event that could not be sent in
//! time because something before it stalled has waited, and is counted so.

pub(crate) mod args;
mod feed;
mod join;
mod latency;
mod load;
mod page;
mod plot;
mod probe;
mod process;
mod receiver;
mod replay;
mod report;
mod storm;
mod target;

use anyhow::Result;

pub(crate) fn bench(bench: args::Bench) -> Result<()> {
    match bench {
        args::Bench::Latency(latency) => latency::latency(&latency),
        args::Bench::Storm(storm) => storm::storm(&storm),
        args::Bench::Replay(replay) => replay::replay(&replay),
    }
}
