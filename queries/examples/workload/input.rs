//! Lines of the event file, reduced to what the four queries read.

use highwater_dataflow::Admission;
use highwater_model::{AgentId, AgentState, Event, QueueId, decode};
use serde::{Deserialize, Serialize};

/// An event of the day.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct Input {
    pub(crate) id: u128,
    pub(crate) at: i64,
    pub(crate) seq: u64,
    pub(crate) what: What,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) enum What {
    State(AgentId, AgentState),
    Arrival(QueueId),
    Complete(QueueId, i64),
}

/// What the door needs to know.
pub(crate) fn admission(input: &Input) -> Admission {
    Admission { id: input.id, at: Some(input.at), seq: input.seq }
}

/// Reads a line; `None` for events that no query reads.
///
/// Errors: a line that is no event.
pub(crate) fn read(line: &[u8], seq: u64) -> anyhow::Result<Option<Input>> {
    let decoded = decode(line).map_err(|why| anyhow::anyhow!("line {seq}: {why}"))?;
    let envelope = decoded.envelope;
    let what = match envelope.event {
        Event::AgentStateChange(change) => What::State(change.agent, change.new),
        Event::ContactArrival(arrival) => What::Arrival(arrival.queue),
        Event::ContactComplete(complete) => What::Complete(complete.queue, complete.handle_ms),
        _ => return Ok(None),
    };
    Ok(Some(Input { id: envelope.key.0, at: envelope.at, seq, what }))
}
