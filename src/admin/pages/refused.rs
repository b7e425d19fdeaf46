//! What was turned away: how often and why, what each comes from, and a second look at it once the cause is mended.

use actix_web::HttpRequest;
use actix_web::web::Path;
use askama::Template;
use serde_json::Value;

use super::html::{Html, Tone, badge, code, number, when, words};
use super::layout::{Layout, Room};
use super::paging::{Asked, Choice, choices};
use super::terms;
use super::visitor::{Answer, Fault, Form, Visitor, lead_to, page};
use crate::domain::Timestamp;
use crate::rejudge::Judged;
use crate::store::{RefusedId, RefusedView, WhichRefused};

/// So many are shown on a page.
const ROWS: usize = 50;

#[derive(Template)]
#[template(path = "refused.html")]
struct List {
    layout: Layout,
    sources: Vec<Choice>,
    counts: Vec<Count>,
    rows: Vec<Row>,
    on: Option<String>,
}

struct Count {
    source: String,
    code: Html,
    means: String,
    count: String,
    kept: u64,
    last: Html,
}

struct Row {
    id: RefusedId,
    at: Html,
    source: String,
    code: Html,
    cause: Html,
    finding: Html,
}

#[derive(Template)]
#[template(path = "refused_one.html")]
struct One {
    layout: Layout,
    id: RefusedId,
    source: String,
    at: Html,
    code: Html,
    cause: Html,
    bytes: usize,
    is_kept: bool,
    findings: Vec<Finding>,
    verdict: Option<Html>,
    from: Option<String>,
    query: Option<Html>,
    headers: Vec<(Html, Html)>,
}

struct Finding {
    code: Html,
    text: Html,
    advice: Html,
}

/// `GET /requests/refused`.
pub(super) async fn list(visitor: Visitor, request: HttpRequest) -> Answer {
    let asked = Asked::of(&request);
    let mut names: Vec<&str> = visitor.state.sources.keys().map(String::as_str).collect();
    names.sort_unstable();
    let source = asked.one_of("source", &names)?;
    let before = asked.paging()?.cursor.and_then(|cursor| cursor.parse().ok());
    let which = WhichRefused { source: source.map(str::to_owned), before, limit: ROWS };
    let (counts, refused) = visitor.read(move |store| Ok((store.refused_counts()?, store.refused(&which)?))).await?;
    let last = refused.last().filter(|_| refused.len() == ROWS).map(|last| last.id.to_string());
    let now = visitor.now;
    let is_asked = |name: &str| source.is_none_or(|source| source == name);
    let counts = counts.into_iter().filter(|count| is_asked(&count.source)).map(|count| Count {
        code: code(&count.code),
        means: terms::refusal(&count.code),
        count: number(count.count),
        kept: count.kept,
        last: when(&count.last_at, now),
        source: count.source,
    });
    page(&List {
        layout: visitor.layout(Room::Requests, "Refused requests"),
        sources: choices(source, "every source", names.iter().map(|name| (*name, *name))),
        counts: counts.collect(),
        rows: refused.iter().map(|refused| row(refused, now)).collect(),
        on: last.map(|last| asked.with(&[("cursor", Some(&last))])),
    })
}

fn row(refused: &RefusedView, now: Timestamp) -> Row {
    Row {
        id: refused.id,
        at: when(&refused.received_at, now),
        source: refused.source.clone(),
        code: badge(Tone::Bad, &refused.code.replace('_', " ")),
        cause: words(&refused.cause),
        finding: refused.diagnosis[0]["text"].as_str().map(words).unwrap_or_default(),
    }
}

/// `GET /requests/refused/{id}`.
pub(super) async fn show(visitor: Visitor, path: Path<RefusedId>) -> Answer {
    told(&visitor, path.into_inner(), None).await
}

/// `POST /requests/refused/{id}/judge`: by today's configuration, as of its receipt; what is genuine after all is accepted.
pub(super) async fn judge(path: Path<RefusedId>, form: Form) -> Answer {
    let (id, state) = (path.into_inner(), &form.visitor.state);
    let verdict = match state.rejudge.judge_again(id).await? {
        Judged::Accepted { request, .. } => {
            state.ring();
            return Ok(lead_to(&format!("/requests/{request}")));
        }
        Judged::Gone { id } => return Err(gone(id)),
        Judged::Refused { cause, diagnosis, .. } => {
            let found = diagnosis.findings.first().map(|finding| format!(" {}. {}", finding.text, finding.advice));
            format!("It is still refused: {cause}.{}", found.unwrap_or_default())
        }
        Judged::Impossible { why, .. } => format!("It cannot be judged again: {why}."),
    };
    told(&form.visitor, id, Some(words(&verdict))).await
}

async fn told(visitor: &Visitor, id: RefusedId, verdict: Option<Html>) -> Answer {
    let found = visitor.read(move |store| store.refused_request(id)).await?;
    let (view, refused) = found.ok_or_else(|| gone(id))?;
    let headers = refused.shown_headers().into_iter().map(|(name, value)| (code(name), words(value)));
    let finding = |finding: &Value| Finding {
        code: code(finding["code"].as_str().unwrap_or_default()),
        text: words(finding["text"].as_str().unwrap_or_default()),
        advice: words(finding["advice"].as_str().unwrap_or_default()),
    };
    page(&One {
        layout: visitor.layout(Room::Requests, &format!("Refused request {id}")),
        id,
        at: when(&view.received_at, visitor.now),
        code: badge(Tone::Bad, &view.code.replace('_', " ")),
        cause: words(&view.cause),
        bytes: view.body_bytes,
        is_kept: view.body_kept,
        findings: view.diagnosis.as_array().into_iter().flatten().map(finding).collect(),
        verdict,
        from: refused.connection.map(|address| address.to_string()),
        query: refused.shown_query().as_deref().map(words),
        headers: headers.collect(),
        source: view.source,
    })
}

fn gone(id: RefusedId) -> Fault {
    Fault::NotFound(format!("There is no refused request {id}: it was accepted or removed, or newer ones took its place."))
}
