//! `salebridge init`: from nothing to a configuration that `check` accepts, with what is to be done in each provider's dashboard.
//! No secret is taken from the command line, where others would see it, and none is printed.

mod ask;
mod files;
mod guide;
mod plan;
mod render;
mod sample;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use self::ask::Person;
use self::plan::{Plan, Slot};
use super::print::Printer;
use super::{Answer, Failure, check};
use crate::app::{Environment, load_text};
use crate::domain::Faults;
use crate::forward::Templates;
use crate::pack::Registry;

/// The configuration's name in its folder.
const CONFIG: &str = "config.toml";
/// The environment file's name beside it.
const ENVIRONMENT: &str = "salebridge.env";

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// A provider, by its pack; NAME=PACK names the source in another way (repeatable)
    #[arg(long = "provider", value_name = "[NAME=]PACK")]
    providers: Vec<String>,
    /// Where sales go, by a template; NAME=TEMPLATE names the upstream in another way (repeatable)
    #[arg(long = "upstream", value_name = "[NAME=]TEMPLATE")]
    upstreams: Vec<String>,
    /// How the internet reaches the bridge, such as https://hooks.example.com
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
    /// Where the bridge listens; left out: 127.0.0.1:8080
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// Have the operator's listener (dashboard, API, metrics), with a random token
    #[arg(long)]
    admin: bool,
    /// Answer one of the questions for a source or an upstream: patreon.currency=USD (repeatable)
    #[arg(long = "set", value_name = "NAME.KEY=VALUE")]
    set: Vec<String>,
    /// The folder for config.toml and salebridge.env
    #[arg(long, default_value = ".", value_name = "DIR")]
    dir: PathBuf,
    /// Ask nothing: what was not given is left out, and a secret that the environment lacks gets a place to be filled in
    #[arg(long)]
    yes: bool,
    /// Write over both files; values of the old environment file are kept
    #[arg(long)]
    force: bool,
    /// Send a signed sample through a bridge on a temporary file, without any upstream
    #[arg(long)]
    sample: bool,
}

pub(super) fn run(arguments: &Arguments, printer: &Printer) -> Answer {
    let (config, environment) = (arguments.dir.join(CONFIG), arguments.dir.join(ENVIRONMENT));
    files::free(&[&config, &environment], arguments.force)?;
    let old = if environment.exists() { Environment::read(&environment)? } else { Environment::default() };
    let (packs, templates) = (Registry::load(&[])?, Templates::load(&[])?);
    let person = Person::new(arguments.yes);
    let plan = plan::make(arguments, &person, &old, &packs, &templates)?;
    files::folder(&arguments.dir)?;
    let (text, variables) = (render::config(&plan), render::environment(&plan, &old)?);
    let filled = Environment::parse(&variables, &environment.display().to_string())?;
    // What is written was found to be right, but for what is still to be filled in.
    let checked = load_text(&text, &config, &filled);
    let blanks: Vec<&Slot> = plan.slots().into_iter().filter(|slot| slot.value.is_none()).collect();
    if let Err(faults) = &checked {
        only_blanks(faults, &blanks)?;
    }
    files::write(&config, &text, &environment, &variables, arguments.force)?;
    if !printer.is_json() {
        printer.line(format!("{}: written", config.display()));
        printer.line(format!(
            "{}: written, for you alone (600); it holds every secret, so keep it out of version control",
            environment.display()
        ));
        plan.sources.iter().for_each(|source| guide::source(source, &plan.public_url, printer));
        guide::upstreams(&plan, printer);
        printer.line("");
        match &checked {
            Ok(checked) => {
                printer.line(format!("{}: {}", config.display(), printer.good("no faults")));
                check::summary(checked, printer).iter().for_each(|line| printer.line(line));
            }
            Err(_) => {
                printer.line(format!("{}: to be filled in; all else is right", environment.display()));
                blanks.iter().for_each(|slot| printer.line(format!("  {:<32} {}", slot.variable, slot.about)));
            }
        }
    }
    let sample = try_sample(arguments, &person, &plan, &filled, printer)?;
    if printer.is_json() {
        let sources: Vec<_> = plan.sources.iter().map(|source| guide::json(source, &plan.public_url)).collect();
        printer.json(&json!({
            "config": config.display().to_string(), "environment": environment.display().to_string(), "sources": sources,
            "upstreams": plan.upstreams.iter().map(|upstream| &upstream.name).collect::<Vec<_>>(),
            "variables": plan.slots().iter().map(|slot| json!({"name": slot.variable, "about": slot.about, "filled": slot.value.is_some()})).collect::<Vec<_>>(),
            "ok": checked.is_ok(), "sample": sample,
        }));
    } else {
        guide::next(&plan, &config, &environment, blanks.is_empty(), printer);
    }
    Ok(())
}

/// The sample, where it is asked for; `None` where it is not, or cannot be made yet.
fn try_sample(
    arguments: &Arguments,
    person: &Person,
    plan: &Plan,
    filled: &Environment,
    printer: &Printer,
) -> Result<Option<serde_json::Value>, Failure> {
    let able = plan.sources.iter().find_map(|source| sample::prepare(source, &plan.public_url));
    let Some((source, case)) = able else {
        if arguments.sample {
            printer.note("no sample was sent: it needs a provider whose secrets are filled in, and which signs with a secret that it shares with you");
        }
        return Ok(None);
    };
    let question =
        format!("Send a signed sample of {} through a bridge on a temporary file? Nothing leaves this machine", source.name);
    if !arguments.sample && !person.yes(&question, true)? {
        return Ok(None);
    }
    sample::play(source, &case, plan, filled, printer).map(Some)
}

/// Passes where nothing is wrong but that some variables are not filled in yet.
///
/// # Errors
/// All other faults.
fn only_blanks(faults: &Faults, blanks: &[&Slot]) -> Answer {
    let expected: BTreeSet<String> =
        blanks.iter().map(|slot| format!("the environment variable {} is missing or empty", slot.variable)).collect();
    let others: Vec<_> = faults.0.iter().filter(|fault| !expected.contains(&fault.cause)).cloned().collect();
    Faults(others).or(()).map_err(|faults| Failure::Usage(format!("nothing was written:\n{faults}")))
}

/// How a file is named in a command line for a shell.
fn for_shell(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-./".contains(&byte));
    if is_plain { text } else { format!("'{}'", text.replace('\'', "'\\''")) }
}
