//! `salebridge sales|requests|deliveries list|show`: what is in the store, for people and for programs.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Subcommand;
use serde_json::{Value, json};

use super::print::{Printer, clean};
use super::{Answer, Failure, visit};
use crate::store::{DeliveryView, EventView, RequestView, SaleView};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List the newest, one a line
    List {
        /// At most so many
        #[arg(long, default_value_t = 100)]
        limit: usize,
    },
    /// Show one with its whole story
    Show {
        /// Its number
        id: i64,
    },
}

pub(super) fn sales(command: &Command, config: &Path, printer: &Printer) -> Answer {
    let store = visit(config)?;
    match command {
        Command::List { limit } => {
            let sales = store.sales(*limit)?;
            if printer.is_json() { printer.json(&sales) } else { sale_table(&sales, printer) }
        }
        Command::Show { id } => {
            let sale = store.sale(*id)?.ok_or_else(|| Failure::No(format!("there is no sale {id}")))?;
            if printer.is_json() { printer.json(&sale) } else { show_sale(&sale, printer) }
        }
    }
    Ok(())
}

pub(super) fn requests(command: &Command, config: &Path, printer: &Printer) -> Answer {
    let store = visit(config)?;
    match command {
        Command::List { limit } => {
            let requests = store.requests(*limit)?;
            if printer.is_json() { printer.json(&requests) } else { request_table(&requests, printer) }
        }
        Command::Show { id } => {
            let (view, request) = store.request(*id)?.ok_or_else(|| Failure::No(format!("there is no request {id}")))?;
            let headers: Vec<(&str, &str)> = request.headers.iter().collect();
            let text = std::str::from_utf8(&request.body).ok();
            if printer.is_json() {
                let mut shown = serde_json::to_value(&view).expect("our own views are JSON");
                shown["headers"] = json!(headers);
                match text {
                    Some(text) => shown["body"] = text.into(),
                    None => shown["body_base64"] = STANDARD.encode(&request.body).into(),
                }
                printer.json(&shown);
                return Ok(());
            }
            printer.line(format!(
                "request   {} of {}, received {}, {} bytes",
                view.id, view.source, view.received_at, view.body_bytes
            ));
            show_events(&view.events, printer);
            headers.iter().for_each(|(name, value)| printer.line(format!("{}: {}", printer.quiet(&clean(name)), clean(value))));
            printer.line("");
            printer.line(clean(text.unwrap_or("(not text; --json shows it in base64)")));
        }
    }
    Ok(())
}

pub(super) fn deliveries(command: &Command, config: &Path, printer: &Printer) -> Answer {
    let store = visit(config)?;
    match command {
        Command::List { limit } => {
            let deliveries = store.deliveries(*limit)?;
            if printer.is_json() {
                printer.json(&deliveries);
                return Ok(());
            }
            for upstream in store.upstreams()?.into_iter().filter(|upstream| upstream.paused) {
                let reason = upstream.reason.unwrap_or_default();
                printer.line(printer.bad(&format!(
                    "{} is paused since {}: {reason}",
                    upstream.name,
                    upstream.since.unwrap_or_default()
                )));
            }
            delivery_table(&deliveries, printer);
        }
        Command::Show { id } => {
            let delivery = store.delivery(*id)?.ok_or_else(|| Failure::No(format!("there is no delivery {id}")))?;
            if printer.is_json() { printer.json(&delivery) } else { show_delivery(&delivery, printer) }
        }
    }
    Ok(())
}

/// The ledger as a table.
pub(super) fn sale_table(sales: &[SaleView], printer: &Printer) {
    let text = |sale: &SaleView, name: &str| match sale.event.get(name) {
        Some(Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
        None => "-".to_owned(),
    };
    let rows = sales.iter().map(|sale| {
        vec![
            sale.id.to_string(),
            sale.source.clone(),
            text(sale, "event"),
            text(sale, "amount"),
            text(sale, "currency"),
            text(sale, "customerExternalId"),
            text(sale, "clickId"),
            text(sale, "invoiceId"),
            standing(sale),
        ]
    });
    printer.table(&["SALE", "SOURCE", "EVENT", "AMOUNT", "CUR", "CUSTOMER", "CLICK", "INVOICE", "STANDS"], rows);
}

/// Deliveries as a table.
pub(super) fn delivery_table(deliveries: &[DeliveryView], printer: &Printer) {
    let rows = deliveries.iter().map(|delivery| {
        vec![
            delivery.id.to_string(),
            delivery.sale.to_string(),
            delivery.upstream.clone(),
            what(delivery),
            delivery.invoice_id.clone().unwrap_or_default(),
            delivery.state.as_str().to_owned(),
            delivery.attempts.to_string(),
            delivery.due_at.clone(),
            delivery.last_reason.clone().unwrap_or_default(),
        ]
    });
    printer.table(&["DELIVERY", "SALE", "UPSTREAM", "WHAT", "INVOICE", "STATE", "TRIES", "DUE", "LAST"], rows);
}

/// What a delivery tells: the sale, or how much of it goes back.
fn what(delivery: &DeliveryView) -> String {
    match &delivery.adjustment {
        Some(step) => format!("back {} {}", step.amount, step.currency),
        None => "sale".to_owned(),
    }
}

/// One delivery with its attempts.
fn show_delivery(delivery: &DeliveryView, printer: &Printer) {
    printer.line(format!("delivery  {} of sale {} to {}: {}", delivery.id, delivery.sale, delivery.upstream, what(delivery)));
    if let Some(id) = &delivery.upstream_id {
        printer.line(format!("known as  {} there", clean(id)));
    }
    printer.line(format!("state     {}, {} tries, due {}", delivery.state.as_str(), delivery.attempts, delivery.due_at));
    for attempt in &delivery.history {
        let status = attempt.status.map_or_else(|| "no answer".to_owned(), |status| status.to_string());
        printer.line(format!(
            "attempt {} at {} ({} ms): {status}, {}: {}",
            attempt.number, attempt.started_at, attempt.duration_ms, attempt.outcome, attempt.reason
        ));
        printer.line(clean(&attempt.request).lines().map(|line| format!("  > {line}\n")).collect::<String>().trim_end());
        printer.line(clean(&attempt.answer).lines().map(|line| format!("  < {line}\n")).collect::<String>().trim_end());
    }
}

fn show_sale(sale: &SaleView, printer: &Printer) {
    printer.line(format!("sale      {} of {} ({}), counted {}", sale.id, sale.source, sale.mode, sale.counted_at));
    printer.line(format!("stands    {}", standing(sale)));
    if let Some(reason) = &sale.reason {
        printer.line(format!("          {reason}"));
    }
    for (name, value) in &sale.event {
        let origin = &sale.trail[name];
        printer.line(format!("  {name:<20} {}  {}", clean(&value.to_string()), printer.quiet(&whence(origin))).trim_end());
    }
    for (name, origin) in sale.trail.iter().filter(|(name, _)| !sale.event.contains_key(*name)) {
        printer.line(format!("  {name:<20} -  {}", printer.quiet(&whence(origin))));
    }
    printer.line(format!("proof     {}", sale.proof));
    if let Some(other) = sale.amounts.get("other") {
        let told = format!("{} minor units of {}", other["minor"], other["currency"].as_str().unwrap_or_default());
        printer.line(format!("{:<9} {told}, not counted", other["side"].as_str().unwrap_or_default()));
    }
    show_balance(sale, printer);
    printer.line(format!("known by  {}", sale.keys.join(", ")));
    show_events(&sale.events, printer);
    show_deliveries(&sale.deliveries, printer);
    for other in &sale.double_counts {
        let text = "was sent as well and turned out to be the same purchase";
        let invoice = other.invoice_id.as_deref().unwrap_or_default();
        printer.line(
            printer.bad(&format!(
                "possible double count: sale {} ({invoice}) {text}, as request {} shows",
                other.sale, other.tied_by
            )),
        );
        show_events(&other.events, printer);
        show_deliveries(&other.deliveries, printer);
    }
}

/// Where a value came from, or why there is none.
fn whence(origin: &Value) -> String {
    let text = |name: &str| origin[name].as_str().unwrap_or_default().to_owned();
    match origin["from"].as_str() {
        Some("request") if origin["type"].is_string() => format!("request {}, {}", origin["request"], clean(&text("type"))),
        Some("request") => format!("request {} at {}", origin["request"], text("path")),
        Some("memory") => format!("remembered from request {}", origin["request"]),
        Some("fallback") => format!("{} of request {} stands in for it", text("of").replace('_', " "), origin["request"]),
        Some("receipt") => format!("the time at which request {} was received", origin["request"]),
        Some("key") => format!("its strongest id: {}", text("kind")),
        Some(_) | None => text("reason"),
    }
}

fn show_balance(sale: &SaleView, printer: &Printer) {
    if sale.adjustments.is_empty() {
        return;
    }
    for said in &sale.adjustments {
        let word = |name: &str| said.adjustment.get(name).map(|value| value.to_string().trim_matches('"').to_owned());
        let amount = match (word("amount"), word("currency")) {
            (Some(amount), Some(currency)) => format!("{amount} {currency}"),
            (Some(_) | None, Some(_) | None) => "all of it".to_owned(),
        };
        let all = if said.adjustment.contains_key("cumulative") { " in all so far" } else { "" };
        let id = word("id").map(|id| format!(" {}", clean(&id))).unwrap_or_default();
        let (kind, at) = (word("adjustment").unwrap_or_default(), word("timestamp").unwrap_or_default());
        printer.line(format!("back      {kind}{id}: {amount}{all}, at {at} (request {})", said.request));
    }
    let balance = &sale.balance;
    printer.line(format!("left      {} of {}; taken back {}", balance.left, balance.amount, balance.taken_back));
    if balance.not_counted > 0 {
        let text = format!("          {} in a currency of which the sale knows nothing: kept, not counted", balance.not_counted);
        printer.line(printer.bad(&text));
    }
}

fn show_deliveries(deliveries: &[DeliveryView], printer: &Printer) {
    for delivery in deliveries {
        let reason = delivery.last_reason.as_deref().unwrap_or("not tried yet");
        let (id, upstream, state) = (delivery.id, &delivery.upstream, delivery.state.as_str());
        let what = if delivery.adjustment.is_some() { format!(" ({})", what(delivery)) } else { String::new() };
        printer.line(format!("delivery  {id} to {upstream}{what}: {state}, {} tries: {reason}", delivery.attempts));
    }
}

fn show_events(events: &[EventView], printer: &Printer) {
    for event in events {
        let kind = if event.kind.is_empty() { "(unreadable)".to_owned() } else { clean(&event.kind) };
        let sale = event.sale.map(|sale| format!(" (sale {sale})")).unwrap_or_default();
        let reason = event.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
        printer.line(format!("event     {kind} in request {}, {}{sale}{reason}", event.request, event.outcome));
    }
}

fn request_table(requests: &[RequestView], printer: &Printer) {
    let rows = requests.iter().map(|request| {
        let first = request.events.first();
        vec![
            request.id.to_string(),
            request.source.clone(),
            request.received_at.clone(),
            first.map(|event| event.kind.clone()).unwrap_or_default(),
            request.outcome.clone(),
            first.and_then(|event| event.sale).map(|sale| sale.to_string()).unwrap_or_default(),
            first.and_then(|event| event.reason.clone()).unwrap_or_default(),
        ]
    });
    printer.table(&["REQUEST", "SOURCE", "RECEIVED", "TYPE", "OUTCOME", "SALE", "REASON"], rows);
}

/// Where a sale stands, in few words: its own state, or that of its deliveries once it was handed on.
fn standing(sale: &SaleView) -> String {
    if let Some(into) = sale.merged_into {
        return format!("merged into sale {into}");
    }
    if sale.state != "ready" {
        return match &sale.code {
            Some(code) => format!("{}: {code}", sale.state),
            None => sale.state.clone(),
        };
    }
    let state = |delivery: &DeliveryView| {
        let what = if delivery.adjustment.is_some() { " refund" } else { "" };
        format!("{}{what} {}", delivery.upstream, delivery.state.as_str())
    };
    let states: Vec<String> = sale.deliveries.iter().map(state).collect();
    if !sale.possible_double_counts.is_empty() {
        return format!("{}, possible double count of {:?}", states.join(", "), sale.possible_double_counts);
    }
    if states.is_empty() { "counted, no upstream".to_owned() } else { states.join(", ") }
}
