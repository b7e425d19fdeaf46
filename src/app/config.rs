//! The configuration file: read, filled in from the environment, checked as a whole. All faults are reported together.

use std::collections::HashMap;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;
use toml::{Table, Value};

use super::environment::Environment;
use super::fill_in::fill_in;
use super::written::Written;
use super::{log, retention};

use crate::attribute::Rules;
use crate::domain::{Faults, Secret};
use crate::forward::{Templates, Upstream, UpstreamConfig};
use crate::pack::{Registry, Source, SourceConfig};
use crate::store::{Access, Place};
use crate::{admin, alarm, attribute, document, receive, store, trace};

/// The newest format of `config.toml` that this program reads. It rises when a key is renamed or removed, or comes to mean something else.
pub const CONFIG_FORMAT: u32 = 1;

/// The file as written. Each part belongs to the module that uses it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Configuration", title = "config.toml", description = "The configuration of salebridge.")]
pub(super) struct Document {
    /// The format of the file. It is looked at before the rest.
    #[serde(rename = "format")]
    _format: Option<u32>,
    /// Where webhooks are taken, and how much at a time.
    #[serde(default)]
    server: receive::Config,
    /// The operator's listener: dashboard, admin API and `/metrics`. Left out, there is no such listener.
    admin: Option<admin::Config>,
    /// Where everything is kept.
    #[serde(default)]
    store: store::Config,
    /// Whom a sale is credited to, where its own events do not say so.
    #[serde(default)]
    attribution: attribute::Config,
    /// How long what nobody needs any more is kept. Sales, their keys, what was sent and used-up event ids are kept for ever.
    #[serde(default)]
    retention: retention::Config,
    /// How log lines look; how much is logged says the environment variable `SALEBRIDGE_LOG`.
    #[serde(default)]
    log: log::Config,
    /// What a person is told without looking. Left out, nobody is told.
    alarms: Option<alarm::Config>,
    /// Traces by OTLP over HTTP, for a build with `--features otlp` only.
    traces: Option<trace::Config>,
    /// What is kept of requests that were refused.
    #[serde(default)]
    refused: receive::RefusedConfig,
    /// Folders with packs of your own: one pack's folder, or a folder of packs. A pack of a shipped name takes its place.
    #[serde(default)]
    pack_dirs: Vec<PathBuf>,
    /// Folders with upstream templates of your own. One of a shipped name takes its place; an `answers.toml` that of the general rules.
    #[serde(default)]
    template_dirs: Vec<PathBuf>,
    /// One for each account of each provider; at least one is needed.
    #[serde(default)]
    sources: Vec<SourceConfig>,
    /// One for each place that sales go to.
    #[serde(default)]
    upstreams: Vec<UpstreamConfig>,
}

/// A configuration in which everything was found to be right.
#[derive(Debug)]
pub struct Checked {
    /// The public listener.
    pub server: receive::Config,
    /// The operator's listener, where one is wanted.
    pub admin: Option<admin::Config>,
    /// Where everything is kept.
    pub store: Place,
    /// For what a server opens that.
    pub access: Access,
    /// The sources, by name.
    pub sources: Arc<HashMap<String, Arc<Source>>>,
    /// The upstreams, in the order of the file.
    pub upstreams: Vec<Arc<Upstream>>,
    /// What the ledger needs to know.
    pub rules: Rules,
    /// How long what nobody needs any more is kept.
    pub retention: retention::Config,
    /// How log lines look.
    pub log: log::Config,
    /// Where alarms are sent, where they are wanted.
    pub alarms: Option<alarm::Config>,
    /// Where traces are sent, where they are wanted.
    pub traces: Option<trace::Config>,
    /// What is kept of refused requests.
    pub refused: receive::RefusedConfig,
    /// The certificate of the public listener, where it speaks TLS.
    pub certificate: Option<receive::Pair>,
    /// The file, as the operator would name it.
    pub(super) file: String,
    /// What was written, so that it can be said what is changed.
    pub(super) written: Written,
}

impl Checked {
    /// What this bridge is called where it speaks for itself: how the internet reaches it, or where it listens.
    pub fn bridge_name(&self) -> &str {
        let url = self.server.public_url.as_deref().unwrap_or(&self.server.listen);
        url.split_once("://").map_or(url, |(_, rest)| rest).trim_end_matches('/')
    }
}

/// Reads and checks a configuration file. Paths in it are relative to its own folder.
///
/// # Errors
/// Every fault, with file and key.
pub fn load(path: &Path) -> Result<Checked, Faults> {
    load_with(path, &Environment::of_process()?)
}

/// As [`load`], in an environment of the caller's.
///
/// # Errors
/// Every fault, with file and key.
pub fn load_with(path: &Path, environment: &Environment) -> Result<Checked, Faults> {
    load_table(read(path)?, path, environment)
}

/// Checks the text of a configuration file that is not written yet; `path` is where it will stand.
///
/// # Errors
/// Every fault, with file and key.
pub fn load_text(text: &str, path: &Path, environment: &Environment) -> Result<Checked, Faults> {
    load_table(document::parse(text, &path.display().to_string())?, path, environment)
}

fn load_table(mut table: Table, path: &Path, environment: &Environment) -> Result<Checked, Faults> {
    let file = path.display().to_string();
    let folder = folder_of(path);
    let mut faults = Faults::default();
    fill_in(&mut table, &folder, environment, &file, &mut faults);
    let written = Written::of(&table);
    let (document, found) = document::read_on::<Document>(table, &file);
    faults.0.extend(found.0);
    let Some(document) = document else { return Err(faults) };
    let mut meaning = Faults::default();
    let checked = Checked { written, ..check(document, &folder, &file, &mut meaning) };
    // What stands at a faulty key is made up, so nothing more is said about it.
    let is_new = |key: &str| !faults.0.iter().any(|fault| fault.key == key || fault.key.starts_with(&format!("{key}[")));
    let more: Vec<_> = meaning.0.into_iter().filter(|fault| is_new(&fault.key)).collect();
    faults.0.extend(more);
    faults.or(checked)
}

/// The packs that a configuration knows: those in the binary and in its `pack_dirs`, if there is such a file at all.
///
/// # Errors
/// Every fault.
pub fn packs(path: &Path) -> Result<Registry, Faults> {
    if !path.exists() {
        return Registry::load(&[]);
    }
    Registry::load(&dirs_of(&read(path)?, "pack_dirs", path))
}

fn dirs_of(table: &Table, key: &str, path: &Path) -> Vec<PathBuf> {
    let folder = folder_of(path);
    let entries = table.get(key).and_then(Value::as_array).into_iter().flatten();
    entries.filter_map(Value::as_str).map(|dir| folder.join(dir)).collect()
}

/// The templates that a configuration knows: those in the binary and in its `template_dirs`, if there is such a file at all.
///
/// # Errors
/// Every fault.
pub fn templates(path: &Path) -> Result<Templates, Faults> {
    if !path.exists() {
        return Templates::load(&[]);
    }
    Templates::load(&dirs_of(&read(path)?, "template_dirs", path))
}

/// The upstreams of a configuration, for commands that need no secret of a source.
///
/// # Errors
/// Every fault of the upstreams.
pub fn upstreams(path: &Path) -> Result<Vec<Arc<Upstream>>, Faults> {
    let file = path.display().to_string();
    let mut faults = Faults::default();
    let mut table = read(path)?;
    let dirs = dirs_of(&table, "template_dirs", path);
    let entries = table.get("sources").and_then(Value::as_array).cloned().unwrap_or_default();
    let names: Vec<&str> = entries.iter().filter_map(|source| source.get("name")?.as_str()).collect();
    let mut only = Table::new();
    if let Some(upstreams) = table.remove("upstreams") {
        only.insert("upstreams".to_owned(), upstreams);
    }
    fill_in(&mut only, &folder_of(path), &Environment::of_process()?, &file, &mut faults);
    let (document, found) = document::read_on::<Document>(only, &file);
    faults.0.extend(found.0);
    let Some(document) = document else { return Err(faults) };
    if !faults.0.is_empty() {
        return Err(faults);
    }
    let upstreams = check_upstreams(&document.upstreams, &dirs, &names, &file, &mut faults);
    faults.or(upstreams)
}

/// The names of a configuration's sources, for commands that need no secret of them.
///
/// # Errors
/// The file cannot be read.
pub fn source_names(path: &Path) -> Result<Vec<String>, Faults> {
    let table = read(path)?;
    let entries = table.get("sources").and_then(Value::as_array).into_iter().flatten();
    Ok(entries.filter_map(|source| Some(source.get("name")?.as_str()?.to_owned())).collect())
}

/// The store of a configuration, for commands that only look at it and need no secret.
///
/// # Errors
/// The fault of the file or of `store.url`.
pub fn store(path: &Path) -> Result<Place, Faults> {
    let document = only("store", path)?;
    document.store.place(&folder_of(path)).map_err(|(key, cause)| {
        let mut faults = Faults::default();
        faults.add(&path.display().to_string(), key, cause);
        faults
    })
}

/// The operator's listener of a configuration, where it has one, for commands that ask the running bridge: whatever else is wrong
/// in the file.
///
/// # Errors
/// The fault of the file or of `[admin]`.
pub fn admin(path: &Path) -> Result<Option<admin::Config>, Faults> {
    only("admin", path).map(|document| document.admin)
}

/// The public listener of a configuration, for commands that only ask whether it answers and need no secret.
///
/// # Errors
/// The fault of the file or of its `[server]`.
pub fn server(path: &Path) -> Result<receive::Config, Faults> {
    only("server", path).map(|document| document.server)
}

/// A configuration of which one table was read and nothing else was looked at.
fn only(name: &str, path: &Path) -> Result<Document, Faults> {
    let file = path.display().to_string();
    let mut table = Table::new();
    if let Some(part) = read(path)?.remove(name) {
        table.insert(name.to_owned(), part);
    }
    let mut faults = Faults::default();
    fill_in(&mut table, &folder_of(path), &Environment::of_process()?, &file, &mut faults);
    document::read_table(faults.or(table)?, &file)
}

fn read(path: &Path) -> Result<Table, Faults> {
    let file = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|error| {
        let mut faults = Faults::default();
        let hint = "let `salebridge init` write one, start from config.example.toml, or name another file with --config";
        faults.add(&file, "", format!("cannot be read: {error}; {hint}"));
        faults
    })?;
    let table = document::parse(&text, &file)?;
    document::check_format(&table, "format", CONFIG_FORMAT, &file)?;
    Ok(table)
}

fn folder_of(path: &Path) -> PathBuf {
    path.parent().map(Path::to_path_buf).unwrap_or_default()
}

fn check(document: Document, folder: &Path, file: &str, faults: &mut Faults) -> Checked {
    check_server(&document.server, file, faults);
    let certificate = check_tls(&document.server, folder, file, faults);
    let admin = document.admin.inspect(|admin| {
        check_admin(&admin.listen, admin.token.as_ref(), file, faults);
        if admin.listen == document.server.listen && !admin.listen.ends_with(":0") {
            faults.add(file, "admin.listen", "is server.listen as well: the operator's listener is never the public one");
        }
        if admin.public_url.as_ref().is_some_and(|url| !is_url(url)) {
            faults.add(file, "admin.public_url", "must be a URL such as https://sales.example.com");
        }
    });
    let access = document.store.access();
    let store = document.store.place(folder).unwrap_or_else(|(key, cause)| {
        faults.add(file, key, cause);
        Place::Sqlite(PathBuf::new())
    });
    let dirs = check_dirs(&document.pack_dirs, "pack_dirs", folder, file, faults);
    let names: Vec<&str> = document.sources.iter().map(|source| source.pack.as_str()).collect();
    let packs = Registry::load_named(&names, &dirs).unwrap_or_else(|found| {
        faults.0.extend(found.0);
        Registry::load_named(&names, &[]).unwrap_or_default()
    });
    if let Place::Sqlite(path) = &store
        && let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty() && !folder.is_dir())
    {
        faults.add(file, "store.url", format!("the folder {} is not there", folder.display()));
    }
    if document.sources.is_empty() {
        faults.add(file, "sources", "there is none: a bridge needs at least one [[sources]]");
    }
    let mut sources = HashMap::new();
    for (index, config) in document.sources.iter().enumerate() {
        let key = format!("sources[{index}]");
        if document.sources[..index].iter().any(|other| other.name == config.name) {
            faults.add(file, format!("{key}.name"), format!("{} is the name of another source as well", config.name));
        }
        match Source::new(config, &packs, document.server.public_url.as_deref(), file, &key) {
            Ok(source) => drop(sources.insert(config.name.clone(), Arc::new(source))),
            Err(found) => faults.0.extend(found.0),
        }
    }
    check_accounts(&sources, file, faults);
    document.retention.check(file, faults);
    if let Some(alarms) = &document.alarms {
        alarms.check(file, faults);
    }
    if let Some(traces) = &document.traces {
        traces.check(file, faults);
    }
    if !(1..=1000).contains(&document.refused.per_cause) {
        faults.add(file, "refused.per_cause", "must be between 1 and 1000; keep = false keeps none");
    }
    let template_dirs = check_dirs(&document.template_dirs, "template_dirs", folder, file, faults);
    let names: Vec<&str> = document.sources.iter().map(|source| source.name.as_str()).collect();
    let upstreams = check_upstreams(&document.upstreams, &template_dirs, &names, file, faults);
    let rules = Rules::new(&document.attribution, upstreams.iter().map(|upstream| upstream.route()).collect());
    let Document { server, retention, refused, log, alarms, traces, .. } = document;
    Checked {
        server,
        admin,
        store,
        access,
        sources: Arc::new(sources),
        upstreams,
        rules,
        retention,
        refused,
        log,
        alarms,
        traces,
        certificate,
        file: file.to_owned(),
        written: Written::default(),
    }
}

fn check_server(server: &receive::Config, file: &str, faults: &mut Faults) {
    check_address(&server.listen, "server.listen", file, faults);
    let limits = [
        ("body_limit_bytes", server.body_limit_bytes, 1024, 64 * 1024 * 1024),
        ("request_timeout_secs", usize::try_from(server.request_timeout_secs).unwrap_or(usize::MAX), 1, 600),
        ("max_connections", server.max_connections, 1, 1_000_000),
        ("queue_limit", server.queue_limit, 1, 1_000_000),
        ("memory_limit_bytes", server.memory_limit_bytes, server.body_limit_bytes, usize::MAX),
        ("workers", server.workers.unwrap_or(1), 1, 256),
        ("stop_timeout_secs", usize::try_from(server.stop_timeout_secs).unwrap_or(usize::MAX), 1, 3600),
    ];
    for (name, value, least, most) in limits {
        if value < least || value > most {
            faults.add(file, format!("server.{name}"), format!("must be between {least} and {most}"));
        }
    }
    if server.public_url.as_ref().is_some_and(|url| !is_url(url)) {
        faults.add(file, "server.public_url", "must be a URL such as https://hooks.example.com");
    }
}

fn check_tls(server: &receive::Config, folder: &Path, file: &str, faults: &mut Faults) -> Option<receive::Pair> {
    match receive::Pair::read(&server.tls.as_ref()?.within(folder)) {
        Ok(pair) => Some(pair),
        Err((option, cause)) => {
            faults.add(file, format!("server.tls.{option}"), cause);
            None
        }
    }
}

fn is_url(text: &str) -> bool {
    text.starts_with("https://") || text.starts_with("http://")
}

fn check_admin(listen: &str, token: Option<&Secret>, file: &str, faults: &mut Faults) {
    let is_own = check_address(listen, "admin.listen", file, faults)
        .is_some_and(|addresses| addresses.iter().all(|address| address.ip().is_loopback()));
    match token {
        Some(token) if token.expose().len() < 16 => {
            faults.add(file, "admin.token", "must be at least 16 characters that nobody can guess")
        }
        None if !is_own => {
            faults.add(file, "admin.token", "is missing: without it only an address of this machine itself may listen")
        }
        Some(_) | None => {}
    }
}

fn check_address(listen: &str, key: &str, file: &str, faults: &mut Faults) -> Option<Vec<SocketAddr>> {
    match listen.to_socket_addrs() {
        Ok(addresses) => Some(addresses.collect()),
        Err(_) => {
            faults.add(file, key, format!("{listen} is not an address such as 127.0.0.1:8080"));
            None
        }
    }
}

/// Ids of two providers must never meet in one account: equal numbers would become one sale.
fn check_accounts(sources: &HashMap<String, Arc<Source>>, file: &str, faults: &mut Faults) {
    let mut packs: HashMap<&str, &Source> = HashMap::new();
    for source in sources.values() {
        let account: &str = &source.mapping.context().account;
        match packs.get(account) {
            Some(other) if other.pack.name() != source.pack.name() => {
                let cause = format!("{} and {} share the account {account}, but use different packs", other.name, source.name);
                faults.add(file, "sources", cause);
            }
            Some(_) => {}
            None => drop(packs.insert(account, source)),
        }
    }
}

fn check_dirs(dirs: &[PathBuf], key: &str, folder: &Path, file: &str, faults: &mut Faults) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for (index, dir) in dirs.iter().enumerate() {
        let dir = folder.join(dir);
        if dir.is_dir() {
            found.push(dir);
        } else {
            faults.add(file, format!("{key}[{index}]"), format!("{} is not a folder", dir.display()));
        }
    }
    found
}

fn check_upstreams(
    configs: &[UpstreamConfig],
    template_dirs: &[PathBuf],
    sources: &[&str],
    file: &str,
    faults: &mut Faults,
) -> Vec<Arc<Upstream>> {
    let templates = match Templates::load(template_dirs) {
        Ok(templates) => templates,
        Err(found) => {
            faults.0.extend(found.0);
            return Vec::new();
        }
    };
    let mut upstreams: Vec<Arc<Upstream>> = Vec::new();
    for (index, config) in configs.iter().enumerate() {
        let key = format!("upstreams[{index}]");
        if configs[..index].iter().any(|other| other.name == config.name) {
            faults.add(file, format!("{key}.name"), format!("{} is the name of another upstream as well", config.name));
        }
        match Upstream::new(config, &templates, sources, file, &key) {
            Ok(upstream) => upstreams.push(Arc::new(upstream)),
            Err(found) => faults.0.extend(found.0),
        }
    }
    upstreams
}
