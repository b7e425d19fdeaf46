//! The `[envelope]` table of a pack.

use schemars::JsonSchema;
use serde::Deserialize;

/// How the body is packed. Left out: JSON.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Envelope")]
pub struct Spec {
    /// The form of the body.
    pub format: Format,
    /// The document is inside a field of the body.
    pub inner: Option<Inner>,
}

/// A document inside a field.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Inner {
    /// The field of a form, or the path (RFC 9535) in JSON or XML.
    pub at: String,
    /// How the document is written there.
    pub encoding: Encoding,
    /// The form of the document.
    pub format: Format,
}

/// The form of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// JSON (RFC 8259).
    Json,
    /// An HTML form, percent-encoded; bracketed names become a tree of texts.
    Form,
    /// XML; elements become objects.
    Xml,
    /// JSON where it begins as JSON does, else a form.
    Auto,
}

/// How a document is written inside a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Encoding {
    /// As it is.
    Text,
    /// Base64; white space in it means nothing.
    Base64,
}
