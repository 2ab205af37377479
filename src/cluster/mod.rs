//! Several processes as one service: who they are, how they meet, and how they part.
//!
//! | file | holds |
//! |---|---|
//! | `plan` | the `[cluster]` table, resolved |
//! | `number` | numbers of records and partitions, unique among journals |
//! | `member` | which journal a data directory has, and which there are in all |
//! | `link` | a connection and its deadlines |
//! | `tls`, `sealed` | certificates, and a connection encrypted with them |
//! | `handshake` | two processes prove that they know the secret, and introduce themselves |
//! | `door` | the port: strangers are turned away, peers let in |
//! | `begins`, `bases` | from where journals are read whose beginnings are gone, and who has which base |
//! | `mesh` | everyone meets everyone, and all agree where to start |
//! | `watch` | a peer that falls silent is noticed |
//! | `waiting` | what is answered until the others are there |
//! | `redirect` | reads are sent to the process that has the views |
//! | `supervisor` | the process that starts the service again |
//!
//! Design: `docs/decisions/0010-cluster.md`.

mod bases;
mod begins;
mod door;
mod handshake;
mod link;
mod member;
mod mesh;
mod number;
mod plan;
mod redirect;
mod sealed;
mod supervisor;
mod tls;
mod waiting;
mod watch;

use std::fmt;

pub(crate) use bases::Bases;
pub(crate) use begins::{Begins, together};
pub(crate) use member::Member;
pub(crate) use mesh::{Brings, Joined, check_single, hex, join};
pub(crate) use number::Number;
pub(crate) use plan::Cluster;
pub(crate) use redirect::router;
pub(crate) use supervisor::{Child, Ended, supervise};
pub(crate) use waiting::{WAITS, waiting};
pub(crate) use watch::Watch;

/// Exit code of a process that must start again because another one was lost.
pub(crate) const LOST: u8 = 75;

/// Another process of the cluster was lost: start again, and meet again.
#[derive(Debug)]
pub(crate) struct PeerLost(pub(crate) String);

impl fmt::Display for PeerLost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the cluster is broken: {}; start again", self.0)
    }
}

impl std::error::Error for PeerLost {}

/// What can never be right, however often it is tried: the journals that were brought are not those there are.
#[derive(Debug)]
pub(crate) struct WrongJournals(pub(crate) String);

impl fmt::Display for WrongJournals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for WrongJournals {}

/// Takes the panics of the engine's threads for what they are: the end of a connection, or what follows from it.
///
/// Timely has no other way to tell. The message it begins with is kept stable for such readers.
pub(crate) fn expect_broken_links() {
    use std::sync::atomic::{AtomicBool, Ordering};
    static BROKEN: AtomicBool = AtomicBool::new(false);
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        let thread = std::thread::current();
        let engine = thread.name().is_some_and(|name| name.starts_with("timely:"));
        let text = info.payload_as_str().unwrap_or_default();
        if engine && text.starts_with("timely communication error:") {
            if !BROKEN.swap(true, Ordering::Relaxed) {
                tracing::warn!(reason = text, "lost the connection to another process");
            }
        } else if engine && BROKEN.load(Ordering::Relaxed) {
            tracing::debug!(reason = text, "an engine thread ends with the connection");
        } else {
            before(info);
        }
    }));
}
