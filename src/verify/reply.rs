//! What a provider insists on hearing: the `[reply]` table of a pack.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::input::Input;
use super::key::Mac;
use super::keys::Keys;
use super::scheme::Scheme;
use super::spec::{Digest, Encoding};
use super::template::{Template, Values};
use super::token::What;
use crate::domain::{Faults, Request, Secret, Timestamp};

/// What a provider insists on hearing when its request was taken.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Reply")]
pub struct ReplySpec {
    /// The status; left out: 200.
    pub status: Option<u16>,
    /// The content type.
    pub content_type: String,
    /// The body, as a template; also `{now:FORMAT}` and `{hmac}`.
    pub body: String,
    /// What `{hmac}` stands for, made with the source's first secret.
    pub hmac: Option<ReplyHmac>,
}

/// A keyed hash in a reply.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplyHmac {
    /// The hash.
    pub digest: Digest,
    /// How it is written.
    pub encoding: Encoding,
    /// What is hashed, as a template.
    pub signed: String,
}

/// A checked reply.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// The content type.
    pub content_type: String,
    body: Template,
    hmac: Option<(Digest, Encoding, Template)>,
}

impl Reply {
    /// Checks the table.
    ///
    /// # Errors
    /// Every fault, with `file` and key.
    pub fn new(spec: &ReplySpec, scheme: &Scheme, file: &str) -> Result<Self, Faults> {
        let mut faults = Faults::default();
        let mut template = |key: &str, text: &str| Template::parse(text).map_err(|cause| faults.add(file, key, cause)).ok();
        let body = template("reply.body", &spec.body);
        let hmac = spec.hmac.as_ref().map(|hmac| (hmac.digest, hmac.encoding, template("reply.hmac.signed", &hmac.signed)));
        let has_hmac = body.iter().flat_map(Template::tokens).any(|token| matches!(token.what, What::Hmac));
        if has_hmac != spec.hmac.is_some() {
            faults.add(file, "reply.hmac", "must be there exactly where the body holds {hmac}");
        }
        let shows_secret = |template: &Template| template.tokens().iter().any(|token| matches!(token.what, What::Secret(_)));
        if body.as_ref().is_some_and(shows_secret) {
            faults.add(file, "reply.body", "must not hold a secret");
        }
        if spec.hmac.is_some() && !scheme.uses_unnamed_secrets() {
            faults.add(file, "reply.hmac", "needs a scheme that takes secrets");
        }
        let is_printable = |byte: u8| byte.is_ascii_graphic() || byte == b' ';
        if spec.content_type.is_empty() || !spec.content_type.bytes().all(is_printable) {
            faults.add(file, "reply.content_type", "is not a content type such as text/plain");
        }
        let status = spec.status.unwrap_or(200);
        if !(200..300).contains(&status) {
            faults.add(file, "reply.status", "must be a status of success");
        }
        let hmac = match hmac {
            Some((digest, encoding, Some(template))) => Some((digest, encoding, template)),
            Some((.., None)) | None => None,
        };
        match body {
            Some(body) => faults.or(Self { status, content_type: spec.content_type.clone(), body, hmac }),
            None => Err(faults),
        }
    }

    /// The body of the answer to a request that was taken; what is missing in the request is empty in the answer.
    pub fn body(&self, scheme: &Scheme, keys: &Keys, request: &Request, now: Timestamp) -> String {
        let shape = crate::envelope::Shape::whole();
        let input = Input::new(request, &scheme.envelope, &shape);
        let none = BTreeMap::new();
        let secret: Option<&Secret> = keys.secrets.unnamed.first();
        let mut values = Values { named: &none, secret, timestamp: None, fields: None, salt: None, now: Some(now), hmac: None };
        let hmac = self.hmac.as_ref().map(|(digest, encoding, template)| {
            let parts = template.render(input.view(), values).unwrap_or_default();
            let key = Mac::new(*digest, secret.map_or("", Secret::expose).as_bytes());
            write(*encoding, &key.of(&parts))
        });
        values.hmac = hmac.as_deref();
        self.body.render_text(input.view(), values).unwrap_or_default()
    }
}

fn write(encoding: Encoding, bytes: &[u8]) -> String {
    use base64::Engine as _;
    match encoding {
        Encoding::Hex => hex::encode(bytes),
        Encoding::Base64 => base64::engine::general_purpose::STANDARD.encode(bytes),
        Encoding::Base64url => base64::engine::general_purpose::URL_SAFE.encode(bytes),
    }
}
