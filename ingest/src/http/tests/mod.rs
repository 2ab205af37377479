//! Requests over a real loopback socket, against a journal whose answers the test holds.
