//! What a bridge holds does not grow with how many connections it has or what it has stored: a batch, a queue and the packs it uses.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use salebridge::domain::{Clock as _, SystemClock};

use crate::harness::configuration;
use crate::harness::process::{Served, Sink, free_address};
use crate::harness::webhooks::{signed, stripe_checkout, who};

/// Connections that stay open.
const CONNECTIONS: u32 = 512;
/// Webhooks of each.
const ROUNDS: u32 = 4;
/// They may take so much more than the bridge had when it was ready, in megabytes: half as much again as was seen.
const MORE_MB: u64 = 56;

#[test]
fn with_512_connections_it_takes_little_more() {
    let (folder, sink, address) = (tempfile::tempdir().unwrap(), Sink::start(), free_address());
    let config = folder.path().join("config.toml");
    std::fs::write(&config, configuration(&address, &format!("http://{}", sink.address), "")).unwrap();
    let source = salebridge::app::load(&config).unwrap_or_else(|faults| panic!("{faults}")).sources["stripe"].clone();
    let served = Served::start_with(folder.path(), &address, &[("SALEBRIDGE_LOG", "error")]);
    let ready = served.peak_mb();

    let mut streams: Vec<TcpStream> = (0..CONNECTIONS).map(|_| TcpStream::connect(&address).unwrap()).collect();
    for round in 0..ROUNDS {
        for (number, stream) in (round * CONNECTIONS..).zip(&mut streams) {
            let mut body = stripe_checkout(number, &who(&format!("click-{number}"), &format!("user_{number}")));
            body["data"]["object"]["description"] = "as long as such bodies are: ".repeat(100).into();
            let body = body.to_string();
            let headers = signed(&source, body.as_bytes(), &[], SystemClock.now());
            let mut request = format!("POST /webhooks/stripe HTTP/1.1\r\nHost: {address}\r\nContent-Length: {}\r\n", body.len());
            headers.iter().for_each(|(name, value)| request += &format!("{name}: {value}\r\n"));
            stream.write_all(format!("{request}\r\n{body}").as_bytes()).unwrap();
        }
        for stream in &mut streams {
            let mut answer = [0; 512];
            stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
            let read = stream.read(&mut answer).unwrap();
            assert!(answer[..read].starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer[..read]));
        }
    }
    let peak = served.peak_mb();
    assert!(ready > 0 && peak < ready + MORE_MB, "{peak} MB were resident at once, {ready} when it was ready");
}
