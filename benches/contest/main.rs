//! salebridge and what people use instead of it, on one machine, under the same load: how many webhooks a second each acknowledges, at
//! what cost, and what becomes of them when something fails.
//!
//! Run it by `scripts/bench`, which installs the contenders. Everything stays on loopback and ends by itself. The figures of one machine
//! mean little; their ratios within one run mean more.

#![allow(
    clippy::float_arithmetic,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::print_stdout,
    clippy::print_stderr,
    missing_docs
)]

mod body;
mod chart;
mod contender;
mod faults;
#[path = "../ingest/floor.rs"]
mod floor;
mod launch;
mod load;
mod machine;
mod measure;
mod options;
mod report;
mod request;
mod sink;

use std::time::Duration;

use contender::{Contender, Kind};
use faults::Ordeal;
use load::Pace;
use measure::Run;
use options::Options;
use report::{Entry, Long, Report};

type Failure = Box<dyn std::error::Error>;

/// The rate of the open loop: webhooks a second.
const OPEN_RATE: u32 = 1_000;
const OPEN_CONNECTIONS: usize = 64;
/// Of the open loop and the longer cases so many rounds are made at most.
const LONG_ROUNDS: usize = 3;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("floor") => return floor::serve(&arguments[1], arguments[2].parse()?),
        Some("sink") => return sink::serve(&arguments[1], Duration::from_millis(arguments[2].parse()?)),
        Some("--help") => {
            println!("{}\nContenders: {}", options::HELP, contender::ALL.map(|contender| contender.name).join(", "));
            return Ok(());
        }
        _ => {}
    }
    let options = Options::read(&arguments)?;
    let mut report = Report::new(&options)?;
    let mut contenders = options.contenders.clone();
    contenders.retain(|contender| match contender.missing() {
        Some(reason) => {
            report.leave_out(*contender, &reason);
            false
        }
        None => true,
    });
    report.entries = contenders.iter().map(|contender| Entry::new(*contender)).collect();
    if options.has("rate") {
        rate(&options, &mut report);
    }
    if options.has("open") {
        open(&options, &mut report)?;
    }
    if options.has("faults") {
        survive(&options, &mut report);
    }
    if options.has("long") {
        long(&options, &mut report)?;
    }
    if options.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        println!("{}", report.markdown());
    }
    if options.write {
        report.write()?;
    }
    Ok(())
}

fn say(text: &str) {
    eprintln!("== {text}");
}

/// Rounds, each with all contenders in turn, so that a slow minute of the machine befalls all of them.
fn rate(options: &Options, report: &mut Report) {
    for round in 0..options.rounds {
        for entry in &mut report.entries {
            say(&format!("rate, round {} of {}: {}", round + 1, options.rounds, entry.contender.title));
            let run = Run {
                connections: options.connections,
                pace: Pace::Closed,
                warm_up: Duration::from_secs(1),
                time: options.time,
                drain: Duration::from_secs(if options.quick { 2 } else { 8 }),
                sink_delay: options.sink_delay,
                seed: seed(options, entry.contender, round),
            };
            match measure::measure(entry.contender, run) {
                Ok(measured) => entry.rate.push(measured),
                Err(error) => entry.faults.push(format!("rate: {error}")),
            }
        }
    }
}

/// Requests at a fixed rate, as providers send them, beside the disk's own speed in the same minute.
fn open(options: &Options, report: &mut Report) -> Result<(), Failure> {
    let rounds = options.rounds.min(LONG_ROUNDS);
    for round in 0..rounds {
        for entry in report.entries.iter_mut().filter(|entry| entry.contender.kind != Kind::Floor) {
            say(&format!("open loop, round {} of {rounds}: {}", round + 1, entry.contender.title));
            let time = Duration::from_secs(if options.quick { 3 } else { 15 });
            let run = Run {
                connections: OPEN_CONNECTIONS,
                pace: Pace::Open(OPEN_RATE),
                warm_up: Duration::from_secs(1),
                time,
                drain: Duration::from_secs(2),
                sink_delay: options.sink_delay,
                seed: seed(options, entry.contender, 100 + round),
            };
            let mut syncs = measure::syncs(time / 6)?;
            let measured = measure::measure(entry.contender, run);
            syncs.extend(measure::syncs(time / 6)?);
            match measured {
                Ok(measured) => entry.open.push(report::Open::new(measured, syncs)),
                Err(error) => entry.faults.push(format!("open loop: {error}")),
            }
        }
    }
    Ok(())
}

/// All contenders at once: these loads are small, and what is asked is not how fast they are.
fn survive(options: &Options, report: &mut Report) {
    say("wrong signatures, a failing sink, kill -9: all contenders at once");
    let mut threads = Vec::new();
    for (index, entry) in report.entries.iter().enumerate().filter(|(_, entry)| entry.contender.verifies()) {
        let (contender, ordeal) = (entry.contender, ordeal(options, entry.contender));
        let survive = move || faults::survive(contender, ordeal).map_err(|error| error.to_string());
        threads.push((index, std::thread::spawn(survive)));
    }
    for (index, thread) in threads {
        match thread.join() {
            Ok(Ok(survived)) => report.entries[index].survived = Some(survived),
            Ok(Err(error)) => report.entries[index].faults.push(format!("faults: {error}")),
            Err(_) => report.entries[index].faults.push("faults: the bench itself failed".to_owned()),
        }
    }
}

fn ordeal(options: &Options, contender: Contender) -> Ordeal {
    Ordeal {
        rate: 50,
        time: Duration::from_secs(if options.quick { 3 } else { 6 }),
        patience: Duration::from_secs(if options.quick { 20 } else { 120 }),
        seed: seed(options, contender, 200),
    }
}

/// What only salebridge is asked: bursts, minutes without a pause, many connections. Beside each run the floor under as many connections,
/// so that a slow minute of the machine befalls both.
fn long(options: &Options, report: &mut Report) -> Result<(), Failure> {
    let rounds = options.rounds.min(LONG_ROUNDS);
    let cases =
        [("burst of 30 s", 128, 30, rounds), ("two minutes without a pause", 128, 120, 1), ("512 connections", 512, 10, rounds)];
    let floor = contender::ALL[0];
    let ours = |contender: &Contender| contender.kind == Kind::Salebridge;
    for entry in report.entries.iter_mut().filter(|entry| ours(&entry.contender)) {
        for (at, (name, connections, secs, rounds)) in cases.into_iter().enumerate() {
            let mut long = Long { name: name.to_owned(), runs: Vec::new(), floors: Vec::new() };
            for round in 0..rounds {
                say(&format!("{name}, round {} of {rounds}: {}", round + 1, entry.contender.title));
                let run = |secs, sink_delay| Run {
                    connections,
                    pace: Pace::Closed,
                    warm_up: Duration::from_secs(1),
                    time: Duration::from_secs(secs),
                    drain: Duration::from_secs(2),
                    sink_delay,
                    seed: seed(options, entry.contender, 300 + 10 * round + at),
                };
                let beside = measure::measure(floor, run(4, Duration::ZERO))?.per_second;
                match measure::measure(entry.contender, run(secs, options.sink_delay)) {
                    Ok(measured) => {
                        long.runs.push(measured);
                        long.floors.push(beside);
                    }
                    Err(error) => entry.faults.push(format!("{name}: {error}")),
                }
            }
            entry.long.push(long);
        }
    }
    Ok(())
}

/// Other chance for each contender and round, the same for the same `--seed`.
fn seed(options: &Options, contender: Contender, round: usize) -> u64 {
    let place = contender.name.bytes().fold(round as u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte)));
    body::Chance::new(options.seed ^ (place << 8)).next()
}

/// A folder beside the build, on the disk that is measured.
fn fresh_folder() -> Result<tempfile::TempDir, Failure> {
    Ok(tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?)
}
