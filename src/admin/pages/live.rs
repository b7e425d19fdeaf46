//! What changes, as server-sent events: one look at the store a second serves all who watch, and what is told holds only numbers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::web::{self, Bytes, Data};
use futures_util::stream;
use serde::Serialize;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::visitor::{Answer, Fault, Visitor};
use crate::admin::State;
use crate::store::{Error, Paging, QueueView, RequestFilter, SaleFilter, Store};

/// So often the store is looked at, while somebody watches.
const PERIOD: Duration = Duration::from_secs(1);
/// After so long without a change a sign of life is sent, so that a proxy keeps the connection.
const SIGN_OF_LIFE: Duration = Duration::from_secs(15);
/// After so long a watcher has to come again, and to show that they may.
const LONGEST: Duration = Duration::from_secs(15 * 60);
/// So many watch at once.
const WATCHERS: usize = 50;

/// What all who watch share.
#[derive(Default)]
pub(super) struct Live {
    last: Mutex<Option<(Instant, News)>>,
    watchers: Arc<AtomicUsize>,
}

/// How it stands, in numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
struct News {
    /// The newest sale.
    sale: i64,
    /// The newest request.
    request: i64,
    /// How much waits where.
    queues: QueueNumbers,
    /// How many upstreams stand still.
    paused: usize,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
struct QueueNumbers {
    unsettled: u64,
    waiting: u64,
    due: u64,
    dead: u64,
    fetching: u64,
}

/// One who watches; dropped when they go.
struct Watcher(Arc<AtomicUsize>);

impl Watcher {
    fn come(watchers: &Arc<AtomicUsize>) -> Option<Self> {
        let more = |count: usize| (count < WATCHERS).then_some(count + 1);
        watchers.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok().map(|_| Self(Arc::clone(watchers)))
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Live {
    /// How it stands, as of the last second at most.
    async fn news(&self, state: &State) -> Option<News> {
        let mut last = self.last.lock().await;
        if let Some((at, news)) = *last
            && at.elapsed() < PERIOD
        {
            return Some(news);
        }
        let store = Arc::clone(&state.store);
        let found = web::block(move || look(&*store)).await.ok()?.ok()?;
        *last = Some((Instant::now(), found));
        Some(found)
    }
}

fn look(store: &dyn Store) -> Result<News, Error> {
    let one = Paging { limit: 1, ..Paging::default() };
    let sale = store.list_sales(&SaleFilter::default(), &one)?.rows.first().map_or(0, |sale| sale.id);
    let request = store.list_requests(&RequestFilter::default(), &one)?.rows.first().map_or(0, |request| request.id);
    let QueueView { unsettled, waiting, due, dead, fetching } = store.queues()?;
    let paused = store.upstreams()?.iter().filter(|upstream| upstream.paused).count();
    Ok(News { sale, request, queues: QueueNumbers { unsettled, waiting, due, dead, fetching }, paused })
}

/// Where one watcher's stream stands.
struct Watch {
    state: Data<State>,
    live: Data<Live>,
    told: Option<News>,
    told_at: Instant,
    began_at: Instant,
    _watcher: Watcher,
}

/// `GET /live`.
pub(super) async fn watch(visitor: Result<Visitor, Fault>, live: Data<Live>) -> Answer {
    // A stream is no page: whoever has to sign in is not led there.
    let visitor = match visitor {
        Err(Fault::SignIn(_)) => return Ok(HttpResponse::Unauthorized().finish()),
        visitor => visitor?,
    };
    let watcher = Watcher::come(&live.watchers).ok_or(Fault::Busy)?;
    let now = Instant::now();
    let watch = Watch { state: visitor.state, live, told: None, told_at: now, began_at: now, _watcher: watcher };
    let events = stream::unfold(watch, |mut watch| async move {
        let text = next(&mut watch).await?;
        Some((Ok::<_, std::convert::Infallible>(Bytes::from(text)), watch))
    });
    Ok(HttpResponse::Ok().content_type("text/event-stream").insert_header(("X-Accel-Buffering", "no")).streaming(events))
}

/// The next piece of the stream; `None` at its end.
async fn next(watch: &mut Watch) -> Option<String> {
    loop {
        if watch.told.is_some() {
            tokio::time::sleep(PERIOD).await;
        }
        if watch.began_at.elapsed() > LONGEST {
            return None;
        }
        let news = watch.live.news(&watch.state).await;
        let is_new = news.is_some() && news != watch.told;
        if is_new {
            (watch.told, watch.told_at) = (news, Instant::now());
            return news.and_then(|news| serde_json::to_string(&news).ok()).map(|news| format!("data: {news}\n\n"));
        }
        if watch.told_at.elapsed() > SIGN_OF_LIFE || watch.told.is_none() {
            watch.told_at = Instant::now();
            watch.told = watch.told.or(Some(News::default()));
            return Some(":\n\n".to_owned());
        }
    }
}
