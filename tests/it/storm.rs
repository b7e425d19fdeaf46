//! An upstream that fails, limits, hangs and restarts, and a bridge that is killed: every sale is delivered in the end, no attempt is
//! forgotten, and the rate limit holds as the upstream sees it. `SALEBRIDGE_STORM=20000` makes it a long one.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use salebridge::domain::{Clock as _, SystemClock};

use crate::harness::configuration;
use crate::harness::flaky::{Faults, Flaky};
use crate::harness::process::{Served, free_address, post, wait_until};
use crate::harness::webhooks::{SECRET, stripe_checkout, who};

const KILLS: usize = 3;
const SENDERS: u32 = 4;

#[test]
fn whatever_befalls_the_upstream_and_the_bridge_every_sale_is_delivered() {
    let sales: u32 = std::env::var("SALEBRIDGE_STORM").ok().and_then(|text| text.parse().ok()).unwrap_or(400);
    let per_minute = if sales > 2_000 { 6_000 } else { 1_500 };
    let upstream = Flaky::start(Faults { fails: 20, limits: 5, hangs: 1 });
    let (folder, address) = (tempfile::tempdir().unwrap(), free_address());
    let settings = "max_in_flight = 64\ntimeout_secs = 1\n[upstreams.retry]\nfirst_delay_secs = 1\nlongest_delay_secs = 4\n";
    let text = configuration(&address, &format!("http://{}", upstream.address), settings)
        .replace("requests_per_minute = 60000", &format!("requests_per_minute = {per_minute}"));
    std::fs::write(folder.path().join("config.toml"), text).unwrap();
    let mut served = Served::start(folder.path(), &address);

    let senders: Vec<_> = (0..SENDERS)
        .map(|sender| {
            let address = address.clone();
            std::thread::spawn(move || (sender..sales).step_by(SENDERS as usize).for_each(|number| sells(&address, number)))
        })
        .collect();
    let accepted = |share: usize| upstream.accepted().len() * 100 >= share * sales as usize;
    for kill in 0..KILLS {
        patiently("the next kill is due", || accepted(15 + 25 * kill));
        served.kill();
        served = Served::start(folder.path(), &address);
        if kill < 2 {
            upstream.is_down(true);
            let log = served.log().len();
            patiently("the bridge has found out", || served.log().len() > log + 2_000);
            upstream.is_down(false);
        }
    }
    senders.into_iter().for_each(|sender| sender.join().unwrap());

    let path = folder.path().join("test.db");
    let count = |sql: &str| -> i64 {
        let connection = rusqlite::Connection::open(&path).unwrap();
        connection.busy_timeout(Duration::from_secs(10)).unwrap();
        connection.query_row(sql, [], |row| row.get(0)).unwrap()
    };
    patiently("everything is delivered", || {
        count("SELECT COUNT(*) FROM deliveries WHERE state = 'delivered'") == i64::from(sales)
    });
    assert_eq!(count("SELECT COUNT(*) FROM deliveries"), i64::from(sales));
    let found = upstream.accepted();
    let wanted: BTreeSet<String> = (0..sales).map(|number| format!("pi_{number}")).collect();
    assert_eq!(found.keys().cloned().collect::<BTreeSet<_>>(), wanted, "the distinct ids are the distinct sales");

    let asked = upstream.asked();
    let recorded = count("SELECT COUNT(*) FROM attempts");
    assert!(recorded >= asked.len() as i64, "{recorded} attempts are recorded, but {} were made", asked.len());
    let busiest = (0..asked.len()).map(|first| asked[first..].partition_point(|at| at - asked[first] < 60_000)).max();
    assert!(busiest.unwrap() <= per_minute, "{busiest:?} requests in one minute, {per_minute} allowed");
    let outcomes = outcomes(&path);
    println!(
        "{sales} sales, {} requests, {recorded} attempts {outcomes:?}, busiest minute {busiest:?} of {per_minute}, \
         {} accepted more than once, {} s",
        asked.len(),
        found.values().filter(|count| **count > 1).count(),
        asked.last().unwrap() / 1000
    );
    assert!(outcomes.contains_key("unknown") && outcomes.contains_key("retry"), "{outcomes:?}");
    assert!(served.stop());
}

fn outcomes(path: &std::path::Path) -> BTreeMap<String, i64> {
    let connection = rusqlite::Connection::open(path).unwrap();
    let mut select = connection.prepare("SELECT outcome, COUNT(*) FROM attempts GROUP BY outcome").unwrap();
    select.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect()
}

/// A long storm needs more patience than other tests.
fn patiently(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = std::time::Instant::now() + Duration::from_secs(40 * 60);
    while !is_so() {
        assert!(std::time::Instant::now() < deadline, "it did not come to pass that {what}");
        std::thread::park_timeout(Duration::from_millis(20)); // so as not to take a core from those that work
    }
}

fn sells(address: &str, number: u32) {
    use hmac::{KeyInit as _, Mac as _};
    let body = stripe_checkout(number, &who(&format!("c-{number}"), &format!("user_{number}"))).to_string();
    wait_until("a webhook is acknowledged", || {
        let now = SystemClock.now().as_second();
        let mut mac = hmac::Hmac::<sha2::Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
        mac.update(format!("{now}.{body}").as_bytes());
        let signature = format!("t={now},v1={}", hex::encode(mac.finalize().into_bytes()));
        let headers = vec![("Stripe-Signature".to_owned(), signature)];
        post(address, "/webhooks/stripe", &headers, body.as_bytes()).is_some_and(|(status, _)| status == 200)
    });
}
