//! Places inside a request and the values that stand there.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::Value;
use serde_json_path::JsonPath;

use crate::domain::{Headers, Request};

/// A decoded request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Document<'a> {
    pub(super) body: &'a Value,
    pub(super) headers: &'a Headers,
}

/// A compiled place.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) text: Arc<str>,
    kind: Kind,
}

#[derive(Debug, Clone)]
enum Kind {
    Header(String),
    Body(Box<JsonPath>),
}

/// A body that is not what its provider promises. The text is for the operator and holds nothing of the body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unreadable {
    pub(super) code: &'static str,
    pub(super) why: String,
}

impl Place {
    /// Compiles an RFC 9535 path or `header:NAME`.
    pub(super) fn new(text: &str) -> Result<Self, String> {
        let kind = match text.strip_prefix("header:") {
            Some(name) if !name.is_empty() => Kind::Header(name.to_ascii_lowercase()),
            Some(_) => return Err("header: needs a name".to_owned()),
            None => Kind::Body(Box::new(
                JsonPath::parse(text).map_err(|error| format!("{text} is not a path (RFC 9535): {}", error.message()))?,
            )),
        };
        Ok(Self { text: text.into(), kind })
    }

    /// The header it reads, where it reads one.
    pub(super) fn header(&self) -> Option<&str> {
        match &self.kind {
            Kind::Header(name) => Some(name),
            Kind::Body(_) => None,
        }
    }

    /// The first value that stands here, as text.
    pub(super) fn read<'a>(&'a self, document: Document<'a>) -> Option<Cow<'a, str>> {
        match &self.kind {
            Kind::Header(name) => document.headers.one(name).filter(|value| !value.trim().is_empty()).map(Cow::Borrowed),
            Kind::Body(path) => path.query(document.body).all().into_iter().find_map(scalar),
        }
    }
}

impl Place {
    /// All values that stand here, as text.
    pub(super) fn read_all<'a>(&'a self, document: Document<'a>) -> Vec<Cow<'a, str>> {
        match &self.kind {
            Kind::Header(_) => self.read(document).into_iter().collect(),
            Kind::Body(path) => path.query(document.body).all().into_iter().filter_map(scalar).collect(),
        }
    }
}

/// A value as text: numbers keep their exact digits; null, blank texts, objects and arrays are nothing.
fn scalar(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => (!text.trim().is_empty()).then_some(Cow::Borrowed(text)),
        Value::Number(number) => Some(Cow::Owned(number.to_string())),
        Value::Bool(truth) => Some(Cow::Borrowed(if *truth { "true" } else { "false" })),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Reads a JSON body. Nesting is bounded by the parser (128 levels).
pub(super) fn decode(request: &Request) -> Result<Value, Unreadable> {
    if request.body.iter().all(u8::is_ascii_whitespace) {
        return Err(Unreadable { code: "body_empty", why: "the body is empty".to_owned() });
    }
    let text = std::str::from_utf8(&request.body).map_err(|error| Unreadable {
        code: "body_not_utf8",
        why: format!("the body is not UTF-8 from byte {}", error.valid_up_to()),
    })?;
    serde_json::from_str(text).map_err(|error| {
        let is_too_deep = error.to_string().starts_with("recursion limit");
        let (code, what) = if is_too_deep { ("body_too_deep", "is nested too deep") } else { ("body_malformed", "is not JSON") };
        Unreadable { code, why: format!("the body {what}, at line {} column {}", error.line(), error.column()) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(path: &str, body: &str) -> Option<String> {
        let body = serde_json::from_str(body).expect("JSON");
        let headers = Headers::default();
        Place::new(path).expect("a path").read(Document { body: &body, headers: &headers }).map(Cow::into_owned)
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
}
