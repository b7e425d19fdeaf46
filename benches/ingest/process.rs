//! A server under test as a process of its own, with what the system says about it.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::Failure;

/// Ticks a second of the kernel's CPU accounting (USER_HZ, which Linux fixes for programs).
const TICKS_PER_SECOND: f64 = 100.0;

/// A store that holds millions of sales may have to be gone through at the first start.
const UP_WITHIN: Duration = Duration::from_secs(300);

/// A running server; killed when it goes out of scope.
pub(crate) struct Running(Child);

impl Running {
    pub(crate) fn start(program: &Path, arguments: &[&str]) -> Result<Self, Failure> {
        let mut command = Command::new(program);
        command.args(arguments).env("SALEBRIDGE_LOG", "error").stdout(Stdio::null());
        Ok(Self(command.spawn()?))
    }

    pub(crate) fn wait_until_up(&self, address: &str) -> Result<(), Failure> {
        let deadline = Instant::now() + UP_WITHIN;
        while Instant::now() < deadline {
            if is_ready(address).unwrap_or(false) {
                return Ok(());
            }
            pause(Duration::from_millis(10));
        }
        Err(format!("nothing answers at {address}").into())
    }

    /// CPU time used so far.
    pub(crate) fn cpu(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.0.id())).unwrap_or_default();
        let fields: Vec<&str> = stat.rsplit_once(')').map(|(_, rest)| rest.split_whitespace().collect()).unwrap_or_default();
        let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
        Duration::from_secs_f64((ticks(11) + ticks(12)) / TICKS_PER_SECOND)
    }

    /// The most memory that was resident at once.
    pub(crate) fn peak_mb(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kilobytes: f64 = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0.0);
        kilobytes / 1024.0
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

pub(crate) fn free_address() -> Result<String, Failure> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string())
}

#[expect(clippy::disallowed_methods, reason = "a benchmark looks now and then, so as not to disturb what it measures")]
pub(crate) fn pause(time: Duration) {
    std::thread::sleep(time);
}

fn is_ready(address: &str) -> Result<bool, Failure> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    stream.write_all(format!("GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer.starts_with("HTTP/1.1 200"))
}
