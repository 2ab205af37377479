//! A peer that falls silent is noticed: both sides of every pair give signs of life, and expect them.
//!
//! The end of a connection is noticed by the engine too. A process that was stopped, or a network that swallows what
//! it is given, ends nothing.

use std::io::Read;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use highwater_dataflow::Clock;
use tracing::warn;

use super::link::{Link, is_timeout};

/// Signs of life in the time after which their absence means something.
const SIGNS: u32 = 5;
const ALIVE: u8 = 1;

/// Whether everybody is still there. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Watch {
    lost: Arc<Mutex<Option<String>>>,
}

impl Watch {
    /// Who was lost, and how; `None` while all are there.
    pub(crate) fn lost(&self) -> Option<String> {
        self.lost.lock().expect("nobody panics with the lock").clone()
    }

    /// Somebody was lost. What is said first counts.
    pub(super) fn lose(&self, how: &str) {
        let mut lost = self.lost.lock().expect("nobody panics with the lock");
        if lost.is_none() {
            warn!(how, "lost another process");
            *lost = Some(how.to_owned());
        }
    }

    /// Watches over a process until it is lost.
    pub(super) fn over(
        &self,
        process: usize,
        mut link: Link,
        silence: Duration,
        clock: Arc<dyn Clock>,
    ) -> Result<()> {
        let watch = self.clone();
        let run = move || {
            let how = listen(&mut link, silence, &*clock);
            watch.lose(&format!("process {process} {how}"));
        };
        let builder = thread::Builder::new().name(format!("cluster-watch-{process}"));
        builder.spawn(run).map(drop).context("cannot start a thread")
    }
}

/// Says "alive" and hears it, until the other end does not.
fn listen(link: &mut Link, silence: Duration, clock: &dyn Clock) -> String {
    let every = silence / SIGNS;
    let mut heard = clock.instant();
    let mut said = None;
    loop {
        let now = clock.instant();
        if said.is_none_or(|said| now.saturating_duration_since(said) >= every) {
            // A sign that does not fit means that none was taken for long: the silence below tells.
            match link.write_by(&[ALIVE], now + every, clock) {
                Ok(()) => said = Some(now),
                Err(error) if is_timeout(&error) => said = Some(now),
                Err(error) => return format!("has broken its connection: {error}"),
            }
        }
        if now.saturating_duration_since(heard) >= silence {
            return format!("has been silent for {} s", silence.as_secs());
        }
        let next = said.map_or(every, |said| (said + every).saturating_duration_since(now));
        // No wait of zero: that would mean for ever.
        let wait = next.max(Duration::from_millis(1));
        let mut signs = [0; 64];
        match link.set_read_timeout(Some(wait)).and_then(|()| link.read(&mut signs)) {
            Ok(0) => return "has closed its connection".to_owned(),
            Ok(_) => heard = clock.instant(),
            Err(error) if is_timeout(&error) => {}
            Err(error) => return format!("has broken its connection: {error}"),
        }
    }
}
