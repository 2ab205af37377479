//! Adherence over time: every agent's history as stretches of scheduled activity, actual state and verdict.
//!
//! in   states (Agent, state)   schedules (Agent, shift)   mapping (activity x state -> verdict)
//! out  segments (Agent, Segment<Judged>)    contiguous per agent, the last one open
//!      revisions (Agent, Revision)          what changed the past

use highwater_dataflow::{EventTime, Overlay, Point, Provenance, Span, Table};
use highwater_model::{ActivityCode, AgentId, AgentState, Envelope, Event, ShiftId, Verdict};
use serde::{Deserialize, Serialize};

use crate::input::Inputs;

/// What an agent was meant to do, did, and what that amounts to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Judged {
    /// `None` outside every shift.
    pub activity: Option<ActivityCode>,
    pub state: AgentState,
    pub status: Status,
    /// Whether this activity and state are, or were at some time, a pair that no mapping judges.
    pub gap: bool,
}

/// Adherence state, after Genesys Cloud's `InAdherence, OutOfAdherence, Unscheduled, Unknown, Ignored`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Status {
    In,
    Out,
    Neutral,
    Unscheduled,
    Unknown,
    Ignored,
}

impl Status {
    pub fn name(self) -> &'static str {
        match self {
            Status::In => "in",
            Status::Out => "out",
            Status::Neutral => "neutral",
            Status::Unscheduled => "unscheduled",
            Status::Unknown => "unknown",
            Status::Ignored => "ignored",
        }
    }
}

/// A scheduled activity with its row of the mapping matrix.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct Planned {
    pub(crate) activity: ActivityCode,
    verdicts: Matrix,
    /// Journal positions of the records that made the row what it is, sorted.
    told: Vec<u64>,
}

impl Planned {
    fn by_default(activity: &ActivityCode) -> Self {
        let verdicts = Matrix::defaults(activity);
        Planned { activity: activity.clone(), verdicts, told: Vec::new() }
    }
}

/// One row of the matrix: four bits per agent state, a verdict in three of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
struct Matrix(u64);

impl Matrix {
    fn defaults(activity: &ActivityCode) -> Self {
        AgentState::ALL
            .iter()
            .fold(Matrix(0), |matrix, &state| matrix.with(state, default_verdict(activity, state)))
    }

    /// The fourth bit stays once a verdict was missing.
    fn with(self, state: AgentState, verdict: Verdict) -> Self {
        let shift = 4 * state as u32;
        let gap = u64::from(verdict == Verdict::Unmapped) << 3;
        Matrix(self.0 & !(0x7 << shift) | (verdict as u64 | gap) << shift)
    }

    fn verdict(self, state: AgentState) -> Verdict {
        let code = (self.0 >> (4 * state as u32)) & 0x7;
        Verdict::ALL.iter().copied().find(|&v| v as u64 == code).unwrap_or_default()
    }

    fn gap(self, state: AgentState) -> bool {
        (self.0 >> (4 * state as u32)) & 0x8 != 0
    }
}

/// What holds where no `ActivityMapping` says otherwise: on-queue work is done by handling or awaiting contacts (a missed
/// offer is out), and every other activity by the state that its code is a spelling of.
pub fn default_verdict(activity: &ActivityCode, state: AgentState) -> Verdict {
    use AgentState::{Acw, Available, Coaching, Hold, Meeting, OnCall, OnQueue, Training, Unknown};
    match (activity.state(), state) {
        (None, _) | (_, Unknown) => Verdict::Unmapped,
        (Some(OnQueue), Available | OnCall | Hold | Acw | OnQueue) => Verdict::In,
        (Some(Training | Coaching), Meeting) | (Some(Meeting), Training | Coaching) => {
            Verdict::Neutral
        }
        (Some(planned), state) if planned == state => Verdict::In,
        (Some(_), _) => Verdict::Out,
    }
}

/// Activities of a shift, and the event time of the record that tells them; a deleted one has none.
pub(crate) type Shift = (Vec<Span<ActivityCode>>, EventTime);

/// Scheduled activities of the shifts in force, `(Agent, activity)`.
pub(crate) fn schedule<'s>(input: &Inputs<'s>) -> Table<'s, (AgentId, Vec<Span<ActivityCode>>)> {
    shifts(input).map(|(agent, shift)| (agent, shift.value.0))
}

/// The shifts in force, deleted ones too: `(Agent, (activities, event time of the record))` by version.
fn shifts<'s>(input: &Inputs<'s>) -> Table<'s, (AgentId, Point<Shift>)> {
    input.shifts.get_or_init(|| told(input)).clone()
}

fn told<'s>(input: &Inputs<'s>) -> Table<'s, (AgentId, Point<Shift>)> {
    let horizon = input.correction;
    let shifts = input.reference().flat_map(|envelope: Envelope| match envelope.event {
        Event::ScheduleUpdate(update) => {
            let activities = update.activities.into_iter().map(|activity| Span {
                from: activity.start_at,
                to: activity.end_at,
                value: activity.code,
                seq: envelope.seq,
            });
            let activities: Vec<Span<ActivityCode>> = activities.collect();
            let shift: (AgentId, ShiftId) = (update.agent, update.shift);
            // The version is the valid time here: a higher one replaces the shift, whenever it comes.
            let value = (activities, envelope.at);
            Some((shift, Point { at: update.version, value, seq: envelope.seq }))
        }
        _ => None,
    });
    shifts
        .latest_per_key_until("schedule", move |_, shift| {
            // A deleted shift has no end; it is remembered as well, or a lower version that comes late would revive it.
            let (activities, told_at) = &shift.value;
            let end = activities.iter().map(|activity| activity.to).fold(*told_at, i64::max);
            end.saturating_add(2 * horizon)
        })
        .map(|((agent, _), shift)| (agent, shift))
}

/// Every agent's history, judged; see the file's head.
pub fn adherence<'s>(input: &Inputs<'s>) -> Overlay<'s, AgentId, Judged> {
    let horizon = input.correction;
    let mapping = mapping(input)
        .reduce("mapping matrix", |activity, words, out| out.push((row(activity, words), 1)));

    let shifts = shifts(input);
    // A deletion leaves nothing behind that could name it: a span of no length does.
    let deletions = shifts.clone().filter(|(_, shift)| shift.value.0.is_empty()).map(
        |(agent, Point { value: (_, at), seq, .. })| {
            let value = Planned::by_default(&ActivityCode::from(""));
            (agent, Span { from: at, to: at, value, seq })
        },
    );
    let planned = shifts
        .flat_map(|(agent, shift)| {
            shift.value.0.into_iter().map(move |a| (a.value.clone(), (agent.clone(), a)))
        })
        .lookup_until(
            "planned",
            mapping,
            move |(_, activity)| activity.to.saturating_add(2 * horizon),
            |code, (agent, activity), row| {
                let planned = row.cloned().unwrap_or_else(|| Planned::by_default(code));
                (agent.clone(), activity.clone().with(planned))
            },
        )
        .concat(deletions);

    let provenance = Provenance {
        amended: |was: &Planned, is| {
            is.told.iter().copied().filter(|seq| !was.told.contains(seq)).collect()
        },
        // Who leaves what nobody judges for what nobody judges either is counted elsewhere.
        exact: |judged: &Judged| judged.gap,
    };
    let class = |judged: &Judged| judged.status;
    input.agent_states().overlay_told_by("adherence", planned, horizon, judge, class, provenance)
}

/// Every word on a cell of the mapping: `(activity, state with its verdict from then on)`.
///
/// Adherence goes by the last word on a cell, whenever it was said: a mapping that was mended judges what it was mended
/// for. Words are reference data: few, and kept.
pub(crate) fn mapping<'s>(
    input: &Inputs<'s>,
) -> Table<'s, (ActivityCode, (AgentState, Point<Verdict>))> {
    input.reference().flat_map(|envelope: Envelope| match envelope.event {
        Event::ActivityMapping(cell) => {
            let point = Point { at: envelope.at, value: cell.verdict, seq: envelope.seq };
            Some((cell.activity, (cell.state, point)))
        }
        _ => None,
    })
}

/// A row of the matrix, from all words on it: sorted by state, time, verdict and place in the journal.
fn row(activity: &ActivityCode, words: &[(&(AgentState, Point<Verdict>), isize)]) -> Planned {
    let mut planned = Planned::by_default(activity);
    for cell in words.chunk_by(|(a, _), (b, _)| a.0 == b.0) {
        let said = cell.iter().map(|((_, word), _)| word);
        let mut last: Option<&Point<Verdict>> = None;
        for word in said {
            // The cause is the first of those that say the same.
            if last.is_none_or(|last| last.value != word.value) {
                last = Some(word);
            }
            planned.verdicts = planned.verdicts.with(cell[0].0.0, word.value);
        }
        planned.told.extend(last.map(|word| word.seq));
    }
    planned.told.sort_unstable();
    planned
}

fn judge(state: Option<&AgentState>, planned: Option<&Planned>) -> Option<Judged> {
    let state = match (state, planned) {
        (None, None) => return None,
        // Scheduled but never heard of: unknown, which is not out.
        (None, Some(_)) => AgentState::Unknown,
        (Some(&state), _) => state,
    };
    let status = match planned.map(|planned| planned.verdicts.verdict(state)) {
        None => Status::Unscheduled,
        Some(Verdict::In) => Status::In,
        Some(Verdict::Out) => Status::Out,
        Some(Verdict::Neutral) => Status::Neutral,
        Some(Verdict::Ignored) => Status::Ignored,
        Some(Verdict::Unmapped) => Status::Unknown,
    };
    let gap = planned.is_some_and(|planned| planned.verdicts.gap(state));
    Some(Judged { activity: planned.map(|planned| planned.activity.clone()), state, status, gap })
}
