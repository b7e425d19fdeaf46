//! One HTTP request as it came.

use std::borrow::Cow;
use std::net::IpAddr;

use super::clock::Timestamp;
use super::secret::Secret;

/// Header names (lower case) and values in the order of arrival.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers(Vec<(String, String)>);

/// A webhook as it arrived: nothing of it is trusted until it has been verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The configured source whose URL was called.
    pub source: String,
    /// The headers, as they came.
    pub headers: Headers,
    /// The exact bytes of the body.
    pub body: Vec<u8>,
    /// The query of the URL that was called, without its question mark.
    pub query: Option<String>,
    /// The URL that the provider was given, where it signs one.
    pub url: Option<String>,
    /// The token at the end of the path, as it was given. Judged at the door and never stored.
    pub path_token: Option<Secret>,
    /// Whose connection it was. Judged at the door and never stored.
    pub peer: Option<IpAddr>,
    /// When the bridge had read it; signatures and timestamps are judged as of this instant.
    pub received_at: Timestamp,
}

impl Request {
    /// The only value of this name in the query, decoded; `None` where there is none, or several that differ.
    pub fn query_value(&self, name: &str) -> Option<Cow<'_, str>> {
        let pairs = form_urlencoded::parse(self.query.as_deref().unwrap_or_default().as_bytes());
        let mut values = pairs.filter(|(known, _)| known == name).map(|(_, value)| value);
        let first = values.next()?;
        values.all(|value| value == first).then_some(first)
    }
}

impl Headers {
    /// Adds a header; its name is kept in lower case.
    pub fn add(&mut self, name: &str, value: impl Into<String>) {
        self.0.push((name.to_ascii_lowercase(), value.into()));
    }

    /// Replaces every header of this name by one.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        self.0.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        self.add(name, value);
    }

    /// The values of all headers of this name, in the order of arrival.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> + 'a {
        self.0.iter().filter(move |(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The value of the only header of this name; `None` where there is none, or more than one and they differ.
    pub fn one<'a>(&'a self, name: &str) -> Option<&'a str> {
        let matching = self.0.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
        let mut values = matching.map(|(_, value)| value.as_str());
        let first = values.next()?;
        values.all(|value| value == first).then_some(first)
    }

    /// All headers, in the order of arrival.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}
