//! A connection between two processes: what the engine moves bytes over, with deadlines until it does.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use highwater_dataflow::Clock;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::sockopt;
use rustls::Connection;

use super::sealed::Sealed;

/// Bytes that the other end does not take, and probes that it does not answer, break the connection after about this.
const DEAD_AFTER: Duration = Duration::from_secs(10);
const PROBE_AFTER: Duration = Duration::from_secs(4);
const PROBE_EVERY: Duration = Duration::from_secs(2);
const PROBES: u32 = 3;

/// A connection to another process.
#[derive(Debug)]
pub(crate) struct Link {
    stream: TcpStream,
    /// `None`: in the clear.
    sealed: Option<Arc<Sealed>>,
}

impl Link {
    /// Takes a fresh connection, and makes the system notice when its other end has vanished.
    pub(super) fn new(stream: TcpStream) -> io::Result<Link> {
        stream.set_nonblocking(false)?;
        stream.set_nodelay(true)?;
        sockopt::set_socket_keepalive(&stream, true)?;
        sockopt::set_tcp_keepidle(&stream, PROBE_AFTER)?;
        sockopt::set_tcp_keepintvl(&stream, PROBE_EVERY)?;
        sockopt::set_tcp_keepcnt(&stream, PROBES)?;
        sockopt::set_tcp_user_timeout(&stream, DEAD_AFTER.as_millis() as u32)?;
        Ok(Link { stream, sealed: None })
    }

    /// Connects within `at_most`.
    pub(super) fn dial(address: &SocketAddr, at_most: Duration) -> io::Result<Link> {
        Link::new(TcpStream::connect_timeout(address, at_most)?)
    }

    /// Encrypts everything from here on, once both ends have shown their certificates.
    pub(super) fn seal(
        &mut self,
        session: Connection,
        until: Instant,
        clock: &dyn Clock,
    ) -> io::Result<()> {
        self.sealed = Some(Arc::new(Sealed::agree(&self.stream, session, until, clock)?));
        Ok(())
    }

    /// What only the two ends of this very connection know; nothing in the clear.
    pub(super) fn binding(&self) -> &[u8] {
        self.sealed.as_ref().map_or(&[], |sealed| sealed.binding())
    }

    /// Another handle to the same connection.
    pub(super) fn handle(&self) -> io::Result<Link> {
        Ok(Link { stream: self.stream.try_clone()?, sealed: self.sealed.clone() })
    }

    pub(super) fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.stream.set_read_timeout(timeout)
    }

    /// Without deadlines, as the engine wants it.
    pub(super) fn release(self) -> io::Result<Link> {
        self.stream.set_read_timeout(None)?;
        self.stream.set_write_timeout(None)?;
        Ok(self)
    }

    pub(super) fn close(&self) {
        // It may be closed already.
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    /// Whether the other end has closed it, also where something it had said before is still to be read.
    pub(super) fn is_closed(&self) -> bool {
        let ended = PollFlags::RDHUP | PollFlags::HUP | PollFlags::ERR;
        let mut ends = [PollFd::new(&self.stream, PollFlags::RDHUP)];
        match poll(&mut ends, Some(&Timespec::default())) {
            Ok(_) => ends[0].revents().intersects(ended),
            Err(error) => error != rustix::io::Errno::INTR,
        }
    }

    /// Reads all of `into` before `until`, however slowly it comes.
    pub(super) fn read_by(
        &mut self,
        mut into: &mut [u8],
        until: Instant,
        clock: &dyn Clock,
    ) -> io::Result<()> {
        while !into.is_empty() {
            let read = self.read_some(into, left(until, clock)?)?;
            into = &mut into[read..];
        }
        Ok(())
    }

    /// Reads what there is, and waits for it `at_most` so long.
    ///
    /// Errors: the end is one too; and [`is_timeout`].
    pub(super) fn read_some(&mut self, into: &mut [u8], at_most: Duration) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(at_most))?;
        loop {
            match self.read(into) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                outcome => return outcome,
            }
        }
    }

    /// Writes all of `bytes` before `until`.
    pub(super) fn write_by(
        &mut self,
        mut bytes: &[u8],
        until: Instant,
        clock: &dyn Clock,
    ) -> io::Result<()> {
        while !bytes.is_empty() {
            self.stream.set_write_timeout(Some(left(until, clock)?))?;
            match self.write(bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => bytes = &bytes[written..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Whether nothing came, or nothing was taken, in the time there was.
pub(super) fn is_timeout(error: &io::Error) -> bool {
    use io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    matches!(error.kind(), WouldBlock | TimedOut | Interrupted)
}

pub(super) fn left(until: Instant, clock: &dyn Clock) -> io::Result<Duration> {
    let left = until.saturating_duration_since(clock.instant());
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}

impl Read for Link {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match &self.sealed {
            None => self.stream.read(into),
            Some(sealed) => sealed.read(&self.stream, into),
        }
    }
}

impl Write for Link {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &self.sealed {
            None => self.stream.write(bytes),
            Some(sealed) => sealed.write(&self.stream, bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &self.sealed {
            None => self.stream.flush(),
            Some(sealed) => sealed.flush(&self.stream),
        }
    }
}

impl AsFd for Link {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

impl highwater_dataflow::Link for Link {
    fn try_clone(&self) -> io::Result<Self> {
        self.handle()
    }

    fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.stream.set_nonblocking(nonblocking)
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        match (&self.sealed, how) {
            (Some(sealed), Shutdown::Write) => sealed.end(&self.stream),
            _ => self.stream.shutdown(how),
        }
    }
}

#[cfg(test)]
#[path = "link_tests.rs"]
mod tests;
