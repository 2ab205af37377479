//! Where a life ends: the sync points of journal, checkpoint, views and channels, by name, and the kill at one of them.

use std::io::{self, Write};
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use highwater_ingest::journal::{Disk, Step};
use highwater_sinks::{Moment, Reached};

/// A sync point: a step of the disk under journal, base and checkpoints, or a moment of views and channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Point {
    Disk(Step),
    Views(Moment),
}

impl Point {
    pub(crate) fn all() -> Vec<Point> {
        let disk = Step::ALL.into_iter().map(Point::Disk);
        disk.chain(Moment::ALL.into_iter().map(Point::Views)).collect()
    }

    pub(crate) fn name(self) -> String {
        match self {
            Point::Disk(step) => format!("disk.{step:?}"),
            Point::Views(moment) => format!("views.{moment:?}"),
        }
    }

    /// How often a life meets it, about: which occurrences are worth aiming at.
    pub(crate) fn occurrences(self) -> u64 {
        match self {
            Point::Disk(
                Step::BeforeCommit | Step::AfterCommit | Step::BeforeWitness | Step::AfterWitness,
            ) => 16,
            Point::Views(Moment::BeforeCommit | Moment::AfterCommit) => 12,
            Point::Views(Moment::BeforeDelivery | Moment::AfterDelivery) => 4,
            Point::Disk(Step::BeforeCheckpoint) => 2,
            _ => 1,
        }
    }
}

/// A point, and at which time of reaching it the life ends, from 1; written `disk.AfterCommit:3`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Aim {
    pub(crate) point: Point,
    pub(crate) occurrence: u64,
}

impl std::fmt::Display for Aim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.point.name(), self.occurrence)
    }
}

impl FromStr for Aim {
    type Err = String;

    fn from_str(text: &str) -> Result<Aim, String> {
        let (name, occurrence) = text.split_once(':').ok_or("an aim is POINT:NUMBER")?;
        let point = Point::all().into_iter().find(|point| point.name() == name);
        Ok(Aim {
            point: point.ok_or_else(|| format!("there is no point {name}"))?,
            occurrence: occurrence.parse().map_err(|_| "a number follows the point")?,
        })
    }
}

static AIM: OnceLock<Aim> = OnceLock::new();
static MET: AtomicU64 = AtomicU64::new(0);

/// Ends this process at `aim` from now on.
pub(crate) fn take(aim: Option<Aim>) {
    if let Some(aim) = aim {
        let _ = AIM.set(aim);
    }
}

fn reached(point: Point) {
    if let Some(aim) = AIM.get()
        && aim.point == point
        && MET.fetch_add(1, Ordering::SeqCst) + 1 == aim.occurrence
    {
        let _ = writeln!(io::stdout(), "reached {aim}.");
        kill();
    }
}

/// `kill -9` of this very process: nothing is flushed, nothing unwinds.
pub(crate) fn kill() -> ! {
    tell_memory();
    let pid = std::process::id().to_string();
    let _ = std::process::Command::new("kill").args(["-9", &pid]).status();
    std::process::abort();
}

/// Says how much memory this life took at most.
pub(crate) fn tell_memory() {
    if let Ok(mib) = crate::memory::of("self", "VmHWM") {
        let _ = writeln!(io::stdout(), "peak {mib}.");
    }
}

/// The disk that is aimed at.
struct Aimed;

impl Disk for Aimed {
    fn reach(&mut self, step: Step) -> io::Result<()> {
        reached(Point::Disk(step));
        Ok(())
    }
}

pub(crate) fn disk() -> Box<dyn Disk> {
    Box::new(Aimed)
}

pub(crate) fn views() -> Reached {
    Arc::new(|moment| reached(Point::Views(moment)))
}
