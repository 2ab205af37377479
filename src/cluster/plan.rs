//! The `[cluster]` table, resolved: addresses, the secret, and what may travel in the clear.

use std::fs;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::time::Duration;

use highwater_ingest::http::{SECRET_BYTES_MIN, Secret};

use super::tls::Tls;
use crate::config;

/// Processes of a cluster at most: their number is in the high byte of what they number.
const PROCESSES_MAX: usize = 64;

/// One process's view of the cluster.
#[derive(Clone, Debug)]
pub(crate) struct Cluster {
    /// Which process this is.
    pub(crate) process: usize,
    /// Where each process is reached, by number; ours is where we listen unless `listen` says otherwise.
    pub(crate) hosts: Vec<String>,
    pub(crate) listen: String,
    pub(crate) secret: Secret,
    /// Where browsers and other readers reach this process.
    pub(crate) url: Option<String>,
    /// Silence of a peer after which it is given up.
    pub(crate) silence: Duration,
    pub(crate) supervise: bool,
    /// `None`: in the clear.
    pub(super) tls: Option<Tls>,
}

impl Cluster {
    /// Resolves the table; `None` when there is one process only.
    ///
    /// Errors say which field is wrong and what would be right.
    pub(crate) fn resolve(
        table: &config::Cluster,
        base: &Path,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Option<Cluster>, String> {
        let processes = table.processes;
        if !(1..=PROCESSES_MAX).contains(&processes) {
            return Err(format!("cluster.processes is {processes}; use 1 to {PROCESSES_MAX}"));
        }
        if table.process >= processes {
            return Err(format!(
                "cluster.process is {}; with {processes} processes use 0 to {}",
                table.process,
                processes - 1
            ));
        }
        if processes == 1 {
            return Ok(None);
        }
        let Some(path) = &table.hosts else {
            return Err(format!(
                "{processes} processes have to find each other: give `hosts` (or --hosts), a file with HOST:PORT of \
                 each process, one a line"
            ));
        };
        let hosts = read_hosts(&base.join(path), processes)?;
        let listen = table.listen.clone().unwrap_or_else(|| hosts[table.process].clone());
        if table.insecure && table.tls.is_some() {
            return Err(
                "cluster: `insecure` and [cluster.tls] exclude each other; remove one".to_owned()
            );
        }
        if !table.insecure && table.tls.is_none() {
            for host in hosts.iter().chain([&listen]) {
                if !stays_here(host) {
                    return Err(format!(
                        "cluster: {host} is another machine, and what the processes tell each other would travel in the \
                         clear; add [cluster.tls] with `certificate`, `key` and `ca`, or give a tunnel's local address, \
                         or `insecure = true` on a network that nobody else is on"
                    ));
                }
            }
        }
        let name = &table.secret_env;
        let secret = env(name).ok_or_else(|| {
            format!(
                "cluster: environment variable {name} has no secret; the same of at least {SECRET_BYTES_MIN} bytes for \
                 every process: openssl rand -base64 32"
            )
        })?;
        let secret = Secret::new(secret.trim_end_matches(['\r', '\n']).as_bytes().to_vec(), name)
            .map_err(|error| format!("cluster: {error}"))?;
        let tls = match &table.tls {
            Some(tls) => Some(Tls::resolve(tls, base, &hosts[table.process], env)?),
            None => None,
        };
        if table.silence_s == 0 {
            return Err("cluster.silence_s is 0; it must be at least 1".to_owned());
        }
        Ok(Some(Cluster {
            process: table.process,
            hosts,
            listen,
            secret,
            url: table.url.as_ref().map(|url| url.trim_end_matches('/').to_owned()),
            silence: Duration::from_secs(table.silence_s),
            supervise: table.supervise,
            tls,
        }))
    }

    /// How safe the connection to process `other` is, for people.
    pub(crate) fn protection(&self, other: usize) -> &'static str {
        match &self.tls {
            Some(_) => "encrypted (TLS 1.3, certificates of both)",
            None if stays_here(&self.hosts[other]) => "in the clear, on this machine",
            None => "IN THE CLEAR (insecure = true)",
        }
    }

    /// The URL under which readers reach this process, given where it serves.
    pub(crate) fn url(&self, serving: SocketAddr) -> String {
        self.url.clone().unwrap_or_else(|| {
            let own = &self.hosts[self.process];
            let host = own.rsplit_once(':').map_or(own.as_str(), |(host, _)| host);
            match serving.ip() {
                ip if ip.is_unspecified() => format!("http://{host}:{}", serving.port()),
                _ => format!("http://{serving}"),
            }
        })
    }
}

/// `HOST:PORT` a line, by process number; blank lines and `#` comments are skipped.
fn read_hosts(path: &PathBuf, processes: usize) -> Result<Vec<String>, String> {
    let text = fs::read_to_string(path)
        .map_err(|error| format!("cluster: cannot read the hosts {}: {error}", path.display()))?;
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    let hosts: Vec<String> = lines.filter(|line| !line.is_empty()).map(str::to_owned).collect();
    if hosts.len() < processes {
        return Err(format!(
            "cluster: {} names {} hosts, and there are {processes} processes",
            path.display(),
            hosts.len()
        ));
    }
    let hosts = hosts[..processes].to_vec();
    for host in &hosts {
        let port = host.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
        if port.is_none_or(|port| port == 0) {
            return Err(format!("cluster: {}: {host:?} is not HOST:PORT", path.display()));
        }
    }
    Ok(hosts)
}

/// Whether an address is this machine's alone.
fn stays_here(host: &str) -> bool {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let name = name.trim_start_matches('[').trim_end_matches(']');
    name == "localhost" || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// The addresses behind `HOST:PORT`.
pub(super) fn addresses(host: &str) -> std::io::Result<Vec<SocketAddr>> {
    host.to_socket_addrs().map(Iterator::collect)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_stays_here() {
        for host in ["127.0.0.1:1", "localhost:80", "[::1]:9", "127.9.9.9:1"] {
            assert!(stays_here(host), "{host}");
        }
        for host in ["10.0.0.1:1", "example.com:1", "0.0.0.0:1", "[::]:1", "localhost.example:1"] {
            assert!(!stays_here(host), "{host}");
        }
    }
}
