//! Under load the configuration is read anew again and again, secrets are rotated, and the bridge is restarted on sockets that the
//! service manager keeps: no webhook that a right secret signed is refused, and none that was acknowledged is lost.
//!
//! The short form runs with every test; the long one by hand, against another binary where `SALEBRIDGE_BINARY` names one:
//! `SALEBRIDGE_BINARY=target/release/salebridge cargo test --test it -- handover --ignored`.

use std::collections::{BTreeMap, BTreeSet};
use std::net::TcpListener;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::harness::process::{SALEBRIDGE, Served, Sink, get, post, run, wait_until};
use crate::harness::webhooks::{stripe_checkout, who};
use crate::reloading::stripe_signature;

/// So many send at once, each at its own share of the rate: requests that wait out a restart hold nobody else up.
const SENDERS: u64 = 64;

/// How much is done.
struct Extent {
    per_second: u64,
    time: Duration,
    reloads: u32,
    restarts: u32,
}

/// The generations of the secret that are being signed with: one is taken out of the configuration only when nobody signs with it.
#[derive(Default)]
struct Rotation {
    present: u32,
    in_use: BTreeMap<u32, u64>,
}

#[derive(Default)]
struct Told {
    acknowledged: BTreeSet<u64>,
    refused: Vec<String>,
    slowest: Duration,
}

#[test]
fn no_webhook_is_refused_or_lost_while_the_bridge_is_reloaded_and_restarted() {
    prove(&Extent { per_second: 100, time: Duration::from_secs(6), reloads: 4, restarts: 1 });
}

#[test]
#[ignore = "takes a minute, and wants the release binary"]
fn no_webhook_is_refused_or_lost_at_five_hundred_a_second() {
    prove(&Extent { per_second: 500, time: Duration::from_secs(60), reloads: 20, restarts: 2 });
}

fn prove(extent: &Extent) {
    let binary = std::env::var("SALEBRIDGE_BINARY").unwrap_or_else(|_| SALEBRIDGE.to_owned());
    let (folder, sink) = (tempfile::tempdir().unwrap(), Sink::start());
    let [public, admin] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let address = public.local_addr().unwrap().to_string();
    let place = Place { folder: folder.path(), address: &address, admin: admin.local_addr().unwrap().to_string(), sink: &sink };
    place.writes(0, 0);
    let mut served = Served::start_on(&binary, folder.path(), &public, &admin);
    wait_until("the bridge is ready", || get(&address, "/readyz").is_some_and(|answer| answer.starts_with("HTTP/1.1 200")));

    let (rotation, told) = (Arc::new(Mutex::new(Rotation::default())), Arc::new(Mutex::new(Told::default())));
    let (begun, total) = (Instant::now(), extent.per_second * extent.time.as_secs());
    let next = Arc::new(AtomicU64::new(0));
    let senders: Vec<_> = (0..SENDERS)
        .map(|_| {
            let (address, rotation, told, next) = (address.clone(), Arc::clone(&rotation), Arc::clone(&told), Arc::clone(&next));
            let per_second = extent.per_second;
            std::thread::spawn(move || {
                loop {
                    let number = next.fetch_add(1, Ordering::SeqCst);
                    if number >= total {
                        return;
                    }
                    let due = begun + Duration::from_micros(number * 1_000_000 / per_second);
                    std::thread::park_timeout(due.saturating_duration_since(Instant::now()));
                    send(&address, number, &rotation, &told);
                }
            })
        })
        .collect();

    // Reloads and restarts, spread over the time.
    let steps = extent.reloads + extent.restarts;
    for step in 1..=steps {
        let due = begun + extent.time * step / (steps + 1);
        wait_until("the next step is due", || {
            std::thread::park_timeout(Duration::from_millis(5));
            Instant::now() >= due
        });
        let every = steps / extent.restarts;
        if step % every == 0 && step / every <= extent.restarts {
            assert!(served.stop(), "it ends well");
            served = Served::start_on(&binary, folder.path(), &public, &admin);
        } else {
            rotate(&place, &rotation, step);
        }
    }
    for sender in senders {
        sender.join().unwrap();
    }

    let told = told.lock().unwrap();
    assert_eq!(told.refused, Vec::<String>::new(), "of {total} these were not acknowledged");
    assert_eq!(told.acknowledged.len(), usize::try_from(total).unwrap());
    let wanted: BTreeSet<String> = told.acknowledged.iter().map(|number| format!("pi_{number}")).collect();
    wait_until("all are delivered", || {
        // Each look reads thousands of bodies.
        std::thread::park_timeout(Duration::from_millis(200));
        let sent: BTreeSet<String> = sink.bodies().iter().map(|body| invoice_id(body)).collect();
        sent == wanted
    });
    let sales = served.json(&["sales", "list", "--limit", &(total + 1).to_string()]);
    let counted: Vec<&str> = sales.as_array().unwrap().iter().map(|sale| sale["invoiceId"].as_str().unwrap()).collect();
    assert_eq!(counted.len(), wanted.len(), "each is exactly one sale");
    assert!(counted.iter().all(|id| wanted.contains(*id)));
    assert_eq!(served.json(&["store", "check"])["findings"].as_array().map(Vec::len), Some(0));
    let rotations = rotation.lock().unwrap().present;
    let slowest = told.slowest;
    println!(
        "{total} webhooks, {rotations} rotations, {} restarts: all acknowledged, the slowest in {slowest:?}",
        extent.restarts
    );
    assert!(served.stop());
}

/// What the configuration is written for.
struct Place<'a> {
    folder: &'a Path,
    address: &'a str,
    admin: String,
    sink: &'a Sink,
}

impl Place<'_> {
    /// The configuration with this generation of the secret, and the one before it. Each also changes the upstream, so that senders
    /// follow one another under load.
    fn writes(&self, generation: u32, step: u32) {
        let (before, rate) = (generation.saturating_sub(1), 120_000 + step);
        let Self { address, admin, sink, .. } = self;
        let text = format!(
            "[server]\nlisten = \"{address}\"\n[admin]\nlisten = \"{admin}\"\n[store]\nurl = \"sqlite:test.db\"\n\
             [[sources]]\nname = \"stripe\"\npack = \"stripe\"\nsecrets = [\"{}\", \"{}\"]\n[[upstreams]]\nname = \"cutmeshort\"\n\
             template = \"cutmeshort\"\ntoken = \"token-of-the-test\"\nbase_url = \"http://{}\"\nrequests_per_minute = {rate}\n",
            secret(generation),
            secret(before),
            sink.address,
        );
        std::fs::write(self.folder.join("config.toml"), text).unwrap();
    }
}

/// As an operator rotates: the new secret beside the old one, then the provider goes over, then the old one goes.
fn rotate(place: &Place<'_>, rotation: &Mutex<Rotation>, step: u32) {
    let present = rotation.lock().unwrap().present;
    wait_until("nobody signs with older secrets", || {
        std::thread::park_timeout(Duration::from_millis(1));
        rotation.lock().unwrap().in_use.keys().all(|generation| *generation == present)
    });
    place.writes(present + 1, step);
    let said = run(Some(&place.folder.join("config.toml")), &["reload"]);
    assert!(said.status.success(), "{said:?}");
    let text = String::from_utf8_lossy(&said.stdout);
    assert!(text.contains("sources.stripe.secrets: changed"), "{text}");
    rotation.lock().unwrap().present += 1;
}

fn secret(generation: u32) -> String {
    format!("secret of generation {generation}")
}

fn send(address: &str, number: u64, rotation: &Mutex<Rotation>, told: &Mutex<Told>) {
    let generation = {
        let mut rotation = rotation.lock().unwrap();
        let present = rotation.present;
        *rotation.in_use.entry(present).or_default() += 1;
        present
    };
    let body =
        stripe_checkout(u32::try_from(number).unwrap(), &who(&format!("c-{number}"), &format!("user_{number}"))).to_string();
    let headers = vec![("Stripe-Signature".to_owned(), stripe_signature(&secret(generation), &body))];
    let begun = Instant::now();
    let answer = post(address, "/webhooks/stripe", &headers, body.as_bytes());
    {
        let mut told = told.lock().unwrap();
        told.slowest = told.slowest.max(begun.elapsed());
        match answer {
            Some((200, _)) => drop(told.acknowledged.insert(number)),
            Some((status, answer)) => told.refused.push(format!("{number}: {status} {answer}")),
            None => told.refused.push(format!("{number}: the connection broke")),
        }
    }
    let mut rotation = rotation.lock().unwrap();
    let in_use = rotation.in_use.get_mut(&generation).unwrap();
    *in_use -= 1;
    if *in_use == 0 {
        rotation.in_use.remove(&generation);
    }
}

fn invoice_id(body: &str) -> String {
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    body["invoiceId"].as_str().unwrap().to_owned()
}
