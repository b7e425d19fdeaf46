//! The ledger: listed by filters that stand in the URL, searched by a form whose words never do.

use actix_web::HttpRequest;
use askama::Template;

use super::html::{Html, badge, code_or_dash, money, told, told_or_dash, when, words};
use super::layout::{Layout, Room};
use super::paging::{Asked, Choice, Turns, choices};
use super::terms;
use super::visitor::{Answer, Fault, Form, Visitor, page};
use crate::domain::{Currency, Mode, Timestamp};
use crate::store::{SaleFilter, SaleView};

/// So many sales are shown of what a search finds.
const FOUND: usize = 50;
/// Nothing by which a sale is known is longer.
const SEARCH_LIMIT: usize = 500;
/// The states of a sale, with their words.
const STATES: [(&str, &str); 4] = [
    ("waiting", "waiting for customer or click"),
    ("ready", "handed on"),
    ("parked", "parked"),
    ("merged", "merged into another"),
];

#[derive(Template)]
#[template(path = "sales.html")]
struct List {
    layout: Layout,
    sources: Vec<Choice>,
    states: Vec<Choice>,
    modes: Vec<Choice>,
    clicks: Vec<Choice>,
    orders: Vec<Choice>,
    currency: String,
    since: String,
    until: String,
    is_double: bool,
    is_filtered: bool,
    rows: Vec<Row>,
    turns: Turns,
}

#[derive(Template)]
#[template(path = "sales_found.html")]
struct Found {
    layout: Layout,
    text: String,
    count: String,
    rows: Vec<Row>,
}

/// A sale in a table.
pub(super) struct Row {
    pub(super) id: i64,
    pub(super) at: Html,
    pub(super) source: String,
    pub(super) event: Html,
    pub(super) amount: Html,
    pub(super) click: Html,
    pub(super) customer: Html,
    pub(super) invoice: Html,
    pub(super) stands: Html,
    pub(super) is_test: bool,
}

/// `GET /sales`.
pub(super) async fn list(visitor: Visitor, request: HttpRequest) -> Answer {
    let asked = Asked::of(&request);
    let mut names: Vec<&str> = visitor.state.sources.keys().map(String::as_str).collect();
    names.sort_unstable();
    let state = asked.one_of("state", &STATES.map(|(state, _)| state))?;
    let mode = asked.one_of("mode", &["live", "test"])?;
    let clicked = asked.one_of("clicked", &["yes", "no"])?;
    let is_double = asked.one_of("double", &["yes"])?.is_some();
    let currency = asked.get("currency").map(str::to_ascii_uppercase);
    if currency.as_deref().is_some_and(|code| Currency::from_code(code).is_none()) {
        return Err(Fault::Invalid("The currency is not one of ISO 4217, such as USD.".to_owned()));
    }
    let filter = SaleFilter {
        source: asked.one_of("source", &names)?.map(str::to_owned),
        state: state.map(str::to_owned),
        mode: mode.map(|mode| if mode == "live" { Mode::Live } else { Mode::Test }),
        currency: currency.clone(),
        clicked: clicked.map(|clicked| clicked == "yes"),
        is_double,
        since: asked.day("since", 0)?,
        until: asked.day("until", 1)?,
    };
    let paging = asked.paging()?;
    let mut found = visitor.read(move |store| store.list_sales(&filter, &paging)).await?;
    let turns = asked.turns(&mut found, |sale| sale.id);
    let order = if asked.is_oldest_first()? { "oldest" } else { "newest" };
    page(&List {
        layout: visitor.layout(Room::Sales, "Sales"),
        sources: choices(asked.get("source"), "every source", names.iter().map(|name| (*name, *name))),
        states: choices(state, "every state", STATES),
        modes: choices(mode, "live and test", [("live", "live"), ("test", "test")]),
        clicks: choices(clicked, "with or without a click", [("yes", "with a click"), ("no", "without a click")]),
        orders: choices(Some(order), "", [("newest", "newest first"), ("oldest", "oldest first")]).split_off(1),
        currency: currency.unwrap_or_default(),
        since: asked.get("since").unwrap_or_default().to_owned(),
        until: asked.get("until").unwrap_or_default().to_owned(),
        is_double,
        is_filtered: !request.query_string().is_empty(),
        rows: found.rows.iter().map(|sale| row(sale, visitor.now)).collect(),
        turns,
    })
}

/// `POST /sales/search`: what people know of a sale is often personal, so it is sent where no log and no history keeps it.
pub(super) async fn search(form: Form) -> Answer {
    let text = form.text("text", SEARCH_LIMIT)?.ok_or_else(|| Fault::Invalid("Enter what is known of the sale.".to_owned()))?;
    let wanted = text.clone();
    let visitor = &form.visitor;
    let (found, count) = visitor.read(move |store| store.search_sales(&wanted, FOUND)).await?;
    let count = match (count, found.len()) {
        (0, _) => "Nothing is known by exactly this.".to_owned(),
        (1, _) => "One sale.".to_owned(),
        (count, shown) if count == shown => format!("{count} sales."),
        (1000.., shown) => format!("A thousand sales or more; the newest {shown} are shown."),
        (count, shown) => format!("{count} sales; the newest {shown} are shown."),
    };
    page(&Found {
        layout: visitor.layout(Room::Sales, "Sales found"),
        rows: found.iter().map(|sale| row(sale, visitor.now)).collect(),
        text,
        count,
    })
}

/// A sale in a table.
pub(super) fn row(sale: &SaleView, now: Timestamp) -> Row {
    let click = match sale.event.get("clickId").and_then(|click| click.as_str()) {
        Some(click) => code_or_dash(Some(click)),
        None => words(&format!("none: {}", missing_click(sale))),
    };
    let tone = terms::sale(&sale.state, sale.deliveries.iter().map(|delivery| delivery.state));
    Row {
        id: sale.id,
        at: when(&sale.field("timestamp"), now),
        source: sale.source.clone(),
        event: told(&sale.field("event").replace('_', " ")),
        amount: amount(sale),
        click,
        customer: told_or_dash(Some(&sale.field("customerExternalId"))),
        invoice: code_or_dash(Some(&sale.field("invoiceId"))),
        stands: badge(tone, &sale.standing()),
        is_test: sale.mode == "test",
    }
}

/// What was paid.
pub(super) fn amount(sale: &SaleView) -> Html {
    money(sale.event.get("amount").unwrap_or(&serde_json::Value::Null), &sale.field("currency"))
}

/// In few words, why a sale has no click.
fn missing_click(sale: &SaleView) -> String {
    let code = sale.trail["clickId"]["code"].as_str().unwrap_or("not_yet_told");
    match code {
        "click_unknown" => "nobody told one".to_owned(),
        "click_too_late" => "told after the purchase".to_owned(),
        "click_of_another_customer" => "another customer's".to_owned(),
        "renewal_not_credited" => "a renewal".to_owned(),
        "not_yet_told" => "not told yet".to_owned(),
        code => code.replace('_', " "),
    }
}
