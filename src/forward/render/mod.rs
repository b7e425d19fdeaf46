//! A sale, or money of it that went back, as the upstream wants to be told: a whole HTTP request.

mod headers;
mod object;
mod value;

use std::fmt;
use std::sync::Arc;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use url::Url;

use self::object::{Object, Scalar};
use super::template::{Auth, Field, Find, OneOf, Send, WrittenAs};
use super::upstream::{Upstream, joined};
use crate::domain::{Outgoing, Secret, Timestamp};
use crate::outbound::{Request, Uri, uri_of};

pub(super) use self::headers::Headers;

/// What stays as it is in a path: RFC 3986's unreserved characters.
const IN_PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
/// Rarely is a body longer, or what is shown of a request beside it.
const USUAL_BYTES: usize = 512;
/// What stands where a secret stood.
const REDACTED: &str = "[redacted]";

/// A whole request.
#[derive(Debug, Clone)]
pub struct Rendered {
    method: &'static str,
    to: Destination,
    headers: Arc<Headers>,
    body: Option<String>,
}

/// Where a request goes.
#[derive(Clone, PartialEq)]
pub(super) struct Destination {
    /// `None` where nothing is sent over a network.
    url: Option<Uri>,
    /// The same as it may be shown.
    shown: Arc<str>,
}

/// Why something cannot be told to an upstream. Trying again does not help.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// A field that the upstream requires is missing.
    #[error("the upstream takes nothing without {field}, and this sale has no {value}")]
    Missing {
        /// The field's name on the wire.
        field: String,
        /// The value that it would hold.
        value: String,
    },
    /// None of the fields is there of which the upstream needs one.
    #[error("the upstream needs one of {fields}, and this sale has none of them")]
    NoneOf {
        /// The names on the wire.
        fields: String,
    },
    /// A value that the upstream would not take.
    #[error("{field} does not fit the upstream: {why}")]
    Unfit {
        /// The field's name on the wire.
        field: String,
        /// What it would have to be.
        why: String,
    },
    /// Only a whole sale can be taken back there.
    #[error("the upstream takes back whole sales only, and something is left of this one")]
    NotWhole,
    /// The template has no form for it.
    #[error("the upstream cannot be told of money that went back")]
    NoForm,
}

impl Upstream {
    /// The request for it, as of `now`.
    ///
    /// # Errors
    /// It cannot be told to this upstream.
    pub fn render(&self, outgoing: &Outgoing, now: Timestamp) -> Result<Rendered, RenderError> {
        let spec = match &outgoing.adjustment {
            Some(_) => self.template.adjustments.request.as_ref().ok_or(RenderError::NoForm)?,
            None => &self.template.request,
        };
        let is_part = outgoing.adjustment.as_ref().is_some_and(|step| step.taken_back < outgoing.sale.money.minor);
        if is_part && !self.template.adjustments.partial && !self.template.adjustments.reversible {
            return Err(RenderError::NotWhole);
        }
        let mut fields = Object::with_capacity(spec.body.len() + 1);
        for field in &spec.body {
            if let Some(value) = self.field(field, outgoing, now)? {
                fields.put(&field.name, value);
            }
        }
        spec.one_of.iter().try_for_each(|one_of| choose(&mut fields, one_of))?;
        self.in_one_currency(outgoing)?;
        if let Auth::Body { name } = &self.template.auth {
            fields.put(name, Scalar::Text(self.token.expose().into()));
        }
        let body = (!fields.is_empty()).then(|| written(&fields));
        let to = match &self.sale_destination {
            Some(same) if outgoing.adjustment.is_none() => same.clone(),
            Some(_) | None => self.destination(&spec.path, outgoing, now)?,
        };
        let headers = self.headers(outgoing, now, body.as_deref().unwrap_or_default())?;
        Ok(Rendered { method: spec.method.as_str(), to, headers, body })
    }

    /// The first request of an attempt: what is told, or the question for the upstream's own id of it.
    ///
    /// # Errors
    /// What stands in the way.
    pub fn first_request(&self, outgoing: &Outgoing, now: Timestamp) -> Result<Rendered, RenderError> {
        match self.finding(outgoing, now)? {
            Some((finding, _)) => Ok(finding),
            None => self.render(outgoing, now),
        }
    }

    /// The request that finds the upstream's own id of the sale, where one is needed and not known.
    ///
    /// # Errors
    /// Its URL cannot be made.
    pub(super) fn finding(&self, outgoing: &Outgoing, now: Timestamp) -> Result<Option<(Rendered, &Find)>, RenderError> {
        let Some(find) = self.template.adjustments.find.as_ref() else { return Ok(None) };
        if outgoing.adjustment.is_none() || outgoing.upstream_id.is_some() {
            return Ok(None);
        }
        let to = self.destination(&find.path, outgoing, now)?;
        let headers = self.headers(outgoing, now, "")?;
        Ok(Some((Rendered { method: "GET", to, headers, body: None }, find)))
    }

    fn field<'a>(&'a self, field: &'a Field, outgoing: &'a Outgoing, now: Timestamp) -> Result<Option<Scalar<'a>>, RenderError> {
        let found = match (&field.value, &field.literal, &field.setting) {
            (Some(value), _, _) => self.value(*value, field, outgoing, now)?,
            (None, Some(literal), _) => value::literal(literal),
            (None, None, Some(setting)) => self.settings.get(setting).map(|text| Scalar::Text(text.as_str().into())),
            (None, None, None) => None,
        };
        let fitting = match found {
            Some(Scalar::Text(text)) => value::fit(field, text)?.map(Scalar::Text),
            found => found,
        };
        if fitting.is_none() && field.required {
            let value = match (&field.value, &field.setting) {
                (Some(value), _) => value.name(),
                (None, setting) => setting.clone().unwrap_or_default(),
            };
            return Err(RenderError::Missing { field: field.name.clone(), value });
        }
        Ok(fitting)
    }

    /// An upstream that is told no currency gets the sales of one only. The filter sees to it; this is for what was counted before.
    fn in_one_currency(&self, outgoing: &Outgoing) -> Result<(), RenderError> {
        let currency = outgoing.sale.money.currency;
        if self.template.amount.single_currency && !self.filter.currencies.contains(&currency) {
            let why = format!("it is told no currency, and this sale is in {}", currency.code());
            return Err(RenderError::Unfit { field: "amount".to_owned(), why });
        }
        let taken = &self.template.amount.currencies;
        if !taken.is_empty() && !taken.contains(&currency) {
            let codes = taken.iter().map(|currency| currency.code()).collect::<Vec<_>>().join(", ");
            let why =
                format!("it takes {codes} only, and this sale is in {}; `currencies` keeps such sales away", currency.code());
            return Err(RenderError::Unfit { field: "currency".to_owned(), why });
        }
        Ok(())
    }

    /// Where a request goes whose URL holds values of the sale, or the token.
    fn destination(&self, template: &str, outgoing: &Outgoing, now: Timestamp) -> Result<Destination, RenderError> {
        let mut path = String::new();
        let mut rest = template;
        while let Some((before, after)) = rest.split_once('{') {
            let (name, after) = after.split_once('}').unwrap_or((after, ""));
            let value = match self.settings.get(name) {
                Some(setting) => Some(setting.clone()),
                None => self.named(name, outgoing, now)?,
            };
            let value =
                value.ok_or_else(|| RenderError::Missing { field: format!("{{{name}}} of its URL"), value: name.to_owned() })?;
            // Dots alone would lead out of the path.
            if value.is_empty() || value.bytes().all(|byte| byte == b'.') {
                let why = "it is empty or made of dots".to_owned();
                return Err(RenderError::Unfit { field: format!("{{{name}}} of its URL"), why });
            }
            path.push_str(before);
            path.extend(utf8_percent_encode(&value, IN_PATH));
            rest = after;
        }
        path.push_str(rest);
        let Some(base) = &self.base_url else {
            return Ok(Destination { url: None, shown: "log:".into() });
        };
        let malformed = |_| RenderError::Unfit { field: "the URL".to_owned(), why: "it is not a URL".to_owned() };
        let mut url = joined(base, &path).map_err(malformed)?;
        let mut destination = Destination::new(&url).map_err(malformed)?;
        if let Auth::Query { name } = &self.template.auth {
            let mut shown = url.clone();
            url.query_pairs_mut().append_pair(name, self.token.expose());
            shown.query_pairs_mut().append_pair(name, "redacted");
            destination = Destination { shown: shown.as_str().into(), ..Destination::new(&url).map_err(malformed)? };
        }
        Ok(destination)
    }

    /// A text without this upstream's secrets, which a careless upstream repeats.
    pub(super) fn redact(&self, text: &str) -> String {
        self.spellings
            .iter()
            .map(Secret::expose)
            .fold(text.to_owned(), |text, secret| if text.contains(secret) { text.replace(secret, REDACTED) } else { text })
    }

    /// Every form in which a secret may stand in an answer.
    pub(super) fn all_spellings(&self) -> Vec<Secret> {
        let plain = self.signing_keys.iter().map(|key| key.secret().expose()).chain([self.token.expose()]);
        let plain = plain.filter(|secret| !secret.is_empty()).flat_map(spellings);
        let basic = match &self.template.auth {
            Auth::Basic { user } => Some(self.basic_credentials(user)),
            Auth::None | Auth::Bearer | Auth::Header { .. } | Auth::Query { .. } | Auth::Body { .. } | Auth::StandardWebhooks => {
                None
            }
        };
        plain.chain(basic).map(Secret::new).collect()
    }

    /// An answer as it is kept: without this upstream's secrets, and without those of others that it tells (FirstPromoter's answers hold
    /// its promoters' tokens and passwords).
    pub(super) fn keepable(&self, answer: &str) -> String {
        let text = self.redact(answer);
        if !is_secret_name(&text) {
            return text;
        }
        match serde_json::from_str::<Value>(&text) {
            Ok(mut value) => {
                hide(&mut value);
                value.to_string()
            }
            // Cut off, or several documents: what is secret in it cannot be told from the rest.
            Err(_) => format!("(not kept: {} characters that name a secret and are not one JSON document)", text.chars().count()),
        }
    }
}

/// A secret as it stands in a text, in JSON and in a URL, each with and without the slashes escaped as some writers do.
fn spellings(secret: &str) -> Vec<String> {
    let json = Value::from(secret).to_string();
    let json = json.trim_matches('"').to_owned();
    let url = utf8_percent_encode(secret, NON_ALPHANUMERIC).to_string();
    let form = form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    let mut all = vec![secret.to_owned(), json.replace('/', "\\/"), json, url, form];
    all.dedup();
    all
}

impl Destination {
    /// A URL that holds nothing secret.
    ///
    /// # Errors
    /// Nothing can be sent to it.
    pub(super) fn new(url: &Url) -> Result<Self, String> {
        Ok(Self { url: Some(uri_of(url)?), shown: url.as_str().into() })
    }
}

/// As it may be shown.
impl fmt::Debug for Destination {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.shown)
    }
}

impl Rendered {
    /// The request without secrets, as it is kept and shown.
    pub fn shown(&self, upstream: &Upstream) -> String {
        let mut text = String::with_capacity(USUAL_BYTES + self.body().len());
        text.extend([self.method, " ", &self.to.shown, "\n", self.headers.shown()]);
        if let Some(body) = &self.body {
            text.push_str("Content-Type: application/json\n\n");
            match upstream.template.auth {
                Auth::Body { .. } => text.push_str(&upstream.redact(body)),
                Auth::None
                | Auth::Bearer
                | Auth::Basic { .. }
                | Auth::Header { .. }
                | Auth::Query { .. }
                | Auth::StandardWebhooks => text.push_str(body),
            }
        }
        text
    }

    /// The request as the template's cases write it: with its secrets.
    pub(super) fn whole(&self) -> String {
        let url = self.to.url.as_ref().map_or_else(|| self.to.shown.to_string(), ToString::to_string);
        let mut text = format!("{} {url}\n{}", self.method, self.headers.whole());
        if let Some(body) = &self.body {
            text.push_str(&format!("Content-Type: application/json\n\n{body}"));
        }
        text
    }

    /// The body.
    pub fn body(&self) -> &str {
        self.body.as_deref().unwrap_or_default()
    }

    /// The request for the wire.
    pub(super) fn into_request(self) -> Request {
        let headers = self.headers.wire();
        let body = self.body.map(|body| ("application/json", body));
        Request { method: self.method, url: self.to.url.unwrap_or_default(), body, headers }
    }
}

/// Leaves as many of the fields as the template says of which it needs one.
fn choose(fields: &mut Object<'_>, one_of: &OneOf) -> Result<(), RenderError> {
    let known: Vec<&String> = one_of.fields.iter().filter(|name| fields.has(name)).collect();
    if known.is_empty() {
        return Err(RenderError::NoneOf { fields: one_of.fields.join(", ") });
    }
    match one_of.send {
        Send::All => {}
        Send::First => known.iter().skip(1).for_each(|name| fields.take(name)),
    }
    Ok(())
}

fn is_secret_name(text: &str) -> bool {
    let text = text.to_lowercase();
    ["token", "password", "secret"].iter().any(|word| text.contains(word))
}

/// Takes the values of members out whose names speak of secrets.
fn hide(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (name, inner) in members.iter_mut() {
                if is_secret_name(name) && !inner.is_null() { *inner = REDACTED.into() } else { hide(inner) }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(hide),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// A number as the template writes it: the digits of an amount are a JSON number as they are.
fn number<'a>(digits: String, written_as: WrittenAs) -> Scalar<'a> {
    match written_as {
        WrittenAs::Number => Scalar::Other(Value::Number(serde_json::Number::from_string_unchecked(digits))),
        WrittenAs::String => Scalar::Text(digits.into()),
    }
}

fn written(fields: &Object<'_>) -> String {
    let mut text = Vec::with_capacity(USUAL_BYTES);
    serde_json::to_writer(&mut text, fields).expect("an object of texts and numbers");
    String::from_utf8(text).expect("JSON is UTF-8")
}
