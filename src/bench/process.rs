//! What this process has used: CPU time and memory, where the system tells.

use std::fs;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// CPU time of this process, of threads that have ended too.
pub(super) fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// The most memory that was resident since [`forget_peak`], bytes.
pub(super) fn peak_bytes() -> Option<u64> {
    status("VmHWM:")
}

/// The memory that is resident now, bytes.
pub(super) fn resident_bytes() -> Option<u64> {
    status("VmRSS:")
}

/// Lets the peak begin anew, where the system can (Linux). Elsewhere the peak is the whole process's.
pub(super) fn forget_peak() {
    // A system that cannot leaves a larger figure, which is still true of the process.
    let _ = fs::write("/proc/self/clear_refs", "5");
}

fn status(field: &str) -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// How many cores this process may use, and what machine it is, as far as the system tells.
pub(super) fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("unknown processor", |(_, model)| model.trim());
    let build =
        if cfg!(debug_assertions) { "debug build: figures mean nothing" } else { "release build" };
    format!("{cores} core(s), {model}, {}, {build}", std::env::consts::OS)
}
