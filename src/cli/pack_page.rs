//! A pack as a page of the book: what only its data says. What a person has to do stands in the pack's README, which the page leads to and
//! the book puts in its place.

use std::fmt::Write as _;
use std::path::Path;

use super::pack::{binds, secrets};
use super::{Answer, Failure};
use crate::map::{AmountSpec, Condition, MetadataKeys, Rule, Unit};
use crate::pack::{Credentials, Pack, Registry};

/// Writes a page for each pack, and README.md that leads to them, into a folder that is made where it is not there.
///
/// # Errors
/// The folder cannot be written.
pub(super) fn write(packs: &Registry, dir: &Path) -> Answer {
    let failed = |error: std::io::Error| Failure::No(format!("{}: {error}", dir.display()));
    std::fs::create_dir_all(dir).map_err(failed)?;
    for pack in packs.iter() {
        std::fs::write(dir.join(format!("{}.md", pack.name())), page(pack)?).map_err(failed)?;
    }
    std::fs::write(dir.join("README.md"), index(packs)?).map_err(failed)
}

fn page(pack: &Pack) -> Result<String, Failure> {
    let (name, about) = (pack.name(), &pack.about);
    let mut page = format!("# {}\n\n", about.title);
    let _ = write!(
        page,
        "[What to switch on, where to put the ids, and what to know](../../providers/{name}/README.md \"included\")\n\n"
    );
    let _ = write!(page, "## Configuration\n```toml\n{}```\n\n", source(pack)?);
    facts(pack, &mut page);
    rules(pack, &mut page);
    places(pack, &mut page);
    Ok(page)
}

/// All of them in a table.
fn index(packs: &Registry) -> Result<String, Failure> {
    let mut page = format!(
        "# Providers\n\n{} packs are shipped. Each page says what to switch on in the provider's dashboard, where to put `clickId` and `customerExternalId`, \
         what to configure, and what is made of each event. The same in a terminal: `salebridge pack show NAME`. A provider that is missing \
         is [a folder of data](../packs.md).\n\n\
         | provider | pack | signature binds | a source needs | its API is asked | refunds | test mode is told |\n\
         |---|---|---|---|---|---|---|\n",
        packs.iter().count()
    );
    for pack in packs.iter() {
        let mapping = pack.plain_mapping(pack.api.is_some())?;
        let bound = if pack.scheme.is_unsigned() { "**unsigned**" } else { pack.scheme.covers().as_str() };
        let asked = match pack.api.as_ref().map(|api| api.credentials) {
            Some(Credentials::Required) => "always",
            Some(Credentials::Optional) => "with a key",
            None => "",
        };
        let yes = |holds: bool| if holds { "yes" } else { "" };
        let _ = writeln!(
            page,
            "| [{}]({name}.md) | `{name}` | {bound} | {} | {asked} | {} | {} |",
            pack.about.title,
            needs(pack),
            yes(mapping.takes_back()),
            yes(pack.mapping.event.mode.is_some()),
            name = pack.name(),
        );
    }
    Ok(page)
}

fn needs(pack: &Pack) -> String {
    let named: Vec<String> = pack.scheme.named_secrets().into_iter().collect();
    secrets(pack, &named)
}

/// A source of this pack that `check` takes once the variables are set.
fn source(pack: &Pack) -> Result<String, Failure> {
    let name = pack.name();
    let variable = |what: &str| format!("${{{}_{}}}", name, what).to_uppercase().replace('-', "_");
    let mut text = format!("[[sources]]\nname = \"{name}\"\npack = \"{name}\"\n");
    if pack.scheme.uses_unnamed_secrets() {
        let _ = writeln!(text, "secrets = [\"{}\"]", variable("webhook_secret"));
    }
    let entry = |name: &str| format!("{name} = \"{}\"", variable(name));
    let mut named: Vec<String> = pack.scheme.named_secrets().iter().map(|name| entry(name)).collect();
    let fetched = pack.api.iter().flat_map(|api| api.secrets().into_iter().map(entry).collect::<Vec<_>>());
    let is_needed = pack.api.as_ref().is_some_and(|api| api.credentials == Credentials::Required);
    let optional: Vec<String> = if is_needed {
        named.extend(fetched);
        Vec::new()
    } else {
        fetched.collect()
    };
    named.dedup();
    if !named.is_empty() {
        let _ = writeln!(text, "named_secrets = {{ {} }}", named.join(", "));
    }
    if !optional.is_empty() {
        let all = named.iter().chain(&optional).cloned().collect::<Vec<_>>().join(", ");
        let _ = writeln!(text, "# named_secrets = {{ {all} }}   # and the provider's API is asked as well");
    }
    if pack.scheme.is_unsigned() {
        let _ = writeln!(text, "path_token = \"{}\"   # at least 16 characters that nobody can guess", variable("path_token"));
    }
    if let Some(host) = pack.api.as_ref().and_then(|api| api.own_host()) {
        let mark = if is_needed { "" } else { "# " };
        let host = if host == "*" { format!("{name}.example.com") } else { host.replace('*', "your-site") };
        let _ = writeln!(text, "{mark}api_url = \"https://{host}\"   # where your API is");
    }
    if pack.plain_mapping(pack.api.is_some())?.needs_currency() {
        text.push_str("currency = \"USD\"   # the provider does not say it\n");
    }
    Ok(text)
}

fn facts(pack: &Pack, page: &mut String) {
    let token = if pack.scheme.is_unsigned() { "/{path_token}" } else { "" };
    let list = |entries: &[String]| entries.iter().map(|entry| format!("`{}`", cell(entry))).collect::<Vec<_>>().join(", ");
    let mut row = |what: &str, text: String| {
        let _ = writeln!(page, "| {what} | {text} |");
    };
    row("", String::new());
    row("---", "---".to_owned());
    row("URL", format!("`https://YOUR-HOST/webhooks/{}{token}`", pack.name()));
    let events = &pack.about.subscribe;
    row("events to tick", if events.is_empty() { "nothing to choose".to_owned() } else { list(events) });
    row("verifies", cell(&pack.scheme.describe().join("; ")));
    row("the signature binds", binds(pack.scheme.covers()).to_owned());
    row("a source needs", needs(pack));
    if pack.scheme.signs_url() {
        row(
            "the URL is signed",
            "`server.public_url`, or `url` of the source, must be exactly what the provider was given".to_owned(),
        );
    }
    let ips: Vec<String> = pack.scheme.published_ips().map(str::to_owned).collect();
    if !ips.is_empty() {
        row("sends from", list(&ips));
    }
    if let Some(api) = &pack.api {
        let need = if api.credentials == Credentials::Required { "needs" } else { "is asked where the source has" };
        let names: Vec<String> = api.secrets().into_iter().map(|name| format!("named_secrets.{name}")).collect();
        row("the provider's API", format!("{need} {}", list(&names)));
    }
    let mode = pack.mapping.event.mode.as_ref();
    let test = mode.map(|mode| format!("where {} is {}", list(&mode.paths), list(&mode.test)));
    row("test mode", test.unwrap_or_else(|| "is not told: everything counts as live".to_owned()));
    row("its page on webhooks", format!("<{}>", pack.about.docs));
    let oracle = pack.about.oracle.as_ref().map(|oracle| format!("; checked against {oracle}")).unwrap_or_default();
    row("evidence", format!("{}{oracle}", pack.about.evidence.as_str()));
    page.push('\n');
}

/// What is made of each event, in the order of the rules: the first that applies wins.
fn rules(pack: &Pack, page: &mut String) {
    page.push_str("## What is made of its events\nThe first line that applies wins. Of the events of one sale the highest rank gives name, amount and time.\n\n");
    page.push_str("| event | where | comes to | rank | amount |\n|---|---|---|---|---|\n");
    for rule in &pack.mapping.events {
        let types = rule.types.as_ref().map_or_else(|| "any other".to_owned(), |types| codes(types));
        let tests = rule.when.iter().map(condition).collect::<Vec<_>>().join(", and ");
        let rank = rule.rank.map(|rank| rank.to_string()).unwrap_or_default();
        let _ = writeln!(page, "| {types} | {tests} | {} | {rank} | {} |", comes_to(rule), amount(rule));
    }
    page.push('\n');
}

fn comes_to(rule: &Rule) -> String {
    let outcome = [(&rule.ignore, "ignored"), (&rule.park, "parked")];
    let reason = outcome.iter().find_map(|(outcome, word)| outcome.as_ref().map(|outcome| (outcome, word)));
    match (&rule.sale, &rule.adjustment, reason) {
        (Some(sale), _, _) if rule.renewal => format!("**sale** `{sale}`, which repeats an earlier one"),
        (Some(sale), _, _) => format!("**sale** `{sale}`"),
        (None, Some(kind), _) if rule.cumulative => format!("taken back: `{kind}`, all so far"),
        (None, Some(kind), _) => format!("taken back: `{kind}`"),
        (None, None, Some((outcome, word))) => format!("{word} as `{}`: {}", outcome.code, cell(&outcome.reason)),
        (None, None, None) => String::new(),
    }
}

fn amount(rule: &Rule) -> String {
    let one = |amount: &AmountSpec| {
        let unit = match amount.unit {
            Unit::Minor => "minor units",
            Unit::Major => "decimals",
        };
        let sum = if amount.sum { "sum of " } else { "" };
        format!("{sum}{}, {unit}", codes(&amount.paths))
    };
    match &rule.amount {
        Some(amounts) => amounts.iter().map(one).collect::<Vec<_>>().join("; else "),
        None if rule.adjustment.is_some() => "all of the sale".to_owned(),
        None => String::new(),
    }
}

fn condition(condition: &Condition) -> String {
    let path = code(&condition.path);
    let values =
        |word: &str, values: &Option<Vec<String>>| values.as_ref().map(|values| format!("{path} {word} {}", codes(values)));
    values("is", &condition.is)
        .or_else(|| values("is not", &condition.is_not))
        .or_else(|| values("begins with", &condition.starts_with))
        .unwrap_or_else(|| format!("{path} {}", if condition.exists == Some(false) { "is absent" } else { "is there" }))
}

/// Where the customer is read, and by which ids a sale is known.
fn places(pack: &Pack, page: &mut String) {
    let reads = &pack.mapping.reads;
    let usual = MetadataKeys::default();
    page.push_str("## Where it looks\nThe first place that holds a value wins; single events may have places of their own.\n\n| what | places |\n|---|---|\n");
    let mut row = |what: &str, places: Option<&Vec<String>>| {
        if let Some(places) = places.filter(|places| !places.is_empty()) {
            let _ = writeln!(page, "| {what} | {} |", codes(places));
        }
    };
    row("metadata, `{key}` being one of the names below", reads.metadata.as_ref());
    row("names of the click", Some(&usual.click_id));
    row("names of the customer", Some(&usual.customer_external_id));
    row("the customer, besides", reads.customer_external_id.as_ref());
    row("the customer, with `customer_from_reference`", reads.reference.as_ref());
    row("the provider's own customer, under whom both are remembered", reads.customer.as_ref());
    row("e-mail address", reads.email.as_ref());
    row("a sale is known by, the strongest first", Some(&pack.mapping.keys.identifying));
    row("ids that several sales may share", Some(&pack.mapping.keys.grouping));
}

fn codes(texts: &[String]) -> String {
    texts.iter().map(|text| code(text)).collect::<Vec<_>>().join(", ")
}

fn code(text: &str) -> String {
    if text.is_empty() { "empty".to_owned() } else { format!("`{}`", cell(text)) }
}

/// A text in one cell of a table.
fn cell(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}
