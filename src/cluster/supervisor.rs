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
        match verdict(status, asked) {
            Verdict::Done => {
                if status.signal() == Some(Signal::KILL.as_raw()) {
                    warn!("the service was killed before it could end; the journal has everything");
                }
                return Ok(());
            }
            Verdict::Ended(code) => return Err(Ended(code).into()),
            Verdict::Again => {}
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

/// What the end of the service means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// It has ended in order.
    Done,
    /// It has ended with this code, and starting it again would not mend that, or is not wanted.
    Ended(u8),
    Again,
}

/// `asked`: we were asked to end, and have asked the service.
fn verdict(status: ExitStatus, asked: bool) -> Verdict {
    match status.code() {
        Some(0) => Verdict::Done,
        // The others ended before it: that is how a cluster stops.
        Some(code) if asked && code == i32::from(LOST) => Verdict::Done,
        Some(code) if asked || code == 2 => Verdict::Ended(code as u8),
        None if asked => match status.signal().and_then(Signal::from_named_raw) {
            // It was asked before it could listen: nothing was begun. Or somebody else has killed it, perhaps before we
            // were asked, and then we would have had no service to ask.
            Some(Signal::TERM | Signal::KILL) => Verdict::Done,
            _ => Verdict::Ended(1),
        },
        _ => Verdict::Again,
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

#[cfg(test)]
mod tests {
    use super::*;

    fn exited(code: i32) -> ExitStatus {
        ExitStatus::from_raw(code << 8)
    }

    fn killed(by: Signal) -> ExitStatus {
        ExitStatus::from_raw(by.as_raw())
    }

    #[test]
    fn what_ends_unasked_is_started_again_unless_that_cannot_help() {
        let lost = exited(LOST.into());
        for status in [exited(1), lost, killed(Signal::KILL), killed(Signal::TERM)] {
            assert_eq!(verdict(status, false), Verdict::Again, "{status}");
        }
        assert_eq!(verdict(exited(0), false), Verdict::Done, "it was asked by somebody else");
        assert_eq!(verdict(exited(2), false), Verdict::Ended(2), "its configuration is wrong");
    }

    /// Whoever is asked to end while it starts, or while the others already end, has ended in order.
    #[test]
    fn what_was_asked_to_end_is_not_started_again_however_it_ends() {
        for status in [exited(0), exited(LOST.into()), killed(Signal::TERM), killed(Signal::KILL)] {
            assert_eq!(verdict(status, true), Verdict::Done, "{status}");
        }
        for (status, code) in [(exited(1), 1), (exited(130), 130), (killed(Signal::ABORT), 1)] {
            assert_eq!(verdict(status, true), Verdict::Ended(code), "{status}");
        }
    }
}
