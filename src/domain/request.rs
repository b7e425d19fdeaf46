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

/// What stands where a value must not be shown.
const REDACTED: &str = "[redacted]";
/// Headers whose values are credentials, whatever a provider signs with.
pub const CREDENTIAL_HEADERS: [&str; 3] = ["authorization", "proxy-authorization", "cookie"];
/// Whatever a pack says: what is called so opens or signs something.
const PRIVATE_HEADERS: [&str; 9] =
    ["authorization", "cookie", "signature", "token", "secret", "hmac", "password", "api-key", "apikey"];
const PRIVATE_QUERIES: [&str; 8] = ["signature", "token", "secret", "hmac", "password", "key", "hash", "sign"];

impl Request {
    /// The request as it is kept: exactly as it came, but for credentials, and for what was only judged at the door.
    #[must_use]
    pub fn kept(mut self) -> Self {
        for (_, value) in self.headers.0.iter_mut().filter(|(name, _)| CREDENTIAL_HEADERS.contains(&name.as_str())) {
            REDACTED.clone_into(value);
        }
        Self { path_token: None, peer: None, ..self }
    }

    /// The headers as people may see them: without signatures, passwords and cookies. `is_own` says of a name (in lower case) that the
    /// provider signs or opens with it.
    pub fn shown_headers(&self, is_own: impl Fn(&str) -> bool) -> Vec<(&str, &str)> {
        let is_private = |name: &str| PRIVATE_HEADERS.iter().any(|part| name.contains(part)) || is_own(name);
        self.headers.iter().map(|(name, value)| (name, if is_private(name) { REDACTED } else { value })).collect()
    }

    /// The same for the query, where there is one.
    pub fn shown_query(&self, is_own: impl Fn(&str) -> bool) -> Option<String> {
        let is_private = |written: &str| {
            let name = form_urlencoded::parse(written.as_bytes()).next().map(|(name, _)| name.to_ascii_lowercase());
            let name = name.unwrap_or_default();
            PRIVATE_QUERIES.iter().any(|part| name.contains(part)) || is_own(&name)
        };
        let shown = self.query.as_deref()?.split('&').map(|pair| match pair.split_once('=') {
            Some((name, _)) if is_private(name) => format!("{name}={REDACTED}"),
            Some(_) | None => pair.to_owned(),
        });
        Some(shown.collect::<Vec<_>>().join("&"))
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_signs_or_opens_something_is_not_shown() {
        let mut headers = Headers::default();
        for (name, value) in
            [("X-Acme-Hmac-Sha256", "c2VjcmV0"), ("X-Own", "own"), ("Authorization", "Basic YTpi"), ("Host", "x")]
        {
            headers.add(name, value);
        }
        let request = Request {
            source: "acme".to_owned(),
            headers,
            body: Vec::new(),
            query: Some("id=1&Sig%6Eature=abc&mine=2&flag".to_owned()),
            url: None,
            path_token: None,
            peer: None,
            received_at: Timestamp::UNIX_EPOCH,
        };
        let shown: Vec<&str> = request.shown_headers(|name| name == "x-own").into_iter().map(|(_, value)| value).collect();
        assert_eq!(shown, [REDACTED, REDACTED, REDACTED, "x"]);
        let query = request.shown_query(|name| name == "mine");
        assert_eq!(query.as_deref(), Some("id=1&Sig%6Eature=[redacted]&mine=[redacted]&flag"));
    }
}
