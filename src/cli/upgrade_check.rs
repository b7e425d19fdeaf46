//! `salebridge upgrade-check`: asked of the new program, beside the old bridge, before one takes the other's place. It changes nothing.

use std::path::Path;
use std::time::Duration;

use clap::Args;
use serde::Serialize;
use serde_json::{Value, json};

use super::print::Printer;
use super::version::Versions;
use super::{Answer, Failure};
use crate::app::{Checked, load};
use crate::domain::{Clock as _, SystemClock};
use crate::remap::{Outcome, Remapper};
use crate::store::{Access, CheckView, Past, Place, Sqlite, Store, UpgradeView};

/// A day, by which `--days` counts.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Upgrade a copy of the SQLite file as well: check all of it, and say what today's packs would change of its newest requests. The
    /// copy stands beside the file, needs as much room, and is removed at the end
    #[arg(long)]
    rehearse: bool,
    /// With --rehearse: how many days of requests are read anew by today's packs
    #[arg(long, default_value_t = 7, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=36_500))]
    days: u32,
}

/// What an upgraded copy of the store looks like.
#[derive(Debug, Serialize)]
struct Rehearsal {
    /// Whether the copy agrees with itself.
    check: CheckView,
    /// What today's packs and settings would change in its ledger: `requests remap` does it, an upgrade does not.
    remap: Outcome,
}

pub(super) fn run(arguments: &Arguments, config: &Path, printer: &Printer) -> Answer {
    let checked = match load(config) {
        Ok(checked) => checked,
        Err(faults) => {
            if printer.is_json() {
                let fault = |fault: &crate::domain::Fault| json!({"file": fault.file, "key": fault.key, "cause": fault.cause});
                let list: Vec<Value> = faults.0.iter().map(fault).collect();
                printer.json(&json!({"ready": false, "versions": Versions::of_this_program(), "faults": list}));
            }
            return Err(faults.into());
        }
    };
    let mut obstacles = Vec::new();
    let view = checked.store.look_ahead(checked.access).map_err(|error| obstacles.push(error.to_string())).ok();
    obstacles.extend(view.as_ref().and_then(UpgradeView::obstacle));
    let rehearsal = match (&view, arguments.rehearse && obstacles.is_empty()) {
        (Some(view), true) => rehearse(&checked, view, arguments.days, printer)?,
        (Some(_) | None, _) => None,
    };
    let broken = rehearsal.as_ref().map_or(0, |rehearsal| rehearsal.check.findings.len());
    if broken > 0 {
        obstacles
            .push(format!("{broken} checks of the upgraded copy do not hold; `salebridge store check` says of the store itself"));
    }
    if printer.is_json() {
        let pending: Vec<usize> = view.iter().flat_map(UpgradeView::pending).collect();
        printer.json(&json!({
            "ready": obstacles.is_empty(), "versions": Versions::of_this_program(), "faults": [], "store": view,
            "migrations": pending, "obstacles": obstacles, "rehearsal": rehearsal,
        }));
    } else {
        printer.line(format!("{}: {} for salebridge {}", config.display(), printer.good("no faults"), env!("CARGO_PKG_VERSION")));
        view.iter().flat_map(lines).for_each(|line| printer.line(line));
        rehearsal.iter().for_each(|rehearsal| tell(rehearsal, arguments.days, printer));
    }
    match obstacles.is_empty() {
        true if printer.is_json() => Ok(()),
        true => {
            printer.line(printer.good("ready: stop the old bridge and start this one"));
            Ok(())
        }
        false => Err(Failure::No(format!("not ready: {}", obstacles.join("; ")))),
    }
}

fn lines(view: &UpgradeView) -> Vec<String> {
    let UpgradeView { kind, layout, newest, bytes, free_bytes, is_copied, copies } = view;
    let mut lines = vec![match () {
        () if *layout == 0 => format!("store     {kind}: there is none yet; layout {newest} is made at the first start"),
        () if view.changes_layout() => {
            format!("store     {kind}: layout {layout} becomes {newest}, which has no way back but a copy")
        }
        () => format!("store     {kind}: layout {layout}"),
    }];
    if view.changes_layout() {
        let free = free_bytes
            .map(|free| format!(", of {free} that are free; the change itself may take as much again"))
            .unwrap_or_default();
        lines.push(match (*is_copied, *kind) {
            (true, _) => format!("copy      {bytes} bytes are copied first{free}"),
            (false, "sqlite") => "copy      none is made: store.backup_before_upgrade = false".to_owned(),
            (false, _) => "copy      none is made: take a dump, and stop all replicas of the old version first".to_owned(),
        });
    }
    lines.extend(
        copies.iter().map(|copy| format!("copies    {copy}: of a former upgrade; remove it once nobody wants to go back")),
    );
    lines
}

/// Upgrades a copy, and looks at it. Nothing where there is no store yet.
fn rehearse(checked: &Checked, view: &UpgradeView, days: u32, printer: &Printer) -> Result<Option<Rehearsal>, Failure> {
    let Place::Sqlite(path) = &checked.store else {
        let text = "--rehearse copies a SQLite file: of a database, restore a dump into an empty one and name that as store.url in a \
                    configuration of its own";
        return Err(Failure::Usage(text.to_owned()));
    };
    if view.layout == 0 {
        return Ok(None);
    }
    if view.free_bytes.is_some_and(|free| free < view.bytes.saturating_mul(2)) {
        return Err(Failure::No(format!(
            "--rehearse needs {} bytes beside the store, and its disk has less",
            view.bytes.saturating_mul(2)
        )));
    }
    let unable = |error: std::io::Error| Failure::No(format!("{}: no copy can be made beside it: {error}", path.display()));
    let beside = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = tempfile::Builder::new().prefix(".salebridge-rehearsal-").tempdir_in(beside).map_err(unable)?;
    let copy = folder.path().join("copy.db");
    printer.progress("copying");
    Sqlite::backup(path, &copy)?;
    let store: std::sync::Arc<dyn Store> = std::sync::Arc::new(Sqlite::open(&copy, Access::Scratch, 16)?);
    printer.progress("checking");
    let check = store.check()?;
    let now = SystemClock.now();
    let remapper = Remapper::new(store, std::sync::Arc::clone(&checked.sources), checked.rules.clone());
    let which = Past { since: Some(now - DAY * days), source: None };
    let remap = remapper.dry_run(&which, now, |request| printer.progress(&format!("request {request}")))?;
    printer.progress("");
    Ok(Some(Rehearsal { check, remap }))
}

fn tell(rehearsal: &Rehearsal, days: u32, printer: &Printer) {
    let Rehearsal { check, remap } = rehearsal;
    let holds = check.checks - check.findings.len().min(check.checks);
    printer.line(format!("rehearsal {holds} of {} checks hold of an upgraded copy, which is removed again", check.checks));
    for finding in &check.findings {
        printer.line(printer.bad(&format!("          {}: {}, {} times", finding.name, finding.wrong, finding.count)));
    }
    let (requests, events, sales) = (remap.requests, remap.events_changed, remap.changes.len());
    printer.line(format!(
        "packs     of {requests} requests of the last {days} days {events} events would say something else, which would change {sales} \
         sales and leave {} as they were sent",
        remap.kept.len()
    ));
    if events > 0 {
        printer
            .line("          an upgrade changes no sale by itself: after it, `salebridge requests remap --dry-run` shows each");
    }
}
