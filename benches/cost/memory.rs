//! What an agent's state takes: resident memory with everybody in, less that before, each size in a process of its own.

use std::process::Command;

use crate::center::{Center, Kind};
use crate::engine::{Engine, Query};

/// State changes per agent that are sent after the hires.
const CHANGES: u64 = 3;
const EPOCH: u64 = 1_000;

/// Prints a line per size.
pub(crate) fn run(sizes: &[u32]) {
    println!("{CHANGES} state changes per agent: adherence and team drift, one worker");
    println!("{:>10}{:>14}{:>16}", "agents", "resident MB", "bytes per agent");
    for agents in sizes {
        print!("{}", line(*agents));
    }
}

/// State per agent, bytes, where the system tells.
pub(crate) fn per_agent(agents: u32) -> Option<f64> {
    line(agents).split_whitespace().nth(2)?.parse().ok()
}

/// One size measured in a process of its own, as a line of the table.
fn line(agents: u32) -> String {
    let program = std::env::current_exe().expect("the system names the running program");
    let args = ["memory-of".to_owned(), agents.to_string()];
    let ran = Command::new(&program).args(args).output().expect("this program starts again");
    assert!(ran.status.success(), "the run of {agents} agents failed");
    String::from_utf8(ran.stdout).expect("it prints text")
}

/// Measures one size in this process.
pub(crate) fn of(agents: u32) {
    let center = Center { agents, kind: Kind::States };
    let before = resident();
    let mut engine = Engine::start(Query::Adherence, 1);
    engine.hire(center);
    let events = u64::from(agents) * CHANGES;
    for first in (0..events).step_by(EPOCH as usize) {
        let last = (first + EPOCH).min(events);
        let epoch = (first..last).map(|nth| center.event(nth)).collect();
        engine.send(epoch, center.bound(last));
        engine.level();
    }
    match (before, resident()) {
        (Some(before), Some(after)) => println!(
            "{agents:>10}{:>14.1}{:>16.0}",
            after as f64 / 1e6,
            after.saturating_sub(before) as f64 / f64::from(agents)
        ),
        _ => println!("{agents:>10}  this system does not tell"),
    }
    engine.finish();
}

/// Memory of this process, bytes, where the system tells it as Linux does.
pub(crate) fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}
