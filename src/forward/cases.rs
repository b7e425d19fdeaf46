//! The cases of a template: what it makes of sales, and of answers. `upstreams/cases/NAME.toml` is its truth table.

use serde::Deserialize;
use serde_json::Value;
use toml::Table;

use super::template::{Template, Templates};
use super::upstream::{Upstream, UpstreamConfig};
use crate::document;
use crate::domain::{
    AdjustmentStep, AttemptOutcome, Currency, EventName, Faults, Mode, Money, Outgoing, SaleEvent, Timestamp, decimal_to_minor,
};
use crate::outbound::Answer;

/// A file of cases.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    /// The clock, RFC 3339.
    at: String,
    /// How the upstream is configured, as in `[[upstreams]]`, without name and template.
    #[serde(default)]
    upstream: Table,
    /// What is told, and the request that tells it.
    sales: Vec<SaleCase>,
    /// What an upstream answers, and what that comes to.
    #[serde(default)]
    answers: Vec<AnswerCase>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SaleCase {
    /// What the case is about.
    what: String,
    /// The canonical sale event.
    sale: String,
    /// Where it differs from `[upstream]`.
    #[serde(default)]
    upstream: Table,
    /// True where it repeats an earlier purchase.
    #[serde(default)]
    renewal: bool,
    /// What goes back of it.
    adjustment: Option<StepCase>,
    /// The id that the upstream gave to the sale.
    upstream_id: Option<String>,
    /// The whole request that must come of it.
    request: Option<String>,
    /// Its body alone.
    body: Option<String>,
    /// Why it cannot be told, or a part of that.
    refused: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct StepCase {
    number: u32,
    amount: String,
    taken_back: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AnswerCase {
    /// The status, a space and the body.
    answer: String,
    /// The content type; JSON unless it says otherwise.
    content_type: Option<String>,
    /// What was told.
    #[serde(default)]
    to: To,
    /// What the answer must come to.
    comes_to: AttemptOutcome,
    /// The id of the sale that must be found in it.
    upstream_id: Option<String>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum To {
    #[default]
    Sale,
    Adjustment,
}

/// What became of the cases of one template.
#[derive(Debug, Clone, Default)]
pub struct CaseReport {
    /// The template.
    pub template: String,
    /// How many cases there are.
    pub count: usize,
    /// Those that failed: which, and how.
    pub failures: Vec<String>,
    /// How amounts of sales are written: the currency's number of decimals, the amount, and what it is on the wire, or why it is not.
    pub amounts: Vec<(u8, String, String)>,
    /// What answers to sales come to: the status, the body, and the outcome.
    pub outcomes: Vec<(u16, String, AttemptOutcome)>,
}

impl Templates {
    /// Runs the cases of a template.
    ///
    /// # Errors
    /// There are none, or they cannot be read.
    pub fn run_cases(&self, name: &str) -> Result<CaseReport, Faults> {
        let mut faults = Faults::default();
        let (Some(template), Some(cases)) = (self.get(name), self.cases(name)) else {
            faults.add(&format!("cases/{name}.toml"), "", "there are no cases of this template");
            return Err(faults);
        };
        let document: Document = document::read(&cases.text, &cases.file)?;
        let Ok(now) = document.at.parse::<Timestamp>() else {
            faults.add(&cases.file, "at", "is not an instant such as 2026-11-22T05:11:00Z");
            return Err(faults);
        };
        let mut report = CaseReport { template: name.to_owned(), ..CaseReport::default() };
        for case in &document.sales {
            report.count += 1;
            match self.told(case, &document, name, &cases.file, now) {
                Ok(told) => {
                    report.amounts.extend(told.amount);
                    report.failures.extend(told.failure.map(|how| format!("{}: {how}", case.what)));
                }
                Err(how) => report.failures.push(format!("{}: {how}", case.what)),
            }
        }
        for case in &document.answers {
            report.count += 1;
            match judged(template, case) {
                Ok((status, body)) => {
                    if case.to == To::Sale {
                        report.outcomes.push((status, body, case.comes_to));
                    }
                }
                Err(how) => report.failures.push(format!("{}: {how}", case.answer)),
            }
        }
        Ok(report)
    }

    fn told(&self, case: &SaleCase, document: &Document, name: &str, file: &str, now: Timestamp) -> Result<Told, String> {
        let upstream = self.upstream(case, document, name, file)?;
        let sale = sale_event(&case.sale)?;
        let money = sale.money;
        let currency = money.currency;
        let minor = |text: &str| decimal_to_minor(text, currency.exponent()).map_err(|error| error.to_string());
        let adjustment = match &case.adjustment {
            Some(step) => Some(AdjustmentStep {
                number: step.number,
                minor: minor(&step.amount)?,
                taken_back: minor(&step.taken_back)?,
                at: now,
            }),
            None => None,
        };
        let is_sale = adjustment.is_none();
        let outgoing = Outgoing {
            sale,
            source: "shop".to_owned(),
            mode: Mode::Live,
            is_renewal: case.renewal,
            adjustment,
            upstream_id: case.upstream_id.clone(),
        };
        let place = self.get(name).and_then(|template| template.amount_field());
        let rendered = upstream.render(&outgoing, now);
        let shown = match &rendered {
            Ok(rendered) => {
                let body: Option<Value> = serde_json::from_str(rendered.body()).ok();
                body.and_then(|body| body.pointer(&place?).map(Value::to_string))
            }
            Err(error) => Some(format!("refused: {error}")),
        };
        let amount = shown.filter(|_| is_sale).map(|shown| (currency.exponent(), money.to_string(), shown));
        let differs = |wanted: &str, found: &str| {
            (wanted.trim() != found.trim()).then(|| format!("expected\n{}\nbut it is\n{}", wanted.trim(), found.trim()))
        };
        let failure = match (&rendered, &case.request, &case.body, &case.refused) {
            (Ok(rendered), Some(wanted), _, _) => differs(wanted, &rendered.whole()),
            (Ok(rendered), None, Some(wanted), _) => differs(wanted, rendered.body()),
            (Err(error), _, _, Some(part)) if error.to_string().contains(part) => None,
            (Err(error), _, _, _) => Some(format!("it is refused: {error}")),
            (Ok(_), None, None, Some(part)) => Some(format!("it is not refused ({part})")),
            (Ok(_), None, None, None) => Some("it says neither request, body nor refused".to_owned()),
        };
        Ok(Told { amount, failure })
    }

    fn upstream(&self, case: &SaleCase, document: &Document, name: &str, file: &str) -> Result<Upstream, String> {
        let mut table = document.upstream.clone();
        table.extend(case.upstream.clone());
        table.insert("name".to_owned(), "case".into());
        table.insert("template".to_owned(), name.into());
        let config: UpstreamConfig = document::read_table(table, file).map_err(|faults| faults.to_string())?;
        Upstream::new(&config, self, &["shop"], file, "upstream").map_err(|faults| faults.to_string())
    }
}

struct Told {
    amount: Option<(u8, String, String)>,
    failure: Option<String>,
}

/// Judges an answer as the case says, and answers with its status and body.
fn judged(template: &Template, case: &AnswerCase) -> Result<(u16, String), String> {
    let (status, body) = case.answer.split_once(' ').unwrap_or((&case.answer, ""));
    let status = status.parse().map_err(|_| format!("{status} is not a status"))?;
    let content_type = case.content_type.clone().or_else(|| Some("application/json".to_owned()));
    let answer = Answer { status, content_type, retry_after: None, body: body.to_owned() };
    let judgement = template.judge(&answer, case.to == To::Adjustment);
    if judgement.outcome != case.comes_to {
        return Err(format!(
            "expected {}, but it comes to {} ({})",
            case.comes_to.as_str(),
            judgement.outcome.as_str(),
            judgement.advice
        ));
    }
    if judgement.upstream_id != case.upstream_id {
        return Err(format!("expected the id {:?}, but it is {:?}", case.upstream_id, judgement.upstream_id));
    }
    Ok((status, body.to_owned()))
}

/// A canonical sale event, as DESIGN and cases write it.
fn sale_event(text: &str) -> Result<SaleEvent, String> {
    let object: Value = serde_json::from_str(text).map_err(|error| format!("the sale is not JSON: {error}"))?;
    let field = |name: &str| object[name].as_str().map(str::to_owned);
    let needed = |name: &str| field(name).ok_or_else(|| format!("the sale has no {name}"));
    let event = needed("event")?;
    let code = needed("currency")?;
    let currency = Currency::from_code(&code).ok_or_else(|| format!("{code} is not a currency"))?;
    let minor = decimal_to_minor(&object["amount"].to_string(), currency.exponent()).map_err(|error| error.to_string())?;
    let timestamp = needed("timestamp")?;
    Ok(SaleEvent {
        event: EventName::parse(&event).ok_or_else(|| format!("{event} is not a canonical event"))?,
        customer_external_id: field("customerExternalId"),
        money: Money { minor, currency },
        click_id: field("clickId"),
        invoice_id: field("invoiceId"),
        timestamp: timestamp.parse().map_err(|_| format!("{timestamp} is not a timestamp"))?,
        email: field("email"),
        name: field("name"),
    })
}
