//! One sale with its whole story: what it amounts to and how, where each field came from, why it is counted once, what happened to it;
//! kept back and let go by hand.

use std::collections::{BTreeMap, BTreeSet};

use actix_web::web::Path;
use askama::Template;

use super::deliveries::{self, Told};
use super::html::{Html, badge, code, dash, linked, money, told, when, words};
use super::layout::{Layout, Room};
use super::sales::amount;
use super::terms;
use super::visitor::{Answer, Fault, Form, Visitor, lead_to, page};
use crate::attribute::Choice;
use crate::domain::{SaleId, Timestamp};
use crate::store::{DeliveryView, EventView, SaleView};

#[derive(Template)]
#[template(path = "sale.html")]
struct Page {
    layout: Layout,
    id: SaleId,
    amount: Html,
    event: Html,
    source: String,
    is_test: bool,
    stands: Html,
    reason: Option<Html>,
    click: Option<Html>,
    at: Html,
    counted_at: Html,
    fields: Vec<Field>,
    proof: Html,
    other_side: Option<String>,
    balance: Vec<(&'static str, Html)>,
    not_counted: usize,
    adjustments: Vec<Html>,
    keys: Vec<Html>,
    customer: Option<Html>,
    dedupe: Vec<Html>,
    doubles: Vec<Double>,
    timeline: Vec<Moment>,
    requests: Vec<i64>,
    schemes: Vec<String>,
    deliveries: Vec<Told>,
    can_be_parked: bool,
    can_be_let_go: bool,
}

struct Field {
    name: String,
    value: Html,
    whence: Html,
}

struct Double {
    sale: SaleId,
    invoice: Html,
    tied_by: i64,
    timeline: Vec<Moment>,
}

/// Something that happened.
pub(super) struct Moment {
    sort: Timestamp,
    at: Html,
    what: Html,
    stands: Html,
    reason: Html,
}

/// `GET /sales/{id}`.
pub(super) async fn show(visitor: Visitor, path: Path<SaleId>) -> Answer {
    let id = path.into_inner();
    let found = visitor.read(move |store| {
        let Some(mut sale) = store.sale(id)? else { return Ok(None) };
        let doubles = sale.double_counts.iter_mut().flat_map(|double| &mut double.deliveries);
        for delivery in sale.deliveries.iter_mut().chain(doubles) {
            if let Some(whole) = store.delivery(delivery.id)? {
                *delivery = whole;
            }
        }
        Ok(Some(sale))
    });
    let sale = found.await?.ok_or_else(|| Fault::NotFound(format!("There is no sale {id}.")))?;
    let now = visitor.now;
    let source = visitor.state.sources.get(&sale.source);
    let requests: BTreeSet<i64> = sale.events.iter().map(|event| event.request).collect();
    let click = sale.trail["clickId"]["reason"].as_str().filter(|_| !sale.event.contains_key("clickId"));
    let tone = terms::sale(&sale.state, sale.deliveries.iter().map(|delivery| delivery.state));
    page(&Page {
        layout: visitor.layout(Room::Sales, &format!("Sale {id}")),
        id,
        amount: amount(&sale),
        event: told(&sale.field("event").replace('_', " ")),
        source: sale.source.clone(),
        is_test: sale.mode == "test",
        stands: badge(tone, &sale.standing()),
        reason: sale.reason.as_deref().filter(|reason| Some(*reason) != click).map(words),
        click: click.map(words),
        at: when(&sale.field("timestamp"), now),
        counted_at: when(&sale.counted_at, now),
        fields: fields(&sale),
        proof: words(&sale.proof),
        other_side: sale
            .other_side()
            .map(|(side, told)| format!("The provider told the {side} side as well: {told}. It is not counted.")),
        balance: balance(&sale),
        not_counted: sale.balance.not_counted,
        adjustments: sale.adjustments.iter().map(|said| linked(&said.in_words())).collect(),
        keys: sale.keys.iter().map(|key| code(key)).collect(),
        customer: sale.customer.as_deref().map(code),
        dedupe: dedupe(&sale),
        doubles: doubles(&sale, now),
        timeline: timeline(&sale.events, &sale.deliveries, now),
        requests: requests.into_iter().collect(),
        schemes: source.map(|source| source.pack.scheme.describe()).unwrap_or_default(),
        deliveries: sale.deliveries.iter().map(|delivery| Told::of(delivery, now)).collect(),
        can_be_parked: sale.choice == Some(Choice::Park),
        can_be_let_go: sale.choice == Some(Choice::LetGo),
    })
}

/// `POST /sales/{id}/park`.
pub(super) async fn park(path: Path<SaleId>, form: Form) -> Answer {
    let id = path.into_inner();
    form.visitor.state.park(id, form.reason()?).await?;
    Ok(lead_to(&format!("/sales/{id}")))
}

/// `POST /sales/{id}/release`.
pub(super) async fn release(path: Path<SaleId>, form: Form) -> Answer {
    let id = path.into_inner();
    form.visitor.state.let_go(id).await?;
    Ok(lead_to(&format!("/sales/{id}")))
}

/// Each field with where it came from; those that are missing as well, with the reason.
fn fields(sale: &SaleView) -> Vec<Field> {
    let names: BTreeSet<&String> = sale.event.keys().chain(sale.trail.keys()).collect();
    let order = ["event", "amount", "currency", "customerExternalId", "clickId", "invoiceId", "timestamp", "email", "name"];
    let place = |name: &str| order.iter().position(|known| *known == name).unwrap_or(order.len());
    let mut names: Vec<&String> = names.into_iter().collect();
    names.sort_by_key(|name| place(name));
    let field = |name: &String| Field {
        value: if sale.event.contains_key(name) { told(&sale.field(name)) } else { dash() },
        whence: linked(&sale.whence(name)),
        name: name.clone(),
    };
    names.into_iter().map(field).collect()
}

fn balance(sale: &SaleView) -> Vec<(&'static str, Html)> {
    if sale.adjustments.is_empty() {
        return Vec::new();
    }
    let (balance, currency) = (&sale.balance, sale.field("currency"));
    let lines = [
        ("Amount that was counted", &balance.amount),
        ("Given back, of all that was paid", &balance.refunded),
        ("Disputed, of all that was paid", &balance.disputed),
        ("Voided or failed, of all that was paid", &balance.cancelled),
        ("Taken back from the amount", &balance.taken_back),
        ("Left of the amount", &balance.left),
    ];
    lines.map(|(name, amount)| (name, money(amount, &currency))).into()
}

/// Why it is one sale, in sentences.
fn dedupe(sale: &SaleView) -> Vec<Html> {
    let mut by_outcome: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for event in &sale.events {
        by_outcome.entry(&event.outcome).or_default().push(format!("{} in request {}", shown_kind(&event.kind), event.request));
    }
    let mut said = Vec::new();
    let mut say = |outcome: &str, text: &str| {
        if let Some(events) = by_outcome.get(outcome) {
            said.push(linked(&format!("{text}: {}.", events.join(", "))));
        }
    };
    say("sale", "Counted as a new sale, because none was known by any of the ids");
    say("corroborates", "The same purchase, known by one of its ids, so not counted again");
    say("duplicate", "The same event again, with other bytes, so not looked at twice");
    say("adjustment", "Money that went back belongs to it");
    say("ignored", "No sale of its own, but speaks of this one");
    if let Some(into) = sale.merged_into {
        said.push(linked(&format!(
            "An event named this and another sale: sale {into} stands for both, and this one is not sent."
        )));
    }
    if sale.possible_double_counts.is_empty() && sale.merged_into.is_none() {
        said.push(words("No other sale turned out to be the same purchase."));
    }
    said
}

fn doubles(sale: &SaleView, now: Timestamp) -> Vec<Double> {
    let double = |other: &crate::store::DoubleView| Double {
        sale: other.sale,
        invoice: super::html::code_or_dash(other.invoice_id.as_deref()),
        tied_by: other.tied_by,
        timeline: timeline(&other.events, &other.deliveries, now),
    };
    sale.double_counts.iter().map(double).collect()
}

/// Events and attempts in one order of time: events by the provider's word, attempts by the bridge's clock.
fn timeline(events: &[EventView], deliveries: &[DeliveryView], now: Timestamp) -> Vec<Moment> {
    let sort = |at: &str| at.parse().unwrap_or(Timestamp::UNIX_EPOCH);
    let event = |event: &EventView| {
        let (tone, stands) = terms::outcome(&event.outcome);
        Moment {
            sort: sort(&event.at),
            at: when(&event.at, now),
            what: linked(&format!("{} in request {}", shown_kind(&event.kind), event.request)),
            stands: badge(tone, stands),
            reason: event.reason.as_deref().map(words).unwrap_or_default(),
        }
    };
    let mut moments: Vec<Moment> = events.iter().map(event).collect();
    for delivery in deliveries {
        for attempt in &delivery.history {
            moments.push(Moment {
                sort: sort(&attempt.started_at),
                at: when(&attempt.started_at, now),
                what: words(&format!("attempt {} at {} to {}", attempt.number, delivery.what(), delivery.upstream)),
                stands: deliveries::attempt_badge(&attempt.outcome, attempt.status),
                reason: words(&attempt.reason),
            });
        }
    }
    moments.sort_by_key(|moment| moment.sort);
    moments
}

/// The provider's type of an event.
pub(super) fn shown_kind(kind: &str) -> &str {
    if kind.is_empty() { "(unreadable)" } else { kind }
}
