//! `salebridge serve`: runs the bridge until it is told to stop.

use std::io::IsTerminal as _;
use std::path::Path;
use std::sync::Arc;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use super::print::Printer;
use super::{Answer, Failure, check};
use crate::app::{Bridge, LogFormat, Phase, Sockets, load, reloads, tell};
use crate::domain::{Faults, SystemClock};

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
        let unheard = |error: std::io::Error| Failure::No(format!("signals cannot be heard: {error}"));
        // Before anything is started, so that none of them ends the process halfway.
        let mut hangups = signal(SignalKind::hangup()).map_err(unheard)?;
        let stopped = until_stopped();
        tokio::pin!(stopped);
        let (reloads, mut asked) = reloads();
        let mut bridge = Bridge::start(checked, Arc::new(SystemClock), Sockets::handed_over()?, Some(reloads)).await?;
        summary.iter().for_each(|line| printer.line(line));
        for address in &bridge.addresses {
            tracing::info!(%address, version = env!("CARGO_PKG_VERSION"), "the bridge takes webhooks");
        }
        tell(Phase::Ready, "takes webhooks");
        loop {
            tokio::select! {
                heard = &mut stopped => break heard.map_err(unheard)?,
                _ = hangups.recv() => drop(reload(&mut bridge, config).await),
                Some(ask) = asked.recv() => ask.answer(reload(&mut bridge, config).await),
            }
        }
        tell(Phase::Stopping, "answers what was accepted");
        tracing::info!("stopping: what was accepted is answered first");
        bridge.stop().await;
        tracing::info!("stopped");
        Ok(())
    })
}

/// Reads the configuration anew; all of it is applied, or nothing.
async fn reload(bridge: &mut Bridge, config: &Path) -> Result<Vec<String>, Faults> {
    tell(Phase::Reloading, "reads its configuration");
    let reloaded = bridge.reload(config).await;
    let status = match &reloaded {
        Ok(_) => "takes webhooks".to_owned(),
        Err(_) => "takes webhooks by the former configuration; the faults of the new one are in the log".to_owned(),
    };
    tell(Phase::Ready, &status);
    reloaded
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
