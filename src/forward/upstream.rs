//! One configured use of a template.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

use super::render::{Destination, Headers};
use super::schedule::Schedule;
use super::sign::SigningKey;
use super::template::{AmountUnit, Auth, FieldValue, Template, Templates, Transport};
use crate::attribute::{Filter, Route, WithoutClick};
use crate::domain::{Accept, AdjustmentRule, Currency, EventName, Faults, Secret};
use crate::outbound::{Limits, names_private};

/// So much of an answer is read; no API says more about one sale.
const ANSWER_LIMIT_BYTES: usize = 64 * 1024;
/// A setting is an id or a code of the vendor's, not a document.
const SETTING_LIMIT_BYTES: usize = 500;

/// One `[[upstreams]]` of the configuration, its secrets already read from their places.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Upstream")]
pub struct UpstreamConfig {
    /// Its name, by which its queue is known.
    pub name: String,
    /// The template that it uses; `salebridge upstream list --templates` names them all.
    pub template: String,
    /// The API's token, for templates that show one.
    pub token: Option<Secret>,
    /// The keys with which requests are signed, where the template signs: `whsec_` and the base64 of 24 to 64 bytes. Several during a rotation.
    #[serde(default)]
    pub signing_secrets: Vec<Secret>,
    /// What else the template has to know of the team's account; `salebridge upstream show NAME` says what.
    #[serde(default)]
    pub settings: BTreeMap<String, String>,
    /// Where the API is, where that is not the template's address. Always https, unless it is an address of a private network.
    pub base_url: Option<String>,
    /// The unit of amounts on the wire; only what the template knows. Left out: the template's first.
    pub amount_unit: Option<AmountUnit>,
    /// Sent instead of the canonical event name, such as `checkout_completed`. Left out: the canonical one.
    pub event_name: Option<String>,
    /// Whether the time of the sale is sent.
    #[serde(default)]
    pub timestamp: TimestampPolicy,
    /// What to do with a sale that has no click. Left out: `send`, or `hold` where the vendor takes no sale without a click.
    pub without_click: Option<WithoutClick>,
    /// Only sales of these sources. Left out: all.
    pub sources: Option<Vec<String>>,
    /// Only sales of these events. Left out: all.
    pub events: Option<Vec<EventName>>,
    /// Only sales in these currencies. Left out: all.
    #[schemars(with = "Option<Vec<String>>")]
    pub currencies: Option<Vec<Currency>>,
    /// Only live ones, or only test ones. Left out: all that are counted.
    pub accept: Option<Accept>,
    /// Whether it is told of money that went back, where the template can.
    #[serde(default = "yes")]
    pub adjustments: bool,
    /// True where the upstream's name may lead to a private or loopback address.
    #[serde(default)]
    pub allow_private: bool,
    /// At most so many requests in any 60 seconds. Left out: the template's limit.
    pub requests_per_minute: Option<u32>,
    /// At most so many requests at a time. Left out: the template's limit.
    pub max_in_flight: Option<usize>,
    /// An answer must be complete within this. Left out: the template's limit.
    pub timeout_secs: Option<u64>,
    /// When what failed is tried again.
    #[serde(default)]
    pub retry: RetryConfig,
}

/// When what failed is tried again.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Retry")]
pub struct RetryConfig {
    /// The bound of the first delay; it doubles with each attempt.
    pub first_delay_secs: u64,
    /// No delay is longer.
    pub longest_delay_secs: u64,
    /// After this a delivery is a dead letter.
    pub give_up_after_secs: u64,
}

/// Whether the time of the sale is sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TimestampPolicy {
    /// Where it is of an age that the template names.
    #[default]
    WhenRecent,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// An upstream, checked. Two are equal where nothing that a sender goes by differs.
#[derive(Debug, Clone, PartialEq)]
pub struct Upstream {
    /// Its name.
    pub name: Arc<str>,
    /// Its template.
    pub template: Arc<Template>,
    /// Where its API is; `None` where nothing is sent over a network.
    pub base_url: Option<Url>,
    /// Where sales go, if that is the same for all of them.
    pub(super) sale_destination: Option<Destination>,
    /// The headers that no sale changes.
    pub(super) headers: Arc<Headers>,
    /// The API's token; blank where the template needs none.
    pub token: Secret,
    /// The keys with which requests are signed.
    pub signing_keys: Vec<SigningKey>,
    /// What the template has to know of the team's account.
    pub settings: BTreeMap<String, String>,
    /// The unit of amounts on the wire.
    pub amount_unit: AmountUnit,
    /// Sent instead of the canonical event name.
    pub event_name: Option<String>,
    /// Whether the time of the sale is sent.
    pub timestamp: TimestampPolicy,
    /// What to do with a sale that has no click.
    pub without_click: WithoutClick,
    /// Which sales go there.
    pub filter: Filter,
    /// What it is told of money that went back.
    pub adjustments: Option<AdjustmentRule>,
    /// True where the host may lead to a private or loopback address.
    pub allow_private: bool,
    /// At most so many requests in any 60 seconds.
    pub requests_per_minute: u32,
    /// At most so many requests at a time.
    pub max_in_flight: usize,
    /// For a whole answer.
    pub timeout: Duration,
    /// When what failed is tried again.
    pub schedule: Schedule,
    /// Every form of a secret that an answer may repeat, and that is not kept.
    pub(super) spellings: Vec<Secret>,
}

impl Default for RetryConfig {
    fn default() -> Self {
        let Schedule { first_delay, longest_delay, give_up_after, .. } = Schedule::default();
        Self {
            first_delay_secs: first_delay.as_secs(),
            longest_delay_secs: longest_delay.as_secs(),
            give_up_after_secs: give_up_after.as_secs(),
        }
    }
}

impl Upstream {
    /// The limits of the client that speaks to it.
    pub(super) fn limits(&self) -> Limits {
        Limits {
            // A connection that is given up before it stands was certainly not used.
            connect_timeout: Duration::from_secs(self.template.limits.connect_timeout_secs).min(self.timeout.mul_f32(0.9)),
            timeout: self.timeout,
            idle_connections: self.max_in_flight,
            answer_limit_bytes: ANSWER_LIMIT_BYTES,
            allow_private: self.allow_private,
        }
    }

    /// What the ledger needs to know of it.
    pub fn route(&self) -> Route {
        Route {
            upstream: Arc::clone(&self.name),
            without_click: self.without_click,
            filter: self.filter.clone(),
            adjustments: self.adjustments,
        }
    }

    /// Where requests go, for people: the base URL, or the log.
    pub fn place(&self) -> String {
        self.base_url.as_ref().map_or_else(|| "the log".to_owned(), ToString::to_string)
    }

    /// Which sales go there, in words.
    pub fn takes(&self) -> String {
        let filter = &self.filter;
        let mut parts = Vec::new();
        if !filter.sources.is_empty() {
            parts.push(format!("of {}", filter.sources.join(", ")));
        }
        if !filter.events.is_empty() {
            parts.push(filter.events.iter().map(|event| event.as_str()).collect::<Vec<_>>().join(", "));
        }
        if !filter.currencies.is_empty() {
            parts.push(format!("in {}", filter.currencies.iter().map(|currency| currency.code()).collect::<Vec<_>>().join(", ")));
        }
        match filter.accept {
            Some(Accept::Live) => parts.push("live only".to_owned()),
            Some(Accept::Test) => parts.push("test only".to_owned()),
            Some(Accept::All) | None => {}
        }
        let which = if parts.is_empty() { "every sale".to_owned() } else { format!("sales {}", parts.join("; ")) };
        match self.without_click {
            WithoutClick::Send => which,
            WithoutClick::Hold => format!("{which}; one without a click is held until there is one"),
            WithoutClick::Skip => format!("{which}; one without a click is skipped"),
        }
    }

    /// Checks an upstream; `file` and `key` name it in faults, `sources` are the sources that there are.
    ///
    /// # Errors
    /// Every fault.
    pub fn new(config: &UpstreamConfig, templates: &Templates, sources: &[&str], file: &str, key: &str) -> Result<Self, Faults> {
        let mut check = Check { config, file, key, faults: Faults::default() };
        check.plain();
        let Some(template) = templates.get(&config.template) else {
            let known = templates.names().collect::<Vec<_>>().join(", ");
            check.fault("template", format!("{} is not a template; there is {known}", config.template));
            return Err(check.faults);
        };
        let signing_keys = check.secrets(template);
        check.settings(template);
        let base_url = check.base_url(template);
        let filter = check.filter(template, sources);
        let schedule = check.schedule();
        let unit = config.amount_unit.or(template.amount.units.first().copied()).unwrap_or(AmountUnit::Major);
        if !template.amount.units.contains(&unit) {
            check.fault("amount_unit", format!("is not one that {} may mean", template.upstream.title));
        }
        let limits = &template.limits;
        let adjustments = template
            .adjustments
            .request
            .as_ref()
            .filter(|_| config.adjustments)
            .map(|_| AdjustmentRule { partial: template.adjustments.partial, reversible: template.adjustments.reversible });
        // Where nothing is taken without a click, a sale without one is held back, not burnt.
        let needs_click = template.request.body.iter().any(|field| field.required && field.value == Some(FieldValue::ClickId));
        let without_click = if needs_click { WithoutClick::Hold } else { WithoutClick::Send };
        if needs_click && config.without_click == Some(WithoutClick::Send) {
            check.fault("without_click", format!("{} takes no sale without a click: hold or skip", template.upstream.title));
        }
        let Check { mut faults, .. } = check;
        let mut upstream = Self {
            name: config.name.as_str().into(),
            template: Arc::clone(template),
            allow_private: config.allow_private || base_url.as_ref().is_some_and(|url| names_private(url.as_str())),
            sale_destination: base_url.as_ref().and_then(|base| same_for_all(base, template)),
            base_url,
            headers: Arc::default(),
            token: config.token.clone().unwrap_or_else(|| Secret::new("")),
            signing_keys,
            settings: config.settings.clone(),
            amount_unit: unit,
            event_name: config.event_name.clone(),
            timestamp: config.timestamp,
            without_click: config.without_click.unwrap_or(without_click),
            filter,
            adjustments,
            requests_per_minute: config.requests_per_minute.unwrap_or(limits.requests_per_minute),
            max_in_flight: config.max_in_flight.unwrap_or(limits.max_in_flight),
            timeout: Duration::from_secs(config.timeout_secs.unwrap_or(limits.timeout_secs)),
            schedule,
            spellings: Vec::new(),
        };
        upstream.spellings = upstream.all_spellings();
        match upstream.constant_headers() {
            Ok(headers) => upstream.headers = Arc::new(headers),
            Err(cause) => faults.add(file, key, cause.to_string()),
        }
        faults.or(upstream)
    }
}

struct Check<'a> {
    config: &'a UpstreamConfig,
    file: &'a str,
    key: &'a str,
    faults: Faults,
}

impl Check<'_> {
    fn fault(&mut self, name: &str, cause: impl Into<String>) {
        self.faults.add(self.file, format!("{}.{name}", self.key), cause);
    }

    fn plain(&mut self) {
        let config = self.config;
        let is_name = |text: &str, most: usize| {
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
            !text.is_empty() && text.len() <= most && text.bytes().all(is_plain)
        };
        if !is_name(&config.name, 60) {
            self.fault("name", "must be 1 to 60 letters, digits, hyphens and underscores");
        }
        if config.event_name.as_ref().is_some_and(|name| !is_name(name, 100)) {
            self.fault("event_name", "must be 1 to 100 of the characters A-Z a-z 0-9 _ -");
        }
        let limits = [
            ("requests_per_minute", config.requests_per_minute.map(u64::from), 6_000_000),
            ("max_in_flight", config.max_in_flight.map(|count| u64::try_from(count).unwrap_or(u64::MAX)), 1000),
            ("timeout_secs", config.timeout_secs, 600),
        ];
        for (name, value, most) in limits {
            if value.is_some_and(|value| value == 0 || value > most) {
                self.fault(name, format!("must be between 1 and {most}"));
            }
        }
    }

    fn schedule(&mut self) -> Schedule {
        let retry = self.config.retry;
        let month = 31 * 24 * 60 * 60;
        let is_odd = |secs: u64| secs == 0 || secs > month;
        if is_odd(retry.first_delay_secs) || is_odd(retry.longest_delay_secs) || is_odd(retry.give_up_after_secs) {
            self.fault("retry", format!("must be between 1 and {month} seconds each"));
        }
        if retry.longest_delay_secs < retry.first_delay_secs {
            self.fault("retry.longest_delay_secs", "is shorter than the first delay");
        }
        Schedule {
            first_delay: Duration::from_secs(retry.first_delay_secs),
            longest_delay: Duration::from_secs(retry.longest_delay_secs),
            give_up_after: Duration::from_secs(retry.give_up_after_secs),
            ..Schedule::default()
        }
    }

    fn secrets(&mut self, template: &Template) -> Vec<SigningKey> {
        let config = self.config;
        let title = &template.upstream.title;
        let (needs_token, signs) = match template.auth {
            Auth::None => (false, false),
            Auth::StandardWebhooks => (false, true),
            Auth::Bearer | Auth::Basic { .. } | Auth::Header { .. } | Auth::Query { .. } | Auth::Body { .. } => (true, false),
        };
        match &config.token {
            None if needs_token => self.fault("token", format!("is missing: {title} takes nothing without one")),
            Some(_) if !needs_token => self.fault("token", format!("is not used by {title}")),
            Some(token) if token.is_blank() || !token.expose().bytes().all(|byte| byte.is_ascii_graphic()) => {
                self.fault("token", "is empty or holds characters that no token has");
            }
            Some(_) | None => {}
        }
        if signs && config.signing_secrets.is_empty() {
            self.fault("signing_secrets", format!("is missing: {title} signs what it sends; one or more of whsec_ and base64"));
        }
        if !signs && !config.signing_secrets.is_empty() {
            self.fault("signing_secrets", format!("are not used by {title}"));
        }
        let mut keys = Vec::new();
        for (index, secret) in config.signing_secrets.iter().enumerate() {
            match SigningKey::new(secret) {
                Ok(key) => keys.push(key),
                Err(cause) => self.fault(&format!("signing_secrets[{index}]"), cause),
            }
        }
        keys
    }

    fn settings(&mut self, template: &Template) {
        for (name, setting) in &template.settings {
            if !setting.optional && !self.config.settings.contains_key(name) {
                self.fault(&format!("settings.{name}"), format!("is missing: {}", setting.about));
            }
        }
        for (name, value) in &self.config.settings {
            if !template.settings.contains_key(name) {
                self.fault(&format!("settings.{name}"), format!("is not a setting of {}", template.upstream.title));
            }
            if value.is_empty() || value.len() > SETTING_LIMIT_BYTES || value.chars().any(char::is_control) {
                self.fault(&format!("settings.{name}"), "is empty, too long, or holds control characters");
            }
        }
    }

    fn base_url(&mut self, template: &Template) -> Option<Url> {
        if template.upstream.transport == Transport::Log {
            if self.config.base_url.is_some() {
                self.fault("base_url", "is not used: nothing is sent by the log");
            }
            return None;
        }
        let Some(base_url) = self.config.base_url.as_ref().or(template.upstream.base_url.as_ref()) else {
            self.fault("base_url", "is missing: the URL that takes the sales");
            return None;
        };
        base(base_url, self.config.allow_private).map_err(|cause| self.fault("base_url", cause)).ok()
    }

    fn filter(&mut self, template: &Template, sources: &[&str]) -> Filter {
        let config = self.config;
        let is_empty = [
            ("sources", config.sources.as_ref().is_some_and(Vec::is_empty)),
            ("events", config.events.as_ref().is_some_and(Vec::is_empty)),
            ("currencies", config.currencies.as_ref().is_some_and(Vec::is_empty)),
        ];
        for (name, _) in is_empty.into_iter().filter(|(_, is_empty)| *is_empty) {
            self.fault(name, "is an empty list, which no sale matches; leave it out for all");
        }
        for name in config.sources.iter().flatten().filter(|name| !sources.contains(&name.as_str())) {
            self.fault("sources", format!("{name} is not a source of this configuration"));
        }
        let currencies = config.currencies.clone().unwrap_or_default();
        if template.amount.single_currency && currencies.len() != 1 {
            let title = &template.upstream.title;
            self.fault(
                "currencies",
                format!("must name the one currency of the account: {title} is told amounts without a currency"),
            );
        }
        Filter {
            sources: config.sources.clone().unwrap_or_default(),
            events: config.events.clone().unwrap_or_default(),
            currencies,
            accept: config.accept,
        }
    }
}

/// A base URL.
fn base(text: &str, allow_private: bool) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("is not a URL: {error}"))?;
    let host = url.host_str().filter(|host| !host.is_empty()).ok_or("names no host")?;
    if !url.username().is_empty() || url.password().is_some() || text.contains(['?', '#']) || host.ends_with('.') {
        return Err("must be scheme, host and path only".to_owned());
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if names_private(url.as_str()) || allow_private => Ok(url),
        "http" => Err("must be https: over plain http anyone on the way reads the token".to_owned()),
        _ => Err("must be https".to_owned()),
    }
}

/// Where sales go, unless the URL holds a value of the sale or the token.
fn same_for_all(base: &Url, template: &Template) -> Option<Destination> {
    let path = &template.request.path;
    let is_plain = !path.contains('{') && !matches!(template.auth, Auth::Query { .. });
    if is_plain { Destination::new(&joined(base, path).ok()?).ok() } else { None }
}

/// A path below the base URL. Without one, the base URL as it was written.
pub(super) fn joined(base: &Url, path: &str) -> Result<Url, String> {
    if path.is_empty() {
        Ok(base.clone())
    } else {
        Url::parse(&format!("{}{path}", base.as_str().trim_end_matches('/'))).map_err(|error| error.to_string())
    }
}

fn yes() -> bool {
    true
}
