//! Processes of a cluster, started as anybody would start them.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

/// Whatever is waited for is there by then, or never.
pub(crate) const PATIENCE: Duration = Duration::from_mins(2);
const REQUEST: Duration = Duration::from_secs(3);
pub(crate) const SECRET: &str = "an open secret of more than 24 bytes";

/// What a process has said so far.
#[derive(Default)]
struct Said {
    lines: Mutex<(Vec<String>, bool)>,
    changed: Condvar,
}

impl Said {
    /// Waits until `find` finds something in what was said.
    fn wait<T>(&self, what: &str, find: impl Fn(&[String]) -> Option<T>) -> T {
        let lines = self.lines.lock().unwrap();
        let missing = |state: &mut (Vec<String>, bool)| find(&state.0).is_none() && !state.1;
        let (lines, _) = self.changed.wait_timeout_while(lines, PATIENCE, missing).unwrap();
        let found = find(&lines.0);
        let said = lines.0.join("\n");
        drop(lines);
        found.unwrap_or_else(|| panic!("{what}; it said:\n{said}"))
    }
}

/// One process with its supervisor.
pub(crate) struct Node {
    config: PathBuf,
    pub(crate) http: SocketAddr,
    /// Where the others reach it in truth, behind what stands in between.
    pub(crate) port: SocketAddr,
    /// The network namespace it runs in, and the token that it asks for there.
    inside: Option<(String, &'static str)>,
    process: Option<Child>,
    said: Arc<Said>,
}

impl Node {
    pub(crate) fn new(config: PathBuf, http: SocketAddr, port: SocketAddr) -> Node {
        Node { config, http, port, inside: None, process: None, said: Arc::default() }
    }

    /// The same in a network namespace, where it is asked with a token.
    pub(crate) fn within(mut self, namespace: &str, token: &'static str) -> Node {
        self.inside = Some((namespace.to_owned(), token));
        self
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = match &self.inside {
            None => Command::new(program()),
            Some((namespace, token)) => {
                let mut command = Command::new("ip");
                command.args(["netns", "exec", namespace]).arg(program());
                command.env("HIGHWATER_TEST_TOKEN", token);
                command
            }
        };
        command.args(["run", "--config"]).arg(&self.config).args(arguments);
        command.env("HIGHWATER_CLUSTER_SECRET", SECRET).env("RUST_LOG", "info");
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        command
    }

    /// Starts it; does not wait.
    pub(crate) fn start(&mut self, arguments: &[&str]) {
        let mut process = self.command(arguments).spawn().unwrap();
        let log = BufReader::new(process.stderr.take().unwrap());
        self.process = Some(process);
        let said = Arc::new(Said::default());
        self.said = said.clone();
        thread::spawn(move || {
            for line in log.lines().map_while(Result::ok) {
                said.lines.lock().unwrap().0.push(line);
                said.changed.notify_all();
            }
            said.lines.lock().unwrap().1 = true;
            said.changed.notify_all();
        });
    }

    /// How often this supervisor has started the service.
    pub(crate) fn lives(&self) -> usize {
        pids(&self.said.lines.lock().unwrap().0).len()
    }

    /// The process that does the work.
    fn service(&self) -> u32 {
        let newest = |lines: &[String]| pids(lines).last().copied();
        self.said.wait("it starts", newest)
    }

    /// Waits until it has served once.
    pub(crate) fn serves(&self) {
        self.said.wait("it serves", |lines| {
            lines.iter().any(|line| line.contains("serving on http://")).then_some(())
        });
    }

    /// Waits until it has said this.
    pub(crate) fn says(&self, what: &str) {
        self.says_times(what, 1);
    }

    /// How often it has said this since it was started.
    pub(crate) fn times(&self, what: &str) -> usize {
        self.said.lines.lock().unwrap().0.iter().filter(|line| line.contains(what)).count()
    }

    /// Waits until it has said this so many times.
    pub(crate) fn says_times(&self, what: &str, times: usize) {
        self.said.wait(&format!("it says {what:?} {times} times"), |lines| {
            (lines.iter().filter(|line| line.contains(what)).count() >= times).then_some(())
        });
    }

    /// Whether it has said this since it was started.
    pub(crate) fn has_said(&self, what: &str) -> bool {
        self.times(what) > 0
    }

    /// What `highwater check` prints of its configuration.
    pub(crate) fn check(&self) -> String {
        let mut command = Command::new(program());
        command.args(["check", "--config"]).arg(&self.config);
        let output = command.env("HIGHWATER_CLUSTER_SECRET", SECRET).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Sends a signal to the process that does the work. It may be gone.
    pub(crate) fn signal(&self, signal: &str) {
        let pid = self.service().to_string();
        let _ = Command::new("kill").args([signal, &pid]).stderr(Stdio::null()).status().unwrap();
    }

    /// `kill -9` of the supervisor, and with it of the service.
    pub(crate) fn kill(&mut self) {
        let mut process = self.process.take().unwrap();
        process.kill().unwrap();
        process.wait().unwrap();
    }

    /// `kill -TERM` of the supervisor, once it listens for signals; does not wait for the end.
    pub(crate) fn ask_to_stop(&self) {
        // Signals are listened for before anything is said.
        self.said.wait("it says something", |lines| lines.first().map(|_| ()));
        let pid = self.process.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    }

    pub(crate) fn stopped(&mut self) -> ExitStatus {
        self.process.take().unwrap().wait().unwrap()
    }

    /// Everything it has said since it was started, once it has ended.
    pub(crate) fn transcript(&self) -> String {
        let ended = self.said.changed.wait_timeout_while(
            self.said.lines.lock().unwrap(),
            REQUEST,
            |(_, ended)| !*ended,
        );
        ended.unwrap().0.0.join("\n")
    }

    /// One request; its status and body.
    pub(crate) fn ask(&self, head: &str, body: &str) -> std::io::Result<(u16, String)> {
        let mut stream = TcpStream::connect_timeout(&self.http, REQUEST)?;
        stream.set_read_timeout(Some(REQUEST))?;
        stream.set_write_timeout(Some(REQUEST))?;
        write!(
            stream,
            "{head} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/x-ndjson\r\n\
             Content-Length: {}\r\n{}Connection: close\r\n\r\n{body}",
            self.http,
            body.len(),
            match self.inside {
                None => String::new(),
                Some((_, token)) => format!("Authorization: Bearer {token}\r\n"),
            }
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.ok_or(std::io::ErrorKind::UnexpectedEof)?;
        Ok((status, answer))
    }
}

impl Drop for Node {
    /// A failing test leaves nothing running, and says what was said.
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
            if thread::panicking() {
                let said = self.said.lines.lock().unwrap();
                let mut text = format!("--- {}\n", self.config.display());
                for line in &said.0 {
                    let _ = writeln!(text, "{line}");
                }
                eprintln!("{text}");
            }
        }
    }
}

/// The program: what cargo built for the tests, or what lies beside the examples' directory.
fn program() -> PathBuf {
    let built = option_env!("CARGO_BIN_EXE_highwater").map(PathBuf::from);
    built.unwrap_or_else(|| {
        let example = std::env::current_exe().unwrap();
        example.parent().and_then(Path::parent).unwrap().join("highwater")
    })
}

fn pids(lines: &[String]) -> Vec<u32> {
    let pid = |line: &String| line.split_once("started the service pid=")?.1.trim().parse().ok();
    lines.iter().filter_map(pid).collect()
}

/// An address that is free now, and that no outgoing connection is given later: those are given ports from 32,768 on.
/// Each is handed out once, and programs that run at the same time begin at different ones.
pub(crate) fn free() -> SocketAddr {
    const FIRST: u32 = 10_000;
    const COUNT: u32 = 22_000;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let from = std::process::id().wrapping_mul(997);
    let mut ports = std::iter::repeat_with(|| {
        let port = FIRST + from.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT;
        SocketAddr::from(([127, 0, 0, 1], u16::try_from(port).unwrap()))
    });
    let free = ports.by_ref().take(COUNT as usize).find(|it| TcpListener::bind(it).is_ok());
    free.expect("one of 22,000 ports is free")
}

/// Writes the configuration of process `process`, which reaches the others at `hosts`.
pub(crate) fn configure(
    dir: &Path,
    process: usize,
    http: SocketAddr,
    port: SocketAddr,
    hosts: &[SocketAddr],
) -> PathBuf {
    let lines: Vec<String> = hosts.iter().map(ToString::to_string).collect();
    fs::write(dir.join(format!("hosts{process}")), lines.join("\n")).unwrap();
    let config = dir.join(format!("process{process}.toml"));
    let text = format!(
        r#"
        [service]
        data_dir = "data{process}"
        workers = 1
        [journal]
        idle_after_s = 100000
        quiet_delay_ms = 1000000000000
        checkpoint_s = 1
        [http]
        listen = "{http}"
        [queries]
        allowed_lateness_s = 86400
        [cluster]
        processes = {processes}
        process = {process}
        hosts = "hosts{process}"
        listen = "{port}"
        silence_s = 2
        "#,
        processes = hosts.len(),
    );
    fs::write(&config, text).unwrap();
    config
}
