//! A contact center told to a cluster, and what has to be seen of it in the end.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use highwater_dataflow::{Clock, Signal};
use highwater_model::{Channel, ContactArrival, Envelope, Event, EventKey, encode};
use highwater_queries::registry::views;
use highwater_queries::{Entry, Settings};
use highwater_sinks::ViewReader;
use highwater_sinks::reader::Select;

use super::node::{Node, PATIENCE, configure, free};
use super::proxy::Proxy;
use crate::oracle::{Contents, Epoch, key};
use crate::sim::drive::{Sinks, run};
use crate::sim::random::Random;
use crate::sim::world::{Edits, LENGTH, START, happenings};
use crate::views::{same, settled};

/// Event time at which every process is told a last event, and what they then say to expect.
const END: i64 = START + 10 * LENGTH;
const DISORDER: i64 = 5_000;

/// A cluster in a directory, with a proxy before the port of each process.
pub(crate) struct Cluster {
    pub(crate) dir: PathBuf,
    pub(crate) nodes: Vec<Node>,
    pub(crate) proxies: Vec<Proxy>,
}

impl Cluster {
    /// Configures `processes`; starts none.
    pub(crate) fn new(dir: &Path, processes: usize) -> Cluster {
        let ports: Vec<_> = (0..processes).map(|_| free()).collect();
        let proxies: Vec<_> = ports.iter().map(|port| Proxy::to(*port)).collect();
        let hosts: Vec<_> = proxies.iter().map(|proxy| proxy.address).collect();
        let node = |process: usize| {
            let http = free();
            let config = configure(dir, process, http, ports[process], &hosts);
            Node::new(config, http, ports[process])
        };
        let nodes = (0..processes).map(node).collect();
        Cluster { dir: dir.to_owned(), nodes, proxies }
    }

    pub(crate) fn start(&mut self, arguments: &[&str]) {
        self.nodes.iter_mut().for_each(|node| node.start(arguments));
    }

    /// Ends all of them in order.
    pub(crate) fn stop(&mut self) {
        self.nodes.iter().for_each(Node::ask_to_stop);
        for node in &mut self.nodes {
            let status = node.stopped();
            assert!(status.success(), "{status}; it said:\n{}", node.transcript());
        }
    }

    /// Delivers a body to whoever takes it. When nobody does at first, `relent` is told.
    pub(crate) fn deliver(&self, random: &mut Random, body: &str, mut relent: impl FnMut(&Self)) {
        let begun = now();
        loop {
            let to = random.within(0, self.nodes.len() as i64) as usize;
            match self.nodes[to].ask("POST /v1/events", body) {
                Ok((202, _)) => return,
                Ok((429 | 503, _)) | Err(_) => pause(),
                Ok((status, answer)) => panic!("answered {status}: {answer}"),
            }
            assert!(begun.elapsed() < PATIENCE, "nobody takes events");
            relent(self);
        }
    }

    /// Delivers a body to one process, however long it takes.
    pub(crate) fn deliver_to(&self, node: usize, body: &str) {
        let begun = now();
        while !matches!(self.nodes[node].ask("POST /v1/events", body), Ok((202, _))) {
            assert!(begun.elapsed() < PATIENCE, "process {node} takes no events");
            pause();
        }
    }

    /// Delivers a body to each process in turn, again and again, until `done`.
    pub(crate) fn repeat_until(&self, body: &str, done: impl Fn(&Self) -> bool) {
        let begun = now();
        while !done(self) {
            (0..self.nodes.len()).for_each(|node| self.deliver_to(node, body));
            assert!(begun.elapsed() < PATIENCE, "what is waited for never comes");
            pause();
        }
    }

    /// Tells every process the last event, so that the watermark comes to its end.
    pub(crate) fn close(&self) {
        for (node, body) in lasts(self.nodes.len()).iter().enumerate() {
            self.deliver_to(node, body);
        }
    }

    /// Everything that the views hold once all input is in them.
    pub(crate) fn shown(&self) -> Contents {
        shown(&self.dir.join("data0/views.sqlite"))
    }
}

/// What happens, in the order in which it is told.
pub(crate) struct Center {
    events: Vec<(String, Event, i64)>,
}

impl Center {
    pub(crate) fn new(seed: u64) -> Center {
        let mut random = Random::new(seed);
        let mut all = happenings(&mut random, Edits::Past);
        // Everything but the order within some minutes, which is what networks do.
        all.sort_by_cached_key(|it| it.told_at + random.within(0, 300_000));
        let named = all.into_iter().enumerate();
        let events = named.map(|(n, it)| (format!("event-{n}"), it.event, it.at)).collect();
        Center { events }
    }

    /// Request bodies of random sizes.
    pub(crate) fn bodies(&self, random: &mut Random) -> Vec<String> {
        let mut bodies = Vec::new();
        let mut events = self.events.iter().peekable();
        while events.peek().is_some() {
            let size = random.within(5, 40) as usize;
            let lines: Vec<String> =
                events.by_ref().take(size).map(|(id, event, at)| line(id, event, *at)).collect();
            bodies.push(lines.join("\n"));
        }
        bodies
    }

    /// What a single process shows that is told everything at once.
    fn expected(&self, processes: usize) -> Contents {
        let settings = Settings { allowed_lateness_s: 86_400, ..Settings::default() };
        let all = self.events.iter().map(|(id, event, at)| (id.clone(), event.clone(), *at));
        let lasts = (0..processes).map(|n| (format!("last-{n}"), last(n), END));
        let entries = all.chain(lasts).zip(1..).map(|((id, event, at), seq)| {
            let decoded = highwater_model::decode(line(&id, &event, at).as_bytes()).unwrap();
            Entry::Event(Envelope { seq, ..decoded.envelope })
        });
        let bound = Signal::Bound { partition: 0, bound: END - DISORDER };
        let epochs = [
            Epoch { number: 1, entries: entries.collect(), signals: Vec::new() },
            Epoch { number: 2, entries: Vec::new(), signals: vec![bound] },
        ];
        let mut sinks = Sinks::default();
        for commit in run(&settings, &epochs, 1, false) {
            sinks.apply(&commit).unwrap();
        }
        sinks.views
    }

    /// Holds what is shown against what a single process shows.
    pub(crate) fn check(&self, shown: &Contents, processes: usize, what: &str) {
        assert!(shown["late_events"].is_empty() && shown["dead_letters"].is_empty(), "{what}");
        assert!(shown["queue_interval"].len() > 4, "{what}: something is shown");
        in_the_end(&self.expected(processes), shown, what);
    }
}

/// The two must be the same but for how it came to be known: when alerts were amended, how often things were told.
pub(crate) fn in_the_end(should: &Contents, is: &Contents, what: &str) {
    let told = |views: &Contents| {
        let mut views = views.clone();
        views.remove("duplicate_counts");
        settled(views)
    };
    let (is, is_standing) = told(is);
    let (should, should_stand) = told(should);
    same(&is, &should).unwrap_or_else(|wrong| panic!("{what}: {wrong}"));
    assert_eq!(is_standing, should_stand, "{what}: alerts that stand");
}

/// The two must be the same, to the last cell.
pub(crate) fn unchanged(before: &Contents, after: &Contents, what: &str) {
    same(after, before).unwrap_or_else(|wrong| panic!("{what}: {wrong}"));
    same(before, after).unwrap_or_else(|wrong| panic!("{what}: {wrong}"));
}

fn line(id: &str, event: &Event, at: i64) -> String {
    encode(&Envelope { seq: 0, key: EventKey::default(), at, event: event.clone() }, id)
}

fn lasts(processes: usize) -> Vec<String> {
    (0..processes).map(|n| line(&format!("last-{n}"), &last(n), END)).collect()
}

fn last(process: usize) -> Event {
    Event::ContactArrival(ContactArrival {
        contact: format!("last-{process}").as_str().into(),
        queue: "sales".into(),
        channel: Channel::Voice,
        estimated_handle_s: None,
    })
}

/// Waits until the views have taken in the last events, and reads all of them.
fn shown(path: &Path) -> Contents {
    let begun = now();
    loop {
        if let Ok(reader) = ViewReader::open(path, Arc::new(Monotonic))
            && let Ok(progress) = reader.progress()
            && progress.watermark_ms == Some(END - DISORDER)
            && !progress.catching_up
        {
            let all = |view: &&'static highwater_dataflow::view::View| {
                let rows = reader.rows(view.name, &Select::default()).unwrap();
                (view.name, rows.into_iter().map(|row| (key(view.name, &row), row)).collect())
            };
            return views().iter().map(all).collect();
        }
        assert!(begun.elapsed() < PATIENCE, "the views never show the last events");
        pause();
    }
}

struct Monotonic;

impl Clock for Monotonic {
    fn now_ms(&self) -> i64 {
        0
    }
    fn instant(&self) -> Instant {
        now()
    }
}

#[expect(clippy::disallowed_methods, reason = "patience is measured in real time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// A moment until the next look at something that tells nobody when it changes.
fn pause() {
    let nothing = (Mutex::new(()), Condvar::new());
    drop(nothing.1.wait_timeout(nothing.0.lock().unwrap(), Duration::from_millis(25)).unwrap());
}
