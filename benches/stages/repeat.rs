//! A stage of the way of a webhook, repeated so often, for a tool that counts instructions from outside (`scripts/guards`).
//! What is prepared does not depend on how often, so the difference of two runs is the stage alone.

use std::sync::Arc;

use futures_util::future::join_all;
use salebridge::attribute::{Config, Filter, Route, Rules, WithoutClick};
use salebridge::domain::Request;
use salebridge::map::RequestView;
use salebridge::pack::Source;
use salebridge::pipeline::Pipeline;
use salebridge::store::{Access, Sqlite, Store};
use salebridge::verify::Verified;

use crate::webhooks;

/// Never more often than this.
const MOST: usize = 2048;
/// So many webhooks come at once.
const BATCH: usize = 64;

/// Runs a stage so often, in batches; fails where something does not become what it should.
pub(crate) fn run(stage: &str, count: usize) {
    assert!(count <= MOST && count.is_multiple_of(BATCH), "at most {MOST} times, and a multiple of {BATCH}");
    let source = webhooks::stripe();
    let requests = webhooks::requests(&source, MOST);
    let verified: Vec<_> = requests.iter().map(|request| verify(&source, request.clone())).collect();
    match stage {
        "verify" => requests.into_iter().take(count).for_each(|request| drop(verify(&source, request))),
        "map" => {
            for (id, request) in (1..).zip(requests.iter().take(count)) {
                let events = source.mapping.map(RequestView { id, request, answers: &[] });
                assert_eq!(events.len(), 1, "a checkout is one event");
            }
        }
        "append" => whole(source, verified.into_iter().take(count).collect(), false),
        "settle" => whole(source, verified.into_iter().take(count).collect(), true),
        other => panic!("there is no stage {other}: verify, map, append, settle"),
    }
}

fn verify(source: &Source, request: Request) -> Verified {
    source.pack.scheme.verify(&source.keys, request, None).expect("it is genuine")
}

/// Stores batch after batch, and settles each if asked to.
fn whole(source: Source, verified: Vec<Verified>, is_settled: bool) {
    let count = i64::try_from(verified.len()).expect("so many are not there");
    let folder = tempfile::tempdir().expect("there is room for a store");
    let store: Arc<dyn Store> =
        Arc::new(Sqlite::open(&folder.path().join("guard.db"), Access::Scratch, BATCH).expect("a store can be made"));
    let sources = webhooks::only(source);
    let route =
        Route { upstream: "upstream".into(), without_click: WithoutClick::Send, filter: Filter::default(), adjustments: None };
    let pipeline = Pipeline::new(Arc::clone(&store), Arc::clone(&sources), Rules::new(&Config::default(), vec![route]));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime can be made");
    runtime.block_on(async {
        let mut verified = verified.into_iter().peekable();
        while verified.peek().is_some() {
            let batch: Vec<_> = verified.by_ref().take(BATCH).collect();
            let appended = batch.into_iter().map(|verified| {
                let fingerprint = sources[&verified.request().source].fingerprint(verified.request());
                store.append(verified, fingerprint)
            });
            assert!(join_all(appended).await.into_iter().all(|appended| appended.is_ok()), "each is stored");
            if is_settled {
                let step = pipeline.step(webhooks::now()).await.expect("a batch is settled");
                assert_eq!(step.settled, BATCH, "a batch is settled");
            }
        }
    });
    let sales = store.sales(1).expect("the store can be read");
    let newest = sales.first().map_or(0, |sale| sale.id);
    assert_eq!(newest, if is_settled { count } else { 0 }, "every webhook is a sale once it is settled");
}
