//! One configured use of a template.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;
use serde::Deserialize;

use super::template::{Auth, Method, Template, Templates};
use crate::attribute::WithoutClick;
use crate::domain::{Faults, Secret};
use crate::outbound::{Limits, Request, is_private};

/// So much of an answer is read; no API says more about one sale.
const ANSWER_LIMIT_BYTES: usize = 64 * 1024;

/// One `[[upstreams]]` of the configuration, its secrets already read from their places.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpstreamConfig {
    /// Its name.
    pub name: String,
    /// The template that it uses.
    pub template: String,
    /// The API's token.
    pub token: Secret,
    /// Where the API is, where that is not the template's address.
    pub base_url: Option<String>,
    /// The unit of amounts on the wire.
    pub amount_unit: Option<AmountUnit>,
    /// Sent instead of the canonical event name.
    pub event_name: Option<String>,
    /// Whether the time of the sale is sent.
    #[serde(default)]
    pub timestamp: TimestampPolicy,
    /// What to do with a sale that has no click.
    #[serde(default)]
    pub without_click: WithoutClick,
    /// True where the upstream's name may lead to a private or loopback address.
    #[serde(default)]
    pub allow_private: bool,
    /// At most so many requests in any 60 seconds.
    pub requests_per_minute: Option<u32>,
}

/// The unit of amounts on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AmountUnit {
    /// Decimals of the major unit: 49.99.
    Major,
    /// Whole minor units: 4999.
    Minor,
}

/// Whether the time of the sale is sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimestampPolicy {
    /// Where the sale is younger than 24 hours and not of the future.
    #[default]
    WhenRecent,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// An upstream, checked.
#[derive(Debug, Clone)]
pub struct Upstream {
    /// Its name.
    pub name: Arc<str>,
    /// Its template.
    pub template: Arc<Template>,
    /// Where the request goes.
    pub url: Url,
    /// The API's token.
    pub token: Secret,
    /// The unit of amounts on the wire.
    pub amount_unit: AmountUnit,
    /// Sent instead of the canonical event name.
    pub event_name: Option<String>,
    /// Whether the time of the sale is sent.
    pub timestamp: TimestampPolicy,
    /// What to do with a sale that has no click.
    pub without_click: WithoutClick,
    /// True where the host may lead to a private or loopback address.
    pub allow_private: bool,
    /// At most so many requests in any 60 seconds.
    pub requests_per_minute: u32,
}

impl Upstream {
    /// The limits of the client that speaks to it.
    pub(super) fn limits(&self) -> Limits {
        let limits = &self.template.limits;
        Limits {
            connect_timeout: Duration::from_secs(limits.connect_timeout_secs),
            timeout: Duration::from_secs(limits.timeout_secs),
            idle_connections: limits.max_in_flight,
            answer_limit_bytes: ANSWER_LIMIT_BYTES,
            allow_private: self.allow_private,
        }
    }

    /// A request with this body.
    pub(super) fn request(&self, body: String) -> Request {
        let Method::Post = self.template.request.method;
        let Auth::Bearer = self.template.request.auth;
        let token = Secret::new(format!("Bearer {}", self.token.expose()));
        let headers = vec![("Authorization".to_owned(), token), ("Accept".to_owned(), Secret::new("application/json"))];
        Request { url: self.url.clone(), body: Some(("application/json", body)), headers }
    }

    /// Checks an upstream; `file` and `key` name it in faults.
    ///
    /// # Errors
    /// Every fault.
    pub fn new(config: &UpstreamConfig, templates: &Templates, file: &str, key: &str) -> Result<Self, Faults> {
        let mut faults = Faults::default();
        let template = templates.get(&config.template);
        if template.is_none() {
            let known = templates.names().collect::<Vec<_>>().join(", ");
            faults.add(file, format!("{key}.template"), format!("{} is not a template; there is {known}", config.template));
        }
        if config.name.is_empty()
            || config.name.len() > 60
            || config.name.chars().any(|c| !c.is_ascii_alphanumeric() && !"-_".contains(c))
        {
            faults.add(file, format!("{key}.name"), "must be letters, digits, hyphens and underscores");
        }
        let token = config.token.clone();
        if token.is_blank() || !token.expose().bytes().all(|byte| byte.is_ascii_graphic()) {
            faults.add(file, format!("{key}.token"), "is empty or holds characters that no token has");
        }
        let has_bad_name = |name: &String| {
            name.is_empty()
                || name.len() > 100
                || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
        };
        if config.event_name.as_ref().is_some_and(has_bad_name) {
            faults.add(file, format!("{key}.event_name"), "must be 1 to 100 of the characters A-Z a-z 0-9 _ -");
        }
        if config.requests_per_minute == Some(0) {
            faults.add(file, format!("{key}.requests_per_minute"), "must be at least 1");
        }
        let base_url = config.base_url.as_deref().or(template.map(|template| template.upstream.base_url.as_str()));
        let path = template.map_or("/", |template| template.request.path.as_str());
        let url = base_url.map(|base_url| endpoint(base_url, path, config.allow_private)).transpose().unwrap_or_else(|cause| {
            faults.add(file, format!("{key}.base_url"), cause);
            None
        });
        match (template, url) {
            (Some(template), Some((url, is_literal))) => faults.or(Self {
                name: config.name.as_str().into(),
                template: Arc::clone(template),
                url,
                token,
                amount_unit: config.amount_unit.unwrap_or(template.request.amount_unit),
                event_name: config.event_name.clone(),
                timestamp: config.timestamp,
                without_click: config.without_click,
                allow_private: config.allow_private || is_literal,
                requests_per_minute: config.requests_per_minute.unwrap_or(template.limits.requests_per_minute),
            }),
            (Some(_) | None, Some(_) | None) => Err(faults),
        }
    }
}

/// The full URL, and whether its host names a private address literally.
fn endpoint(base_url: &str, path: &str, allow_private: bool) -> Result<(Url, bool), String> {
    let url =
        Url::parse(&format!("{}{path}", base_url.trim_end_matches('/'))).map_err(|error| format!("is not a URL: {error}"))?;
    let host = url.host_str().filter(|host| !host.is_empty()).ok_or("names no host")?;
    if !url.username().is_empty() || url.password().is_some() || base_url.contains(['?', '#']) {
        return Err("must be scheme, host and path only".to_owned());
    }
    let address: Option<IpAddr> = host.trim_matches(['[', ']']).parse().ok();
    let is_literal = host == "localhost" || address.is_some_and(is_private);
    match url.scheme() {
        "https" => Ok((url, is_literal)),
        "http" if is_literal || allow_private => Ok((url, is_literal)),
        "http" => Err("must be https: over plain http anyone on the way reads the token".to_owned()),
        _ => Err("must be https".to_owned()),
    }
}
