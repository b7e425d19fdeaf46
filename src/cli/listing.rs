//! `salebridge sales|requests|deliveries list|show`, `sales find`: what is in the store, for people and for programs.

use std::io::Read as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Subcommand;
use serde_json::{Value, json};

use super::print::{Printer, clean};
use super::story::{show_delivery, show_events, show_sale};
use super::table::time;
use super::{Answer, Failure, filter, visit};
use crate::app;
use crate::domain::{DeliveryId, RequestId, SaleId};
use crate::store::{DeliveryView, RequestView, SaleView, Store};

/// A search that finds more shows the newest of them.
const FOUND: usize = 100;
/// Nothing that a sale is known by is longer.
const TEXT_LIMIT_BYTES: u64 = 4096;

#[derive(Debug, Subcommand)]
pub(super) enum Sales {
    /// List the newest, one a line
    List(filter::Sales),
    /// Show one with its whole story
    Show {
        /// Its number
        id: SaleId,
    },
    /// Find those that are known by exactly this: an invoice, an e-mail address, a customer, a click, or an id of the provider
    Find {
        /// What they are known by; - reads it from standard input, so that it does not stay in the shell's history
        text: String,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum Requests {
    /// List the newest, one a line
    List(filter::Requests),
    /// Show one with its whole story
    Show {
        /// Its number
        id: RequestId,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum Deliveries {
    /// List the newest, one a line
    List(filter::Deliveries),
    /// Show one with its whole story
    Show {
        /// Its number
        id: DeliveryId,
    },
}

pub(super) fn sales(command: &Sales, config: &Path, printer: &Printer) -> Answer {
    let store = visit(config)?;
    match command {
        Sales::List(which) => {
            let (filter, extent) = which.filter(&*store, config)?;
            let sales = extent.rows(|paging| store.list_sales(&filter, paging))?;
            if printer.is_json() { printer.json(&sales) } else { sale_table(&sales, printer) }
        }
        Sales::Show { id } => {
            let sale = store.sale(*id)?.ok_or_else(|| Failure::No(format!("there is no sale {id}")))?;
            if printer.is_json() { printer.json(&sale) } else { show_sale(&sale, printer) }
        }
        Sales::Find { text } => find(text, &*store, printer)?,
    }
    Ok(())
}

fn find(text: &str, store: &dyn Store, printer: &Printer) -> Answer {
    let text = if text == "-" { from_standard_input()? } else { text.to_owned() };
    let text = text.trim();
    if text.is_empty() {
        return Err(Failure::Usage("say what the sales are known by".to_owned()));
    }
    let (sales, count) = store.search_sales(text, FOUND)?;
    if printer.is_json() {
        printer.json(&sales);
    } else if !sales.is_empty() {
        sale_table(&sales, printer);
    }
    if count > sales.len() {
        let all = if count >= 1000 { "1000 or more".to_owned() } else { count.to_string() };
        printer.note(&format!("the newest {} of {all} are shown", sales.len()));
    }
    if sales.is_empty() { Err(Failure::No("no sale is known by exactly this".to_owned())) } else { Ok(()) }
}

/// The first line of standard input.
fn from_standard_input() -> Result<String, Failure> {
    let mut text = String::new();
    let read = std::io::stdin().lock().take(TEXT_LIMIT_BYTES).read_to_string(&mut text);
    read.map_err(|error| Failure::Usage(format!("standard input cannot be read: {error}")))?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

pub(super) fn requests(command: &Requests, config: &Path, printer: &Printer) -> Answer {
    let store = visit(config)?;
    match command {
        Requests::List(which) => {
            let (filter, extent) = which.filter(&*store, config)?;
            let requests = extent.rows(|paging| store.list_requests(&filter, paging))?;
            if printer.is_json() { printer.json(&requests) } else { request_table(&requests, printer) }
        }
        Requests::Show { id } => {
            let (view, request) = store.request(*id)?.ok_or_else(|| Failure::No(format!("there is no request {id}")))?;
            let own = own_headers(config, &request.source);
            let headers = request.shown_headers(|name| own.iter().any(|known| known == name));
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

/// The headers, in lower case, with which this source's provider signs or opens. What is called so signs or opens anyway, so a
/// configuration that cannot be read, or no longer names the source, does not stand in the way.
fn own_headers(config: &Path, source: &str) -> Vec<String> {
    let checked = app::load(config).ok();
    let source = checked.as_ref().and_then(|checked| checked.sources.get(source));
    source.into_iter().flat_map(|source| source.pack.scheme.own_headers()).map(str::to_ascii_lowercase).collect()
}

pub(super) fn deliveries(command: &Deliveries, config: &Path, printer: &Printer) -> Answer {
    let store = visit(config)?;
    match command {
        Deliveries::List(which) => {
            let (filter, extent) = which.filter()?;
            let deliveries = extent.rows(|paging| store.list_deliveries(&filter, paging))?;
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
        Deliveries::Show { id } => {
            let delivery = store.delivery(*id)?.ok_or_else(|| Failure::No(format!("there is no delivery {id}")))?;
            if printer.is_json() { printer.json(&delivery) } else { show_delivery(&delivery, printer) }
        }
    }
    Ok(())
}

/// Where the column stands that says what is left of the amounts, if something of any was taken back.
const LEFT: usize = 4;

/// Where the column stands that tells sales from money that went back, if there is any.
const WHAT: usize = 3;

/// The ledger as a table.
pub(super) fn sale_table(sales: &[SaleView], printer: &Printer) {
    let text = |sale: &SaleView, name: &str| match sale.event.get(name) {
        Some(Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
        None => "-".to_owned(),
    };
    let left = |sale: &SaleView| (sale.balance.left != sale.balance.amount).then(|| sale.balance.left.to_string());
    let mut headings = vec!["SALE", "SOURCE", "EVENT", "AMOUNT", "CUR", "CUSTOMER", "CLICK", "INVOICE", "STANDS"];
    let is_any_taken_back = sales.iter().any(|sale| left(sale).is_some());
    if is_any_taken_back {
        headings.insert(LEFT, "LEFT");
    }
    let rows = sales.iter().map(|sale| {
        let mut row = vec![
            sale.id.to_string(),
            sale.source.clone(),
            text(sale, "event"),
            text(sale, "amount"),
            text(sale, "currency"),
            text(sale, "customerExternalId"),
            text(sale, "clickId"),
            text(sale, "invoiceId"),
            sale.standing(),
        ];
        if is_any_taken_back {
            row.insert(LEFT, left(sale).unwrap_or_default());
        }
        row
    });
    printer.table(&headings, rows);
}

/// Deliveries as a table.
pub(super) fn delivery_table(deliveries: &[DeliveryView], printer: &Printer) {
    let mut headings = vec!["DELIVERY", "SALE", "UPSTREAM", "INVOICE", "STATE", "TRIES", "DUE", "LAST"];
    let is_any_adjustment = deliveries.iter().any(|delivery| delivery.adjustment.is_some());
    if is_any_adjustment {
        headings.insert(WHAT, "WHAT");
    }
    let rows = deliveries.iter().map(|delivery| {
        let mut row = vec![
            delivery.id.to_string(),
            delivery.sale.to_string(),
            delivery.upstream.clone(),
            delivery.invoice_id.clone().unwrap_or_default(),
            delivery.state.as_str().to_owned(),
            delivery.attempts.to_string(),
            time(&delivery.due_at),
            delivery.last_reason.clone().unwrap_or_default(),
        ];
        if is_any_adjustment {
            row.insert(WHAT, delivery.what());
        }
        row
    });
    printer.table(&headings, rows);
}

fn request_table(requests: &[RequestView], printer: &Printer) {
    let rows = requests.iter().map(|request| {
        let first = request.events.first();
        vec![
            request.id.to_string(),
            request.source.clone(),
            time(&request.received_at),
            first.map(|event| event.kind.clone()).unwrap_or_default(),
            request.outcome.clone(),
            first.and_then(|event| event.sale).map(|sale| sale.to_string()).unwrap_or_default(),
            first.and_then(|event| event.reason.clone()).unwrap_or_default(),
        ]
    });
    printer.table(&["REQUEST", "SOURCE", "RECEIVED", "TYPE", "OUTCOME", "SALE", "REASON"], rows);
}
