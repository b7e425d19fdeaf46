//! A load of keep-alive connections on one thread: a closed loop (each connection sends its next request once the last is answered) or
//! an open one (requests are due at fixed times, whether or not the server keeps up).
//!
//! In an open loop a request's time counts from when it was due, not from when a connection was free for it, so that a server that
//! stands still is charged for every request that it kept waiting.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::LocalSet;

use crate::Failure;
use crate::machine::{self, own_cpu};
use crate::request::{Request, Supply};

/// A connection that was refused waits so long before its next request; a provider would wait for minutes.
const AFTER_REFUSAL: Duration = Duration::from_millis(50);
/// After the end, requests under way have so long to be answered.
const GRACE: Duration = Duration::from_secs(5);

/// How requests come.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Pace {
    Closed,
    /// So many a second.
    Open(u32),
}

/// What a load saw.
#[derive(Default)]
pub(crate) struct Tally {
    /// Until the last answer, or the end of the time if that is later.
    pub(crate) elapsed: Duration,
    /// Of those that were acknowledged; sorted.
    pub(crate) latencies: Vec<Duration>,
    pub(crate) acknowledged: Vec<u64>,
    /// Answered with anything but 2xx.
    pub(crate) refused: usize,
    /// The first refusal's status line.
    pub(crate) refusal: Option<String>,
    /// Never answered: the connection broke, or the time was over.
    pub(crate) unanswered: Vec<Arc<Request>>,
    /// In an open loop, how late the load itself let requests go, whether or not a connection was free; sorted.
    pub(crate) late: Vec<Duration>,
    /// What the load itself used.
    pub(crate) own_cpu: Duration,
}

impl Tally {
    pub(crate) fn per_second(&self) -> f64 {
        self.acknowledged.len() as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }
}

/// The value below which this share of sorted times lies, in milliseconds; 0 if there are none.
pub(crate) fn percentile_ms(sorted: &[Duration], share: f64) -> f64 {
    let at = (sorted.len().saturating_sub(1) as f64 * share) as usize;
    sorted.get(at).map_or(0.0, |time| time.as_secs_f64() * 1e3)
}

struct Shared<'a> {
    address: &'a str,
    supply: &'a Supply,
    tally: RefCell<Tally>,
    /// The number of the next request that is due, in an open loop.
    next: Cell<u32>,
    due: Arc<Semaphore>,
    start: Instant,
    end: Instant,
    pace: Pace,
    count: u32,
}

impl Shared<'_> {
    fn note(&self, request: Arc<Request>, answer: std::io::Result<Answer>, time: Duration) {
        let mut tally = self.tally.borrow_mut();
        match answer {
            Ok(Answer::Acknowledged) => {
                tally.latencies.push(time);
                tally.acknowledged.push(request.token);
            }
            Ok(Answer::Refused(status)) => {
                tally.refused += 1;
                tally.refusal.get_or_insert(status);
            }
            Err(_) => tally.unanswered.push(request),
        }
    }
}

/// Loads the address for this long. Does not fail where requests do: it counts them.
pub(crate) fn run(address: &str, supply: &Supply, connections: usize, pace: Pace, time: Duration) -> Result<Tally, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let cpu = own_cpu();
    let start = Instant::now();
    let count = match pace {
        Pace::Closed => 0,
        Pace::Open(rate) => (f64::from(rate) * time.as_secs_f64()) as u32,
    };
    let due = Arc::new(Semaphore::new(0));
    let shared = Shared {
        address,
        supply,
        tally: RefCell::default(),
        next: Cell::new(0),
        due: Arc::clone(&due),
        start,
        end: start + time,
        pace,
        count,
    };
    let pacer = match pace {
        Pace::Closed => None,
        Pace::Open(rate) => Some(std::thread::spawn(move || keep_pace(&due, start, rate, count, connections))),
    };
    let under_way: Vec<Cell<Option<Arc<Request>>>> = (0..connections).map(|_| Cell::new(None)).collect();
    let local = LocalSet::new();
    runtime.block_on(local.run_until(async {
        let all = futures_util::future::join_all(under_way.iter().map(|slot| connection(&shared, slot)));
        drop(tokio::time::timeout_at((shared.end + GRACE).into(), all).await);
    }));
    let mut tally = shared.tally.into_inner();
    if let Some(pacer) = pacer {
        tally.late = pacer.join().map_err(|_| "the pacer panicked")?;
    }
    tally.unanswered.extend(under_way.into_iter().filter_map(Cell::into_inner));
    tally.elapsed = start.elapsed();
    tally.latencies.sort_unstable();
    tally.late.sort_unstable();
    tally.own_cpu = own_cpu().saturating_sub(cpu);
    Ok(tally)
}

/// Lets one more request go at each time that one is due; at the end it lets every connection find that there are no more. Answers with
/// how late each was let go.
fn keep_pace(due: &Semaphore, start: Instant, rate: u32, count: u32, connections: usize) -> Vec<Duration> {
    let mut late = Vec::new();
    for number in 0..count {
        let wait = due_at(start, rate, number).saturating_duration_since(Instant::now());
        if !wait.is_zero() {
            machine::pause(wait);
        }
        due.add_permits(1);
        late.push(due_at(start, rate, number).elapsed());
    }
    due.add_permits(connections);
    late
}

fn due_at(start: Instant, rate: u32, number: u32) -> Instant {
    start + Duration::from_secs_f64(f64::from(number) / f64::from(rate))
}

async fn connection(shared: &Shared<'_>, slot: &Cell<Option<Arc<Request>>>) {
    let mut stream = None;
    let mut buffer = vec![0; 8192];
    loop {
        let since = match shared.pace {
            Pace::Closed if Instant::now() >= shared.end => return,
            Pace::Closed => None,
            Pace::Open(rate) => {
                let Ok(permit) = shared.due.acquire().await else { return };
                permit.forget();
                let number = shared.next.replace(shared.next.get() + 1);
                if number >= shared.count {
                    return;
                }
                Some(due_at(shared.start, rate, number))
            }
        };
        let request = shared.supply.take();
        slot.set(Some(Arc::clone(&request)));
        let written = Instant::now();
        let answer = exchange(shared.address, &mut stream, &request, &mut buffer).await;
        slot.set(None);
        let acknowledged = matches!(answer, Ok(Answer::Acknowledged));
        if answer.is_err() {
            stream = None;
        }
        shared.note(request, answer, since.unwrap_or(written).elapsed());
        if acknowledged {
            continue;
        }
        if since.is_none() {
            tokio::time::sleep(AFTER_REFUSAL).await;
        }
    }
}

/// What came back.
pub(crate) enum Answer {
    Acknowledged,
    /// With the status line.
    Refused(String),
}

async fn exchange(
    address: &str,
    stream: &mut Option<TcpStream>,
    request: &Request,
    buffer: &mut [u8],
) -> std::io::Result<Answer> {
    let stream = match stream {
        Some(stream) => stream,
        None => {
            let new = TcpStream::connect(address).await?;
            new.set_nodelay(true)?;
            stream.insert(new)
        }
    };
    stream.write_all(&request.bytes).await?;
    let mut length = 0;
    loop {
        let read = stream.read(&mut buffer[length..]).await?;
        if read == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        length += read;
        if let Some(answer) = whole(&buffer[..length]) {
            return Ok(answer);
        }
    }
}

/// The answer, once it is there whole.
pub(crate) fn whole(bytes: &[u8]) -> Option<Answer> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&bytes[..end]).ok()?;
    let value = |name: &str| {
        head.lines().find_map(|line| {
            line.split_once(':').filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
        })
    };
    let complete = match value("content-length").and_then(|length| length.parse::<usize>().ok()) {
        Some(length) => bytes.len() >= end + length,
        None if value("transfer-encoding").is_some() => bytes.ends_with(b"0\r\n\r\n"),
        None => true,
    };
    if !complete {
        return None;
    }
    let status = head.lines().next().unwrap_or_default();
    let code = status.split(' ').nth(1).unwrap_or_default();
    Some(if code.starts_with('2') { Answer::Acknowledged } else { Answer::Refused(status.to_owned()) })
}

/// Sends these one after another until each is answered or a connection breaks; answers with the tokens that were acknowledged.
pub(crate) fn send(address: &str, requests: &[Arc<Request>]) -> Result<Vec<u64>, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut acknowledged = Vec::new();
    let mut buffer = vec![0; 8192];
    let mut stream = None;
    for request in requests {
        let answer = runtime.block_on(async {
            let exchange = exchange(address, &mut stream, request, &mut buffer);
            tokio::time::timeout(Duration::from_secs(10), exchange)
                .await
                .map_err(|_| std::io::ErrorKind::TimedOut.into())
                .flatten()
        });
        match answer {
            Ok(Answer::Acknowledged) => acknowledged.push(request.token),
            Ok(Answer::Refused(_)) => {}
            Err(_) => stream = None,
        }
    }
    Ok(acknowledged)
}
