//! The word to stop: said once, heard by every thread that waits.

use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::signal::ctrl_c;

/// Clones share the word.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stop {
    shared: Arc<(Mutex<bool>, Condvar)>,
}

impl Stop {
    pub(crate) fn say(&self) {
        *self.lock() = true;
        self.shared.1.notify_all();
    }

    pub(crate) fn said(&self) -> bool {
        *self.lock()
    }

    /// Waits for the word, `at_most` so long; true when it was said.
    pub(crate) fn wait(&self, at_most: Duration) -> bool {
        let waited = self.shared.1.wait_timeout_while(self.lock(), at_most, |said| !*said);
        *waited.expect("nobody panics with the lock").0
    }

    /// Says it when the user interrupts; the second time, ends the process at once.
    pub(crate) fn on_interrupt(&self) {
        let stop = self.clone();
        let listen = move || {
            let Ok(runtime) = Builder::new_current_thread().enable_all().build() else { return };
            runtime.block_on(async {
                if ctrl_c().await.is_ok() {
                    stop.say();
                }
                if ctrl_c().await.is_ok() {
                    std::process::exit(130);
                }
            });
        };
        // Without the thread an interrupt ends the process, as it does by default.
        drop(thread::Builder::new().name("interrupt".into()).spawn(listen));
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        self.shared.0.lock().expect("nobody panics with the lock")
    }
}
