//! `salebridge pack list|show|test`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Subcommand;
use serde_json::{Value, json};

use super::print::Printer;
use super::{Answer, Failure, runtime};
use crate::app::packs;
use crate::domain::{Clock as _, Faults, SystemClock};
use crate::explain::{PackReport, test_pack};
use crate::pack::{Folder, Pack, Registry, Source, scenarios};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List the packs
    List,
    /// Say in plain words what a pack verifies, counts and reads
    Show {
        /// The pack
        name: String,
    },
    /// Run the cases of packs; without DIR, of all packs in this binary
    Test {
        /// One pack's folder, or a folder of packs
        dir: Option<PathBuf>,
    },
}

pub(super) fn run(command: &Command, config: &Path, printer: &Printer) -> Answer {
    match command {
        Command::List => list(&packs(config)?, printer),
        Command::Show { name } => show(&packs(config)?, name, printer),
        Command::Test { dir } => test(dir.as_deref(), printer),
    }
}

fn list(packs: &Registry, printer: &Printer) -> Answer {
    let describe = |pack: &Arc<Pack>| {
        let cases = scenarios(&pack.folder).0.len();
        (pack.name().to_owned(), pack.about.title.clone(), cases, pack.scheme.describe())
    };
    if printer.is_json() {
        let rows: Vec<Value> = packs
            .iter()
            .map(describe)
            .map(|(name, title, cases, scheme)| json!({"name": name, "title": title, "cases": cases, "scheme": scheme}))
            .collect();
        printer.json(&rows);
    } else {
        let rows = packs.iter().map(describe).map(|(name, title, cases, scheme)| vec![name, title, cases.to_string(), scheme]);
        printer.table(&["PACK", "PROVIDER", "CASES", "SCHEME"], rows);
    }
    Ok(())
}

fn show(packs: &Registry, name: &str, printer: &Printer) -> Answer {
    let pack =
        packs.get(name).ok_or_else(|| Failure::No(format!("{name} is not a pack; `salebridge pack list` names them all")))?;
    let secret = crate::domain::Secret::new("d2hhdGV2ZXI=");
    let source = Source::plain(pack, &[secret], None).map_err(Failure::No)?;
    let (counted, other) = source.mapping.types();
    let reads = &pack.mapping.reads;
    let metadata = reads.metadata.clone().unwrap_or_default();
    let keys = source.mapping.context().metadata_keys.clone();
    if printer.is_json() {
        printer.json(&json!({
            "name": pack.name(), "title": pack.about.title, "docs": pack.about.docs, "subscribe": pack.about.subscribe,
            "scheme": pack.scheme.describe(), "counted": counted, "ignored": other, "metadata": metadata,
            "click_id": keys.click_id, "customer_external_id": keys.customer_external_id,
            "keys": pack.mapping.keys.identifying,
        }));
        return Ok(());
    }
    let words = |list: Vec<&str>| if list.is_empty() { "nothing".to_owned() } else { list.join("\n             ") };
    printer.line(format!("{} ({})  {}", pack.about.title, pack.name(), printer.quiet(&pack.about.docs)));
    printer.line(format!("verifies     {}", pack.scheme.describe()));
    printer.line(format!("switch on    {}", words(pack.about.subscribe.iter().map(String::as_str).collect())));
    printer.line(format!("counts       {}", words(counted.into_iter().collect())));
    printer.line(format!("not counted  {}", words(other.into_iter().collect())));
    printer.line(format!("metadata     {}", words(metadata.iter().map(String::as_str).collect())));
    printer.line(format!("  click      {}", keys.click_id.join(", ")));
    printer.line(format!("  customer   {}", keys.customer_external_id.join(", ")));
    printer.line(format!("known by     {}", pack.mapping.keys.identifying.join(", ")));
    Ok(())
}

fn test(dir: Option<&Path>, printer: &Printer) -> Answer {
    let packs = match dir {
        None => Registry::load(&[])?.iter().cloned().collect(),
        Some(dir) => packs_in(dir)?,
    };
    let runtime = runtime()?;
    let now = SystemClock.now();
    let mut reports = Vec::new();
    for (index, pack) in packs.iter().enumerate() {
        printer.progress(&format!("{} of {}: {}", index + 1, packs.len(), pack.name()));
        reports.push(runtime.block_on(test_pack(pack, now)));
    }
    printer.progress("");
    let failed = reports.iter().filter(|report| !report.passed).count();
    if printer.is_json() {
        printer.json(&reports);
    } else {
        reports.iter().for_each(|report| tell(report, printer));
        let cases: usize = reports.iter().map(|report| report.cases.len()).sum();
        printer.line(format!("{} pack(s), {cases} case(s), {failed} pack(s) with faults", reports.len()));
    }
    if failed == 0 { Ok(()) } else { Err(Failure::No(format!("{failed} of {} packs do not keep their promises", reports.len()))) }
}

fn packs_in(dir: &Path) -> Result<Vec<Arc<Pack>>, Failure> {
    let folders = Folder::all_in(dir).map_err(|cause| Failure::Usage(format!("{}: {cause}", dir.display())))?;
    if folders.is_empty() {
        return Err(Failure::Usage(format!("{}: there is no pack.toml here or one folder below", dir.display())));
    }
    let mut faults = Faults::default();
    let mut packs = Vec::new();
    for folder in folders {
        match Pack::load(folder) {
            Ok(pack) => packs.push(Arc::new(pack)),
            Err(found) => faults.0.extend(found.0),
        }
    }
    Ok(faults.or(packs)?)
}

fn tell(report: &PackReport, printer: &Printer) {
    let passed = report.cases.iter().filter(|case| case.passed).count();
    let word = if report.passed { printer.good("ok") } else { printer.bad("FAULTY") };
    printer.line(format!("{:<20} {word}  {passed} of {} cases", report.pack, report.cases.len()));
    for case in report.cases.iter().filter(|case| !case.passed) {
        printer.line(format!("  {}: {}", case.name, case.difference.as_deref().unwrap_or_default()));
    }
    for fault in &report.faults {
        printer.line(format!("  {fault}"));
    }
}
