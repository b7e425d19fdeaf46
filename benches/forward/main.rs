//! How many sales a second are forwarded and marked durably, against what the same upstream can take at all; and how much memory a
//! backlog needs.
//!
//! Both run in turn within one run, on loopback. The upstream is an HTTP server that reads the body and answers 200; "at all" is a closed
//! loop that writes ready requests to it and reads nothing but the end of each answer. Run it by `scripts/bench-forward`; the figures of
//! one machine mean little, their ratio means more. Options: `--sales N` for each round, `--rounds N`, `--in-flight N`, `--backlog N`.

#![allow(clippy::float_arithmetic, clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::print_stdout, missing_docs)]

#[path = "../ingest/floor.rs"]
mod floor;
#[path = "../ingest/load.rs"]
mod load;
#[path = "../ingest/options.rs"]
mod options;
#[path = "../ingest/process.rs"]
mod process;
mod queue;

use std::path::Path;
use std::time::{Duration, Instant};

use process::Running;

/// A round is thrown away if it is not over within this.
const PATIENCE: Duration = Duration::from_secs(600);

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.get(1).map(String::as_str) == Some("floor") {
        return floor::serve(&arguments[2], arguments[3].parse()?);
    }
    let number = |name, default| options::number(&arguments, name, default);
    let (sales, rounds, in_flight) = (number("--sales", 200_000), number("--rounds", 3), number("--in-flight", 256));
    println!("{sales} sales a round, {rounds} rounds, {in_flight} at a time, {} cores", std::thread::available_parallelism()?);
    println!("{:<44} {:>10} {:>9} {:>8}", "", "a second", "CPU µs", "peak MB");
    let mut ratios = Vec::new();
    for _ in 0..rounds {
        let (one, two) = (upstream_alone(1, in_flight, sales)?, upstream_alone(2, in_flight, sales)?);
        let (at_all, p99) = if one.0 > two.0 { one } else { two };
        println!("{:<44} {at_all:>10.0} {:>9} {:>8}   99 % within {p99:.1} ms", "upstream: what it can take at all", "", "");
        let round = forwarded(in_flight, sales)?;
        let (per_second, cpu, peak) = (round.per_second, round.cpu_micros, round.peak_mb);
        println!("{:<44} {per_second:>10.0} {cpu:>9.1} {peak:>8.1}", "salebridge: forwarded, marked durably");
        ratios.push(per_second / at_all);
    }
    ratios.sort_by(f64::total_cmp);
    println!("{:<44} {:>10.3}   of the upstream of the same round, median of rounds", "ratio", ratios[ratios.len() / 2]);
    let backlog = number("--backlog", 1_000_000);
    if backlog > 0 {
        let round = waited_for(backlog)?;
        println!(
            "{:<44} {:>10.0} {:>9} {:>8.1}",
            format!("backlog of {backlog} for a slow upstream"),
            round.per_second,
            "",
            round.peak_mb
        );
    }
    Ok(())
}

/// What one round measured.
struct Round {
    per_second: f64,
    cpu_micros: f64,
    peak_mb: f64,
}

fn upstream(workers: usize) -> Result<(Running, String), Failure> {
    let address = process::free_address()?;
    let running = Running::start(&std::env::current_exe()?, &["floor", &address, &workers.to_string()])?;
    running.wait_until_up(&address)?;
    Ok((running, address))
}

/// How many a second it takes, and how long 99 % of them wait at the most, in milliseconds.
fn upstream_alone(workers: usize, connections: usize, sales: usize) -> Result<(f64, f64), Failure> {
    let (_running, address) = upstream(workers)?;
    let request = queue::request(&address);
    let load = load::run(&address, connections, vec![request; sales])?;
    Ok((sales as f64 / load.elapsed.as_secs_f64(), load.percentile_ms(0.99)))
}

fn forwarded(in_flight: usize, sales: usize) -> Result<Round, Failure> {
    let (_running, upstream) = upstream(1)?;
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let store = queue::filled(folder.path(), sales)?;
    let limits = format!("requests_per_minute = 6000000\nmax_in_flight = {in_flight}");
    let (bridge, started) = bridge(folder.path(), &upstream, &limits)?;
    queue::wait_until_empty(&store, PATIENCE)?;
    let elapsed = started.elapsed().as_secs_f64();
    queue::all_delivered(&store, sales)?;
    let count = sales as f64;
    Ok(Round { per_second: count / elapsed, cpu_micros: bridge.cpu().as_secs_f64() * 1e6 / count, peak_mb: bridge.peak_mb() })
}

/// A backlog at an upstream that takes 600 a minute: the bridge works on it for a while, and is asked for its figures meanwhile.
fn waited_for(backlog: usize) -> Result<Round, Failure> {
    let (_running, upstream) = upstream(1)?;
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let store = queue::filled(folder.path(), backlog)?;
    let (bridge, started) = bridge(folder.path(), &upstream, "requests_per_minute = 600")?;
    let taken = queue::wait_until_taken(&store, 100, PATIENCE)?;
    let per_second = taken as f64 / started.elapsed().as_secs_f64();
    Ok(Round { per_second, cpu_micros: 0.0, peak_mb: bridge.peak_mb() })
}

fn bridge(folder: &Path, upstream: &str, limits: &str) -> Result<(Running, Instant), Failure> {
    let address = process::free_address()?;
    let config = folder.join("config.toml");
    std::fs::write(&config, queue::configuration(&address, upstream, limits))?;
    let config = config.to_str().ok_or("the path is not UTF-8")?.to_owned();
    let started = Instant::now();
    let running = Running::start(Path::new(env!("CARGO_BIN_EXE_salebridge")), &["--config", &config, "serve"])?;
    running.wait_until_up(&address)?;
    Ok((running, started))
}
