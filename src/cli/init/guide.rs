//! What is to be done in each provider's dashboard and in the shop's own checkout, by the pack's own README.

use std::path::Path;

use serde_json::{Value, json};
use unicode_width::UnicodeWidthStr as _;

use super::plan::{Plan, SourcePlan};
use super::{for_shell, sample};
use crate::cli::print::{Printer, clean, terminal_width};
use crate::pack::Block;

/// Longer lines are hard to read.
const WIDEST: usize = 100;

/// Everything about one source, for people.
pub(super) fn source(source: &SourcePlan, public_url: &str, printer: &Printer) {
    let url = source.url(public_url);
    let guide = source.pack.guide(&url);
    let about = &source.pack.about;
    printer.line(format!("\n{} {}", printer.good(&about.title), printer.quiet(&about.docs)));
    printer.line(format!("  paste this URL   {url}"));
    if let Some(token) = &source.path_token {
        printer.line(format!("                   with {} of the environment file for {{path_token}}", token.variable));
    }
    if !about.subscribe.is_empty() {
        lines("  tick             ", &about.subscribe.join(", "), printer);
    }
    for secret in source.secrets.iter().filter(|secret| secret.is_used) {
        lines("  copy             ", &format!("{} into {}", secret.slot.about, secret.slot.variable), printer);
    }
    section("Where to click", &guide.switch_on, printer);
    section("How clickId and customerExternalId get into the checkout", &guide.who_buys, printer);
}

/// The same for programs.
pub(super) fn json(source: &SourcePlan, public_url: &str) -> Value {
    let url = source.url(public_url);
    let guide = source.pack.guide(&url);
    json!({
        "name": source.name, "pack": source.pack.name(), "title": source.pack.about.title, "docs": source.pack.about.docs, "url": url,
        "path_token": source.path_token.as_ref().map(|token| &token.variable), "events": source.pack.about.subscribe,
        "secrets": source.secrets.iter().map(|secret| json!({
            "variable": secret.slot.variable, "name": secret.name, "about": secret.slot.about, "used": secret.is_used,
        })).collect::<Vec<_>>(),
        "switch_on": guide.switch_on, "who_buys": guide.who_buys,
    })
}

/// What else the upstreams need.
pub(super) fn upstreams(plan: &Plan, printer: &Printer) {
    for upstream in &plan.upstreams {
        let about = &upstream.template.upstream;
        printer.line(format!("\n{} {}", printer.good(&about.title), printer.quiet(about.docs.as_deref().unwrap_or_default())));
        if let Some(secret) = &upstream.secret {
            lines("  secret           ", &format!("{}: {}", secret.variable, secret.about), printer);
        }
        lines("  after a first sale, compare ", &about.compare, printer);
    }
}

/// The commands that come next.
pub(super) fn next(plan: &Plan, config: &Path, environment: &Path, is_filled: bool, printer: &Printer) {
    let (config, environment) = (for_shell(config), for_shell(environment));
    printer.line(format!("\n{}", printer.good("What to do next")));
    if !is_filled {
        printer.line(format!("  fill in {environment}"));
    }
    printer.line(format!("  export SALEBRIDGE_CONFIG={config} SALEBRIDGE_ENV_FILE={environment}"));
    printer.line("  salebridge check");
    printer.line("  salebridge serve");
    if let Some((name, case)) = plan.sources.iter().find_map(|source| Some((&source.name, sample::case(source)?.name))) {
        printer.line(format!("  salebridge send {name} {case}   # from another terminal: a signed sample, which is a live sale of an invented customer"));
    }
    printer.line("  salebridge sales list");
    for upstream in &plan.upstreams {
        printer.line(format!("  salebridge upstream test {}   # one marked test sale", upstream.name));
    }
}

fn section(heading: &str, blocks: &[Block], printer: &Printer) {
    if blocks.is_empty() {
        return;
    }
    printer.line(format!("  {heading}"));
    let mut number = 0;
    for block in blocks {
        match block {
            Block::Step(text) => {
                number += 1;
                lines(&format!("    {number}. "), text, printer);
            }
            Block::Text(text) => lines("    ", text, printer),
            Block::Code(code) => code.lines().for_each(|line| printer.line(format!("      {}", printer.quiet(&clean(line))))),
        }
    }
}

/// A text in lines that are not too long, all of them as far in as the first.
fn lines(first: &str, text: &str, printer: &Printer) {
    let width = terminal_width().unwrap_or(WIDEST).min(WIDEST);
    let mut line = first.to_owned();
    let mut is_empty = true;
    for word in clean(text).split_whitespace() {
        if !is_empty && line.width() + 1 + word.width() > width {
            printer.line(&line);
            line = " ".repeat(first.width());
            is_empty = true;
        }
        if !is_empty {
            line.push(' ');
        }
        line.push_str(word);
        is_empty = false;
    }
    printer.line(line);
}
