//! Whatever befalls the bridge, its store, its upstream or its clock: nothing that was acknowledged is lost, and no sale is counted
//! twice. Each fault prints a line of the table in docs/reliability.md: events sent, acknowledged, lost, counted twice, sales that the
//! upstream was told more than once (under the same id), kills, the longest time until it acknowledged again, and the time from the
//! last acknowledgement until all was delivered.
//!
//! `scripts/faults` runs them long and prints the table. Those on PostgreSQL, and those that need the rights to mount a file system,
//! are left out of a plain `cargo test`.

mod scene;

use std::io::Write as _;
use std::net::TcpStream;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::Ordering;
use std::time::Duration;

use self::scene::{Mood, Scene, pass, patiently, signature};
use salebridge::domain::{Clock as _, SystemClock};

use crate::harness::database;
use crate::harness::process::{exchange, get, post, run};
use crate::harness::webhooks::{stripe_subscription_checkout, who};

/// So many replicas share a database.
const REPLICAS: usize = 3;

/// The short number, or the long one where `SALEBRIDGE_FAULTS=long`.
fn scaled(short: u32, long: u32) -> u32 {
    if std::env::var("SALEBRIDGE_FAULTS").is_ok_and(|scale| scale == "long") { long } else { short }
}

/// Processes that are killed at random moments, each with work under way.
fn kills(replicas: usize) {
    let kills = scaled(5, 105) as usize;
    let mut scene = Scene::new(replicas, 40 * u32::try_from(kills).unwrap(), None, "");
    scene.start(&[]);
    scene.send();
    let mut moments: Vec<usize> = (0..kills).map(|_| rand::random_range(0..scene.total() - 20)).collect();
    moments.sort_unstable();
    for moment in moments {
        patiently("the next kill is due", || scene.acknowledged() >= moment);
        scene.kill(rand::random_range(0..replicas));
        scene.start(&[]);
        scene.recovers();
    }
    scene.ends_well("SIGKILL at random moments");
}

#[test]
fn killed_at_random_moments() {
    kills(1);
}

#[test]
#[ignore = "needs scripts/with-postgres"]
fn replicas_are_killed_at_random_moments() {
    kills(REPLICAS);
}

#[test]
#[ignore = "needs scripts/with-postgres"]
fn a_replica_stands_still_past_its_leases_and_another_is_killed() {
    let mut scene = Scene::new(REPLICAS, scaled(200, 1500), None, "");
    scene.start(&[]);
    scene.send();
    scene.until(30);
    scene.replicas[0].served.as_ref().unwrap().signal("STOP");
    scene.kill(1);
    // Longer than a lease of requests.
    pass(Duration::from_secs(35));
    scene.start(&[]);
    scene.replicas[0].served.as_ref().unwrap().signal("CONT");
    scene.recovers();
    scene.ends_well("one replica frozen for 35 s, one killed");
}

#[test]
#[ignore = "needs scripts/with-postgres"]
fn the_database_is_restarted_and_its_connections_are_cut() {
    let mut scene = Scene::new(REPLICAS, scaled(300, 3000), None, "");
    scene.start(&[]);
    scene.send();
    for round in 0..scaled(2, 10) as usize {
        scene.until(10 + 6 * round);
        scene.strikes();
        control("restart -m immediate");
        scene.recovers();
        for _ in 0..5 {
            scene.strikes();
            cut_connections();
            scene.recovers();
        }
    }
    scene.ends_well("database restarted, connections cut");
}

#[test]
#[ignore = "needs scripts/with-postgres"]
fn the_database_takes_no_writes_for_a_while() {
    let mut scene = Scene::new(REPLICAS, scaled(200, 1500), None, "");
    scene.start(&[]);
    scene.send();
    scene.until(30);
    scene.strikes();
    let writable = ReadOnly::begin();
    patiently("the senders are told to come back", || scene.refused().contains_key(&503));
    let address = scene.replicas[0].address.clone();
    patiently("it says that it is not ready", || get(&address, "/readyz").unwrap().starts_with("HTTP/1.1 503"));
    drop(writable);
    scene.recovers();
    scene.ends_well("read-only database");
}

/// A database server that takes no writes until this goes out of scope.
struct ReadOnly;

impl ReadOnly {
    fn begin() -> Self {
        let url = std::env::var("SALEBRIDGE_TEST_POSTGRES").unwrap();
        database::execute(&url, "ALTER SYSTEM SET default_transaction_read_only = on");
        database::execute(&url, "SELECT pg_reload_conf()");
        Self
    }
}

impl Drop for ReadOnly {
    fn drop(&mut self) {
        let url = std::env::var("SALEBRIDGE_TEST_POSTGRES").unwrap();
        let url = format!("{url}?options=-cdefault_transaction_read_only%3Doff");
        database::execute(&url, "ALTER SYSTEM RESET default_transaction_read_only");
        database::execute(&url, "SELECT pg_reload_conf()");
    }
}

/// An upstream that is down, slow, fails every other time, and accepts without saying so.
fn moods(replicas: usize) {
    let mut scene = Scene::new(replicas, scaled(200, 1000), None, "");
    scene.start(&[]);
    scene.send();
    for (percent, mood) in [(5, Mood::Down), (30, Mood::Slow), (50, Mood::Flapping), (75, Mood::Lying)] {
        scene.until(percent);
        scene.upstream.is(mood);
        pass(Duration::from_secs(2));
    }
    scene.until(100);
    pass(Duration::from_secs(3));
    scene.upstream.is(Mood::Well);
    scene.ends_well("upstream down, slow, flapping, lying");
}

#[test]
fn the_upstream_is_down_slow_flapping_and_lying() {
    moods(1);
}

#[test]
#[ignore = "needs scripts/with-postgres"]
fn the_upstream_of_replicas_is_down_slow_flapping_and_lying() {
    moods(REPLICAS);
}

/// Builds what sets the clock of one process (`clock.c`) into `folder`.
fn another_clock(folder: &Path) -> PathBuf {
    let (source, library) = (Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/faults/clock.c"), folder.join("clock.so"));
    let built = Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).args([&library, &source]).status();
    assert!(built.expect("cc, with which SQLite is built too").success());
    library
}

/// A clock that is set two hours ahead and back again: that of the bridge, never the machine's own.
fn clock(replicas: usize) {
    let folder = tempfile::tempdir().unwrap();
    let (library, file) = (another_clock(folder.path()), folder.path().join("ahead"));
    std::fs::write(&file, 0_i64.to_ne_bytes()).unwrap();
    let ahead = std::fs::File::options().write(true).open(&file).unwrap();
    let set = |seconds: i64| ahead.write_all_at(&seconds.to_ne_bytes(), 0).unwrap();
    let environment = [("LD_PRELOAD", library.to_str().unwrap()), ("SALEBRIDGE_TEST_CLOCK", file.to_str().unwrap())];
    let mut scene = Scene::new(replicas, scaled(150, 1000), None, "");
    scene.start(&environment);
    scene.send();
    for (percent, offset) in [(20, 7200), (45, 0), (70, -7200)] {
        scene.until(percent);
        set(offset);
        scene.skew.store(offset, Ordering::SeqCst);
        scene.recovers();
    }
    scene.ends_well("clock set 2 h ahead, back, 2 h behind");
}

#[test]
fn the_clock_is_set_ahead_and_back() {
    clock(1);
}

#[test]
#[ignore = "needs scripts/with-postgres"]
fn the_clock_of_replicas_is_set_ahead_and_back() {
    clock(REPLICAS);
}

/// Thousands of idle connections, senders that trickle, and connections that end in the middle.
fn clients(replicas: usize) {
    let mut scene = Scene::new(replicas, scaled(100, 1000), None, "");
    scene.start(&[]);
    let address = scene.replicas[0].address.clone();
    let idle = scaled(800, 10_000);
    let mut held: Vec<TcpStream> = Vec::new();
    for number in 0..idle {
        let Ok(mut stream) = TcpStream::connect(&address) else { break };
        match number % 4 {
            0 => {}
            1 => drop(stream.write_all(b"POST /webhooks/stripe HTTP/1.1\r\nHost: x\r\nContent-Le")),
            2 => drop(stream.write_all(b"POST /webhooks/stripe HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{\"half\":")),
            _ => {
                drop(stream.write_all(b"POST /webhooks/stripe HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{"));
                drop(stream.shutdown(std::net::Shutdown::Write));
            }
        }
        held.push(stream);
    }
    assert!(held.len() * 10 >= idle as usize * 9, "only {} of {idle} connections could be had", held.len());
    scene.send();
    scene.recovers();
    for stream in held.iter_mut().step_by(4) {
        drop(stream.write_all(b"P"));
    }
    scene.ends_well(&format!("{idle} idle, slow and half-open connections"));
}

#[test]
fn clients_are_slow_idle_and_gone() {
    clients(1);
}

#[test]
#[ignore = "needs scripts/with-postgres"]
fn clients_of_replicas_are_slow_idle_and_gone() {
    clients(REPLICAS);
}

/// One webhook that is sent again and again, by many at once, to every replica.
fn flood(replicas: usize) {
    let mut scene = Scene::new(replicas, scaled(60, 500), None, "");
    scene.start(&[]);
    scene.send();
    let body = stripe_subscription_checkout(0, &who("c-0", "user_0")).to_string();
    let times = scaled(100, 1000);
    let addresses: Vec<String> = scene.replicas.iter().map(|replica| replica.address.clone()).collect();
    let floods: Vec<_> = (0..16)
        .map(|number: usize| {
            let (body, address) = (body.clone(), addresses[number % addresses.len()].clone());
            std::thread::spawn(move || {
                let now = SystemClock.now().as_second();
                let headers = vec![("Stripe-Signature".to_owned(), signature(&body, now))];
                let answers = (0..times).filter_map(|_| post(&address, "/webhooks/stripe", &headers, body.as_bytes()));
                answers.filter(|(status, _)| *status == 200).count()
            })
        })
        .collect();
    let accepted: usize = floods.into_iter().map(|flood| flood.join().unwrap()).sum();
    assert!(accepted > 0);
    scene.ends_well(&format!("replay flood ({accepted} repeats of one webhook)"));
}

#[test]
fn one_webhook_is_sent_again_and_again() {
    flood(1);
}

#[test]
#[ignore = "needs scripts/with-postgres"]
fn one_webhook_is_sent_to_replicas_again_and_again() {
    flood(REPLICAS);
}

/// A small file system of its own, in memory.
struct Mount(PathBuf);

impl Mount {
    fn new(folder: &Path, megabytes: u32) -> Self {
        let path = folder.join("mount");
        std::fs::create_dir(&path).unwrap();
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", &format!("size={megabytes}m"), "tmpfs"]).arg(&path).status();
        assert!(mounted.unwrap().success(), "a file system cannot be mounted: run as root");
        Self(path)
    }

    fn is(&self, how: &str) {
        let mounted = Command::new("mount").args(["-o", &format!("remount,{how}")]).arg(&self.0).status();
        assert!(mounted.unwrap().success());
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        drop(Command::new("umount").args(["-l"]).arg(&self.0).status());
    }
}

/// Writes until nothing more fits.
fn fill(path: &Path) {
    let mut file = std::fs::File::create(path).unwrap();
    for size in [1 << 20, 4096, 1] {
        while file.write_all(&vec![0; size]).is_ok() {}
    }
}

/// Sends webhooks of no meaning, each of its own and of half a megabyte, until there is no room for one more: then the sender is told
/// when to come back.
fn until_refused(address: &str) {
    let mut refusal = String::new();
    patiently("a sender is told to come back", || {
        let nonsense = hex::encode((0..250_000).map(|_| rand::random::<u8>()).collect::<Vec<_>>());
        let body = format!("{{\"nonsense\": \"{nonsense}\"}}");
        let request = format!(
            "POST /webhooks/stripe HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nStripe-Signature: {}\r\nContent-Length: {}\r\n\r\n{body}",
            signature(&body, SystemClock.now().as_second()),
            body.len()
        );
        refusal = exchange(address, request.as_bytes()).unwrap_or_default().to_ascii_lowercase();
        refusal.starts_with("http/1.1 503")
    });
    assert!(refusal.contains("retry-after:"), "{refusal}");
}

#[test]
#[ignore = "needs the rights to mount a file system"]
fn the_disk_is_full() {
    let folder = tempfile::tempdir().unwrap();
    let mount = Mount::new(folder.path(), 64);
    let mut scene = Scene::new(1, scaled(300, 1500), Some(&mount.0), "");
    scene.start(&[]);
    scene.send();
    scene.until(30);
    let filler = mount.0.join("filler");
    fill(&filler);
    until_refused(&scene.replicas[0].address);
    let address = scene.replicas[0].address.clone();
    patiently("it says that it is not ready", || get(&address, "/readyz").unwrap().starts_with("HTTP/1.1 503"));
    pass(Duration::from_secs(2));
    assert!(scene.replicas[0].served.as_mut().unwrap().is_running(), "it does not fall over");
    std::fs::remove_file(filler).unwrap();
    scene.strikes();
    scene.recovers();
    scene.ends_well("disk full");
}

#[test]
#[ignore = "needs scripts/with-postgres on a small file system"]
fn the_disk_of_the_database_is_full() {
    let folder = std::env::var("SALEBRIDGE_TEST_POSTGRES_FOLDER").expect("scripts/with-postgres says where");
    let mut scene = Scene::new(REPLICAS, scaled(300, 1500), None, "");
    scene.start(&[]);
    scene.send();
    scene.until(30);
    let filler = Path::new(&folder).join("filler");
    fill(&filler);
    until_refused(&scene.replicas[0].address);
    pass(Duration::from_secs(2));
    assert!(scene.replicas.iter_mut().all(|replica| replica.served.as_mut().unwrap().is_running()), "they do not fall over");
    std::fs::remove_file(filler).unwrap();
    scene.strikes();
    // The server stops where its own log has no room; whoever keeps it running starts it again.
    control("restart -m immediate");
    scene.recovers();
    scene.ends_well("disk of the database full");
}

#[test]
#[ignore = "needs the rights to mount a file system"]
fn the_file_cannot_be_written_at_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let mount = Mount::new(folder.path(), 64);
    let mut scene = Scene::new(1, scaled(150, 1000), Some(&mount.0), "");
    scene.start(&[]);
    scene.send();
    scene.until(30);
    scene.kill(0);
    mount.is("ro");
    let output = run(Some(&scene.replicas[0].folder.join("config.toml")), &["serve"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && said.contains("faults.db"), "{said}");
    mount.is("rw");
    scene.start(&[]);
    scene.recovers();
    scene.ends_well("read-only file system");
}

#[test]
fn the_log_of_the_file_is_torn() {
    let folder = tempfile::tempdir().unwrap();
    let mut scene = Scene::new(1, scaled(150, 1000), Some(folder.path()), "");
    scene.start(&[]);
    scene.send();
    for percent in [20, 40, 60, 80] {
        scene.until(percent);
        scene.kill(0);
        // What the next transaction had begun to write when the power went: half a frame, and frames of nonsense.
        let log = folder.path().join("faults.db-wal");
        let mut log = std::fs::OpenOptions::new().append(true).open(log).unwrap();
        let torn: Vec<u8> = (0..4096 * percent / 10 + 17).map(|_| rand::random()).collect();
        log.write_all(&torn).unwrap();
        scene.start(&[]);
        scene.recovers();
    }
    scene.ends_well("torn write-ahead log");
}

/// Tells the throw-away PostgreSQL's own tool what to do.
fn control(what: &str) {
    let control = std::env::var("SALEBRIDGE_TEST_POSTGRES_CONTROL").expect("scripts/with-postgres says how");
    let mut words = control.split_whitespace();
    let status = Command::new(words.next().unwrap()).args(words).args(what.split_whitespace()).status().unwrap();
    assert!(status.success());
}

fn cut_connections() {
    let url = std::env::var("SALEBRIDGE_TEST_POSTGRES").unwrap();
    database::execute(&url, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'salebridge'");
}
