//! Occupancy: how agents' time divides into handling a queue's contacts and waiting for them.
//!
//! in   agent states with the queue they name   roster (Agent, profile over time)
//! out  (Queue, Measures)   `busy_ms` and `idle_ms`, cut at the intervals they fall into
//!
//! Busy is the time in on-call, hold and after-call work that names the queue; such time that names none belongs to no
//! queue. Idle is the time in available or on-queue of every agent whose profile of that time has the queue among its
//! skills: an agent who waits for three queues waits for each of them, so that the occupancy of a queue with shared
//! agents is a lower bound. Concurrency is ignored: an agent with two chats is busy once, in the queue named last.

use highwater_dataflow::window::Closed;
use highwater_dataflow::{FOREVER, Millis, Span, Table};
use highwater_model::{AgentState, QueueId};

use crate::attribution::instant;
use crate::input::Inputs;
use crate::measures::Measures;

/// A spell of one state that lasts longer is a log-off that was lost: so much of it counts.
const LONGEST: Millis = 86_400_000;

/// Agents' time per queue, as spells; what is busy and what is idle.
pub(crate) struct Spells<'s> {
    busy: Table<'s, (QueueId, Span<()>)>,
    /// The value says whether the agent still waits: what is known of the profile may end later than the present.
    idle: Table<'s, (QueueId, Span<bool>)>,
}

/// State: agents' spells and profiles within the correction horizon.
pub(crate) fn spells<'s>(input: &Inputs<'s>) -> Spells<'s> {
    use AgentState::{Acw, Available, Hold, OnCall, OnQueue};
    let horizon = input.correction;
    let spells = input.agent_work().intervals("agent spells", horizon);
    let busy = spells.clone().flat_map(|(_, spell)| {
        let (state, queue) = &spell.value;
        let queue = queue.clone().filter(|_| matches!(state, OnCall | Hold | Acw))?;
        Some((queue, spell.with(())))
    });
    let idle = spells
        .filter(|(_, spell)| matches!(spell.value.0, Available | OnQueue))
        .map(|(agent, spell)| {
            let waits = spell.to == FOREVER;
            (agent, spell.with(waits))
        })
        .overlap_join("skilled for", input.roster(), horizon, |_, waits, profile| {
            let mut skills = profile.skills.clone();
            skills.sort_unstable();
            skills.dedup();
            (*waits, skills)
        })
        .flat_map(|(_, spell)| {
            let (from, to, seq) = (spell.from, spell.to, spell.seq);
            let (value, queues) = spell.value;
            queues.into_iter().map(move |queue| (queue, Span { from, to, value, seq }))
        });
    Spells { busy, idle }
}

impl<'s> Spells<'s> {
    /// Cut at the steps of a clock, as measures.
    pub(crate) fn measured(
        &self,
        name: &str,
        step: Millis,
        closed: Closed,
    ) -> Table<'s, (QueueId, (i64, Measures))> {
        let zero = Measures::default();
        let (busy, idle) = (self.busy.clone(), self.idle.clone());
        let busy = busy
            .slices(&format!("{name} busy"), step, LONGEST, |span| span.to == FOREVER)
            .map(move |(queue, slice)| {
                let measures = Measures { busy_ms: slice.to - slice.from, ..zero };
                (queue, (instant(&slice, closed), measures))
            });
        let idle = idle.slices(&format!("{name} idle"), step, LONGEST, |span| span.value).map(
            move |(queue, slice)| {
                let measures = Measures { idle_ms: slice.to - slice.from, ..zero };
                (queue, (instant(&slice, closed), measures))
            },
        );
        busy.concat(idle)
    }
}
