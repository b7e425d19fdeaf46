//! The `[verify]` tables of a pack, as written: how a provider signs. Every part must be spelled out; none has a default.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

use crate::document::OneOrMany;

/// One way in which a provider signs its webhooks.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Verify")]
pub struct Spec {
    /// What an alternative is called; only where there are several.
    pub name: Option<String>,
    /// When an alternative is the one to judge by; only where there are several.
    pub when: Option<GuardSpec>,
    /// The family of the scheme.
    pub scheme: SchemeName,
    /// What the signature binds.
    pub covers: Covers,
    /// The hash.
    pub digest: Option<Digest>,
    /// How the signature is written as text; any of several.
    pub encoding: Option<OneOrMany<Encoding>>,
    /// How a configured secret becomes the bytes of the key; several are tried in this order.
    pub keys: Option<Vec<KeyForm>>,
    /// The named secret that is the key; left out: the source's `secrets`, any of which may match.
    pub secret: Option<String>,
    /// What is signed, as a template; any of several may be what was signed.
    pub signed: Option<OneOrMany<String>>,
    /// What the token `{fields}` stands for.
    pub fields: Option<FieldsSpec>,
    /// A path to several items in the body, each of which is signed on its own.
    pub each: Option<String>,
    /// Where the signature stands.
    pub signature: Option<SignatureSpec>,
    /// Where the time of signing stands and how far it may be from the time of receipt; for schemes that sign a time.
    pub timestamp: Option<TimestampSpec>,
    /// What else is demanded of a source that has the secrets for it.
    pub also: Option<Also>,
    /// Which certificates are believed; scheme `certificate`.
    pub certificate: Option<CertificateSpec>,
    /// How the hash is encrypted; scheme `encrypted-hash`.
    pub cipher: Option<CipherSpec>,
    /// The addresses that the provider publishes; scheme `unsigned`.
    pub ips: Option<Vec<String>>,
}

/// The families of schemes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SchemeName {
    /// A keyed hash (RFC 2104) of `signed`.
    Hmac,
    /// A plain hash of `signed`, which holds a secret.
    Hash,
    /// RSA PKCS #1 v1.5 (RFC 8017) by the provider's private key.
    Rsa,
    /// ECDSA on P-256 (FIPS 186-5).
    #[serde(rename = "ecdsa-p256")]
    EcdsaP256,
    /// Ed25519 (RFC 8032).
    Ed25519,
    /// RSA by the key of a certificate that the request names.
    Certificate,
    /// A salted hash, encrypted.
    EncryptedHash,
    /// The secret itself.
    Equal,
    /// HTTP Basic (RFC 7617).
    Basic,
    /// No signature at all.
    Unsigned,
}

/// What a signature binds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Covers {
    /// Nothing of the request: it only shows that the sender knows a secret.
    Nothing,
    /// Some fields of the request.
    Fields,
    /// All of the body.
    Body,
}

/// A hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Digest {
    /// MD5 (RFC 1321): broken, only for providers that know nothing else.
    Md5,
    /// SHA-1 (FIPS 180-4): broken, only for providers that know nothing else.
    Sha1,
    /// SHA-256 (FIPS 180-4).
    Sha256,
    /// SHA-512 (FIPS 180-4).
    Sha512,
    /// SHA3-256 (FIPS 202).
    #[serde(rename = "sha3-256")]
    Sha3_256,
}

/// How bytes are written as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Encoding {
    /// Hexadecimal in either case.
    Hex,
    /// Base64 (RFC 4648, section 4), with or without padding.
    Base64,
    /// Base64url (RFC 4648, section 5), with or without padding.
    Base64url,
}

/// How a configured secret becomes the bytes of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum KeyForm {
    /// The text itself, prefix and all.
    Utf8,
    /// The text decoded from base64.
    Base64,
    /// The text without a leading `whsec_`, decoded from base64 (Standard Webhooks).
    WhsecBase64,
    /// The text decoded from hexadecimal.
    Hex,
    /// The 20 bytes of the text's SHA-1.
    Sha1,
    /// The text with `&amp;`, `&lt;`, `&gt;`, `&quot;` and `&#039;` decoded.
    HtmlDecoded,
    /// The text with those characters written so.
    HtmlEncoded,
    /// A public key: PEM (RFC 7468), or its base64 on one line.
    Pem,
    /// A raw public key: base64 after a leading `whpk_` (Standard Webhooks).
    WhpkBase64,
}

/// Where the signature stands: exactly one of `header`, `query`, `form` and `json`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SignatureSpec {
    /// The header that holds it.
    pub header: Option<String>,
    /// The value of the URL's query that holds it.
    pub query: Option<String>,
    /// The field of a form body that holds it.
    pub form: Option<String>,
    /// The path in the body where it stands.
    pub json: Option<String>,
    /// How it is written there.
    pub format: Format,
    /// What stands between the members, one character.
    pub separator: Option<char>,
    /// What stands inside a member, one character.
    pub inside: Option<char>,
    /// The label of a signature; every member with one of these labels may match.
    pub label: Option<OneOrMany<String>>,
    /// `plain`: taken off where it stands before the signature, in either case.
    pub prefix: Option<String>,
    /// `positional`: the place of the first signature, from 0.
    pub first: Option<usize>,
}

/// How a signature is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// The whole value is the signature, or several with a separator between.
    Plain,
    /// `label=value` members: `t=…,v1=…`.
    Pairs,
    /// `label,value` members: `v1,… v1,…`.
    Versions,
    /// Members by their place: `1700000000,…,…`.
    Positional,
    /// `key/label/value` members.
    Triples,
}

/// Where the time of signing stands: exactly one of `header`, `query`, `json`, `label` and `position`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TimestampSpec {
    /// A header of its own.
    pub header: Option<String>,
    /// A value of the URL's query.
    pub query: Option<String>,
    /// A path in the body.
    pub json: Option<String>,
    /// The label of a member of the signature (`pairs`).
    pub label: Option<String>,
    /// The place of a member of the signature (`positional`), from 0.
    pub position: Option<usize>,
    /// How it is written.
    pub unit: TimestampUnit,
    /// Refused when it was signed longer than this before its receipt; `"any"` where the vendor does not look.
    pub max_age_secs: Bound,
    /// Refused when it was signed longer than this after its receipt; `"any"` where the vendor does not look.
    pub max_ahead_secs: Bound,
}

/// How a time of signing is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TimestampUnit {
    /// Whole seconds since 1970.
    Seconds,
    /// Whole milliseconds since 1970.
    Millis,
    /// Milliseconds from 10^11 on, else seconds.
    Auto,
    /// RFC 3339.
    Rfc3339,
}

/// A number of seconds, or no bound at all, spelled out as `"any"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// At most this many seconds.
    Secs(u32),
    /// Not looked at.
    Any,
}

/// What the token `{fields}` stands for: all fields of a form or an object, written one after the other.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FieldsSpec {
    /// Whose fields.
    pub from: FieldsFrom,
    /// `json`: a path to the object; left out: the top of the body.
    pub at: Option<String>,
    /// Names that are left out; a name also stands for its `name[…]`.
    pub exclude: Vec<String>,
    /// In which order.
    pub order: Order,
    /// How one is written.
    pub write: Write,
    /// What stands between two.
    pub join: String,
}

/// Whose fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FieldsFrom {
    /// Of a form body.
    Form,
    /// Of a JSON object.
    Json,
}

/// The order of fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// As they came.
    Received,
    /// By their names' bytes.
    Key,
    /// By their names in lower case.
    KeyIgnoringCase,
    /// By the whole element as written, in lower case.
    ElementIgnoringCase,
}

/// How a field is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Write {
    /// `value`
    Value,
    /// `keyvalue`
    KeyValue,
    /// `key=value`
    #[serde(rename = "key=value")]
    KeyEqualsValue,
    /// The number of bytes of the value, then the value.
    LengthValue,
    /// All fields as PHP's `serialize` writes an array of texts.
    Php,
}

/// A guard: exactly one of `header`, `query`, `form` and `json`, and exactly one of `is` and `exists`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GuardSpec {
    /// A header.
    pub header: Option<String>,
    /// A value of the URL's query.
    pub query: Option<String>,
    /// A field of a form body.
    pub form: Option<String>,
    /// A path in the body.
    pub json: Option<String>,
    /// Its value, as text, is one of these.
    pub is: Option<Vec<String>>,
    /// It is there, or it is not.
    pub exists: Option<bool>,
}

/// What else is demanded of a source that has the secrets for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Also {
    /// HTTP Basic with the named secrets `username` and `password`.
    Basic,
}

/// Which certificates are believed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CertificateSpec {
    /// The header that holds the certificate's URL, which must be https.
    pub header: String,
    /// The domain under which the URL must lie.
    pub host: String,
    /// DNS names, one of which the certificate must carry.
    pub names: Vec<String>,
}

/// How a hash is encrypted.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CipherSpec {
    /// The cipher.
    pub name: CipherName,
    /// Its initial block, 16 characters.
    pub iv: String,
    /// The clear text is the hash in hexadecimal and then so many characters of salt.
    pub salt_chars: usize,
}

/// A cipher.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum CipherName {
    /// AES with a key of 128 bits in CBC mode (NIST SP 800-38A), padded by PKCS #7.
    #[serde(rename = "aes-128-cbc")]
    Aes128Cbc,
}

impl SchemeName {
    /// The name as it is written in a pack.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hmac => "hmac",
            Self::Hash => "hash",
            Self::Rsa => "rsa",
            Self::EcdsaP256 => "ecdsa-p256",
            Self::Ed25519 => "ed25519",
            Self::Certificate => "certificate",
            Self::EncryptedHash => "encrypted-hash",
            Self::Equal => "equal",
            Self::Basic => "basic",
            Self::Unsigned => "unsigned",
        }
    }
}

impl Covers {
    /// The word as it is written in a pack.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Fields => "fields",
            Self::Body => "body",
        }
    }
}

impl<'de> Deserialize<'de> for Bound {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Bound;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
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

impl JsonSchema for Bound {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Bound".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [{ "type": "integer", "minimum": 0 }, { "const": "any" }] })
    }
}
