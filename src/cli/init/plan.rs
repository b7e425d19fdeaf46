//! What is to be written: from flags, from the environment and from a person's answers. All that is missing is said at once.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use super::Arguments;
use super::ask::Person;
use crate::app::{Environment, environment_line};
use crate::cli::Failure;
use crate::domain::Secret;
use crate::forward::{Auth, Template, Templates, Transport};
use crate::pack::{Pack, Registry};

/// All that is known when the questions are over.
#[derive(Debug)]
pub(super) struct Plan {
    /// Without a slash at its end.
    pub(super) public_url: String,
    pub(super) listen: Option<String>,
    pub(super) admin: Option<Slot>,
    pub(super) sources: Vec<SourcePlan>,
    pub(super) upstreams: Vec<UpstreamPlan>,
}

/// A variable of the environment file.
#[derive(Debug, Clone)]
pub(super) struct Slot {
    pub(super) variable: String,
    pub(super) about: String,
    /// `None` where it is still to be filled in.
    pub(super) value: Option<Secret>,
}

#[derive(Debug)]
pub(super) struct SourcePlan {
    pub(super) name: String,
    pub(super) pack: Arc<Pack>,
    pub(super) secrets: Vec<SecretPlan>,
    pub(super) path_token: Option<Slot>,
    pub(super) currency: Option<String>,
    pub(super) api_url: Option<String>,
}

#[derive(Debug)]
pub(super) struct SecretPlan {
    /// The named secret; `None` for `secrets`.
    pub(super) name: Option<String>,
    pub(super) slot: Slot,
    /// False where the source does without it for now.
    pub(super) is_used: bool,
    pub(super) is_for_api: bool,
}

#[derive(Debug)]
pub(super) struct UpstreamPlan {
    pub(super) name: String,
    pub(super) template: Arc<Template>,
    pub(super) secret: Option<Slot>,
    pub(super) base_url: Option<String>,
    pub(super) currency: Option<String>,
    pub(super) settings: BTreeMap<String, String>,
}

impl Plan {
    /// Every variable that is used, in the order of the file.
    pub(super) fn slots(&self) -> Vec<&Slot> {
        let mut slots: Vec<&Slot> = self.admin.iter().collect();
        for source in &self.sources {
            slots.extend(source.secrets.iter().filter(|secret| secret.is_used).map(|secret| &secret.slot));
            slots.extend(&source.path_token);
        }
        slots.extend(self.upstreams.iter().filter_map(|upstream| upstream.secret.as_ref()));
        slots
    }
}

impl SourcePlan {
    /// What is pasted into the dashboard. A path token is a secret, so its place is shown and not the token.
    pub(super) fn url(&self, public_url: &str) -> String {
        let token = if self.path_token.is_some() { "/{path_token}" } else { "" };
        format!("{public_url}/webhooks/{}{token}", self.name)
    }
}

/// Asks for what was not given.
///
/// # Errors
/// What is wrong, or all that is missing with the flags that say it.
pub(super) fn make(
    arguments: &Arguments,
    person: &Person,
    old: &Environment,
    packs: &Registry,
    templates: &Templates,
) -> Result<Plan, Failure> {
    let mut asking = Asking { arguments, person, old, set: settings(&arguments.set)?, missing: Vec::new() };
    let known: Vec<&str> = packs.iter().map(|pack| pack.name()).collect();
    let providers = asking.names(&arguments.providers, "provider", "Providers, by their packs", &known, true)?;
    let public_url = asking.public_url()?;
    let known: Vec<&str> = templates.names().collect();
    let upstreams = asking.names(&arguments.upstreams, "upstream", "Where sales go; Enter for nowhere yet", &known, false)?;
    let wants_admin = arguments.admin || person.yes("The dashboard, on http://127.0.0.1:8081?", false)?;
    let admin = wants_admin.then(|| {
        let about = "token of the dashboard and the admin API; init made it";
        asking.made("SALEBRIDGE_ADMIN_TOKEN".to_owned(), about, || URL_SAFE_NO_PAD.encode(random()))
    });
    let mut sources = Vec::new();
    for (name, pack) in &providers {
        if let Some(pack) = packs.get(pack) {
            sources.push(asking.source(name, pack)?);
        }
    }
    let mut made = Vec::new();
    for (name, template) in &upstreams {
        if let Some(template) = templates.get(template) {
            made.push(asking.upstream(name, template)?);
        }
    }
    asking.end()?;
    Ok(Plan { public_url, listen: arguments.listen.clone(), admin, sources, upstreams: made })
}

struct Asking<'a> {
    arguments: &'a Arguments,
    person: &'a Person,
    old: &'a Environment,
    set: BTreeMap<String, String>,
    /// What nobody could be asked for, with the flag that says it.
    missing: Vec<String>,
}

impl Asking<'_> {
    /// Names with what they are names of: the flag's, else what a person answers.
    fn names(
        &mut self,
        given: &[String],
        flag: &str,
        question: &str,
        known: &[&str],
        is_needed: bool,
    ) -> Result<Vec<(String, String)>, Failure> {
        if !given.is_empty() {
            return chosen(given, known).map_err(|cause| Failure::Usage(format!("--{flag} {cause}")));
        }
        if self.person.is_there() {
            let question = format!("{}\n{question} (several with commas)", known.join(", "));
            return self.person.until(&question, |answer| {
                let words: Vec<String> = answer.split([',', ' ']).filter(|word| !word.is_empty()).map(str::to_owned).collect();
                if words.is_empty() && is_needed { Err("at least one is needed".to_owned()) } else { chosen(&words, known) }
            });
        }
        if is_needed || !self.arguments.yes {
            let without = if is_needed { "" } else { ", or --yes for none" };
            self.missing.push(format!("--{flag} NAME{without}: {}", known.join(", ")));
        }
        Ok(Vec::new())
    }

    fn public_url(&mut self) -> Result<String, Failure> {
        match &self.arguments.public_url {
            Some(url) => public_url(url).map_err(|cause| Failure::Usage(format!("--public-url {cause}"))),
            None if self.person.is_there() => {
                self.person.until("How the internet reaches the bridge, such as https://hooks.example.com", public_url)
            }
            None => {
                self.missing
                    .push("--public-url URL: how the internet reaches the bridge, such as https://hooks.example.com".to_owned());
                Ok(String::new())
            }
        }
    }

    fn source(&mut self, name: &str, pack: &Arc<Pack>) -> Result<SourcePlan, Failure> {
        let mut secrets = Vec::new();
        for wanted in pack.wanted_secrets() {
            let word = wanted.name.as_deref().unwrap_or("webhook_secret");
            let slot = self.secret(variable(name, word), &pack.about.title, &wanted.about, wanted.is_required)?;
            let is_used = wanted.is_required || slot.value.is_some();
            secrets.push(SecretPlan { name: wanted.name, slot, is_used, is_for_api: wanted.is_for_api });
        }
        let is_token_wanted = pack.scheme.is_unsigned() || pack.setup.as_ref().is_some_and(|setup| setup.path_token);
        let path_token = is_token_wanted.then(|| {
            let about = format!("what the URL for {} ends in, in place of {{path_token}}; init made it", pack.about.title);
            self.made(variable(name, "path_token"), &about, || URL_SAFE_NO_PAD.encode(random()))
        });
        let needs_currency = pack.plain_mapping(false)?.needs_currency();
        let currency =
            self.setting(name, "currency", "in which currency it is paid, such as USD: the webhooks do not say", needs_currency)?;
        let is_asked = secrets.iter().any(|secret| secret.is_for_api && secret.is_used);
        let needs_url = is_asked && pack.api.as_ref().is_some_and(|api| api.needs_url());
        let api_url =
            self.setting(name, "api_url", "where your own server's API is, such as https://pay.example.com", needs_url)?;
        Ok(SourcePlan { name: name.to_owned(), pack: Arc::clone(pack), secrets, path_token, currency, api_url })
    }

    fn upstream(&mut self, name: &str, template: &Arc<Template>) -> Result<UpstreamPlan, Failure> {
        let title = &template.upstream.title;
        let secret = match &template.auth {
            Auth::None => None,
            Auth::StandardWebhooks => {
                let about = format!("with it requests to {title} are signed; init made it, and the endpoint needs it as well");
                Some(self.made(variable(name, "signing_secret"), &about, || format!("whsec_{}", STANDARD.encode(random()))))
            }
            Auth::Bearer | Auth::Basic { .. } | Auth::Header { .. } | Auth::Query { .. } | Auth::Body { .. } => {
                Some(self.secret(variable(name, "token"), title, "API token", true)?)
            }
        };
        let needs_url = template.upstream.transport == Transport::Http && template.upstream.base_url.is_none();
        let base_url = self.setting(name, "base_url", "the URL that takes the sales", needs_url)?;
        let about = format!("the one currency of the account, such as USD: {title} is told amounts without one");
        let currency = self.setting(name, "currency", &about, template.amount.single_currency)?;
        let mut settings = BTreeMap::new();
        for (key, setting) in &template.settings {
            if let Some(value) = self.setting(name, key, &setting.about, !setting.optional)? {
                settings.insert(key.clone(), value);
            }
        }
        Ok(UpstreamPlan { name: name.to_owned(), template: Arc::clone(template), secret, base_url, currency, settings })
    }

    /// A secret: of the environment, of the old file, or of a person. It is never shown.
    fn secret(&mut self, variable: String, title: &str, about: &str, is_required: bool) -> Result<Slot, Failure> {
        let mut value = self.old.get(&variable);
        if value.is_none() && self.person.is_there() {
            let without = if is_required { "Enter to fill it in later" } else { "optional; Enter to do without" };
            value = self.person.hidden(&format!("{title}, {about} ({without})"))?;
        } else if value.is_none() && is_required && !self.arguments.yes {
            self.missing.push(format!("{variable} in the environment, or --yes to fill it in later: {title}, {about}"));
        }
        if let Some(secret) = &value {
            let cause = if secret.is_blank() { Some("is blank") } else { environment_line(&variable, secret).err() };
            if let Some(cause) = cause {
                let advice = "give it as its provider shows it; a key in PEM as its base64 on one line";
                return Err(Failure::Usage(format!("{variable}: {cause}: {advice}; nothing was written")));
            }
        }
        Ok(Slot { variable, about: format!("{title}: {about}"), value })
    }

    /// A secret that is nobody's yet. One of the environment or of the old file stays.
    fn made(&self, variable: String, about: &str, make: impl FnOnce() -> String) -> Slot {
        let value = self.old.get(&variable).unwrap_or_else(|| Secret::new(make()));
        Slot { variable, about: about.to_owned(), value: Some(value) }
    }

    /// Something that is no secret. Only what is needed is asked for.
    fn setting(&mut self, name: &str, key: &str, about: &str, is_needed: bool) -> Result<Option<String>, Failure> {
        if let Some(value) = self.set.remove(&format!("{name}.{key}")) {
            return Ok(Some(value));
        }
        if is_needed && self.person.is_there() {
            let answer = |text: &str| if text.is_empty() { Err("it is needed".to_owned()) } else { Ok(text.to_owned()) };
            return self.person.until(&format!("{name}, {key}: {about}"), answer).map(Some);
        }
        if is_needed {
            self.missing.push(format!("--set {name}.{key}=VALUE: {about}"));
        }
        Ok(None)
    }

    fn end(self) -> Result<(), Failure> {
        if !self.missing.is_empty() {
            let list = self.missing.iter().map(|missing| format!("\n  {missing}")).collect::<String>();
            return Err(Failure::Usage(format!("nobody can be asked here, so these are missing; nothing was written:{list}")));
        }
        match self.set.into_keys().next() {
            Some(key) => Err(Failure::Usage(format!("--set {key}: nothing of this name is asked for; nothing was written"))),
            None => Ok(()),
        }
    }
}

/// `NAME=KIND` or `KIND`, each of a known kind and with a name of its own.
fn chosen(words: &[String], known: &[&str]) -> Result<Vec<(String, String)>, String> {
    let mut chosen: Vec<(String, String)> = Vec::new();
    for word in words {
        let (name, kind) = word.split_once('=').unwrap_or((word, word));
        if !known.contains(&kind) {
            let near = nearest(kind, known)
                .map_or_else(|| format!("; there is {}", known.join(", ")), |near| format!("; is {near} meant?"));
            return Err(format!("{kind:?}: there is no such name{near}"));
        }
        if chosen.iter().any(|(other, _)| other == name) {
            return Err(format!("{name}: is there twice; NAME={kind} names the second one in another way"));
        }
        let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if name.is_empty() || name.len() > 60 || !name.bytes().all(is_plain) {
            return Err(format!(
                "{name:?}: a name is 1 to 60 lower-case letters, digits and hyphens, because it stands in the URL"
            ));
        }
        chosen.push((name.to_owned(), kind.to_owned()));
    }
    Ok(chosen)
}

/// The known name that was most likely meant.
fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let word = word.to_ascii_lowercase();
    let word = word.get(..60).unwrap_or(&word);
    let near = known.iter().map(|name| (distance(word, name), *name)).min();
    let near = near.filter(|(distance, name)| *distance <= 2.min(name.len() / 2)).map(|(_, name)| name);
    near.or_else(|| known.iter().find(|name| word.len() > 2 && name.starts_with(word)).copied())
}

/// How many letters have to be changed, put in or taken out (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, character) in one.chars().enumerate() {
        let mut before = row[0];
        row[0] = at + 1;
        for (column, letter) in other.iter().enumerate() {
            let changed = before + usize::from(*letter != character);
            before = row[column + 1];
            row[column + 1] = changed.min(before + 1).min(row[column] + 1);
        }
    }
    row[other.len()]
}

/// `NAME.KEY=VALUE` of each flag.
fn settings(given: &[String]) -> Result<BTreeMap<String, String>, Failure> {
    let mut settings = BTreeMap::new();
    for text in given {
        let (key, value) = text.split_once('=').filter(|(key, _)| key.contains('.')).unwrap_or_default();
        if key.is_empty() || value.is_empty() || value.chars().any(char::is_control) {
            let cause = "must read like patreon.currency=USD, in one line";
            return Err(Failure::Usage(format!("--set {}: {cause}; nothing was written", key)));
        }
        if settings.insert(key.to_owned(), value.to_owned()).is_some() {
            return Err(Failure::Usage(format!("--set {key}: is there twice; nothing was written")));
        }
    }
    Ok(settings)
}

/// What the variable of a source's or an upstream's secret is called.
fn variable(name: &str, word: &str) -> String {
    let text = format!("{name}_{word}").to_ascii_uppercase().replace('-', "_");
    // A variable does not begin with a digit.
    if text.starts_with(|first: char| first.is_ascii_digit()) { format!("SALEBRIDGE_{text}") } else { text }
}

/// A public URL without a slash at its end.
fn public_url(text: &str) -> Result<String, String> {
    let Some(rest) = text.strip_prefix("https://") else {
        return Err("must begin with https://: over plain http anyone on the way could read and change webhooks".to_owned());
    };
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    if rest.contains('@') {
        return Err("holds a name or a password before an @; providers would be shown it: leave it out".to_owned());
    }
    let is_host = !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte));
    let is_path = path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte));
    if !is_host || !is_path {
        return Err("must be https://, a host and at most a path, such as https://hooks.example.com".to_owned());
    }
    if path.split('/').any(|part| part == "webhooks") {
        return Err("is without /webhooks/…: that is put behind it for each source".to_owned());
    }
    Ok(text.trim_end_matches('/').to_owned())
}

fn random() -> [u8; 32] {
    rand::random()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typo_is_recognised() {
        let known = ["stripe", "razorpay", "paypal", "paytm", "2checkout", "checkout-com"];
        for (word, meant) in
            [("strpe", Some("stripe")), ("Razorpay", Some("razorpay")), ("paypall", Some("paypal")), ("razor", Some("razorpay"))]
        {
            assert_eq!(nearest(word, &known), meant, "{word}");
        }
        assert_eq!(nearest("nobody-at-all", &known), None);
        assert!(chosen(&["strpe".to_owned()], &known).expect_err("a typo").contains("is stripe meant?"));
    }

    #[test]
    fn only_a_url_that_providers_may_be_given_is_taken() {
        for url in
            ["https://hooks.example.com", "https://hooks.example.com/", "https://example.com:8443/in", "https://[2001:db8::1]"]
        {
            assert_eq!(public_url(url).as_deref(), Ok(url.trim_end_matches('/')));
        }
        for url in [
            "http://hooks.example.com",
            "hooks.example.com",
            "https://",
            "https:///x",
            "https://me:secret@example.com",
            "https://example.com?x=1",
            "https://example.com/#a",
            "https://exa mple.com",
            "https://example.com\nX",
            "https://example.com/\"",
            "https://example.com/webhooks/stripe",
            "ftp://example.com",
        ] {
            let cause = public_url(url).expect_err(url);
            assert!(!cause.contains("secret"), "{cause}");
        }
    }

    #[test]
    fn variables_are_names_that_a_shell_takes() {
        assert_eq!(variable("2checkout", "webhook_secret"), "SALEBRIDGE_2CHECKOUT_WEBHOOK_SECRET");
        assert_eq!(variable("ko-fi", "path_token"), "KO_FI_PATH_TOKEN");
    }
}
