//! A signed sample through a real bridge on a temporary file: with the secrets that were just written, without any upstream and without
//! asking any API, so that nothing leaves this machine.

use std::sync::Arc;

use serde_json::{Value, json};

use super::plan::{Plan, SourcePlan};
use super::render;
use crate::app::{Bridge, Environment, Sockets, load_text};
use crate::cli::Failure;
use crate::cli::demo::{free_port, is_attributed, settle};
use crate::cli::listing::sale_table;
use crate::cli::print::Printer;
use crate::cli::send::deliver;
use crate::domain::SystemClock;
use crate::pack::{Case, Credentials, Expected, Scenario, scenarios};

/// How the names of cases end that tell of a usual purchase, and not of something peculiar about its amount or its currency.
const USUAL: [&str; 5] = ["checkout-completed", "captured", "completed", "succeeded", "paid"];

/// A case of a pack that counts as one sale.
pub(super) struct Sample {
    /// As `send` knows it.
    pub(super) name: String,
    case: Case,
}

/// The case that shows most: one live sale, if possible with a click and a customer, which nothing has to be fetched for.
pub(super) fn case(source: &SourcePlan) -> Option<Sample> {
    let (scenarios, _) = scenarios(&source.pack.folder);
    let is_sale = |scenario: &&Scenario| {
        let is_single = matches!(&scenario.expected, Expected::Sales(sales) if sales.len() == 1);
        let is_plain = |step: &crate::pack::Step| step.fetched.is_none() && step.case.root.is_none();
        is_single && scenario.steps.len() == 1 && scenario.steps.iter().all(is_plain)
    };
    let is_usual = |scenario: &&Scenario| USUAL.iter().any(|word| scenario.name.ends_with(word));
    let sales = || scenarios.iter().filter(is_sale);
    let whole = || sales().filter(|scenario| is_attributed(scenario));
    let found = whole().find(is_usual).or_else(|| whole().next()).or_else(|| sales().next())?;
    let step = found.steps.first()?;
    Some(Sample { name: step.file.trim_end_matches(".http").to_owned(), case: step.case.clone() })
}

/// The source and its case, where a sample can be signed: with all secrets of its scheme, which the provider shares with the team.
pub(super) fn prepare<'a>(source: &'a SourcePlan, public_url: &str) -> Option<(&'a SourcePlan, Case)> {
    let is_filled = source.secrets.iter().all(|secret| !secret.is_used || secret.is_for_api || secret.slot.value.is_some());
    let needs_api = source.pack.api.as_ref().is_some_and(|api| api.credentials == Credentials::Required);
    if !is_filled || needs_api {
        return None;
    }
    let sample = case(source)?;
    let checked = load_text(&render::sample(source, public_url, "127.0.0.1:0"), "sample.toml".as_ref(), &values(source)?).ok()?;
    let ready = checked.sources.get(&source.name)?;
    let mut request = sample.case.request(&source.name, crate::domain::Clock::now(&SystemClock));
    request.url.clone_from(&ready.url);
    ready.pack.scheme.sign(&ready.keys, &mut request).ok()?;
    Some((source, sample.case))
}

/// Starts the bridge, sends the case, shows the sale and stops.
///
/// # Errors
/// The bridge could not be started, or did not take the sample.
pub(super) fn play(
    source: &SourcePlan,
    case: &Case,
    plan: &Plan,
    filled: &Environment,
    printer: &Printer,
) -> Result<Value, Failure> {
    let no = |error: &dyn std::fmt::Display| Failure::No(format!("the sample could not be sent: {error}"));
    let folder = tempfile::tempdir().map_err(|error| no(&error))?;
    let listen = free_port("127.0.0.1:0").map_err(|error| no(&error))?;
    let text = render::sample(source, &plan.public_url, &listen);
    actix_web::rt::System::new().block_on(async {
        let checked = load_text(&text, &folder.path().join("config.toml"), filled)?;
        let ready = Arc::clone(checked.sources.get(&source.name).ok_or_else(|| no(&"its source is missing"))?);
        let bridge = Bridge::start(checked, Arc::new(SystemClock), Sockets::default(), None).await?;
        let sent = deliver(&ready, case, &format!("http://{listen}{}", ready.path())).await;
        let settled = settle(&bridge.store).await;
        let sales = bridge.store.sales(100);
        bridge.stop().await;
        let (status, body) = sent.map_err(|error| no(&error))?;
        settled?;
        let sales = sales?;
        if !printer.is_json() {
            printer.line(format!("\na signed sample of {}, through a bridge on a temporary file: {status} {body}", source.name));
            sale_table(&sales, printer);
        }
        if !(200..300).contains(&status) {
            return Err(no(&format!("the bridge answered {status}")));
        }
        Ok(json!({"source": source.name, "status": status, "sales": sales}))
    })
}

/// The values of a source's own secrets.
fn values(source: &SourcePlan) -> Option<Environment> {
    let slots = source.secrets.iter().filter(|secret| secret.is_used).map(|secret| &secret.slot).chain(&source.path_token);
    let lines: Option<Vec<String>> = slots
        .filter_map(|slot| Some((slot, slot.value.as_ref()?)))
        .map(|(slot, value)| crate::app::environment_line(&slot.variable, value).ok())
        .collect();
    Environment::parse(&lines?.join("\n"), "sample").ok()
}
