//! The command line: what is asked, and how the answers look. The work is done elsewhere.

mod alarms;
mod check;
mod demo;
mod explain;
mod filter;
mod follow;
mod frame;
mod generate;
mod health;
mod init;
mod listing;
mod pack;
mod pack_new;
mod pack_page;
mod period;
mod print;
mod refused;
mod reload;
mod remap;
mod report;
mod retry;
mod send;
mod serve;
mod store;
mod story;
mod table;
mod tail;
mod top;
mod upgrade_check;
mod upstream;
mod upstream_page;
mod upstream_show;
mod upstream_table;
mod version;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Parser, Subcommand};

use crate::app::{self, StartError};
use crate::domain::Faults;
use crate::store::{Access, Store};

/// Turns signed payment webhooks into sales, counted once and forwarded until accepted.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100, propagate_version = true)]
pub struct Arguments {
    /// The configuration file
    #[arg(long, global = true, default_value = "config.toml", env = "SALEBRIDGE_CONFIG", value_name = "FILE")]
    config: PathBuf,
    /// A file of NAME=value lines that ${NAME} in the configuration is read from, before the environment
    #[arg(long, global = true, env = "SALEBRIDGE_ENV_FILE", value_name = "FILE")]
    env_file: Option<PathBuf>,
    /// Answer with JSON, for programs
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Begin: asks for providers and upstreams, writes config.toml and an environment file, and says what to do in each dashboard
    Init(init::Arguments),
    /// Run the bridge
    Serve(serve::Arguments),
    /// Have the running bridge read configuration, packs, templates and secrets anew: all of it, or with any fault nothing
    Reload,
    /// See it work: bridge, stand-in upstream and signed sample webhooks, without any configuration
    Demo(demo::Arguments),
    /// Check the configuration, its packs and its secrets; report every fault
    Check(check::Arguments),
    /// Ask the running bridge of this configuration whether it is well: for containers and scripts
    Health(health::Arguments),
    /// Sign a case as its provider would and send it to the running bridge
    Send(send::Arguments),
    /// Say what would come of a request, offline: which part disagrees, or which sale it is
    Explain(explain::Arguments),
    /// The providers that are known, and whether their packs keep their promises
    #[command(subcommand)]
    Pack(pack::Command),
    /// The ledger: each sale with where its fields came from, or why they are missing
    #[command(subcommand)]
    Sales(listing::Sales),
    /// The inbox: each verified request, and what became of it
    #[command(subcommand)]
    Requests(remap::Command),
    /// The queues: each sale event on its way to each upstream
    #[command(subcommand)]
    Deliveries(retry::Command),
    /// Where sales go: what each upstream is sent and answers, whether it works, and whether its queue stands still
    #[command(subcommand)]
    Upstream(upstream::Command),
    /// How it goes, live: funnel, queues, upstreams, sources, and what needs a person
    Top(top::Arguments),
    /// Events and attempts of deliveries as they happen, one a line
    Tail(tail::Arguments),
    /// The ledger over a period: sales, attribution, what is parked, what went back, and what may be counted twice
    Report(report::Arguments),
    /// Alarms: what a person is told without looking
    #[command(subcommand)]
    Alarms(alarms::Command),
    /// What everything is kept in: whether it agrees with itself, a copy of it, and the way from a file into PostgreSQL
    #[command(subcommand)]
    Store(store::Command),
    /// Say, beside the old bridge and before the new one takes its place, whether this version can: it changes nothing
    UpgradeCheck(upgrade_check::Arguments),
    /// The versions of the program, of what it reads (configuration, packs, templates), of the API, and of the stores' layouts
    Version,
    /// A script that completes commands and options in a shell
    Completions(generate::Completions),
    /// Manual pages
    Man(generate::Man),
}

/// Why a command did not end well.
#[derive(Debug)]
enum Failure {
    /// The answer is no. Exit code 1.
    No(String),
    /// Wrong usage or configuration. Exit code 2.
    Usage(String),
}

/// What a command may end with.
type Answer = Result<(), Failure>;

/// Runs a command and answers with its exit code: 0 done, 1 the answer is no, 2 wrong usage or configuration.
pub fn run(arguments: Arguments) -> ExitCode {
    let printer = print::Printer::new(arguments.json);
    if let Some(file) = &arguments.env_file {
        app::use_environment_file(file);
    }
    let answer = match arguments.command {
        Command::Init(init) => init::run(&init, &printer),
        Command::Serve(serve) => serve::run(&serve, &arguments.config, &printer),
        Command::Reload => reload::run(&arguments.config, &printer),
        Command::Demo(demo) => demo::run(&demo, &printer),
        Command::Check(check) => check::run(&check, &arguments.config, &printer),
        Command::Health(health) => health::run(&health, &arguments.config, &printer),
        Command::Send(send) => send::run(&send, &arguments.config, &printer),
        Command::Sales(command) => listing::sales(&command, &arguments.config, &printer),
        Command::Requests(command) => remap::run(&command, &arguments.config, &printer),
        Command::Top(top) => top::run(&top, &arguments.config, &printer),
        Command::Tail(tail) => tail::run(&tail, &arguments.config, &printer),
        Command::Report(report) => report::run(&report, &arguments.config, &printer),
        Command::Deliveries(command) => retry::run(&command, &arguments.config, &printer),
        Command::Upstream(command) => upstream::run(&command, &arguments.config, &printer),
        Command::Alarms(command) => alarms::run(&command, &arguments.config, &printer),
        Command::Store(command) => store::run(&command, &arguments.config, &printer),
        Command::Explain(explain) => explain::run(&explain, &arguments.config, &printer),
        Command::Pack(command) => pack::run(&command, &arguments.config, &printer),
        Command::UpgradeCheck(upgrade) => upgrade_check::run(&upgrade, &arguments.config, &printer),
        Command::Version => version::run(&printer),
        Command::Completions(shell) => generate::completions(&shell, &printer),
        Command::Man(man) => generate::man(&man, &printer),
    };
    match answer {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::No(text)) => {
            printer.complain(&text);
            ExitCode::from(1)
        }
        Err(Failure::Usage(text)) => {
            printer.complain(&text);
            ExitCode::from(2)
        }
    }
}

impl From<Faults> for Failure {
    fn from(faults: Faults) -> Self {
        Self::Usage(faults.to_string())
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Store(error) => error.into(),
            StartError::Listen { .. } => Self::Usage(error.to_string()),
            StartError::Machine(text) => Self::No(text),
        }
    }
}

impl From<crate::store::Error> for Failure {
    fn from(error: crate::store::Error) -> Self {
        match error {
            crate::store::Error::Unusable(text) => Self::Usage(text),
            error @ (crate::store::Error::Busy
            | crate::store::Error::Unavailable(_)
            | crate::store::Error::Conflict(_)
            | crate::store::Error::Damaged(_)) => Self::No(error.to_string()),
        }
    }
}

/// Opens the store of a configuration to look at it, beside a server that may be running.
fn visit(config: &Path) -> Result<Arc<dyn Store>, Failure> {
    Ok(app::store(config)?.open(Access::Visit, 16)?)
}

/// A runtime for a command that is short-lived.
fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| Failure::No(format!("cannot start: {error}")))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_sound() {
        super::Arguments::command().debug_assert();
    }
}
