//! A TLS session over a connection that one thread reads while another one writes.
//!
//! The session itself is memory: it is held only while bytes are encrypted or decrypted, never while the network is
//! waited for. Otherwise two processes that both write and both wait for room would wait for each other for ever.
//! Waiting to read is done with `poll`, before the session is taken; waiting to write is done with the order of the
//! encrypted records in hand, and nothing else.
//!
//! Bounds: a session holds what one read of the socket gave, and at most 64 KiB of what is to be written.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use highwater_dataflow::Clock;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{RecvFlags, recv};
use rustls::Connection;

/// What both ends of a session know and nobody else: proofs over it cannot be carried to another session.
const BINDING: &[u8] = b"EXPORTER-highwater-cluster";
pub(super) const BINDING_BYTES: usize = 32;

/// A session whose both ends have shown their certificates.
#[derive(Debug)]
pub(super) struct Sealed {
    session: Mutex<Connection>,
    /// Encrypted, and not yet taken by the network. Who writes holds it, so records leave in the order of their making.
    outgoing: Mutex<Vec<u8>>,
    binding: [u8; BINDING_BYTES],
}

impl Sealed {
    /// Shows certificates, and sees the other end's, before `until`.
    ///
    /// Errors: those of the network, and a [`rustls::Error`] inside an [`io::Error`].
    pub(super) fn agree(
        stream: &TcpStream,
        mut session: Connection,
        until: Instant,
        clock: &dyn Clock,
    ) -> io::Result<Sealed> {
        let mut timed = Timed { stream, until, clock };
        while session.is_handshaking() {
            session.complete_io(&mut timed)?;
        }
        while session.wants_write() {
            session.write_tls(&mut timed)?;
        }
        let binding = [0; BINDING_BYTES];
        let binding = session.export_keying_material(binding, BINDING, None);
        let binding = binding.map_err(broken)?;
        Ok(Sealed { session: Mutex::new(session), outgoing: Mutex::default(), binding })
    }

    pub(super) fn binding(&self) -> &[u8] {
        &self.binding
    }

    /// As [`TcpStream::read`], with its timeout.
    pub(super) fn read(&self, stream: &TcpStream, into: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.session().reader().read(into) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                outcome => return outcome,
            }
            readable(stream, stream.read_timeout()?)?;
            let mut session = self.session();
            match session.read_tls(&mut AtOnce(stream)) {
                Ok(_) => {
                    session.process_new_packets().map_err(broken)?;
                }
                // Somebody else has read it.
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// As [`TcpStream::write`], with its timeout. What is taken when time runs out leaves with the next write.
    pub(super) fn write(&self, stream: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
        let mut outgoing = self.outgoing.lock().expect("nobody panics with the lock");
        flush(stream, &mut outgoing)?;
        let taken = self.session().writer().write(bytes)?;
        self.take(&mut outgoing)?;
        match flush(stream, &mut outgoing) {
            Err(error) if !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                Err(error)
            }
            _ => Ok(taken),
        }
    }

    pub(super) fn flush(&self, stream: &TcpStream) -> io::Result<()> {
        flush(stream, &mut self.outgoing.lock().expect("nobody panics with the lock"))
    }

    /// Says that nothing more comes, so that the other end can tell it from a connection that was cut.
    pub(super) fn end(&self, stream: &TcpStream) -> io::Result<()> {
        let mut outgoing = self.outgoing.lock().expect("nobody panics with the lock");
        self.session().send_close_notify();
        self.take(&mut outgoing)?;
        flush(stream, &mut outgoing)?;
        stream.shutdown(Shutdown::Write)
    }

    /// Moves what the session has to say to the end of `outgoing`.
    fn take(&self, outgoing: &mut Vec<u8>) -> io::Result<()> {
        let mut session = self.session();
        while session.wants_write() {
            session.write_tls(outgoing)?;
        }
        Ok(())
    }

    fn session(&self) -> MutexGuard<'_, Connection> {
        self.session.lock().expect("nobody panics with the lock")
    }
}

fn flush(mut stream: &TcpStream, outgoing: &mut Vec<u8>) -> io::Result<()> {
    while !outgoing.is_empty() {
        match stream.write(outgoing) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => drop(outgoing.drain(..written)),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Waits until there is something to read, or the end.
fn readable(stream: &TcpStream, at_most: Option<Duration>) -> io::Result<()> {
    let time = at_most
        .map(|it| Timespec { tv_sec: it.as_secs() as i64, tv_nsec: i64::from(it.subsec_nanos()) });
    match poll(&mut [PollFd::new(stream, PollFlags::IN)], time.as_ref()) {
        Ok(0) => Err(ErrorKind::WouldBlock.into()),
        Ok(_) => Ok(()),
        Err(error) if error == rustix::io::Errno::INTR => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn broken(error: rustls::Error) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, error)
}

/// Reads what is there.
struct AtOnce<'a>(&'a TcpStream);

impl Read for AtOnce<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match recv(self.0, into, RecvFlags::DONTWAIT) {
            Ok((_, read)) => Ok(read),
            Err(rustix::io::Errno::INTR) => Err(ErrorKind::WouldBlock.into()),
            Err(error) => Err(error.into()),
        }
    }
}

/// Reads and writes before a deadline.
struct Timed<'a> {
    stream: &'a TcpStream,
    until: Instant,
    clock: &'a dyn Clock,
}

impl Timed<'_> {
    fn left(&self) -> io::Result<Duration> {
        super::link::left(self.until, self.clock)
    }
}

impl Read for Timed<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(self.left()?))?;
        self.stream.read(into)
    }
}

impl Write for Timed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(Some(self.left()?))?;
        self.stream.write(bytes)
    }

    /// A refusal is several records, and there is one try: all of them leave together.
    fn write_vectored(&mut self, bytes: &[io::IoSlice<'_>]) -> io::Result<usize> {
        self.stream.set_write_timeout(Some(self.left()?))?;
        self.stream.write_vectored(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
#[path = "sealed_tests.rs"]
mod tests;
