//! `salebridge report`: the ledger over a period, for people, for programs and for tables.

use std::path::Path;
use std::time::Duration;

use clap::Args;
use serde_json::Value;

use super::filter::known_source;
use super::period::instant;
use super::print::Printer;
use super::{Answer, Failure, visit};
use crate::domain::{Clock as _, SystemClock};
use crate::store::{Period, Report};

/// Without --since, so long a time is reported.
const USUAL: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// No event is believed to happen later than this after its receipt.
const AHEAD: Duration = Duration::from_secs(24 * 60 * 60);

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// From this day or instant on, by the providers' times (2026-11-01 or RFC 3339); by default 30 days before the end
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Before this day or instant; by default a day from now, because clocks differ
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Only this source
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// One table of comma-separated values
    #[arg(long, conflicts_with = "json")]
    csv: bool,
}

pub(super) fn run(arguments: &Arguments, config: &Path, printer: &Printer) -> Answer {
    let until = arguments.until.as_deref().map(|text| instant("--until", text)).transpose()?;
    // Providers' clocks may run ahead, and what they tell is taken up to a day into the future.
    let until = until.unwrap_or_else(|| SystemClock.now() + AHEAD);
    let since = arguments.since.as_deref().map(|text| instant("--since", text)).transpose()?;
    let since = since.unwrap_or_else(|| until.checked_sub(USUAL).unwrap_or(until));
    if since >= until {
        return Err(Failure::Usage(format!("the period ends before it begins: {since} to {until}")));
    }
    let store = visit(config)?;
    known_source(arguments.source.as_deref(), &*store, config)?;
    let report = store.report(&Period { since, until, source: arguments.source.clone() })?;
    match (printer.is_json(), arguments.csv) {
        (true, _) => printer.json(&report),
        (false, true) => csv(&report, printer),
        (false, false) => tell(&report, printer),
    }
    Ok(())
}

/// The parts of a report as tables: title, heads, rows.
type Part = (&'static str, Vec<&'static str>, Vec<Vec<String>>);

fn parts(report: &Report) -> Vec<Part> {
    let count = |count: u64| count.to_string();
    let number = Value::to_string;
    let sales = report.sales.iter().map(|line| {
        let (amount, back, left) = (number(&line.amount), number(&line.taken_back), number(&line.left));
        vec![line.source.clone(), line.event.clone(), line.currency.clone(), count(line.sales), amount, back, left]
    });
    let attribution = report.attribution.iter().map(|line| {
        let code = line.code.clone().unwrap_or_default();
        vec![line.how.clone(), code, line.currency.clone(), count(line.sales), number(&line.amount)]
    });
    let parked = report
        .parked
        .iter()
        .map(|line| vec![line.what.clone(), line.source.clone(), line.code.clone(), count(line.count), line.example.to_string()]);
    let doubles = report.possible_double_counts.iter().map(|line| {
        let ids = [line.first, line.second, line.tied_by].map(|id| id.to_string());
        ids.into_iter().chain([line.currency.clone(), number(&line.amount)]).collect()
    });
    let adjustments = report.adjustments.iter().map(|line| {
        let found = if line.has_sale { "yes" } else { "no" };
        let (currency, amount) = (line.currency.clone().unwrap_or_default(), line.amount.as_ref().map(number));
        let amount = amount.unwrap_or_default();
        vec![line.source.clone(), line.kind.clone(), found.to_owned(), currency, count(line.events), amount]
    });
    let test = report.test_mode.iter().map(|line| vec![line.source.clone(), line.outcome.clone(), count(line.events)]);
    vec![
        ("sales", vec!["source", "event", "currency", "sales", "amount", "taken_back", "left"], sales.collect()),
        ("attribution", vec!["how", "code", "currency", "sales", "amount"], attribution.collect()),
        ("parked", vec!["what", "source", "code", "count", "example"], parked.collect()),
        ("possible_double_counts", vec!["first", "second", "tied_by", "currency", "amount"], doubles.collect()),
        ("adjustments", vec!["source", "kind", "has_sale", "currency", "events", "amount"], adjustments.collect()),
        ("test_mode", vec!["source", "outcome", "events"], test.collect()),
    ]
}

fn tell(report: &Report, printer: &Printer) {
    printer.line(format!("from {} to {}", report.since, report.until));
    for (title, heads, rows) in parts(report) {
        printer.line("");
        let title = title.replace('_', " ");
        if rows.is_empty() {
            printer.line(format!("{title}: none"));
            continue;
        }
        printer.line(format!("{title}:"));
        let heads: Vec<String> = heads.iter().map(|head| head.to_uppercase().replace('_', " ")).collect();
        printer.table(&heads.iter().map(String::as_str).collect::<Vec<_>>(), rows);
    }
}

/// One table: the columns of all parts, empty where a part has none of that name.
fn csv(report: &Report, printer: &Printer) {
    let parts = parts(report);
    let mut columns: Vec<&str> = Vec::new();
    for column in parts.iter().flat_map(|(_, heads, _)| heads) {
        if !columns.contains(column) {
            columns.push(column);
        }
    }
    printer.line(format!("part,{}", columns.join(",")));
    for (title, heads, rows) in &parts {
        for row in rows {
            let cell = |column: &&str| heads.iter().position(|head| head == column).map_or("", |place| row[place].as_str());
            let cells: Vec<String> = columns.iter().map(|column| quoted(cell(column))).collect();
            printer.line(format!("{title},{}", cells.join(",")));
        }
    }
}

/// A cell as RFC 4180 wants it. One that a spreadsheet would take for a formula is led by an apostrophe.
fn quoted(cell: &str) -> String {
    let is_number = cell.parse::<i128>().is_ok() || cell.replacen('.', "", 1).parse::<i128>().is_ok();
    let text = if cell.starts_with(['=', '+', '-', '@']) && !is_number { format!("'{cell}") } else { cell.to_owned() };
    if text.contains(['"', ',', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}
