//! Requests that were refused: a small ring of them is kept, so that they can be explained and, once the cause is mended, judged
//! again.

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

use crate::domain::{Request, RequestId, Timestamp};
use crate::verify::TokenMark;

/// The number of a refused request; it is never used again.
pub type RefusedId = i64;

/// A refused request as it is kept. Its path token is not: [`TokenMark`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedRequest {
    /// The request as it came, without its path token and its peer. The body is empty where it is not kept.
    pub request: Request,
    /// The size of the body as it came.
    pub body_bytes: usize,
    /// False where the body was too long to be kept.
    pub has_body: bool,
    /// Whose connection it was; behind a proxy, the proxy's.
    pub connection: Option<IpAddr>,
    /// What is kept of the path token.
    pub token: TokenMark,
    /// The stable code that the sender was told.
    pub code: String,
    /// What disagreed, in words.
    pub cause: String,
    /// The code of what it most likely comes from.
    pub finding: String,
    /// The whole diagnosis, as JSON.
    pub diagnosis: Value,
    /// Headers whose values are not shown.
    pub private_headers: Vec<String>,
    /// Names of values of the query that are not shown.
    pub private_queries: Vec<String>,
}

/// How often requests were refused since the last time it was written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedTally {
    /// The source.
    pub source: String,
    /// The stable code.
    pub code: String,
    /// How often.
    pub count: u64,
    /// The first time.
    pub first_at: Timestamp,
    /// The last time.
    pub last_at: Timestamp,
}

/// Which refused requests are listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WhichRefused {
    /// Only those of this source.
    pub source: Option<String>,
    /// Only those with smaller numbers: the page after the one that ended with it.
    pub before: Option<RefusedId>,
    /// At most so many.
    pub limit: usize,
}

/// A refused request in a listing.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct RefusedView {
    /// Its number.
    pub id: RefusedId,
    /// The source whose URL was called.
    pub source: String,
    /// When it was received (RFC 3339).
    pub received_at: String,
    /// The stable code that the sender was told.
    pub code: String,
    /// What disagreed, in words.
    pub cause: String,
    /// The code of what it most likely comes from.
    pub finding: String,
    /// What it comes from, the most likely first: a list of `code`, `text` and `advice`.
    pub diagnosis: Value,
    /// The size of its body.
    pub body_bytes: usize,
    /// False where the body was too long to be kept, so that it cannot be judged again.
    pub body_kept: bool,
    /// How often requests of this source were refused with this code, whether or not they were kept.
    pub count: u64,
}

/// How often requests were refused.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct RefusedCountView {
    /// The source.
    pub source: String,
    /// The stable code.
    pub code: String,
    /// How often in all.
    pub count: u64,
    /// How many of them are kept.
    pub kept: u64,
    /// The first time (RFC 3339).
    pub first_at: String,
    /// The last time (RFC 3339).
    pub last_at: String,
}

/// What became of a refused request that was judged again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Readmitted {
    /// Its number in the inbox.
    pub request: RequestId,
    /// True where the same had been stored before: the provider came back, or it was accepted twice.
    pub is_duplicate: bool,
}

impl RefusedRequest {
    /// All of it as it may be shown: without body, signatures, passwords and cookies.
    pub fn shown(&self, view: &RefusedView) -> Value {
        let mut shown = serde_json::to_value(view).expect("our own views are JSON");
        shown["headers"] = json!(self.shown_headers());
        shown["query"] = json!(self.shown_query());
        shown["url"] = json!(self.request.url);
        shown["connection"] = json!(self.connection.map(|address| address.to_string()));
        shown
    }

    /// The headers as they may be shown: without signatures, passwords and cookies.
    pub fn shown_headers(&self) -> Vec<(&str, &str)> {
        self.request.shown_headers(|name| self.private_headers.iter().any(|private| private == name))
    }

    /// The query as it may be shown, where there is one.
    pub fn shown_query(&self) -> Option<String> {
        self.request.shown_query(|name| self.private_queries.iter().any(|private| private.eq_ignore_ascii_case(name)))
    }
}
