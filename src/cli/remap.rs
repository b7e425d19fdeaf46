//! `salebridge requests remap`: today's packs over what was received before.

use std::path::Path;

use clap::{Args, Subcommand};

use super::period::instant;
use super::print::Printer;
use super::{Answer, Failure, runtime};
use super::{listing, refused};
use crate::app::load;
use crate::domain::{Clock as _, SystemClock};
use crate::remap::{Difference, Outcome, Remapper};
use crate::store::{Access, Past};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    #[command(flatten)]
    Listing(listing::Requests),
    /// Read stored requests anew by today's packs: change what is safe, and list what is not
    Remap(Arguments),
    /// What was refused, and what it comes from: the newest of each cause, or one of them whole
    Refused(refused::Arguments),
    /// Judge refused requests again, by today's configuration and as of their receipt; take in what is genuine after all
    Accept {
        /// Their numbers, from `requests refused`
        #[arg(required = true, value_name = "ID")]
        ids: Vec<i64>,
    },
}

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Only requests received from this day or instant on (2026-11-01 or RFC 3339)
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only requests of this source
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// Only say what would change
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn run(command: &Command, config: &Path, printer: &Printer) -> Answer {
    match command {
        Command::Listing(command) => listing::requests(command, config, printer),
        Command::Remap(arguments) => remap(arguments, config, printer),
        Command::Refused(arguments) => refused::run(arguments, config, printer),
        Command::Accept { ids } => refused::accept(ids, config, printer),
    }
}

fn remap(arguments: &Arguments, config: &Path, printer: &Printer) -> Answer {
    let since = arguments.since.as_deref().map(|text| instant("--since", text)).transpose()?;
    let checked = load(config)?;
    if let Some(source) = arguments.source.as_ref().filter(|source| !checked.sources.contains_key(*source)) {
        let known = checked.sources.keys().cloned().collect::<Vec<_>>().join(", ");
        return Err(Failure::Usage(format!("{source} is not a configured source; there is {known}")));
    }
    let store = checked.store.open(Access::Visit, 16)?;
    let remapper = Remapper::new(store, checked.sources, checked.rules);
    let which = Past { since, source: arguments.source.clone() };
    let now = SystemClock.now();
    let progress = |request| printer.progress(&format!("request {request}"));
    let outcome = if arguments.dry_run {
        remapper.dry_run(&which, now, progress)?
    } else {
        runtime()?.block_on(remapper.apply(&which, now, progress))?
    };
    printer.progress("");
    if printer.is_json() {
        printer.json(&outcome)
    } else {
        tell(&outcome, printer)
    }
    Ok(())
}

fn tell(outcome: &Outcome, printer: &Printer) {
    let (changes, kept) =
        if outcome.applied { ("changed", "left as they were sent") } else { ("would change", "would stay as they were sent") };
    printer.line(format!("{} requests read anew, {} events say something else", outcome.requests, outcome.events_changed));
    if !outcome.unreadable.is_empty() {
        let text = format!("sales {:?} were left alone: a source of theirs is not configured any more", outcome.unreadable);
        printer.line(printer.bad(&text));
    }
    printer.line(format!("{} sales {changes}", outcome.changes.len()));
    table(&outcome.changes, printer);
    if !outcome.changes.is_empty() {
        printer.line(
            "sales that become ready are sent by the running bridge; start it anew first, so that both read by the same packs",
        );
    }
    for (first, second) in &outcome.possible_double_counts {
        let text =
            format!("possible double count: sales {first} and {second} were both sent; correct one of them at the upstream");
        printer.line(printer.bad(&text));
    }
    if !outcome.kept.is_empty() {
        printer.line(printer.bad(&format!("{} sales {kept}, though today's packs say otherwise", outcome.kept.len())));
        table(&outcome.kept, printer);
    }
}

fn table(differences: &[Difference], printer: &Printer) {
    if differences.is_empty() {
        return;
    }
    let rows = differences.iter().flat_map(|difference| {
        difference.what.iter().map(|change| {
            let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
            vec![
                difference.sale.to_string(),
                difference.source.clone(),
                shown(&difference.invoice_id),
                change.what.clone(),
                shown(&change.before),
                shown(&change.after),
            ]
        })
    });
    printer.table(&["SALE", "SOURCE", "INVOICE", "WHAT", "BEFORE", "AFTER"], rows);
}
