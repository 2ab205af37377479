//! The three queries in two processes, which exchange rows over a connection of loopback.
//!
//! The other process is this program again. Each makes its own half of the events, every other epoch; the first one
//! says on the other's standard input when a stretch begins, and asks for its CPU time at the end.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use highwater_dataflow::{Batch, Epoch, FOREVER, Says};

use crate::center::{Center, Event};
use crate::engine::{Half, Query, batch_of};
use crate::ratio::{Cost, FULL, Scale, Stretch, TINY, beside, count, cpu_time, median};

/// Prints what a second process changes; the CPU time is that of both.
pub(crate) fn run(scale: &Scale) {
    beside(scale, ["1 process", "2 processes"], |query, center, stretches| {
        both(query, center, scale, stretches)
    });
}

/// The second process: `query agents full|tiny port`.
pub(crate) fn second(args: &[String]) {
    let [query, agents, scale, port] = args else { panic!("four arguments") };
    let named = |it: &Query| format!("{it:?}") == *query;
    let query = Query::ALL.into_iter().find(named).expect("a query's name");
    let agents = agents.parse().expect("a number of agents");
    let scale = if scale == FULL.name { &FULL } else { &TINY };
    let port: u16 = port.parse().expect("a port");
    let link = TcpStream::connect(("127.0.0.1", port)).expect("the first process listens");
    let center = Center { agents, kind: query.kind() };
    let stretches = scale.stretches(center, scale.largest());
    let half = Half::join(query, 1, link);
    let mut last = opening(&half, query, center, 1);
    let mut said = std::io::stdin().lines();
    let mut hear = || said.next().and_then(Result::ok).expect("the first process speaks");
    for stretch in &stretches {
        let batches = share(stretch, &mut last, 1);
        say(&mut std::io::stdout(), "ready");
        assert_eq!(hear(), "go");
        send(&half, batches, last);
        assert_eq!(hear(), "cpu");
        say(&mut std::io::stdout(), &cpu_time().as_nanos().to_string());
    }
    closing(&half, last, 1);
    let sum = half.finish();
    say(&mut std::io::stdout(), &sum.to_string());
}

/// The other process and what is said to it.
struct Other {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Other {
    fn start(query: Query, center: Center, scale: &Scale, port: u16) -> Other {
        let program = std::env::current_exe().expect("the system names the running program");
        let mut child = Command::new(program)
            .args(["second-of", &format!("{query:?}"), &center.agents.to_string(), scale.name])
            .arg(port.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this program starts again");
        let to = child.stdin.take().expect("it is piped");
        let from = BufReader::new(child.stdout.take().expect("it is piped"));
        Other { child, to, from }
    }

    fn hear(&mut self) -> String {
        let mut line = String::new();
        self.from.read_line(&mut line).expect("the other process speaks");
        line.trim_end().to_owned()
    }
}

fn both(query: Query, center: Center, scale: &Scale, stretches: &[Stretch]) -> (Cost, u64) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let port = listener.local_addr().expect("it is bound").port();
    let mut other = Other::start(query, center, scale, port);
    let (link, _) = listener.accept().expect("the other process calls");
    let half = Half::join(query, 0, link);
    let mut last = opening(&half, query, center, 0);
    level(&half, last);
    let mut costs = Vec::new();
    let mut before = Duration::ZERO;
    for stretch in stretches {
        let batches = share(stretch, &mut last, 0);
        assert_eq!(other.hear(), "ready");
        let (began, cpu) = (Instant::now(), cpu_time());
        say(&mut other.to, "go");
        send(&half, batches, last);
        level(&half, last);
        let (wall, ours) = (began.elapsed(), cpu_time().saturating_sub(cpu));
        say(&mut other.to, "cpu");
        let theirs = Duration::from_nanos(other.hear().parse().expect("nanoseconds"));
        let each = |time: Duration| time.as_nanos() as f64 / count(stretch) as f64;
        costs.push(Cost { wall: each(wall), cpu: each(ours + theirs.saturating_sub(before)) });
        before = theirs;
    }
    closing(&half, last, 0);
    level(&half, last + 2);
    let ours = half.finish();
    let theirs: u64 = other.hear().parse().expect("a sum");
    assert!(other.child.wait().expect("it ends").success());
    // The first stretch of the other process has its start in it.
    costs.remove(0);
    (median(costs), ours.wrapping_add(theirs))
}

/// Brings everybody in: the first process does. Returns the last epoch.
fn opening(half: &Half, query: Query, center: Center, process: usize) -> Epoch {
    let hires: Vec<Event> =
        if query == Query::Adherence { center.hires().collect() } else { Vec::new() };
    let chunks: Vec<&[Event]> = hires.chunks(10_000).collect();
    if process == 0 {
        for (nth, chunk) in chunks.iter().enumerate() {
            half.runtime.send(batch_of(process, nth as Epoch + 1, chunk.to_vec(), center.bound(0)));
        }
    }
    let last = chunks.len() as Epoch + 2;
    half.runtime.send(batch_of(process, last - 1 + process as Epoch, Vec::new(), center.bound(0)));
    half.runtime.pass(last, Says::default()).expect("the workers live");
    last
}

/// This process's epochs of a stretch; `last` becomes the last one of both.
fn share(stretch: &Stretch, last: &mut Epoch, process: usize) -> Vec<Batch<Event>> {
    let first = *last + 1;
    *last += stretch.len() as Epoch;
    let epochs = stretch.iter().enumerate().filter(|(nth, _)| nth % 2 == process);
    epochs
        .map(|(nth, (events, bound))| {
            batch_of(process, first + nth as Epoch, events.clone(), *bound)
        })
        .collect()
}

fn send(half: &Half, batches: Vec<Batch<Event>>, last: Epoch) {
    for batch in batches {
        half.runtime.send(batch);
    }
    half.runtime.pass(last, Says::default()).expect("the workers live");
}

/// Event time ends.
fn closing(half: &Half, last: Epoch, process: usize) {
    half.runtime.send(batch_of(process, last + 1 + process as Epoch, Vec::new(), FOREVER));
    half.runtime.pass(last + 2, Says::default()).expect("the workers live");
}

fn level(half: &Half, last: Epoch) {
    let commits = half.commits.as_ref().expect("the first process has them");
    while commits.recv().expect("the workers live").epoch < last {}
}

fn say(to: &mut impl Write, word: &str) {
    writeln!(to, "{word}").and_then(|()| to.flush()).expect("the other process listens");
}
