//! The real binary, as a process that may be killed, and a sink that records what it is sent.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

/// The binary under test.
pub(crate) const SALEBRIDGE: &str = env!("CARGO_BIN_EXE_salebridge");
/// Takes what stands at its standard input and output for the sockets that a service manager hands over, as public and admin.
const HAND_OVER: &str = "exec 3<&0 4>&1 </dev/null >/dev/null; \
    LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=public:admin exec \"$0\" \"$@\"";
/// Whatever takes longer than this has failed.
const PATIENCE: Duration = Duration::from_secs(30);

/// A bridge as an operator runs it. Killed when it goes out of scope.
pub(crate) struct Served {
    child: Child,
    config: PathBuf,
    log: PathBuf,
}

/// An upstream that accepts everything, or refuses everything where it is told to, and remembers the bodies.
pub(crate) struct Sink {
    pub(crate) address: String,
    memory: Arc<Memory>,
}

#[derive(Default)]
struct Memory {
    bodies: Mutex<Vec<String>>,
    refuses: AtomicBool,
}

impl Served {
    /// Starts the bridge of `folder/config.toml`, which listens on `address`, and waits until it is ready.
    pub(crate) fn start(folder: &Path, address: &str) -> Self {
        Self::start_with(folder, address, &[])
    }

    /// The same with more in its environment.
    pub(crate) fn start_with(folder: &Path, address: &str, environment: &[(&str, &str)]) -> Self {
        let (config, log) = (folder.join("config.toml"), folder.join("log"));
        let stderr = std::fs::OpenOptions::new().create(true).append(true).open(&log).unwrap();
        let mut command = Command::new(SALEBRIDGE);
        command
            .arg("--config")
            .arg(&config)
            .arg("serve")
            .env("SALEBRIDGE_LOG", "debug")
            .envs(environment.iter().copied())
            .stdout(Stdio::null())
            .stderr(stderr);
        let served = Self { child: command.spawn().unwrap(), config, log };
        wait_until("the bridge is ready", || get(address, "/readyz").is_some_and(|answer| answer.starts_with("HTTP/1.1 200")));
        served
    }

    /// Starts this binary with listening sockets that the test keeps, as a service manager does, without waiting until it is ready.
    pub(crate) fn start_on(binary: &str, folder: &Path, public: &TcpListener, admin: &TcpListener) -> Self {
        let (config, log) = (folder.join("config.toml"), folder.join("log"));
        let stderr = std::fs::OpenOptions::new().create(true).append(true).open(&log).unwrap();
        let handed = |listener: &TcpListener| Stdio::from(OwnedFd::from(listener.try_clone().unwrap()));
        let mut command = Command::new("sh");
        command.args(["-c", HAND_OVER, binary, "--config"]).arg(&config).arg("serve");
        let child = command.stdin(handed(public)).stdout(handed(admin)).stderr(stderr).spawn().unwrap();
        Self { child, config, log }
    }

    /// Runs a command on the same configuration.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        run(Some(&self.config), arguments)
    }

    /// SIGKILL: nothing is flushed, nothing is said.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Sends it a signal by name, such as STOP.
    pub(crate) fn signal(&self, name: &str) {
        assert!(Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status().unwrap().success());
    }

    /// The most memory that was resident at once, in megabytes.
    pub(crate) fn peak_mb(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
    }

    /// False once it has ended by itself.
    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// SIGTERM; answers with whether it ended well.
    pub(crate) fn stop(&mut self) -> bool {
        Command::new("kill").arg(self.child.id().to_string()).status().unwrap();
        self.child.wait().unwrap().success()
    }

    /// Runs a command on the same configuration and reads its JSON.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let output = run(Some(&self.config), &[arguments, &["--json"]].concat());
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
    }

    /// All that was logged so far.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Sink {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let memory = Arc::new(Memory::default());
        let kept = Arc::clone(&memory);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let kept = Arc::clone(&kept);
                // A bridge that is killed breaks its connections; the sink does not mind.
                std::thread::spawn(move || drop(accept(stream, &kept)));
            }
        });
        Self { address, memory }
    }

    /// From now on it refuses whatever it is sent, for good, or not any more.
    pub(crate) fn refuses(&self, refuses: bool) {
        self.memory.refuses.store(refuses, Ordering::SeqCst);
    }

    /// All that it was sent, accepted or not.
    pub(crate) fn bodies(&self) -> Vec<String> {
        self.memory.bodies.lock().unwrap().clone()
    }
}

fn accept(stream: TcpStream, memory: &Memory) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut writer = stream;
    while let Some(body) = read_body(&mut reader)? {
        memory.bodies.lock().unwrap().push(String::from_utf8(body).unwrap());
        let (status, answer) = match memory.refuses.load(Ordering::SeqCst) {
            true => ("422 Unprocessable Content", "{\"status\":false}"),
            false => ("200 OK", "{\"status\":true}"),
        };
        let length = answer.len();
        let answer = format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{answer}");
        writer.write_all(answer.as_bytes())?;
    }
    Ok(())
}

/// The body of the next request; `None` where there is none any more.
pub(crate) fn read_body(reader: &mut BufReader<TcpStream>) -> std::io::Result<Option<Vec<u8>>> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(Some(body))
}

/// Runs the binary to its end.
pub(crate) fn run(config: Option<&Path>, arguments: &[&str]) -> Output {
    let mut command = Command::new(SALEBRIDGE);
    if let Some(config) = config {
        command.arg("--config").arg(config);
    }
    command.args(arguments).env_remove("SALEBRIDGE_CONFIG").output().unwrap()
}

/// An address of this machine that is free now.
pub(crate) fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// Asks again and again, but not for ever.
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "in {PATIENCE:?} it did not come to pass that {what}");
        std::thread::yield_now();
    }
}

/// Posts over a connection of its own; `None` where it broke before the whole answer was there.
pub(crate) fn post(address: &str, path: &str, headers: &[(String, String)], body: &[u8]) -> Option<(u16, Value)> {
    let mut head = format!("POST {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    let answer = exchange(address, &[head.as_bytes(), b"\r\n", body].concat())?;
    let status = answer.split_whitespace().nth(1)?.parse().ok()?;
    let (_, body) = answer.split_once("\r\n\r\n")?;
    Some((status, serde_json::from_str(body).ok()?))
}

/// Gets over a connection of its own.
pub(crate) fn get(address: &str, path: &str) -> Option<String> {
    exchange(address, format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").as_bytes())
}

/// Sends bytes and reads until the other side closes.
pub(crate) fn exchange(address: &str, bytes: &[u8]) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    stream.write_all(bytes).ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    String::from_utf8(answer).ok()
}
