//! The file itself: who may read it, who may serve it, and which layouts are understood.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use salebridge::store::{Access, Error, SaleView, Sqlite, Store as _};
use serde_json::json;

use crate::harness::database;
use crate::harness::desk::{Desk, configured};
use crate::harness::webhooks::stripe_invoice;

fn open(path: &Path, access: Access) -> Result<Sqlite, String> {
    Sqlite::open(path, access, 16).map_err(|error| match error {
        Error::Unusable(text) => text,
        error @ (Error::Busy | Error::Unavailable(_) | Error::Conflict(_) | Error::Damaged(_)) => panic!("{error}"),
    })
}

#[test]
fn only_its_owner_may_read_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let _store = open(&path, Access::Serve).unwrap();
    for file in ["store.db", "store.db-wal", "store.db-shm", "store.db.lock"] {
        let mode = std::fs::metadata(folder.path().join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{file}: {mode:o}");
    }
}

#[test]
fn one_server_at_a_time_and_visitors_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    assert!(open(&path, Access::Visit).err().unwrap().contains("there is no such store yet"));
    let server = open(&path, Access::Serve).unwrap();
    assert!(open(&path, Access::Serve).err().unwrap().contains("another salebridge serves this store"));
    let link = folder.path().join("link.db");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    assert!(open(&link, Access::Serve).err().unwrap().contains("another salebridge serves this store"), "by any name");
    assert!(open(&path, Access::Visit).unwrap().sales(10).unwrap().is_empty());
    drop(server);
    assert!(open(&path, Access::Serve).is_ok());
}

#[test]
fn a_file_of_a_newer_layout_is_refused_and_one_of_an_older_layout_is_not_changed_by_a_visitor() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    drop(open(&path, Access::Serve).unwrap());
    let set = |version: i64| rusqlite::Connection::open(&path).unwrap().pragma_update(None, "user_version", version).unwrap();
    set(99);
    assert!(open(&path, Access::Serve).err().unwrap().contains("newer than this program"));
    set(0);
    assert!(open(&path, Access::Visit).err().unwrap().contains("older than this program"));
}

/// A store that was written by the release before the ledger took money back: see `fixtures/stores`.
#[actix_web::test]
async fn a_store_of_an_older_layout_keeps_its_sums_and_a_remap_takes_its_refunds_back() {
    if database::is_shared() {
        return; // there is no older layout of PostgreSQL's
    }
    let mut desk = Desk::new(configured(""));
    desk.replace_store(include_str!("fixtures/stores/0002.sql"), 2);
    let sums = |desk: &Desk| -> Vec<String> {
        let shown = |sale: &SaleView| {
            let text = |name: &str| sale.event.get(name).map(|value| value.to_string().replace('"', "")).unwrap_or_default();
            let fields = ["invoiceId", "amount", "currency", "customerExternalId", "clickId"].map(text);
            format!("{} {} {}", fields.join(" "), sale.balance.left, sale.state)
        };
        desk.sales().iter().map(shown).collect()
    };
    let (stripe, razorpay) = ("5e6e1650-0f1b-4c6e-9a51-3c1d7f0b2a94", "5e6e1650-3f0a-4c1d-9a44-7d0c6f1b2a90");
    let before = [
        format!("pi_3QKtest0001 49.99 USD user_42 {stripe} 49.99 ready"),
        format!("in_1QKtest0001 49.99 USD user_42 {stripe} 49.99 ready"),
        format!("pi_4 12.340 KWD user_42 {stripe} 12.340 ready"),
        format!("pi_5 49.99 USD user_42 {stripe} 49.99 ready"),
        "in_6 49.99 USD   49.99 parked".to_owned(),
        format!("pay_RbT4kX9mQ2wLz7 499.00 INR user_42 {razorpay} 499.00 ready"),
    ];
    assert_eq!(sums(&desk), before);
    assert_eq!(desk.sales()[0].proof, "4999 total = 4999 USD");

    // Its refund and its dispute were ignored then.
    let did = desk.remaps().await;
    let changes: Vec<String> = did
        .changes
        .iter()
        .map(|difference| format!("{} {} {:?}", difference.sale, difference.what[0].what, difference.what[0].after))
        .collect();
    assert_eq!(changes, ["1 taken_back Some(\"99.98\")"], "a refund and a dispute, both of all of it");
    assert!(did.kept.is_empty(), "{:#?}", did.kept);
    assert!(desk.sends().await.is_empty(), "what was sent is not sent again");
    assert!(desk.remaps().await.changes.is_empty());

    // And what it remembered is still known.
    let mut renewal = stripe_invoice(77, 1, "subscription_cycle", &json!({}));
    let customer = desk.sales()[0].customer.clone().unwrap();
    renewal["data"]["object"]["customer"] = customer.into();
    renewal["created"] = desk.now.as_second().into();
    desk.hears("stripe", &renewal).await;
    let renewed = desk.sales().pop().unwrap();
    assert_eq!((renewed.event["clickId"].as_str(), renewed.state.as_str()), (Some(stripe), "ready"));
}

#[test]
fn what_is_no_store_is_said_to_be_none() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    std::fs::write(&path, "this is not a database, but a long enough text to be mistaken for one".repeat(100)).unwrap();
    assert!(Sqlite::open(&path, Access::Serve, 16).is_err());
}
