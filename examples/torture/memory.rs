//! How much memory a process has, by `/proc`, and what this one has computed.

use anyhow::{Context, Result};
use rustix::time::{ClockId, clock_gettime};

/// CPU time of this process, seconds.
pub(crate) fn cpu_s() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// A line of `/proc/PROCESS/status`, MiB: `VmRSS` for now, `VmHWM` for the most so far.
pub(crate) fn of(process: &str, name: &str) -> Result<u64> {
    let path = format!("/proc/{process}/status");
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    Ok(kib.with_context(|| format!("{path} does not say {name}"))? / 1024)
}
