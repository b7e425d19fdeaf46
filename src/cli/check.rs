//! `salebridge check`: every fault of the configuration, or what it amounts to.

use std::path::Path;

use clap::Args;
use serde_json::json;

use super::Answer;
use super::print::Printer;
use crate::alarm::{Config, Format};
use crate::app::{Checked, environment_warning, load, reference, schema};
use crate::domain::Mode;
use crate::forward::{AmountUnit, Upstream};
use crate::receive::Pair;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Print instead every key of the configuration, as docs/configuration.md has them; with --json the JSON Schema, for editors
    #[arg(long)]
    reference: bool,
}

pub(super) fn run(arguments: &Arguments, config: &Path, printer: &Printer) -> Answer {
    if arguments.reference {
        if printer.is_json() {
            printer.json(&schema());
        } else {
            printer.text(reference().as_bytes());
        }
        return Ok(());
    }
    let checked = match load(config) {
        Ok(checked) => checked,
        Err(faults) if printer.is_json() => {
            let list: Vec<_> =
                faults.0.iter().map(|fault| json!({"file": fault.file, "key": fault.key, "cause": fault.cause})).collect();
            printer.json(&json!({"ok": false, "faults": list}));
            return Err(faults.into());
        }
        Err(faults) => return Err(faults.into()),
    };
    if printer.is_json() {
        let mut sources: Vec<&String> = checked.sources.keys().collect();
        sources.sort();
        let mut unsigned = sources.clone();
        unsigned.retain(|name| checked.sources[*name].pack.scheme.is_unsigned());
        let upstreams: Vec<&str> = checked.upstreams.iter().map(|upstream| &*upstream.name).collect();
        let alarms = checked.alarms.as_ref().map(Config::host);
        let warnings: Vec<String> = environment_warning().into_iter().collect();
        printer.json(&json!({
            "ok": true, "faults": [], "sources": sources, "unsigned": unsigned, "upstreams": upstreams, "alarms": alarms,
            "warnings": warnings,
        }));
    } else {
        printer.line(format!("{}: {}", config.display(), printer.good("no faults")));
        if let Some(warning) = environment_warning() {
            printer.line(printer.bad(&warning));
        }
        summary(&checked, printer).iter().for_each(|line| printer.line(line));
    }
    Ok(())
}

/// What a configuration amounts to: the URLs to paste, and where sales go.
pub(super) fn summary(checked: &Checked, printer: &Printer) -> Vec<String> {
    let mut lines = Vec::new();
    let scheme = if checked.server.tls.is_some() { "https" } else { "http" };
    let base = checked.server.public_url.clone().unwrap_or_else(|| format!("{scheme}://{}", checked.server.listen));
    let mut sources: Vec<_> = checked.sources.values().collect();
    sources.sort_by(|one, other| one.name.cmp(&other.name));
    for source in sources {
        let token = if source.path_token.is_some() { "/{path_token}" } else { "" };
        let url = format!("{}/webhooks/{}{token}", base.trim_end_matches('/'), source.name);
        let unsigned = if source.pack.scheme.is_unsigned() {
            printer.bad("  UNSIGNED: whoever knows this URL is believed")
        } else {
            String::new()
        };
        lines.push(format!("source    {:<16} {} webhooks at {url}{unsigned}", source.name, source.pack.about.title));
    }
    for upstream in &checked.upstreams {
        upstream_lines(upstream, checked, printer, &mut lines);
    }
    if let Some(warning) = checked.certificate.as_ref().and_then(Pair::exposed_key) {
        lines.push(printer.bad(&format!("server.tls.key: {warning}")));
    }
    if checked.upstreams.is_empty() {
        lines.push(printer.bad("there is no [[upstreams]]: sales are counted and kept, but go nowhere"));
    }
    if let Some(alarms) = &checked.alarms {
        let format = match alarms.format {
            Format::Json => "JSON",
            Format::Slack => "texts for Slack",
        };
        lines.push(format!("alarms    {:<16} as {format}; `salebridge alarms test` sends one", alarms.host()));
    }
    lines
}

fn upstream_lines(upstream: &Upstream, checked: &Checked, printer: &Printer, lines: &mut Vec<String>) {
    let unit = match upstream.amount_unit {
        AmountUnit::Major => "amounts in major units (49.99)",
        AmountUnit::Minor => "amounts in minor units (4999)",
        AmountUnit::Hundredths => "amounts in hundredths (4999)",
    };
    let (name, place, rate) = (&upstream.name, upstream.place(), upstream.requests_per_minute);
    lines.push(format!("upstream  {name:<16} {place}, {unit}, at most {rate} a minute"));
    let mut more = |text: &str| lines.push(printer.quiet(&format!("{:<26} {text}", "")));
    let adjustments = &upstream.template.adjustments;
    match (&upstream.adjustments, &adjustments.not_taken) {
        (Some(_), _) if adjustments.partial => more("refunds are sent"),
        (Some(_), _) => more("refunds are sent where nothing is left of a sale"),
        (None, Some(why)) => more(&format!("refunds are not sent: {why}")),
        (None, None) => more("refunds are not sent: adjustments = false"),
    }
    let takes = |mode| upstream.filter.accept.is_none_or(|accept| accept.takes(mode));
    let accepts = |mode| checked.sources.values().any(|source| source.accepts(mode));
    if [Mode::Live, Mode::Test].iter().all(|mode| takes(*mode) && accepts(*mode)) {
        let text = format!("{:<26} BOTH live and test sales go there: accept = \"live\" keeps the test ones away", "");
        lines.push(printer.bad(&text));
    }
    if let Some(warning) = &upstream.template.upstream.counts_twice {
        lines.push(printer.quiet(&format!("{:<26} {warning}", "")));
    }
}
