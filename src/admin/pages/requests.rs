//! The inbox: what came, to the byte, what became of it, and what today's pack makes of it. What signs or opens something is not shown.

use actix_web::web::Path;
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;

use super::html::{Html, badge, code, link, linked, sent, told, when, words};
use super::layout::{Layout, Room};
use super::paging::{Asked, Choice, Turns, choices};
use super::sale::shown_kind;
use super::terms;
use super::visitor::{Answer, Fault, Visitor, page};
use crate::admin::api::{shown_headers, shown_query};
use crate::attribute::EventOutcome;
use crate::domain::{Request, RequestId, Timestamp};
use crate::explain::{self, EventVerdict};
use crate::store::{EventView, RequestFilter, RequestView};

/// So much of a body that is no text is shown, in hexadecimal.
const HEX_LIMIT_BYTES: usize = 1024;
/// A body that is longer is not set out anew for reading.
const INDENT_LIMIT_BYTES: usize = 64 * 1024;
/// What can become of an event.
const OUTCOMES: [EventOutcome; 7] = [
    EventOutcome::Sale,
    EventOutcome::Corroborates,
    EventOutcome::Adjustment,
    EventOutcome::Ignored,
    EventOutcome::Parked,
    EventOutcome::Duplicate,
    EventOutcome::Fetching,
];

#[derive(Template)]
#[template(path = "requests.html")]
struct List {
    layout: Layout,
    sources: Vec<Choice>,
    outcomes: Vec<Choice>,
    orders: Vec<Choice>,
    since: String,
    until: String,
    rows: Vec<Row>,
    turns: Turns,
}

struct Row {
    id: RequestId,
    at: Html,
    source: String,
    kind: Html,
    stands: Html,
    sale: Html,
    reason: Html,
}

#[derive(Template)]
#[template(path = "request.html")]
struct One {
    layout: Layout,
    id: RequestId,
    source: String,
    at: Html,
    bytes: usize,
    stands: Html,
    events: Vec<Happened>,
    headers: Vec<(Html, Html)>,
    query: Option<Html>,
    body: Html,
    is_text: bool,
    is_cut: bool,
    indented: Option<Html>,
    verdict: Option<Told>,
}

struct Happened {
    at: Html,
    kind: Html,
    stands: Html,
    sale: Html,
    reason: Html,
}

/// What would come of a request, as it is shown.
pub(super) struct Told {
    pub(super) stands: Html,
    pub(super) reason: Html,
    pub(super) events: Vec<ToldEvent>,
}

/// What would come of an event, as it is shown.
pub(super) struct ToldEvent {
    pub(super) kind: Html,
    pub(super) stands: Html,
    pub(super) reason: Html,
    pub(super) fields: Vec<(String, Html)>,
}

impl Told {
    /// A verdict in words.
    pub(super) fn of(verdict: &explain::Verdict) -> Self {
        Self {
            stands: stands(verdict.outcome),
            reason: in_words(verdict.code.as_deref(), verdict.reason.as_deref()),
            events: verdict.events.iter().map(ToldEvent::of).collect(),
        }
    }
}

impl ToldEvent {
    fn of(event: &EventVerdict) -> Self {
        let parts = event.sale.iter().chain(&event.adjustment).flatten();
        let text = |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let mut fields: Vec<(String, Html)> = parts.map(|(name, value)| (name.clone(), told(&text(value)))).collect();
        let proof = event.proof.as_deref().map(|proof| ("arithmetic".to_owned(), words(proof)));
        let customer = event.customer.as_deref().map(|customer| ("provider's customer".to_owned(), code(customer)));
        let keys =
            (!event.keys.is_empty()).then(|| ("known by".to_owned(), Html::join(event.keys.iter().map(|key| code(key)), ", ")));
        fields.extend(proof.into_iter().chain(keys).chain(customer));
        Self {
            kind: told(shown_kind(&event.kind)),
            stands: stands(event.outcome),
            reason: in_words(event.code.as_deref(), event.reason.as_deref()),
            fields,
        }
    }
}

fn stands(outcome: explain::Outcome) -> Html {
    let (tone, text) = match outcome {
        explain::Outcome::Refused => (super::html::Tone::Bad, "refused: not believed"),
        explain::Outcome::Ignored => terms::outcome("ignored"),
        explain::Outcome::Parked => terms::outcome("parked"),
        explain::Outcome::Adjustment => terms::outcome("adjustment"),
        explain::Outcome::Sale => (super::html::Tone::Good, "a sale"),
    };
    badge(tone, text)
}

fn in_words(code: Option<&str>, reason: Option<&str>) -> Html {
    match (code, reason) {
        (Some(code), Some(reason)) => words(&format!("{reason} ({code})")),
        (None, Some(text)) | (Some(text), None) => words(text),
        (None, None) => Html::default(),
    }
}

/// `GET /requests`.
pub(super) async fn list(visitor: Visitor, request: HttpRequest) -> Answer {
    let asked = Asked::of(&request);
    let mut names: Vec<&str> = visitor.state.sources.keys().map(String::as_str).collect();
    names.sort_unstable();
    let outcome = asked.one_of("outcome", &OUTCOMES.map(EventOutcome::as_str))?;
    let filter = RequestFilter {
        source: asked.one_of("source", &names)?.map(str::to_owned),
        outcome: outcome.and_then(|outcome| OUTCOMES.into_iter().find(|known| known.as_str() == outcome)),
        since: asked.day("since", 0)?,
        until: asked.day("until", 1)?,
    };
    let paging = asked.paging()?;
    let mut found = visitor.read(move |store| store.list_requests(&filter, &paging)).await?;
    let turns = asked.turns(&mut found, |request| request.id);
    let order = if asked.is_oldest_first()? { "oldest" } else { "newest" };
    page(&List {
        layout: visitor.layout(Room::Requests, "Requests"),
        sources: choices(asked.get("source"), "every source", names.iter().map(|name| (*name, *name))),
        outcomes: choices(
            outcome,
            "whatever became of it",
            OUTCOMES.map(|each| (each.as_str(), terms::outcome(each.as_str()).1)),
        ),
        orders: choices(Some(order), "", [("newest", "newest first"), ("oldest", "oldest first")]).split_off(1),
        since: asked.get("since").unwrap_or_default().to_owned(),
        until: asked.get("until").unwrap_or_default().to_owned(),
        rows: found.rows.iter().map(|request| row(request, visitor.now)).collect(),
        turns,
    })
}

fn row(request: &RequestView, now: Timestamp) -> Row {
    let strongest = request.events.iter().find(|event| event.outcome == request.outcome).or(request.events.first());
    let (tone, text) = terms::outcome(&request.outcome);
    let more = request.events.len().saturating_sub(1);
    let kind = strongest.map_or("", |event| &event.kind);
    let kind = if request.events.is_empty() { Html::default() } else { told(shown_kind(kind)) };
    Row {
        id: request.id,
        at: when(&request.received_at, now),
        source: request.source.clone(),
        kind: if more > 0 { Html::join([kind, words(&format!("and {more} more"))], " ") } else { kind },
        stands: badge(tone, text),
        sale: strongest.map(sale_of).unwrap_or_default(),
        reason: strongest.and_then(|event| event.reason.as_deref()).map(words).unwrap_or_default(),
    }
}

fn sale_of(event: &EventView) -> Html {
    event.sale.map(|sale| link(&format!("/sales/{sale}"), &format!("Sale {sale}"))).unwrap_or_default()
}

/// `GET /requests/{id}`.
pub(super) async fn show(visitor: Visitor, path: Path<RequestId>) -> Answer {
    let (view, request) = find(&visitor, path.into_inner()).await?;
    let source = visitor.state.sources.get(&request.source).map(|source| &**source);
    let (tone, text) = terms::outcome(&view.outcome);
    let happened = |event: &EventView| {
        let (tone, text) = terms::outcome(&event.outcome);
        Happened {
            at: when(&event.at, visitor.now),
            kind: told(shown_kind(&event.kind)),
            stands: badge(tone, text),
            sale: sale_of(event),
            reason: event.reason.as_deref().map(linked).unwrap_or_default(),
        }
    };
    let headers = shown_headers(&request, source);
    let (body, is_text) = shown_body(&request.body);
    let shown = sent(&body);
    page(&One {
        layout: visitor.layout(Room::Requests, &format!("Request {}", view.id)),
        id: view.id,
        source: view.source.clone(),
        at: when(&view.received_at, visitor.now),
        bytes: view.body_bytes,
        stands: badge(tone, text),
        events: view.events.iter().map(happened).collect(),
        headers: headers.iter().map(|(name, value)| (code(name), words(value))).collect(),
        query: shown_query(&request, source).as_deref().map(words),
        is_cut: (!is_text && request.body.len() > HEX_LIMIT_BYTES) || shown.to_string().ends_with('…'),
        body: shown,
        is_text,
        indented: indented(&request.body),
        verdict: source.map(|source| Told::of(&explain::stored(source, &request))),
    })
}

/// `GET /requests/{id}/body`: the exact bytes, as a file that no browser opens.
pub(super) async fn body(visitor: Visitor, path: Path<RequestId>) -> Answer {
    let (view, request) = find(&visitor, path.into_inner()).await?;
    let name = format!("attachment; filename=\"request-{}.bin\"", view.id);
    let mut answer = HttpResponse::Ok();
    answer.content_type("application/octet-stream").insert_header(("Content-Disposition", name));
    Ok(answer.body(request.body))
}

async fn find(visitor: &Visitor, id: RequestId) -> Result<(RequestView, Request), Fault> {
    let found = visitor.read(move |store| store.request(id)).await?;
    found.ok_or_else(|| Fault::NotFound(format!("There is no request {id}.")))
}

/// The body as text, or the start of it in hexadecimal.
fn shown_body(body: &[u8]) -> (String, bool) {
    if let Ok(text) = std::str::from_utf8(body) {
        return (text.to_owned(), true);
    }
    let start = body.get(..HEX_LIMIT_BYTES).unwrap_or(body);
    (start.chunks(16).map(|line| format!("{}\n", hex::encode(line))).collect(), false)
}

/// JSON with each value on a line of its own.
fn indented(body: &[u8]) -> Option<Html> {
    let value: serde_json::Value = serde_json::from_slice(body.get(..).filter(|body| body.len() <= INDENT_LIMIT_BYTES)?).ok()?;
    serde_json::to_string_pretty(&value).ok().map(|text| sent(&text))
}
