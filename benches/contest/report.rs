//! The results: tables in Markdown, which are read in a terminal as well, JSON, and the part of docs/performance.md that is made by it.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use crate::contender::{Contender, Kind};
use crate::faults::Survived;
use crate::load::percentile_ms;
use crate::measure::{Measured, median};
use crate::options::Options;
use crate::{Failure, OPEN_CONNECTIONS, OPEN_RATE, body, chart, machine};

const BEGIN: &str = "<!-- made by scripts/bench --write: begin -->";
const END: &str = "<!-- made by scripts/bench --write: end -->";

/// All that one run of the bench found.
#[derive(Serialize)]
pub(crate) struct Report {
    day: String,
    machine: String,
    quick: bool,
    rounds: usize,
    seconds: u64,
    connections: usize,
    seed: u64,
    sink_ms: u128,
    binary_mb: f64,
    bodies: String,
    pub(crate) entries: Vec<Entry>,
    /// Title and reason.
    left_out: Vec<(String, String)>,
}

/// What was found about one contender.
#[derive(Serialize)]
pub(crate) struct Entry {
    #[serde(skip)]
    pub(crate) contender: Contender,
    name: &'static str,
    title: &'static str,
    promise: &'static str,
    version: String,
    pub(crate) rate: Vec<Measured>,
    pub(crate) open: Vec<Open>,
    pub(crate) survived: Option<Survived>,
    pub(crate) long: Vec<Long>,
    /// Phases that could not be made, with their reasons.
    pub(crate) faults: Vec<String>,
}

/// Rounds of a longer case, each with the floor just before it.
#[derive(Serialize)]
pub(crate) struct Long {
    pub(crate) name: String,
    pub(crate) runs: Vec<Measured>,
    pub(crate) floors: Vec<f64>,
}

/// An open loop, and the disk's own speed just before and after it.
#[derive(Serialize)]
pub(crate) struct Open {
    pub(crate) measured: Measured,
    pub(crate) sync_p50_ms: f64,
    pub(crate) sync_p99_ms: f64,
}

impl Open {
    pub(crate) fn new(measured: Measured, mut syncs: Vec<Duration>) -> Self {
        syncs.sort_unstable();
        Self { measured, sync_p50_ms: percentile_ms(&syncs, 0.5), sync_p99_ms: percentile_ms(&syncs, 0.99) }
    }
}

impl Entry {
    pub(crate) fn new(contender: Contender) -> Self {
        let Contender { name, title, promise, .. } = contender;
        let version = contender.version();
        Self {
            contender,
            name,
            title,
            promise,
            version,
            rate: Vec::new(),
            open: Vec::new(),
            survived: None,
            long: Vec::new(),
            faults: Vec::new(),
        }
    }

    pub(crate) fn title(&self) -> &'static str {
        self.title
    }

    pub(crate) fn per_second(&self) -> f64 {
        self.middle(|measured| measured.per_second)
    }

    pub(crate) fn is_ours(&self) -> bool {
        matches!(self.contender.kind, Kind::Salebridge | Kind::SalebridgePostgres)
    }

    fn middle(&self, of: fn(&Measured) -> f64) -> f64 {
        median(self.rate.iter().map(of))
    }
}

impl Report {
    pub(crate) fn new(options: &Options) -> Result<Self, Failure> {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
        Ok(Self {
            day: jiff::Timestamp::from_second(i64::try_from(now.as_secs())?)?.strftime("%Y-%m-%d").to_string(),
            machine: machine::description(),
            quick: options.quick,
            rounds: options.rounds,
            seconds: options.time.as_secs(),
            connections: options.connections,
            seed: options.seed,
            sink_ms: options.sink_delay.as_millis(),
            binary_mb: std::fs::metadata(env!("CARGO_BIN_EXE_salebridge"))?.len() as f64 / 1e6,
            bodies: body::sizes(options.seed)?,
            entries: Vec::new(),
            left_out: Vec::new(),
        })
    }

    pub(crate) fn leave_out(&mut self, contender: Contender, reason: &str) {
        self.left_out.push((contender.title.to_owned(), reason.to_owned()));
    }

    pub(crate) fn markdown(&self) -> String {
        let mut text = String::new();
        self.heading(&mut text);
        self.rates(&mut text);
        self.open_loop(&mut text);
        self.fates(&mut text);
        self.long(&mut text);
        self.notes(&mut text);
        text
    }

    fn heading(&self, text: &mut String) {
        let quick = if self.quick {
            " This was the quick form: one short round, which says that everything works and little more."
        } else {
            ""
        };
        line(
            text,
            &format!("Measured on {}: {}. Load, contenders, sink and databases share it.{quick}\n", self.day, self.machine),
        );
    }

    fn rates(&self, text: &mut String) {
        let measured: Vec<&Entry> = self.entries.iter().filter(|entry| !entry.rate.is_empty()).collect();
        if measured.is_empty() {
            return;
        }
        let (connections, rounds, seconds, sink) = (self.connections, self.rounds, self.seconds, self.sink_ms);
        line(
            text,
            &format!(
                "**Rate**: {connections} connections in a closed loop, medians of {rounds} rounds of {seconds} s. The sink takes {sink} ms for each answer.\n"
            ),
        );
        line(
            text,
            "| | its 200 means | acked/s | salebridge is | p50 ms | p99 ms | p99.9 ms | CPU µs | bytes written | peak MB | counted/s | forwarded/s | still queued | double | start ms |",
        );
        line(text, &format!("|{}", "---|".repeat(15)));
        for entry in measured {
            let of = |of: fn(&Measured) -> f64| entry.middle(of);
            line(
                text,
                &format!(
                    "| {} | {} | {} | {} | {:.1} | {:.1} | {:.1} | {:.0} | {} | {:.0} | {} | {} | {} | {:.0} | {:.0} |",
                    entry.title,
                    entry.promise,
                    whole(of(|one| one.per_second)),
                    self.times(entry),
                    of(|one| one.p50_ms),
                    of(|one| one.p99_ms),
                    of(|one| one.p999_ms),
                    of(|one| one.cpu_micros),
                    whole(of(|one| one.written_bytes)),
                    of(|one| one.peak_mb),
                    if entry.is_ours() { whole(of(|one| one.counted_per_second.unwrap_or(0.0))) } else { String::new() },
                    if entry.contender.forwards { whole(of(|one| one.forwarded_per_second)) } else { String::new() },
                    if entry.contender.forwards { whole(of(|one| one.waiting as f64)) } else { String::new() },
                    of(|one| one.double as f64),
                    of(|one| one.start_ms),
                ),
            );
        }
        text.push('\n');
    }

    /// The median of the ratios within each round: salebridge on SQLite to this one.
    fn times(&self, entry: &Entry) -> String {
        let ours = self.entries.iter().find(|entry| entry.contender.kind == Kind::Salebridge);
        let Some(ours) = ours.filter(|ours| !ours.rate.is_empty() && ours.name != entry.name) else { return String::new() };
        let ratios = ours.rate.iter().zip(&entry.rate).map(|(ours, other)| ours.per_second / other.per_second.max(1e-9));
        let ratio = median(ratios);
        if ratio < 1.0 { format!("× {ratio:.3}") } else { format!("× {ratio:.1}") }
    }

    fn open_loop(&self, text: &mut String) {
        let opened: Vec<_> = self.entries.iter().filter(|entry| !entry.open.is_empty()).collect();
        if opened.is_empty() {
            return;
        }
        line(
            text,
            &format!(
                "**Open loop**: {OPEN_RATE} webhooks a second over {OPEN_CONNECTIONS} connections, whether or not they are answered in time; times count from when each was due. Medians, each of its own. The last three columns: appends of 4 KB with fdatasync just before and after each round, and how often their p99 goes into the p99 and p99.9 of the acknowledgement.\n"
            ),
        );
        line(
            text,
            "| | rounds | acked/s | p50 ms | p99 ms | p99.9 ms | load late, p99 ms | fdatasync p99 ms | p99 ÷ fdatasync | p99.9 ÷ fdatasync |",
        );
        line(text, &format!("|{}", "---|".repeat(10)));
        for entry in opened {
            let middle = |of: fn(&Open) -> f64| median(entry.open.iter().map(of));
            let synced = |open: &Open| open.sync_p99_ms.max(1e-9);
            line(
                text,
                &format!(
                    "| {} | {} | {} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} | {:.1} | {:.0} |",
                    entry.title,
                    entry.open.len(),
                    whole(middle(|open| open.measured.per_second)),
                    middle(|open| open.measured.p50_ms),
                    middle(|open| open.measured.p99_ms),
                    middle(|open| open.measured.p999_ms),
                    middle(|open| open.measured.late_p99_ms),
                    middle(|open| open.sync_p99_ms),
                    median(entry.open.iter().map(|open| open.measured.p99_ms / synced(open))),
                    median(entry.open.iter().map(|open| open.measured.p999_ms / synced(open))),
                ),
            );
        }
        text.push('\n');
    }

    fn fates(&self, text: &mut String) {
        let survived: Vec<_> = self.entries.iter().filter_map(|entry| Some((entry, entry.survived.as_ref()?))).collect();
        if survived.is_empty() {
            return;
        }
        let patience = if self.quick { 20 } else { 120 };
        line(
            text,
            &format!(
                "**Faults**: 50 wrong signatures; a sink that answers 500 for a while; kill -9 of all of the contender's own processes in the middle of a load, and a start. *Not arrived* is what was acknowledged and not at the sink within {patience} s; it may still be queued, or given up.\n"
            ),
        );
        line(
            text,
            "| | wrong signatures taken / forwarded | failing sink: acked | not arrived | double | all there after s | kill -9: acked | not arrived | double | all there after s | accepts again after ms |",
        );
        line(text, &format!("|{}", "---|".repeat(11)));
        for (entry, survived) in survived {
            let fate = |fate: &crate::faults::Fate| {
                if entry.contender.forwards {
                    let after = if fate.not_arrived == 0 { format!("{:.1}", fate.settled_secs) } else { "–".to_owned() };
                    format!("{} | {} | {} | {after}", fate.acknowledged, fate.not_arrived, fate.double)
                } else {
                    format!("{} | forwards nothing | | ", fate.acknowledged)
                }
            };
            let (wrong, arrived, back) = (survived.wrong_accepted, survived.wrong_arrived, survived.back_after_ms);
            let (failing, killed) = (fate(&survived.failing_sink), fate(&survived.killed));
            line(text, &format!("| {} | {wrong} / {arrived} | {failing} | {killed} | {back:.0} |", entry.title));
        }
        text.push('\n');
    }

    fn long(&self, text: &mut String) {
        let cases: Vec<_> = self.entries.iter().flat_map(|entry| entry.long.iter().map(move |long| (entry, long))).collect();
        if cases.is_empty() {
            return;
        }
        line(
            text,
            "**Longer, and with more connections**; medians. In brackets the share of the floor, which ran just before each round with as many connections. *Counted* is what was mapped, attributed and in the ledger, over the whole time until all of it was.\n",
        );
        line(
            text,
            "| | rounds | acked/s | to be counted at the end | counted/s | p50 ms | p99 ms | p99.9 ms | CPU µs | bytes written | peak MB | still queued |",
        );
        line(text, &format!("|{}", "---|".repeat(12)));
        for (entry, long) in cases {
            let of = |of: fn(&Measured) -> f64| median(long.runs.iter().map(of));
            let shared = |of: fn(&Measured) -> f64| {
                let shares = long.runs.iter().zip(&long.floors).map(|(run, floor)| of(run) / floor.max(1e-9));
                format!("{} ({:.3})", whole(median(long.runs.iter().map(of))), median(shares))
            };
            line(
                text,
                &format!(
                    "| {}, {} | {} | {} | {} | {} | {:.1} | {:.1} | {:.1} | {:.0} | {} | {:.0} | {} |",
                    entry.title,
                    long.name,
                    long.runs.len(),
                    shared(|run| run.per_second),
                    whole(of(|run| run.uncounted.unwrap_or(0) as f64)),
                    shared(|run| run.counted_per_second.unwrap_or(0.0)),
                    of(|run| run.p50_ms),
                    of(|run| run.p99_ms),
                    of(|run| run.p999_ms),
                    of(|run| run.cpu_micros),
                    whole(of(|run| run.written_bytes)),
                    of(|run| run.peak_mb),
                    whole(of(|run| run.waiting as f64)),
                ),
            );
        }
        text.push('\n');
    }

    fn notes(&self, text: &mut String) {
        line(text, include_str!("rules.md").trim_end());
        line(
            text,
            &format!(
                "- {}. The binary of salebridge has {:.1} MB. The chance of ids, names and amounts was `--seed {}`.",
                self.bodies, self.binary_mb, self.seed
            ),
        );
        for entry in &self.entries {
            let generator = entry.middle(|one| one.generator_micros);
            let mut notes = format!("- {}: {}.", entry.title, entry.version);
            if !entry.rate.is_empty() {
                write!(notes, " The load generator used {generator:.1} µs for each of its requests.").unwrap_or_default();
            }
            if let Some(one) = entry.rate.iter().find(|one| one.refused + one.unanswered > 0) {
                let status = one.refusal.as_deref().unwrap_or("no answer");
                write!(notes, " In a round {} were refused ({status}) and {} not answered.", one.refused, one.unanswered)
                    .unwrap_or_default();
            }
            for fault in &entry.faults {
                write!(notes, " **Failed**: {fault}.").unwrap_or_default();
            }
            line(text, &notes);
        }
        for (title, reason) in &self.left_out {
            line(text, &format!("- **Left out**: {title}: {reason}."));
        }
    }

    /// Puts the tables between the marks of docs/performance.md, and draws the chart.
    pub(crate) fn write(&self) -> Result<(), Failure> {
        let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
        let path = docs.join("performance.md");
        let old = std::fs::read_to_string(&path)?;
        let missing = || format!("{} lacks the line {BEGIN} or {END}", path.display());
        let (before, rest) = old.split_once(BEGIN).ok_or_else(missing)?;
        let (_, after) = rest.split_once(END).ok_or_else(missing)?;
        let chart = "![Webhooks acknowledged a second, by contender](performance.svg)";
        std::fs::write(&path, format!("{before}{BEGIN}\n{chart}\n\n{}{END}{after}", self.markdown()))?;
        std::fs::write(docs.join("performance.svg"), chart::draw(&self.entries, &self.day))?;
        Ok(())
    }
}

fn line(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}

/// A whole number with commas between thousands.
pub(crate) fn whole(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
