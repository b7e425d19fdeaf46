//! What each pure stage costs on one core: verifying and mapping one Stripe event of 3 KB, beside the same body read as a whole
//! tree, which is what a mapper without a shape would have to do first.
//!
//! `cargo bench --bench stages`; `scripts/guards` counts the instructions of the same stages, and of storing and settling.
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout)]

mod repeat;
mod webhooks;

use std::sync::LazyLock;

use divan::Bencher;
use salebridge::domain::{Meaning, Request};
use salebridge::map::RequestView;
use salebridge::pack::Source;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [repeat, stage, count, ..] = arguments.as_slice()
        && repeat == "repeat"
    {
        return repeat::run(stage, count.parse().unwrap());
    }
    let (_, request) = &*STRIPE;
    println!("a Stripe event of {} bytes", request.body.len());
    divan::main();
}

/// A genuine event of Stripe's.
static STRIPE: LazyLock<(Source, Request)> = LazyLock::new(|| {
    let source = webhooks::stripe();
    let request = webhooks::requests(&source, 1).remove(0);
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
