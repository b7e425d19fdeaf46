//! The tables of upstreams/README.md, made from the templates and their cases.

use std::collections::{BTreeMap, BTreeSet};

use super::Answer;
use super::print::Printer;
use crate::forward::{CaseReport, Template, Templates};

/// Amounts of each number of decimals, as cases write them.
const EXPONENTS: [(u8, &str); 3] = [(0, "1580 JPY"), (2, "49.99 USD"), (3, "1.234 KWD")];

pub(super) fn markdown(templates: &Templates, printer: &Printer) -> Answer {
    printer.line("| template | vendor | amounts | knows repeats by | refunds | requests a minute |");
    printer.line("|---|---|---|---|---|---|");
    for template in templates.iter() {
        let about = &template.upstream;
        let units = template.amount.units.iter().map(|each| each.as_str()).collect::<Vec<_>>().join(", ");
        let title = about.docs.as_ref().map_or_else(|| about.title.clone(), |docs| format!("[{}]({docs})", about.title));
        let rate = template.limits.requests_per_minute;
        printer.line(format!(
            "| `{}` | {title} | {units} | {} | {} | {rate} |",
            about.name,
            repeats(template),
            refunds(template)
        ));
    }
    printer.line("");
    let reports = templates.names().map(|name| templates.run_cases(name)).collect::<Result<Vec<_>, _>>()?;
    amounts(&reports, printer);
    printer.line("");
    answers(&reports, printer);
    Ok(())
}

pub(super) fn repeats(template: &Template) -> String {
    match (&template.idempotency.key, template.idempotency.window_secs) {
        (Some(key), Some(secs)) => format!("`{key}`, {} days", secs / 86_400),
        (Some(key), None) => format!("`{key}`"),
        (None, _) => "none".to_owned(),
    }
}

pub(super) fn refunds(template: &Template) -> &'static str {
    let adjustments = &template.adjustments;
    match (&adjustments.request, adjustments.partial, adjustments.reversible) {
        (None, _, _) => "no",
        (Some(_), false, _) => "whole sales",
        (Some(_), true, false) => "yes",
        (Some(_), true, true) => "yes, and taken back",
    }
}

/// What the cases' amounts are on the wire.
fn amounts(reports: &[CaseReport], printer: &Printer) {
    let names = EXPONENTS.map(|(_, name)| name);
    printer.line(format!("| template | {} |", names.join(" | ")));
    printer.line(format!("|---{}|", "|---".repeat(names.len())));
    for report in reports {
        let cell = |(exponent, name): (u8, &str)| {
            let found: BTreeSet<&str> = report
                .amounts
                .iter()
                .filter(|(of, sale, _)| *of == exponent && sale == name)
                .map(|(_, _, amount)| &**amount)
                .collect();
            let shown = found
                .iter()
                .map(|amount| if amount.starts_with("refused") { "refused".to_owned() } else { format!("`{amount}`") });
            shown.collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(" or ")
        };
        printer.line(format!("| `{}` | {} |", report.template, EXPONENTS.map(cell).join(" | ")));
    }
}

/// What the cases' answers come to: every outcome that a status has.
fn answers(reports: &[CaseReport], printer: &Printer) {
    let statuses: BTreeSet<u16> =
        reports.iter().flat_map(|report| report.outcomes.iter().map(|(status, _, _)| *status)).collect();
    let names: Vec<&str> = reports.iter().filter(|report| !report.outcomes.is_empty()).map(|report| &*report.template).collect();
    printer.line(format!("| answer | {} |", names.join(" | ")));
    printer.line(format!("|---{}|", "|---".repeat(names.len())));
    for status in statuses {
        let cell = |report: &CaseReport| {
            let mut outcomes: BTreeMap<&str, ()> = BTreeMap::new();
            for (_, _, outcome) in report.outcomes.iter().filter(|(of, _, _)| *of == status) {
                outcomes.insert(outcome.as_str(), ());
            }
            outcomes.into_keys().collect::<Vec<_>>().join(", ")
        };
        let cells: Vec<String> = reports.iter().filter(|report| !report.outcomes.is_empty()).map(cell).collect();
        printer.line(format!("| {status} | {} |", cells.join(" | ")));
    }
}
