//! Why nothing comes out: what the watermark waits for, as data and in plain sentences.

use jiff::Timestamp;
use serde::Serialize;

use crate::time::{BEGINNING, EventTime, FOREVER, Millis};

/// What is known of a partition that may hold the watermark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Voice {
    pub name: String,
    /// Its last bound; `BEGINNING` before the first, `FOREVER` when it has ended.
    pub bound: EventTime,
    /// The greatest event time heard from it.
    pub last_event: Option<EventTime>,
    /// How far its events may be out of order, ms.
    pub disorder: Millis,
    /// Whether the journal calls it idle.
    pub idle: bool,
    /// Whether its silence means that nothing happens; a recording's does not.
    pub live: bool,
    /// How long it has said nothing, ms; `None` while it has something waiting to become durable.
    pub silent: Option<Millis>,
    /// Why it cannot be read, while that lasts.
    pub failure: Option<String>,
}

/// What the watermark depends on, at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Situation {
    /// The wall clock, ms UTC.
    pub now: EventTime,
    pub watermark: EventTime,
    /// A live partition that says nothing for this long is idle, ms.
    pub idle_after: Millis,
    /// How far quiet time stays behind the clock, ms.
    pub quiet_delay: Millis,
    pub partitions: Vec<Voice>,
}

/// Why the watermark is where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// It has arrived: what waited for it is being computed or committed.
    Reached,
    /// A partition speaks, and has not come so far.
    Speaking,
    /// A partition holds it and makes no progress: it fails, is held back, or is a recording that has stopped.
    Stalled,
    /// No partition speaks: the watermark follows the clock.
    Idle,
    /// Every partition has ended, and none is live.
    Ended,
    /// No partition has said anything yet.
    NothingYet,
}

/// What a result at event time `awaits` waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The watermark that is needed.
    pub awaits_ms: EventTime,
    /// Where it is; `None` before the first event.
    pub watermark_ms: Option<EventTime>,
    pub cause: Cause,
    /// The partition that holds it; with all idle, the one heard from last.
    pub partition: Option<String>,
    pub last_event_ms: Option<EventTime>,
    pub idle: bool,
    /// The wall-clock time at which it comes without another event; `None`: never.
    pub by_itself_at_ms: Option<EventTime>,
    /// The same in sentences.
    pub text: String,
}

/// Says what a result that needs the watermark at `awaits` waits for: which partition, its last event, whether it is
/// idle, and when the result comes by itself.
pub fn explain_frontier(awaits: EventTime, situation: &Situation) -> Explanation {
    let speaking = || situation.partitions.iter().filter(|it| !it.idle && it.bound < FOREVER);
    let holders: Vec<&Voice> = speaking().filter(|it| it.bound < awaits).collect();
    let holder = holders.iter().min_by_key(|it| (it.bound, &it.name)).copied();
    let latest = situation.partitions.iter().filter(|it| it.idle).max_by_key(|it| it.last_event);
    let by_clock = || situation.now.max(awaits.saturating_add(situation.quiet_delay));
    let live = situation.partitions.iter().any(|it| it.live);

    let (cause, named, by_itself, text) = if situation.watermark >= awaits {
        let text = "The watermark has passed it: the result is being committed.".to_owned();
        (Cause::Reached, None, Some(situation.now), text)
    } else if let Some(holder) = holder {
        let cause = if stalled(holder, situation) { Cause::Stalled } else { Cause::Speaking };
        let outlived = speaking().any(|it| it.bound >= awaits);
        let by_itself = released_at(&holders, situation)
            .map(|at| if outlived { at } else { at.max(by_clock()) });
        (cause, Some(holder), by_itself, holding(holder, awaits, situation, by_itself))
    } else if speaking().next().is_some() {
        let text = "Every source that speaks has passed it: the result is being computed.";
        (Cause::Reached, None, Some(situation.now), text.to_owned())
    } else if situation.partitions.is_empty() {
        let text = "No source has said anything yet: send an event, or look at the sources' configuration.";
        (Cause::NothingYet, None, None, text.to_owned())
    } else if live {
        let at = by_clock();
        (Cause::Idle, latest, Some(at), quiet(at, situation))
    } else {
        let text = "Every source has ended, so nothing moves the watermark any more.".to_owned();
        (Cause::Ended, latest, None, text)
    };
    let at = match situation.watermark {
        BEGINNING => "There is no watermark yet.".to_owned(),
        FOREVER => "All input has ended.".to_owned(),
        at => format!("The watermark is at {}.", time(at)),
    };
    Explanation {
        awaits_ms: awaits,
        watermark_ms: (situation.watermark != BEGINNING).then_some(situation.watermark),
        cause,
        partition: named.map(|it| it.name.clone()),
        last_event_ms: named.and_then(|it| it.last_event),
        idle: cause == Cause::Idle,
        by_itself_at_ms: by_itself,
        text: format!("{at} {text}"),
    }
}

/// Whether the partition makes no progress for now.
fn stalled(voice: &Voice, situation: &Situation) -> bool {
    let silent = voice.silent.is_some_and(|silent| silent >= situation.idle_after);
    voice.failure.is_some() || voice.silent.is_none() || (!voice.live && silent)
}

/// When the last of the holders is idle if none of them says another word; `None`: one of them never is.
fn released_at(holders: &[&Voice], situation: &Situation) -> Option<EventTime> {
    let idle_at = |it: &&Voice| {
        let patience = (situation.idle_after - it.silent?).max(0);
        (it.live && it.failure.is_none()).then_some(situation.now + patience)
    };
    holders.iter().map(idle_at).try_fold(situation.now, |last, at| Some(last.max(at?)))
}

fn holding(
    voice: &Voice,
    awaits: EventTime,
    situation: &Situation,
    by_itself: Option<EventTime>,
) -> String {
    let name = &voice.name;
    let who = match voice.last_event {
        Some(at) => format!(
            "{name} holds it: its newest event is of {}, and its events may be {} out of order.",
            time(at),
            length(voice.disorder)
        ),
        None => format!("{name} holds it: nothing has been heard from it since the start."),
    };
    let heard = voice.silent.map_or(String::new(), |silent| format!(" for {}", length(silent)));
    let how = match &voice.failure {
        Some(failure) => format!(
            "It cannot be read ({failure}), so its silence does not mean that nothing happened."
        ),
        None if voice.silent.is_none() => {
            "It has input waiting for the journal, so it is not idle.".to_owned()
        }
        None if !voice.live && stalled(voice, situation) => {
            format!(
                "It is a recording and has said nothing{heard}: it holds the watermark until it goes on or ends."
            )
        }
        None if !voice.live => "It is a recording that is being read.".to_owned(),
        None => format!("It is not idle: it has been silent{heard}."),
    };
    let when = if voice.bound == BEGINNING {
        format!("The result comes when {name} has spoken")
    } else {
        let enough = time(awaits.saturating_add(voice.disorder));
        format!("The result comes when {name} sends an event of {enough} or later")
    };
    let otherwise = match by_itself {
        Some(at) => {
            let (at, wait) = (time(at), length(at - situation.now));
            format!("; if nothing more comes, by itself at {at} (in {wait}).")
        }
        None if voice.live => "; it does not come by itself.".to_owned(),
        None => " or ends; it does not come by itself.".to_owned(),
    };
    format!("{who} {how} {when}{otherwise}")
}

fn quiet(at: EventTime, situation: &Situation) -> String {
    let mut idle: Vec<&Voice> = situation.partitions.iter().filter(|it| it.idle).collect();
    idle.sort_by_key(|it| std::cmp::Reverse(it.last_event));
    let each = idle.iter().map(|it| match it.last_event {
        Some(at) => format!("{} (last event {})", it.name, time(at)),
        None => it.name.clone(),
    });
    let names = each.collect::<Vec<_>>().join(", ");
    let who = match idle.len() {
        0 => "No source speaks: those that were heard have ended.".to_owned(),
        1 => format!("{names} is idle: nothing happens there."),
        _ => format!("Every source is idle, nothing happens there: {names}."),
    };
    let (behind, wait) = (length(situation.quiet_delay), length(at - situation.now));
    format!(
        "{who} The watermark follows the clock {behind} behind: the result comes by itself at {} (in {wait}).",
        time(at)
    )
}

/// `2026-05-15T14:32:07Z`.
fn time(at: EventTime) -> String {
    Timestamp::from_millisecond(at).map_or_else(|_| format!("{at} ms"), |at| at.to_string())
}

/// `0.4 s`, `35 s`, `12 min`, `3.5 h`.
fn length(ms: Millis) -> String {
    match ms {
        ..=0 => "0 s".to_owned(),
        1..10_000 if ms % 1_000 != 0 => format!("{:.1} s", ms as f64 / 1e3),
        1..120_000 => format!("{} s", ms / 1_000),
        120_000..7_200_000 => format!("{} min", ms / 60_000),
        _ => format!("{:.1} h", ms as f64 / 3.6e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-05-15T14:00:00Z.
    const TWO: EventTime = 1_778_853_600_000;
    const S: Millis = 1_000;

    fn voice(name: &str, last: EventTime) -> Voice {
        Voice {
            name: name.into(),
            bound: last - 5 * S,
            last_event: Some(last),
            disorder: 5 * S,
            idle: false,
            live: true,
            silent: Some(400),
            failure: None,
        }
    }

    /// Two seconds before the hour; the result needs the hour.
    fn explained(partitions: Vec<Voice>) -> Explanation {
        let speaking = partitions.iter().filter(|it| !it.idle);
        let watermark = speaking.map(|it| it.bound).min().unwrap_or(TWO - 4 * S);
        let (now, idle_after, quiet_delay) = (TWO - 2 * S, 5 * S, 2 * S);
        explain_frontier(TWO, &Situation { now, watermark, idle_after, quiet_delay, partitions })
    }

    #[test]
    fn a_healthy_partition() {
        let told = explained(vec![voice("acd", TWO - 3 * S), voice("wfm", TWO + 6 * S)]);
        assert_eq!((told.cause, told.partition.as_deref()), (Cause::Speaking, Some("acd")));
        // It is idle 4.6 s from now; the other has passed the hour.
        assert_eq!(told.by_itself_at_ms, Some(TWO + 2_600));
        assert_eq!(
            told.text,
            "The watermark is at 2026-05-15T13:59:52Z. acd holds it: its newest event is of 2026-05-15T13:59:57Z, and \
             its events may be 5 s out of order. It is not idle: it has been silent for 0.4 s. The result comes when acd \
             sends an event of 2026-05-15T14:00:05Z or later; if nothing more comes, by itself at \
             2026-05-15T14:00:02.6Z (in 4.6 s)."
        );
        // Alone, it leaves the rest to the clock, which needs the hour and two seconds.
        let alone = explained(vec![Voice { silent: Some(4_900), ..voice("acd", TWO - 3 * S) }]);
        assert_eq!(alone.by_itself_at_ms, Some(TWO + 2 * S));
    }

    #[test]
    fn a_stalled_partition() {
        let recording = Voice {
            live: false,
            silent: Some(3 * 3_600 * S),
            ..voice("january.jsonl", TWO - 86_400 * S)
        };
        let told = explained(vec![recording, voice("acd", TWO)]);
        assert_eq!((told.cause, told.by_itself_at_ms), (Cause::Stalled, None));
        assert_eq!(
            told.text,
            "The watermark is at 2026-05-14T13:59:55Z. january.jsonl holds it: its newest event is of \
             2026-05-14T14:00:00Z, and its events may be 5 s out of order. It is a recording and has said nothing for \
             3.0 h: it holds the watermark until it goes on or ends. The result comes when january.jsonl sends an event \
             of 2026-05-15T14:00:05Z or later or ends; it does not come by itself."
        );
        let failing = Voice { failure: Some("no such file".into()), ..voice("acd", TWO - 60 * S) };
        let told = explained(vec![failing]);
        assert_eq!((told.cause, told.by_itself_at_ms), (Cause::Stalled, None));
        assert!(told.text.contains("It cannot be read (no such file)"), "{}", told.text);
        let held_back = Voice { silent: None, ..voice("acd", TWO - 60 * S) };
        let told = explained(vec![held_back]);
        assert_eq!((told.cause, told.by_itself_at_ms), (Cause::Stalled, None));
        assert!(told.text.contains("input waiting for the journal"), "{}", told.text);
    }

    #[test]
    fn an_idle_partition() {
        let idle = |name, last| Voice { idle: true, silent: Some(60 * S), ..voice(name, last) };
        let told = explained(vec![idle("acd", TWO - 600 * S)]);
        assert_eq!((told.cause, told.idle), (Cause::Idle, true));
        assert_eq!(told.by_itself_at_ms, Some(TWO + 2 * S));
        assert_eq!(
            told.text,
            "The watermark is at 2026-05-15T13:59:56Z. acd (last event 2026-05-15T13:50:00Z) is idle: nothing happens \
             there. The watermark follows the \
             clock 2 s behind: the result comes by itself at 2026-05-15T14:00:02Z (in 4 s)."
        );
        // An idle partition holds nothing: another one does.
        let told = explained(vec![idle("acd", TWO - 600 * S), voice("wfm", TWO - 10 * S)]);
        assert_eq!((told.cause, told.partition.as_deref()), (Cause::Speaking, Some("wfm")));
        let several = explained(vec![idle("acd", TWO - 600 * S), idle("wfm", TWO - 300 * S)]);
        assert_eq!(several.partition.as_deref(), Some("wfm"));
    }

    #[test]
    fn the_beginning_and_the_end() {
        assert_eq!(explained(Vec::new()).cause, Cause::NothingYet);
        let ended = Voice { bound: FOREVER, live: false, ..voice("january", TWO - S) };
        let situation = Situation {
            now: TWO,
            watermark: TWO - S,
            idle_after: S,
            quiet_delay: S,
            partitions: vec![ended],
        };
        assert_eq!(explain_frontier(TWO, &situation).cause, Cause::Ended);
        assert_eq!(explain_frontier(TWO - S, &situation).cause, Cause::Reached);
        let passed = explained(vec![voice("acd", TWO + 60 * S)]);
        assert_eq!((passed.cause, passed.by_itself_at_ms), (Cause::Reached, Some(TWO - 2 * S)));
    }
}
