//! The supervisor: a process that does nothing but start the service again when it has ended.
//!
//! When one process of a cluster is lost, all others end too, and meet again. Whoever starts them must be somebody
//! else: this, unless systemd or Kubernetes does it (`--no-supervisor`).

use std::fmt;
use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitStatus};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use highwater_dataflow::Clock;
use rustix::process::{Pid, Signal, getppid, kill_process, set_parent_process_death_signal};
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};
use tracing::{info, warn};

use super::LOST;

/// Names the supervisor's process to the child.
const SUPERVISOR: &str = "HIGHWATER_SUPERVISOR";
/// The first wait before starting again; it doubles up to the longest while the service does not last.
const AGAIN_FIRST: Duration = Duration::from_millis(100);
const AGAIN_LONGEST: Duration = Duration::from_secs(5);
/// A service that ran this long has lasted.
const LASTED: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(20);

/// The service ended in a way that starting it again would not mend.
#[derive(Debug)]
pub(crate) struct Ended(pub(crate) u8);

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the service ended with code {}; what it said is above", self.0)
    }
}

impl std::error::Error for Ended {}

/// Runs this program again as a child, with the same arguments and `--no-supervisor`, until it ends by itself or a
/// signal ends it.
///
/// Errors: another supervisor has the data directory; [`Ended`] when the configuration cannot be used.
pub(crate) fn supervise(data_dir: &Path, clock: &dyn Clock) -> Result<()> {
    std::fs::create_dir_all(data_dir)
        .with_context(|| format!("cannot make the data directory {}", data_dir.display()))?;
    let path = data_dir.join("supervisor.lock");
    let lock = File::create(&path).with_context(|| format!("cannot make {}", path.display()))?;
    if lock.try_lock().is_err() {
        bail!("another supervisor has {}; one is enough", data_dir.display());
    }
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context("cannot start the supervisor")?;
    let outcome = runtime.block_on(keep(clock));
    drop(lock);
    outcome
}

async fn keep(clock: &dyn Clock) -> Result<()> {
    let on = |kind| signal(kind).context("cannot listen for signals");
    let mut interrupt = on(SignalKind::interrupt())?;
    let mut terminate = on(SignalKind::terminate())?;
    let program = std::env::current_exe().context("cannot tell where this program is")?;
    let mut again = AGAIN_FIRST;
    let mut asked = false;
    loop {
        let began = clock.instant();
        let mut child = Command::new(&program)
            .args(std::env::args_os().skip(1))
            .arg("--no-supervisor")
            .env(SUPERVISOR, std::process::id().to_string())
            .spawn()
            .context("cannot start the service")?;
        info!(pid = child.id(), "started the service");
        let status = loop {
            tokio::select! {
                _ = interrupt.recv() => { asked = true; end(child.id()); }
                _ = terminate.recv() => { asked = true; end(child.id()); }
                () = tokio::time::sleep(LOOK) => {}
            }
            if let Some(status) = child.try_wait().context("cannot wait for the service")? {
                break status;
            }
        };
        match status.code() {
            Some(0) => return Ok(()),
            // The others ended before it: that is how a cluster stops.
            Some(code) if asked && code == i32::from(LOST) => return Ok(()),
            Some(code) if asked || code == 2 => return Err(Ended(code as u8).into()),
            // It was asked before it could listen: nothing was begun.
            None if asked && status.signal() == Some(Signal::TERM.as_raw()) => return Ok(()),
            None if asked => return Err(Ended(1).into()),
            _ => {}
        }
        if clock.instant().saturating_duration_since(began) >= LASTED {
            again = AGAIN_FIRST;
        }
        tell(status, again);
        tokio::select! {
            _ = interrupt.recv() => return Ok(()),
            _ = terminate.recv() => return Ok(()),
            () = tokio::time::sleep(again) => {}
        }
        // Losing a peer is nothing that the service did: it is needed back soon.
        let longest =
            if status.code() == Some(LOST.into()) { AGAIN_FIRST * 8 } else { AGAIN_LONGEST };
        again = longest.min(again * 2);
    }
}

fn tell(status: ExitStatus, wait: Duration) {
    if status.code() == Some(LOST.into()) {
        info!(wait_ms = wait.as_millis(), "another process was lost; starting again");
    } else {
        warn!(%status, wait_ms = wait.as_millis(), "the service ended; starting it again");
    }
}

fn end(child: u32) {
    if let Some(pid) = i32::try_from(child).ok().and_then(Pid::from_raw) {
        // It may have ended just now.
        let _ = kill_process(pid, Signal::TERM);
    }
}

/// What the service owes its supervisor.
pub(crate) struct Child;

impl Child {
    /// Ends this process when its supervisor dies, so that the next one finds the data directory free.
    pub(crate) fn dies_with_its_supervisor() {
        let supervisor = std::env::var(SUPERVISOR).ok().and_then(|it| it.parse::<i32>().ok());
        let Some(supervisor) = supervisor else { return };
        // Where the system cannot do it, the journal's lock still keeps two services apart.
        let _ = set_parent_process_death_signal(Some(Signal::KILL));
        if getppid().map(Pid::as_raw_nonzero).map(i32::from) != Some(supervisor) {
            std::process::exit(i32::from(LOST));
        }
    }
}
