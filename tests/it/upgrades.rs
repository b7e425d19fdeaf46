//! From one version to the next: stores of former layouts keep what they held, a way back is kept first, and what is too new is refused.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use salebridge::domain::Secret;
use salebridge::store::{Access, Appended, Error, Postgres, Sqlite, Store};
use serde_json::{Value, json};

use crate::harness::configuration;
use crate::harness::database;
use crate::harness::desk::{Desk, configured};
use crate::harness::process::{Served, free_address, run};
use crate::harness::webhooks::{stripe_checkout, who};

/// A store that a program of its time wrote, and what was in it: see scripts/store-fixtures.
struct Fixture {
    layout: usize,
    sql: String,
    held: Value,
}

fn fixtures(kind: &str) -> Vec<Fixture> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/fixtures/stores").join(kind);
    let mut found = Vec::new();
    for layout in 1.. {
        let Ok(sql) = std::fs::read_to_string(folder.join(format!("{layout:04}.sql"))) else { break };
        let held = std::fs::read_to_string(folder.join(format!("{layout:04}.json"))).unwrap();
        found.push(Fixture { layout, sql, held: serde_json::from_str(&held).unwrap() });
    }
    found
}

impl Fixture {
    /// The file as it was left, at `path`.
    fn write(&self, path: &Path) {
        let connection = rusqlite::Connection::open(path).unwrap();
        connection.execute_batch(&format!("PRAGMA journal_mode = WAL; {}", self.sql)).unwrap();
        assert_eq!(layout_of(path), self.layout);
    }

    fn list(&self, name: &str) -> Vec<&str> {
        self.held[name].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect()
    }
}

fn layout_of(path: &Path) -> usize {
    rusqlite::Connection::open(path).unwrap().pragma_query_value(None, "user_version", |row| row.get(0)).unwrap()
}

fn count(path: &Path, table: &str) -> Value {
    let sql = format!("SELECT COUNT(*) FROM {table}");
    rusqlite::Connection::open(path).unwrap().query_row(&sql, [], |row| row.get::<_, u64>(0)).unwrap().into()
}

/// What a store holds, in the words of the fixtures.
fn held(store: &dyn Store) -> (Value, Vec<String>, Vec<String>) {
    let mut sales = store.sales(1000).unwrap();
    sales.retain(|sale| sale.merged_into.is_none());
    sales.sort_by_key(|sale| sale.id);
    let line = |sale: &salebridge::store::SaleView| {
        let field = |name: &str| match sale.event.get(name) {
            Some(Value::String(text)) => text.clone(),
            Some(value) => value.to_string(),
            None => "-".to_owned(),
        };
        let [amount, currency, customer, click] = ["amount", "currency", "customerExternalId", "clickId"].map(field);
        format!("{} {} {amount} {currency} {customer} {click}", sale.id, sale.state)
    };
    let sales = sales.iter().map(line).collect();
    let mut deliveries = store.deliveries(1000).unwrap();
    deliveries.sort_by_key(|delivery| delivery.id);
    let line = |delivery: &salebridge::store::DeliveryView| {
        format!("{} of {} at {} {}", delivery.id, delivery.sale, delivery.upstream, delivery.state.as_str())
    };
    (store.requests(1000).unwrap().len().into(), sales, deliveries.iter().map(line).collect())
}

fn keeps(store: &dyn Store, fixture: &Fixture) {
    let layout = fixture.layout;
    let (requests, sales, deliveries) = held(store);
    assert_eq!(requests, fixture.held["requests"], "layout {layout}");
    assert_eq!(sales, fixture.list("sales"), "layout {layout}");
    assert_eq!(deliveries, fixture.list("deliveries"), "layout {layout}");
    let view = store.check().unwrap();
    assert!(view.findings.is_empty(), "layout {layout}: {view:#?}");
}

/// The bridge goes on: what was counted is known again, and something new is counted.
async fn goes_on(desk: &mut Desk, fixture: &Fixture) {
    let layout = fixture.layout;
    desk.now = "2026-12-01T00:00:00Z".parse().unwrap();
    let before = desk.sales().len();
    let first: Value = serde_json::from_str(fixture.held["first"].as_str().unwrap()).unwrap();
    assert_eq!(desk.receives("stripe", &first, &[]).await, Appended::Duplicate(1), "layout {layout}");
    let mut repeated = first.clone();
    repeated["pending_webhooks"] = 3.into();
    desk.hears("stripe", &repeated).await;
    assert_eq!(desk.sales().len(), before, "layout {layout}: the same event in other bytes");
    desk.hears("stripe", &stripe_checkout(777, &who("c-9", "user_9"))).await;
    let sales = desk.sales();
    assert_eq!((sales.len(), sales.last().unwrap().state.as_str()), (before + 1, "ready"), "layout {layout}");
    // A refund of what was counted then is taken off now, whether or not that program knew refunds.
    let refund = json!({
        "id": "evt_refund_9", "object": "event", "api_version": "2025-09-30.clover", "created": desk.now.as_second(), "livemode": true,
        "type": "refund.created", "data": {"object": {
            "id": "re_9", "object": "refund", "amount": 1000, "charge": "ch_2", "currency": "usd", "created": desk.now.as_second(),
            "payment_intent": "pi_2", "status": "succeeded", "metadata": {}
        }}
    });
    desk.hears("stripe", &refund).await;
    let dead = desk.sales().into_iter().find(|sale| sale.event["customerExternalId"] == "user_dead").unwrap();
    assert_eq!(dead.balance.left.to_string(), "2.34", "layout {layout}");
    let view = desk.store().check().unwrap();
    assert!(view.findings.is_empty(), "layout {layout}: {view:#?}");
}

#[test]
fn every_former_layout_has_a_store_of_its_time() {
    assert!(fixtures("sqlite").len() + 1 >= Sqlite::newest_layout(), "scripts/store-fixtures makes what is missing");
    assert!(fixtures("postgres").len() + 1 >= Postgres::newest_layout(), "scripts/store-fixtures makes what is missing");
    for fixture in fixtures("sqlite").iter().chain(&fixtures("postgres")) {
        let states: Vec<&str> = fixture.list("sales").iter().map(|line| line.split(' ').nth(1).unwrap()).collect();
        assert!(["waiting", "parked", "ready"].iter().all(|state| states.contains(state)), "{states:?}");
        let deliveries = fixture.list("deliveries").join("\n");
        assert!(["delivered", "due", "dead", "held"].iter().all(|state| deliveries.contains(state)), "{deliveries}");
    }
}

#[actix_web::test]
async fn a_file_of_each_former_layout_is_copied_first_and_keeps_what_it_held() {
    for fixture in fixtures("sqlite") {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.db");
        fixture.write(&path);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        let (identities, attempts) = (count(&path, "identities"), count(&path, "attempts"));
        assert_eq!((&identities, &attempts), (&fixture.held["identities"], &fixture.held["attempts"]));
        keeps(&Sqlite::open(&path, Access::Serve, 16).unwrap(), &fixture);
        assert_eq!((layout_of(&path), count(&path, "attempts")), (Sqlite::newest_layout(), attempts));
        let copies = Sqlite::copies(&path);
        if fixture.layout == Sqlite::newest_layout() {
            assert_eq!(copies, Vec::<PathBuf>::new(), "there is nothing to go back from");
        } else {
            let copy = folder.path().canonicalize().unwrap().join(format!("store.db.before-{:04}", fixture.layout + 1));
            assert_eq!(copies, std::slice::from_ref(&copy));
            assert_eq!(copy.metadata().unwrap().permissions().mode() & 0o777, 0o640, "as the file's");
            assert_eq!((layout_of(&copy), count(&copy, "identities")), (fixture.layout, identities));
            // It is a store like any other.
            let back = folder.path().join("back.db");
            std::fs::copy(&copy, &back).unwrap();
            keeps(&Sqlite::open(&back, Access::Scratch, 16).unwrap(), &fixture);
        }
        let mut desk = Desk::in_a_file(configured(""));
        desk.replace_store(&fixture.sql, fixture.layout);
        goes_on(&mut desk, &fixture).await;
    }
}

#[actix_web::test]
#[ignore = "needs a PostgreSQL server: scripts/with-postgres"]
async fn a_database_of_each_former_layout_keeps_what_it_held() {
    for fixture in fixtures("postgres") {
        let url = database::url().expect("scripts/with-postgres names the server");
        database::execute(&url, &fixture.sql);
        let view = Postgres::look_ahead(&Secret::new(url.clone())).unwrap();
        assert_eq!((view.layout, view.newest, view.obstacle()), (fixture.layout, Postgres::newest_layout(), None));
        keeps(&Postgres::open(&Secret::new(url.clone()), 2, Access::Serve, 16).unwrap(), &fixture);
        let mut desk = Desk::new(configured(""));
        desk.moves_to(&url);
        goes_on(&mut desk, &fixture).await;
    }
}

#[actix_web::test]
#[ignore = "needs a PostgreSQL server: scripts/with-postgres"]
async fn a_replica_of_an_older_version_is_not_ready_any_more_and_does_not_start_again() {
    let url = Secret::new(database::url().expect("scripts/with-postgres names the server"));
    let old = Postgres::open(&url, 2, Access::Serve, 16).unwrap();
    old.ready().await.unwrap();
    database::execute(url.expose(), "UPDATE layout SET version = version + 1");
    let refused = old.ready().await.unwrap_err().to_string();
    assert!(refused.contains("newer than this program"), "{refused}");
    for access in [Access::Serve, Access::Visit] {
        let refused = Postgres::open(&url, 2, access, 16).err().unwrap().to_string();
        assert!(refused.contains("newer than this program") && refused.contains("docs/upgrade.md"), "{refused}");
    }
    assert!(Postgres::look_ahead(&url).unwrap().obstacle().is_some());
}

#[test]
fn an_upgrade_that_is_begun_again_keeps_no_copy_twice_and_overwrites_none() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let fixture = fixtures("sqlite").remove(0);
    let begin = |more: &str| {
        for ending in ["", "-wal", "-shm"] {
            drop(std::fs::remove_file(folder.path().join(format!("store.db{ending}"))));
        }
        fixture.write(&path);
        rusqlite::Connection::open(&path).unwrap().execute_batch(more).unwrap();
        Sqlite::open(&path, Access::Serve, 16)
    };
    let names = || -> Vec<String> {
        let name = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
        Sqlite::copies(&path).iter().map(name).collect()
    };
    // The change fails, again and again: the table that it makes is there already.
    let stray = "CREATE TABLE hints (stray INTEGER)";
    for _ in 0..3 {
        let failed = begin(stray).err().unwrap();
        assert!(matches!(failed, Error::Unavailable(_)), "{failed}");
        assert_eq!((layout_of(&path), names()), (1, vec!["store.db.before-0002".to_owned()]), "all of it is as it was");
    }
    // A half copy of one that was killed is no copy, and is in nobody's way.
    std::fs::write(folder.path().join("store.db.before-0002.part"), "half").unwrap();
    drop(begin("UPDATE sales SET email = 'other@example.com' WHERE id = 1").unwrap());
    assert_eq!(names(), ["store.db.before-0002", "store.db.before-0002.2"]);
    assert!(!folder.path().join("store.db.before-0002.part").exists());
    let email = |name: &str| -> String {
        let copy = rusqlite::Connection::open(folder.path().join(name)).unwrap();
        copy.query_row("SELECT email FROM sales WHERE id = 1", [], |row| row.get(0)).unwrap()
    };
    assert_eq!(["store.db.before-0002", "store.db.before-0002.2"].map(email), ["jane@example.com", "other@example.com"]);
    // Where the operator has a copy of their own, none is made.
    drop(std::fs::remove_file(folder.path().join("store.db.before-0002.2")));
    for ending in ["", "-wal", "-shm"] {
        drop(std::fs::remove_file(folder.path().join(format!("store.db{ending}"))));
    }
    fixture.write(&path);
    drop(Sqlite::open(&path, Access::ServeUncopied, 16).unwrap());
    assert_eq!((layout_of(&path), names()), (Sqlite::newest_layout(), vec!["store.db.before-0002".to_owned()]));
}

/// All files of a folder with what is in them.
fn all(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let read = |path: PathBuf| (path.clone(), std::fs::read(path).unwrap());
    std::fs::read_dir(folder).unwrap().map(|entry| read(entry.unwrap().path())).collect()
}

fn asked(config: &Path, more: &[&str]) -> (Option<i32>, Value) {
    let output = run(Some(config), &[&["upgrade-check", "--json"], more].concat());
    (output.status.code(), serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}")))
}

#[test]
fn an_upgrade_check_says_what_would_come_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config.toml");
    std::fs::write(&config, configuration("127.0.0.1:0", "http://127.0.0.1:9", "").replace("test.db", "store.db")).unwrap();
    let before = all(folder.path());
    let (code, answer) = asked(&config, &[]);
    assert_eq!((code, &answer["ready"], &answer["store"]["layout"]), (Some(0), &json!(true), &json!(0)), "no store yet");
    assert_eq!(all(folder.path()), before);

    let fixture = fixtures("sqlite").remove(1);
    let path = folder.path().join("store.db");
    fixture.write(&path);
    let before = all(folder.path());
    let (code, answer) = asked(&config, &[]);
    assert_eq!((code, &answer["ready"]), (Some(0), &json!(true)), "{answer}");
    let newest = Sqlite::newest_layout();
    assert_eq!(answer["migrations"], json!((3..=newest).collect::<Vec<_>>()));
    let view = &answer["store"];
    assert_eq!([&view["kind"], &view["layout"], &view["newest"]], [&json!("sqlite"), &json!(2), &json!(newest)]);
    assert_eq!(answer["versions"]["sqlite_layout"], json!(newest));
    assert!(view["bytes"].as_u64().unwrap() > 10_000 && view["free_bytes"].as_u64().unwrap() > 0, "{view}");
    assert_eq!(all(folder.path()), before, "no log, no index, no other byte");

    // Rehearsed on a copy, which is gone afterwards: refunds were not known then, so packs of today would say more.
    let (code, answer) = asked(&config, &["--rehearse", "--days", "36500"]);
    assert_eq!((code, &answer["rehearsal"]["check"]["findings"]), (Some(0), &json!([])), "{answer}");
    assert_eq!(answer["rehearsal"]["remap"]["requests"], fixture.held["requests"]);
    assert!(answer["rehearsal"]["remap"]["events_changed"].as_u64().unwrap() > 0, "{answer}");
    let files =
        |folder: &Path| all(folder).into_keys().filter(|file| !file.to_str().unwrap().contains("db-")).collect::<Vec<_>>();
    assert_eq!(files(folder.path()), before.into_keys().collect::<Vec<_>>());
    assert_eq!(layout_of(&path), 2);

    // What it foretold comes true, and the copy is named from then on.
    drop(Sqlite::open(&path, Access::Serve, 16).unwrap());
    let (code, answer) = asked(&config, &[]);
    assert_eq!((code, &answer["migrations"], answer["store"]["copies"].as_array().unwrap().len()), (Some(0), &json!([]), 1));
    let said = run(Some(&config), &["store", "check"]);
    assert!(String::from_utf8_lossy(&said.stdout).contains("store.db.before-0003: a copy"), "{said:?}");

    rusqlite::Connection::open(&path).unwrap().pragma_update(None, "user_version", newest + 1).unwrap();
    let (code, answer) = asked(&config, &[]);
    assert_eq!((code, &answer["ready"]), (Some(1), &json!(false)), "{answer}");
    let refused = Sqlite::open(&path, Access::Serve, 16).err().unwrap().to_string();
    assert_eq!(answer["obstacles"], json!([refused]), "it is what the start would say");
    assert!(refused.contains("docs/upgrade.md") && refused.ends_with("store.db.before-0003"), "{refused}");

    std::fs::write(&config, "surprise = 1\n").unwrap();
    let (code, answer) = asked(&config, &[]);
    assert_eq!((code, &answer["ready"]), (Some(2), &json!(false)));
    assert!(answer["faults"].as_array().unwrap().iter().any(|fault| fault["key"] == "surprise"), "{answer}");
}

#[test]
fn an_upgrade_check_stands_beside_a_running_bridge() {
    let folder = tempfile::tempdir().unwrap();
    let address = free_address();
    let text = configuration(&address, "http://127.0.0.1:9", "");
    std::fs::write(folder.path().join("config.toml"), text).unwrap();
    let served = Served::start(folder.path(), &address);
    let answer = served.json(&["upgrade-check", "--rehearse"]);
    assert_eq!((&answer["ready"], &answer["store"]["layout"]), (&json!(true), &json!(Sqlite::newest_layout())), "{answer}");
}

#[test]
fn what_needs_a_newer_format_is_refused_with_file_and_key_and_nothing_else_is_said_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
    };
    let faults = || {
        let checked = run(Some(&folder.path().join("config.toml")), &["check"]);
        assert_eq!(checked.status.code(), Some(2), "{checked:?}");
        String::from_utf8_lossy(&checked.stderr).into_owned()
    };
    let only = |said: &str, key: &str, kind: u32| {
        let expected = format!("{key}: needs format {kind}, and salebridge {} knows formats up to 1", env!("CARGO_PKG_VERSION"));
        assert!(said.contains(&expected) && !said.contains("novelty"), "{said}");
    };
    file("config.toml", "format = 2\nnovelty = true\n");
    only(&faults(), "config.toml: format", 2);
    file("config.toml", "format = 0\n");
    assert!(faults().contains("format: must be a whole number from 1 to 1"));
    let source = "[[sources]]\nname = \"s\"\npack = \"mine\"\nsecrets = [\"x\"]\n";
    file("config.toml", &format!("format = 1\npack_dirs = [\"packs\"]\n{source}"));
    file("packs/mine/pack.toml", "[pack]\nname = \"mine\"\nformat = 7\nnovelty = 1\n");
    only(&faults(), "mine/pack.toml: pack.format", 7);
    file("config.toml", &format!("template_dirs = [\"templates\"]\n{}", source.replace("mine", "stripe")));
    file("templates/mine.toml", "[upstream]\nname = \"mine\"\nformat = 3\nnovelty = 1\n");
    only(&faults(), "mine.toml: upstream.format", 3);
}

#[test]
fn every_version_is_told_in_one_place() {
    let output = run(None, &["version", "--json"]);
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["salebridge"], env!("CARGO_PKG_VERSION"));
    assert_eq!(
        (&told["config_format"], &told["pack_format"], &told["template_format"], &told["api"]),
        (&json!(1), &json!(1), &json!(1), &json!(1))
    );
    let layouts = [Sqlite::newest_layout(), Postgres::newest_layout()];
    assert_eq!([&told["sqlite_layout"], &told["postgresql_layout"]], layouts.map(|layout| json!(layout)).each_ref());
    let text = String::from_utf8(run(None, &["version"]).stdout).unwrap();
    assert!(text.starts_with(&format!("salebridge {}\n", env!("CARGO_PKG_VERSION"))) && text.contains("API        v1"), "{text}");
}
