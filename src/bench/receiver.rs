//! A receiver of alert webhooks: takes every message, and notes when it had it whole.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use highwater_dataflow::Clock;
use highwater_sinks::channel::Message;

use crate::clock::WallClock;

const MESSAGE_MAX: usize = 4 << 20;

/// What was delivered so far; clones share it.
#[derive(Clone, Default)]
pub(super) struct Receiver {
    delivered: Arc<Mutex<Vec<(Instant, Message)>>>,
}

impl Receiver {
    /// Listens on loopback, for as long as the process lives.
    pub(super) fn start() -> Result<(Receiver, SocketAddr)> {
        let listener = TcpListener::bind("127.0.0.1:0").context("cannot listen for alerts")?;
        let address = listener.local_addr().context("cannot listen for alerts")?;
        let receiver = Receiver::default();
        let taking = receiver.clone();
        thread::Builder::new().name("alert-receiver".into()).spawn(move || {
            for stream in listener.incoming().flatten() {
                let taking = taking.clone();
                // A connection that fails is made anew by the sender, which tries again.
                thread::spawn(move || drop(taking.serve(stream)));
            }
        })?;
        Ok((receiver, address))
    }

    /// Every message in the order of arrival, repetitions included.
    pub(super) fn delivered(&self) -> Vec<(Instant, Message)> {
        self.delivered.lock().expect("taking a message does not panic").clone()
    }

    fn serve(&self, mut stream: TcpStream) -> Result<()> {
        stream.set_nodelay(true)?;
        let mut from = BufReader::new(stream.try_clone()?);
        while let Some(body) = body(&mut from)? {
            let at = WallClock.instant();
            let message = serde_json::from_slice(&body).context("that is no alert message")?;
            self.delivered.lock().expect("taking a message does not panic").push((at, message));
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")?;
        }
        Ok(())
    }
}

/// The body of the next request; `None` when the sender has closed.
fn body(from: &mut impl BufRead) -> Result<Option<Vec<u8>>> {
    let mut length = 0;
    let mut line = String::new();
    loop {
        line.clear();
        if from.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let head = line.trim_end();
        if head.is_empty() {
            break;
        }
        if let Some((name, value)) = head.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse()?;
        }
    }
    if length > MESSAGE_MAX {
        bail!("a message of {length} bytes");
    }
    let mut body = vec![0; length];
    from.read_exact(&mut body)?;
    Ok(Some(body))
}
