//! How fast the dashboard answers with many sales stored, and what browsers that watch it cost the way of a webhook.
//! `scripts/bench-pages` runs it. Options: `--stored N` sales, `--webhooks N` of each round, `--rounds N`, `--looks N` at each page.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::process::{self, Running};
use crate::webhook::{self, Ids};
use crate::{Failure, PATIENCE, configuration, fill, load, median, options};

/// Browsers that watch at once.
const BROWSERS: usize = 5;
/// A page that changed is asked for no sooner than so long after the last time (`PAUSE_MILLIS` in follow.js).
const REFRESH: Duration = Duration::from_secs(3);
/// Connections of the load.
const CONNECTIONS: usize = 32;
/// An answer of the dashboard takes no longer than this.
const LONGEST: Duration = Duration::from_secs(30);

/// Seeds a store, measures every page, then the load with and without browsers in turn.
pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    let number = |name, default| options::number(arguments, name, default);
    let (stored, webhooks) = (number("--stored", 1_000_000), number("--webhooks", 60_000));
    let (rounds, looks) = (number("--rounds", 5), number("--looks", 60));
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let (address, admin, upstream) = (process::free_address()?, process::free_address()?, process::free_address()?);
    let _sink = Running::start(&std::env::current_exe()?, &["floor", &upstream, "1"])?;
    let text = configuration(&address)
        .replace("http://127.0.0.1:9", &format!("http://{upstream}"))
        .replace("[store]", &format!("[admin]\nlisten = \"{admin}\"\n[store]"));
    std::fs::write(folder.path().join("config.toml"), text)?;
    let config = folder.path().join("config.toml").display().to_string();
    let program = Path::new(env!("CARGO_BIN_EXE_salebridge"));
    let store = folder.path().join("bench.db");

    let bridge = Running::start(program, &["--config", &config, "serve"])?;
    bridge.wait_until_up(&address)?;
    load::run(&address, 1, webhook::requests(&address, 1, Ids::Random)?)?;
    wait_until(&store, "SELECT COUNT(*) FROM deliveries WHERE state = 'delivered'", 1)?;
    drop(bridge);
    eprintln!("storing {stored} sales, each sent and accepted, of the last year …");
    fill::a_year(&store, stored)?;

    let bridge = Running::start(program, &["--config", &config, "serve"])?;
    bridge.wait_until_up(&address)?;
    eprintln!("waiting until they can be searched …");
    wait_until(&store, "SELECT COALESCE(MAX(last), 0) FROM sale_hashes WHERE part = 0", stored.saturating_sub(fill::BLOCK))?;
    println!("{stored} sales stored, {looks} looks at each page, one at a time, {} cores", std::thread::available_parallelism()?);
    println!("{:<52} {:>8} {:>8} {:>8} {:>8}", "", "p50 ms", "p95 ms", "most ms", "KB");
    let mut worst: f64 = 0.0;
    for page in fill::pages(stored) {
        worst = worst.max(measure(&admin, &page, looks)?);
    }
    println!("{:<52} {:>8} {worst:>8.1}", "the slowest of them", "");

    println!("\n{webhooks} webhooks a round, {CONNECTIONS} connections, {BROWSERS} browsers that watch the overview");
    println!(
        "{:<8} {:>12} {:>12} {:>8} {:>12} {:>12} {:>8} {:>8}",
        "", "settled/s", "watched", "ratio", "CPU µs each", "watched", "ratio", "pages"
    );
    let (mut sales, mut ratios, mut costs) = (newest_sale(&store)?, Vec::new(), Vec::new());
    for round in 1..=rounds {
        // Who goes first changes from round to round.
        let (mut rates, mut cpu) = ([0.0; 2], [0.0; 2]);
        let mut served = 0;
        for watched in [round % 2 == 0, round % 2 == 1] {
            let browsers = if watched { Some(Browsers::open(&admin)?) } else { None };
            let requests = webhook::requests(&address, webhooks, Ids::Random)?;
            let (started, before) = (Instant::now(), bridge.cpu());
            load::run(&address, CONNECTIONS, requests)?;
            sales += i64::try_from(webhooks)?;
            wait_until(&store, "SELECT COALESCE(MAX(id), 0) FROM sales", usize::try_from(sales)?)?;
            rates[usize::from(watched)] = webhooks as f64 / started.elapsed().as_secs_f64();
            cpu[usize::from(watched)] = (bridge.cpu() - before).as_secs_f64() * 1e6 / webhooks as f64;
            served += browsers.map_or(0, Browsers::close);
        }
        ratios.push(rates[1] / rates[0]);
        costs.push(cpu[1] / cpu[0]);
        println!(
            "{round:<8} {:>12.0} {:>12.0} {:>8.3} {:>12.1} {:>12.1} {:>8.3} {served:>8}",
            rates[0],
            rates[1],
            rates[1] / rates[0],
            cpu[0],
            cpu[1],
            cpu[1] / cpu[0]
        );
    }
    println!("{:<8} {:>12} {:>12} {:>8.3} {:>12} {:>12} {:>8.3}", "median", "", "", median(ratios), "", "", median(costs));
    Ok(())
}

/// Asks for one page again and again; answers with its p95 in milliseconds.
fn measure(admin: &str, page: &fill::Page, looks: usize) -> Result<f64, Failure> {
    let mut stream = TcpStream::connect(admin)?;
    stream.set_read_timeout(Some(LONGEST))?;
    stream.set_nodelay(true)?;
    // What forms carry as a proof that they are ours.
    let form = ask(&mut stream, admin, &format!("GET /sales HTTP/1.1\r\nHost: {admin}\r\n\r\n"))?;
    let word = form.split_once("name=\"word\" value=\"").and_then(|(_, rest)| rest.split('"').next()).unwrap_or_default();
    let (mut times, mut bytes) = (Vec::with_capacity(looks), 0);
    for look in 0..looks {
        let request = page.request(admin, look, word);
        let started = Instant::now();
        bytes = ask(&mut stream, admin, &request)?.len();
        times.push(started.elapsed());
    }
    times.sort();
    let of = |share: f64| times[((times.len() - 1) as f64 * share).round() as usize].as_secs_f64() * 1e3;
    println!("{:<52} {:>8.1} {:>8.1} {:>8.1} {:>8.0}", page.name, of(0.5), of(0.95), of(1.0), bytes as f64 / 1024.0);
    Ok(of(0.95))
}

/// Sends a request and reads the whole answer, which must be a 200; answers with its body.
fn ask(stream: &mut TcpStream, admin: &str, request: &str) -> Result<String, Failure> {
    stream.write_all(request.as_bytes())?;
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    if !line.starts_with("HTTP/1.1 200") {
        return Err(format!("{admin} answered {} to {}", line.trim(), request.lines().next().unwrap_or_default()).into());
    }
    let mut length = 0;
    while !line.trim().is_empty() {
        line.clear();
        reader.read_line(&mut line)?;
        if let Some(told) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = told.trim().parse()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(String::from_utf8(body)?)
}

/// Browsers with the overview open: each listens to what changes and asks for the page again, as the page's script does.
struct Browsers {
    ended: Arc<AtomicBool>,
    served: Arc<AtomicUsize>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Browsers {
    fn open(admin: &str) -> Result<Self, Failure> {
        let (ended, served) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let mut threads = Vec::new();
        for _ in 0..BROWSERS {
            let mut live = TcpStream::connect(admin)?;
            live.write_all(format!("GET /live HTTP/1.1\r\nHost: {admin}\r\n\r\n").as_bytes())?;
            live.set_read_timeout(Some(Duration::from_millis(100)))?;
            let (admin, ended, served) = (admin.to_owned(), Arc::clone(&ended), Arc::clone(&served));
            threads.push(std::thread::spawn(move || watch(&admin, live, &ended, &served)));
        }
        Ok(Self { ended, served, threads })
    }

    /// Closes them; answers with how many pages they were given.
    fn close(self) -> usize {
        self.ended.store(true, Ordering::Relaxed);
        for thread in self.threads {
            drop(thread.join());
        }
        self.served.load(Ordering::Relaxed)
    }
}

fn watch(admin: &str, mut live: TcpStream, ended: &AtomicBool, served: &AtomicUsize) {
    let overview = format!("GET / HTTP/1.1\r\nHost: {admin}\r\n\r\n");
    let (mut buffer, mut refreshed) = ([0; 4096], Instant::now());
    let mut is_news = false;
    while !ended.load(Ordering::Relaxed) {
        match live.read(&mut buffer) {
            Ok(0) => return,
            Ok(_) => is_news = true,
            Err(_) => {} // nothing was told meanwhile
        }
        if is_news && refreshed.elapsed() >= REFRESH {
            (is_news, refreshed) = (false, Instant::now());
            let page = TcpStream::connect(admin).map_err(Failure::from).and_then(|mut stream| ask(&mut stream, admin, &overview));
            served.fetch_add(usize::from(page.is_ok()), Ordering::Relaxed);
        }
    }
}

fn newest_sale(store: &Path) -> Result<i64, Failure> {
    Ok(Connection::open(store)?.query_row("SELECT COALESCE(MAX(id), 0) FROM sales", [], |row| row.get(0))?)
}

/// Waits until a query answers with at least this.
fn wait_until(store: &Path, sql: &str, least: usize) -> Result<(), Failure> {
    let connection = Connection::open(store)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    let started = Instant::now();
    while started.elapsed() < PATIENCE {
        let found: usize = connection.query_row(sql, [], |row| row.get(0))?;
        if found >= least {
            return Ok(());
        }
        process::pause(Duration::from_millis(5));
    }
    Err(format!("the bridge did not come so far in time: {sql}").into())
}
