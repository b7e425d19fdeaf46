//! The tokens of templates: what each stands for in a request and among a source's secrets.

use std::borrow::Cow;

use sha2::{Digest as _, Sha256};

use super::canonical;
use super::input::View;
use super::refusal::Refusal;
use super::scheme::is_header_name;
#[cfg(test)]
use super::signature::Spot;
use super::template::Values;
use crate::domain::{Currency, Money, Timestamp, decimal_to_minor};
use crate::envelope::Path;

/// A token with what is done to its value.
#[derive(Debug, Clone)]
pub(super) struct Token {
    pub(super) what: What,
    pub(super) may_be_missing: bool,
    pub(super) filter: Option<Filter>,
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
pub(super) enum Filter {
    Lower,
    Upper,
    Length,
    Decimals(Path),
}

impl Token {
    pub(super) fn render<'a>(&'a self, view: View<'a>, values: Values<'a>) -> Result<Cow<'a, [u8]>, Refusal> {
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

    pub(super) fn describe(&self) -> String {
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
            _ => Err(format!(
                "{{{text}}} is unknown; the tokens are in providers/README.md, and a brace that is meant as itself is written twice"
            )),
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

impl Token {
    /// Reads what stands between the braces.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
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
        Ok(Self { what: What::parse(text)?, may_be_missing, filter })
    }

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
    fn the_path_of_a_url_is_what_lies_between_host_and_query() {
        assert_eq!(url_path("https://x.example.com/a/b?c=d"), Some("/a/b"));
        assert_eq!(url_path("https://x.example.com"), Some("/"));
    }
}
