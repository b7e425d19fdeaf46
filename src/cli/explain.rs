//! `salebridge explain`: what would come of a request, offline.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;

use super::print::Printer;
use super::{Answer, Failure};
use crate::app::load;
use crate::domain::{Clock as _, SystemClock};
use crate::explain::{Outcome, Verdict, diagnosed};
use crate::pack::{Case, FETCHED, Fetched, Source};

type Sources = Arc<HashMap<String, Arc<Source>>>;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// A configured source, whose secrets are used where the file brings none
    #[arg(value_name = "SOURCE", required_unless_present = "pack")]
    source: Option<String>,
    /// The request, as a case file (format: providers/README.md)
    #[arg(value_name = "FILE.http")]
    file: Option<PathBuf>,
    /// Use a pack (its name or its folder) and the file's own secrets; needs no configuration
    #[arg(long, value_name = "NAME|DIR")]
    pack: Option<String>,
}

pub(super) fn run(arguments: &Arguments, config: &Path, printer: &Printer) -> Answer {
    // With --pack the only positional argument is the file.
    let (source_name, file) = match (&arguments.pack, &arguments.source, &arguments.file) {
        (Some(_), Some(file), None) => (None, PathBuf::from(file)),
        (None, Some(source), Some(file)) => (Some(source), file.clone()),
        (Some(_), Some(_), Some(_)) => return Err(Failure::Usage("give either a source or --pack, not both".to_owned())),
        (None, Some(_), None) | (_, None, _) => return Err(Failure::Usage("name the request's file".to_owned())),
    };
    let bytes = std::fs::read(&file).map_err(|error| Failure::Usage(format!("{}: cannot be read: {error}", file.display())))?;
    let case = Case::parse(&bytes).map_err(|error| Failure::Usage(format!("{}: {error}", file.display())))?;
    let fetched = fetched(&file)?;
    let (source, sources) = match (source_name, &arguments.pack) {
        (Some(name), _) => configured(name, config, &case)?,
        (None, Some(name)) => (of_pack(name, config, &case, fetched.is_some())?, Arc::default()),
        (None, None) => return Err(Failure::Usage("name a source or a pack".to_owned())),
    };
    let now = SystemClock.now();
    let mut asked = case.request(&source.name, now);
    asked.url = case.url.clone().or_else(|| source.url.clone());
    let verdict = diagnosed(&source, &sources, &asked, fetched.as_ref());
    if printer.is_json() {
        printer.json(&verdict)
    } else {
        tell(&verdict, printer)
    }
    if verdict.outcome == Outcome::Refused { Err(Failure::No("the request was refused".to_owned())) } else { Ok(()) }
}

fn tell(verdict: &Verdict, printer: &Printer) {
    let name = format!("{:?}", verdict.outcome).to_lowercase();
    let name = match verdict.outcome {
        Outcome::Sale | Outcome::Adjustment => printer.good(&name),
        Outcome::Refused | Outcome::Parked => printer.bad(&name),
        Outcome::Ignored => name,
    };
    match (&verdict.code, &verdict.reason) {
        (Some(code), Some(reason)) => printer.line(format!("{name} ({code}): {reason}")),
        (Some(_) | None, Some(_) | None) => printer.line(name),
    }
    if let Some(diagnosis) = &verdict.diagnosis {
        super::refused::tell(diagnosis, printer);
    }
    for event in &verdict.events {
        printer.line(format!("event      {}", if event.kind.is_empty() { "(unreadable)" } else { &event.kind }));
        for (name, value) in event.sale.iter().chain(&event.adjustment).flatten() {
            printer.line(format!("  {name:<20} {value}"));
        }
        if let Some(proof) = &event.proof {
            printer.line(format!("  {:<20} {proof}", "proof"));
        }
        if !event.keys.is_empty() {
            printer.line(format!("  {:<20} {}", "known by", event.keys.join(", ")));
        }
        if let Some(customer) = &event.customer {
            printer.line(format!("  {:<20} {customer}", "provider's customer"));
        }
    }
}

/// What would be fetched, from the file of the same stem.
fn fetched(file: &Path) -> Result<Option<Fetched>, Failure> {
    let text = file.to_string_lossy();
    let stem = text.strip_suffix(".http").unwrap_or(&text);
    // NAME.1.http and NAME.2.http share one NAME.enrich.json.
    let shared = stem.rsplit_once('.').filter(|(_, step)| step.parse::<u32>().is_ok()).map_or(stem, |(stem, _)| stem);
    let path = PathBuf::from(format!("{shared}{FETCHED}"));
    if !path.is_file() {
        return Ok(None);
    }
    let fault = |cause: String| Failure::Usage(format!("{}: {cause}", path.display()));
    let bytes = std::fs::read(&path).map_err(|error| fault(format!("cannot be read: {error}")))?;
    Fetched::parse(&bytes).map(Some).map_err(fault)
}

fn of_pack(name: &str, config: &Path, case: &Case, can_fetch: bool) -> Result<Source, Failure> {
    let pack = super::pack::of_name_or_folder(name, config)?;
    let circumstances = case.circumstances(can_fetch).map_err(Failure::Usage)?;
    Source::plain(&pack, circumstances)
        .map_err(|cause| Failure::Usage(format!("{cause}; the file brings its own (# secret: …), and --pack has none")))
}

/// The configured source with all of them; the file's own secrets, where it brings some, take the place of the configured ones.
fn configured(name: &str, config: &Path, case: &Case) -> Result<(Source, Sources), Failure> {
    let checked = load(config)?;
    let source = checked.sources.get(name).ok_or_else(|| {
        let known = checked.sources.keys().cloned().collect::<Vec<_>>().join(", ");
        Failure::Usage(format!("{name} is not a configured source; there is {known}"))
    })?;
    let source = if case.has_secrets() {
        let circumstances = case.circumstances(false).map_err(Failure::Usage)?;
        source.with_secrets(circumstances.secrets).map_err(Failure::Usage)?
    } else {
        Source::clone(source)
    };
    Ok((source, checked.sources))
}
