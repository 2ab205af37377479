//! The cycles: which way each of them ends, what is checked after it, and the figures in the end.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use highwater_dataflow::Clock;

use crate::aim::{Aim, Point};
use crate::check::{Known, Memory, check};
use crate::child::{Order, Wall, alerts};
use crate::life::{End, Ending, Lived, can_trace, live};
use crate::oracle::Oracle;
use crate::power::Disk;
use crate::receiver::{Mail, Receiver, of_file};
use crate::script::Draw;
use crate::{Args, say};

/// Cycles that share a directory.
const TOGETHER: u64 = 20;
const HOUR_MS: i64 = 3_600_000;

/// What came of it.
#[derive(Default)]
struct Figures {
    killed: u64,
    at_random: u64,
    at_syscall: u64,
    failing: u64,
    power: u64,
    at_points: BTreeMap<Point, u64>,
    resumed: u64,
    acknowledged: usize,
    alerts: usize,
    peak_mib: u64,
}

pub(crate) fn run(dir: &Path, args: &Args) -> Result<()> {
    let began = Wall.instant();
    let mut draw = Draw::new(args.seed);
    let tracing = can_trace();
    let mut points: VecDeque<(Point, bool)> =
        Point::all().into_iter().map(|point| (point, false)).collect();
    let receiver = Receiver::start(args.seed)?;
    let mut figures = Figures::default();
    let mut done = 0;
    while done < args.cycles {
        let lives = TOGETHER.min(args.cycles - done);
        let mut place = Place::new(dir, done, &receiver, args)?;
        for n in 0..lives {
            let cycle = done + n + 1;
            let ending = if args.power {
                Ending::Power(1 + draw.below(18), Duration::from_micros(draw.below(20_000)))
            } else {
                ending(cycle, tracing, &mut points, &mut draw)
            };
            receiver.unwell(true);
            let lived = place.live(ending, &mut draw);
            let lived =
                lived.with_context(|| format!("seed {}, cycle {cycle}, {ending:?}", args.seed))?;
            figures.count(ending, &lived);
            if let (Ending::At(aim), false) = (ending, lived.hit) {
                // This life did not come so far; one of the next will, at the first time.
                points.insert(points.len().min(2), (aim.point, true));
            }
        }
        done += lives;
        receiver.unwell(false);
        let last = place.live(Ending::Orderly, &mut draw);
        last.with_context(|| format!("seed {}, after cycle {done}", args.seed))?;
        place.finish(&mut figures)?;
    }
    let took = Wall.instant().saturating_duration_since(began).as_secs_f64();
    figures.tell(args, took, tracing);
    Ok(())
}

/// How a cycle ends. `points` are those to aim at next; with `true` at their first time, for they have been missed.
fn ending(
    cycle: u64,
    tracing: bool,
    points: &mut VecDeque<(Point, bool)>,
    draw: &mut Draw,
) -> Ending {
    match cycle % 5 {
        0 => Ending::After(Duration::from_millis(draw.below(1_500))),
        1 => Ending::Amid(
            1 + draw.below(18),
            Duration::from_micros(draw.below(8) * draw.below(5_000)),
        ),
        2 if tracing => match draw.below(3) {
            0 => Ending::Failing(1 + draw.below(30)),
            _ => Ending::Syscall(1 + draw.below(30)),
        },
        _ => {
            let (point, again) = points.pop_front().expect("points are handed round");
            if again {
                return Ending::At(Aim { point, occurrence: 1 });
            }
            points.push_back((point, false));
            Ending::At(Aim { point, occurrence: 1 + draw.below(point.occurrences()) })
        }
    }
}

/// A directory and what is known of it, over the lives that share it.
struct Place<'a> {
    dir: PathBuf,
    disk: Option<Disk>,
    args: &'a Args,
    receiver: &'a Receiver,
    oracle: Oracle,
    channels: BTreeMap<&'static str, (Mail, Memory)>,
    acknowledged: BTreeSet<u64>,
    next: u64,
    lives: i64,
}

impl<'a> Place<'a> {
    fn new(dir: &Path, done: u64, receiver: &'a Receiver, args: &'a Args) -> Result<Place<'a>> {
        let dir = dir.join(format!("from-cycle-{}", done + 1));
        std::fs::create_dir_all(&dir).context("cannot make a directory")?;
        receiver.forget();
        let disk = if args.power { Some(Disk::mount(&dir)?) } else { None };
        Ok(Place {
            dir,
            disk,
            args,
            receiver,
            oracle: Oracle::new(),
            channels: ["file", "hook"].map(|name| (name, Default::default())).into(),
            acknowledged: BTreeSet::new(),
            next: 0,
            lives: 0,
        })
    }

    /// One more life, and everything checked after it.
    fn live(&mut self, ending: Ending, draw: &mut Draw) -> Result<Lived> {
        let aim = match ending {
            Ending::At(aim) => Some(aim),
            _ => None,
        };
        // An hour later each time, now and then two hours back.
        let ahead = self.lives * HOUR_MS - if draw.below(6) == 0 { 2 * HOUR_MS } else { 0 };
        let order = Order {
            directory: Some(self.dir.clone()),
            first: self.next,
            aim,
            draw: draw.below(u64::MAX),
            ahead,
            hook: Some(self.receiver.url.clone()),
        };
        self.lives += 1;
        let lived = live(&order, ending)?;
        if let (Some(disk), Ending::Power(..)) = (&self.disk, ending) {
            disk.again()?;
        }
        let cap = self.args.memory_mib;
        ensure!(lived.peak_mib <= cap, "O6: {} MiB, more than {cap}", lived.peak_mib);
        self.acknowledged.extend(&lived.acknowledged);
        // Those in flight are sent again, and a few that were acknowledged are as well.
        let greatest = self.acknowledged.last().map_or(0, |last| last + 1);
        self.next = greatest.saturating_sub(draw.below(40));
        for (name, (mail, _)) in &mut self.channels {
            *mail =
                if *name == "file" { of_file(&alerts(&self.dir))? } else { self.receiver.mail() };
        }
        let known = Known {
            acknowledged: &self.acknowledged,
            channels: &mut self.channels,
            settled: matches!(ending, Ending::Orderly),
        };
        check(&self.dir, &mut self.oracle, known)?;
        Ok(lived)
    }

    fn finish(self, figures: &mut Figures) -> Result<()> {
        figures.acknowledged += self.acknowledged.len();
        figures.alerts += self.oracle.alerts.len();
        self.oracle.finish();
        drop(self.disk);
        std::fs::remove_dir_all(&self.dir).context("cannot remove a directory that is done with")
    }
}

impl Figures {
    fn count(&mut self, ending: Ending, lived: &Lived) {
        let by_us = !matches!(ending, Ending::Failing(_) | Ending::Power(..));
        self.killed += u64::from(lived.end == End::Killed && by_us);
        self.resumed += u64::from(lived.resumed);
        self.peak_mib = self.peak_mib.max(lived.peak_mib);
        match ending {
            Ending::At(aim) if lived.hit => *self.at_points.entry(aim.point).or_default() += 1,
            Ending::After(_) | Ending::Amid(..) if lived.end == End::Killed => self.at_random += 1,
            Ending::Syscall(_) if lived.end == End::Killed => self.at_syscall += 1,
            Ending::Failing(_) if lived.end != End::Orderly => self.failing += 1,
            Ending::Power(..) if lived.end != End::Orderly => self.power += 1,
            _ => {}
        }
    }

    fn tell(&self, args: &Args, took: f64, tracing: bool) {
        let Figures { killed, at_random, at_syscall, failing, power, at_points, resumed, .. } =
            self;
        let at_point: u64 = at_points.values().sum();
        for point in Point::all().into_iter().filter(|_| !args.power) {
            let times = at_points.get(&point).copied().unwrap_or(0);
            say(&format!("{times:>5} killed at {}", point.name()));
        }
        let traced = if tracing { "" } else { " (no strace here)" };
        say(&format!(
            "seed {}: {} cycles in {took:.0} s, {killed} killed: {at_point} at {} of {} sync points, {at_random} at \
             random, {at_syscall} at the system's syncs{traced}; {failing} ended by a sync that failed; {power} \
             lost power; {resumed} went \
             on from a checkpoint; {} events acknowledged, 0 lost, 0 doubled; {} alert messages to 2 receivers, 0 forgotten, 0 sent again after they \
             were confirmed; at most {} MiB",
            args.seed,
            args.cycles,
            at_points.len(),
            Point::all().len(),
            self.acknowledged,
            self.alerts,
            self.peak_mib,
        ));
    }
}
