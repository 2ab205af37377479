//! The whole file as fast as possible, one worker.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use highwater_dataflow::view::Stamps;
use highwater_dataflow::{Batch, FOREVER, Options, Runtime, Signal};

use crate::answers::Answers;
use crate::day::Day;
use crate::input::read;
use crate::queries::{Wanted, build};

/// Lines in an epoch.
const EPOCH: usize = 4096;

pub(crate) fn run(wanted: Wanted, data: &Path, out: &Path) -> anyhow::Result<()> {
    let day = Arc::new(Day::read(data)?);
    let out = out.to_owned();
    File::create(&out).with_context(|| out.display().to_string())?;
    let (runtime, commits) = Runtime::start(Options { workers: 1, ..Options::default() }, {
        move |graph| {
            let file = File::create(&out).expect("the output file was created before");
            let writer = Box::new(BufWriter::with_capacity(1 << 20, file));
            build(graph, &day, wanted, &Answers::changes(writer));
        }
    });
    let drained = std::thread::spawn(move || commits.into_iter().count());

    let path = data.join("events.jsonl");
    let mut file = BufReader::with_capacity(
        1 << 20,
        File::open(&path).with_context(|| path.display().to_string())?,
    );
    let (first, cpu) = (now(), cpu_time());
    let mut line = Vec::new();
    let mut lines = 0u64;
    let mut epoch = 1;
    let mut newest = i64::MIN;
    let mut events = Vec::with_capacity(EPOCH);
    let mut send = |events: &mut Vec<_>, bound| {
        let events = std::mem::replace(events, Vec::with_capacity(EPOCH));
        let signals = vec![Signal::Bound { partition: 0, bound }];
        runtime.send(Batch { epoch, events, signals, stamps: Arc::new(Stamps::default()) });
        epoch += 1;
    };
    while file.read_until(b'\n', &mut line)? > 0 {
        lines += 1;
        if let Some(event) = read(line.trim_ascii_end(), lines)? {
            newest = newest.max(event.at);
            events.push(event);
        }
        line.clear();
        if lines.is_multiple_of(EPOCH as u64) {
            send(&mut events, newest);
        }
    }
    send(&mut events, newest);
    send(&mut events, FOREVER);
    runtime.finish();
    drained.join().map_err(|_| anyhow::anyhow!("the reader of commits died"))?;
    let (last, cpu) = (now(), cpu_time().saturating_sub(cpu));
    eprintln!("METRIC first={} last={} cpu={}", first.as_nanos(), last.as_nanos(), cpu.as_nanos());
    Ok(())
}

#[allow(clippy::disallowed_methods, reason = "the METRIC line is wall clock by contract")]
pub(crate) fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// CPU time of this process, threads that have ended included.
fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}
