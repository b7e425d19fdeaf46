//! How many webhooks a second are stored durably, mapped and counted, against the same HTTP server doing nothing at all.
//!
//! Both run in turn within one run, on loopback, with the same signed 3 KB Stripe bodies, each with ids of its own. Run it by
//! `cargo bench --bench ingest`; the figures of one machine mean little, their ratio means more. Options: `--webhooks N` for each round,
//! `--rounds N`, `--connections N`, `--random-ids`.

#![allow(
    clippy::float_arithmetic,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::print_stdout,
    clippy::print_stderr,
    missing_docs
)]

mod fill;
mod floor;
mod load;
mod options;
mod pages;
mod process;
mod scale;
mod webhook;

use std::path::Path;
use std::time::{Duration, Instant};

use process::Running;
use webhook::Ids;

/// Connections at a time, unless `--connections N` asks for one number.
const CONNECTIONS: [usize; 2] = [32, 128];
/// Rounds are thrown away if the bridge does not settle within this.
const PATIENCE: Duration = Duration::from_secs(300);

type Failure = Box<dyn std::error::Error>;

/// What one round measured.
struct Round {
    per_second: f64,
    settled_per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
    p999_ms: f64,
    cpu_micros: f64,
    peak_mb: f64,
}

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.get(1).map(String::as_str) == Some("floor") {
        return floor::serve(&arguments[2], arguments[3].parse()?);
    }
    if arguments.get(1).map(String::as_str) == Some("scale") {
        return scale::run(&arguments);
    }
    if arguments.get(1).map(String::as_str) == Some("pages") {
        return pages::run(&arguments);
    }
    let number = |name, default| options::number(&arguments, name, default);
    let ids = if arguments.iter().any(|argument| argument == "--random-ids") { Ids::Random } else { Ids::Timed };
    let webhooks = number("--webhooks", 60_000);
    let rounds = number("--rounds", 3);
    println!(
        "{webhooks} webhooks a round, {rounds} rounds, median of rounds, ids {ids:?}, {} cores",
        std::thread::available_parallelism()?
    );
    println!(
        "{:<34} {:>5} {:>10} {:>10} {:>8} {:>8} {:>8} {:>9} {:>8}",
        "", "conns", "acked/s", "settled/s", "p50 ms", "p99 ms", "p99.9", "CPU µs", "peak MB"
    );
    let only = number("--connections", 0);
    for connections in CONNECTIONS.into_iter().filter(|count| only == 0 || *count == only) {
        let mut floors = Vec::new();
        let mut ours = Vec::new();
        let mut ratios = Vec::new();
        for _ in 0..rounds {
            let one = floor_round(1, connections, webhooks, ids)?;
            let two = floor_round(2, connections, webhooks, ids)?;
            let floor = if one.per_second > two.per_second { one } else { two };
            let round = bridge_round(connections, webhooks, ids)?;
            ratios.push((round.per_second / floor.per_second, round.settled_per_second / floor.per_second));
            floors.push(floor);
            ours.push(round);
        }
        print("floor: reads the body, answers 200", connections, &floors);
        print("salebridge: stored, mapped, counted", connections, &ours);
        let acked = median(ratios.iter().map(|ratio| ratio.0).collect());
        let settled = median(ratios.iter().map(|ratio| ratio.1).collect());
        println!("{:<34} {connections:>5} {acked:>10.3} {settled:>10.3}   of the floor of the same round", "ratio");
    }
    Ok(())
}

/// The better of one and two workers is the floor: they share the cores with the load.
fn floor_round(workers: usize, connections: usize, webhooks: usize, ids: Ids) -> Result<Round, Failure> {
    let address = process::free_address()?;
    let program = std::env::current_exe()?;
    let running = Running::start(&program, &["floor", &address, &workers.to_string()])?;
    running.wait_until_up(&address)?;
    let load = load::run(&address, connections, webhook::requests(&address, webhooks, ids)?)?;
    Ok(round(&running, &load, load.elapsed))
}

fn bridge_round(connections: usize, webhooks: usize, ids: Ids) -> Result<Round, Failure> {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let address = process::free_address()?;
    let config = folder.path().join("config.toml");
    std::fs::write(&config, configuration(&address))?;
    let config = config.to_str().ok_or("the path is not UTF-8")?.to_owned();
    let running = Running::start(Path::new(env!("CARGO_BIN_EXE_salebridge")), &["--config", &config, "serve"])?;
    running.wait_until_up(&address)?;
    let started = Instant::now();
    let load = load::run(&address, connections, webhook::requests(&address, webhooks, ids)?)?;
    let settled = wait_until_settled(&folder.path().join("bench.db"), webhooks, started, PATIENCE)?;
    Ok(round(&running, &load, settled))
}

fn round(running: &Running, load: &load::Result, settled: Duration) -> Round {
    let count = load.latencies.len() as f64;
    Round {
        per_second: count / load.elapsed.as_secs_f64(),
        settled_per_second: count / settled.as_secs_f64(),
        p50_ms: load.percentile_ms(0.5),
        p99_ms: load.percentile_ms(0.99),
        p999_ms: load.percentile_ms(0.999),
        cpu_micros: running.cpu().as_secs_f64() * 1e6 / count,
        peak_mb: running.peak_mb(),
    }
}

fn print(name: &str, connections: usize, rounds: &[Round]) {
    let of = |value: fn(&Round) -> f64| median(rounds.iter().map(value).collect());
    println!(
        "{name:<34} {connections:>5} {:>10.0} {:>10.0} {:>8.1} {:>8.1} {:>8.1} {:>9.1} {:>8.1}",
        of(|round| round.per_second),
        of(|round| round.settled_per_second),
        of(|round| round.p50_ms),
        of(|round| round.p99_ms),
        of(|round| round.p999_ms),
        of(|round| round.cpu_micros),
        of(|round| round.peak_mb),
    );
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn configuration(address: &str) -> String {
    let secret = webhook::SECRET;
    format!(
        "[server]\nlisten = \"{address}\"\n[store]\nurl = \"sqlite:bench.db\"\n\
         [[sources]]\nname = \"stripe\"\npack = \"stripe\"\nsecrets = [\"{secret}\"]\n\
         [[upstreams]]\nname = \"cutmeshort\"\ntemplate = \"cutmeshort\"\ntoken = \"bench-token\"\nbase_url = \"http://127.0.0.1:9\"\n"
    )
}

/// Waits until every request is settled and counted as a sale; answers with the time since `started`.
fn wait_until_settled(store: &Path, sales: usize, started: Instant, patience: Duration) -> Result<Duration, Failure> {
    let connection = rusqlite::Connection::open(store)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    while started.elapsed() < patience {
        let counted: usize = connection.query_row("SELECT COALESCE(MAX(id), 0) FROM sales", [], |row| row.get(0))?;
        if counted >= sales {
            return Ok(started.elapsed());
        }
        process::pause(Duration::from_millis(2));
    }
    Err("the bridge did not settle in time".into())
}
