//! `salebridge deliveries retry`: resuming by hand, with a preview.

use std::io::{BufRead as _, IsTerminal as _};
use std::path::Path;

use clap::Subcommand;
use serde_json::json;

use super::listing::{self, delivery_table};
use super::print::Printer;
use super::{Answer, Failure, runtime, visit};
use crate::domain::{Clock as _, SystemClock};
use crate::store::{Retry, Store as _};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    #[command(flatten)]
    Listing(listing::Command),
    /// Make a delivery due at once, or all dead letters; shows first what would be sent
    Retry {
        /// Its number
        #[arg(required_unless_present = "dead")]
        id: Option<i64>,
        /// All dead letters
        #[arg(long, conflicts_with = "id")]
        dead: bool,
        /// Only those of this upstream
        #[arg(long, requires = "dead", value_name = "NAME")]
        upstream: Option<String>,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

pub(super) fn run(command: &Command, config: &Path, printer: &Printer) -> Answer {
    match command {
        Command::Listing(command) => listing::deliveries(command, config, printer),
        Command::Retry { id, upstream, yes, .. } => {
            let which = id.map_or_else(|| Retry::Dead(upstream.clone()), Retry::One);
            retry(which, *yes, config, printer)
        }
    }
}

fn retry(which: Retry, yes: bool, config: &Path, printer: &Printer) -> Answer {
    let store = visit(config)?;
    let found = store.retryable(&which)?;
    if found.is_empty() {
        return Err(Failure::No(match which {
            Retry::One(id) => format!("delivery {id} is not there, was accepted already, or is being sent"),
            Retry::Dead(_) => "there are no dead letters".to_owned(),
        }));
    }
    if !printer.is_json() {
        printer.line(format!("to be sent again, under the same invoice ids: {}", found.len()));
        delivery_table(&found, printer);
        for delivery in found.iter().take(3) {
            if let Some(sale) = store.sale(delivery.sale)? {
                printer.line(printer.quiet(&serde_json::Value::Object(sale.event).to_string()));
            }
        }
    }
    if !yes && !agrees(printer)? {
        return Err(Failure::No("nothing was changed".to_owned()));
    }
    let count = runtime()?.block_on(store.retry(which, SystemClock.now()))?;
    if printer.is_json() {
        printer.json(&json!({"resumed": count}))
    } else {
        printer.line(format!("{count} resumed; a running bridge sends them within a second"))
    }
    Ok(())
}

fn agrees(printer: &Printer) -> Result<bool, Failure> {
    if printer.is_json() || !std::io::stdin().is_terminal() {
        return Err(Failure::Usage("say --yes where nobody can be asked".to_owned()));
    }
    printer.line("Send them? [y/N]");
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).map_err(|error| Failure::No(error.to_string()))?;
    Ok(matches!(line.trim(), "y" | "Y" | "yes"))
}
