//! A closed loop of keep-alive connections on one thread, each sending its next request when the last one is answered.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::Failure;

/// What a load saw.
pub(crate) struct Result {
    pub(crate) elapsed: Duration,
    /// Sorted.
    pub(crate) latencies: Vec<Duration>,
}

impl Result {
    pub(crate) fn percentile_ms(&self, share: f64) -> f64 {
        let last = self.latencies.len() - 1;
        let at = (last as f64 * share) as usize;
        self.latencies[at].as_secs_f64() * 1e3
    }
}

/// Sends requests, made before the clock starts, over `connections` connections. Anything but 200 is a failure.
pub(crate) fn run(address: &str, connections: usize, requests: Vec<Vec<u8>>) -> std::result::Result<Result, Failure> {
    let count = requests.len();
    let requests = Arc::new(requests);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(async {
        let mut streams = Vec::new();
        for _ in 0..connections {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            streams.push(stream);
        }
        let started = Instant::now();
        let tasks: Vec<_> = streams
            .into_iter()
            .enumerate()
            .map(|(index, stream)| tokio::spawn(connection(stream, Arc::clone(&requests), index, connections)))
            .collect();
        let mut latencies = Vec::with_capacity(count);
        for task in tasks {
            latencies.extend(task.await?.map_err(Failure::from)?);
        }
        let elapsed = started.elapsed();
        latencies.sort();
        Ok(Result { elapsed, latencies })
    })
}

async fn connection(
    mut stream: TcpStream,
    requests: Arc<Vec<Vec<u8>>>,
    first: usize,
    step: usize,
) -> std::result::Result<Vec<Duration>, String> {
    let mut latencies = Vec::with_capacity(requests.len() / step + 1);
    let mut buffer = vec![0; 4096];
    for request in requests.iter().skip(first).step_by(step) {
        let sent = Instant::now();
        stream.write_all(request).await.map_err(|error| error.to_string())?;
        read_answer(&mut stream, &mut buffer).await?;
        latencies.push(sent.elapsed());
    }
    Ok(latencies)
}

/// Reads one answer whole; it must be a 200.
async fn read_answer(stream: &mut TcpStream, buffer: &mut [u8]) -> std::result::Result<(), String> {
    let mut length = 0;
    loop {
        let read = stream.read(&mut buffer[length..]).await.map_err(|error| error.to_string())?;
        if read == 0 {
            return Err("the server closed the connection".to_owned());
        }
        length += read;
        let text = std::str::from_utf8(&buffer[..length]).map_err(|error| error.to_string())?;
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        if !head.starts_with("HTTP/1.1 200") {
            return Err(format!("the server answered: {text}"));
        }
        let announced =
            head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length:").map(str::to_owned));
        let announced: usize = announced.unwrap_or_default().trim().parse().unwrap_or(0);
        if body.len() >= announced {
            return Ok(());
        }
    }
}
