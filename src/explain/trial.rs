//! Runs a pack's cases: each request through verification and mapping, several in a row through a ledger of their own.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use serde::Serialize;
use serde_json::{Map, Value};

use super::{EventVerdict, Outcome, Verdict};
use crate::attribute::{Config, Rules};
use crate::domain::{FixedClock, Timestamp};
use crate::enrich::{Enricher, Failure, Fetcher};
use crate::pack::{Expected, Fetched, Pack, Scenario, Source, Step, scenarios};
use crate::pipeline::Pipeline;
use crate::store::{Access, SaleView, Sqlite, Store as _};
use crate::verify::Refusal;

/// What a row of requests calls the amount that is left of a sale.
const BALANCE: &str = "balance";

/// How the cases of a pack went.
#[derive(Debug, Clone, Serialize)]
pub struct PackReport {
    /// The pack.
    pub pack: String,
    /// True where every case passed and nothing is missing.
    pub passed: bool,
    /// Each case.
    pub cases: Vec<CaseReport>,
    /// Files that make no sense, and kinds of cases that are missing.
    pub faults: Vec<String>,
}

/// How one case went.
#[derive(Debug, Clone, Serialize)]
pub struct CaseReport {
    /// The stem of its files.
    pub name: String,
    /// Whether what came of it is what must come of it.
    pub passed: bool,
    /// What differs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub difference: Option<String>,
}

/// Runs every case of a pack. `now` is the clock of cases that do not set theirs.
pub async fn test_pack(pack: &Arc<Pack>, now: Timestamp) -> PackReport {
    let (scenarios, mut faults) = scenarios(&pack.folder);
    let has = |wanted: fn(&Expected) -> bool| scenarios.iter().any(|scenario| wanted(&scenario.expected));
    let kinds = [
        ("accepted", has(|expected| matches!(expected, Expected::Sales(_)))),
        ("ignored", has(|expected| matches!(expected, Expected::Ignored(_)))),
        ("refused", has(|expected| matches!(expected, Expected::Refused(_)))),
    ];
    for (kind, _) in kinds.into_iter().filter(|(_, is_there)| !is_there) {
        faults.push(format!("there is no {kind} case; every pack has all of accepted, ignored and refused"));
    }
    if pack.folder.text("README.md").is_none() {
        faults.push("README.md is missing: it says what to switch on in the provider's dashboard".to_owned());
    }
    let mut cases = Vec::new();
    for scenario in &scenarios {
        let difference = run(pack, scenario, now).await.err();
        cases.push(CaseReport { name: scenario.name.clone(), passed: difference.is_none(), difference });
    }
    let passed = faults.is_empty() && cases.iter().all(|case| case.passed);
    PackReport { pack: pack.name().to_owned(), passed, cases, faults }
}

async fn run(pack: &Arc<Pack>, scenario: &Scenario, now: Timestamp) -> Result<(), String> {
    if let Expected::Ledger(wanted) = &scenario.expected {
        return same_sales(&ledger(pack, scenario, now).await?, wanted);
    }
    let Step { case, fetched, .. } = &scenario.steps[0];
    let fetched = fetched.as_ref();
    let source = Source::plain(pack, case.circumstances(fetched.is_some())?)?;
    let verdict = super::request(&source, &case.request(pack.name(), now), fetched);
    match &scenario.expected {
        Expected::Sales(wanted) => {
            let sales: Vec<_> = verdict.events.iter().filter_map(|event| event.sale.clone()).collect();
            if verdict.outcome == Outcome::Sale { same_sales(&sales, wanted) } else { Err(differs("a sale", &verdict)) }
        }
        Expected::Adjustments(wanted) => {
            let shown = |event: &EventVerdict| {
                let mut shown = event.adjustment.clone()?;
                shown.insert("keys".to_owned(), event.keys.clone().into());
                Some(shown)
            };
            let found: Vec<_> = verdict.events.iter().filter_map(shown).collect();
            if found.is_empty() { Err(differs("an adjustment", &verdict)) } else { same(&found, wanted, "adjustment") }
        }
        Expected::Ignored(reason) => same_reason(Outcome::Ignored, reason, &verdict),
        Expected::Parked(reason) => same_reason(Outcome::Parked, reason, &verdict),
        Expected::Refused(code) => same_reason(Outcome::Refused, code, &verdict),
        Expected::Ledger(_) => Ok(()),
    }
}

/// The sales that a ledger ends with after these requests, when all waiting is over.
async fn ledger(pack: &Arc<Pack>, scenario: &Scenario, now: Timestamp) -> Result<Vec<Map<String, Value>>, String> {
    let words = |error: &dyn std::fmt::Display| format!("the trial's own ledger failed: {error}");
    let folder = tempfile::tempdir().map_err(|error| words(&error))?;
    let store = Sqlite::open(&folder.path().join("trial.db"), Access::Scratch, 16).map_err(|error| words(&error))?;
    let store = Arc::new(store);
    let rules = Rules::new(&Config::default(), Vec::new());
    let mut last = now;
    for Step { file, case, fetched } in &scenario.steps {
        let fetched = fetched.as_ref();
        let source = Arc::new(Source::plain(pack, case.circumstances(fetched.is_some())?)?);
        let sources = HashMap::from([(pack.name().to_owned(), Arc::clone(&source))]);
        let pipeline = Pipeline::new(Arc::clone(&store) as _, Arc::new(sources), rules.clone());
        last = case.at.unwrap_or(now);
        pipeline.step(last).await.map_err(|error| words(&error))?;
        let request = case.request(pack.name(), now);
        let fingerprint = source.fingerprint(&request);
        let refused = |refusal: Refusal| format!("{file} was refused: {refusal}");
        let certificate = super::certificate(&source, &request, fetched).map_err(refused)?;
        let verified = pack.scheme.verify(&source.keys, request, certificate.as_ref()).map_err(refused)?;
        store.append(verified, fingerprint).await.map_err(|error| words(&error))?;
        pipeline.step(last).await.map_err(|error| words(&error))?;
        if let Some(fetched) = fetched {
            let fetcher = Arc::new(FromFile(fetched.clone()));
            let mut enricher = Enricher::new(Arc::clone(&source), Arc::clone(&store) as _, fetcher, Box::new(|| 0));
            let clock = FixedClock::new(last);
            while enricher.step(&clock).await.map_err(|error| words(&error))?.tried > 0 {}
            pipeline.step(last).await.map_err(|error| words(&error))?;
        }
    }
    let pipeline = Pipeline::new(Arc::clone(&store) as _, Arc::default(), rules.clone());
    pipeline.step(last + rules.waiting_room).await.map_err(|error| words(&error))?;
    let mut sales = store.sales(10_000).map_err(|error| words(&error))?;
    sales.retain(|sale| sale.merged_into.is_none());
    sales.reverse();
    let shown = |sale: SaleView| {
        let mut event = sale.event;
        event.insert(BALANCE.to_owned(), sale.balance.left);
        event
    };
    Ok(sales.into_iter().map(shown).collect())
}

/// What a case says would be fetched.
struct FromFile(Fetched);

#[async_trait]
impl Fetcher for FromFile {
    async fn fetch(&self, path: &str, _: Timestamp) -> Result<String, Failure> {
        self.0.answer(path).map_err(Failure::Never)
    }
}

fn same_sales(sales: &[Map<String, Value>], wanted: &[Value]) -> Result<(), String> {
    same(sales, wanted, "sale")
}

fn same(found: &[Map<String, Value>], wanted: &[Value], what: &str) -> Result<(), String> {
    if found.len() != wanted.len() {
        let shown = serde_json::to_string(found).unwrap_or_default();
        return Err(format!("{} {what}(s) expected, {} found: {shown}", wanted.len(), found.len()));
    }
    for (sale, wanted) in found.iter().zip(wanted) {
        let Value::Object(wanted) = wanted else { return Err("what must come is not a JSON object".to_owned()) };
        // A row of requests may say what is left of its sales, but need not.
        let is_asked = |name: &&String| name.as_str() != BALANCE && !wanted.contains_key(*name);
        let names = wanted.keys().chain(sale.keys().filter(is_asked));
        for name in names {
            if !is_same(name, sale.get(name), wanted.get(name)) {
                let show = |value: Option<&Value>| value.map_or_else(|| "nothing".to_owned(), Value::to_string);
                return Err(format!("{name}: {} expected, {} found", show(wanted.get(name)), show(sale.get(name))));
            }
        }
    }
    Ok(())
}

/// Amounts are the same where they are equal as decimals, times where they are the same second.
fn is_same(name: &str, one: Option<&Value>, other: Option<&Value>) -> bool {
    let amount = |value: Option<&Value>| value?.as_number().map(|number| plain(&number.to_string()));
    let second = |value: Option<&Value>| Some(value?.as_str()?.parse::<Timestamp>().ok()?.as_second());
    match name {
        "amount" | BALANCE => amount(one).is_some() && amount(one) == amount(other),
        "timestamp" => second(one).is_some() && second(one) == second(other),
        _ => one == other,
    }
}

/// The digits of a decimal without surplus zeros: 49.90 and 49.9 are one number.
fn plain(digits: &str) -> String {
    match digits.split_once('.') {
        Some((whole, fraction)) if fraction.bytes().all(|byte| byte == b'0') => whole.to_owned(),
        Some(_) => digits.trim_end_matches('0').to_owned(),
        None => digits.to_owned(),
    }
}

fn same_reason(outcome: Outcome, wanted: &str, verdict: &Verdict) -> Result<(), String> {
    let (code, reason) = (verdict.code.as_deref().unwrap_or_default(), verdict.reason.as_deref().unwrap_or_default());
    let is_named = [code, reason, &format!("{code}: {reason}")].contains(&wanted);
    if verdict.outcome == outcome && is_named {
        Ok(())
    } else {
        Err(differs(&format!("{outcome:?} ({wanted})").to_lowercase(), verdict))
    }
}

fn differs(wanted: &str, verdict: &Verdict) -> String {
    let show = |text: &Option<String>| text.clone().unwrap_or_default();
    let found = format!("{:?}", verdict.outcome).to_lowercase();
    format!("{wanted} expected, {found} found: {} {}", show(&verdict.code), show(&verdict.reason)).trim_end().to_owned()
}
