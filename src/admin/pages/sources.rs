//! Where webhooks come from: what to paste and to switch on at each provider, what was heard of it, and a test that stores nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use actix_web::web::Path;
use askama::Template;

use super::html::{Html, Tone, badge, code, instant, number, words};
use super::layout::{Layout, Room};
use super::paging::{Choice, choices};
use super::requests::Told;
use super::terms;
use super::visitor::{Answer, Fault, Form, Visitor, page};
use crate::admin::api::shown_url;
use crate::domain::{Mode, Tallied, hour_of};
use crate::explain::{case_names, sample};
use crate::pack::Source;
use crate::store::TallyLine;
use crate::verify::Covers;

/// What was heard is counted over so many days.
const DAYS: i64 = 30;

#[derive(Template)]
#[template(path = "sources.html")]
struct List {
    layout: Layout,
    rows: Vec<Row>,
    days: i64,
}

struct Row {
    name: String,
    title: String,
    url: String,
    signed: Html,
    accepts: &'static str,
    seen: Html,
    genuine: String,
    refused: String,
}

#[derive(Template)]
#[template(path = "source.html")]
struct One {
    layout: Layout,
    name: String,
    title: String,
    docs: String,
    pack: String,
    url: String,
    has_token: bool,
    lacks_host: bool,
    accepts: &'static str,
    signed: Html,
    schemes: Vec<String>,
    binds: &'static str,
    subscribe: Vec<String>,
    counted: Vec<String>,
    taken_back: Vec<String>,
    clicks: Vec<String>,
    customers: Vec<String>,
    readme: Option<String>,
    seen: Html,
    days: i64,
    outcomes: Vec<(Html, i64)>,
    refused: Vec<(Html, String, i64)>,
    cases: Vec<Choice>,
}

#[derive(Template)]
#[template(path = "tried.html")]
struct Tried {
    layout: Layout,
    name: String,
    case: String,
    verdict: Told,
    lacks_address: bool,
}

/// `GET /sources`.
pub(super) async fn list(visitor: Visitor) -> Answer {
    let since = hour_of(visitor.now) - 24 * DAYS;
    let (requests, refused, seen) = visitor
        .read(move |store| {
            Ok((store.tallies(Tallied::Request, since)?, store.tallies(Tallied::Refused, since)?, store.last_seen()?))
        })
        .await?;
    let mut sources: Vec<&Arc<Source>> = visitor.state.sources.values().collect();
    sources.sort_by(|one, other| one.name.cmp(&other.name));
    let row = |source: &Arc<Source>| {
        let count = |lines: &[TallyLine]| {
            let sum: i64 = lines.iter().filter(|line| line.source == *source.name).map(|line| line.number).sum();
            number(u64::try_from(sum).unwrap_or(0))
        };
        let last = seen.iter().find(|(name, _)| *name == *source.name).map(|(_, at)| instant(*at, visitor.now));
        Row {
            name: source.name.to_string(),
            title: source.pack.about.title.clone(),
            url: shown_url(source, visitor.state.public_url.as_deref()),
            signed: signed(source),
            accepts: accepts(source),
            seen: last.unwrap_or_else(|| words("not yet")),
            genuine: count(&requests),
            refused: count(&refused),
        }
    };
    page(&List { layout: visitor.layout(Room::Sources, "Sources"), rows: sources.into_iter().map(row).collect(), days: DAYS })
}

/// `GET /sources/{name}`.
pub(super) async fn show(visitor: Visitor, path: Path<String>) -> Answer {
    let source = find(&visitor, &path)?;
    let since = hour_of(visitor.now) - 24 * DAYS;
    let (events, refused, seen) = visitor
        .read(move |store| {
            Ok((store.tallies(Tallied::Event, since)?, store.tallies(Tallied::Refused, since)?, store.last_seen()?))
        })
        .await?;
    let of = |lines: Vec<TallyLine>| {
        let mut sums: BTreeMap<String, i64> = BTreeMap::new();
        for line in lines.into_iter().filter(|line| line.source == *source.name) {
            *sums.entry(line.label).or_default() += line.number;
        }
        let mut sums: Vec<(String, i64)> = sums.into_iter().collect();
        sums.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        sums
    };
    let types = source.mapping.types();
    let owned = |names: Vec<&str>| names.into_iter().map(str::to_owned).collect::<Vec<_>>();
    let keys = &source.mapping.context().metadata_keys;
    let about = &source.pack.about;
    let last = seen.iter().find(|(name, _)| *name == *source.name).map(|(_, at)| instant(*at, visitor.now));
    let outcome = |(label, count): (String, i64)| {
        let (tone, text) = terms::outcome(&label);
        (badge(tone, text), count)
    };
    let names = case_names(&source);
    page(&One {
        layout: visitor.layout(Room::Sources, &format!("Source {}", source.name)),
        name: source.name.to_string(),
        title: about.title.clone(),
        docs: about.docs.clone(),
        pack: source.pack.name().to_owned(),
        url: shown_url(&source, visitor.state.public_url.as_deref()),
        has_token: source.path_token.is_some(),
        lacks_host: visitor.state.public_url.is_none(),
        accepts: accepts(&source),
        signed: signed(&source),
        schemes: source.pack.scheme.describe(),
        binds: binds(source.pack.scheme.covers()),
        subscribe: about.subscribe.clone(),
        counted: owned(types.counted.into_iter().collect()),
        taken_back: owned(types.taken_back.into_iter().collect()),
        clicks: keys.click_id.clone(),
        customers: keys.customer_external_id.clone(),
        readme: source.pack.folder.text("README.md").map(str::to_owned),
        seen: last.unwrap_or_else(|| words("not yet")),
        days: DAYS,
        outcomes: of(events).into_iter().map(outcome).collect(),
        refused: of(refused).into_iter().map(|(cause, count)| (code(&cause), terms::refusal(&cause), count)).collect(),
        cases: choices(names.first().copied(), "", names.iter().map(|name| (*name, *name))).split_off(1),
    })
}

/// `POST /sources/{name}/test`: signs, verifies and maps a case; nothing is stored.
pub(super) async fn test(path: Path<String>, form: Form) -> Answer {
    let visitor = &form.visitor;
    let source = find(visitor, &path)?;
    let case = form.text("case", 200)?;
    let sampled = sample(&source, case.as_deref(), visitor.now)
        .map_err(|why| Fault::Conflict(format!("The case could not be signed here: {why}.")))?;
    page(&Tried {
        layout: visitor.layout(Room::Sources, &format!("Test of {}", source.name)),
        name: source.name.to_string(),
        lacks_address: sampled.verdict.code.as_deref() == Some("address_not_allowed"),
        verdict: Told::of(&sampled.verdict),
        case: sampled.case,
    })
}

fn find(visitor: &Visitor, name: &str) -> Result<Arc<Source>, Fault> {
    let found = visitor.state.sources.get(name).cloned();
    found.ok_or_else(|| Fault::NotFound("The configuration has no source of that name.".to_owned()))
}

fn signed(source: &Source) -> Html {
    match source.pack.scheme.is_unsigned() {
        true => badge(Tone::Warn, "UNSIGNED"),
        false => badge(Tone::Good, &format!("signed ({})", source.pack.scheme.families().join(", "))),
    }
}

fn accepts(source: &Source) -> &'static str {
    match (source.accepts(Mode::Live), source.accepts(Mode::Test)) {
        (true, true) => "live and test",
        (true, false) => "live",
        (false, true) => "test",
        (false, false) => "nothing",
    }
}

fn binds(covers: Covers) -> &'static str {
    match covers {
        Covers::Body => "The signature binds the whole body.",
        Covers::Fields => {
            "The signature binds only the fields that it names; the rest could be changed by whoever has seen a genuine request."
        }
        Covers::Nothing => "Nothing of the body is bound: whoever learns the secret can make up a sale.",
    }
}
