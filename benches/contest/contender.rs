//! The table of contenders: what each is, what it promises with its 200, and whether it is there.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::request::Scheme;

/// Who takes part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Floor,
    Salebridge,
    SalebridgePostgres,
    Qhook,
    QhookTuned,
    QhookTunedLog,
    Express,
    FastifyAlways,
    FastifyEverySecond,
    FastApi,
    Webhook,
}

/// One contender.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Contender {
    pub(crate) kind: Kind,
    /// As `--only` names it.
    pub(crate) name: &'static str,
    /// As the table names it.
    pub(crate) title: &'static str,
    /// What is certain once it has answered 200.
    pub(crate) promise: &'static str,
    /// Whether what it takes arrives at the sink.
    pub(crate) forwards: bool,
    /// More webhooks a second than it ever took: how many are signed beforehand for each second.
    pub(crate) at_most: usize,
    /// Of the floor: the workers on which it answers.
    pub(crate) workers: u8,
}

const STORED: &str = "stored, fsync";

/// In the order of the table.
pub(crate) const ALL: [Contender; 11] = [
    one(Kind::Floor, "floor", "floor: actix-web, reads and answers", "nothing", false, 4_096),
    one(Kind::Salebridge, "salebridge", "salebridge, SQLite", STORED, true, 70_000),
    one(Kind::SalebridgePostgres, "salebridge-postgres", "salebridge, PostgreSQL", STORED, true, 30_000),
    one(Kind::Qhook, "qhook", "qhook 0.6.1, as installed", STORED, true, 3_000),
    one(Kind::QhookTuned, "qhook-tuned", "qhook 0.6.1, tuned", STORED, true, 3_000),
    one(Kind::QhookTunedLog, "qhook-tuned-log", "qhook 0.6.1, tuned, write-ahead log", STORED, true, 3_000),
    one(Kind::Express, "express", "Express + stripe + better-sqlite3", STORED, true, 4_000),
    one(Kind::FastifyAlways, "fastify-always", "Fastify + BullMQ, Redis fsync always", "queued, fsync", true, 12_000),
    one(
        Kind::FastifyEverySecond,
        "fastify-everysec",
        "Fastify + BullMQ, Redis fsync each second",
        "queued, a second may be lost",
        true,
        12_000,
    ),
    one(Kind::FastApi, "fastapi", "FastAPI + stripe + sqlite3", STORED, true, 2_000),
    one(Kind::Webhook, "webhook", "Debian's webhook, runs /bin/true", "nothing stored", false, 15_000),
];

const fn one(
    kind: Kind,
    name: &'static str,
    title: &'static str,
    promise: &'static str,
    forwards: bool,
    at_most: usize,
) -> Contender {
    Contender { kind, name, title, promise, forwards, at_most, workers: 1 }
}

impl Contender {
    /// Where webhooks are sent.
    pub(crate) fn path(self) -> &'static str {
        match self.kind {
            Kind::Webhook => "/hooks/stripe",
            Kind::Floor
            | Kind::Salebridge
            | Kind::SalebridgePostgres
            | Kind::Qhook
            | Kind::QhookTuned
            | Kind::QhookTunedLog
            | Kind::Express
            | Kind::FastifyAlways
            | Kind::FastifyEverySecond
            | Kind::FastApi => "/webhooks/stripe",
        }
    }

    pub(crate) fn scheme(self) -> Scheme {
        if self.kind == Kind::Webhook { Scheme::Body } else { Scheme::Stripe }
    }

    /// Whether it checks signatures at all.
    pub(crate) fn verifies(self) -> bool {
        self.kind != Kind::Floor
    }

    /// Why it cannot take part here.
    pub(crate) fn missing(self) -> Option<String> {
        let needs: &[&str] = match self.kind {
            Kind::Floor | Kind::Salebridge => &[],
            Kind::SalebridgePostgres => {
                let reason = "there is no PostgreSQL: run it by scripts/with-postgres, as scripts/bench does";
                return std::env::var("SALEBRIDGE_TEST_POSTGRES").is_err().then(|| reason.to_owned());
            }
            Kind::Qhook | Kind::QhookTuned | Kind::QhookTunedLog => &["qhook"],
            Kind::Express => &["express"],
            Kind::FastifyAlways | Kind::FastifyEverySecond => &["fastify", "redis"],
            Kind::FastApi => &["fastapi"],
            Kind::Webhook => &["webhook"],
        };
        let reason = needs.iter().find_map(|need| std::fs::read_to_string(peers().join(format!("{need}.missing"))).ok());
        let never = needs.iter().find(|need| !peers().join(format!("{need}.log")).exists());
        let reason = reason.or_else(|| never.map(|need| format!("not installed: run scripts/peers {need}")));
        reason.map(|reason| reason.trim().to_owned())
    }

    /// What exactly was measured.
    pub(crate) fn version(self) -> String {
        let node = |modules: &[&str]| {
            let versions =
                modules.iter().map(|module| format!("{} {}", module.rsplit('/').next().unwrap_or(module), node_module(module)));
            format!("Node {}, {}", said("node", &["--version"]).trim_start_matches('v'), versions.collect::<Vec<_>>().join(", "))
        };
        match self.kind {
            Kind::Floor => format!("actix-web {}", locked("actix-web")),
            Kind::Salebridge => format!("salebridge {}", env!("CARGO_PKG_VERSION")),
            Kind::SalebridgePostgres => {
                format!(
                    "salebridge {}, PostgreSQL {}",
                    env!("CARGO_PKG_VERSION"),
                    said("psql", &["--version"]).split(' ').nth(2).unwrap_or("?")
                )
            }
            Kind::Qhook | Kind::QhookTuned | Kind::QhookTunedLog => {
                let installed = std::fs::read_to_string(peers().join(".crates.toml")).unwrap_or_default();
                let entry = installed.lines().find_map(|line| line.strip_prefix("\"qhook ")).unwrap_or("?");
                format!("qhook {}", entry.split(' ').next().unwrap_or("?"))
            }
            Kind::Express => node(&["express/express", "express/stripe", "express/better-sqlite3"]),
            Kind::FastifyAlways | Kind::FastifyEverySecond => {
                let redis = said("redis-server", &["--version"]);
                let redis = redis.split("v=").nth(1).and_then(|rest| rest.split(' ').next()).unwrap_or("?").to_owned();
                format!("{}, Redis {redis}", node(&["fastify/fastify", "fastify/bullmq", "fastify/stripe"]))
            }
            Kind::FastApi => {
                let python = said(&peers().join("fastapi/venv/bin/python").display().to_string(), &["--version"]);
                let pinned = std::fs::read_to_string(peers().join("fastapi/requirements.txt")).unwrap_or_default();
                let wanted = ["fastapi=", "uvicorn=", "uvloop=", "stripe="];
                let pinned = pinned.lines().filter(|line| wanted.iter().any(|name| line.starts_with(name)));
                format!("{python}, {}", pinned.map(|line| line.replace("==", " ")).collect::<Vec<_>>().join(", "))
            }
            Kind::Webhook => said("webhook", &["-version"]),
        }
    }
}

/// Where scripts/peers installs.
pub(crate) fn peers() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap_or(Path::new(".")).join("peers")
}

fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    output.map_or_else(|_| format!("{program} ?"), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The version of an installed module, given as PEER/MODULE.
fn node_module(module: &str) -> String {
    let (peer, name) = module.split_once('/').unwrap_or((module, module));
    let text =
        std::fs::read_to_string(peers().join(peer).join("node_modules").join(name).join("package.json")).unwrap_or_default();
    let value: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
    value["version"].as_str().unwrap_or("?").to_owned()
}

fn locked(name: &str) -> String {
    let lock = include_str!("../../Cargo.lock");
    let after = lock.split(&format!("name = \"{name}\"\nversion = \"")).nth(1).unwrap_or_default();
    after.split('"').next().unwrap_or("?").to_owned()
}
