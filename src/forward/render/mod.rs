//! A sale, or money of it that went back, as the upstream wants to be told: a whole HTTP request.

mod value;

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value};
use url::Url;

use super::sign;
use super::template::{Auth, Field, Find, OneOf, Send, Text, WrittenAs};
use super::upstream::{Upstream, joined};
use crate::domain::{Outgoing, Secret, Timestamp};
use crate::outbound::{Request, Uri, uri_of};

/// What stays as it is in a path: RFC 3986's unreserved characters.
const IN_PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
/// What is shown of a request beside its body is rarely longer.
const SHOWN_BYTES: usize = 256;
/// What stands where a secret stood.
const REDACTED: &str = "[redacted]";

/// A whole request.
#[derive(Debug, Clone)]
pub struct Rendered {
    method: &'static str,
    to: Destination,
    headers: Vec<Header>,
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

#[derive(Debug, Clone)]
struct Header {
    name: String,
    value: Secret,
    is_secret: bool,
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
        let mut fields = Map::with_capacity(spec.body.len() + 1);
        for field in &spec.body {
            if let Some(value) = self.field(field, outgoing, now)? {
                put(&mut fields, &field.name, value);
            }
        }
        spec.one_of.iter().try_for_each(|one_of| choose(&mut fields, one_of))?;
        self.in_one_currency(outgoing)?;
        if let Auth::Body { name } = &self.template.auth {
            put(&mut fields, name, self.token.expose().into());
        }
        let body = (!fields.is_empty()).then(|| serde_json::to_string(&fields).expect("an object of texts and numbers"));
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

    fn field(&self, field: &Field, outgoing: &Outgoing, now: Timestamp) -> Result<Option<Value>, RenderError> {
        let found = match (&field.value, &field.literal, &field.setting) {
            (Some(value), _, _) => self.value(*value, field, outgoing, now)?,
            (None, Some(literal), _) => value::literal(literal),
            (None, None, Some(setting)) => self.settings.get(setting).map(|text| text.as_str().into()),
            (None, None, None) => None,
        };
        let fitting = match found {
            Some(Value::String(text)) => value::fit(field, text)?.map(Value::String),
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

    fn headers(&self, outgoing: &Outgoing, now: Timestamp, body: &str) -> Result<Vec<Header>, RenderError> {
        let open = |name: &str, value: &str| Header { name: name.to_owned(), value: Secret::new(value), is_secret: false };
        let secret = |name: &str, value: String| Header { name: name.to_owned(), value: Secret::new(value), is_secret: true };
        let token = self.token.expose();
        let mut headers = vec![open("Accept", "application/json")];
        match &self.template.auth {
            Auth::Bearer => headers.push(secret("Authorization", format!("Bearer {token}"))),
            Auth::Basic { user } => {
                headers.push(secret("Authorization", format!("Basic {}", self.basic_credentials(user))));
            }
            Auth::Header { name } => headers.push(secret(name, token.to_owned())),
            Auth::StandardWebhooks => {
                let missing = || RenderError::Missing { field: "webhook-id".to_owned(), value: "invoice_id".to_owned() };
                let id = outgoing.id().ok_or_else(missing)?;
                let [id, at, (signature, value)] = sign::headers(&self.signing_keys, &id, now, body);
                headers.extend([id, at].iter().map(|(name, value)| open(name, value)));
                headers.push(secret(signature, value));
            }
            Auth::None | Auth::Query { .. } | Auth::Body { .. } => {}
        }
        for (name, text) in &self.template.headers {
            match text {
                Text::Literal(text) => headers.push(open(name, text)),
                Text::Setting { setting } => {
                    if let Some(value) = self.settings.get(setting) {
                        headers.push(open(name, value));
                    }
                }
                Text::Value { value } => {
                    if let Some(value) = self.named(&value.name(), outgoing, now)? {
                        headers.push(open(name, &value));
                    }
                }
            }
        }
        Ok(headers)
    }

    /// User and password as RFC 7617 writes them; `user` is the setting that is the user.
    fn basic_credentials(&self, user: &str) -> String {
        let user = self.settings.get(user).map_or("", String::as_str);
        STANDARD.encode(format!("{user}:{}", self.token.expose()))
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
        let mut text = String::with_capacity(SHOWN_BYTES + self.body().len());
        text.extend([self.method, " ", &self.to.shown, "\n"]);
        for header in &self.headers {
            let value = if header.is_secret { REDACTED } else { header.value.expose() };
            text.extend([&*header.name, ": ", value, "\n"]);
        }
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
        let mut text = format!("{} {url}\n", self.method);
        for header in &self.headers {
            text.push_str(&format!("{}: {}\n", header.name, header.value.expose()));
        }
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
        let headers = self.headers.into_iter().map(|header| (header.name, header.value)).collect();
        let body = self.body.map(|body| ("application/json", body));
        Request { method: self.method, url: self.to.url.unwrap_or_default(), body, headers }
    }
}

/// Puts a value at a name in which dots lead into objects.
fn put(fields: &mut Map<String, Value>, name: &str, value: Value) {
    match name.split_once('.') {
        None => drop(fields.insert(name.to_owned(), value)),
        Some((outer, inner)) => {
            let inside = fields.entry(outer).or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(inside) = inside {
                put(inside, inner, value);
            }
        }
    }
}

fn choose(fields: &mut Map<String, Value>, one_of: &OneOf) -> Result<(), RenderError> {
    let pointer = |name: &str| format!("/{}", name.replace('.', "/"));
    let whole = Value::Object(std::mem::take(fields));
    let known: Vec<&String> = one_of.fields.iter().filter(|name| whole.pointer(&pointer(name)).is_some()).collect();
    let surplus: Vec<String> = match one_of.send {
        Send::All => Vec::new(),
        Send::First => known.iter().skip(1).map(|name| (*name).clone()).collect(),
    };
    let is_none = known.is_empty();
    if let Value::Object(map) = whole {
        *fields = map;
    }
    surplus.iter().for_each(|name| take(fields, name));
    if is_none {
        return Err(RenderError::NoneOf { fields: one_of.fields.join(", ") });
    }
    Ok(())
}

fn take(fields: &mut Map<String, Value>, name: &str) {
    match name.split_once('.') {
        None => drop(fields.shift_remove(name)),
        Some((outer, inner)) => {
            if let Some(Value::Object(inside)) = fields.get_mut(outer) {
                take(inside, inner);
            }
        }
    }
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
fn number(digits: String, written_as: WrittenAs) -> Value {
    match written_as {
        WrittenAs::Number => Value::Number(serde_json::Number::from_string_unchecked(digits)),
        WrittenAs::String => digits.into(),
    }
}
