//! The phases that measure speed: each on a fresh instance, because stores grow.

use std::time::{Duration, Instant};

use serde::Serialize;

use crate::contender::{Contender, Kind};
use crate::launch::Instance;
use crate::load::{self, Pace, Tally, percentile_ms};
use crate::machine;
use crate::request::Supply;
use crate::sink::Sink;
use crate::{Failure, fresh_folder};

/// Requests are signed beforehand as long as they take no more than this share of the memory that is free; the rest is signed on the way.
const READY_SHARE: u64 = 2;
/// So much one of them takes.
const READY_BYTES: u64 = 4_000;
/// What is acknowledged has so long to be counted, where that is done later.
const COUNTING: Duration = Duration::from_secs(240);
/// What is still to arrive is waited for beyond the time to drain, if at the pace of the last seconds all of it comes within this.
const ARRIVING: Duration = Duration::from_secs(60);

/// How one run is made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run {
    pub(crate) connections: usize,
    pub(crate) pace: Pace,
    pub(crate) warm_up: Duration,
    pub(crate) time: Duration,
    /// What is still queued at the end of the load has so long to arrive.
    pub(crate) drain: Duration,
    /// How long the sink takes for each answer.
    pub(crate) sink_delay: Duration,
    pub(crate) seed: u64,
}

/// What one run measured.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Measured {
    pub(crate) acknowledged: usize,
    pub(crate) per_second: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) p999_ms: f64,
    /// CPU of all processes of the contender, forwarding included, for each acknowledged webhook.
    pub(crate) cpu_micros: f64,
    pub(crate) written_bytes: f64,
    pub(crate) peak_mb: f64,
    pub(crate) start_ms: f64,
    /// Mapped and counted: all of them, over the whole time until the last was. Only of those who say so.
    pub(crate) counted_per_second: Option<f64>,
    /// Acknowledged, and not yet counted when the load ended.
    pub(crate) uncounted: Option<u64>,
    /// Arrived at the sink while the load went on.
    pub(crate) forwarded_per_second: f64,
    /// Acknowledged, and not yet arrived when the time to drain was over.
    pub(crate) waiting: usize,
    pub(crate) double: usize,
    pub(crate) refused: usize,
    pub(crate) refusal: Option<String>,
    pub(crate) unanswered: usize,
    /// CPU of the load generator for each request.
    pub(crate) generator_micros: f64,
    /// In an open loop, how late the load itself let 99 % of the requests go at the most.
    pub(crate) late_p99_ms: f64,
}

/// One run against a fresh instance. Of the floor two, on one worker and on two, which share the cores with the load: the better counts.
pub(crate) fn measure(contender: Contender, run: Run) -> Result<Measured, Failure> {
    let one = once(contender, run)?;
    if contender.kind != Kind::Floor {
        return Ok(one);
    }
    let two = once(Contender { workers: 2, ..contender }, run)?;
    Ok(if two.per_second > one.per_second { two } else { one })
}

fn once(contender: Contender, run: Run) -> Result<Measured, Failure> {
    let folder = fresh_folder()?;
    let sink = Sink::start(folder.path(), run.sink_delay)?;
    let mut instance = Instance::new(contender, folder.path(), &sink.url())?;
    let repeats = contender.kind == Kind::Floor;
    let mut supply =
        Supply::new(&instance.address, contender.path(), contender.scheme(), run.seed, contender.at_most / 2, repeats);
    let (start, first) = instance.start(&supply)?;
    let warm = load::run(&instance.address, &supply, run.connections, Pace::Closed, run.warm_up)?;
    let each_second = match run.pace {
        Pace::Closed => contender.at_most,
        Pace::Open(rate) => usize::try_from(rate)?,
    };
    let ready_at_most = usize::try_from(machine::free_memory() / READY_SHARE / READY_BYTES)?;
    supply.prepare((each_second * usize::try_from(run.time.as_secs())?.max(1)).min(ready_at_most));
    // What the warm-up left behind would otherwise count twice: once as work, and never as a webhook.
    drain(&sink, contender, 1 + warm.acknowledged.len(), run.drain)?;
    let (before, arrived_before) = (instance.usage(), sink.counts()?.distinct);
    let tally = load::run(&instance.address, &supply, run.connections, run.pace, run.time)?;
    let (arrived, uncounted) = (sink.counts()?.distinct, instance.uncounted()?);
    let counted_in = tally.elapsed + count(&instance)?;
    let all = 1 + warm.acknowledged.len() + tally.acknowledged.len();
    drain(&sink, contender, all, run.drain)?;
    let used = instance.usage().since(before);
    let peak_mb = instance.peak_mb();
    let mut measured = Measured { start_ms: start.as_secs_f64() * 1e3, peak_mb, ..summary(&tally) };
    let count = tally.acknowledged.len().max(1) as f64;
    measured.uncounted = uncounted;
    measured.counted_per_second = uncounted.map(|_| count / counted_in.as_secs_f64());
    measured.cpu_micros = used.cpu.as_secs_f64() * 1e6 / count;
    measured.written_bytes = used.written as f64 / count;
    measured.forwarded_per_second = arrived.saturating_sub(arrived_before) as f64 / tally.elapsed.as_secs_f64();
    if contender.forwards {
        let tokens = sink.tokens()?;
        let acknowledged = [&[first.token], warm.acknowledged.as_slice(), &tally.acknowledged].concat();
        measured.waiting = acknowledged.iter().filter(|token| !tokens.contains_key(token)).count();
        measured.double = tokens.values().filter(|times| **times > 1).count();
    }
    Ok(measured)
}

fn summary(tally: &Tally) -> Measured {
    let requests = tally.acknowledged.len() + tally.refused + tally.unanswered.len();
    Measured {
        acknowledged: tally.acknowledged.len(),
        per_second: tally.per_second(),
        p50_ms: percentile_ms(&tally.latencies, 0.5),
        p99_ms: percentile_ms(&tally.latencies, 0.99),
        p999_ms: percentile_ms(&tally.latencies, 0.999),
        refused: tally.refused,
        refusal: tally.refusal.clone(),
        unanswered: tally.unanswered.len(),
        generator_micros: tally.own_cpu.as_secs_f64() * 1e6 / requests.max(1) as f64,
        late_p99_ms: percentile_ms(&tally.late, 0.99),
        ..Measured::default()
    }
}

/// Waits until all that is acknowledged is counted, where that is done later. Answers how long it took.
fn count(instance: &Instance) -> Result<Duration, Failure> {
    let started = Instant::now();
    while !instance.is_counted()? {
        if started.elapsed() > COUNTING {
            return Err(format!("not all was counted within {} s", COUNTING.as_secs()).into());
        }
        machine::pause(Duration::from_millis(50));
    }
    Ok(started.elapsed())
}

/// Waits until so many have arrived; longer than `patience` only while the rest comes soon.
fn drain(sink: &Sink, contender: Contender, count: usize, patience: Duration) -> Result<(), Failure> {
    if !contender.forwards {
        return Ok(());
    }
    let started = Instant::now();
    let (mut since, mut before) = (started, sink.counts()?.distinct);
    loop {
        let arrived = sink.counts()?.distinct;
        if arrived >= count {
            return Ok(());
        }
        if since.elapsed() >= patience / 2 {
            let pace = arrived.saturating_sub(before) as f64 / since.elapsed().as_secs_f64();
            let comes_soon = (count - arrived) as f64 <= pace * ARRIVING.as_secs_f64();
            if started.elapsed() >= patience && !comes_soon {
                return Ok(());
            }
            (since, before) = (Instant::now(), arrived);
        }
        machine::pause(Duration::from_millis(20));
    }
}

/// How long appends of 4 KB with fdatasync take where the contenders keep their files.
pub(crate) fn syncs(time: Duration) -> Result<Vec<Duration>, Failure> {
    let folder = fresh_folder()?;
    machine::syncs(folder.path(), time)
}

/// The run in the middle by this figure.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}
