//! `salebridge upstream list|show|test|pause|resume`: where sales go, and whether that works.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::print::{Printer, clean};
use super::upstream_show::{describe, limits};
use super::{Answer, Failure, runtime, visit};
use crate::app::{store, templates, upstreams};
use crate::domain::{AttemptOutcome, Clock as _, Currency, SystemClock};
use crate::forward::{CaseReport, Sample, Template, Trial, Upstream, Verdict};
use crate::store::UpstreamView;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List the configured upstreams with their queues
    List {
        /// List what an upstream can be made of instead: the templates
        #[arg(long)]
        templates: bool,
        /// As the tables in upstreams/README.md
        #[arg(long, requires = "templates")]
        markdown: bool,
        /// Write a page for each template into this folder, and one that leads to them, as in docs/upstreams
        #[arg(long, value_name = "DIR", requires = "templates", conflicts_with = "markdown")]
        pages: Option<PathBuf>,
    },
    /// Say in plain words what an upstream or a template sends, and what its answers mean
    Show {
        /// The upstream, or the template
        name: String,
    },
    /// Send one marked test sale, and say what the answer means
    Test(TestArguments),
    /// Run the cases of the templates; without NAME, of all that there are
    Cases {
        /// The template
        name: Option<String>,
    },
    /// Stop an upstream's queue until it is resumed; sales go on being counted
    Pause {
        /// The upstream
        name: String,
        /// Why, for whoever looks at it next
        #[arg(long, default_value = "paused by hand")]
        reason: String,
    },
    /// Start a queue again that stands still
    Resume {
        /// The upstream
        name: String,
    },
}

#[derive(Debug, Args)]
pub(super) struct TestArguments {
    /// The upstream
    name: String,
    /// A click that the upstream knows, so that the sale is attributed
    #[arg(long, value_name = "ID")]
    click: Option<String>,
    /// A customer that the upstream knows
    #[arg(long, value_name = "ID")]
    customer: Option<String>,
    /// The currency
    #[arg(long, value_name = "CODE", value_parser = currency)]
    currency: Option<Currency>,
    /// Only show the request
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn run(command: &Command, config: &Path, printer: &Printer) -> Answer {
    match command {
        Command::List { pages: Some(dir), .. } => super::upstream_page::write(&templates(config)?, dir),
        Command::List { templates: true, markdown: true, .. } => super::upstream_table::markdown(&templates(config)?, printer),
        Command::List { templates: true, .. } => list_templates(config, printer),
        Command::List { templates: false, .. } => list(config, printer),
        Command::Show { name } => show(name, config, printer),
        Command::Test(arguments) => test(arguments, config, printer),
        Command::Cases { name } => cases(name.as_deref(), config, printer),
        Command::Pause { name, reason } => pause(name, Some(reason.clone()), config, printer),
        Command::Resume { name } => pause(name, None, config, printer),
    }
}

fn list(config: &Path, printer: &Printer) -> Answer {
    let upstreams = upstreams(config)?;
    // Before the first start there is no store, and nothing queued.
    let queues = if store(config)?.may_be_there() { visit(config)?.upstreams()? } else { Vec::new() };
    let queue = |upstream: &Upstream| queues.iter().find(|queue| queue.name == *upstream.name);
    if printer.is_json() {
        printer.json(&upstreams.iter().map(|upstream| row(upstream, queue(upstream))).collect::<Vec<_>>());
        return Ok(());
    }
    let rows = upstreams.iter().map(|upstream| {
        let queue = queue(upstream);
        vec![
            upstream.name.to_string(),
            upstream.template.upstream.name.clone(),
            upstream.place(),
            upstream.amount_unit.as_str().to_owned(),
            upstream.requests_per_minute.to_string(),
            queue.map_or(0, |queue| queue.due).to_string(),
            queue.map_or(0, |queue| queue.dead).to_string(),
            queue.filter(|queue| queue.paused).map_or_else(|| "runs".to_owned(), standing),
        ]
    });
    printer.table(&["UPSTREAM", "TEMPLATE", "WHERE", "AMOUNTS", "PER MINUTE", "DUE", "DEAD", "STATE"], rows);
    for queue in queues.iter().filter(|queue| upstreams.iter().all(|upstream| *upstream.name != *queue.name)) {
        let (name, due, dead) = (&queue.name, queue.due, queue.dead);
        if due + dead > 0 {
            printer.line(printer.bad(&format!("{name} is not configured any more: {due} due and {dead} dead go nowhere")));
        }
    }
    Ok(())
}

fn row(upstream: &Upstream, queue: Option<&UpstreamView>) -> Value {
    json!({
        "name": &*upstream.name, "template": upstream.template.upstream.name, "url": upstream.base_url.as_ref().map(ToString::to_string),
        "amount_unit": upstream.amount_unit.as_str(), "requests_per_minute": upstream.requests_per_minute,
        "max_in_flight": upstream.max_in_flight, "adjustments": upstream.adjustments.is_some(),
        "due": queue.map_or(0, |queue| queue.due), "dead": queue.map_or(0, |queue| queue.dead),
        "paused": queue.is_some_and(|queue| queue.paused), "reason": queue.and_then(|queue| queue.reason.clone()),
        "paused_by_hand": queue.is_some_and(|queue| queue.by_hand),
    })
}

fn standing(queue: &UpstreamView) -> String {
    let since = queue.since.as_deref().unwrap_or_default();
    format!("paused since {since}: {}", queue.reason.as_deref().unwrap_or_default())
}

fn list_templates(config: &Path, printer: &Printer) -> Answer {
    let templates = templates(config)?;
    if printer.is_json() {
        printer.json(&templates.iter().map(|template| describe(template, None)).collect::<Vec<_>>());
        return Ok(());
    }
    let rows = templates.iter().map(|template| {
        let units = template.amount.units.iter().map(|each| each.as_str()).collect::<Vec<_>>().join(" or ");
        let adjustments = match (&template.adjustments.request, template.adjustments.partial) {
            (None, _) => "no",
            (Some(_), true) => "yes",
            (Some(_), false) => "whole sales",
        };
        let about = &template.upstream;
        let key = template.idempotency.key.as_deref().unwrap_or("none");
        vec![about.name.clone(), about.title.clone(), units, key.to_owned(), adjustments.to_owned(), limits(template)]
    });
    printer.table(&["TEMPLATE", "VENDOR", "AMOUNTS", "KNOWS REPEATS BY", "REFUNDS", "LIMITS"], rows);
    Ok(())
}

fn show(name: &str, config: &Path, printer: &Printer) -> Answer {
    // Without a configuration, or with one that lacks a secret, the templates can still be shown.
    let configured = if config.exists() { upstreams(config).unwrap_or_default() } else { Vec::new() };
    let upstream = configured.iter().find(|upstream| *upstream.name == *name);
    let all = templates(config)?;
    let template: &Arc<Template> = match upstream {
        Some(upstream) => &upstream.template,
        None => all.get(name).ok_or_else(|| {
            let known = all.names().collect::<Vec<_>>().join(", ");
            Failure::No(format!("there is neither an upstream nor a template named {name}; templates: {known}"))
        })?,
    };
    if printer.is_json() {
        printer.json(&describe(template, upstream.map(|upstream| &**upstream)));
    } else {
        super::upstream_show::show(template, upstream.map(|upstream| &**upstream), printer);
    }
    Ok(())
}

fn test(arguments: &TestArguments, config: &Path, printer: &Printer) -> Answer {
    let upstream = find(&arguments.name, config)?;
    let sample = Sample {
        click_id: arguments.click.clone(),
        customer_external_id: arguments.customer.clone(),
        currency: arguments.currency,
    };
    let trial = Trial::new(&upstream, sample, SystemClock.now()).map_err(|error| {
        Failure::Usage(format!("{}: {error}; --click, --customer and --currency give the test sale what it lacks", upstream.name))
    })?;
    if !printer.is_json() {
        printer.line(printer.quiet("sends:"));
        printer.line(clean(&trial.request));
    }
    if arguments.dry_run {
        if printer.is_json() {
            printer.json(&json!({"request": trial.request, "sent": false}));
        }
        return Ok(());
    }
    let verdict = runtime()?.block_on(trial.send(&upstream)).map_err(|why| Failure::No(format!("{}: {why}", upstream.name)))?;
    let outcome = verdict.judgement.outcome;
    if printer.is_json() {
        let answer = verdict.answer.as_ref().map(|answer| {
            json!({"status": answer.status, "content_type": answer.content_type, "retry_after": answer.retry_after, "body": answer.body})
        });
        printer.json(&json!({
            "request": trial.request, "sent": true, "answer": answer, "outcome": outcome.as_str(), "advice": verdict.judgement.advice,
            "compare": trial.compare(&upstream), "sale": Value::Object(trial.sale.to_json()),
        }));
    } else {
        show_verdict(&upstream, &trial, &verdict, printer);
    }
    match outcome {
        AttemptOutcome::Delivered | AttemptOutcome::Duplicate | AttemptOutcome::Unattributed => Ok(()),
        AttemptOutcome::Retry
        | AttemptOutcome::RetryLimited
        | AttemptOutcome::Rejected
        | AttemptOutcome::Unknown
        | AttemptOutcome::Paused => Err(Failure::No(format!("{} did not take the test sale", upstream.name))),
    }
}

fn show_verdict(upstream: &Upstream, trial: &Trial, verdict: &Verdict, printer: &Printer) {
    printer.line("");
    printer.line(printer.quiet("answers:"));
    match &verdict.answer {
        Some(answer) => {
            printer.line(format!("HTTP {}", answer.status));
            for (name, value) in [("Content-Type", &answer.content_type), ("Retry-After", &answer.retry_after)] {
                if let Some(value) = value {
                    printer.line(format!("{name}: {}", clean(value)));
                }
            }
            printer.line("");
            printer.line(clean(if answer.body.is_empty() { "(nothing)" } else { &answer.body }));
        }
        None => printer.line("(nothing is sent by the log)"),
    }
    printer.line("");
    let judgement = &verdict.judgement;
    let words = format!("{}: {}", judgement.outcome.as_str(), judgement.advice);
    let is_good = matches!(judgement.outcome, AttemptOutcome::Delivered | AttemptOutcome::Duplicate);
    printer.line(if is_good { printer.good(&words) } else { printer.bad(&words) });
    if is_good {
        printer.line(trial.compare(upstream));
    }
}

fn cases(name: Option<&str>, config: &Path, printer: &Printer) -> Answer {
    let templates = templates(config)?;
    if let Some(name) = name.filter(|name| templates.get(name).is_none()) {
        return Err(Failure::No(format!("there is no template named {name}")));
    }
    let names = templates.names().filter(|known| name.is_none_or(|name| name == *known));
    let reports = names.map(|name| templates.run_cases(name)).collect::<Result<Vec<_>, _>>()?;
    if printer.is_json() {
        let row = |report: &CaseReport| json!({"template": report.template, "cases": report.count, "failures": report.failures});
        printer.json(&reports.iter().map(row).collect::<Vec<_>>());
    }
    for report in reports.iter().filter(|_| !printer.is_json()) {
        let (name, count, failed) = (&report.template, report.count, report.failures.len());
        let words = format!("{name:<16} {count} cases, {failed} failed");
        printer.line(if failed == 0 { printer.good(&words) } else { printer.bad(&words) });
        report.failures.iter().for_each(|failure| printer.line(failure));
    }
    match reports.iter().map(|report| report.failures.len()).sum::<usize>() {
        0 => Ok(()),
        failed => Err(Failure::No(format!("{failed} cases failed"))),
    }
}

fn pause(name: &str, reason: Option<String>, config: &Path, printer: &Printer) -> Answer {
    let upstream = find(name, config)?;
    let store = visit(config)?;
    let is_resumed = reason.is_none();
    let is_changed = runtime()?.block_on(store.pause_by_hand(&upstream.name, reason, SystemClock.now()))?;
    if printer.is_json() {
        printer.json(&json!({"upstream": name, "paused": !is_resumed, "changed": is_changed}));
    } else if !is_resumed {
        printer.line(format!("{name} is paused; its queue grows until `upstream resume {name}`, also over a restart"));
    } else if is_changed {
        printer.line(format!("{name} runs again; a running bridge sends within a second"));
    } else {
        printer.line(format!("{name} was not paused"));
    }
    Ok(())
}

fn find(name: &str, config: &Path) -> Result<Arc<Upstream>, Failure> {
    let upstreams = upstreams(config)?;
    let known = upstreams.iter().map(|upstream| &*upstream.name).collect::<Vec<_>>().join(", ");
    let found = upstreams.iter().find(|upstream| *upstream.name == *name).cloned();
    found.ok_or_else(|| match known.is_empty() {
        true => Failure::No(format!("{}: there is no [[upstreams]]", config.display())),
        false => Failure::No(format!("there is no upstream named {name} in {}; there is {known}", config.display())),
    })
}

fn currency(text: &str) -> Result<Currency, String> {
    Currency::from_code(text).ok_or_else(|| "is not a currency of ISO 4217, such as USD".to_owned())
}
