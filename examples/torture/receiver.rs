//! Who gets the alerts: an HTTP server that loses answers and is unwell now and then, and keeps what it was told.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::script::Draw;

/// What identifies a message: a receiver takes each once.
pub(crate) type Key = (String, u32);

/// Of a message, what it says of the alert.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) alert_id: String,
    pub(crate) revision: u32,
    pub(crate) step: String,
    pub(crate) status: String,
}

/// What a receiver has: every message with what it says, and how often it came.
pub(crate) type Mail = BTreeMap<Key, (Line, u32)>;

/// Takes a message in; one with a key that is known counts, and changes nothing.
pub(crate) fn take(mail: &mut Mail, line: Line) {
    let key = (line.alert_id.clone(), line.revision);
    mail.entry(key).or_insert((line, 0)).1 += 1;
}

/// What the file channel of a life wrote. A kill may have cut a line short: nobody has that.
pub(crate) fn of_file(path: &Path) -> Result<Mail> {
    let mut mail = Mail::new();
    if path.exists() {
        let text = std::fs::read_to_string(path).context("cannot read the alert file")?;
        text.lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .for_each(|line| take(&mut mail, line));
    }
    Ok(mail)
}

#[derive(Default)]
struct Shared {
    mail: Mutex<Mail>,
    unwell: AtomicBool,
}

/// The server, on a thread of its own for as long as the program runs.
pub(crate) struct Receiver {
    pub(crate) url: String,
    shared: Arc<Shared>,
}

impl Receiver {
    pub(crate) fn start(seed: u64) -> Result<Receiver> {
        let listener = TcpListener::bind("127.0.0.1:0").context("cannot listen for alerts")?;
        let url = format!("http://{}/", listener.local_addr().context("it has an address")?);
        let shared = Arc::new(Shared::default());
        let theirs = shared.clone();
        let serve = move || {
            let mut draw = Draw::new(seed);
            for stream in listener.incoming().flatten() {
                let mood = draw.below(8);
                let shared = theirs.clone();
                // A sender that is killed half-way holds up nobody but its own thread.
                thread::spawn(move || answer(stream, &shared, mood));
            }
        };
        thread::Builder::new().name("receiver".into()).spawn(serve).context("cannot start it")?;
        Ok(Receiver { url, shared })
    }

    /// Whether it loses answers and refuses now and then.
    pub(crate) fn unwell(&self, unwell: bool) {
        self.shared.unwell.store(unwell, Ordering::SeqCst);
    }

    pub(crate) fn mail(&self) -> Mail {
        self.shared.mail.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn forget(&self) {
        self.shared.mail.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// One request on a connection; what cannot be read has no answer.
fn answer(mut stream: TcpStream, shared: &Shared, mood: u64) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(found) = line.strip_prefix("content-length:") {
            length = found.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let unwell = shared.unwell.load(Ordering::SeqCst);
    let status = if unwell && mood == 0 { "503 Service Unavailable" } else { "204 No Content" };
    if status.starts_with("204") {
        let line = serde_json::from_slice(&body).ok()?;
        take(&mut shared.mail.lock().unwrap_or_else(PoisonError::into_inner), line);
    }
    // What was taken and not answered comes again.
    if unwell && mood == 1 {
        return None;
    }
    let head = format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    stream.write_all(head.as_bytes()).ok()
}
