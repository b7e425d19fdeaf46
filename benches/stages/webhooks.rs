//! Genuine webhooks for the stages: Stripe checkouts of 3 KB, each a purchase of its own.

use std::sync::Arc;

use salebridge::domain::{Headers, Request, Timestamp};
use salebridge::pack::{Registry, Source, scenarios};

/// The body, with places for its ids.
const BODY: &str = include_str!("../ingest/checkout.json");

/// A source of the Stripe pack.
pub(crate) fn stripe() -> Source {
    let packs = Registry::load(&[]).expect("the shipped packs load");
    let pack = packs.get("stripe").expect("there is a pack for Stripe");
    let (scenarios, _) = scenarios(&pack.folder);
    let case =
        &scenarios.iter().find(|scenario| scenario.name == "checkout-completed").expect("there is such a case").steps[0].case;
    Source::plain(pack, case.circumstances(false).expect("the case is well formed")).expect("the case has what a source needs")
}

/// When they are received.
pub(crate) fn now() -> Timestamp {
    "2026-11-22T05:11:02Z".parse().expect("it is an instant")
}

/// So many webhooks, signed for this source.
pub(crate) fn requests(source: &Source, count: usize) -> Vec<Request> {
    (0..count as u64).map(|number| request(source, number)).collect()
}

fn request(source: &Source, number: u64) -> Request {
    let now = now();
    let chance = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let body = BODY.trim_end().replace("@ID@", &format!("1Q{number:07}BenchAcct0{:07x}", chance >> 36));
    let body = body.replace("@RANDOM@", &format!("{chance:016x}")).replace("@NOW@", &now.as_second().to_string());
    let mut headers = Headers::default();
    headers.add("content-type", "application/json; charset=utf-8");
    headers.add("user-agent", "Stripe/1.0 (+https://stripe.com/docs/webhooks)");
    let mut request = Request {
        source: source.name.to_string(),
        received_at: now,
        url: None,
        query: None,
        path_token: None,
        peer: None,
        headers,
        body: body.into_bytes(),
    };
    source.pack.scheme.sign(&source.keys, &mut request).expect("Stripe's secret signs");
    request
}

/// The sources of a bridge that has only this one.
pub(crate) fn only(source: Source) -> Arc<std::collections::HashMap<String, Arc<Source>>> {
    Arc::new([(source.name.to_string(), Arc::new(source))].into())
}
