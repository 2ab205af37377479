//! Everyone meets everyone, and all agree on who they are and where to start.
//!
//! Who has the higher number calls. Each pair has two connections: one for the engine, one for agreement and signs of
//! life. Once a process has met all others, it tells each of them whom it met, every run with its random name; who has
//! heard the same from everyone says so, and only who hears that from everyone too starts anything. Until then one that
//! leaves is noticed at once, and all close what they have and meet again, without starting again.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::TcpListener;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use highwater_dataflow::{Clock, Epoch};
use sha2::{Digest, Sha256};
use tracing::{debug, info, warn};

use super::WrongJournals;
use super::begins::{self, Begins};
use super::door::{self, Answer};
use super::handshake::{Failed, Handshake, Introduction, Line, nonce};
use super::link::{Link, is_timeout, left};
use super::number::Number;
use super::plan::{Cluster, addresses};
use super::watch::Watch;

const CONNECT: Duration = Duration::from_secs(2);
/// The wait between calls that nobody answers; it doubles up to the longest.
const AGAIN_FIRST: Duration = Duration::from_millis(50);
const AGAIN_LONGEST: Duration = Duration::from_secs(1);
const LOOK: Duration = Duration::from_millis(50);
/// All have met within this after the first who has; one that is gone is noticed at once.
const AGREE: Duration = Duration::from_secs(15);
const TELL_EVERY: Duration = Duration::from_secs(10);

/// What a process brings.
#[derive(Clone, Debug)]
pub(crate) struct Brings {
    /// Of everything that answers depend on.
    pub(crate) config: String,
    /// Its journals, with their last epochs.
    pub(crate) journals: Vec<(Number, Epoch)>,
    /// The journals it knows to exist.
    pub(crate) known: BTreeSet<u8>,
    /// The epochs of which it has whole checkpoints.
    pub(crate) checkpoints: Vec<Epoch>,
    /// After which epochs its journals can be read.
    pub(crate) begins: Vec<Begins>,
    /// The last epoch it has shown to anybody.
    pub(crate) shown: Epoch,
    pub(crate) url: String,
}

/// The cluster, met and agreed.
pub(crate) struct Joined {
    /// The engine's connections, by process; `None` at our own.
    pub(crate) links: Vec<Option<Link>>,
    /// After everything that anybody has journaled or shown: every new epoch is later.
    pub(crate) started_after: Epoch,
    /// The last epoch that is in anybody's journal.
    pub(crate) replay_until: Epoch,
    /// The newest epoch of which everybody has a checkpoint.
    pub(crate) resume: Option<Epoch>,
    /// Without one: the epoch after which all journals are read.
    pub(crate) begin: Epoch,
    /// The epochs of the bases that each process has of its own journal.
    pub(crate) bases: Vec<BTreeSet<Epoch>>,
    /// Every journal that took part.
    pub(crate) known: BTreeSet<u8>,
    /// Where the views are served.
    pub(crate) owner_url: String,
    /// Who notices that somebody is gone.
    pub(crate) watch: Watch,
}

/// Meets all other processes, however long that takes.
///
/// Errors: the port cannot be had; [`WrongJournals`] when the journals that were brought are not those there are.
pub(crate) fn join(cluster: &Cluster, brings: Brings, clock: Arc<dyn Clock>) -> Result<Joined> {
    let listener = bind(&cluster.listen)?;
    let room = Arc::new(Room::new(cluster.clone(), introduction(cluster, brings, &*clock)?, clock));
    door::open(listener, room.clone()).context("cannot open the cluster port")?;
    for to in 0..cluster.process {
        let room = room.clone();
        thread::Builder::new()
            .name(format!("cluster-call-{to}"))
            .spawn(move || room.call(to))
            .context("cannot start a thread")?;
    }
    info!(
        process = cluster.process,
        processes = cluster.hosts.len(),
        "meeting the other processes"
    );
    for tries in 1_u64.. {
        let met = room.meet();
        match room.agree(met)? {
            Ok(joined) => return Ok(joined),
            // Not a line for each: one that comes and goes must not fill the log.
            Err(error) if tries.is_power_of_two() => {
                info!(%error, tries, "not all have met the same; meeting again");
            }
            Err(error) => debug!(%error, tries, "not all have met the same; meeting again"),
        }
    }
    unreachable!("nobody tries for so long")
}

fn bind(listen: &str) -> Result<TcpListener> {
    let cannot = || {
        format!(
            "cannot listen on {listen} for the cluster\n\
             hint: another program may have the port; is this process running already?"
        )
    };
    let addresses = addresses(listen).with_context(cannot)?;
    TcpListener::bind(&addresses[..]).with_context(cannot)
}

fn introduction(cluster: &Cluster, brings: Brings, clock: &dyn Clock) -> Result<Introduction> {
    let run = nonce().context("the system gives no random bytes")?;
    Ok(Introduction {
        process: cluster.process,
        processes: cluster.hosts.len(),
        config: brings.config,
        run: hex(&run),
        journals: brings.journals.iter().map(|(number, tip)| (number.0, *tip)).collect(),
        known: brings.known.into_iter().collect(),
        checkpoints: brings.checkpoints,
        begins: brings.begins,
        shown: brings.shown,
        now: u64::try_from(clock.now_ms()).unwrap_or(0).saturating_mul(1_000),
        url: brings.url,
    })
}

/// Where they meet.
struct Room {
    cluster: Cluster,
    own: Introduction,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    /// Whom we have met, by process and line.
    seats: BTreeMap<(usize, u8), (Link, Introduction)>,
    stage: Stage,
    watch: Watch,
    /// The runs of which it was said that they do not fit, and what stands in the way of encryption.
    told: BTreeSet<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Meeting,
    Agreeing,
    Formed,
}

type Met = BTreeMap<(usize, u8), (Link, Introduction)>;
/// By process and line.
type Lines = BTreeMap<(usize, u8), Link>;

/// Said once the same was heard from everyone; no sign of life is like it.
const AGREED: &[u8; 8] = b"agreed\r\n";

impl Answer for Room {
    fn answer(&self, mut link: Link) -> Result<(), Failed> {
        let (theirs, line) = self.handshake().answer(&mut link)?;
        if theirs.process < self.own.process {
            return Err(Failed::Stranger("the one with the higher number calls"));
        }
        self.seat(link, theirs, line)
    }

    fn is_over(&self) -> bool {
        false
    }
}

impl Room {
    fn new(cluster: Cluster, own: Introduction, clock: Arc<dyn Clock>) -> Room {
        let state = State {
            seats: BTreeMap::new(),
            stage: Stage::Meeting,
            watch: Watch::default(),
            told: BTreeSet::new(),
        };
        Room { cluster, own, clock, state: Mutex::new(state), changed: Condvar::new() }
    }

    fn handshake(&self) -> Handshake<'_> {
        Handshake {
            secret: &self.cluster.secret,
            own: &self.own,
            tls: self.cluster.tls.as_ref(),
            clock: &*self.clock,
        }
    }

    /// Takes somebody in who has proved to be one of us.
    fn seat(&self, link: Link, theirs: Introduction, line: Line) -> Result<(), Failed> {
        if (theirs.processes, &theirs.config) != (self.own.processes, &self.own.config) {
            // It calls again and again; once is enough to be told.
            if self.lock().told.insert(theirs.run) {
                warn!(
                    process = theirs.process,
                    "a process has another version, other [queries], another journal.retain_days, or another number of \
                     processes or workers; give all the same"
                );
            }
            return Err(Failed::Stranger("it has another configuration"));
        }
        if theirs.process >= self.own.processes {
            return Err(Failed::Stranger("there is no process of its number"));
        }
        let mut state = self.lock();
        // It may have given up while it was heard out, and called again since.
        if link.is_closed() {
            return Ok(());
        }
        if state.stage == Stage::Formed {
            state.watch.lose(&format!("process {} has started again", theirs.process));
            return Ok(());
        }
        // Of two runs of a process the later one counts.
        state.seats.retain(|(process, _), (_, before)| {
            *process != theirs.process || before.run == theirs.run
        });
        state.seats.insert((theirs.process, line as u8), (link, theirs));
        drop(state);
        self.changed.notify_all();
        Ok(())
    }

    /// Calls process `to` until all have met.
    fn call(&self, to: usize) {
        let mut again = AGAIN_FIRST;
        loop {
            let Some(missing) = self.missing(to) else { return };
            let called = missing.into_iter().try_for_each(|line| self.call_once(to, line));
            match called {
                Ok(()) => again = AGAIN_FIRST,
                Err(failed) => {
                    self.tell(to, &failed);
                    let waited = self.changed.wait_timeout_while(self.lock(), again, |state| {
                        state.stage != Stage::Formed
                    });
                    drop(waited.expect("nobody panics with the lock"));
                    again = AGAIN_LONGEST.min(again * 2);
                }
            }
        }
    }

    /// Says why a process cannot be reached. Only one that is not there yet will come by itself.
    fn tell(&self, to: usize, failed: &Failed) {
        if let Failed::Tls(what) = failed
            && self.lock().told.insert(format!("{to}: {what}"))
        {
            warn!(process = to, %failed, "no encrypted connection to a process");
        } else {
            debug!(process = to, %failed, "cannot reach a process yet");
        }
    }

    fn call_once(&self, to: usize, line: Line) -> Result<(), Failed> {
        let mut last = Failed::Stranger("its name has no address");
        let host = &self.cluster.hosts[to];
        for address in addresses(host)? {
            match Link::dial(&address, CONNECT) {
                Ok(mut link) => {
                    let theirs = self.handshake().dial(&mut link, (to, host), line)?;
                    return self.seat(link, theirs, line);
                }
                Err(error) => last = error.into(),
            }
        }
        Err(last)
    }

    /// The lines to process `to` that are missing, once some are; `None` when all have met.
    fn missing(&self, to: usize) -> Option<Vec<Line>> {
        let mut state = self.lock();
        loop {
            let lines: Vec<Line> = [Line::Data, Line::Control]
                .into_iter()
                .filter(|line| !state.seats.contains_key(&(to, *line as u8)))
                .collect();
            match state.stage {
                Stage::Formed => return None,
                Stage::Meeting if !lines.is_empty() => return Some(lines),
                Stage::Meeting | Stage::Agreeing => {}
            }
            let waited = self.changed.wait_timeout(state, LOOK);
            state = waited.expect("nobody panics with the lock").0;
        }
    }

    /// Waits until everyone is here.
    fn meet(&self) -> Met {
        let everyone = 2 * (self.own.processes - 1);
        let mut told = self.clock.instant();
        let mut state = self.lock();
        state.stage = Stage::Meeting;
        loop {
            // A connection that broke while others were waited for is to be made again.
            state.seats.retain(|_, (link, _)| !link.is_closed());
            if state.seats.len() == everyone {
                state.stage = Stage::Agreeing;
                return std::mem::take(&mut state.seats);
            }
            if self.clock.instant().saturating_duration_since(told) >= TELL_EVERY {
                told = self.clock.instant();
                let here: BTreeSet<usize> = state.seats.keys().map(|(it, _)| *it).collect();
                let missing: Vec<usize> = (0..self.own.processes)
                    .filter(|it| *it != self.own.process && !here.contains(it))
                    .collect();
                info!(?missing, "waiting for other processes");
            }
            let waited = self.changed.wait_timeout(state, LOOK);
            state = waited.expect("nobody panics with the lock").0;
        }
    }

    /// Tells everyone whom we met, and hears the same from everyone.
    ///
    /// The inner error: somebody left, or met somebody else; all meet again.
    fn agree(&self, met: Met) -> Result<io::Result<Joined>> {
        let mut all: BTreeMap<usize, Introduction> = BTreeMap::new();
        all.insert(self.own.process, self.own.clone());
        all.extend(met.iter().map(|((process, _), (_, theirs))| (*process, theirs.clone())));
        let mut lines = met.into_iter().map(|(seat, (link, _))| (seat, link)).collect();
        if let Err(error) = self.exchange(&digest(&all), &mut lines) {
            // The others see the end of their connections, and meet again too.
            lines.values().for_each(Link::close);
            return Ok(Err(error));
        }
        let (mut links, mut controls): (Vec<Option<Link>>, Vec<(usize, Link)>) =
            ((0..self.own.processes).map(|_| None).collect(), Vec::new());
        for ((process, line), link) in lines {
            if line == Line::Data as u8 {
                links[process] = Some(link);
            } else {
                controls.push((process, link));
            }
        }
        let known = journals(&all)?;
        let resume = common(all.values().map(|it| &it.checkpoints));
        let begin = match resume {
            Some(epoch) => epoch,
            None => begins::together(&begin(&all))?,
        };
        let links = links.into_iter().map(|link| link.map(Link::release).transpose());
        let links = links.collect::<io::Result<Vec<_>>>()?;
        let tips = all.values().flat_map(|it| it.journals.iter().map(|(_, tip)| *tip));
        let replay_until = tips.max().unwrap_or(0);
        let shown = all.values().map(|it| it.shown.max(it.now)).max().unwrap_or(0);
        let mut state = self.lock();
        state.stage = Stage::Formed;
        let watch = state.watch.clone();
        state.seats.retain(|_, (link, _)| !link.is_closed());
        if !state.seats.is_empty() {
            watch.lose("a process has started again");
        }
        drop(state);
        self.changed.notify_all();
        for (process, link) in controls {
            watch.over(process, link, self.cluster.silence, self.clock.clone())?;
        }
        info!(
            process = self.own.process,
            processes = self.own.processes,
            journals = known.len(),
            "the cluster is complete"
        );
        Ok(Ok(Joined {
            links,
            started_after: replay_until.max(shown),
            replay_until,
            resume,
            begin,
            bases: all.values().map(own_bases).collect(),
            known,
            owner_url: all[&0].url.clone(),
            watch,
        }))
    }

    /// Tells everyone `digest` and hears it from everyone; and then, that it was heard from everyone.
    ///
    /// Errors: somebody left, or said something else, or nothing for long.
    fn exchange(&self, digest: &[u8; 32], lines: &mut Lines) -> io::Result<()> {
        let until = self.clock.instant() + AGREE;
        self.tell_and_hear(digest, lines, until, anyone_gone)?;
        // Who had to give up before does not say this, and the end of its own connection tells. Who has said it may be gone
        // already for a reason that everyone finds by itself, and is to find: journals that do not fit.
        self.tell_and_hear(AGREED, lines, until, |_| None)
    }

    fn tell_and_hear<const N: usize>(
        &self,
        said: &[u8; N],
        lines: &mut Lines,
        until: Instant,
        in_vain: impl Fn(&Lines) -> Option<io::Error>,
    ) -> io::Result<()> {
        let seats = (0..self.own.processes).map(|process| (process, Line::Control as u8));
        let seats: Vec<_> = seats.filter(|seat| lines.contains_key(seat)).collect();
        for seat in &seats {
            lines.get_mut(seat).expect("it is there").write_by(said, until, &*self.clock)?;
        }
        for seat in &seats {
            let (mut heard, mut read) = ([0; N], 0);
            while read < N {
                let at_most = left(until, &*self.clock)?.min(LOOK);
                let link = lines.get_mut(seat).expect("it is there");
                match link.read_some(&mut heard[read..], at_most) {
                    Ok(more) => read += more,
                    Err(error) if is_timeout(&error) => {
                        in_vain(lines).map_or(Ok(()), Err)?;
                    }
                    Err(error) => return Err(error),
                }
            }
            if heard != *said {
                let what = format!("process {} has met others than we have", seat.0);
                return Err(io::Error::other(what));
            }
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics with the lock")
    }
}

/// Why nothing can come of it: somebody is gone.
fn anyone_gone(lines: &Lines) -> Option<io::Error> {
    let ((process, _), _) = lines.iter().find(|(_, link)| link.is_closed())?;
    Some(io::Error::other(format!("process {process} has left")))
}

/// Bytes as text.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        let digit = |n: u8| char::from_digit(n.into(), 16).unwrap_or_default();
        text.extend([digit(byte >> 4), digit(byte & 15)]);
    }
    text
}

/// The newest epoch that is in all of them.
fn common<'a>(mut all: impl Iterator<Item = &'a Vec<Epoch>>) -> Option<Epoch> {
    let mut common: BTreeSet<Epoch> = all.next()?.iter().copied().collect();
    for those in all {
        common.retain(|epoch| those.contains(epoch));
    }
    common.last().copied()
}

/// After which epochs each journal can be read.
fn begin(all: &BTreeMap<usize, Introduction>) -> BTreeMap<u8, Begins> {
    let journals = all.values().flat_map(|it| it.journals.iter().zip(&it.begins));
    journals.map(|((number, _), begins)| (*number, begins.clone())).collect()
}

fn own_bases(of: &Introduction) -> BTreeSet<Epoch> {
    of.begins.first().map(|begins| begins.bases.clone()).unwrap_or_default()
}

/// Whom we have met, in 32 bytes.
fn digest(all: &BTreeMap<usize, Introduction>) -> [u8; 32] {
    let text = serde_json::to_vec(&all.values().collect::<Vec<_>>());
    Sha256::digest(text.expect("introductions are plain data")).into()
}

/// The journals there are.
///
/// Errors: one was not brought, or was brought twice.
fn journals(all: &BTreeMap<usize, Introduction>) -> Result<BTreeSet<u8>, WrongJournals> {
    let mut brought: BTreeMap<u8, usize> = BTreeMap::new();
    for theirs in all.values() {
        for (number, _) in &theirs.journals {
            if let Some(other) = brought.insert(*number, theirs.process) {
                return Err(WrongJournals(format!(
                    "journal {number} is brought by process {other} and by process {}: one of them has a copy, or a \
                     data directory of another process\n\
                     hint: adopt each left-over directory in one process only, and not beside a process that uses it",
                    theirs.process
                )));
            }
        }
    }
    let known: BTreeSet<u8> = all.values().flat_map(|it| it.known.iter().copied()).collect();
    let missing: Vec<String> =
        known.iter().filter(|it| !brought.contains_key(it)).map(ToString::to_string).collect();
    if missing.is_empty() {
        return Ok(brought.into_keys().collect());
    }
    Err(WrongJournals(format!(
        "journal {} took part before and is not here: its events would vanish from every view\n\
         hint: start the process that has its data directory, or give that directory to another with --adopt",
        missing.join(", ")
    )))
}

/// What `journals` asks of the journals of a single process.
pub(crate) fn check_single(
    brought: &[Number],
    known: &BTreeSet<u8>,
) -> Result<BTreeSet<u8>, WrongJournals> {
    let alone = Introduction {
        process: 0,
        processes: 1,
        config: String::new(),
        run: String::new(),
        journals: brought.iter().map(|number| (number.0, 0)).collect(),
        known: known.iter().copied().collect(),
        checkpoints: Vec::new(),
        begins: Vec::new(),
        shown: 0,
        now: 0,
        url: String::new(),
    };
    journals(&BTreeMap::from([(0, alone)]))
}

#[cfg(test)]
#[path = "mesh_tests.rs"]
mod tests;
