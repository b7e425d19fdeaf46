//! `salebridge demo`: a real bridge on a temporary store, a stand-in upstream, and signed samples of every provider.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use actix_web::{App, HttpResponse, HttpServer, web};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use serde_json::Value;

use super::listing::sale_table;
use super::print::Printer;
use super::send::deliver;
use super::serve::until_stopped;
use super::{Answer, Failure};
use crate::app::{Bridge, Sockets, load};
use crate::domain::SystemClock;
use crate::explain::{Outcome, request as explain};

use crate::pack::{Case, Expected, Registry, Scenario, Source, scenarios};
use crate::store::Store;
use crate::verify::Secrets;

/// The story must come to its end within this.
const PATIENCE: Duration = Duration::from_secs(20);

/// Whose webhooks are played. They need one secret and nothing else.
const PROVIDERS: [&str; 6] = ["lemon-squeezy", "paddle", "polar", "razorpay", "shopify", "stripe"];

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// End after the story instead of staying up
    #[arg(long)]
    once: bool,
    /// Where the bridge listens; by default any free port of this machine
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDRESS")]
    listen: String,
}

/// What the demo does with one provider.
struct Act {
    source: Arc<Source>,
    steps: Vec<(String, Case)>,
}

pub(super) fn run(arguments: &Arguments, printer: &Printer) -> Answer {
    let folder = tempfile::tempdir().map_err(|error| Failure::No(format!("no temporary folder can be made: {error}")))?;
    actix_web::rt::System::new().block_on(play(arguments, folder.path(), printer))
}

async fn play(arguments: &Arguments, folder: &Path, printer: &Printer) -> Answer {
    let no = |error: &dyn std::fmt::Display| Failure::No(error.to_string());
    let packs = Registry::load(&[])?;
    let upstream = stand_in(printer.is_json()).map_err(|error| no(&error))?;
    let listen = free_port(&arguments.listen).map_err(|error| no(&error))?;
    // Whoever can reach it needs no token, so it is this machine's alone, wherever the bridge listens.
    let dashboard = free_port("127.0.0.1:0").map_err(|error| no(&error))?;
    let config = folder.join("config.toml");
    std::fs::write(&config, configuration(&packs, &listen, &dashboard, &upstream)).map_err(|error| no(&error))?;
    let checked = load(&config)?;
    let sources = Arc::clone(&checked.sources);
    let bridge = Bridge::start(checked, Arc::new(SystemClock), Sockets::default(), None).await?;
    let tell = |line: String| {
        if !printer.is_json() {
            printer.line(line)
        }
    };
    tell(format!(
        "bridge at http://{listen}, dashboard at http://{dashboard}, stand-in upstream at {upstream}, store in {}",
        folder.display()
    ));
    tell(String::new());

    for act in acts(&packs, &sources) {
        let url = format!("http://{listen}{}", act.source.path());
        for (what, case) in &act.steps {
            let (status, body) = deliver(&act.source, case, &url).await.map_err(Failure::No)?;
            tell(step(&act, what, status, &body, printer));
        }
        let (_, first) = &act.steps[0];
        let (status, body) = deliver(&act.source, first, &url).await.map_err(Failure::No)?;
        tell(step(&act, "the first one again", status, &body, printer));
        let (status, body) = forged(&act, first, &url).await.map_err(Failure::No)?;
        tell(step(&act, "the first one, forged", status, &body, printer));
    }
    settle(&bridge.store).await?;
    let sales = bridge.store.sales(100)?;
    if printer.is_json() {
        printer.json(&sales);
    } else {
        printer.line("\nthe ledger, newest first:");
        sale_table(&sales, printer);
    }
    if !arguments.once {
        tell(format!("\nThe bridge stays up. Look at the dashboard: http://{dashboard}"));
        tell(format!("In another terminal: salebridge --config {} sales list", config.display()));
        tell(format!("  or: salebridge --config {} send stripe CASE, with a name from providers/stripe/cases", config.display()));
        tell("Ctrl-C ends it.".to_owned());
        until_stopped().await.map_err(|error| no(&error))?;
    }
    bridge.stop().await;
    Ok(())
}

/// Each provider with a first accepted sale; the first scenario that arrives out of order is played as a whole.
fn acts(packs: &Registry, sources: &std::collections::HashMap<String, Arc<Source>>) -> Vec<Act> {
    let mut acts = Vec::new();
    for name in PROVIDERS {
        let (Some(pack), Some(source)) = (packs.get(name), sources.get(name)) else { continue };
        let (scenarios, _) = scenarios(&pack.folder);
        let pair = scenarios.iter().find(|scenario| is_pair(scenario, source));
        let single = scenarios.iter().find(|scenario| is_attributed(scenario));
        if let Some(scenario) = pair.or(single) {
            let source = Arc::clone(source);
            let steps = scenario.steps.iter().map(|step| (kind(&source, &step.case), step.case.clone())).collect();
            acts.push(Act { source, steps });
        }
    }
    acts
}

/// Two requests that both count one sale, which has both its customer and its click.
fn is_pair(scenario: &Scenario, source: &Source) -> bool {
    let counts = |case: &Case| {
        source.with_secrets(Secrets::of(&case.secrets)).is_ok_and(|source| {
            let asked = case.request(&source.name, case.at.unwrap_or_default());
            explain(&source, &asked, None).outcome == Outcome::Sale
        })
    };
    let is_whole = |sale: &Value| sale.get("clickId").is_some() && sale.get("customerExternalId").is_some();
    scenario.steps.len() == 2
        && scenario.name.contains("before")
        && matches!(&scenario.expected, Expected::Ledger(sales) if sales.len() == 1 && is_whole(&sales[0]))
        && scenario.steps.iter().all(|step| counts(&step.case))
}

pub(super) fn is_attributed(scenario: &Scenario) -> bool {
    let is_whole = |sale: &Value| sale.get("clickId").is_some() && sale.get("customerExternalId").is_some();
    matches!(&scenario.expected, Expected::Sales(sales) if sales.iter().all(is_whole))
}

fn kind(source: &Source, case: &Case) -> String {
    let Ok(source) = source.with_secrets(Secrets::of(&case.secrets)) else { return String::new() };
    let at = case.at.unwrap_or_default();
    explain(&source, &case.request(&source.name, at), None).events.first().map(|event| event.kind.clone()).unwrap_or_default()
}

fn step(act: &Act, what: &str, status: u16, body: &str, printer: &Printer) -> String {
    let status = if status == 200 { printer.good("200") } else { printer.bad(&status.to_string()) };
    format!("→ {:<16} {what:<44} {status} {}", act.source.name, printer.quiet(body))
}

/// The request with a signature that somebody without the secret made up.
async fn forged(act: &Act, case: &Case, url: &str) -> Result<(u16, String), String> {
    let stranger = act.source.with_secrets(Secrets::of(&[crate::domain::Secret::new(secret(&act.source.name, "stranger"))]))?;
    deliver(&stranger, case, url).await
}

/// Waits until everything is counted and delivered.
pub(super) async fn settle(store: &Arc<dyn Store>) -> Answer {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let queues = store.queues()?;
        if queues.unsettled == 0 && queues.due == 0 {
            return Ok(());
        }
        if tokio::time::Instant::now() > deadline {
            return Err(Failure::No("the demo did not come to its end in time".to_owned()));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn configuration(packs: &Registry, listen: &str, dashboard: &str, upstream: &str) -> String {
    let sources = PROVIDERS.iter().filter_map(|name| packs.get(name)).map(|pack| {
        let name = pack.name();
        format!("[[sources]]\nname = \"{name}\"\npack = \"{name}\"\nsecrets = [\"{}\"]\n\n", secret(name, "demo"))
    });
    format!(
        "# Written by `salebridge demo`.\n[server]\nlisten = \"{listen}\"\n\n[admin]\nlisten = \"{dashboard}\"\n\n[store]\nurl = \"sqlite:demo.db\"\n\n{}\
         [[upstreams]]\nname = \"cutmeshort\"\ntemplate = \"cutmeshort\"\ntoken = \"demo-token-of-no-value\"\n\
         base_url = \"{upstream}\"\nrequests_per_minute = 60000\n",
        sources.collect::<String>()
    )
}

/// A secret of the form that fits every provider. Worth nothing: it guards a demo on this machine for a minute.
fn secret(name: &str, whose: &str) -> String {
    format!("whsec_{}", STANDARD.encode(format!("{whose}-secret-of-{name:-<30}")))
}

/// A CutMeShort-shaped upstream that prints what it is sent and accepts it. Answers with its address.
fn stand_in(is_quiet: bool) -> std::io::Result<String> {
    let app = move || App::new().default_service(web::to(move |body: web::Bytes| accept(body, is_quiet)));
    let server = HttpServer::new(app).workers(1).disable_signals().bind("127.0.0.1:0")?;
    let address = server.addrs()[0];
    actix_web::rt::spawn(server.run());
    Ok(format!("http://{address}"))
}

async fn accept(body: web::Bytes, is_quiet: bool) -> HttpResponse {
    if !is_quiet {
        Printer::new(false).line(format!("    ← the upstream receives {}", String::from_utf8_lossy(&body)));
    }
    HttpResponse::Ok().content_type("application/json").body(r#"{"status":true,"data":"Sale tracked"}"#)
}

/// The address with a port of its own where it asks for any.
pub(super) fn free_port(listen: &str) -> std::io::Result<String> {
    Ok(std::net::TcpListener::bind(listen)?.local_addr()?.to_string())
}
