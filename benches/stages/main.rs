//! What each pure stage costs on one core: verifying and mapping one Stripe event of 3 KB, beside the same body read as a whole
//! tree, which is what a mapper without a shape would have to do first.
//!
//! `cargo bench --bench stages`
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout)]

use std::sync::LazyLock;

use divan::Bencher;
use salebridge::domain::{Meaning, Request, Timestamp};
use salebridge::map::RequestView;
use salebridge::pack::{Registry, Source, scenarios};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The size of body that the figures speak of.
const BODY_BYTES: usize = 3 * 1024;

fn main() {
    let (_, request) = &*STRIPE;
    println!("a Stripe event of {} bytes", request.body.len());
    divan::main();
}

/// A genuine event of Stripe's, filled up with members that nobody reads.
static STRIPE: LazyLock<(Source, Request)> = LazyLock::new(|| {
    let packs = Registry::load(&[]).unwrap();
    let pack = packs.get("stripe").unwrap();
    let (scenarios, _) = scenarios(&pack.folder);
    let case = &scenarios.iter().find(|scenario| scenario.name == "checkout-completed").unwrap().steps[0].case;
    let source = Source::plain(pack, case.circumstances(false).unwrap()).unwrap();
    let now: Timestamp = "2026-11-22T05:11:02Z".parse().unwrap();
    let mut request = case.request("stripe", now);
    let text = String::from_utf8(request.body).unwrap();
    let missing = BODY_BYTES.saturating_sub(text.len() + 40);
    let more: String = (0..missing / 36).map(|index| format!("\"field_{index:04}\": [null, {{\"a\": 1{index:03}}}],")).collect();
    request.body = text.replacen('{', &format!("{{\"filler\": {{{more}\"end\": 1}},"), 1).into_bytes();
    source.pack.scheme.sign(&source.keys, &mut request).unwrap();
    assert!(source.pack.scheme.judge(&source.keys, &request, None).is_ok());
    let events = source.mapping.map(RequestView { id: 1, request: &request, answers: &[] });
    assert!(matches!(events[0].meaning, Meaning::Sale(_)), "{events:?}");
    (source, request)
});

#[divan::bench]
fn verify(bencher: Bencher<'_, '_>) {
    let (source, request) = &*STRIPE;
    bencher.bench(|| source.pack.scheme.judge(&source.keys, request, None));
}

#[divan::bench]
fn map(bencher: Bencher<'_, '_>) {
    let (source, request) = &*STRIPE;
    bencher.bench(|| source.mapping.map(RequestView { id: 1, request, answers: &[] }));
}

/// The reference: all of the body as a tree, and nothing done with it.
#[divan::bench]
fn read_the_whole_tree(bencher: Bencher<'_, '_>) {
    let (_, request) = &*STRIPE;
    bencher.bench(|| serde_json::from_slice::<serde_json::Value>(&request.body));
}
