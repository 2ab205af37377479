//! A life of the engine as its parent sees it: started, listened to, and ended where and when it was decided.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use highwater_dataflow::Clock;

use crate::aim::Aim;
use crate::child::{Order, SECRET, Wall};
use crate::{memory, power};

/// What alerts are signed with; it must not be in anything that a life says.
const CANARY: &str = "whsec_Y2FuYXJ5LW9mLXRoZS10b3J0dXJlLXJ1bi1rZWVwLW91dA==";
/// The parts by which it would be recognized.
const TRACES: [&str; 2] = ["Y2FuYXJ5LW9mLXRoZS10", "canary-of-the-torture"];
/// No life is so long.
const PATIENCE: Duration = Duration::from_mins(5);

/// How a life ends.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ending {
    /// By itself, at a sync point.
    At(Aim),
    /// By us, so long after it was started.
    After(Duration),
    /// By us, so long after it acknowledged so many deliveries.
    Amid(u64, Duration),
    /// By `strace`, at the so many-th sync that one of its threads asks the system for.
    Syscall(u64),
    /// As it likes, when the so many-th sync that one of its threads asks for fails.
    Failing(u64),
    /// With the power of the disk cut, so long after it acknowledged so many deliveries.
    Power(u64, Duration),
    /// In order.
    Orderly,
}

/// How it ended indeed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum End {
    #[default]
    Orderly,
    /// By a signal: ours, or that of its own abort.
    Killed,
    /// With an error of its own.
    Failed,
}

/// What it did.
#[derive(Default)]
pub(crate) struct Lived {
    pub(crate) acknowledged: Vec<u64>,
    pub(crate) end: End,
    /// Killed at the point it was aimed at.
    pub(crate) hit: bool,
    pub(crate) resumed: bool,
    /// The most memory it had, MiB; 0 where nobody looked.
    pub(crate) peak_mib: u64,
}

/// Whether `strace` can be used here.
pub(crate) fn can_trace() -> bool {
    let tried = Command::new("strace")
        .args(["-f", "-qqq", "-o", "/dev/null", "-e", "trace=fsync,fdatasync", "true"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    tried.is_ok_and(|status| status.success())
}

/// Runs one life and collects what it said; O7: that holds no secret.
pub(crate) fn live(order: &Order, ending: Ending) -> Result<Lived> {
    let mut process = start(order, ending)?;
    let out = process.stdout.take().context("its output is ours")?;
    let mut log = process.stderr.take().context("its log is ours")?;
    let logged = thread::spawn(move || {
        let mut text = Vec::new();
        let _ = log.read_to_end(&mut text);
        String::from_utf8_lossy(&text).into_owned()
    });
    let (to, lines) = channel();
    thread::spawn(move || BufReader::new(out).lines().try_for_each(|line| to.send(line)));
    let mut lived = Lived::default();
    let heard = listen(&mut process, order, &lines, ending, &mut lived);
    if heard.is_err() {
        let _ = process.kill();
    }
    let status = process.wait().context("cannot wait for a life")?;
    let log = logged.join().unwrap_or_default();
    heard?;
    lived.end = match status.code() {
        None => End::Killed,
        Some(0) => End::Orderly,
        Some(_) => End::Failed,
    };
    let end = || log.lines().rev().take(5).collect::<Vec<_>>().join("\n");
    // One whose views cannot be written says so and fails; one whose journal cannot aborts.
    let may_fail = matches!(ending, Ending::Failing(_) | Ending::Power(..));
    if lived.end == End::Failed && !may_fail {
        bail!("a life ended with {status}; the end of its log, last line first:\n{}", end());
    }
    ensure!(TRACES.iter().all(|trace| !log.contains(trace)), "O7: the secret is in the log");
    Ok(lived)
}

fn start(order: &Order, ending: Ending) -> Result<Child> {
    let program = std::env::current_exe().context("cannot find this program")?;
    let injected = match ending {
        Ending::Syscall(n) => Some(format!("signal=KILL:when={n}")),
        Ending::Failing(n) => Some(format!("error=EIO:when={n}")),
        _ => None,
    };
    let mut command = if let Some(injected) = injected {
        let mut command = Command::new("strace");
        command.args(["-f", "-qqq", "-o", "/dev/null"]);
        command.args(["-e", "trace=fsync,fdatasync", "-e"]);
        command.arg(format!("inject=fsync,fdatasync:{injected}")).arg(program);
        command
    } else {
        Command::new(program)
    };
    command
        .args(order.arguments())
        .env(SECRET, CANARY)
        .env("RUST_LOG", "debug")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot start a life")
}

fn listen(
    process: &mut Child,
    order: &Order,
    lines: &Receiver<std::io::Result<String>>,
    ending: Ending,
    lived: &mut Lived,
) -> Result<()> {
    let began = Wall.instant();
    let mut limit = match ending {
        Ending::After(time) => time,
        _ => PATIENCE,
    };
    let mut deliveries = 0;
    loop {
        let past = Wall.instant().saturating_duration_since(began);
        let line = match lines.recv_timeout(limit.saturating_sub(past)) {
            Ok(line) => line.context("cannot read what a life says")?,
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
            Err(RecvTimeoutError::Timeout) => {
                ensure!(limit < PATIENCE, "a life does not end");
                if let (Ending::Power(..), Some(dir)) = (ending, &order.directory) {
                    power::Disk::cut(dir)?;
                }
                lived.peak_mib = memory::of(&process.id().to_string(), "VmHWM").unwrap_or(0);
                // One that has just ended is past it.
                let _ = process.kill();
                limit = PATIENCE;
                continue;
            }
        };
        ensure!(TRACES.iter().all(|trace| !line.contains(trace)), "O7: the secret was printed");
        // A kill may cut the last line short: then nobody was told.
        let Some((word, rest)) = line.strip_suffix('.').and_then(|line| line.split_once(' '))
        else {
            continue;
        };
        match word {
            "acknowledged" => {
                if let Some((from, to)) = rest.split_once("..") {
                    lived.acknowledged.extend(from.parse::<u64>()?..to.parse::<u64>()?);
                }
                deliveries += 1;
                if let Ending::Amid(after, more) | Ending::Power(after, more) = ending
                    && deliveries == after
                {
                    limit = Wall.instant().saturating_duration_since(began) + more;
                }
            }
            "reached" => lived.hit = true,
            "resumed" => lived.resumed = true,
            "peak" => lived.peak_mib = rest.parse()?,
            _ => {}
        }
    }
}
