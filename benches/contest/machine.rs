//! What the system says: processes with all that they started, the disk's own speed, what machine this is.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::Failure;

/// Ticks a second of the kernel's CPU accounting (USER_HZ, which Linux fixes for programs).
const TICKS_PER_SECOND: f64 = 100.0;

/// A process of a contender; killed when it goes out of scope.
pub(crate) struct Running(Child);

impl Running {
    /// Starts it with its output in a log, where a person looks if it does not come up.
    pub(crate) fn start(command: &mut Command, log: &Path) -> Result<Self, Failure> {
        let log = File::options().create(true).append(true).open(log)?;
        let command = command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let child = command.spawn().map_err(|error| format!("{}: {error}", command.get_program().display()))?;
        Ok(Self(child))
    }

    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.0.try_wait().is_ok_and(|status| status.is_some())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// What processes used so far.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Usage {
    pub(crate) cpu: Duration,
    /// Bytes that were written to files, as the kernel counts dirtied pages.
    pub(crate) written: u64,
}

impl Usage {
    pub(crate) fn since(self, before: Self) -> Self {
        Self { cpu: self.cpu.saturating_sub(before.cpu), written: self.written.saturating_sub(before.written) }
    }
}

/// Of these processes, of all that they started, and of those of them that have ended.
pub(crate) fn usage(roots: &[u32]) -> Usage {
    let mut total = Usage::default();
    for id in family(roots) {
        let fields = stat(id);
        // Its own time and that of its children that ended.
        let ticks: f64 = (11..15).map(|at| fields.get(at).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0)).sum();
        total.cpu += Duration::from_secs_f64(ticks / TICKS_PER_SECOND);
        total.written += number_after(&format!("/proc/{id}/io"), "write_bytes:");
    }
    total
}

/// The most memory that was resident: each process's own peak, added up.
pub(crate) fn peak_mb(roots: &[u32]) -> f64 {
    family(roots).into_iter().map(|id| number_after(&format!("/proc/{id}/status"), "VmHWM:")).sum::<u64>() as f64 / 1024.0
}

/// What is resident now, with shared memory divided among those that share it.
pub(crate) fn proportional_mb(roots: &[u32]) -> f64 {
    family(roots).into_iter().map(|id| number_after(&format!("/proc/{id}/smaps_rollup"), "Pss:")).sum::<u64>() as f64 / 1024.0
}

/// Bytes that can be had without taking them from others.
pub(crate) fn free_memory() -> u64 {
    number_after("/proc/meminfo", "MemAvailable:") * 1024
}

/// CPU time of this process.
pub(crate) fn own_cpu() -> Duration {
    let fields = stat(std::process::id());
    let ticks: f64 = (11..13).map(|at| fields.get(at).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0)).sum();
    Duration::from_secs_f64(ticks / TICKS_PER_SECOND)
}

/// These processes and all that descend from them.
fn family(roots: &[u32]) -> BTreeSet<u32> {
    let mut parents = Vec::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(id) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let parent = stat(id).get(1).and_then(|field| field.parse::<u32>().ok());
        parents.extend(parent.map(|parent| (id, parent)));
    }
    let mut family: BTreeSet<u32> = roots.iter().copied().collect();
    loop {
        let before = family.len();
        family.extend(
            parents
                .iter()
                .filter(|(_, parent)| roots.contains(parent) || family.contains(parent))
                .map(|(id, _)| *id)
                .collect::<Vec<_>>(),
        );
        if family.len() == before {
            return family;
        }
    }
}

/// The fields of /proc/ID/stat after the name: 0 is the state, 1 the parent, 11 to 14 are times.
fn stat(id: u32) -> Vec<String> {
    let text = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    text.rsplit_once(')').map(|(_, rest)| rest.split_whitespace().map(str::to_owned).collect()).unwrap_or_default()
}

fn number_after(path: &str, name: &str) -> u64 {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

/// How long an append of 4 KB with fdatasync takes in this folder, for so long a while.
pub(crate) fn syncs(folder: &Path, time: Duration) -> Result<Vec<Duration>, Failure> {
    let path = folder.join("sync-probe");
    let mut file = File::create(&path)?;
    let (page, started) = ([7; 4096], Instant::now());
    let mut times = Vec::new();
    while started.elapsed() < time {
        let before = Instant::now();
        file.write_all(&page)?;
        file.sync_data()?;
        times.push(before.elapsed());
    }
    std::fs::remove_file(path)?;
    Ok(times)
}

/// Processor, cores, memory and kernel in one line.
pub(crate) fn description() -> String {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("unknown processor", |(_, name)| name);
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let memory = number_after("/proc/meminfo", "MemTotal:") / 1024 / 1024;
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let kernel = kernel.split(['-', '+', '\n']).next().unwrap_or_default();
    format!("{model}, {cores} cores, {memory} GiB, Linux {kernel}")
}

#[expect(clippy::disallowed_methods, reason = "a benchmark keeps times of its own, and looks now and then so as not to disturb")]
pub(crate) fn pause(time: Duration) {
    std::thread::sleep(time);
}
