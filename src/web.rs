//! One HTTP/1.1 request to a running service: enough for the commands that ask it, and no more.
//!
//! Plain HTTP, one answer with a length or until the connection ends. Whoever needs TLS has a proxy in front.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use anyhow::{Context, Result, bail};

const TIMEOUT: Duration = Duration::from_secs(30);
const ANSWER_MAX: u64 = 16 << 20;

/// A service by its address, and the token it wants.
pub(crate) struct Service {
    authority: String,
    token: Option<String>,
}

/// What it answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

impl Service {
    /// `url` is `http://host:port`; `token_env` names the variable that holds the token.
    pub(crate) fn at(url: &str, token_env: Option<&str>) -> Result<Service> {
        let Some(rest) = url.strip_prefix("http://") else {
            bail!("{url} is not an http:// address; give http://HOST:PORT");
        };
        let authority = rest.trim_end_matches('/');
        if authority.is_empty() || authority.contains(['/', '@', '?', '#', ' ', '\r', '\n']) {
            bail!("{url} is more than an address; give http://HOST:PORT");
        }
        let token = token_env.map(|name| {
            std::env::var(name).with_context(|| format!("environment variable {name} has no token"))
        });
        let token = token.transpose()?;
        if token.as_deref().is_some_and(|token| token.contains(['\r', '\n'])) {
            bail!("the token has a line break in it");
        }
        Ok(Service { authority: authority.to_owned(), token })
    }

    pub(crate) fn get(&self, path: &str) -> Result<Answer> {
        self.ask("GET", path, None)
    }

    pub(crate) fn post_json(&self, path: &str, body: &[u8]) -> Result<Answer> {
        self.ask("POST", path, Some(body))
    }

    fn ask(&self, method: &str, path: &str, body: Option<&[u8]>) -> Result<Answer> {
        let authority = &self.authority;
        self.exchange(method, path, body).with_context(|| {
            format!("cannot ask http://{authority}{path}\nhint: is the service running, and is that its address?")
        })
    }

    fn exchange(&self, method: &str, path: &str, body: Option<&[u8]>) -> Result<Answer> {
        let with_port = if self.authority.rsplit(']').next().is_some_and(|rest| rest.contains(':'))
        {
            self.authority.clone()
        } else {
            format!("{}:80", self.authority)
        };
        let address = with_port.to_socket_addrs()?.next().context("the name has no address")?;
        let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        let authorization = self.token.as_ref().map(|it| format!("authorization: Bearer {it}\r\n"));
        let content = body.map(|it| {
            format!("content-type: application/json\r\ncontent-length: {}\r\n", it.len())
        });
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n{}{}\r\n",
            self.authority,
            authorization.unwrap_or_default(),
            content.unwrap_or_default()
        );
        stream.write_all(head.as_bytes())?;
        stream.write_all(body.unwrap_or_default())?;
        answer(&mut BufReader::new(stream))
    }
}

fn answer(from: &mut impl BufRead) -> Result<Answer> {
    let mut from = from.take(ANSWER_MAX);
    let mut line = String::new();
    from.read_line(&mut line)?;
    let status = line.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5)?.parse().ok());
    let Some(status) = status else { bail!("the answer is not HTTP") };
    let mut length = None;
    loop {
        line.clear();
        if from.read_line(&mut line)? == 0 {
            bail!("the answer ends in its head");
        }
        if line.trim_end().is_empty() {
            break;
        }
        let Some((name, value)) = line.trim_end().split_once(':') else {
            bail!("the answer's head is not HTTP");
        };
        if name.eq_ignore_ascii_case("transfer-encoding") {
            bail!("the answer comes in chunks: something else than the service answered");
        }
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse::<u64>().ok();
        }
    }
    let mut body = Vec::new();
    from.read_to_end(&mut body)?;
    if length.is_some_and(|length| length != body.len() as u64) {
        bail!("the answer was cut short");
    }
    Ok(Answer { status, body })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

    use super::*;

    #[test]
    fn an_answer_is_taken_apart() {
        let ok = answer(&mut &b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]"[..]).unwrap();
        assert_eq!((ok.status, ok.body.as_slice()), (200, &b"[]"[..]));
        let cut: [&[u8]; 4] = [
            b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n[]",
            b"HTTP/1.1 200 OK\r\ncontent-le",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
            b"SSH-2.0-OpenSSH_9.6\r\n",
        ];
        for bytes in cut {
            assert!(answer(&mut &bytes[..]).is_err(), "{}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn only_plain_addresses_are_taken() {
        assert!(Service::at("http://127.0.0.1:8080/", None).is_ok());
        for url in ["https://x", "http://", "http://x/y", "http://u@x", "x:80"] {
            assert!(Service::at(url, None).is_err(), "{url}");
        }
    }
}
