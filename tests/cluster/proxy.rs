//! A stretch of network that can be cut, or swallow what it is given.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

/// Passes connections on to an address.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    swallows: bool,
    over: bool,
    ends: Vec<TcpStream>,
}

impl Proxy {
    pub(crate) fn to(target: SocketAddr) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let proxy = Proxy { address, shared: shared.clone() };
        thread::spawn(move || {
            for stream in listener.incoming() {
                if shared.state.lock().unwrap().over {
                    return;
                }
                if let (Ok(near), Ok(far)) = (stream, TcpStream::connect(target)) {
                    let _ = (near.set_nodelay(true), far.set_nodelay(true));
                    pass(&near, &far, &shared);
                    pass(&far, &near, &shared);
                }
            }
        });
        proxy
    }

    /// Ends every connection.
    pub(crate) fn cut(&self) {
        for end in self.shared.state.lock().unwrap().ends.drain(..) {
            let _ = end.shutdown(Shutdown::Both);
        }
    }

    /// From now on nothing arrives, and nothing ends.
    pub(crate) fn swallow(&self) {
        self.shared.state.lock().unwrap().swallows = true;
    }

    /// What was swallowed arrives, and everything after it.
    pub(crate) fn heal(&self) {
        self.shared.state.lock().unwrap().swallows = false;
        self.shared.changed.notify_all();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.state.lock().unwrap().over = true;
        self.heal();
        self.cut();
        // Wakes the one who listens.
        let _ = TcpStream::connect(self.address);
    }
}

/// Moves bytes one way on a thread of its own.
fn pass(from: &TcpStream, to: &TcpStream, shared: &Arc<Shared>) {
    let (Ok(mut from), Ok(mut to)) = (from.try_clone(), to.try_clone()) else { return };
    let end = from.try_clone();
    shared.state.lock().unwrap().ends.extend(end);
    let shared = shared.clone();
    thread::spawn(move || {
        let mut bytes = vec![0; 1 << 16];
        while let Ok(read @ 1..) = from.read(&mut bytes) {
            let state = shared.state.lock().unwrap();
            let swallowed = |state: &mut State| state.swallows && !state.over;
            drop(shared.changed.wait_while(state, swallowed).unwrap());
            if to.write_all(&bytes[..read]).is_err() {
                break;
            }
        }
        let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
    });
}
