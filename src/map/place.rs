//! Places inside a request and the values that stand there.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::Value;

use crate::domain::Request;
use crate::envelope::{Path, Shape, json, scalar};

/// A request that was opened, seen from one of its events.
#[derive(Debug, Clone, Copy)]
pub(super) struct Document<'a> {
    /// The event: the whole document, or one of those that `foreach` names.
    pub(super) event: &'a Value,
    /// The whole document.
    pub(super) root: &'a Value,
    /// The request around it.
    pub(super) request: &'a Request,
    /// What the source says about the currency.
    pub(super) currency: Option<&'a str>,
}

impl<'a> Document<'a> {
    /// The same with another event, which is the whole document where there is nothing around it.
    pub(super) fn with<'b>(self, event: &'b Value, is_all: bool) -> Document<'b>
    where
        'a: 'b,
    {
        Document { event, root: if is_all { event } else { self.root }, ..self }
    }
}

/// A compiled place.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) text: Arc<str>,
    kind: Kind,
}

#[derive(Debug, Clone)]
enum Kind {
    Event(Path),
    Root(Path),
    Header(String),
    Query(String),
    Constant(String),
    SourceCurrency,
    /// Values put together, with text between them.
    Joined(Vec<Piece>),
    /// One entry of a text that holds several.
    Packed(Box<Place>, String),
}

#[derive(Debug, Clone)]
enum Piece {
    Text(String),
    Place(Place, Escape),
}

/// How a value is written into a joined text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Escape {
    /// As it is.
    None,
    /// Slashes stay; only for paths of URLs.
    Path,
}

/// What a place looks at, for those who must know whether it is signed or part of a retry.
#[derive(Debug, Clone, Copy)]
pub(super) enum Leaf<'a> {
    Event(&'a Path),
    Root(&'a Path),
    Header(&'a str),
    Query(&'a str),
}

impl Place {
    /// Compiles a place as a pack writes it (providers/README.md, "Places").
    pub(super) fn new(text: &str) -> Result<Self, String> {
        Ok(Self { text: text.into(), kind: kind(text)? })
    }

    /// Compiles text with places in braces, which may be none.
    pub(super) fn joined(text: &str) -> Result<Self, String> {
        Ok(Self { text: text.into(), kind: Kind::Joined(pieces(text)?) })
    }

    /// The first value that stands here, as text.
    pub(super) fn read<'a>(&'a self, document: Document<'a>) -> Option<Cow<'a, str>> {
        let present = |value: Cow<'a, str>| Some(value).filter(|value| !value.trim().is_empty());
        match &self.kind {
            Kind::Event(path) => path.scalar(document.event),
            Kind::Root(path) => path.scalar(document.root),
            Kind::Header(name) => document.request.headers.one(name).map(Cow::Borrowed).and_then(present),
            Kind::Query(name) => document.request.query_value(name).and_then(present),
            Kind::Constant(text) => Some(Cow::Borrowed(text)),
            Kind::SourceCurrency => document.currency.map(Cow::Borrowed),
            Kind::Joined(pieces) => joined(pieces, document, |value, _| Some(value.to_owned())).map(Cow::Owned),
            Kind::Packed(place, name) => entry(&place.read(document)?, name).map(Cow::Owned),
        }
    }

    /// All values that stand here, as text.
    pub(super) fn read_all<'a>(&'a self, document: Document<'a>) -> Vec<Cow<'a, str>> {
        match &self.kind {
            Kind::Event(path) => path.all(document.event).into_iter().filter_map(scalar).collect(),
            Kind::Root(path) => path.all(document.root).into_iter().filter_map(scalar).collect(),
            Kind::Header(_) | Kind::Query(_) | Kind::Constant(_) | Kind::SourceCurrency | Kind::Joined(_) | Kind::Packed(..) => {
                self.read(document).into_iter().collect()
            }
        }
    }

    /// The value as part of a URL: everything but letters, digits and `-._~` is percent-encoded.
    pub(super) fn read_for_url(&self, document: Document<'_>) -> Option<String> {
        let Kind::Joined(pieces) = &self.kind else { return self.read(document).and_then(|value| segment(&value)) };
        joined(pieces, document, |value, escape| match escape {
            Escape::None => segment(value),
            Escape::Path => is_plain_path(value).then(|| value.to_owned()),
        })
    }

    /// Everything it looks at.
    pub(super) fn leaves(&self) -> Vec<Leaf<'_>> {
        match &self.kind {
            Kind::Event(path) => vec![Leaf::Event(path)],
            Kind::Root(path) => vec![Leaf::Root(path)],
            Kind::Header(name) => vec![Leaf::Header(name)],
            Kind::Query(name) => vec![Leaf::Query(name)],
            Kind::Constant(_) | Kind::SourceCurrency => vec![],
            Kind::Joined(pieces) => pieces
                .iter()
                .flat_map(|piece| match piece {
                    Piece::Text(_) => vec![],
                    Piece::Place(place, _) => place.leaves(),
                })
                .collect(),
            Kind::Packed(place, _) => place.leaves(),
        }
    }

    /// True where the source must say the currency.
    pub(super) fn needs_source_currency(&self) -> bool {
        matches!(self.kind, Kind::SourceCurrency)
    }
}

/// No id of an API is longer.
const URL_VALUE_LIMIT_BYTES: usize = 255;
/// What needs no encoding in a URL (RFC 3986, section 2.3).
const UNRESERVED: &percent_encoding::AsciiSet =
    &percent_encoding::NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A part of a path that leads nowhere but down.
fn is_plain_path(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_~./".contains(&byte);
    let is_short = text.len() <= URL_VALUE_LIMIT_BYTES;
    is_short && !text.contains("//") && !text.split('/').any(is_dots) && text.bytes().all(is_plain)
}

/// A value as one segment of a path, or as a value of a query: what would be read as another path is refused.
fn segment(value: &str) -> Option<String> {
    let value = value.trim();
    let is_usable = !is_dots(value) && value.len() <= URL_VALUE_LIMIT_BYTES;
    is_usable.then(|| percent_encoding::utf8_percent_encode(value, UNRESERVED).to_string())
}

/// Segments that lead up or nowhere, once a URL is read.
fn is_dots(segment: &str) -> bool {
    matches!(segment, "." | "..")
}

fn kind(text: &str) -> Result<Kind, String> {
    let named = |name: &str, what: &str| if name.is_empty() { Err(format!("{what}: needs a name")) } else { Ok(name.to_owned()) };
    if let Some(name) = text.strip_prefix("header:") {
        return named(name, "header").map(|name| Kind::Header(name.to_ascii_lowercase()));
    }
    if let Some(name) = text.strip_prefix("query:") {
        return named(name, "query").map(Kind::Query);
    }
    if let Some(constant) = text.strip_prefix('=') {
        return named(constant, "=").map(Kind::Constant);
    }
    if text == "source:currency" {
        return Ok(Kind::SourceCurrency);
    }
    match Path::parse(text.strip_prefix("root:").unwrap_or(text)) {
        Ok(path) if text.starts_with("root:") => Ok(Kind::Root(path)),
        Ok(path) => Ok(Kind::Event(path)),
        Err(cause) => match text.rsplit_once('#') {
            Some((place, name)) if !name.is_empty() => Ok(Kind::Packed(Box::new(Place::new(place)?), name.to_owned())),
            Some(_) | None if text.contains('{') => pieces(text).map(Kind::Joined),
            Some(_) | None => Err(cause),
        },
    }
}

fn pieces(text: &str) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        if !before.is_empty() {
            pieces.push(Piece::Text(before.to_owned()));
        }
        let (place, after) = after.split_once('}').ok_or("a { is never closed")?;
        let (place, escape) = place.strip_suffix("|path").map_or((place, Escape::None), |place| (place, Escape::Path));
        pieces.push(Piece::Place(Place::new(place)?, escape));
        rest = after;
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest.to_owned()));
    }
    Ok(pieces)
}

/// The pieces one after the other; nothing where one of them holds no value.
fn joined(pieces: &[Piece], document: Document<'_>, write: impl Fn(&str, Escape) -> Option<String>) -> Option<String> {
    let mut text = String::new();
    for piece in pieces {
        match piece {
            Piece::Text(part) => text.push_str(part),
            Piece::Place(place, escape) => text.push_str(&write(&place.read(document)?, *escape)?),
        }
    }
    Some(text)
}

/// One entry of a text that holds several: a JSON object, or `name=value` pairs with `&`, `;`, `,` or `|` between them.
fn entry(text: &str, name: &str) -> Option<String> {
    let text = text.trim();
    if text.starts_with('{') {
        let object = json(text, &Shape::whole()).ok()?;
        return scalar(object.get(name)?).map(Cow::into_owned);
    }
    let pairs = text.split(['&', ';', ',', '|']).filter_map(|pair| pair.split_once('='));
    let found = pairs.map(|(known, value)| (known.trim(), value.trim())).find(|(known, _)| *known == name);
    let value = percent_encoding::percent_decode_str(found?.1).decode_utf8().ok()?;
    (!value.trim().is_empty()).then(|| value.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(place: &str, body: &str) -> Option<String> {
        let body = serde_json::from_str(body).expect("JSON");
        let request = Request {
            source: "x".to_owned(),
            headers: crate::domain::Headers::default(),
            body: Vec::new(),
            query: Some("clickId=c%2B1&twice=1&twice=2".to_owned()),
            url: None,
            path_token: None,
            peer: None,
            received_at: jiff::Timestamp::UNIX_EPOCH,
        };
        let document = Document { event: &body, root: &body, request: &request, currency: Some("EUR") };
        Place::new(place).expect("a place").read(document).map(Cow::into_owned)
    }

    #[test]
    fn numbers_keep_their_digits() {
        assert_eq!(read("$.id", r#"{"id":820982911946154508123456789}"#).as_deref(), Some("820982911946154508123456789"));
        assert_eq!(read("$.a", r#"{"a":19.90}"#).as_deref(), Some("19.90"));
    }

    #[test]
    fn filters_find_entries_of_lists() {
        let body = r#"{"note_attributes":[{"name":"x","value":"1"},{"name":"clickId","value":"c-1"}]}"#;
        assert_eq!(read("$.note_attributes[?@.name=='clickId'].value", body).as_deref(), Some("c-1"));
    }

    #[test]
    fn what_holds_no_value_is_nothing() {
        for body in [r#"{"a":null}"#, r#"{"a":""}"#, r#"{"a":"  "}"#, r#"{"a":[]}"#, r#"{"a":{}}"#, "{}", "[]", "3"] {
            assert_eq!(read("$.a", body), None, "{body}");
            assert_eq!(read("$.a.b['c']", body), None, "{body}");
        }
    }

    #[test]
    fn every_kind_of_place_is_read() {
        let body = r#"{"a":"x","b":2,"packed":"clickId=c%2D1&u=user 1","json":"{\"u\":7}","bad":"{\"u\""}"#;
        for (place, wanted) in [
            ("=INR", Some("INR")),
            ("source:currency", Some("EUR")),
            ("query:clickId", Some("c+1")),
            ("query:twice", None),
            ("root:$.a", Some("x")),
            ("{$.a}:{$.b}", Some("x:2")),
            ("{$.a}:{$.gone}", None),
            ("$.packed#clickId", Some("c-1")),
            ("$.packed#u", Some("user 1")),
            ("$.json#u", Some("7")),
            ("$.bad#u", None),
            ("$.a#u", None),
        ] {
            assert_eq!(read(place, body).as_deref(), wanted, "{place}");
        }
        for place in ["a.b", "header:", "query:", "=", "{$.a", "{a}", "$.a#", "root:x", ""] {
            assert!(Place::new(place).is_err(), "{place}");
        }
    }
}
