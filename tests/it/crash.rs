//! Killed at any moment, the bridge loses nothing that it acknowledged and counts nothing twice.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use salebridge::domain::{Clock as _, SystemClock};
use serde_json::Value;

use crate::harness::configuration;
use crate::harness::process::{Served, Sink, free_address, post, wait_until};
use crate::harness::webhooks::{SECRET, stripe_checkout, who};

const WEBHOOKS: u32 = 1_000;
const KILLS: usize = 10;
const SENDERS: usize = 8;

#[test]
fn a_thousand_webhooks_and_ten_kills_lose_nothing_and_double_nothing() {
    let (folder, sink, address) = (tempfile::tempdir().unwrap(), Sink::start(), free_address());
    let text = configuration(&address, &format!("http://{}", sink.address), "");
    std::fs::write(folder.path().join("config.toml"), text).unwrap();
    let mut served = Served::start(folder.path(), &address);

    let history = history();
    let distinct: BTreeSet<u32> = history.iter().copied().collect();
    let acknowledged = Arc::new(Mutex::new(BTreeMap::new()));
    let done = Arc::new(AtomicUsize::new(0));
    let total = history.len();
    let senders: Vec<_> = (0..SENDERS)
        .map(|sender| {
            let mine: Vec<u32> = history.iter().copied().skip(sender).step_by(SENDERS).collect();
            let (address, acknowledged, done) = (address.clone(), Arc::clone(&acknowledged), Arc::clone(&done));
            std::thread::spawn(move || {
                for number in mine {
                    let request = send_until_acknowledged(&address, number);
                    let known = acknowledged.lock().unwrap().insert(number, request);
                    assert!(known.is_none_or(|known| known == request), "webhook {number} was stored twice");
                    done.fetch_add(1, Ordering::SeqCst);
                }
            })
        })
        .collect();

    // Ten kills at random moments, each while webhooks are under way. The moments are printed where the test fails.
    let mut moments: Vec<usize> = (0..KILLS).map(|_| rand::random_range(0..total - SENDERS)).collect();
    moments.sort_unstable();
    println!("killed after so many acknowledgements: {moments:?}");
    for moment in moments {
        wait_until("the next kill is due", || done.load(Ordering::SeqCst) >= moment);
        served.kill();
        served = Served::start(folder.path(), &address);
    }
    for sender in senders {
        sender.join().unwrap();
    }
    assert_eq!(acknowledged.lock().unwrap().len(), distinct.len());

    wait_until("everything is delivered", || {
        let deliveries = served.json(&["deliveries", "list", "--limit", "5000"]);
        let deliveries = deliveries.as_array().unwrap().clone();
        deliveries.len() == distinct.len() && deliveries.iter().all(|delivery| delivery["state"] == "delivered")
    });
    let sales = served.json(&["sales", "list", "--limit", "5000"]);
    let counted: Vec<&str> = sales.as_array().unwrap().iter().map(|sale| sale["invoiceId"].as_str().unwrap()).collect();
    let wanted: BTreeSet<String> = distinct.iter().map(|number| format!("pi_{number}")).collect();
    assert_eq!(counted.len(), wanted.len(), "every acknowledged webhook is exactly one sale");
    assert_eq!(counted.iter().map(|id| (*id).to_owned()).collect::<BTreeSet<_>>(), wanted);
    let sent: BTreeSet<String> = sink.bodies().iter().map(|body| invoice_id(body)).collect();
    assert_eq!(sent, wanted, "the upstream's distinct invoice ids are the distinct sales");
    assert_eq!(
        served.json(&["store", "check"])["findings"].as_array().map(Vec::len),
        Some(0),
        "what is stored agrees with itself"
    );
    assert!(served.stop());
}

/// A thousand webhooks, 30 % of which repeat an earlier one.
fn history() -> Vec<u32> {
    (0..WEBHOOKS)
        .map(|index| if index % 10 < 3 && index > 10 { (index * 7919) % (index - 10) } else { index })
        .map(first_of)
        .collect()
}

/// A repeat of a repeat is a repeat of the first.
fn first_of(number: u32) -> u32 {
    if number % 10 < 3 && number > 10 { first_of((number * 7919) % (number - 10)) } else { number }
}

/// Sends as a provider does: signed anew each time, until it hears a 200.
fn send_until_acknowledged(address: &str, number: u32) -> i64 {
    let body = stripe_checkout(number, &who(&format!("c-{number}"), &format!("user_{number}"))).to_string();
    let mut request = None;
    wait_until("a webhook is acknowledged", || {
        let headers = vec![("Stripe-Signature".to_owned(), stripe_signature(&body))];
        request = match post(address, "/webhooks/stripe", &headers, body.as_bytes()) {
            Some((200, answer)) => answer["request"].as_i64(),
            Some((503, _)) | None => None,
            Some((status, answer)) => panic!("{status} {answer}"),
        };
        request.is_some()
    });
    request.unwrap()
}

fn stripe_signature(body: &str) -> String {
    use hmac::{KeyInit as _, Mac as _};
    let now = SystemClock.now().as_second();
    let mut mac = hmac::Hmac::<sha2::Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(format!("{now}.{body}").as_bytes());
    format!("t={now},v1={}", hex::encode(mac.finalize().into_bytes()))
}

fn invoice_id(body: &str) -> String {
    let body: Value = serde_json::from_str(body).unwrap();
    body["invoiceId"].as_str().unwrap().to_owned()
}
