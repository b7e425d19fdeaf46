//! The ledger without doors and without upstreams: webhooks are signed, verified, stored and settled; what is due can be sent to
//! nobody. A restart closes the store and opens it again.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use salebridge::app;
use salebridge::attribute::Rules;
use salebridge::domain::{AttemptOutcome, DeliveryState, Headers, Secret, Timestamp};
use salebridge::pack::{Folder, Pack, Source};
use salebridge::pipeline::{Pipeline, Step};
use salebridge::remap::{Outcome, Remapper};
use salebridge::store::{Access, Appended, Attempt, Lease, Past, Place, SaleView, Sqlite, Store};
use serde_json::Value;

use super::{database, webhooks};

/// A ledger that is stepped by hand.
pub(crate) struct Desk {
    pub(crate) sources: Arc<HashMap<String, Arc<Source>>>,
    pub(crate) rules: Rules,
    pub(crate) now: Timestamp,
    store: Option<Arc<dyn Store>>,
    pub(crate) place: Place,
    pub(crate) path: PathBuf,
    _folder: tempfile::TempDir,
}

/// An empty store, made once: migrations are no part of what these tests are about.
static EMPTY: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("empty.db");
    drop(Sqlite::open(&path, Access::Scratch, 16).unwrap());
    rusqlite::Connection::open(&path).unwrap().pragma_update(None, "journal_mode", "DELETE").unwrap();
    std::fs::read(&path).unwrap()
});

/// A configuration with a source for each of some packs, and `more` lines of it.
pub(crate) fn configured(more: &str) -> (Arc<HashMap<String, Arc<Source>>>, Rules) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.toml");
    std::fs::write(&path, super::configuration("127.0.0.1:0", "http://127.0.0.1:9", more)).unwrap();
    let checked = app::load(&path).unwrap_or_else(|faults| panic!("{faults}"));
    (checked.sources, checked.rules)
}

/// The pack of a folder below `tests/it/fixtures`, as a source of its own name.
pub(crate) fn fixture(name: &str, more: &str) -> (Arc<HashMap<String, Arc<Source>>>, Rules) {
    let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/fixtures");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.toml");
    let text = format!(
        "pack_dirs = [\"{fixtures}/{name}\"]\n[[sources]]\nname = \"{name}\"\npack = \"{name}\"\nsecrets = [\"{}\"]\n{more}\n",
        webhooks::SECRET
    );
    std::fs::write(&path, text).unwrap();
    let checked = app::load(&path).unwrap_or_else(|faults| panic!("{faults}"));
    (checked.sources, checked.rules)
}

/// A minute's lease of all that is due for an upstream that knows a repeat and limits nothing.
pub(crate) fn lease(upstream: &str, now: Timestamp) -> Lease {
    Lease {
        upstream: upstream.into(),
        now,
        until: now + Duration::from_secs(60),
        limit: 1000,
        held: HashSet::new(),
        counts_repeats: false,
        counts_repeated_adjustments: false,
        window: None,
        requests_per_minute: 6_000_000,
        requests_per_adjustment: 1,
    }
}

impl Desk {
    pub(crate) fn new(configured: (Arc<HashMap<String, Arc<Source>>>, Rules)) -> Self {
        Self::made(configured, database::is_shared())
    }

    /// As [`Desk::new`], but in a file, whatever the other tests run against.
    pub(crate) fn in_a_file(configured: (Arc<HashMap<String, Arc<Source>>>, Rules)) -> Self {
        Self::made(configured, false)
    }

    fn made((sources, rules): (Arc<HashMap<String, Arc<Source>>>, Rules), is_shared: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("desk.db");
        if !is_shared {
            std::fs::write(&path, &*EMPTY).unwrap();
        }
        let place = if is_shared { database::fresh(&path) } else { Place::Sqlite(path.clone()) };
        let mut desk = Self { sources, rules, now: super::START.parse().unwrap(), store: None, place, path, _folder: folder };
        desk.restart();
        desk
    }

    /// A ledger for the pack that tells all there is to tell of money.
    pub(crate) fn of_money(more: &str) -> Self {
        Self::new(fixture("money", more))
    }

    /// Where the store is, as a configuration says it.
    pub(crate) fn store_url(&self) -> String {
        match &self.place {
            Place::Sqlite(path) => format!("sqlite:{}", path.display()),
            Place::Postgres { url, .. } => url.expose().to_owned(),
        }
    }

    pub(crate) fn store(&self) -> &Arc<dyn Store> {
        self.store.as_ref().unwrap()
    }

    /// Ends the process, as it were, and starts another on the same store.
    pub(crate) fn restart(&mut self) {
        self.store = None;
        self.store = Some(self.place.open(Access::Scratch, 1024).unwrap());
    }

    /// Ends the process, as it were.
    pub(crate) fn closes(&mut self) {
        self.store = None;
    }

    /// Goes on in the database at `url`.
    pub(crate) fn moves_to(&mut self, url: &str) {
        self.place = Place::Postgres { url: Secret::new(url), connections: 4 };
        self.restart();
    }

    /// Goes on with a store that an older version wrote, as SQL.
    pub(crate) fn replace_store(&mut self, sql: &str, layout: usize) {
        self.store = None;
        std::fs::remove_file(&self.path).unwrap();
        let connection = rusqlite::Connection::open(&self.path).unwrap();
        connection.execute_batch(sql).unwrap();
        connection.pragma_update(None, "user_version", layout).unwrap();
        drop(connection);
        self.restart();
        self.now = "2026-11-25T00:00:00Z".parse().unwrap();
    }

    /// The same pack, mended or broken.
    pub(crate) fn repack(&mut self, source: &str, change: impl Fn(String) -> String) {
        let folder = tempfile::tempdir().unwrap();
        let old = &self.sources[source];
        let target = folder.path().join(old.pack.name());
        std::fs::create_dir(&target).unwrap();
        let text = old.pack.folder.text("pack.toml").unwrap().to_owned();
        let changed = change(text.clone());
        assert_ne!(text, changed, "the pack is not changed at all");
        std::fs::write(target.join("pack.toml"), changed).unwrap();
        let pack = Arc::new(Pack::load(Folder::read(&target).unwrap()).unwrap_or_else(|faults| panic!("{faults}")));
        let secrets = salebridge::verify::Secrets { unnamed: vec![Secret::new(webhooks::SECRET)], ..Default::default() };
        let circumstances = salebridge::pack::Circumstances { secrets, ..Default::default() };
        let mended = Source::plain(&pack, circumstances).unwrap();
        let mut sources: HashMap<String, Arc<Source>> = (*self.sources).clone();
        sources.insert(source.to_owned(), Arc::new(mended));
        self.sources = Arc::new(sources);
    }

    /// A webhook arrives, signed now.
    pub(crate) async fn receives(&self, source: &str, body: &Value, headers: &[(&str, &str)]) -> Appended {
        let source = &self.sources[source];
        let body = body.to_string();
        let mut all = Headers::default();
        for (name, value) in webhooks::signed(source, body.as_bytes(), headers, self.now) {
            all.add(&name, value);
        }
        let request = webhooks::request(source, all, body.as_bytes(), self.now);
        let fingerprint = source.fingerprint(&request);
        let verified = source.pack.scheme.verify(&source.keys, request, None).unwrap();
        self.store().append(verified, fingerprint).await.unwrap()
    }

    /// Settles all that has arrived, and every sale whose waiting is over.
    pub(crate) async fn settles(&self) {
        let pipeline = Pipeline::new(Arc::clone(self.store()), Arc::clone(&self.sources), self.rules.clone());
        while pipeline.step(self.now).await.unwrap() != Step::default() {}
    }

    /// A webhook arrives and is settled.
    pub(crate) async fn hears(&self, source: &str, body: &Value) {
        self.receives(source, body, &[]).await;
        self.settles().await;
    }

    pub(crate) async fn passes(&mut self, time: Duration) {
        self.now += time;
        self.settles().await;
    }

    /// Sends everything that is due; answers with the sales.
    pub(crate) async fn sends(&self) -> Vec<i64> {
        let mut sent = Vec::new();
        for route in &self.rules.upstreams {
            for claimed in self.store().claim(lease(&route.upstream, self.now)).await.unwrap().claimed {
                sent.push(claimed.sale);
                let attempt = Attempt {
                    delivery: claimed.id,
                    upstream: route.upstream.clone(),
                    lease: claimed.lease,
                    started_at: self.now,
                    finished_at: self.now,
                    outcome: AttemptOutcome::Delivered,
                    status: Some(200),
                    reason: "accepted".to_owned(),
                    request: String::new(),
                    answer: String::new(),
                    state: DeliveryState::Delivered,
                    due_at: self.now,
                    counts: true,
                    upstream_id: None,
                    adjustments: route.adjustments,
                };
                self.store().record(Arc::new(vec![attempt])).await.unwrap();
            }
        }
        sent
    }

    /// All sales but merged ones, oldest first.
    pub(crate) fn sales(&self) -> Vec<SaleView> {
        let mut sales = self.store().sales(100_000).unwrap();
        sales.retain(|sale| sale.merged_into.is_none());
        sales.reverse();
        sales
    }

    /// The only sale.
    pub(crate) fn sale(&self) -> SaleView {
        let sales = self.sales();
        assert_eq!(sales.len(), 1, "one sale expected: {sales:#?}");
        self.store().sale(sales[0].id).unwrap().unwrap()
    }

    fn remapper(&self) -> Remapper {
        Remapper::new(Arc::clone(self.store()), Arc::clone(&self.sources), self.rules.clone())
    }

    pub(crate) fn would_remap(&self) -> Outcome {
        self.remapper().dry_run(&Past::default(), self.now, |_| {}).unwrap()
    }

    pub(crate) async fn remaps(&self) -> Outcome {
        self.remapper().apply(&Past::default(), self.now, |_| {}).await.unwrap()
    }
}
