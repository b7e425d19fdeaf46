//! `salebridge requests refused|accept`: what was turned away, why, and a second look at it once the cause is mended.

use std::path::Path;
use std::sync::Arc;

use clap::Args;

use super::print::{Printer, clean};
use super::{Answer, Failure, runtime, visit};
use crate::app::load;
use crate::doctor::Diagnosis;
use crate::receive::WebCertificates;
use crate::rejudge::{Judged, Rejudge};
use crate::store::{Access, RefusedView, Store, WhichRefused};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Show this one whole, without its body, signatures and passwords
    #[arg(value_name = "ID")]
    id: Option<i64>,
    /// Only requests to this source
    #[arg(long, value_name = "NAME", conflicts_with = "id")]
    source: Option<String>,
    /// At most so many
    #[arg(long, default_value_t = 100, conflicts_with = "id")]
    limit: usize,
}

pub(super) fn run(arguments: &Arguments, config: &Path, printer: &Printer) -> Answer {
    let store = visit(config)?;
    match arguments.id {
        Some(id) => show(&*store, id, printer),
        None => list(&*store, arguments, printer),
    }
}

fn list(store: &dyn Store, arguments: &Arguments, printer: &Printer) -> Answer {
    let which = WhichRefused { source: arguments.source.clone(), before: None, limit: arguments.limit };
    let refused = store.refused(&which)?;
    if printer.is_json() {
        printer.json(&refused);
        return Ok(());
    }
    let rows = refused.iter().map(|refused| {
        let first = diagnosis(refused).findings.into_iter().next();
        vec![
            refused.id.to_string(),
            refused.received_at.clone(),
            refused.source.clone(),
            refused.code.clone(),
            refused.finding.clone(),
            first.map(|finding| finding.text).unwrap_or_default(),
        ]
    });
    printer.table(&["REFUSED", "RECEIVED", "SOURCE", "CODE", "FINDING", "WHAT"], rows);
    let is_asked = |source: &str| arguments.source.as_ref().is_none_or(|wanted| wanted == source);
    for count in store.refused_counts()?.into_iter().filter(|count| is_asked(&count.source)) {
        let text = format!(
            "{}: {} in all {}, from {} to {}; kept: {}",
            count.source, count.code, count.count, count.first_at, count.last_at, count.kept
        );
        printer.line(printer.quiet(&text));
    }
    Ok(())
}

fn show(store: &dyn Store, id: i64, printer: &Printer) -> Answer {
    let gone = || Failure::No(format!("there is no refused request {id}: it was accepted, or newer ones took its place"));
    let (view, refused) = store.refused_request(id)?.ok_or_else(gone)?;
    if printer.is_json() {
        printer.json(&refused.shown(&view));
        return Ok(());
    }
    let kept = if view.body_kept { "" } else { ", not kept" };
    printer.line(format!("refused   {id} at {}, received {}, {} bytes{kept}", view.source, view.received_at, view.body_bytes));
    printer.line(format!("code      {} (refused so at this source: {})", view.code, view.count));
    printer.line(format!("cause     {}", clean(&view.cause)));
    tell(&diagnosis(&view), printer);
    if let Some(url) = &refused.request.url {
        printer.line(format!("given URL {}", clean(url)));
    }
    if let Some(query) = refused.shown_query() {
        printer.line(format!("query     {}", clean(&query)));
    }
    if let Some(address) = refused.connection {
        printer.line(format!("from      {address}"));
    }
    for (name, value) in refused.shown_headers() {
        printer.line(format!("{}: {}", printer.quiet(&clean(name)), clean(value)));
    }
    Ok(())
}

/// The stored diagnosis; one of another version is passed over.
fn diagnosis(view: &RefusedView) -> Diagnosis {
    serde_json::from_value(view.diagnosis.clone()).unwrap_or_default()
}

/// A diagnosis for people.
pub(super) fn tell(diagnosis: &Diagnosis, printer: &Printer) {
    for finding in &diagnosis.findings {
        printer.line(format!("finding   {}: {}", finding.code.as_str(), clean(&finding.text)));
        printer.line(format!("          {}", clean(&finding.advice)));
    }
}

/// Judges them again.
pub(super) fn accept(ids: &[i64], config: &Path, printer: &Printer) -> Answer {
    let checked = load(config)?;
    let store = checked.store.open(Access::Visit, 16)?;
    let runtime = runtime()?;
    let context = runtime.enter();
    let certificates = Arc::new(WebCertificates::new().map_err(Failure::No)?);
    drop(context);
    let rejudge = Rejudge::new(store, checked.sources, checked.server.trusted_proxies, certificates);
    let mut judged = Vec::new();
    for id in ids {
        judged.push(runtime.block_on(rejudge.judge_again(*id))?);
    }
    if printer.is_json() {
        printer.json(&judged);
    } else {
        judged.iter().for_each(|judged| say(judged, printer));
    }
    let is_in = |judged: &&Judged| matches!(judged, Judged::Accepted { .. });
    match judged.len() - judged.iter().filter(is_in).count() {
        0 => Ok(()),
        1 if ids.len() == 1 => Err(Failure::No("it was not accepted".to_owned())),
        left => Err(Failure::No(format!("{left} of {} were not accepted", ids.len()))),
    }
}

fn say(judged: &Judged, printer: &Printer) {
    match judged {
        Judged::Accepted { id, request, duplicate: false } => {
            printer.line(printer.good(&format!("refused request {id} is request {request} now")));
        }
        Judged::Accepted { id, request, duplicate: true } => {
            printer.line(printer.good(&format!("refused request {id} had come again, and is request {request}")));
        }
        Judged::Refused { id, code, cause, diagnosis } => {
            printer.line(printer.bad(&format!("refused request {id} is refused still ({code}): {}", clean(cause))));
            tell(diagnosis, printer);
        }
        Judged::Impossible { id, why } => printer.line(printer.bad(&format!("refused request {id} cannot be judged: {why}"))),
        Judged::Gone { id } => {
            let text = format!("there is no refused request {id}: it was accepted, or newer ones took its place");
            printer.line(printer.bad(&text));
        }
    }
}
