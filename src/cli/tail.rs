//! `salebridge tail`: events and attempts as they happen, one line each. Nothing of a customer is shown.

use std::path::Path;
use std::time::Duration;

use clap::Args;
use clap::builder::PossibleValuesParser;
use serde_json::{Value, json};

use super::filter::known_source;
use super::follow::{Follower, Found};
use super::period::instant;
use super::print::{Printer, clean, terminal_width};
use super::serve::until_stopped;
use super::table::shortened;
use super::{Answer, Failure, runtime, visit};
use crate::attribute::EventOutcome;
use crate::domain::{AttemptOutcome, Clock as _, RequestId, SystemClock, Timestamp};
use crate::store::{AttemptLine, EventLine, Paging, RequestFilter, Store};

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(500);
/// Before a store that cannot be read is asked again.
const PATIENCE: Duration = Duration::from_secs(2);
/// Numbers of requests follow their times but for a moment.
const DISORDER: Duration = Duration::from_secs(60);
/// A type, as its sender wrote it, takes so many places at most.
const KIND: usize = 60;
/// A reason takes so many places at most.
const REASON: usize = 300;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Only events of this source, and deliveries of its sales
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// Only events, or attempts of deliveries, that came to this
    #[arg(long, value_name = "OUTCOME", value_parser = outcomes())]
    outcome: Option<String>,
    /// Begin with what was received at this day (UTC) or instant, or later
    #[arg(long, value_name = "TIME", conflicts_with = "last")]
    since: Option<String>,
    /// Begin with the last so many requests
    #[arg(long, value_name = "COUNT", default_value_t = 10, value_parser = clap::value_parser!(u16).range(0..=500))]
    last: u16,
}

/// One line: when, and what.
struct Line {
    at: Timestamp,
    outcome: String,
    text: String,
    json: Value,
}

pub(super) fn run(arguments: &Arguments, config: &Path, printer: &Printer) -> Answer {
    let store = visit(config)?;
    known_source(arguments.source.as_deref(), &*store, config)?;
    let since = arguments.since.as_deref().map(|text| instant("--since", text)).transpose()?;
    let now = SystemClock.now();
    let (mut follower, first) = match since {
        Some(since) => {
            let before = since.checked_sub(DISORDER).unwrap_or(since);
            (Follower::new(store.last_request_before(before)?, since), Vec::new())
        }
        None => newest(arguments, &*store, now)?,
    };
    let mut first: Vec<Line> = first.iter().map(event_line).collect();
    runtime()?.block_on(async {
        let stopped = until_stopped();
        tokio::pin!(stopped);
        let (mut pause, mut is_broken) = (Duration::ZERO, false);
        // Attempts that wait for events which happened before them.
        let mut held: Vec<Line> = Vec::new();
        loop {
            tokio::select! {
                biased;
                heard = &mut stopped => return heard.map_err(|error| Failure::No(format!("signals cannot be heard: {error}"))),
                () = tokio::time::sleep(pause) => {}
            }
            let found = match follower.look(&*store, SystemClock.now()) {
                Ok(found) => found,
                Err(error) => {
                    if !is_broken {
                        printer.complain(&format!("{error}; it is tried again"));
                    }
                    (is_broken, pause) = (true, PATIENCE);
                    continue;
                }
            };
            is_broken = false;
            pause = if found.is_more { Duration::ZERO } else { PAUSE };
            let mut lines = std::mem::take(&mut first);
            lines.extend(wanted(&found, arguments, since, &mut held));
            // A reader that has gone away wants nothing more.
            if lines.iter().any(|line| printer.tell(&shown(line, printer)).is_err()) {
                return Ok(());
            }
        }
    })
}

/// The last requests, and where to go on after them.
fn newest(arguments: &Arguments, store: &dyn Store, now: Timestamp) -> Result<(Follower, Vec<EventLine>), Failure> {
    let last = store.last_settled()?;
    let mut events = Vec::new();
    if arguments.last > 0 {
        let outcome = arguments.outcome.as_deref().and_then(EventOutcome::parse);
        let filter = RequestFilter { source: arguments.source.clone(), outcome, ..RequestFilter::default() };
        let paging = Paging { limit: arguments.last.into(), ..Paging::default() };
        let page = store.list_requests(&filter, &paging)?;
        let mut ids: Vec<RequestId> = page.rows.iter().map(|request| request.id).filter(|id| *id <= last).collect();
        ids.sort_unstable();
        let ranges: Vec<(RequestId, RequestId)> = ids.into_iter().map(|id| (id, id)).collect();
        events = store.events_between(&ranges)?;
        events.retain(|event| is_wanted(arguments, &event.source, &event.outcome));
    }
    let start = events.first().map_or(now, |event| event.received_at);
    let mut follower = Follower::new(last, start);
    if store.is_shared() {
        follower.look_back(store, now)?;
    }
    Ok((follower, events))
}

/// What is to be shown of a look, in the order of time. Attempts that are later than events which are still to be read wait.
fn wanted(found: &Found, arguments: &Arguments, since: Option<Timestamp>, held: &mut Vec<Line>) -> Vec<Line> {
    let events = found.events.iter().filter(|event| since.is_none_or(|since| event.received_at >= since));
    let mut lines: Vec<Line> =
        events.filter(|event| is_wanted(arguments, &event.source, &event.outcome)).map(event_line).collect();
    let attempts = found.attempts.iter().filter(|attempt| is_wanted(arguments, &attempt.source, &attempt.outcome));
    held.extend(attempts.map(attempt_line));
    let until = found.events.last().map(|event| event.received_at).filter(|_| found.is_more);
    let (ripe, rest) = std::mem::take(held).into_iter().partition(|line| until.is_none_or(|until| line.at <= until));
    *held = rest;
    lines.extend::<Vec<Line>>(ripe);
    lines.sort_by_key(|line| line.at);
    lines
}

fn is_wanted(arguments: &Arguments, source: &str, outcome: &str) -> bool {
    arguments.source.as_deref().is_none_or(|wanted| wanted == source)
        && arguments.outcome.as_deref().is_none_or(|wanted| wanted == outcome)
}

fn event_line(event: &EventLine) -> Line {
    let kind = if event.kind.is_empty() { "(unreadable)".to_owned() } else { one_line(&event.kind, KIND) };
    let test = if event.mode == "test" { Some("test mode".to_owned()) } else { None };
    let parts = [
        Some(format!("{:<14}", event.source)),
        Some(kind),
        test,
        event.sale.map(|sale| format!("sale {sale}")),
        event.money.map(|money| money.to_string()),
        event.reason.as_deref().map(|reason| one_line(reason, REASON)),
    ];
    let (amount, currency) = (event.money.map(|money| money.to_number()), event.money.map(|money| money.currency.code()));
    Line {
        at: event.received_at,
        outcome: event.outcome.clone(),
        text: parts.into_iter().flatten().collect::<Vec<_>>().join("  "),
        json: told(json!({
            "what": "event", "at": event.received_at.to_string(), "request": event.request, "source": event.source,
            "type": event.kind, "mode": event.mode, "outcome": event.outcome, "sale": event.sale, "amount": amount,
            "currency": currency, "code": event.code, "reason": event.reason,
        })),
    }
}

fn attempt_line(attempt: &AttemptLine) -> Line {
    let kind = if attempt.is_adjustment { "adjustment" } else { "sale" };
    let status = attempt.status.map_or_else(|| "no answer".to_owned(), |status| status.to_string());
    let (delivery, sale) = (attempt.delivery, attempt.sale);
    let parts = [
        format!("{:<14}", format!("→ {}", attempt.upstream)),
        format!("delivery {delivery}"),
        if attempt.is_adjustment { format!("sale {sale} (adjustment)") } else { format!("sale {sale}") },
        status,
        one_line(&attempt.reason, REASON),
    ];
    Line {
        at: attempt.finished_at,
        outcome: attempt.outcome.clone(),
        text: parts.join("  "),
        json: told(json!({
            "what": "attempt", "at": attempt.finished_at.to_string(), "delivery": delivery, "attempt": attempt.number, "sale": sale,
            "source": attempt.source, "upstream": attempt.upstream, "kind": kind, "outcome": attempt.outcome,
            "status": attempt.status, "reason": attempt.reason,
        })),
    }
}

/// Without what is not there.
fn told(mut value: Value) -> Value {
    if let Some(fields) = value.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
    }
    value
}

fn one_line(text: &str, width: usize) -> String {
    shortened(&clean(text).replace('\n', " "), width)
}

fn shown(line: &Line, printer: &Printer) -> String {
    if printer.is_json() {
        return line.json.to_string();
    }
    let time = format!("{:.0}", line.at);
    let plain = format!("{time}  {:<12}  {}", line.outcome, line.text.trim_end());
    let plain = terminal_width().map_or_else(|| plain.clone(), |width| shortened(&plain, width));
    match plain.split_once(&line.outcome) {
        Some((before, after)) => {
            let outcome = printer.tone("OUTCOME", &line.outcome, &line.outcome).unwrap_or_else(|| line.outcome.clone());
            format!("{}{outcome}{after}", printer.quiet(before))
        }
        None => plain,
    }
}

fn outcomes() -> PossibleValuesParser {
    let mut words: Vec<&str> = EventOutcome::ALL.into_iter().map(EventOutcome::as_str).collect();
    words.extend(AttemptOutcome::ALL.into_iter().map(AttemptOutcome::as_str).filter(|word| *word != "duplicate"));
    PossibleValuesParser::new(words)
}
