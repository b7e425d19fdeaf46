//! Sending again by hand: first what would be sent and what had better not be, then, if a person says so, just that.

use askama::Template;

use super::deliveries::Told;
use super::html::{Html, sent};
use super::layout::{Layout, Room};
use super::visitor::{Answer, Fault, Form, Visitor, lead_to, page};
use crate::domain::{DeliveryId, DeliveryState};
use crate::forward::again;
use crate::store::Retry;

/// So many are sent again at a time.
const LIMIT: usize = 500;
/// So many requests are shown as they would be sent.
const SHOWN: usize = 5;

#[derive(Template)]
#[template(path = "again.html")]
struct Preview {
    layout: Layout,
    rows: Vec<Told>,
    requests: Vec<Html>,
    more: usize,
    accepted: usize,
    past_window: usize,
    /// What was asked for, to be asked for again with more.
    asked: Vec<DeliveryId>,
    upstream: String,
    is_all_dead: bool,
    takes_accepted: bool,
    takes_past_window: bool,
}

/// `POST /deliveries/retry`: changes nothing.
pub(super) async fn preview(form: Form) -> Answer {
    let which = selection(&form)?;
    let (visitor, wanted) = (&form.visitor, which.clone());
    let (upstreams, now) = (visitor.state.upstreams.clone(), visitor.now);
    let found = visitor.read(move |store| {
        let view = store.retryable(&wanted, LIMIT)?;
        let requests = again::requests(store, &view, &upstreams, SHOWN, now)?;
        Ok((view, requests))
    });
    let (view, requests) = found.await?;
    page(&Preview {
        layout: visitor.layout(Room::Deliveries, "Send again"),
        requests: requests.iter().map(|request| sent(request)).collect(),
        more: view.count.saturating_sub(view.first.len()),
        rows: view.first.iter().map(|delivery| Told::of(delivery, visitor.now)).collect(),
        accepted: view.accepted,
        past_window: view.past_window,
        is_all_dead: which.ids.is_empty(),
        upstream: which.upstream.unwrap_or_default(),
        takes_accepted: which.accepted,
        takes_past_window: which.past_window,
        asked: which.ids,
    })
}

/// `POST /deliveries/retry/confirm`: sends just what was shown.
pub(super) async fn confirm(form: Form) -> Answer {
    let which = selection(&form)?;
    if which.ids.is_empty() {
        return Err(Fault::Invalid("No delivery was chosen.".to_owned()));
    }
    let count = form.visitor.state.store.retry(which, form.visitor.now).await?;
    form.visitor.state.ring();
    Ok(lead_to(&format!("/deliveries?resumed={count}")))
}

fn selection(form: &Form) -> Result<Retry, Fault> {
    let mut ids = Vec::new();
    for id in form.all("id") {
        ids.push(id.parse().map_err(|_| Fault::Invalid("A number of a delivery is none.".to_owned()))?);
    }
    let is_all_dead = form.one("all") == Some("dead");
    if ids.is_empty() && !is_all_dead {
        return Err(Fault::Invalid("No delivery was chosen: go back and tick at least one.".to_owned()));
    }
    if ids.len() > LIMIT {
        return Err(Fault::Invalid(format!("At most {LIMIT} are sent again at a time.")));
    }
    Ok(Retry {
        states: if ids.is_empty() { vec![DeliveryState::Dead] } else { Vec::new() },
        ids,
        upstream: form.text("upstream", 100)?,
        accepted: form.one("accepted").is_some(),
        past_window: form.one("past_window").is_some(),
        forgotten_by: forgotten(&form.visitor),
        ..Retry::default()
    })
}

fn forgotten(visitor: &Visitor) -> Vec<crate::store::Forgotten> {
    again::forgotten(&visitor.state.upstreams, visitor.now)
}
