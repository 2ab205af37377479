//! `highwater replay`: recorded input through journal, dataflow and views, until every row is final.

use std::fmt::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use highwater_dataflow::{Clock, PartitionId};
use highwater_ingest::journal::Options as JournalOptions;
use highwater_ingest::{anonymous_bank, file};
use highwater_queries::{ClosedSide, Settings, registry};
use highwater_sinks::changelog::ChangelogConfig;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use rusqlite::{Connection, OpenFlags};

use super::{print, stretch};
use crate::cli::{Closed, Recorded, Replay};
use crate::clock::WallClock;
use crate::drive::{self, Driven, Road};
use crate::engine::{self, Engine, Parts};
use crate::feed::Fed;
use crate::heard::Heard;
use crate::plan::journal_in;
use crate::sources::{SourcePlan, What};
use crate::stop::Stop;

const SHOW_EVERY: Duration = Duration::from_millis(100);

pub(crate) fn replay(replay: Replay) -> Result<()> {
    let clock: Arc<dyn Clock> = Arc::new(WallClock);
    let began = clock.instant();
    check_names(&replay.queries)?;
    let settings = Settings {
        interval_s: replay.interval,
        closed: match replay.closed {
            Closed::Left => ClosedSide::Left,
            Closed::Right => ClosedSide::Right,
        },
        ..Settings::default()
    };
    if let Err(what) = settings.check() {
        bail!(what);
    }
    let Some(source) = replay.source else { return stretch::replay(&replay, settings) };
    for file in &replay.files {
        std::fs::metadata(file).with_context(|| format!("cannot read {}", file.display()))?;
    }
    let scratch = match replay.data {
        Some(_) => None,
        None => Some(tempfile::tempdir().context("cannot make a temporary directory")?),
    };
    let dir = replay.data.as_deref().or(scratch.as_ref().map(tempfile::TempDir::path));
    let journal_dir = journal_in(dir.unwrap_or(Path::new("data")));
    std::fs::create_dir_all(&journal_dir)
        .with_context(|| format!("cannot make {}", journal_dir.display()))?;

    let engine = Engine::start(Parts {
        settings,
        only: replay.queries.clone(),
        changelog: replay.changelog.map(|path| ChangelogConfig { path }),
        ..Parts::recorded(journal_dir, &replay.views, replay.workers, clock.clone())
    })?;
    let road = Road::to(&engine, &clock, JournalOptions::default().idle_after);
    let fed = engine.fed.clone();
    road.stop.on_interrupt();
    let meter = Meter::start(fed.clone(), road.heard.clone());
    let played = play(source, &replay.files, &road);
    let finished = engine.finish();
    meter.finish();
    finished?;
    if played? == Driven::Stopped {
        return print("stopped: the views hold what had been read, and not all of it is final\n");
    }
    let took = clock.instant().saturating_duration_since(began);
    print(&summary(&replay.views, &replay.queries, &fed, took)?)
}

fn check_names(queries: &[String]) -> Result<()> {
    let queries_known = registry::QUERIES.iter().map(|query| query.name);
    let known: Vec<&str> = queries_known.chain(registry::RULES.iter().map(|it| it.name)).collect();
    match queries.iter().find(|name| !known.contains(&name.as_str())) {
        Some(name) => bail!("there is no query {name:?}; there are {}", known.join(", ")),
        None => Ok(()),
    }
}

/// Plays the files one after the other.
///
/// A file's partition is ended only when the next one has spoken: with nobody speaking, the watermark would take the
/// input for ended, and the next file for late.
fn play(kind: Recorded, files: &[PathBuf], road: &Road) -> Result<Driven> {
    let mut open: Vec<PartitionId> = Vec::new();
    for path in files {
        let plan = plan(kind, path, files.len());
        let partitions = plan.register(road);
        let mut before = std::mem::take(&mut open);
        let spoke = |road: &Road| drive::end(&std::mem::take(&mut before), road);
        let driven = plan.play(&partitions, road, spoke);
        open = before;
        open.extend(&partitions);
        if driven.with_context(|| format!("cannot replay {}", path.display()))? == Driven::Stopped {
            return Ok(Driven::Stopped);
        }
    }
    drive::end(&open, road)?;
    Ok(Driven::Done)
}

/// Plays one file of native events to its end.
pub(crate) fn play_file(path: &Path, road: &Road) -> Result<Driven> {
    play(Recorded::File, &[path.to_owned()], road)
}

fn plan(kind: Recorded, path: &Path, files: usize) -> SourcePlan {
    let file =
        || path.file_name().map_or_else(|| path.to_string_lossy(), |it| it.to_string_lossy());
    let name = |kind: &str| if files == 1 { kind.to_owned() } else { format!("{kind}:{}", file()) };
    match kind {
        Recorded::File => SourcePlan {
            name: name("file"),
            disorder_ms: 5_000,
            what: What::Files(file::Config {
                paths: vec![path.to_owned()],
                speed: None,
                follow: false,
            }),
        },
        Recorded::AnonymousBank => SourcePlan {
            name: name("anonymous-bank"),
            disorder_ms: 0,
            what: What::AnonymousBank(anonymous_bank::Config { path: path.to_owned() }),
        },
    }
}

/// Shows on a terminal how far the replay is: events answered of those to come, with rate and time to go.
struct Meter {
    done: Stop,
    thread: thread::JoinHandle<()>,
}

impl Meter {
    fn start(fed: Arc<Fed>, heard: Arc<Heard>) -> Meter {
        let style = "{bar:40} {human_pos}/{human_len} events, {rate}, {eta} to go";
        let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template(style).expect("the template is right");
        let rate = |state: &ProgressState, out: &mut dyn fmt::Write| {
            // The bar shows what it can; a line that cannot be written is not worth a word.
            let _ = write!(out, "{:.0} a second", state.per_sec());
        };
        bar.set_style(style.with_key("rate", rate));
        let done = Stop::default();
        let told = done.clone();
        let show = move || {
            while !told.wait(SHOW_EVERY) {
                let read = heard.events();
                bar.set_length(heard.expected().max(read));
                bar.set_position((fed.events() + fed.dead_letters()).min(read));
            }
            bar.finish_and_clear();
        };
        Meter { done, thread: thread::spawn(show) }
    }

    fn finish(self) {
        self.done.say();
        // A meter that failed has cost nothing but itself.
        let _ = self.thread.join();
    }
}

/// What came of it, in figures.
fn summary(db: &Path, only: &[String], fed: &Fed, took: Duration) -> Result<String> {
    let conn = Connection::open_with_flags(db, OpenFlags::SQLITE_OPEN_READ_ONLY)
        .with_context(|| format!("cannot read {}", db.display()))?;
    let count = |table: &str| -> Result<i64> {
        Ok(conn.query_row(&format!("SELECT count(*) FROM \"{table}\""), [], |row| row.get(0))?)
    };
    let events = fed.events() + fed.dead_letters();
    let rate = events as f64 / took.as_secs_f64().max(1e-3);
    let mut text = format!(
        "events        {events} in {:.1} s, {rate:.0} a second\ndead letters  {}\n",
        took.as_secs_f64(),
        fed.dead_letters()
    );
    for view in engine::views(only) {
        writeln!(text, "{:<20}{:>10} rows", view.name, count(view.name)?)?;
    }
    writeln!(text, "\nRead them:  highwater views --db {} NAME", db.display())?;
    Ok(text)
}
