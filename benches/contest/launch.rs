//! How each contender is started, and started again in the same folder after it was killed.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_postgres::{Client, NoTls};

use crate::Failure;
use crate::contender::{Contender, Kind, peers};
use crate::load;
use crate::machine::{self, Running, Usage};
use crate::request::{Request, SECRET, Supply};
use crate::sink::free_address;

/// A contender that does not accept a webhook within this is given up.
const PATIENCE: Duration = Duration::from_secs(30);
/// Deliveries under way at a time, wherever that can be told.
const IN_FLIGHT: usize = 32;

/// A contender in a folder of its own.
pub(crate) struct Instance {
    contender: Contender,
    folder: PathBuf,
    sink: String,
    pub(crate) address: String,
    redis: String,
    /// The schema of this instance, where there is one.
    postgres: Option<String>,
    running: Vec<Running>,
}

impl Instance {
    /// Prepares its folder; nothing runs yet.
    pub(crate) fn new(contender: Contender, folder: &Path, sink: &str) -> Result<Self, Failure> {
        let folder = folder.to_owned();
        let (address, redis) = (free_address()?, free_address()?);
        let mut instance = Self { contender, folder, sink: sink.to_owned(), address, redis, postgres: None, running: Vec::new() };
        match contender.kind {
            Kind::SalebridgePostgres => {
                let url = instance.schema()?;
                instance.configure_salebridge(&url)?;
            }
            Kind::Salebridge => instance.configure_salebridge("sqlite:bench.db")?,
            Kind::Qhook => instance.fill_in(include_str!("../peers/qhook/default.yaml"), "qhook.yaml")?,
            Kind::QhookTuned => instance.fill_in(include_str!("../peers/qhook/tuned.yaml"), "qhook.yaml")?,
            Kind::QhookTunedLog => {
                // The mode is kept in the file; qhook has no setting for it.
                let file = rusqlite::Connection::open(instance.folder.join("qhook.db"))?;
                file.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
                instance.fill_in(include_str!("../peers/qhook/tuned.yaml"), "qhook.yaml")?;
            }
            Kind::Webhook => instance.fill_in(include_str!("../peers/webhook/hooks.json"), "hooks.json")?,
            Kind::Floor | Kind::Express | Kind::FastifyAlways | Kind::FastifyEverySecond | Kind::FastApi => {}
        }
        Ok(instance)
    }

    /// Starts all its processes, and waits until it accepts a webhook of this supply. Answers with the time that took and the
    /// webhook.
    pub(crate) fn start(&mut self, supply: &Supply) -> Result<(Duration, Arc<Request>), Failure> {
        let started = Instant::now();
        let log = self.folder.join("log");
        for mut command in self.commands()? {
            self.running.push(Running::start(command.current_dir(&self.folder), &log)?);
        }
        let request = supply.take();
        while started.elapsed() < PATIENCE {
            if !load::send(&self.address, &[Arc::clone(&request)])?.is_empty() {
                return Ok((started.elapsed(), request));
            }
            if self.running.iter_mut().any(Running::has_ended) {
                break;
            }
            machine::pause(Duration::from_millis(3));
        }
        let log = std::fs::read_to_string(log).unwrap_or_default();
        let last: Vec<&str> = log.lines().rev().take(5).collect();
        Err(format!(
            "{} does not come up; the end of its log: {}",
            self.contender.title,
            last.into_iter().rev().collect::<Vec<_>>().join(" | ")
        )
        .into())
    }

    /// Kills all its processes at once, as `kill -9` does. (PostgreSQL is another machine's as a rule, and lives on.)
    pub(crate) fn kill(&mut self) {
        self.running.clear();
    }

    fn roots(&self) -> Vec<u32> {
        let mut roots: Vec<u32> = self.running.iter().map(Running::id).collect();
        roots.extend(self.postgres.as_ref().and_then(|_| postmaster()));
        roots
    }

    pub(crate) fn usage(&self) -> Usage {
        machine::usage(&self.roots())
    }

    pub(crate) fn peak_mb(&self) -> f64 {
        let own: Vec<u32> = self.running.iter().map(Running::id).collect();
        let database = self.postgres.as_ref().and_then(|_| postmaster());
        machine::peak_mb(&own) + database.map_or(0.0, |id| machine::proportional_mb(&[id]))
    }

    /// So many webhooks are acknowledged and not yet mapped and counted. `None` of those who do nothing of the kind.
    pub(crate) fn uncounted(&self) -> Result<Option<u64>, Failure> {
        if self.contender.kind == Kind::Salebridge {
            let file =
                rusqlite::Connection::open_with_flags(self.folder.join("bench.db"), rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY)?;
            file.busy_timeout(PATIENCE)?;
            let sql = "SELECT COALESCE(MAX(id), 0) - (SELECT settled_through FROM progress) FROM inbox";
            return Ok(Some(file.query_row(sql, [], |row| row.get(0))?));
        }
        let Some(schema) = &self.postgres else { return Ok(None) };
        let server = std::env::var("SALEBRIDGE_TEST_POSTGRES")?;
        let count: i64 = asked(&server, &format!("SELECT COUNT(*) FROM {schema}.unsettled"))?;
        Ok(Some(u64::try_from(count)?))
    }

    /// Whether nothing of that is left. Of a database it asks for the newest row only, which costs next to nothing.
    pub(crate) fn is_counted(&self) -> Result<bool, Failure> {
        let Some(schema) = &self.postgres else { return Ok(self.uncounted()?.is_none_or(|uncounted| uncounted == 0)) };
        let server = std::env::var("SALEBRIDGE_TEST_POSTGRES")?;
        Ok(asked(&server, &format!("SELECT COALESCE(MAX(request), 0) FROM {schema}.unsettled"))? == 0)
    }

    fn commands(&self) -> Result<Vec<Command>, Failure> {
        let (host, port) = self.address.split_once(':').ok_or("the address has no port")?;
        let redis_port = self.redis.split_once(':').ok_or("the address has no port")?.1;
        let peer = |program: &Path, arguments: &[&Path]| {
            let mut command = Command::new(program);
            command.args(arguments).env("NODE_ENV", "production");
            command.envs([("PEER_HOST", host), ("PEER_PORT", port), ("PEER_SECRET", SECRET), ("PEER_SINK", &self.sink)]);
            command.env("PEER_STORE", self.folder.join("peer.db")).env("PEER_REDIS_PORT", redis_port);
            command
        };
        let node = |file: &str| peer(Path::new("node"), &[&peers().join(file)]);
        let redis = |policy: &str| {
            let mut command = Command::new("redis-server");
            command.args([
                "--bind",
                "127.0.0.1",
                "--port",
                redis_port,
                "--save",
                "",
                "--appendonly",
                "yes",
                "--appendfsync",
                policy,
            ]);
            command
        };
        Ok(match self.contender.kind {
            Kind::Floor => {
                let mut command = Command::new(std::env::current_exe()?);
                command.args(["floor", &self.address, &self.contender.workers.to_string()]);
                vec![command]
            }
            Kind::Salebridge | Kind::SalebridgePostgres => {
                let mut command = Command::new(env!("CARGO_BIN_EXE_salebridge"));
                command.args(["--config", "config.toml", "serve"]).env("SALEBRIDGE_LOG", "error");
                vec![command]
            }
            Kind::Qhook | Kind::QhookTuned | Kind::QhookTunedLog => {
                let mut command = Command::new(peers().join("bin/qhook"));
                command.args(["start", "--config", "qhook.yaml"]).env("RUST_LOG", "error");
                vec![command]
            }
            Kind::Express => vec![node("express/server.js")],
            Kind::FastifyAlways => vec![redis("always"), node("fastify/server.js"), node("fastify/worker.js")],
            Kind::FastifyEverySecond => vec![redis("everysec"), node("fastify/server.js"), node("fastify/worker.js")],
            Kind::FastApi => {
                let (home, python) = (peers().join("fastapi"), peers().join("fastapi/venv/bin/python"));
                let uvicorn = ["-m", "uvicorn", "server:app", "--no-access-log", "--log-level", "error", "--loop", "uvloop"];
                let mut server = peer(&python, &uvicorn.map(Path::new));
                server.args(["--host", host, "--port", port, "--app-dir"]).arg(&home);
                vec![server]
            }
            Kind::Webhook => {
                let mut command = Command::new("webhook");
                command.args(["-hooks", "hooks.json", "-ip", host, "-port", port]);
                vec![command]
            }
        })
    }

    fn configure_salebridge(&self, store: &str) -> Result<(), Failure> {
        let (address, sink) = (&self.address, &self.sink);
        let text = format!(
            "[server]\nlisten = \"{address}\"\n[store]\nurl = \"{store}\"\n\
             [[sources]]\nname = \"stripe\"\npack = \"stripe\"\nsecrets = [\"{SECRET}\"]\n\
             [[upstreams]]\nname = \"sink\"\ntemplate = \"webhook\"\nbase_url = \"{sink}\"\n\
             signing_secrets = [\"whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\"]\n\
             requests_per_minute = 6000000\nmax_in_flight = {IN_FLIGHT}\n\
             [upstreams.retry]\nfirst_delay_secs = 1\nlongest_delay_secs = 60\n"
        );
        Ok(std::fs::write(self.folder.join("config.toml"), text)?)
    }

    fn fill_in(&self, template: &str, name: &str) -> Result<(), Failure> {
        let port = self.address.split_once(':').ok_or("the address has no port")?.1;
        let folder = self.folder.display().to_string();
        let text = template
            .replace("@PORT@", port)
            .replace("@SECRET@", SECRET)
            .replace("@SINK@", &self.sink)
            .replace("@FOLDER@", &folder);
        Ok(std::fs::write(self.folder.join(name), text)?)
    }

    /// Makes a schema of its own; answers with the URL that leads into it.
    fn schema(&mut self) -> Result<String, Failure> {
        let server = std::env::var("SALEBRIDGE_TEST_POSTGRES")?;
        let schema = format!("bench_{}", self.address.rsplit(':').next().unwrap_or_default());
        sql(&server, &format!("DROP SCHEMA IF EXISTS {schema} CASCADE; CREATE SCHEMA {schema}"))?;
        let url = format!("{server}?options=-csearch_path%3D{schema}");
        self.postgres = Some(schema);
        Ok(url)
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.kill();
        if let (Some(schema), Ok(server)) = (&self.postgres, std::env::var("SALEBRIDGE_TEST_POSTGRES")) {
            drop(sql(&server, &format!("DROP SCHEMA {schema} CASCADE; CHECKPOINT")));
        }
    }
}

fn sql(server: &str, text: &str) -> Result<(), Failure> {
    with_client(server, async |client| Ok(client.batch_execute(text).await?))
}

/// The one number that a query answers.
fn asked(server: &str, query: &str) -> Result<i64, Failure> {
    with_client(server, async |client| Ok(client.query_one(query, &[]).await?.get(0)))
}

fn with_client<T>(server: &str, ask: impl AsyncFnOnce(&Client) -> Result<T, Failure>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (client, connection) = tokio_postgres::connect(server, NoTls).await?;
        tokio::spawn(connection);
        ask(&client).await
    })
}

/// The throw-away server's first process.
fn postmaster() -> Option<u32> {
    let folder = std::env::var("SALEBRIDGE_TEST_POSTGRES_FOLDER").ok()?;
    std::fs::read_to_string(Path::new(&folder).join("data/postmaster.pid")).ok()?.lines().next()?.parse().ok()
}
