//! The cluster's port: everyone may knock, peers are let in, nobody can hold it.
//!
//! Each knock has a thread, a deadline and a place; there are so many places, and when all are taken, the one who has
//! been standing there longest goes. A peer needs milliseconds.

use std::collections::VecDeque;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tracing::{debug, warn};

use super::handshake::Failed;
use super::link::Link;

/// Knocks under way at once.
const PLACES: usize = 64;
/// How often the wait for a knock looks up.
const LOOK_UP: Duration = Duration::from_millis(100);

/// Who answers a knock, and whether the port is still wanted.
pub(super) trait Answer: Send + Sync + 'static {
    fn answer(&self, link: Link) -> Result<(), Failed>;
    fn is_over(&self) -> bool;
}

/// Answers until it is over, on a thread of its own.
pub(super) fn open(listener: TcpListener, host: Arc<dyn Answer>) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let run = move || {
        let waiting: Arc<Mutex<Waiting>> = Arc::default();
        while !host.is_over() {
            match listener.accept() {
                Ok((stream, _)) => knock(stream, &waiting, &host),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => wait(&listener),
                Err(error) => {
                    // Out of file descriptors, or a knock that was taken back.
                    debug!(%error, "cannot answer at the cluster port");
                    wait(&listener);
                }
            }
        }
    };
    thread::Builder::new().name("cluster-port".into()).spawn(run).map(drop)
}

fn wait(listener: &TcpListener) {
    let time = Timespec { tv_sec: 0, tv_nsec: i64::from(LOOK_UP.subsec_nanos()) };
    // Whatever it says, the next look tells.
    let _ = poll(&mut [PollFd::new(listener, PollFlags::IN)], Some(&time));
}

#[derive(Default)]
struct Waiting {
    places: VecDeque<(u64, TcpStream)>,
    count: u64,
    strangers: u64,
}

fn knock(stream: TcpStream, waiting: &Arc<Mutex<Waiting>>, host: &Arc<dyn Answer>) {
    let Ok(handle) = stream.try_clone() else { return };
    let number = {
        let mut waiting = waiting.lock().expect("nobody panics with the lock");
        if waiting.places.len() == PLACES
            && let Some((_, oldest)) = waiting.places.pop_front()
        {
            // Its thread sees the end, and goes.
            let _ = oldest.shutdown(std::net::Shutdown::Both);
        }
        waiting.count += 1;
        let number = waiting.count;
        waiting.places.push_back((number, handle));
        number
    };
    let (host, shared) = (host.clone(), waiting.clone());
    let talk = move || {
        let outcome = Link::new(stream).map_err(Failed::from).and_then(|link| host.answer(link));
        let mut waiting = shared.lock().expect("nobody panics with the lock");
        waiting.places.retain(|(other, _)| *other != number);
        if let Err(failed) = outcome {
            waiting.strangers += 1;
            // Not a line for each: whoever scans must not fill the log.
            if waiting.strangers.is_power_of_two() {
                let count = waiting.strangers;
                warn!(%failed, count, "turned a stranger away from the cluster port");
            }
        }
    };
    if thread::Builder::new().name("cluster-knock".into()).spawn(talk).is_err() {
        let mut waiting = waiting.lock().expect("nobody panics with the lock");
        waiting.places.retain(|(other, _)| *other != number);
    }
}
