//! Where faults happen: a store, one bridge or several replicas, an upstream that misbehaves as it is told, senders with a known
//! history, and a checker that compares what was acknowledged, counted and delivered.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use salebridge::domain::{Clock as _, SystemClock};
use serde_json::Value;

use crate::harness::process::{Served, free_address, post, read_body};
use crate::harness::webhooks::{SECRET, stripe_invoice, stripe_subscription_checkout, who};
use crate::harness::{configuration, database};

/// Whatever takes longer than this has failed.
const PATIENCE: Duration = Duration::from_secs(300);
/// So many senders post at once.
const SENDERS: usize = 8;

/// What the upstream does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Mood {
    /// It accepts.
    Well,
    /// It breaks every connection.
    Down,
    /// It answers a second late.
    Slow,
    /// Every other request fails.
    Flapping,
    /// It accepts a third of all requests and answers nothing, or half an answer.
    Lying,
}

/// What an upstream was told, by invoice id: the clicks, and how often.
type Told = BTreeMap<String, (BTreeSet<String>, usize)>;

pub(crate) struct Upstream {
    address: String,
    mood: Arc<AtomicU8>,
    told: Arc<Mutex<Told>>,
}

/// One process.
pub(crate) struct Replica {
    pub(crate) folder: PathBuf,
    pub(crate) address: String,
    pub(crate) served: Option<Served>,
}

/// What was sent and acknowledged.
#[derive(Default)]
struct Heard {
    /// The request's number, by event.
    acknowledged: Mutex<BTreeMap<String, i64>>,
    sent: AtomicUsize,
    answers: AtomicUsize,
    /// The moment of the last acknowledgement.
    last: Mutex<Option<Instant>>,
    refused: Mutex<BTreeMap<u16, usize>>,
}

pub(crate) struct Scene {
    pub(crate) replicas: Vec<Replica>,
    pub(crate) upstream: Upstream,
    /// How far the bridges' clock is from the true one, in seconds.
    pub(crate) skew: Arc<AtomicI64>,
    purchases: u32,
    heard: Arc<Heard>,
    addresses: Arc<Mutex<Vec<String>>>,
    senders: Vec<std::thread::JoinHandle<()>>,
    kills: usize,
    struck: Option<Instant>,
    recovery: Duration,
    _folder: tempfile::TempDir,
}

impl Upstream {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (mood, told) = (Arc::new(AtomicU8::new(Mood::Well as u8)), Arc::new(Mutex::new(Told::new())));
        let (kept_mood, kept) = (Arc::clone(&mood), Arc::clone(&told));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (mood, told) = (Arc::clone(&kept_mood), Arc::clone(&kept));
                std::thread::spawn(move || drop(answer(stream, &mood, &told)));
            }
        });
        Self { address, mood, told }
    }

    pub(crate) fn is(&self, mood: Mood) {
        self.mood.store(mood as u8, Ordering::SeqCst);
    }

    fn told(&self) -> Told {
        self.told.lock().unwrap().clone()
    }
}

fn answer(stream: TcpStream, mood: &AtomicU8, told: &Mutex<Told>) -> std::io::Result<()> {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    const ACCEPTED: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 15\r\n\r\n{\"status\":true}";
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut writer = stream;
    while let Some(body) = read_body(&mut reader)? {
        let count = COUNT.fetch_add(1, Ordering::SeqCst);
        let is = |wanted: Mood| mood.load(Ordering::SeqCst) == wanted as u8;
        if is(Mood::Down) {
            return Ok(());
        }
        if is(Mood::Slow) {
            std::thread::park_timeout(Duration::from_secs(1));
        }
        if is(Mood::Flapping) && count.is_multiple_of(2) {
            writer.write_all(b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n")?;
            continue;
        }
        let body: Value = serde_json::from_slice(&body).unwrap();
        let click = body["clickId"].as_str().unwrap_or("none").to_owned();
        let mut known = told.lock().unwrap();
        let entry = known.entry(body["invoiceId"].as_str().unwrap().to_owned()).or_default();
        entry.0.insert(click);
        entry.1 += 1;
        drop(known);
        if is(Mood::Lying) && count.is_multiple_of(3) {
            writer.write_all(&ACCEPTED.as_bytes()[..if count.is_multiple_of(2) { 0 } else { 40 }])?;
            return Ok(());
        }
        writer.write_all(ACCEPTED.as_bytes())?;
    }
    Ok(())
}

impl Scene {
    /// A bridge on a file, or so many replicas on a database of their own; `more` lines stand in the upstream's table. `place` is the
    /// folder of the file, where it must be a special one.
    pub(crate) fn new(replicas: usize, purchases: u32, place: Option<&Path>, more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let upstream = Upstream::start();
        let file = place.unwrap_or(folder.path()).join("faults.db");
        let url = if replicas > 1 { database::url().expect("a database") } else { format!("sqlite:{}", file.display()) };
        let settings = format!(
            "max_in_flight = 32\ntimeout_secs = 2\n{more}[upstreams.retry]\nfirst_delay_secs = 1\nlongest_delay_secs = 2\n"
        );
        let make = |number: usize| {
            let (folder, address) = (folder.path().join(number.to_string()), free_address());
            std::fs::create_dir(&folder).unwrap();
            let text = configuration(&address, &format!("http://{}", upstream.address), &settings)
                .replace("sqlite:test.db", &url)
                .replacen("[[sources]]", "[attribution]\nwaiting_room_secs = 3600\n[[sources]]", 1);
            std::fs::write(folder.join("config.toml"), text).unwrap();
            Replica { folder, address, served: None }
        };
        let replicas: Vec<Replica> = (0..replicas).map(make).collect();
        let addresses = Arc::new(Mutex::new(replicas.iter().map(|replica| replica.address.clone()).collect()));
        Self {
            replicas,
            upstream,
            skew: Arc::default(),
            purchases,
            heard: Arc::default(),
            addresses,
            senders: Vec::new(),
            kills: 0,
            struck: None,
            recovery: Duration::ZERO,
            _folder: folder,
        }
    }

    /// Starts every replica that does not run; `environment` is added to its own.
    pub(crate) fn start(&mut self, environment: &[(&str, &str)]) {
        for replica in &mut self.replicas {
            if replica.served.is_none() {
                replica.served = Some(Served::start_with(&replica.folder, &replica.address, environment));
            }
        }
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self, replica: usize) {
        if let Some(mut served) = self.replicas[replica].served.take() {
            served.kill();
            self.kills += 1;
            self.strikes();
        }
    }

    /// Every purchase is told by two events, in either order, a third of them once more; whoever gets no 200 asks again, anywhere.
    pub(crate) fn send(&mut self) {
        let mut events: Vec<(String, String)> = Vec::new();
        for number in 0..self.purchases {
            let person = who(&format!("c-{number}"), &format!("user_{number}"));
            let checkout = ("checkout", stripe_subscription_checkout(number, &person));
            let invoice = ("invoice", stripe_invoice(number, number, "subscription_create", &serde_json::json!({})));
            let pair = if number % 2 == 0 { [checkout, invoice] } else { [invoice, checkout] };
            events.extend(pair.map(|(kind, body)| (format!("{kind} {number}"), body.to_string())));
            if number % 3 == 0 {
                let again = events[events.len() * 7919 % events.len().max(1)].clone();
                events.push(again);
            }
        }
        let events = Arc::new(events);
        let next = Arc::new(AtomicUsize::new(0));
        for sender in 0..SENDERS {
            let (events, next, heard) = (Arc::clone(&events), Arc::clone(&next), Arc::clone(&self.heard));
            let (addresses, skew) = (Arc::clone(&self.addresses), Arc::clone(&self.skew));
            self.senders.push(std::thread::spawn(move || {
                while let Some((name, body)) = events.get(next.fetch_add(1, Ordering::SeqCst)) {
                    heard.until_acknowledged(name, body, sender, &addresses, &skew);
                }
            }));
        }
    }

    /// How many acknowledgements there were.
    pub(crate) fn acknowledged(&self) -> usize {
        self.heard.answers.load(Ordering::SeqCst)
    }

    /// How many there will be.
    pub(crate) fn total(&self) -> usize {
        let purchases = self.purchases as usize;
        2 * purchases + purchases.div_ceil(3)
    }

    /// How often the senders heard something else than a 200, by status; 0 where no answer came.
    pub(crate) fn refused(&self) -> BTreeMap<u16, usize> {
        self.heard.refused.lock().unwrap().clone()
    }

    /// Waits until so many per cent of the history are acknowledged.
    pub(crate) fn until(&self, percent: usize) {
        patiently("enough is acknowledged", || self.acknowledged() * 100 >= percent * self.total());
    }

    /// A fault begins, or ends by another hand: from now on it takes so long until the bridge acknowledges again.
    pub(crate) fn strikes(&mut self) {
        self.struck = Some(Instant::now());
    }

    /// Waits until the bridge acknowledges again.
    pub(crate) fn recovers(&mut self) {
        let (before, from) = (self.acknowledged(), self.struck.take().unwrap_or_else(Instant::now));
        let total = self.total();
        patiently("it acknowledges again", || self.acknowledged() > before || self.acknowledged() == total);
        self.recovery = self.recovery.max(from.elapsed());
    }

    /// Waits until all is sent, acknowledged and delivered, and compares; prints the line of the table.
    pub(crate) fn ends_well(&mut self, fault: &str) {
        for sender in self.senders.drain(..) {
            sender.join().unwrap();
        }
        let wanted: BTreeSet<String> = (0..self.purchases).map(|number| format!("in_{number}")).collect();
        patiently("every sale is delivered", || self.upstream.told().len() >= wanted.len());
        let any = self.replicas.iter().find_map(|replica| replica.served.as_ref()).unwrap();
        patiently("no delivery waits", || {
            let deliveries = any.json(&["deliveries", "list", "--limit", "100000"]);
            deliveries.as_array().unwrap().iter().all(|delivery| delivery["state"] == "delivered")
        });
        let settled = Instant::now().duration_since(self.heard.last.lock().unwrap().unwrap_or_else(Instant::now));
        let sales = any.json(&["sales", "list", "--limit", "100000"]);
        let counted: Vec<String> = sales
            .as_array()
            .unwrap()
            .iter()
            .filter(|sale| sale["state"] != "merged")
            .map(|sale| sale["invoiceId"].as_str().unwrap().to_owned())
            .collect();
        let distinct: BTreeSet<String> = counted.iter().cloned().collect();
        let requests = any.json(&["requests", "list", "--limit", "100000"]);
        let stored: BTreeSet<i64> = requests.as_array().unwrap().iter().map(|request| request["id"].as_i64().unwrap()).collect();
        let acknowledged = self.heard.acknowledged.lock().unwrap().clone();
        let lost = acknowledged.values().filter(|id| !stored.contains(id)).count() + wanted.difference(&distinct).count();
        let double = counted.len() - distinct.len() + distinct.difference(&wanted).count();
        let told = self.upstream.told();
        let wrong: Vec<&String> = told
            .iter()
            .filter(|(id, (clicks, _))| *clicks != BTreeSet::from([format!("c-{}", id.trim_start_matches("in_"))]))
            .map(|(id, _)| id)
            .collect();
        let repeated = told.values().filter(|(_, times)| *times > 1).count();
        let store =
            if self.replicas.len() > 1 { format!("PostgreSQL, {} replicas", self.replicas.len()) } else { "SQLite".to_owned() };
        let (sent, kills) = (self.heard.sent.load(Ordering::SeqCst), self.kills);
        println!(
            "| {fault} | {store} | {sent} | {} | {lost} | {double} | {repeated} | {kills} | {:.2} | {:.1} |",
            self.acknowledged(),
            self.recovery.as_secs_f32(),
            settled.as_secs_f32(),
        );
        assert_eq!((lost, double), (0, 0), "{fault}");
        assert_eq!(told.keys().cloned().collect::<BTreeSet<_>>(), wanted, "{fault}: what the upstream was told");
        assert!(wrong.is_empty(), "{fault}: told without its own click: {wrong:?}");
        for replica in &mut self.replicas {
            if let Some(mut served) = replica.served.take() {
                assert!(served.stop(), "{fault}: it does not end well");
                assert!(!served.log().contains("panicked"), "{fault}: {}", served.log());
            }
        }
    }
}

impl Heard {
    fn until_acknowledged(&self, name: &str, body: &str, sender: usize, addresses: &Mutex<Vec<String>>, skew: &AtomicI64) {
        let mut turn = sender + body.len();
        patiently("a webhook is acknowledged", || {
            let address = {
                let addresses = addresses.lock().unwrap();
                addresses[turn % addresses.len()].clone()
            };
            turn += 1;
            let now = SystemClock.now().as_second() + skew.load(Ordering::SeqCst);
            let headers = vec![("Stripe-Signature".to_owned(), signature(body, now))];
            self.sent.fetch_add(1, Ordering::SeqCst);
            let answer = post(&address, "/webhooks/stripe", &headers, body.as_bytes());
            let Some((200, answer)) = answer else {
                let status = answer.map_or(0, |(status, _)| status);
                *self.refused.lock().unwrap().entry(status).or_default() += 1;
                return false;
            };
            let request = answer["request"].as_i64().unwrap();
            let known = self.acknowledged.lock().unwrap().insert(name.to_owned(), request);
            assert!(known.is_none_or(|known| known == request), "{name} was stored twice: {known:?}, {request}");
            *self.last.lock().unwrap() = Some(Instant::now());
            self.answers.fetch_add(1, Ordering::SeqCst);
            true
        });
    }
}

/// Stripe's signature of a body.
pub(crate) fn signature(body: &str, now: i64) -> String {
    use hmac::{KeyInit as _, Mac as _};
    let mut mac = hmac::Hmac::<sha2::Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(format!("{now}.{body}").as_bytes());
    format!("t={now},v1={}", hex::encode(mac.finalize().into_bytes()))
}

/// Faults take their time; whoever waits leaves the cores to those that work.
pub(crate) fn patiently(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "in {PATIENCE:?} it did not come to pass that {what}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

/// Lets time pass.
pub(crate) fn pass(time: Duration) {
    let deadline = Instant::now() + time;
    while Instant::now() < deadline {
        std::thread::park_timeout(deadline.saturating_duration_since(Instant::now()));
    }
}
