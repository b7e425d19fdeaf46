//! What is signed, as a template: literal text and tokens, of which the request and the secrets give the values.

use std::borrow::Cow;
use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

use super::canonical;
use super::fields::Fields;
use super::input::View;
use super::refusal::Refusal;
use super::scheme::is_header_name;
#[cfg(test)]
use super::signature::Spot;
use crate::domain::{Currency, Money, Secret, Timestamp, decimal_to_minor};
use crate::envelope::Path;

/// A compiled template.
#[derive(Debug, Clone)]
pub(crate) struct Template(Vec<Piece>);

#[derive(Debug, Clone)]
enum Piece {
    Literal(String),
    Token(Token),
    /// Left out whole where one of its tokens is empty or missing.
    Vanishing(Vec<Piece>),
}

#[derive(Debug, Clone)]
pub(super) struct Token {
    pub(super) what: What,
    may_be_missing: bool,
    filter: Option<Filter>,
}

#[derive(Debug, Clone)]
pub(super) enum What {
    Body,
    BodySha256,
    BodyMinifiedSha256,
    BodyCrc32,
    BodySorted,
    Timestamp,
    Header(String),
    Query(String),
    Form(String),
    Json(Path),
    Url,
    UrlPath,
    PathToken,
    Secret(Option<String>),
    Fields,
    Salt,
    Now(String),
    Hmac,
}

#[derive(Debug, Clone)]
enum Filter {
    Lower,
    Upper,
    Length,
    Decimals(Path),
}

/// The values that do not stand in the request.
#[derive(Clone, Copy)]
pub(super) struct Values<'a> {
    pub(super) named: &'a BTreeMap<String, Secret>,
    pub(super) secret: Option<&'a Secret>,
    pub(super) timestamp: Option<&'a str>,
    pub(super) fields: Option<&'a Fields>,
    pub(super) salt: Option<&'a str>,
    pub(super) now: Option<Timestamp>,
    pub(super) hmac: Option<&'a str>,
}

impl Template {
    /// Takes `{timestamp}.{body}` apart.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut rest = text;
        let pieces = pieces(&mut rest, false)?;
        Ok(Self(pieces))
    }

    /// The tokens, those of vanishing parts included.
    pub(super) fn tokens(&self) -> Vec<&Token> {
        let mut found = Vec::new();
        collect(&self.0, &mut found);
        found
    }

    /// The tokens without which the template cannot be written: neither inside vanishing parts nor allowed to be missing.
    pub(super) fn firm_tokens(&self) -> impl Iterator<Item = &Token> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Token(token) if !token.may_be_missing => Some(token),
            Piece::Token(_) | Piece::Literal(_) | Piece::Vanishing(_) => None,
        })
    }

    /// True where this header stands alone, between literal text or the ends, so that nothing of it can be moved to a neighbour.
    pub(super) fn isolates_header(&self, name: &str) -> bool {
        let is_literal = |piece: Option<&Piece>| piece.is_none_or(|piece| matches!(piece, Piece::Literal(_)));
        self.0.iter().enumerate().any(|(index, piece)| match piece {
            Piece::Token(Token { what: What::Header(known), may_be_missing: false, filter: None }) => {
                let before = if index == 0 { None } else { self.0.get(index - 1) };
                known.eq_ignore_ascii_case(name) && is_literal(before) && is_literal(self.0.get(index + 1))
            }
            Piece::Token(_) | Piece::Literal(_) | Piece::Vanishing(_) => false,
        })
    }

    /// The bytes that the template stands for, piece by piece.
    pub(super) fn render<'a>(&'a self, view: View<'a>, values: Values<'a>) -> Result<Vec<Cow<'a, [u8]>>, Refusal> {
        let mut parts = Vec::with_capacity(self.0.len());
        for piece in &self.0 {
            match piece {
                Piece::Literal(text) => parts.push(Cow::Borrowed(text.as_bytes())),
                Piece::Token(token) => parts.push(token.render(view, values)?),
                Piece::Vanishing(inner) => parts.extend(vanishing(inner, view, values)),
            }
        }
        Ok(parts)
    }

    /// As one text, for replies.
    pub(super) fn render_text(&self, view: View<'_>, values: Values<'_>) -> Result<String, Refusal> {
        let bytes = self.render(view, values)?.concat();
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The template in words, for people.
    pub(super) fn describe(&self) -> String {
        self.0.iter().map(Piece::describe).collect()
    }
}

fn collect<'a>(pieces: &'a [Piece], found: &mut Vec<&'a Token>) {
    for piece in pieces {
        match piece {
            Piece::Literal(_) => {}
            Piece::Token(token) => found.push(token),
            Piece::Vanishing(inner) => collect(inner, found),
        }
    }
}

/// The parts of a vanishing piece, or none where a token is missing or empty.
fn vanishing<'a>(pieces: &'a [Piece], view: View<'a>, values: Values<'a>) -> Vec<Cow<'a, [u8]>> {
    let render = |piece: &'a Piece| match piece {
        Piece::Literal(text) => Some(Cow::Borrowed(text.as_bytes())),
        Piece::Token(token) => token.render(view, values).ok().filter(|bytes| !bytes.is_empty()),
        Piece::Vanishing(_) => None,
    };
    pieces.iter().map(render).collect::<Option<Vec<_>>>().unwrap_or_default()
}

impl Piece {
    fn describe(&self) -> String {
        match self {
            Self::Literal(text) => text.clone(),
            Self::Token(token) => format!("{{{}}}", token.describe()),
            Self::Vanishing(inner) => format!("[{}]", inner.iter().map(Self::describe).collect::<String>()),
        }
    }
}

impl Token {
    fn render<'a>(&'a self, view: View<'a>, values: Values<'a>) -> Result<Cow<'a, [u8]>, Refusal> {
        let found = match self.what.value(view, values) {
            Some(value) => value,
            None if self.may_be_missing => Cow::Borrowed(b"".as_slice()),
            None => return Err(Refusal::PartMissing { part: self.what.describe() }),
        };
        match &self.filter {
            None => Ok(found),
            Some(filter) => filter
                .apply(&found, view)
                .map(|text| Cow::Owned(text.into_bytes()))
                .ok_or_else(|| Refusal::PartMissing { part: format!("{} in the form that is signed", self.what.describe()) }),
        }
    }

    fn describe(&self) -> String {
        let filter = match &self.filter {
            None => String::new(),
            Some(Filter::Lower) => "|lower".to_owned(),
            Some(Filter::Upper) => "|upper".to_owned(),
            Some(Filter::Length) => "|length".to_owned(),
            Some(Filter::Decimals(path)) => format!("|decimals:{}", path.text()),
        };
        format!("{}{}{filter}", self.what.token(), if self.may_be_missing { "?" } else { "" })
    }
}

impl What {
    fn value<'a>(&'a self, view: View<'a>, values: Values<'a>) -> Option<Cow<'a, [u8]>> {
        let request = view.input.request;
        let text = |text: Cow<'a, str>| match text {
            Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
            Cow::Owned(text) => Cow::Owned(text.into_bytes()),
        };
        let borrowed = |text: &'a str| Cow::Borrowed(text.as_bytes());
        let owned = |text: String| Cow::Owned(text.into_bytes());
        match self {
            Self::Body => Some(Cow::Borrowed(&request.body)),
            Self::BodySha256 => Some(owned(hex::encode(Sha256::digest(&request.body)))),
            Self::BodyMinifiedSha256 => Some(owned(hex::encode(Sha256::digest(canonical::minified(&request.body))))),
            Self::BodyCrc32 => Some(owned(crc32fast::hash(&request.body).to_string())),
            Self::BodySorted => canonical::sorted(&request.body).map(owned),
            Self::Timestamp => values.timestamp.map(borrowed),
            Self::Header(name) => request.headers.one(name).map(borrowed),
            Self::Query(name) => request.query_value(name).map(text),
            Self::Form(key) => view.form(key).map(borrowed),
            Self::Json(path) => view.json(path).map(text),
            Self::Url => request.url.as_deref().map(borrowed),
            Self::UrlPath => request.url.as_deref().and_then(url_path).map(borrowed),
            Self::PathToken => request.path_token.as_ref().map(|token| borrowed(token.expose())),
            Self::Secret(None) => values.secret.map(|secret| borrowed(secret.expose())),
            Self::Secret(Some(name)) => values.named.get(name).map(|secret| borrowed(secret.expose())),
            Self::Fields => values.fields.and_then(|fields| fields.write(view)).map(Cow::Owned),
            Self::Salt => values.salt.map(borrowed),
            Self::Now(format) => values.now.and_then(|now| jiff::fmt::strtime::format(format, now).ok()).map(owned),
            Self::Hmac => values.hmac.map(borrowed),
        }
    }

    /// The token as it is written.
    fn token(&self) -> String {
        match self {
            Self::Body => "body".to_owned(),
            Self::BodySha256 => "body:sha256".to_owned(),
            Self::BodyMinifiedSha256 => "body:minified-sha256".to_owned(),
            Self::BodyCrc32 => "body:crc32".to_owned(),
            Self::BodySorted => "body:sorted".to_owned(),
            Self::Timestamp => "timestamp".to_owned(),
            Self::Header(name) => format!("header:{name}"),
            Self::Query(name) => format!("query:{name}"),
            Self::Form(key) => format!("form:{key}"),
            Self::Json(path) => format!("json:{}", path.text()),
            Self::Url => "url".to_owned(),
            Self::UrlPath => "path".to_owned(),
            Self::PathToken => "path_token".to_owned(),
            Self::Secret(None) => "secret".to_owned(),
            Self::Secret(Some(name)) => format!("secret:{name}"),
            Self::Fields => "fields".to_owned(),
            Self::Salt => "salt".to_owned(),
            Self::Now(format) => format!("now:{format}"),
            Self::Hmac => "hmac".to_owned(),
        }
    }

    /// What it is, in words.
    fn describe(&self) -> String {
        match self {
            Self::Timestamp => "the timestamp".to_owned(),
            Self::Url | Self::UrlPath => "the URL".to_owned(),
            Self::Header(name) => format!("the header {name}"),
            Self::Query(name) => format!("the query's {name}"),
            Self::Form(key) => format!("the form's field {key}"),
            Self::Json(path) => format!("the field {}", path.text()),
            Self::Fields => "a body whose fields can be read".to_owned(),
            Self::BodySorted => "a body of JSON".to_owned(),
            Self::Body
            | Self::BodySha256
            | Self::BodyMinifiedSha256
            | Self::BodyCrc32
            | Self::PathToken
            | Self::Secret(_)
            | Self::Salt
            | Self::Now(_)
            | Self::Hmac => self.token(),
        }
    }

    /// The path in the opened body at which it stands, as it is written in a pack.
    pub(super) fn body_path(&self) -> Option<String> {
        if let Self::Json(path) = self {
            return Some(path.text().to_string());
        }
        if let Self::Form(key) = self { Some(format!("$.{key}")) } else { None }
    }

    /// The place in the request at which it stands, where it is one.
    #[cfg(test)]
    pub(super) fn spot(&self) -> Option<Spot> {
        if let Self::Header(name) = self {
            return Some(Spot::Header(name.clone()));
        }
        if let Self::Query(name) = self {
            return Some(Spot::Query(name.clone()));
        }
        if let Self::Form(key) = self {
            return Some(Spot::Form(key.clone()));
        }
        if let Self::Json(path) = self { Some(Spot::Json(path.clone())) } else { None }
    }

    /// True where it stands for all of the body.
    pub(super) fn is_body(&self) -> bool {
        matches!(
            self,
            Self::Body | Self::BodySha256 | Self::BodyMinifiedSha256 | Self::BodyCrc32 | Self::BodySorted | Self::Fields
        )
    }

    fn parse(text: &str) -> Result<Self, String> {
        let (name, rest) = text.split_once(':').map_or((text, None), |(name, rest)| (name, Some(rest)));
        match (name, rest) {
            ("body", None) => Ok(Self::Body),
            ("body", Some("sha256")) => Ok(Self::BodySha256),
            ("body", Some("minified-sha256")) => Ok(Self::BodyMinifiedSha256),
            ("body", Some("crc32")) => Ok(Self::BodyCrc32),
            ("body", Some("sorted")) => Ok(Self::BodySorted),
            ("timestamp", None) => Ok(Self::Timestamp),
            ("header", Some(name)) if is_header_name(name) => Ok(Self::Header(name.to_ascii_lowercase())),
            ("query", Some(name)) if !name.is_empty() => Ok(Self::Query(name.to_owned())),
            ("form", Some(key)) if !key.is_empty() => Ok(Self::Form(key.to_owned())),
            ("json", Some(path)) => Path::parse(path).map(Self::Json),
            ("url", None) => Ok(Self::Url),
            ("path", None) => Ok(Self::UrlPath),
            ("path_token", None) => Ok(Self::PathToken),
            ("secret", None) => Ok(Self::Secret(None)),
            ("secret", Some(name)) if !name.is_empty() => Ok(Self::Secret(Some(name.to_owned()))),
            ("fields", None) => Ok(Self::Fields),
            ("salt", None) => Ok(Self::Salt),
            ("now", Some(format)) if jiff::fmt::strtime::format(format, Timestamp::UNIX_EPOCH).is_ok() => {
                Ok(Self::Now(format.to_owned()))
            }
            ("hmac", None) => Ok(Self::Hmac),
            _ => Err(format!("{{{text}}} is unknown; the tokens are in providers/README.md")),
        }
    }
}

impl Filter {
    fn apply(&self, value: &[u8], view: View<'_>) -> Option<String> {
        let text = std::str::from_utf8(value).ok()?;
        match self {
            Self::Lower => Some(text.to_lowercase()),
            Self::Upper => Some(text.to_uppercase()),
            Self::Length => Some(format!("{}{text}", text.len())),
            Self::Decimals(path) => {
                let currency = Currency::from_code(&view.json_value(path)?)?;
                let minor = decimal_to_minor(text, currency.exponent()).ok()?;
                Some(Money { minor, currency }.to_major())
            }
        }
    }
}

fn pieces(rest: &mut &str, is_inside: bool) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut literal = String::new();
    while let Some(next) = rest.chars().next() {
        let doubled = rest[next.len_utf8()..].starts_with(next);
        match next {
            '{' | '}' | '[' | ']' if doubled => {
                literal.push(next);
                *rest = &rest[2..];
                continue;
            }
            '{' => {
                let (token, tail) = rest[1..].split_once('}').ok_or("a { is never closed")?;
                flush(&mut literal, &mut pieces);
                pieces.push(Piece::Token(parse_token(token)?));
                *rest = tail;
            }
            '[' if is_inside => return Err("a [ inside [ … ]".to_owned()),
            '[' => {
                *rest = &rest[1..];
                flush(&mut literal, &mut pieces);
                let inner = self::pieces(rest, true)?;
                if !inner.iter().any(|piece| matches!(piece, Piece::Token(_))) {
                    return Err(
                        "a [ … ] without a token would always vanish; written twice, a bracket stands for itself".to_owned()
                    );
                }
                pieces.push(Piece::Vanishing(inner));
            }
            ']' if is_inside => {
                *rest = &rest[1..];
                flush(&mut literal, &mut pieces);
                return Ok(pieces);
            }
            '}' | ']' => return Err(format!("a {next} without its beginning; written twice it stands for itself")),
            _ => {
                literal.push(next);
                *rest = &rest[next.len_utf8()..];
            }
        }
    }
    if is_inside {
        return Err("a [ is never closed".to_owned());
    }
    flush(&mut literal, &mut pieces);
    Ok(pieces)
}

fn flush(literal: &mut String, pieces: &mut Vec<Piece>) {
    if !literal.is_empty() {
        pieces.push(Piece::Literal(std::mem::take(literal)));
    }
}

fn parse_token(text: &str) -> Result<Token, String> {
    let (text, filter) = match text.rsplit_once('|') {
        Some((text, "lower")) => (text, Some(Filter::Lower)),
        Some((text, "upper")) => (text, Some(Filter::Upper)),
        Some((text, "length")) => (text, Some(Filter::Length)),
        Some((inner, filter)) => match filter.strip_prefix("decimals:") {
            Some(path) => (inner, Some(Filter::Decimals(Path::parse(path)?))),
            None => (text, None),
        },
        None => (text, None),
    };
    let (text, may_be_missing) = text.strip_suffix('?').map_or((text, false), |text| (text, true));
    Ok(Token { what: What::parse(text)?, may_be_missing, filter })
}

impl Token {
    /// The paths into the body that it looks at.
    pub(super) fn paths(&self) -> impl Iterator<Item = &Path> {
        let own = if let What::Json(path) = &self.what { Some(path) } else { None };
        let filter = if let Some(Filter::Decimals(path)) = &self.filter { Some(path) } else { None };
        own.into_iter().chain(filter)
    }
}

/// The path of a URL, without its query.
fn url_path(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    let path = rest.find('/').map_or("/", |at| &rest[at..]);
    Some(path.split(['?', '#']).next().unwrap_or(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_says_what_is_wrong_with_it() {
        for text in ["{body", "body}", "{nonsense}", "[{body}", "x]", "[a[b]]", "{json:a.b}", "{header:}", "{now:%"] {
            assert!(Template::parse(text).is_err(), "{text}");
        }
        let text = "a{{b}}[[c]][id:{query:data.id|lower};]{json:$.a?}{json:$.x|decimals:$.y}{body}";
        assert_eq!(
            Template::parse(text).expect("a template").describe(),
            "a{b}[c][id:{query:data.id|lower};]{json:$.a?}{json:$.x|decimals:$.y}{body}"
        );
    }

    #[test]
    fn the_path_of_a_url_is_what_lies_between_host_and_query() {
        assert_eq!(url_path("https://x.example.com/a/b?c=d"), Some("/a/b"));
        assert_eq!(url_path("https://x.example.com"), Some("/"));
    }
}
