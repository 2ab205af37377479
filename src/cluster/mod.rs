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
/// Timely has no other way to tell. The message it begins with is kept stable for such readers. What follows may be a
/// panic of something that is dropped because of the first, which would abort the process as if the fault were its own.
pub(crate) fn expect_broken_links() {
    use std::sync::atomic::{AtomicBool, Ordering};
    static BROKEN: AtomicBool = AtomicBool::new(false);
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        let thread = std::thread::current();
        let engine = thread.name().is_some_and(|name| name.starts_with("timely:"));
        let text = info.payload_as_str().unwrap_or_default();
        match Panic::of(engine, BROKEN.load(Ordering::Relaxed), text) {
            Panic::Link => {
                if !BROKEN.swap(true, Ordering::Relaxed) {
                    tracing::warn!(reason = text, "lost the connection to another process");
                }
            }
            Panic::Follows => {
                tracing::debug!(reason = text, "an engine thread ends with the connection");
            }
            // The journal has what was acknowledged.
            Panic::CannotUnwind => std::process::exit(LOST.into()),
            Panic::Fault => before(info),
        }
    }));
}

/// What a panic is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Panic {
    /// A connection has ended.
    Link,
    /// It comes of that, and the thread ends.
    Follows,
    /// It comes of that, and the process would abort.
    CannotUnwind,
    /// Something is wrong here.
    Fault,
}

impl Panic {
    /// `engine`: in a thread of the engine; `broken`: one has told of a connection's end.
    fn of(engine: bool, broken: bool, text: &str) -> Panic {
        if engine && text.starts_with("timely communication error:") {
            Panic::Link
        } else if !engine || !broken {
            Panic::Fault
        } else if text == "panic in a destructor during cleanup" {
            Panic::CannotUnwind
        } else {
            Panic::Follows
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_follows_from_a_broken_link_is_taken_for_a_lost_process() {
        let link = "timely communication error: reading data: socket closed";
        let dropped = "panic in a destructor during cleanup";
        assert_eq!(Panic::of(true, false, link), Panic::Link);
        assert_eq!(Panic::of(true, true, "a receiver is gone"), Panic::Follows);
        assert_eq!(Panic::of(true, true, dropped), Panic::CannotUnwind);
        for (engine, broken, text) in
            [(true, false, dropped), (false, true, dropped), (false, true, link)]
        {
            assert_eq!(Panic::of(engine, broken, text), Panic::Fault, "{text}");
        }
    }

    /// The words are those of the standard library; they are known here by this test alone.
    #[test]
    fn a_panic_that_cannot_unwind_says_what_is_looked_for() {
        const CHILD: &str = "HIGHWATER_TEST_ABORTS";
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                panic!("second");
            }
        }
        if std::env::var_os(CHILD).is_some() {
            let _bomb = Bomb;
            panic!("first");
        }
        let name = "cluster::tests::a_panic_that_cannot_unwind_says_what_is_looked_for";
        let child = std::process::Command::new(std::env::current_exe().unwrap())
            .args([name, "--exact", "--nocapture"])
            .env(CHILD, "1")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&child.stderr);
        assert!(said.contains("panic in a destructor during cleanup"), "{said}");
    }
}
