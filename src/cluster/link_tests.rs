//! Ends of connections, as the other end sees them.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::net::TcpListener;

use super::*;

fn pair() -> (Link, Link) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let here = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (there, _) = listener.accept().unwrap();
    (Link::new(here).unwrap(), Link::new(there).unwrap())
}

#[test]
fn a_connection_whose_other_end_is_gone_is_closed_whatever_it_said_before() {
    for said in [&b""[..], b"last words"] {
        let (here, mut there) = pair();
        there.write_all(said).unwrap();
        assert!(!here.is_closed());
        drop(there);
        poll(&mut [PollFd::new(&here.stream, PollFlags::RDHUP)], None).unwrap();
        assert!(here.is_closed(), "{said:?}");
        let mut peeked = [0; 16];
        assert_eq!(here.stream.peek(&mut peeked).unwrap(), said.len(), "nothing was read");
    }
}

#[test]
fn one_that_has_to_be_reset_is_closed() {
    let (mut here, there) = pair();
    here.write_all(b"never read").unwrap();
    let mut unread = [0; 16];
    assert_eq!(there.stream.peek(&mut unread).unwrap(), 10);
    drop(there);
    assert!(here.read_exact(&mut unread).is_err());
    assert!(here.is_closed());
}
