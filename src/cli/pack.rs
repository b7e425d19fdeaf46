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
use crate::pack::{Credentials, Folder, Pack, Registry, scenarios, schema};
use crate::verify::Covers;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List the packs
    List {
        /// As the table in providers/README.md
        #[arg(long)]
        markdown: bool,
        /// Write a page for each into this folder, and one that leads to them, as in docs/providers
        #[arg(long, value_name = "DIR", conflicts_with = "markdown")]
        pages: Option<PathBuf>,
    },
    /// Say in plain words what a pack verifies, counts and reads
    Show {
        /// The pack, or its folder
        #[arg(value_name = "NAME|DIR")]
        name: String,
    },
    /// Run the cases of packs; without DIR, of all packs in this binary
    Test {
        /// One pack's folder, or a folder of packs
        dir: Option<PathBuf>,
    },
    /// Make a pack to begin with: asks, or takes flags; it loads, and its cases pass
    New(super::pack_new::Arguments),
    /// Print the JSON Schema of pack.toml, for editors
    Schema,
}

pub(super) fn run(command: &Command, config: &Path, printer: &Printer) -> Answer {
    match command {
        Command::List { pages: Some(dir), .. } => super::pack_page::write(&packs(config)?, dir),
        Command::List { markdown: true, .. } => markdown(&packs(config)?, printer),
        Command::List { markdown: false, pages: None } => list(&packs(config)?, printer),
        Command::Show { name } => show(of_name_or_folder(name, config)?.as_ref(), printer),
        Command::Test { dir } => test(dir.as_deref(), printer),
        Command::New(new) => super::pack_new::run(new, printer),
        Command::Schema => {
            printer.line(schema());
            Ok(())
        }
    }
}

fn list(packs: &Registry, printer: &Printer) -> Answer {
    let scheme = |pack: &Pack| {
        let families = pack.scheme.families().join(", ");
        if pack.scheme.is_unsigned() { "UNSIGNED".to_owned() } else { families }
    };
    let cases = |pack: &Pack| scenarios(&pack.folder).0.len();
    if printer.is_json() {
        let row = |pack: &Arc<Pack>| {
            json!({
                "name": pack.name(), "title": pack.about.title, "cases": cases(pack), "scheme": pack.scheme.describe(),
                "covers": pack.scheme.covers().as_str(), "signed": !pack.scheme.is_unsigned(),
                "evidence": pack.about.evidence.as_str(), "fetches": pack.api.is_some(), "oracle": pack.about.oracle,
            })
        };
        printer.json(&packs.iter().map(row).collect::<Vec<Value>>());
    } else {
        let rows = packs.iter().map(|pack| {
            let covers = pack.scheme.covers().as_str().to_owned();
            let evidence = pack.about.evidence.as_str().to_owned();
            vec![pack.name().to_owned(), pack.about.title.clone(), cases(pack).to_string(), scheme(pack), covers, evidence]
        });
        printer.table(&["PACK", "PROVIDER", "CASES", "SCHEME", "COVERS", "EVIDENCE"], rows);
    }
    Ok(())
}

/// The table in providers/README.md, which a test holds against this.
fn markdown(packs: &Registry, printer: &Printer) -> Answer {
    printer.line("| pack | provider | scheme | binds | counts | takes back | fetches | evidence | checked against |");
    printer.line("|---|---|---|---|---|---|---|---|---|");
    for pack in packs.iter() {
        let mapping = pack.plain_mapping(pack.api.is_some())?;
        let types = mapping.types();
        let counted = types.counted.into_iter().map(|kind| format!("`{kind}`")).collect::<Vec<_>>().join(", ");
        let counted = if counted.is_empty() { "what its rules find paid".to_owned() } else { counted };
        let back = if mapping.takes_back() { "yes" } else { "" };
        let scheme = if pack.scheme.is_unsigned() { "**unsigned**".to_owned() } else { pack.scheme.families().join(", ") };
        let fetches = match pack.api.as_ref().map(|api| api.credentials) {
            Some(Credentials::Required) => "needed",
            Some(Credentials::Optional) => "optional",
            None => "",
        };
        let (name, about, covers) = (pack.name(), &pack.about, pack.scheme.covers().as_str());
        let (title, evidence, oracle) = (&about.title, about.evidence.as_str(), about.oracle.as_deref().unwrap_or_default());
        printer.line(format!(
            "| [{name}]({name}/README.md) | {title} | {scheme} | {covers} | {counted} | {back} | {fetches} | {evidence} | {oracle} |"
        ));
    }
    Ok(())
}

/// The pack in the folder `name`, if it is one, else the shipped or configured pack of this name.
pub(super) fn of_name_or_folder(name: &str, config: &Path) -> Result<Arc<Pack>, Failure> {
    let folder = Path::new(name);
    if folder.join("pack.toml").is_file() {
        let folder = Folder::read(folder).map_err(|error| Failure::Usage(format!("{name}: cannot be read: {error}")))?;
        return Ok(Arc::new(Pack::load(folder)?));
    }
    let unknown =
        || Failure::No(format!("{name} is neither a pack nor the folder of one; `salebridge pack list` names all packs"));
    packs(config)?.get(name).cloned().ok_or_else(unknown)
}

fn show(pack: &Pack, printer: &Printer) -> Answer {
    let mapping = pack.plain_mapping(pack.api.is_some())?;
    let types = mapping.types();
    let metadata = pack.mapping.reads.metadata.clone().unwrap_or_default();
    let keys = mapping.context().metadata_keys.clone();
    let named: Vec<String> = pack.scheme.named_secrets().into_iter().collect();
    let credentials: Vec<&str> = pack.api.iter().flat_map(|api| api.secrets()).collect();
    let ips: Vec<&str> = pack.scheme.published_ips().collect();
    if printer.is_json() {
        printer.json(&json!({
            "name": pack.name(), "title": pack.about.title, "docs": pack.about.docs, "subscribe": pack.about.subscribe,
            "evidence": pack.about.evidence.as_str(), "oracle": pack.about.oracle, "scheme": pack.scheme.describe(),
            "covers": pack.scheme.covers().as_str(), "signed": !pack.scheme.is_unsigned(), "secrets": pack.scheme.uses_unnamed_secrets(),
            "named_secrets": named, "api_secrets": credentials, "published_ips": ips,
            "counted": types.counted, "taken_back": types.taken_back, "ignored": types.other, "metadata": metadata,
            "click_id": keys.click_id, "customer_external_id": keys.customer_external_id,
            "keys": pack.mapping.keys.identifying,
        }));
        return Ok(());
    }
    let words = |list: Vec<&str>| if list.is_empty() { "nothing".to_owned() } else { list.join("\n             ") };
    let texts = |list: &[String]| words(list.iter().map(String::as_str).collect());
    printer.line(format!("{} ({})  {}", pack.about.title, pack.name(), printer.quiet(&pack.about.docs)));
    printer.line(format!("verifies     {}", texts(&pack.scheme.describe())));
    printer.line(format!("binds        {}", binds(pack.scheme.covers())));
    printer.line(format!("secrets      {}", secrets(pack, &named)));
    if !ips.is_empty() {
        printer.line(format!("sends from   {}", words(ips)));
    }
    if let Some(api) = &pack.api {
        let need = if api.credentials == Credentials::Required { "needs" } else { "can use" };
        printer.line(format!("fetches      from the provider's API; {need} named_secrets {}", credentials.join(", ")));
    }
    let oracle = pack.about.oracle.as_ref().map(|oracle| format!("; checked against {oracle}")).unwrap_or_default();
    printer.line(format!("evidence     {}{oracle}", pack.about.evidence.as_str()));
    printer.line(format!("switch on    {}", texts(&pack.about.subscribe)));
    printer.line(format!("counts       {}", words(types.counted.into_iter().collect())));
    let back = types.taken_back.into_iter().collect::<Vec<_>>();
    let back = if back.is_empty() && mapping.takes_back() { "what its rules find taken back".to_owned() } else { words(back) };
    printer.line(format!("taken back   {back}"));
    printer.line(format!("not counted  {}", words(types.other.into_iter().collect())));
    printer.line(format!("metadata     {}", texts(&metadata)));
    printer.line(format!("  click      {}", keys.click_id.join(", ")));
    printer.line(format!("  customer   {}", keys.customer_external_id.join(", ")));
    printer.line(format!("known by     {}", pack.mapping.keys.identifying.join(", ")));
    Ok(())
}

/// What a signature binds, in words.
pub(super) fn binds(covers: Covers) -> &'static str {
    match covers {
        Covers::Body => "the whole body",
        Covers::Fields => {
            "only the fields that it names; the rest of the body could be changed by whoever has seen a genuine request"
        }
        Covers::Nothing => "nothing of the body: whoever learns the secret can make up a sale",
    }
}

/// What a source of this pack must bring.
pub(super) fn secrets(pack: &Pack, named: &[String]) -> String {
    let unnamed = pack.scheme.uses_unnamed_secrets().then(|| "secrets".to_owned());
    let named = named.iter().map(|name| format!("named_secrets.{name}"));
    let all: Vec<String> = unnamed.into_iter().chain(named).collect();
    if all.is_empty() { "none: path_token or allow_ips instead".to_owned() } else { all.join(", ") }
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
