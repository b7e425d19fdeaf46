//! Where contenders forward to: a server of its own that counts what arrives by its token, and that can be told to fail.

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use actix_web::{App, HttpResponse, HttpServer, web};

use crate::Failure;
use crate::machine::{self, Running};

/// Before the token in every body, whatever a contender makes of it.
const MARK: &[u8] = b"user_";

struct Arrivals {
    /// Before each answer, as an upstream on the internet takes it.
    delay: Duration,
    accepted: Mutex<HashMap<u64, u32>>,
    fails: AtomicBool,
    /// Requests in which no token was found.
    strange: AtomicU64,
    refused: AtomicU64,
}

/// The child's part: serves until it is killed.
pub(crate) fn serve(address: &str, delay: Duration) -> Result<(), Failure> {
    let arrivals = web::Data::new(Arrivals {
        delay,
        accepted: Mutex::default(),
        fails: AtomicBool::new(false),
        strange: AtomicU64::new(0),
        refused: AtomicU64::new(0),
    });
    let app = move || {
        App::new()
            .app_data(arrivals.clone())
            .app_data(web::PayloadConfig::new(1 << 20))
            .route("/counts", web::get().to(counts))
            .route("/tokens", web::get().to(tokens))
            .route("/fail", web::get().to(async |arrivals: web::Data<Arrivals>| told(&arrivals, true)))
            .route("/heal", web::get().to(async |arrivals: web::Data<Arrivals>| told(&arrivals, false)))
            .default_service(web::post().to(accept))
    };
    Ok(actix_web::rt::System::new().block_on(async { HttpServer::new(app).workers(1).bind(address)?.run().await })?)
}

async fn accept(arrivals: web::Data<Arrivals>, body: web::Bytes) -> HttpResponse {
    if !arrivals.delay.is_zero() {
        actix_web::rt::time::sleep(arrivals.delay).await;
    }
    if arrivals.fails.load(Ordering::Relaxed) {
        arrivals.refused.fetch_add(1, Ordering::Relaxed);
        return HttpResponse::InternalServerError().finish();
    }
    match token(&body) {
        Some(token) => {
            if let Ok(mut accepted) = arrivals.accepted.lock() {
                *accepted.entry(token).or_default() += 1;
            }
        }
        None => {
            arrivals.strange.fetch_add(1, Ordering::Relaxed);
        }
    }
    HttpResponse::Ok().finish()
}

fn token(body: &[u8]) -> Option<u64> {
    let at = body.windows(MARK.len()).position(|window| window == MARK)? + MARK.len();
    u64::from_str_radix(std::str::from_utf8(body.get(at..at + 16)?).ok()?, 16).ok()
}

fn told(arrivals: &Arrivals, fails: bool) -> HttpResponse {
    arrivals.fails.store(fails, Ordering::Relaxed);
    HttpResponse::Ok().finish()
}

async fn counts(arrivals: web::Data<Arrivals>) -> HttpResponse {
    let distinct = arrivals.accepted.lock().map_or(0, |accepted| accepted.len());
    let (strange, refused) = (arrivals.strange.load(Ordering::Relaxed), arrivals.refused.load(Ordering::Relaxed));
    HttpResponse::Ok().body(format!("{distinct} {strange} {refused}"))
}

async fn tokens(arrivals: web::Data<Arrivals>) -> HttpResponse {
    let lines = arrivals
        .accepted
        .lock()
        .map(|accepted| accepted.iter().map(|(token, times)| format!("{token:x} {times}\n")).collect::<String>());
    HttpResponse::Ok().body(lines.unwrap_or_default())
}

/// The parent's part.
pub(crate) struct Sink {
    _running: Running,
    address: String,
}

/// What has arrived and was accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) distinct: usize,
    pub(crate) strange: usize,
    /// Answered 500 while the sink was told to fail.
    pub(crate) refused: usize,
}

impl Sink {
    pub(crate) fn start(folder: &Path, delay: Duration) -> Result<Self, Failure> {
        let address = free_address()?;
        let mut command = Command::new(std::env::current_exe()?);
        let running = Running::start(command.args(["sink", &address, &delay.as_millis().to_string()]), &folder.join("sink.log"))?;
        let sink = Self { _running: running, address };
        let started = Instant::now();
        while sink.counts().is_err() {
            if started.elapsed() > Duration::from_secs(10) {
                return Err("the sink does not come up".into());
            }
            machine::pause(Duration::from_millis(5));
        }
        Ok(sink)
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/sales", self.address)
    }

    pub(crate) fn set_failing(&self, fails: bool) -> Result<(), Failure> {
        self.get(if fails { "/fail" } else { "/heal" }).map(drop)
    }

    pub(crate) fn counts(&self) -> Result<Counts, Failure> {
        let text = self.get("/counts")?;
        let mut numbers = text.split(' ').map(str::parse);
        let mut next = || numbers.next().unwrap_or(Ok(0));
        Ok(Counts { distinct: next()?, strange: next()?, refused: next()? })
    }

    /// How often each token was accepted.
    pub(crate) fn tokens(&self) -> Result<HashMap<u64, u32>, Failure> {
        let text = self.get("/tokens")?;
        let lines = text.lines().filter_map(|line| line.split_once(' '));
        lines.map(|(token, times)| Ok((u64::from_str_radix(token, 16)?, times.parse()?))).collect()
    }

    fn get(&self, path: &str) -> Result<String, Failure> {
        let mut stream = TcpStream::connect(&self.address)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.address).as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").ok_or("the sink's answer is cut")?;
        if !head.starts_with("HTTP/1.1 200") {
            return Err(format!("the sink answered: {head}").into());
        }
        Ok(body.to_owned())
    }
}

/// An address on this machine that nobody listens on.
pub(crate) fn free_address() -> Result<String, Failure> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string())
}
