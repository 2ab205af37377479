//! A client of the page: a WebSocket that reads what a browser would, and notes which update it had when.
//!
//! RFC 6455 as far as a client needs it that only listens: text in, pongs out.

use std::io::{BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use highwater_dataflow::Clock;

use crate::clock::WallClock;

const TEXT: u8 = 1;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;
const FRAME_MAX: u64 = 64 << 20;

/// A listening client.
pub(super) struct Page {
    thread: JoinHandle<Vec<(u64, Instant)>>,
}

impl Page {
    /// Connects, and listens until the service goes away.
    pub(super) fn open(to: SocketAddr) -> Result<Page> {
        let mut stream = TcpStream::connect(to).context("cannot connect to the page")?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_mins(2)))?;
        // Any 16 bytes do: the key only proves that the other side speaks WebSocket.
        let hello = format!(
            "GET /ws HTTP/1.1\r\nhost: {to}\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: aGlnaHdhdGVyLWJlbmNoLg==\r\n\
             sec-websocket-protocol: highwater.v1\r\n\r\n"
        );
        stream.write_all(hello.as_bytes())?;
        let mut from = BufReader::with_capacity(256 << 10, stream.try_clone()?);
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            from.read_exact(&mut byte).context("the page does not answer")?;
            head.push(byte[0]);
        }
        if !head.starts_with(b"HTTP/1.1 101") {
            bail!("the page refuses: {}", String::from_utf8_lossy(&head));
        }
        let listen = move || {
            let mut updates = Vec::new();
            // The end of the connection is the end of the run.
            while let Ok(Some((kind, payload))) = frame(&mut from) {
                let at = WallClock.instant();
                match kind {
                    TEXT => updates.extend(whole_update(&payload).map(|seq| (seq, at))),
                    PING if stream.write_all(&pong(&payload)).is_err() => break,
                    CLOSE => break,
                    _ => {}
                }
            }
            updates
        };
        let thread = thread::Builder::new().name("page-client".into()).spawn(listen)?;
        Ok(Page { thread })
    }

    /// The updates that came, with when they were complete; to be asked once the service has gone.
    pub(super) fn updates(self) -> Vec<(u64, Instant)> {
        self.thread.join().expect("listening does not panic")
    }
}

/// The next frame's kind and payload; `None` at the end.
fn frame(from: &mut impl Read) -> Result<Option<(u8, Vec<u8>)>> {
    let mut head = [0; 2];
    if from.read_exact(&mut head).is_err() {
        return Ok(None);
    }
    let length = match head[1] & 0x7f {
        126 => {
            let mut bytes = [0; 2];
            from.read_exact(&mut bytes)?;
            u64::from(u16::from_be_bytes(bytes))
        }
        127 => {
            let mut bytes = [0; 8];
            from.read_exact(&mut bytes)?;
            u64::from_be_bytes(bytes)
        }
        short => u64::from(short),
    };
    if head[1] & 0x80 != 0 || length > FRAME_MAX {
        bail!("the page's frames are not a server's");
    }
    let mut payload = vec![0; length as usize];
    from.read_exact(&mut payload)?;
    Ok(Some((head[0] & 0x0f, payload)))
}

/// The answer to a ping. Clients mask; with a mask of zeros the bytes stay as they are.
fn pong(payload: &[u8]) -> Vec<u8> {
    let payload = &payload[..payload.len().min(125)];
    let mut bytes = vec![0x80 | PONG, 0x80 | payload.len() as u8, 0, 0, 0, 0];
    bytes.extend_from_slice(payload);
    bytes
}

/// The sequence of a snapshot or delta, when this is its last part.
fn whole_update(text: &[u8]) -> Option<u64> {
    let rest = [&b"{\"type\":\"delta\",\"seq\":"[..], b"{\"type\":\"snapshot\",\"seq\":"]
        .iter()
        .find_map(|head| text.strip_prefix(*head))?;
    if !text.ends_with(b"\"more\":false}") {
        return None;
    }
    let digits = rest.iter().position(|byte| !byte.is_ascii_digit())?;
    std::str::from_utf8(&rest[..digits]).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

    use super::*;

    #[test]
    fn frames_are_taken_apart() {
        let mut bytes = vec![0x81, 2, b'{', b'}', 0x89, 1, b'x', 0x82, 126, 1, 0];
        bytes.extend([7; 256]);
        let mut from = &bytes[..];
        assert_eq!(frame(&mut from).unwrap(), Some((TEXT, b"{}".to_vec())));
        assert_eq!(frame(&mut from).unwrap(), Some((PING, b"x".to_vec())));
        assert_eq!(frame(&mut from).unwrap().unwrap().1.len(), 256);
        assert_eq!(frame(&mut from).unwrap(), None);
        assert_eq!(pong(b"x"), [0x8a, 0x81, 0, 0, 0, 0, b'x']);
    }

    #[test]
    fn an_update_counts_with_its_last_part() {
        let text = |more| format!("{{\"type\":\"delta\",\"seq\":17,\"part\":0,\"more\":{more}}}");
        assert_eq!(whole_update(text(false).as_bytes()), Some(17));
        assert_eq!(whole_update(text(true).as_bytes()), None);
        assert_eq!(whole_update(b"{\"type\":\"status\",\"more\":false}"), None);
    }
}
