//! `salebridge health`: asks the running bridge, as a container's health check does where there is no other program to ask with.

use std::path::Path;
use std::time::Duration;

use clap::Args;
use serde_json::json;

use super::print::Printer;
use super::send::local_url;
use super::{Answer, Failure, runtime};
use crate::app::server;
use crate::outbound::get;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Ask whether requests can be stored (/readyz), not only whether it answers (/healthz)
    #[arg(long)]
    ready: bool,
    /// Where it is reached, such as <https://hooks.example.com>; by default where the configuration says that it listens
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// How long to wait for the answer
    #[arg(long, default_value_t = 3, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=300))]
    timeout_secs: u64,
}

pub(super) fn run(arguments: &Arguments, config: &Path, printer: &Printer) -> Answer {
    // Only [server] is read, so that a file that is being mended does not make a bridge that is well look ill.
    let base = match &arguments.url {
        Some(url) => url.clone(),
        None => local_url(&server(config)?),
    };
    let url = format!("{}/{}", base.trim_end_matches('/'), if arguments.ready { "readyz" } else { "healthz" });
    let asked = runtime()?.block_on(get(&url, Duration::from_secs(arguments.timeout_secs)));
    let (status, body) = asked.map_err(|cause| Failure::No(format!("{url} does not answer: {cause}")))?;
    if printer.is_json() {
        printer.json(&json!({"url": url, "status": status}));
    } else {
        printer.line(format!("{url} answers {status} {body}"));
    }
    if status == 200 { Ok(()) } else { Err(Failure::No(format!("{url} answers {status}, not 200"))) }
}
