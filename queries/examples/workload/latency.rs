//! Events from a socket, a row per event with the time it was written.

use std::io::{BufRead, BufReader, BufWriter};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use anyhow::Context;
use highwater_dataflow::view::Stamps;
use highwater_dataflow::{Batch, FOREVER, Options, Runtime, Signal};
use highwater_model::{AgentId, QueueId};
use serde::Deserialize;

use crate::answers::Answers;
use crate::day::Day;
use crate::input::{Input, What, read};
use crate::queries::{Wanted, build};
use crate::throughput::now;

/// Most lines taken into one epoch: whatever has come while the last one ran, up to this.
const EPOCH: usize = 4096;

#[derive(Deserialize)]
struct Stamp {
    t_in: Option<u64>,
}

/// What to answer once the epoch that holds the event is closed.
enum Ask {
    Interval { t_in: u64, queue: QueueId, start: i64 },
    Adherence { t_in: u64, agent: AgentId },
}

pub(crate) fn run(data: &Path, out: &Path, port: u16) -> anyhow::Result<()> {
    let day = Arc::new(Day::read(data)?);
    let file = std::fs::File::create(out).with_context(|| out.display().to_string())?;
    let file = std::sync::Mutex::new(Some(file));
    let (asks, asked) = channel::<(u64, Vec<Ask>)>();
    let asked = std::sync::Mutex::new(Some(asked));
    let wanted = Wanted { q1: true, q2: false, q34: true };
    // Latency is what is measured here: the worker stays awake between events.
    let options = Options { looks_before_sleep: 10_000, ..Options::default() };
    let (runtime, commits) = Runtime::start(options, move |graph| {
        let file = file.lock().expect("one worker").take().expect("built once");
        let answers = Answers::current(Box::new(BufWriter::new(file)));
        build(graph, &day, wanted, &answers);
        let asked = asked.lock().expect("one worker").take().expect("built once");
        graph.on_closed(move |epoch| answer(&answers, &asked, epoch));
    });
    let drained = std::thread::spawn(move || commits.into_iter().count());

    let socket = TcpStream::connect(("127.0.0.1", port)).context("connecting to the event feed")?;
    feed(&runtime, &asks, &mut BufReader::with_capacity(1 << 20, socket))?;
    drop(asks);
    runtime.finish();
    drained.join().map_err(|_| anyhow::anyhow!("the reader of commits died"))?;
    Ok(())
}

fn feed(
    runtime: &Runtime<Input>,
    asks: &Sender<(u64, Vec<Ask>)>,
    socket: &mut BufReader<TcpStream>,
) -> anyhow::Result<()> {
    let mut line = Vec::new();
    let (mut seq, mut epoch, mut newest) = (0u64, 0u64, i64::MIN);
    let mut ended = false;
    while !ended {
        let (mut events, mut questions) = (Vec::new(), Vec::new());
        // The first line is waited for; the others are those that are here already.
        loop {
            line.clear();
            if socket.read_until(b'\n', &mut line)? == 0 {
                ended = true;
                break;
            }
            seq += 1;
            if let Some(event) = read(line.trim_ascii_end(), seq)? {
                let stamp: Stamp = serde_json::from_slice(&line)?;
                newest = newest.max(event.at);
                questions.extend(stamp.t_in.map(|t_in| ask(&event, t_in)));
                events.push(event);
            }
            if events.len() >= EPOCH || !socket.buffer().contains(&b'\n') {
                break;
            }
        }
        epoch += 1;
        asks.send((epoch, questions)).context("the worker is gone")?;
        let signals = vec![Signal::Bound { partition: 0, bound: newest }];
        runtime.send(Batch { epoch, events, signals, stamps: Arc::new(Stamps::default()) });
    }
    let signals = vec![Signal::Bound { partition: 0, bound: FOREVER }];
    runtime.send(Batch {
        epoch: epoch + 1,
        events: Vec::new(),
        signals,
        stamps: Arc::new(Stamps::default()),
    });
    Ok(())
}

fn ask(event: &Input, t_in: u64) -> Ask {
    match &event.what {
        What::State(agent, _) => Ask::Adherence { t_in, agent: agent.clone() },
        What::Arrival(queue) | What::Complete(queue, _) => {
            let start = event.at.div_euclid(900_000) * 900_000;
            Ask::Interval { t_in, queue: queue.clone(), start }
        }
    }
}

/// Writes the rows of all epochs up to `epoch`.
fn answer(answers: &Answers, asked: &Receiver<(u64, Vec<Ask>)>, epoch: u64) {
    let Ok((of, questions)) = asked.try_recv() else { return };
    assert_eq!(of, epoch, "questions and epochs come in the same order");
    answers.with(|current, out| {
        for question in questions {
            let row = match question {
                Ask::Interval { t_in, queue, start } => {
                    let value =
                        current.intervals.get(&(queue.clone(), start)).copied().unwrap_or_default();
                    format!(
                        "{{\"q\":\"1\",\"queue\":\"{queue}\",\"w\":{start},\"volume\":{},\"n\":{},\"sum\":{},\"t_in\":{t_in},\"t_out\":{}}}\n",
                        value.volume, value.completes, value.handle_ms, now().as_nanos()
                    )
                }
                Ask::Adherence { t_in, agent } => {
                    let (at, is_out) = current.out.get(&agent).copied().unwrap_or_default();
                    format!(
                        "{{\"q\":\"3\",\"agent\":\"{agent}\",\"t\":{at},\"out\":{is_out},\"t_in\":{t_in},\"t_out\":{}}}\n",
                        now().as_nanos()
                    )
                }
            };
            out.write_all(row.as_bytes()).expect("the output file takes rows");
        }
        out.flush().expect("the output file takes rows");
    });
}
