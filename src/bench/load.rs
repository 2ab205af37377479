//! The load client: requests made beforehand, sent on schedule over kept-alive connections, answered or not.
//!
//! Plain HTTP/1.1 over sockets, so that the client costs little beside what it measures. Request `i` goes out on
//! connection `i` modulo their number when its time has come, whether or not earlier ones are answered; a thread per
//! connection reads the answers, which come in the order of its requests.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use highwater_dataflow::Clock;

use crate::clock::WallClock;

const TIMEOUT: Duration = Duration::from_mins(1);
/// Refused requests of a flood wait so long before they are sent again.
const AGAIN: Duration = Duration::from_millis(20);
/// A connection stays open when it is used this often.
const CONNECTIONS_MAX: usize = 32;

/// Events in a request of the preload.
const PRELOAD: usize = 200;
/// Time between the load's making and its first event.
pub(super) const BREATH: Duration = Duration::from_millis(200);

/// What became of a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    /// When it was to go out.
    pub(super) due: Instant,
    /// When it did.
    pub(super) at: Instant,
    /// When the answer was there; `None` where nobody answers.
    pub(super) answered: Option<Instant>,
    /// 202 when it was taken.
    pub(super) status: u16,
}

/// A request with these events as its body.
pub(super) fn request(events: &[&[u8]]) -> Vec<u8> {
    let length = events.iter().map(|raw| raw.len() + 1).sum::<usize>();
    let mut bytes = format!(
        "POST /v1/events?outcome=summary HTTP/1.1\r\nhost: 127.0.0.1\r\n\
         content-type: application/x-ndjson\r\ncontent-length: {length}\r\n\r\n"
    )
    .into_bytes();
    bytes.reserve(length);
    bytes.extend(lines(events));
    bytes
}

/// The events as lines of a file.
pub(super) fn lines(events: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(events.iter().map(|raw| raw.len() + 1).sum());
    for raw in events {
        bytes.extend_from_slice(raw);
        bytes.push(b'\n');
    }
    bytes
}

/// When each thing is due: so many at one pace, then so many at the next, the last pace for all that follow.
pub(super) struct Schedule {
    pub(super) begins: Instant,
    pub(super) paces: Vec<Pace>,
}

pub(super) struct Pace {
    pub(super) every: Duration,
    pub(super) count: usize,
}

impl Schedule {
    pub(super) fn steady(begins: Instant, every: Duration) -> Schedule {
        Schedule { begins, paces: vec![Pace { every, count: usize::MAX }] }
    }

    pub(super) fn due(&self, nth: usize) -> Instant {
        let mut left = nth as u64;
        let mut after = 0;
        for pace in &self.paces {
            let here = left.min(pace.count as u64);
            after += pace.every.as_nanos() as u64 * here;
            left -= here;
        }
        self.begins + Duration::from_nanos(after)
    }

    /// Things a second at the fastest pace.
    fn most_per_second(&self) -> usize {
        let every = self.paces.iter().map(|pace| pace.every).min().unwrap_or(Duration::MAX);
        (1.0 / every.as_secs_f64()).ceil() as usize
    }
}

/// Sends each request when it is due, late ones at once.
///
/// Errors: the service cannot be reached, or ends a connection.
pub(super) fn paced(
    to: SocketAddr,
    requests: &[Vec<u8>],
    schedule: &Schedule,
) -> Result<Vec<Sent>> {
    let width = schedule.most_per_second().clamp(1, CONNECTIONS_MAX).min(requests.len().max(1));
    let mut streams = (0..width).map(|_| connect(to)).collect::<Result<Vec<_>>>()?;
    let readers = streams.iter().enumerate().map(|(index, stream)| {
        let stream = stream.try_clone().context("cannot share a connection")?;
        let count = (requests.len() + width - 1 - index) / width;
        Ok(thread::spawn(move || answers(stream, count)))
    });
    let readers = readers.collect::<Result<Vec<_>>>()?;
    let mut sent = Vec::with_capacity(requests.len());
    for (nth, request) in requests.iter().enumerate() {
        let due = schedule.due(nth);
        let at = wait_until(due);
        streams[nth % width].write_all(request).context("the service no longer takes requests")?;
        sent.push(Sent { due, at, answered: None, status: 0 });
    }
    for (index, reader) in readers.into_iter().enumerate() {
        let answers = reader.join().expect("reading answers does not panic")?;
        for (nth, (answered, status)) in answers.into_iter().enumerate() {
            let sent = &mut sent[index + nth * width];
            (sent.answered, sent.status) = (Some(answered), status);
        }
    }
    Ok(sent)
}

/// Sends what was refused again until it is taken; returns how many requests that were.
pub(super) fn again(to: SocketAddr, requests: &[Vec<u8>], sent: &mut [Sent]) -> Result<usize> {
    let refused: Vec<usize> =
        (0..sent.len()).filter(|nth| matches!(sent[*nth].status, 429 | 503)).collect();
    let taken = insist(to, refused.iter().map(|nth| &requests[*nth]))?;
    for (nth, taken) in refused.iter().zip(taken) {
        (sent[*nth].answered, sent[*nth].status) = (taken.answered, taken.status);
    }
    Ok(refused.len())
}

/// Appends each piece to a file when it is due.
pub(super) fn paced_file(
    file: &mut File,
    pieces: &[Vec<u8>],
    schedule: &Schedule,
) -> Result<Vec<Sent>> {
    let write = |(nth, piece): (usize, &Vec<u8>)| {
        let due = schedule.due(nth);
        let at = wait_until(due);
        file.write_all(piece).context("cannot write the file")?;
        Ok(Sent { due, at, answered: None, status: 202 })
    };
    pieces.iter().enumerate().map(write).collect()
}

/// Sends requests as fast as they are answered, over `width` connections. Refused ones are sent again until taken.
/// Each has waited from its first try.
pub(super) fn flood(to: SocketAddr, requests: &[Vec<u8>], width: usize) -> Result<Vec<Sent>> {
    let share = requests.len().div_ceil(width.max(1)).max(1);
    thread::scope(|scope| {
        let clients: Vec<_> = requests
            .chunks(share)
            .map(|requests| scope.spawn(move || insist(to, requests)))
            .collect();
        let mut sent = Vec::with_capacity(requests.len());
        for client in clients {
            sent.extend(client.join().expect("sending does not panic")?);
        }
        Ok(sent)
    })
}

/// Delivers what comes before the load, in its order, for there are reference data among it.
pub(super) fn preload(to: SocketAddr, events: &[&[u8]]) -> Result<()> {
    let requests: Vec<_> = events.chunks(PRELOAD).map(request).collect();
    insist(to, &requests).map(drop)
}

fn insist<'a>(
    to: SocketAddr,
    requests: impl IntoIterator<Item = &'a Vec<u8>>,
) -> Result<Vec<Sent>> {
    let mut stream = connect(to)?;
    let mut from = BufReader::new(stream.try_clone().context("cannot share a connection")?);
    let mut sent = Vec::new();
    for request in requests {
        let at = WallClock.instant();
        loop {
            stream.write_all(request).context("the service no longer takes requests")?;
            let status = answer(&mut from)?;
            match status {
                202 => break,
                429 | 503 => thread::sleep(AGAIN),
                status => bail!("the service answered {status} to events of its own simulator"),
            }
        }
        sent.push(Sent { due: at, at, answered: Some(WallClock.instant()), status: 202 });
    }
    Ok(sent)
}

fn connect(to: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect(to).with_context(|| format!("cannot connect to {to}"))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    Ok(stream)
}

/// Waits for the instant; returns when that was, at once when it has passed.
fn wait_until(due: Instant) -> Instant {
    loop {
        let now = WallClock.instant();
        let Some(left) = due.checked_duration_since(now).filter(|left| !left.is_zero()) else {
            return now;
        };
        thread::sleep(left);
    }
}

fn answers(stream: TcpStream, count: usize) -> Result<Vec<(Instant, u16)>> {
    let mut from = BufReader::new(stream);
    let mut answers = Vec::with_capacity(count);
    for _ in 0..count {
        let status = answer(&mut from)?;
        answers.push((WallClock.instant(), status));
    }
    Ok(answers)
}

/// Reads one answer with a length; returns its status.
fn answer(from: &mut impl BufRead) -> Result<u16> {
    let mut line = String::new();
    from.read_line(&mut line).context("the service does not answer")?;
    let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
    let Some(status) = status else { bail!("the answer is not HTTP: {line:?}") };
    let mut length = 0;
    loop {
        line.clear();
        if from.read_line(&mut line)? == 0 {
            bail!("the service ended the connection");
        }
        let head = line.trim_end();
        if head.is_empty() {
            break;
        }
        if let Some((name, value)) = head.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().context("the answer's length is no number")?;
        }
    }
    let skipped = std::io::copy(&mut from.take(length), &mut std::io::sink())?;
    if skipped < length {
        bail!("the answer was cut short");
    }
    Ok(status)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_schedule_goes_from_pace_to_pace() {
        let begins = WallClock.instant();
        let ms = Duration::from_millis;
        let pace = |every, count| Pace { every: ms(every), count };
        let schedule = Schedule { begins, paces: vec![pace(10, 3), pace(1, 5), pace(10, 2)] };
        let due = [0, 2, 3, 4, 8, 9].map(|nth| schedule.due(nth) - begins);
        assert_eq!(due, [0, 20, 30, 31, 35, 45].map(ms));
        assert_eq!(schedule.most_per_second(), 1_000);
    }

    #[test]
    fn answers_come_back_to_their_requests() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let to = listener.local_addr().unwrap();
        // Answers every request with a status that its body names.
        let serve = move |stream: TcpStream| {
            let mut from = BufReader::new(stream.try_clone().unwrap());
            let mut stream = stream;
            let mut line = String::new();
            while from.read_line(&mut line).unwrap_or(0) > 0 {
                if let Ok(status) = line.trim().parse::<u16>() {
                    let text = format!("HTTP/1.1 {status} Said\r\ncontent-length: 2\r\n\r\n{{}}");
                    stream.write_all(text.as_bytes()).unwrap();
                }
                line.clear();
            }
        };
        thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = stream.unwrap();
                thread::spawn(move || serve(stream));
            }
        });
        let texts: Vec<String> = (0..40).map(|nth| (300 + nth).to_string()).collect();
        let requests: Vec<Vec<u8>> = texts.iter().map(|text| request(&[text.as_bytes()])).collect();
        let schedule = Schedule::steady(WallClock.instant(), Duration::from_micros(100));
        let sent = paced(to, &requests, &schedule).unwrap();
        let statuses: Vec<u16> = sent.iter().map(|sent| sent.status).collect();
        assert_eq!(statuses, (300..340).collect::<Vec<u16>>());
        assert!(sent.iter().all(|it| it.due <= it.at && Some(it.at) <= it.answered));
    }
}
