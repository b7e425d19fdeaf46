//! `salebridge alarms list|test`: which alarms are on, and whether they arrive.

use std::path::Path;

use clap::Subcommand;
use serde_json::json;

use super::print::Printer;
use super::{Answer, Failure, runtime, visit};
use crate::alarm::{Kind, Teller};
use crate::app::{Checked, load, store};
use crate::domain::{Clock as _, SystemClock};
use crate::store::AlarmRecord;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List the alarms that are on
    List,
    /// Send one that says that it is a test
    Test,
}

pub(super) fn run(command: &Command, config: &Path, printer: &Printer) -> Answer {
    match command {
        Command::List => list(config, printer),
        Command::Test => test(&load(config)?, config, printer),
    }
}

fn list(config: &Path, printer: &Printer) -> Answer {
    // Before the first start there is no store, and no alarm.
    let mut records = if store(config)?.may_be_there() { visit(config)?.alarms()? } else { Vec::new() };
    records.retain(|record| record.since.is_some());
    let since = |record: &AlarmRecord| record.since.map(|since| since.to_string());
    let parts = |record: &AlarmRecord| {
        let (kind, about) = Kind::of_name(&record.name).map_or(("", ""), |(kind, about)| (kind.as_str(), about));
        (kind.to_owned(), about.to_owned())
    };
    if printer.is_json() {
        let row = |record: &AlarmRecord| {
            let (kind, about) = parts(record);
            json!({"alarm": kind, "about": about, "since": since(record), "what": record.what})
        };
        printer.json(&records.iter().map(row).collect::<Vec<_>>());
    } else {
        let rows = records.iter().map(|record| {
            let (kind, about) = parts(record);
            vec![kind, about, since(record).unwrap_or_default(), record.what.clone()]
        });
        printer.table(&["ALARM", "ABOUT", "SINCE", "WHAT"], rows);
    }
    Ok(())
}

fn test(checked: &Checked, config: &Path, printer: &Printer) -> Answer {
    let Some(alarms) = &checked.alarms else {
        return Err(Failure::Usage(format!("{}: there is no [alarms]: nobody is told of any", config.display())));
    };
    let host = alarms.host();
    let teller = Teller::new(alarms, checked.bridge_name()).map_err(Failure::No)?;
    runtime()?.block_on(teller.test(SystemClock.now())).map_err(|why| Failure::No(format!("{host} did not take it: {why}")))?;
    if printer.is_json() {
        printer.json(&json!({"sent": true, "host": host}));
    } else {
        printer.line(format!("{host} took it; now look whether it arrived where you read it"));
    }
    Ok(())
}
