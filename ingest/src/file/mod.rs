//! Files of native events, one JSON object a line, plain or gzip: as fast as they are asked for, or paced by event time.
//!
//! Each file is a partition. Position: byte offset just after the last line handed out, in the unpacked text. A line
//! that is no event, or too long to be one, goes on as a dead letter, and the lines after it as ever.

mod pace;
mod tail;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use highwater_dataflow::{EventTime, Millis};
use serde::Deserialize;

use crate::intake::Intake;
use crate::source::{Next, POLL_MAX, Polled, Source, SourceError};
use pace::Pace;
use tail::{Read, Tail};

/// How often a followed file is looked at when it had no more.
const FOLLOW_EVERY: Millis = 200;
/// What one poll reads at most, give or take a line: with [`POLL_MAX`] what bounds a delivery.
const POLL_BYTES: usize = 4 << 20;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Each a partition; `.gz` is unpacked.
    pub paths: Vec<PathBuf>,
    /// Event time per time of the clock: 1 is real time, 60 an hour a minute. `None`: as fast as possible.
    #[serde(default)]
    pub speed: Option<f64>,
    /// Whether the files go on growing, by appending: at its end a file is waited for instead of ended. Not for `.gz`.
    #[serde(default)]
    pub follow: bool,
}

/// Files as a source.
pub struct Files {
    tails: Vec<Tail>,
    pace: Option<Pace>,
    follow: bool,
    /// The file to look at first, so that a long one does not hold up the others.
    turn: usize,
}

impl Source for Files {
    type Config = Config;

    fn partitions(config: &Config) -> Vec<String> {
        config.paths.iter().map(|path| format!("file:{}", path.display())).collect()
    }

    fn open(config: Config, resume: &[Option<u64>]) -> Result<Self, SourceError> {
        if config.paths.is_empty() {
            return Err(SourceError::Config("file: paths must name at least one file".to_owned()));
        }
        if let Some(path) = (1..config.paths.len())
            .find(|index| config.paths[..*index].contains(&config.paths[*index]))
            .map(|index| &config.paths[index])
        {
            return Err(SourceError::Config(format!("file: {} is named twice", path.display())));
        }
        let pace = config.speed.map(Pace::new).transpose()?;
        let open = |(index, path): (usize, PathBuf)| {
            Tail::open(path, resume.get(index).copied().flatten().unwrap_or(0), config.follow)
        };
        let tails = config.paths.into_iter().enumerate().map(open).collect::<Result<_, _>>()?;
        Ok(Self { tails, pace, follow: config.follow, turn: 0 })
    }

    fn poll(&mut self, now: EventTime, out: &mut Vec<Intake>) -> Result<Polled, SourceError> {
        if let Some(pace) = &mut self.pace
            && pace.start().is_none()
        {
            // The clock of the replay starts with the earliest of the files' first events.
            for tail in &mut self.tails {
                tail.hold()?;
            }
            if let Some(first) = self.tails.iter().filter_map(Tail::due).min() {
                pace.begin(now, first);
            }
        }
        let until = self.pace.as_ref().and_then(|pace| pace.replayed(now));
        for step in 0..self.tails.len() {
            let partition = (self.turn + step) % self.tails.len();
            let tail = &mut self.tails[partition];
            let before = out.len();
            let failure = Self::drain(tail, until, self.pace.is_some(), out).err();
            if let Some(failure) = failure {
                // What came before it is handed over first, the failure with the next poll.
                if out.len() == before {
                    return Err(failure);
                }
                tail.fail(failure);
            }
            if before < out.len() {
                self.turn = partition + 1;
                let received_at = until.or(tail.newest()).unwrap_or(now);
                return Ok(Polled { partition, received_at, next: Next::Ready });
            }
        }
        let next = if self.tails.iter().all(Tail::ended) {
            Next::Done
        } else {
            let due = self.tails.iter().filter_map(Tail::due).min();
            let due = due.zip(self.pace.as_ref()).and_then(|(due, pace)| pace.given(due));
            let look = self.follow.then_some(now + FOLLOW_EVERY);
            match due.into_iter().chain(look).min() {
                Some(at) => Next::At(at.max(now + 1)),
                None => Next::Ready,
            }
        };
        Ok(Polled { partition: 0, received_at: until.unwrap_or(now), next })
    }

    fn position(&self, partition: usize) -> u64 {
        self.tails.get(partition).map_or(0, Tail::position)
    }
}

impl Files {
    /// Hands over what is due of one file, up to the bounds of a poll.
    fn drain(
        tail: &mut Tail,
        until: Option<EventTime>,
        paced: bool,
        out: &mut Vec<Intake>,
    ) -> Result<(), SourceError> {
        let mut bytes = 0;
        while out.len() < POLL_MAX && bytes < POLL_BYTES {
            if tail.hold()? == Read::Nothing {
                break;
            }
            // Before the replay's clock has begun nothing but dead letters can be held: they are due.
            let waits = tail.due().zip(until).is_some_and(|(due, until)| paced && until < due);
            let Some(intake) = (!waits).then(|| tail.release()).flatten() else { break };
            bytes += intake.raw.len();
            out.push(intake);
        }
        Ok(())
    }
}
