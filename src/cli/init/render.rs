//! The two files as text. The configuration only ever names variables; values stand in the environment file.

use super::plan::{Plan, SecretPlan, Slot, SourcePlan, UpstreamPlan};
use crate::app::{Environment, environment_line};
use crate::cli::Failure;
use crate::forward::Auth;

/// `config.toml`.
pub(super) fn config(plan: &Plan) -> String {
    let mut text = String::from(
        "# Written by `salebridge init`. No secret stands here: ${NAME} is read from salebridge.env.\n\
         # Every key is explained in config.example.toml.\n\n[server]\n",
    );
    text.push_str(&format!("public_url = {}\n", quoted(&plan.public_url)));
    if let Some(listen) = &plan.listen {
        text.push_str(&format!("listen = {}\n", quoted(listen)));
    }
    if let Some(token) = &plan.admin {
        text.push_str(&format!("\n[admin]\nlisten = \"127.0.0.1:8081\"\ntoken = {}\n", reference(token)));
    }
    for each in &plan.sources {
        text.push_str(&source(each, |_| true));
    }
    plan.upstreams.iter().for_each(|each| text.push_str(&upstream(each)));
    text
}

/// A bridge on a temporary file that has one source, asks no API and sends nothing on.
pub(super) fn sample(each: &SourcePlan, public_url: &str, listen: &str) -> String {
    let (listen, public_url) = (quoted(listen), quoted(public_url));
    let server = format!("[server]\nlisten = {listen}\npublic_url = {public_url}\n\n[store]\nurl = \"sqlite:sample.db\"\n");
    format!("{server}{}", source(each, |secret| !secret.is_for_api))
}

/// `salebridge.env`. What the old file held beside is kept.
///
/// # Errors
/// A value that cannot stand in a line.
pub(super) fn environment(plan: &Plan, old: &Environment) -> Result<String, Failure> {
    let mut text = String::from(
        "# Written by `salebridge init`, for --env-file, SALEBRIDGE_ENV_FILE and systemd's EnvironmentFile=. Keep it out of version control.\n\
         # NAME=value, one a line; a value with other than letters, digits and _-./:+=@%, stands in single quotes.\n",
    );
    let slots = plan.slots();
    for slot in &slots {
        let value = match &slot.value {
            Some(value) => line(&slot.variable, value)?,
            None => format!("{}=", slot.variable),
        };
        text.push_str(&format!("\n# {}\n{value}\n", one_line(&slot.about)));
    }
    let kept: Vec<_> = old.of_file().filter(|(name, _)| !slots.iter().any(|slot| slot.variable == *name)).collect();
    if !kept.is_empty() {
        text.push_str("\n# Kept from the file before.\n");
    }
    for (name, value) in kept {
        text.push_str(&format!("{}\n", line(name, value)?));
    }
    Ok(text)
}

fn line(name: &str, value: &crate::domain::Secret) -> Result<String, Failure> {
    environment_line(name, value).map_err(|cause| Failure::Usage(format!("{name}: {cause}; nothing was written")))
}

fn source(source: &SourcePlan, is_wanted: impl Fn(&SecretPlan) -> bool) -> String {
    let pack = &source.pack;
    let mut text = format!(
        "\n[[sources]] # {}\nname = {}\npack = {}\n",
        one_line(&pack.about.title),
        quoted(&source.name),
        quoted(pack.name())
    );
    let secrets: Vec<&SecretPlan> = source.secrets.iter().filter(|secret| is_wanted(secret)).collect();
    let entry = |secret: &SecretPlan| secret.name.as_ref().map(|name| format!("{name} = {}", reference(&secret.slot)));
    for secret in secrets.iter().filter(|secret| secret.is_used && secret.name.is_none()) {
        text.push_str(&format!("secrets = [{}]\n", reference(&secret.slot)));
    }
    let named: Vec<String> = secrets.iter().filter(|secret| secret.is_used).filter_map(|secret| entry(secret)).collect();
    if !named.is_empty() {
        text.push_str(&format!("named_secrets = {{ {} }}\n", named.join(", ")));
    }
    for secret in secrets.iter().filter(|secret| !secret.is_used) {
        let (name, about) = (secret.name.as_deref().unwrap_or("secrets"), one_line(&secret.slot.about));
        text.push_str(&format!("# named_secrets may hold {name} = {} as well; {about}\n", reference(&secret.slot)));
    }
    if let Some(token) = &source.path_token {
        text.push_str(&format!("path_token = {}\n", reference(token)));
    }
    for (key, value) in [("currency", &source.currency), ("api_url", &source.api_url)] {
        if let Some(value) = value {
            text.push_str(&format!("{key} = {}\n", quoted(value)));
        }
    }
    let Some(setup) = &pack.setup else { return text };
    if setup.customer_from_reference {
        text.push_str("customer_from_reference = true\n");
    }
    let names = [("click_id", &setup.click_id), ("customer_external_id", &setup.customer_external_id)];
    for (key, names) in names.iter().filter(|(_, names)| !names.is_empty()) {
        let list = names.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(", ");
        text.push_str(&format!("metadata.{key} = [{list}]\n"));
    }
    text
}

fn upstream(upstream: &UpstreamPlan) -> String {
    let template = &upstream.template.upstream;
    let mut text = format!(
        "\n[[upstreams]] # {}\nname = {}\ntemplate = {}\n",
        one_line(&template.title),
        quoted(&upstream.name),
        quoted(&template.name)
    );
    if let Some(secret) = &upstream.secret {
        let is_signing = upstream.template.auth == Auth::StandardWebhooks;
        let secret = reference(secret);
        text.push_str(&if is_signing { format!("signing_secrets = [{secret}]\n") } else { format!("token = {secret}\n") });
    }
    if let Some(url) = &upstream.base_url {
        text.push_str(&format!("base_url = {}\n", quoted(url)));
    }
    if let Some(currency) = &upstream.currency {
        text.push_str(&format!("currencies = [{}]\n", quoted(currency)));
    }
    for (key, value) in &upstream.settings {
        text.push_str(&format!("settings.{key} = {}\n", quoted(value)));
    }
    text
}

fn reference(slot: &Slot) -> String {
    quoted(&format!("${{{}}}", slot.variable))
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// A remark ends with its line.
fn one_line(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect()
}
