//! `salebridge serve`: runs the bridge until it is told to stop.

use std::io::IsTerminal as _;
use std::path::Path;
use std::sync::Arc;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use super::print::Printer;
use super::{Answer, Failure, check};
use crate::app::{Bridge, LogFormat, load};
use crate::domain::SystemClock;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// How log lines look: pretty or json; by default as [log] says
    #[arg(long, env = "SALEBRIDGE_LOG_FORMAT", value_name = "FORMAT", value_parser = format)]
    log_format: Option<LogFormat>,
}

pub(super) fn run(arguments: &Arguments, config: &Path, printer: &Printer) -> Answer {
    let checked = load(config)?;
    start_log(arguments.log_format.unwrap_or(checked.log.format));
    let summary = check::summary(&checked, printer);
    actix_web::rt::System::new().block_on(async {
        let bridge = Bridge::start(checked, Arc::new(SystemClock)).await?;
        summary.iter().for_each(|line| printer.line(line));
        for address in &bridge.addresses {
            tracing::info!(%address, version = env!("CARGO_PKG_VERSION"), "the bridge takes webhooks");
        }
        until_stopped().await.map_err(|error| Failure::No(format!("signals cannot be heard: {error}")))?;
        tracing::info!("stopping: what was accepted is answered first");
        bridge.stop().await;
        tracing::info!("stopped");
        Ok(())
    })
}

/// Logs to standard error; `SALEBRIDGE_LOG` says how much (`debug`, `salebridge::forward=debug`), by default `info`.
fn start_log(format: LogFormat) {
    let filter = EnvFilter::try_from_env("SALEBRIDGE_LOG").unwrap_or_else(|_| EnvFilter::new("info,actix_server=warn"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // An error says that a subscriber is there already.
    drop(match format {
        LogFormat::Pretty => log.with_ansi(std::io::stderr().is_terminal()).try_init(),
        LogFormat::Json => log.json().flatten_event(true).with_current_span(false).with_span_list(false).try_init(),
    });
}

fn format(text: &str) -> Result<LogFormat, String> {
    LogFormat::parse(text).ok_or_else(|| "must be pretty or json".to_owned())
}

/// Waits for SIGTERM or SIGINT (Ctrl-C).
pub(super) async fn until_stopped() -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    }
}
