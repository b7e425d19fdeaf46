//! A stand-in upstream that fails, limits, hangs and restarts; it remembers what it accepted, and when it was asked.

use std::collections::BTreeMap;
use std::io::{BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use serde_json::Value;

use super::process::read_body;

/// How it fails, of a hundred requests each.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Faults {
    pub(crate) fails: u64,
    pub(crate) limits: u64,
    pub(crate) hangs: u64,
}

/// What it knows.
#[derive(Default)]
struct Memory {
    /// How often each invoice id was accepted.
    accepted: Mutex<BTreeMap<String, usize>>,
    /// When it was asked.
    asked: Mutex<Vec<Instant>>,
    count: AtomicUsize,
    is_down: AtomicBool,
    connections: AtomicUsize,
}

pub(crate) struct Flaky {
    pub(crate) address: String,
    memory: Arc<Memory>,
}

impl Flaky {
    pub(crate) fn start(faults: Faults) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let memory = Arc::new(Memory::default());
        let kept = Arc::clone(&memory);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let kept = Arc::clone(&kept);
                kept.connections.fetch_add(1, Ordering::SeqCst);
                // A bridge that is killed breaks its connections; the stand-in does not mind.
                std::thread::spawn(move || drop(serve(stream, faults, &kept)));
            }
        });
        Self { address, memory }
    }

    /// From now on it breaks every connection, as a server does that is being restarted, or not any more.
    pub(crate) fn is_down(&self, is_down: bool) {
        self.memory.is_down.store(is_down, Ordering::SeqCst);
    }

    /// What it accepted, and how often.
    pub(crate) fn accepted(&self) -> BTreeMap<String, usize> {
        self.memory.accepted.lock().unwrap().clone()
    }

    /// When it was asked, in milliseconds since it was asked first.
    pub(crate) fn asked(&self) -> Vec<u128> {
        let asked = self.memory.asked.lock().unwrap();
        let Some(first) = asked.first() else { return Vec::new() };
        asked.iter().map(|at| at.duration_since(*first).as_millis()).collect()
    }

    /// How many connections were made.
    pub(crate) fn connections(&self) -> usize {
        self.memory.connections.load(Ordering::SeqCst)
    }
}

fn serve(stream: TcpStream, faults: Faults, memory: &Memory) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut writer = stream;
    loop {
        let Some(body) = read_body(&mut reader)? else { return Ok(()) };
        if memory.is_down.load(Ordering::SeqCst) {
            return Ok(()); // it was read, but nobody answers
        }
        memory.asked.lock().unwrap().push(Instant::now());
        let number = memory.count.fetch_add(1, Ordering::SeqCst) as u64;
        // Spread evenly, and the same at every run.
        let draw = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        let draw = draw % 100;
        let answer = if draw < faults.fails {
            "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n"
        } else if draw < faults.fails + faults.limits {
            "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n"
        } else if draw < faults.fails + faults.limits + faults.hangs {
            drop(reader.read(&mut [0; 1])); // until the other side has had enough
            return Ok(());
        } else {
            let body: Value = serde_json::from_slice(&body).unwrap();
            let id = body["invoiceId"].as_str().unwrap().to_owned();
            *memory.accepted.lock().unwrap().entry(id).or_default() += 1;
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 15\r\n\r\n{\"status\":true}"
        };
        writer.write_all(answer.as_bytes())?;
    }
}
