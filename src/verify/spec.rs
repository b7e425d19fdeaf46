//! The `[verify]` table of a pack: how a provider signs. Every part must be spelled out; none has a default.

use serde::{Deserialize, Deserializer, de};

/// How a provider signs its webhooks.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    /// The family of the scheme.
    pub scheme: SchemeName,
    /// The hash under the HMAC.
    pub digest: Digest,
    /// How the signature is written as text.
    pub encoding: Encoding,
    /// How a configured secret becomes the bytes of the key; several are tried in this order.
    pub keys: Vec<KeyForm>,
    /// What is signed: text with `{body}` once and, where the provider has them, `{timestamp}`, `{url}`, `{header:NAME}`.
    pub signed: String,
    /// Where the signature stands.
    pub signature: SignatureSpec,
    /// Where the time of signing stands and how far it may be from the time of receipt; for schemes that sign a time.
    pub timestamp: Option<TimestampSpec>,
}

/// The families of schemes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SchemeName {
    /// A keyed hash (RFC 2104) over bytes of the request.
    Hmac,
}

/// The hash under the HMAC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Digest {
    /// SHA-256 (FIPS 180-4).
    Sha256,
}

/// How bytes are written as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Encoding {
    /// Hexadecimal in either case.
    Hex,
    /// Base64 with padding (RFC 4648, section 4).
    Base64,
}

/// How a configured secret becomes the bytes of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyForm {
    /// The text itself, prefix and all.
    Utf8,
    /// The text without a leading `whsec_`, decoded from base64 (Standard Webhooks).
    WhsecBase64,
}

/// Where the signature stands.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignatureSpec {
    /// The header that holds it.
    pub header: String,
    /// How the header is written.
    pub format: Format,
    /// `pairs` and `versions`: what stands between the members, one character.
    pub separator: Option<char>,
    /// `pairs` and `versions`: the label of a signature, such as `v1`; every member with this label may match.
    pub label: Option<String>,
}

/// How a signature header is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// The whole value is the signature.
    Plain,
    /// `label=value` members: `t=…,v1=…`.
    Pairs,
    /// `label,value` members: `v1,… v1,…`.
    Versions,
}

/// Where the time of signing stands, in whole seconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimestampSpec {
    /// A header of its own; else `label`.
    pub header: Option<String>,
    /// The label of a member of the signature's header (`pairs`); else `header`.
    pub label: Option<String>,
    /// Refused when it was signed longer than this before its receipt.
    pub max_age_secs: u32,
    /// Refused when it was signed longer than this after its receipt; `"any"` where the vendor's own code does not look.
    pub max_ahead_secs: Bound,
}

/// A number of seconds, or no bound at all, spelled out as `"any"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// At most this many seconds.
    Secs(u32),
    /// Not looked at.
    Any,
}

impl<'de> Deserialize<'de> for Bound {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Bound;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("a whole number of seconds, or \"any\"")
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Bound, E> {
                u32::try_from(value).map(Bound::Secs).map_err(|_| E::invalid_value(de::Unexpected::Signed(value), &self))
            }

            fn visit_str<E: de::Error>(self, value: &str) -> Result<Bound, E> {
                if value == "any" { Ok(Bound::Any) } else { Err(E::invalid_value(de::Unexpected::Str(value), &self)) }
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}
