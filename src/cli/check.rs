//! `salebridge check`: every fault of the configuration, or what it amounts to.

use std::path::Path;

use serde_json::json;

use super::Answer;
use super::print::Printer;
use crate::app::{Checked, load};
use crate::forward::AmountUnit;

pub(super) fn run(config: &Path, printer: &Printer) -> Answer {
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
        printer.json(&json!({"ok": true, "faults": [], "sources": sources, "unsigned": unsigned, "upstreams": upstreams}));
    } else {
        printer.line(format!("{}: {}", config.display(), printer.good("no faults")));
        summary(&checked, printer).iter().for_each(|line| printer.line(line));
    }
    Ok(())
}

/// What a configuration amounts to: the URLs to paste, and where sales go.
pub(super) fn summary(checked: &Checked, printer: &Printer) -> Vec<String> {
    let mut lines = Vec::new();
    let base = checked.server.public_url.clone().unwrap_or_else(|| format!("http://{}", checked.server.listen));
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
        let unit = match upstream.amount_unit {
            AmountUnit::Major => "amounts in major units (49.99)",
            AmountUnit::Minor => "amounts in minor units (4999)",
        };
        let (name, url, rate) = (&upstream.name, &upstream.url, upstream.requests_per_minute);
        lines.push(format!("upstream  {name:<16} {url}, {unit}, at most {rate} a minute"));
        lines.push(printer.quiet(&format!("{:<26} refunds are not sent: {}", "", upstream.template.adjustments.not_taken)));
    }
    if checked.upstreams.is_empty() {
        lines.push(printer.bad("there is no [[upstreams]]: sales are counted and kept, but go nowhere"));
    }
    lines
}
