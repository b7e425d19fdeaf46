//! What the ledger costs for each sale on SQLite, and how that grows with the file: CPU of the whole process for loading the slice,
//! applying the rules and writing the changes, in batches as the pipeline makes them; mapping and the inbox are not part of it.
//!
//! `cargo bench --bench ledger` fills a file with 100,000 sales; `cargo bench --bench ledger -- --sales 1000000` with a million.
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout, clippy::float_arithmetic)]

use std::sync::Arc;
use std::time::Instant;

use salebridge::attribute::{Config, Ledger, Rules, Wanted};
use salebridge::domain::{
    Buyer, Claim, Currency, Event, EventName, Found, Key, Meaning, Mode, Money, Origin, Part, PartKind, Proof, Scope, Timestamp,
};
use salebridge::store::{Access, Sqlite, Store};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// As many events as the pipeline settles at once where replicas share a store.
const BATCH: i64 = 96;

fn main() {
    let mut arguments = std::env::args().skip_while(|argument| argument != "--sales").skip(1);
    let sales: i64 = arguments.next().map_or(100_000, |text| text.parse().unwrap());
    let folder = tempfile::tempdir_in(std::env::var("BENCH_DIR").unwrap_or_else(|_| ".".to_owned())).unwrap();
    let path = folder.path().join("bench.db");
    let store = Sqlite::open(&path, Access::Serve, 16).unwrap();
    let rules = Rules::new(&Config::default(), Vec::new());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    println!("{:>10}  {:>14}  {:>14}  {:>14}", "sales", "CPU µs a sale", "wall µs a sale", "bytes a sale");
    let (mut done, mut mark) = (0, (0, cpu_nanos(), Instant::now()));
    while done < sales {
        // Making the events is the bench's own work.
        let before = own_nanos();
        let now = Timestamp::from_second(1_795_324_260 + done).unwrap();
        let events: Vec<Event> = (done..done + BATCH).map(|number| event(number + 1, now)).collect();
        mark.1 += own_nanos() - before;
        runtime.block_on(settle(&store, &rules, events, done + BATCH, now));
        done += BATCH;
        if done >= next_mark(mark.0) || done >= sales {
            let count = (done - mark.0) as f64;
            let cpu = (cpu_nanos() - mark.1) as f64 / 1000.0 / count;
            let wall = mark.2.elapsed().as_micros() as f64 / count;
            let bytes = std::fs::metadata(&path).unwrap().len() as f64 / done as f64;
            println!("{done:>10}  {cpu:>14.1}  {wall:>14.1}  {bytes:>14.0}");
            mark = (done, cpu_nanos(), Instant::now());
        }
    }
}

/// At 1,000, 10,000, 100,000, and then at every 100,000.
fn next_mark(last: i64) -> i64 {
    match last {
        0 => 1_000,
        1..10_000 => 10_000,
        10_000..100_000 => 100_000,
        _ => last + 100_000,
    }
}

async fn settle(store: &Sqlite, rules: &Rules, events: Vec<Event>, through: i64, now: Timestamp) {
    let wanted = Wanted::by(&events);
    let rules = rules.clone();
    let fold = Box::new(move |ledger: &mut Ledger| events.iter().for_each(|event| ledger.apply(event, &rules, now)));
    store.settle(wanted, vec![through], now, fold).await.unwrap();
}

/// A purchase as a Stripe checkout tells it: a new customer with a click, known by two ids.
fn event(number: i64, now: Timestamp) -> Event {
    // Ids of providers begin with a time, and end in chance.
    let id = |prefix: &str| format!("{prefix}_1{number:010}{:08x}", number.wrapping_mul(2_654_435_761) & 0xffff_ffff);
    let found = |value: String, path: &str| Some(Found { value, origin: Origin::Request { request: number, path: path.into() } });
    let key = |kind: &str, strength| Key {
        kind: kind.into(),
        value: id(kind),
        identifies: true,
        leads: false,
        strength,
        prefix: "".into(),
    };
    let currency = Currency::from_code("USD").unwrap();
    let total = Part { what: PartKind::Total, minor: 4999, written: "4999".into(), path: "$.data.object.amount_total".into() };
    let proof = Proof { parts: vec![total], unstated: Vec::new(), currency_path: "$.data.object.currency".into(), other: None };
    Event {
        request: number,
        position: 0,
        source: "stripe".into(),
        scope: Scope { account: "stripe".into(), mode: Mode::Live },
        provider_id: Some(id("evt")),
        kind: "checkout.session.completed".into(),
        at: now,
        at_path: Some("$.created".into()),
        accepted: true,
        buyer: Buyer {
            customer: Some(id("cus")),
            customer_external_id: found(format!("user_{number}"), "$.data.object.metadata['customerExternalId']"),
            click_id: found(format!("5e6e1650-0f1b-4c6e-9a51-{number:012}"), "$.data.object.metadata['clickId']"),
            email: found(format!("jane{number}@example.com"), "$.data.object.customer_details.email"),
            name: found("Jane Doe".into(), "$.data.object.customer_details.name"),
        },
        keys: vec![key("payment_intent", 1), key("session", 2)],
        renewal: false,
        meaning: Meaning::Sale(Claim {
            event: EventName::CheckoutCompleted,
            rank: 3,
            money: Money { minor: 4999, currency },
            proof,
            refunded: None,
            awaits: vec![Arc::from("invoice.paid")],
        }),
    }
}

/// The CPU that all threads of this process have used.
fn cpu_nanos() -> u64 {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let of_task = |task: std::fs::DirEntry| std::fs::read_to_string(task.path().join("schedstat")).ok();
    tasks.filter_map(|task| of_task(task.ok()?)).filter_map(|text| nanos(&text)).sum()
}

/// The CPU that this thread has used.
fn own_nanos() -> u64 {
    nanos(&std::fs::read_to_string("/proc/thread-self/schedstat").unwrap()).unwrap()
}

fn nanos(schedstat: &str) -> Option<u64> {
    schedstat.split_whitespace().next()?.parse().ok()
}
