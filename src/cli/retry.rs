//! `salebridge deliveries retry`: sending again by hand, with a preview.

use std::io::{BufRead as _, IsTerminal as _};
use std::path::Path;
use std::sync::Arc;

use clap::{Args, Subcommand};
use serde_json::json;

use super::listing::{self, delivery_table};
use super::period::instant;
use super::print::{Printer, clean};
use super::{Answer, Failure, runtime, visit};
use crate::app::upstreams;
use crate::domain::{Clock as _, DeliveryId, DeliveryState, SystemClock, Timestamp};
use crate::forward::{Upstream, again};
use crate::store::{Retry, RetryView};

/// So many deliveries are listed before they are sent.
const LISTED: usize = 20;
/// So many requests are shown as they would be sent.
const SHOWN: usize = 3;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    #[command(flatten)]
    Listing(listing::Deliveries),
    /// Send deliveries again: one, some by a filter, or all dead letters. Says first what would be sent, and what had better not be
    Retry(RetryArguments),
}

#[derive(Debug, Args)]
pub(super) struct RetryArguments {
    /// Their numbers
    #[arg(required_unless_present_any = ["dead", "state", "upstream", "source", "status", "since", "until"])]
    ids: Vec<DeliveryId>,
    /// Dead letters; so it is where neither numbers nor --state are given
    #[arg(long, conflicts_with_all = ["ids", "state"])]
    dead: bool,
    /// Those in this state: dead, due, held, skipped, delivered, duplicate or unattributed; repeatable
    #[arg(long, value_name = "STATE", value_parser = state)]
    state: Vec<DeliveryState>,
    /// Those to this upstream
    #[arg(long, value_name = "NAME")]
    upstream: Option<String>,
    /// Those of sales of this source
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// Those whose last answer had this HTTP status
    #[arg(long, value_name = "CODE")]
    status: Option<u16>,
    /// Those made at this day (UTC) or instant, or later
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Those made before this day (UTC) or instant
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Also what was accepted before: the upstream knows it again by its idempotency key
    #[arg(long)]
    accepted: bool,
    /// Also what may have been accepted so long ago that the upstream would count it a second time
    #[arg(long)]
    past_window: bool,
    /// Only say what would be sent
    #[arg(long)]
    dry_run: bool,
    /// Do not ask
    #[arg(long, conflicts_with = "dry_run")]
    yes: bool,
}

pub(super) fn run(command: &Command, config: &Path, printer: &Printer) -> Answer {
    match command {
        Command::Listing(command) => listing::deliveries(command, config, printer),
        Command::Retry(arguments) => retry(arguments, config, printer),
    }
}

fn retry(arguments: &RetryArguments, config: &Path, printer: &Printer) -> Answer {
    let store = visit(config)?;
    let upstreams = upstreams(config)?;
    let now = SystemClock.now();
    let which = selection(arguments, &upstreams, now)?;
    let view = store.retryable(&which, LISTED)?;
    let requests = again::requests(&*store, &view, &upstreams, SHOWN, now)?;
    if !printer.is_json() {
        preview(&view, &requests, printer);
    }
    if view.count == 0 {
        let left_out = view.accepted + view.past_window;
        return Err(Failure::No(match left_out {
            0 => "nothing matches that could be sent".to_owned(),
            _ => format!("nothing is sent: {} accepted already, {} past the upstream's memory", view.accepted, view.past_window),
        }));
    }
    if arguments.dry_run {
        if printer.is_json() {
            printer.json(&json!({"preview": view, "requests": requests, "resumed": 0}));
        }
        return Ok(());
    }
    if !arguments.yes && !agrees(printer)? {
        return Err(Failure::No("nothing was changed".to_owned()));
    }
    let count = runtime()?.block_on(store.retry(which, now))?;
    if printer.is_json() {
        printer.json(&json!({"preview": view, "requests": requests, "resumed": count}));
    } else {
        printer.line(format!(
            "{count} resumed; a running bridge sends them within a second, as fast as the upstream's limit allows, unless the upstream was \
             paused by hand or is not configured any more"
        ));
    }
    Ok(())
}

fn selection(arguments: &RetryArguments, upstreams: &[Arc<Upstream>], now: Timestamp) -> Result<Retry, Failure> {
    let bound = |option: &str, text: &Option<String>| text.as_deref().map(|text| instant(option, text)).transpose();
    Ok(Retry {
        ids: arguments.ids.clone(),
        states: arguments.state.clone(),
        upstream: arguments.upstream.clone(),
        source: arguments.source.clone(),
        status: arguments.status,
        since: bound("--since", &arguments.since)?,
        until: bound("--until", &arguments.until)?,
        accepted: arguments.accepted,
        past_window: arguments.past_window,
        forgotten_by: again::forgotten(upstreams, now),
    })
}

fn preview(view: &RetryView, requests: &[String], printer: &Printer) {
    if view.accepted > 0 {
        printer.line(format!("left out: {} that the upstream accepted before; --accepted sends them again", view.accepted));
    }
    if view.past_window > 0 {
        printer.line(printer.bad(&format!(
            "left out: {} that may have been accepted, and that the upstream would count a second time; look for them in its dashboard, \
             then --past-window sends them again",
            view.past_window
        )));
    }
    if view.count == 0 {
        return;
    }
    printer.line(format!("to be sent again, under the same ids: {}", view.count));
    delivery_table(&view.first, printer);
    if view.count > view.first.len() {
        printer.line(format!("… and {} more", view.count - view.first.len()));
    }
    for request in requests {
        printer.line("");
        printer.line(printer.quiet(&clean(request)));
    }
    printer.line("");
}

fn state(text: &str) -> Result<DeliveryState, String> {
    match DeliveryState::parse(text) {
        Some(DeliveryState::Sending | DeliveryState::Merged | DeliveryState::Withdrawn) | None => {
            Err("is none of dead, due, held, skipped, delivered, duplicate, unattributed".to_owned())
        }
        Some(state) => Ok(state),
    }
}

fn agrees(printer: &Printer) -> Result<bool, Failure> {
    if printer.is_json() || !std::io::stdin().is_terminal() {
        return Err(Failure::Usage("say --yes, or --dry-run, where nobody can be asked".to_owned()));
    }
    printer.line("Send them? [y/N]");
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).map_err(|error| Failure::No(error.to_string()))?;
    Ok(matches!(line.trim(), "y" | "Y" | "yes"))
}
