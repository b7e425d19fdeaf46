//! A template as a page of the book, and the table of all of them.

use std::fmt::Write as _;
use std::path::Path;

use super::upstream_show::{auth, condition, holds, limits, place, repeats};
use super::upstream_table::{refunds, repeats as known_by};
use super::{Answer, Failure};
use crate::forward::{Auth, Field, RequestSpec, Template, Templates};

/// Writes a page for each template, and README.md that leads to them, into a folder that is made where it is not there.
///
/// # Errors
/// The folder cannot be written.
pub(super) fn write(templates: &Templates, dir: &Path) -> Answer {
    let failed = |error: std::io::Error| Failure::No(format!("{}: {error}", dir.display()));
    std::fs::create_dir_all(dir).map_err(failed)?;
    for template in templates.iter() {
        std::fs::write(dir.join(format!("{}.md", template.upstream.name)), page(template)).map_err(failed)?;
    }
    std::fs::write(dir.join("README.md"), index(templates)).map_err(failed)
}

fn page(template: &Template) -> String {
    let about = &template.upstream;
    let name = &about.name;
    let mut page = format!("# {}\n\n```toml\n{}```\n\n", about.title, upstream(template));
    let mut row = |what: &str, text: &str| {
        let _ = writeln!(page, "| {what} | {} |", cell(text));
    };
    row("", "");
    row("---", "---");
    row("where", place(template));
    row("who asks", &auth(template));
    for (setting, spec) in &template.settings {
        let optional = if spec.optional { " (optional)" } else { "" };
        row(&format!("`settings.{setting}`{optional}"), &spec.about);
    }
    let units = template.amount.units.iter().map(|unit| unit.as_str()).collect::<Vec<_>>();
    row("amounts", &format!("{}; the first unless `amount_unit` says otherwise", units.join(", ")));
    if !template.amount.currencies.is_empty() {
        row("currencies", &template.amount.currencies.iter().map(|currency| currency.code()).collect::<Vec<_>>().join(", "));
    }
    row("repeats", &repeats(template));
    row("limits", &limits(template));
    if let Some(warning) = &about.counts_twice {
        row("counts twice", warning);
    }
    if let Some(docs) = &about.docs {
        row("its page", &format!("<{docs}>"));
    }
    let _ = writeln!(
        page,
        "\n`salebridge upstream test {name}` sends one marked test sale. Then look in the dashboard: {}.",
        in_line(&about.compare)
    );
    request("A sale", &template.request, &mut page);
    let adjustments = &template.adjustments;
    match (&adjustments.request, &adjustments.not_taken) {
        (Some(spec), _) => {
            request("Money that goes back", spec, &mut page);
            let parts = if adjustments.partial { "In parts or whole" } else { "Whole sales only" };
            let back = if adjustments.reversible { "; money that came back is told as well" } else { "" };
            let _ = writeln!(page, "\n{parts}{back}.");
        }
        (None, why) => {
            let _ = writeln!(page, "\n## Money that goes back\nIs not told: {}", in_line(why.as_deref().unwrap_or_default()));
        }
    }
    answers(template, &mut page);
    page
}

/// All of them in a table.
fn index(templates: &Templates) -> String {
    let mut page = String::from(
        "# Upstreams\n\nOne `[[upstreams]]` for each place that sales go to, each with a queue, a limit and a state of its own. The same in a terminal: \
         `salebridge upstream show NAME`. A place that is missing is [a file of data](../templates.md). None of them was tried with a live \
         account: send a test sale first.\n\n\
         | upstream | template | amounts | knows repeats by | refunds |\n|---|---|---|---|---|\n",
    );
    for template in templates.iter() {
        let about = &template.upstream;
        let units = template.amount.units.iter().map(|unit| unit.as_str()).collect::<Vec<_>>().join(", ");
        let (name, title) = (&about.name, &about.title);
        let _ = writeln!(page, "| [{title}]({name}.md) | `{name}` | {units} | {} | {} |", known_by(template), refunds(template));
    }
    page
}

/// An upstream of this template that `check` takes once the variables are set.
fn upstream(template: &Template) -> String {
    let about = &template.upstream;
    let variable = |what: &str| format!("${{{}_{what}}}", about.name.to_uppercase().replace('-', "_"));
    let mut text = format!("[[upstreams]]\nname = \"{0}\"\ntemplate = \"{0}\"\n", about.name);
    match template.auth {
        Auth::None => {}
        Auth::StandardWebhooks => {
            let _ = writeln!(text, "signing_secrets = [\"{}\"]", variable("SECRET"));
        }
        Auth::Bearer | Auth::Basic { .. } | Auth::Header { .. } | Auth::Query { .. } | Auth::Body { .. } => {
            let _ = writeln!(text, "token = \"{}\"", variable("TOKEN"));
        }
    }
    let settings: Vec<String> =
        template.settings.iter().filter(|(_, setting)| !setting.optional).map(|(name, _)| format!("{name} = \"…\"")).collect();
    if !settings.is_empty() {
        let _ = writeln!(text, "settings = {{ {} }}", settings.join(", "));
    }
    if about.base_url.is_none() && template.auth == Auth::StandardWebhooks {
        text.push_str("base_url = \"https://app.example.com/hooks/sales\"\n");
    }
    if template.amount.single_currency {
        text.push_str("currencies = [\"USD\"]   # the vendor is told none\n");
    }
    text
}

fn request(title: &str, request: &RequestSpec, page: &mut String) {
    let _ = writeln!(page, "\n## {title}\n`{} {}`\n\n| field | holds |\n|---|---|", request.method.as_str(), request.path);
    for field in &request.body {
        let _ = writeln!(page, "| `{}` | {} |", field.name, held(field));
    }
}

fn held(field: &Field) -> String {
    let is_always = field.required || field.value.is_none();
    format!("`{}`{}", cell(&holds(field)), if is_always { "" } else { ", where known" })
}

fn answers(template: &Template, page: &mut String) {
    page.push_str("\n## What its answers come to\nThe first line that applies wins.\n\n| answer | where | comes to | meaning |\n|---|---|---|---|\n");
    for rule in template.rules(false) {
        let place = condition(rule).unwrap_or_default();
        let _ = writeln!(
            page,
            "| {} | {} | {} | {} |",
            rule.status.join(", "),
            cell(&place),
            rule.outcome.as_str(),
            cell(&rule.advice)
        );
    }
}

fn cell(text: &str) -> String {
    in_line(text).replace('|', "\\|")
}

fn in_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
