//! Rows as the checker reads them, one JSON object a line; a shared writer, since several queries write to it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io::Write;
use std::rc::Rc;

use highwater_model::{ActivityCode, AgentId, AgentState, QueueId, TeamId};

use crate::queries::Interval;

/// Where the queries' rows go. A clone writes to the same place.
#[derive(Clone)]
pub(crate) struct Answers {
    inner: Rc<RefCell<Inner>>,
}

struct Inner {
    out: Box<dyn Write>,
    /// Latency runs keep what is current and write a row per event instead of per change.
    current: Option<Current>,
}

/// What each key's answer is now.
#[derive(Default)]
pub(crate) struct Current {
    pub(crate) intervals: HashMap<(QueueId, i64), Interval>,
    pub(crate) out: HashMap<AgentId, (i64, bool)>,
}

impl Answers {
    /// Writes every change as it becomes known.
    pub(crate) fn changes(out: Box<dyn Write>) -> Self {
        Answers { inner: Rc::new(RefCell::new(Inner { out, current: None })) }
    }

    /// Remembers what is current.
    pub(crate) fn current(out: Box<dyn Write>) -> Self {
        let current = Some(Current::default());
        Answers { inner: Rc::new(RefCell::new(Inner { out, current })) }
    }

    /// Whether intervals are wanted before they are over.
    pub(crate) fn early(&self) -> bool {
        self.inner.borrow().current.is_some()
    }

    /// Gives `f` the current answers and the writer.
    pub(crate) fn with<T>(&self, f: impl FnOnce(&mut Current, &mut dyn Write) -> T) -> T {
        let inner = &mut *self.inner.borrow_mut();
        let mut none = Current::default();
        f(inner.current.as_mut().unwrap_or(&mut none), &mut *inner.out)
    }

    fn line(&self, line: std::fmt::Arguments<'_>) {
        let inner = &mut *self.inner.borrow_mut();
        inner.out.write_fmt(line).expect("the output file takes rows");
    }

    pub(crate) fn interval(&self, queue: &QueueId, start: i64, value: &Interval, diff: isize) {
        if let Some(current) = &mut self.inner.borrow_mut().current {
            if diff > 0 {
                current.intervals.insert((queue.clone(), start), *value);
            }
            return;
        }
        if diff > 0 {
            let Interval { volume, completes, handle_ms } = value;
            self.line(format_args!(
                "{{\"q\":\"1\",\"queue\":\"{queue}\",\"w\":{start},\"volume\":{volume},\"n\":{completes},\"sum\":{handle_ms}}}\n"
            ));
        }
    }

    pub(crate) fn rolling(&self, queue: &QueueId, start: i64, volume: i64, diff: isize) {
        if diff > 0 && !self.early() {
            self.line(format_args!(
                "{{\"q\":\"2\",\"queue\":\"{queue}\",\"w\":{start},\"volume\":{volume}}}\n"
            ));
        }
    }

    pub(crate) fn live(&self, agent: &AgentId, at: i64, out: bool) {
        if let Some(current) = &mut self.inner.borrow_mut().current {
            current.out.insert(agent.clone(), (at, out));
            return;
        }
        self.line(format_args!("{{\"q\":\"3\",\"agent\":\"{agent}\",\"t\":{at},\"out\":{out}}}\n"));
    }

    pub(crate) fn day(
        &self,
        agent: &AgentId,
        state: AgentState,
        activity: Option<&ActivityCode>,
        out_ms: i64,
    ) {
        let out = crate::queries::is_out(state, activity);
        let (state, activity) = (state.name(), activity.map_or("off", ActivityCode::as_str));
        self.line(format_args!(
            "{{\"q\":\"3f\",\"agent\":\"{agent}\",\"state\":\"{state}\",\"activity\":\"{activity}\",\"out\":{out},\"out_ms\":{out_ms}}}\n"
        ));
    }

    pub(crate) fn alert(&self, team: &TeamId, from: i64, to: i64, diff: isize) {
        self.line(format_args!(
            "{{\"q\":\"4i\",\"team\":\"{team}\",\"from\":{from},\"to\":{to},\"d\":{diff}}}\n"
        ));
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.out.flush().expect("the output file takes rows");
    }
}
