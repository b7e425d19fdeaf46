//! Where signatures stand and how they are written. Values are only taken apart here, never judged.

use std::borrow::Cow;
use std::collections::BTreeMap;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};

use super::input::View;
use super::refusal::Refusal;
use super::spec::Encoding;
use crate::domain::{Request, Secret};
use crate::envelope::Path;

/// A longer text is not a signature.
const TEXT_LIMIT_BYTES: usize = 8 * 1024;
/// Nobody signs with more keys at once; more members would only cost us time.
const CANDIDATE_LIMIT: usize = 32;

const PADDING_OPTIONAL: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
/// Base64 as people copy it and as senders write it: with or without padding.
pub(super) const BASE64: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, PADDING_OPTIONAL);
const BASE64URL: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, PADDING_OPTIONAL);

/// A place in a request.
#[derive(Debug, Clone)]
pub(super) enum Spot {
    Header(String),
    Query(String),
    Form(String),
    Json(Path),
}

/// Where signatures stand and how they are written.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) spot: Spot,
    pub(super) grammar: Grammar,
    pub(super) encodings: Vec<Encoding>,
}

/// A checked [`super::spec::Format`].
#[derive(Debug, Clone)]
pub(super) enum Grammar {
    Plain { prefix: String, separator: Option<char> },
    Members { between: char, inside: char, labels: Vec<Label> },
    Positional { between: char, first: usize },
    Triples { between: char, inside: char, label: String },
}

/// The label of a signature: fixed, or a named secret.
#[derive(Debug, Clone)]
pub(super) enum Label {
    Text(String),
    Secret(String),
}

impl Label {
    pub(super) fn value<'a>(&'a self, named: &'a BTreeMap<String, Secret>) -> Option<&'a str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Secret(name) => named.get(name).map(Secret::expose),
        }
    }
}

impl Spot {
    /// What stands there; several where a header is repeated.
    pub(super) fn read<'a>(&'a self, view: View<'a>) -> Vec<Cow<'a, str>> {
        let request = view.input.request;
        match self {
            Self::Header(name) => request.headers.all(name).map(Cow::Borrowed).collect(),
            Self::Query(name) => request.query_value(name).into_iter().collect(),
            Self::Form(key) => view.form(key).map(Cow::Borrowed).into_iter().collect(),
            Self::Json(path) => view.json(path).into_iter().collect(),
        }
    }

    /// The place in words.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Header(name) => format!("the header {name}"),
            Self::Query(name) => format!("the query's {name}"),
            Self::Form(key) => format!("the form's field {key}"),
            Self::Json(path) => format!("the field {}", path.text()),
        }
    }

    /// The path into the body, where it is one.
    pub(super) fn path(&self) -> Option<&Path> {
        match self {
            Self::Json(path) => Some(path),
            Self::Header(_) | Self::Query(_) | Self::Form(_) => None,
        }
    }

    /// Writes a value there, in place of what stands there.
    pub(super) fn write(&self, request: &mut Request, value: &str) {
        match self {
            Self::Header(name) => request.headers.set(name, value),
            Self::Query(name) => {
                let query = request.query.take().unwrap_or_default();
                request.query = Some(with_pair(query.as_bytes(), name, value));
            }
            Self::Form(key) => request.body = with_pair(&request.body, key, value).into_bytes(),
            Self::Json(path) => {
                if let (Some(names), Ok(mut document)) = (path.plain_names(), serde_json::from_slice(&request.body)) {
                    put(&mut document, &names, value);
                    request.body = document.to_string().into_bytes();
                }
            }
        }
    }
}

impl Place {
    /// Every signature that the request carries, as written. Members that are not of the right form cannot match and are
    /// passed over, but something must be left.
    pub(super) fn texts(&self, view: View<'_>, named: &BTreeMap<String, Secret>) -> Result<Vec<String>, Refusal> {
        let mut found: Vec<String> = Vec::new();
        let mut is_present = false;
        for value in self.spot.read(view) {
            if value.len() > TEXT_LIMIT_BYTES {
                return Err(self.malformed("it is longer than any signature"));
            }
            is_present |= !value.trim().is_empty();
            found.extend(self.split(&value, named).filter(|text| !text.is_empty()).map(str::to_owned));
        }
        match found.len() {
            _ if !is_present => Err(Refusal::SignatureMissing { place: self.spot.describe() }),
            0 => Err(self.malformed("it holds no signature of the provider's form")),
            count if count > CANDIDATE_LIMIT => Err(self.malformed("it holds too many signatures")),
            _ => Ok(found),
        }
    }

    /// Every signature that the request carries, decoded.
    pub(super) fn candidates(&self, view: View<'_>, named: &BTreeMap<String, Secret>) -> Result<Vec<Vec<u8>>, Refusal> {
        let texts = self.texts(view, named)?;
        let found: Vec<Vec<u8>> = texts.iter().flat_map(|text| self.decode(text)).collect();
        if found.is_empty() { Err(self.malformed("it holds no signature of the provider's form")) } else { Ok(found) }
    }

    /// The text of the only member with this label, where the signature is a list of pairs.
    pub(super) fn member(&self, view: View<'_>, wanted: &str) -> Result<Option<String>, Refusal> {
        let Grammar::Members { between, inside, .. } = &self.grammar else { return Ok(None) };
        let mut found: Option<String> = None;
        for value in self.spot.read(view).iter().filter(|value| value.len() <= TEXT_LIMIT_BYTES) {
            for (_, text) in members(value, *between, *inside).filter(|(name, _)| *name == wanted) {
                if found.as_deref().is_some_and(|known| known != text) {
                    return Err(self.malformed("it holds two different timestamps"));
                }
                found = Some(text.to_owned());
            }
        }
        Ok(found)
    }

    /// The text of the member at this place, where the signature is a list by place.
    pub(super) fn positioned(&self, view: View<'_>, position: usize) -> Option<String> {
        let Grammar::Positional { between, .. } = &self.grammar else { return None };
        let values = self.spot.read(view);
        let [value] = values.as_slice() else { return None };
        if value.len() > TEXT_LIMIT_BYTES {
            return None;
        }
        value.split(*between).nth(position).map(|text| text.trim().to_owned())
    }

    /// A signature as it is written, with a timestamp beside it where it has one.
    pub(super) fn write(&self, signature: &str, timestamp: Option<(&str, &str)>, named: &BTreeMap<String, Secret>) -> String {
        match &self.grammar {
            Grammar::Plain { prefix, .. } => format!("{prefix}{signature}"),
            Grammar::Members { between, inside, labels } => {
                let label = labels.first().and_then(|label| label.value(named)).unwrap_or_default();
                let parts = timestamp.into_iter().chain([(label, signature)]);
                parts.map(|(name, value)| format!("{name}{inside}{value}")).collect::<Vec<_>>().join(&between.to_string())
            }
            Grammar::Positional { between, first } => {
                let mut members = vec![timestamp.map_or("", |(_, text)| text); *first];
                members.push(signature);
                members.join(&between.to_string())
            }
            Grammar::Triples { inside, label, .. } => format!("1{inside}{label}{inside}{signature}"),
        }
    }

    pub(super) fn encode(&self, signature: &[u8]) -> String {
        match self.encodings.first() {
            Some(Encoding::Base64) => base64::engine::general_purpose::STANDARD.encode(signature),
            Some(Encoding::Base64url) => base64::engine::general_purpose::URL_SAFE.encode(signature),
            Some(Encoding::Hex) | None => hex::encode(signature),
        }
    }

    fn split<'a>(&'a self, value: &'a str, named: &'a BTreeMap<String, Secret>) -> Box<dyn Iterator<Item = &'a str> + 'a> {
        match &self.grammar {
            Grammar::Plain { prefix, separator: None } => Box::new(std::iter::once(without(value.trim(), prefix))),
            Grammar::Plain { prefix, separator: Some(between) } => {
                Box::new(value.split(*between).map(|text| without(text.trim(), prefix)))
            }
            Grammar::Members { between, inside, labels } => {
                let is_wanted = |name: &str| labels.iter().any(|label| label.value(named) == Some(name));
                Box::new(members(value, *between, *inside).filter(move |(name, _)| is_wanted(name)).map(|(_, text)| text))
            }
            Grammar::Positional { between, first } => Box::new(value.split(*between).skip(*first).map(str::trim)),
            Grammar::Triples { between, inside, label } => Box::new(value.split(*between).filter_map(|member| {
                let mut parts = member.trim().splitn(3, *inside);
                let (_, middle, last) = (parts.next()?, parts.next()?, parts.next()?);
                middle.trim().eq_ignore_ascii_case(label).then_some(last.trim())
            })),
        }
    }

    fn decode<'a>(&'a self, text: &'a str) -> impl Iterator<Item = Vec<u8>> + 'a {
        self.encodings.iter().filter_map(move |encoding| match encoding {
            Encoding::Hex => {
                let mut bytes = vec![0; text.len() / 2];
                hex::decode_to_slice(text, &mut bytes).ok().map(|()| bytes)
            }
            Encoding::Base64 => BASE64.decode(text).ok(),
            Encoding::Base64url => BASE64URL.decode(text).ok(),
        })
    }

    fn malformed(&self, why: &'static str) -> Refusal {
        Refusal::SignatureMalformed { place: self.spot.describe(), why }
    }
}

/// A text without a prefix, in whichever case it is written.
fn without<'a>(text: &'a str, prefix: &str) -> &'a str {
    match text.get(..prefix.len()) {
        Some(start) if start.eq_ignore_ascii_case(prefix) => &text[prefix.len()..],
        Some(_) | None => text,
    }
}

/// The `label<inside>value` members of a text, trimmed.
fn members(value: &str, between: char, inside: char) -> impl Iterator<Item = (&str, &str)> {
    value.split(between).filter_map(move |member| member.split_once(inside)).map(|(name, text)| (name.trim(), text.trim()))
}

/// A form with this field at its end, and nowhere else.
fn with_pair(form: &[u8], key: &str, value: &str) -> String {
    let others = form_urlencoded::parse(form).filter(|(known, _)| known != key);
    let mut written = form_urlencoded::Serializer::new(String::new());
    written.extend_pairs(others);
    written.append_pair(key, value).finish()
}

fn put(document: &mut serde_json::Value, names: &[&str], value: &str) {
    let mut place = document;
    for name in names {
        let serde_json::Value::Object(object) = place else { return };
        place = object.entry(*name).or_insert(serde_json::Value::Null);
    }
    *place = value.into();
}
