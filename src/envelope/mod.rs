//! How a body is packed: JSON, a form, XML, one inside another. Opens it into a tree of values, within bounds.
//!
//! Only what the caller asks for is built of a JSON body; all of it is checked. Nothing here believes anything.

mod form;
mod path;
mod shape;
mod spec;
mod xml;

pub use form::pairs;
pub use path::Path;
pub use shape::Shape;
pub use spec::{Encoding, Format, Inner, Spec};

use std::borrow::Cow;

use base64::Engine as _;
use serde_json::Value;

use crate::domain::{Faults, Request};

/// Brackets inside brackets, at most; what is nested deeper is no webhook.
const DEPTH_LIMIT: usize = 128;

/// A checked way to open bodies.
#[derive(Debug, Clone)]
pub struct Envelope {
    format: Format,
    inner: Option<(Place, Encoding, Format)>,
}

#[derive(Debug, Clone)]
enum Place {
    Field(String),
    Path(Path),
}

/// A body that is not what its provider promises. The text is for the operator and holds nothing of the body.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct Unreadable {
    /// A short stable code.
    pub code: &'static str,
    /// The sentence.
    pub why: String,
}

impl Default for Envelope {
    fn default() -> Self {
        Self { format: Format::Json, inner: None }
    }
}

impl Envelope {
    /// Checks the `[envelope]` table of a pack.
    ///
    /// # Errors
    /// Every fault, with `file` and key.
    pub fn new(spec: &Spec, file: &str) -> Result<Self, Faults> {
        let mut faults = Faults::default();
        let inner = spec.inner.as_ref().and_then(|inner| {
            let place = match spec.format {
                Format::Form | Format::Auto => Place::Field(inner.at.clone()),
                Format::Json | Format::Xml => match Path::parse(&inner.at) {
                    Ok(path) => Place::Path(path),
                    Err(cause) => {
                        faults.add(file, "envelope.inner.at", cause);
                        return None;
                    }
                },
            };
            Some((place, inner.encoding, inner.format))
        });
        faults.or(Self { format: spec.format, inner })
    }

    /// The field of a form whose content is the whole document, where there is one.
    pub fn inner_field(&self) -> Option<&str> {
        match &self.inner {
            Some((Place::Field(name), ..)) => Some(name),
            Some((Place::Path(_), ..)) | None => None,
        }
    }

    /// True where some body is read as a form.
    pub fn may_be_form(&self) -> bool {
        matches!(self.format, Format::Form | Format::Auto)
    }

    /// True where this body is read as a form, so that what is signed in it as a form is what is mapped.
    pub fn is_form(&self, request: &Request) -> bool {
        self.format.settle(request) == Format::Form
    }

    /// True where the body is JSON and nothing else.
    pub fn is_plain_json(&self) -> bool {
        self.format == Format::Json && self.inner.is_none()
    }

    /// Opens the body of a request. Of a JSON document only the members of `shape` are built.
    ///
    /// # Errors
    /// The body is not what the provider promises.
    pub fn open(&self, request: &Request, shape: &Shape) -> Result<Value, Unreadable> {
        let format = self.format.settle(request);
        let Some((place, encoding, inner)) = &self.inner else { return open(&request.body, format, shape) };
        let text = match place {
            Place::Field(name) => form::one(&request.body, name).map(Cow::into_owned),
            Place::Path(path) => path.scalar(&open(&request.body, format, &Shape::of([path]))?).map(Cow::into_owned),
        };
        let text = text.ok_or_else(|| Unreadable {
            code: "body_malformed",
            why: "the body lacks the field that holds the document".to_owned(),
        })?;
        match encoding {
            Encoding::Text => open(text.as_bytes(), *inner, shape),
            Encoding::Base64 => {
                let packed: String = text.split_ascii_whitespace().collect();
                let bytes = base64::engine::general_purpose::STANDARD.decode(packed).map_err(|_| Unreadable {
                    code: "body_malformed",
                    why: "the field that holds the document is not base64".to_owned(),
                })?;
                open(&bytes, *inner, shape)
            }
        }
    }
}

impl Format {
    /// What `auto` comes to for this request.
    fn settle(self, request: &Request) -> Self {
        if self != Self::Auto {
            return self;
        }
        // A form never begins so, whatever the sender says that it is.
        let first = request.body.iter().find(|byte| !byte.is_ascii_whitespace());
        if matches!(first, Some(b'{' | b'[')) { Self::Json } else { Self::Form }
    }
}

fn open(body: &[u8], format: Format, shape: &Shape) -> Result<Value, Unreadable> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Err(Unreadable { code: "body_empty", why: "the body is empty".to_owned() });
    }
    let text = std::str::from_utf8(body).map_err(|error| Unreadable {
        code: "body_not_utf8",
        why: format!("the body is not UTF-8 from byte {}", error.valid_up_to()),
    })?;
    match format {
        Format::Json | Format::Auto => json(text, shape),
        Format::Form => Ok(form::tree(text)),
        Format::Xml => xml::tree(text),
    }
}

/// Reads JSON from outside: bounded in depth and width.
///
/// # Errors
/// It is none, or is beyond the bounds.
pub fn json(text: &str, shape: &Shape) -> Result<Value, Unreadable> {
    if is_too_deep(text.as_bytes()) {
        return Err(too_deep());
    }
    shape.read(text).map_err(|error| Unreadable {
        code: "body_malformed",
        why: format!("the body is not JSON that can be read, at line {} column {}", error.line(), error.column()),
    })
}

fn too_deep() -> Unreadable {
    Unreadable { code: "body_too_deep", why: format!("the body is nested deeper than {DEPTH_LIMIT} levels") }
}

/// True for JSON with more brackets inside brackets than the parser should follow.
pub fn is_too_deep(text: &[u8]) -> bool {
    if opening(text) < DEPTH_LIMIT {
        return false;
    }
    let (mut depth, mut deepest, mut in_text, mut is_escaped) = (0_usize, 0, false, false);
    for byte in text {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if in_text => is_escaped = true,
            b'"' => in_text = !in_text,
            b'[' | b'{' if !in_text => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !in_text => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest >= DEPTH_LIMIT
}

/// How many brackets open. In short pieces with a small sum, which a processor adds up many bytes at a time.
fn opening(text: &[u8]) -> usize {
    const PIECE: usize = 128;
    let in_piece = |piece: &[u8]| piece.iter().fold(0_u8, |sum, byte| sum + u8::from(byte | 0x20 == b'{'));
    text.chunks(PIECE).map(|piece| usize::from(in_piece(piece))).sum()
}

/// A value as text: numbers keep their exact digits; null, blank texts, objects and arrays are nothing.
pub fn scalar(value: &Value) -> Option<Cow<'_, str>> {
    token(value).filter(|text| !text.trim().is_empty())
}

/// As [`scalar`], but a blank text is a text.
pub fn token(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(Cow::Borrowed(text)),
        Value::Number(number) => Some(Cow::Owned(number.to_string())),
        Value::Bool(truth) => Some(Cow::Borrowed(if *truth { "true" } else { "false" })),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}
