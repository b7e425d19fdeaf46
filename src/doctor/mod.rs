//! Why was a request refused, in words that say what to do? Looks at a refused request, tries what may have happened to it on its
//! way, and names the key of the configuration that mends it.
//!
//! A diagnosis never makes a request accepted: nothing here can make a `Verified`, and a repair that matches only explains. What
//! is found is for the operator alone; it holds no secret, no signature, and of what the sender wrote only the names of headers.

mod door;
mod json;
mod mismatch;
mod repair;
mod secret;
mod signature;
mod url;

use std::collections::HashMap;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::Request;
use crate::pack::Source;
use crate::verify::{Chain, Refusal};

/// A longer body is not examined for changes, and not kept once it was refused.
pub const BODY_LIMIT_BYTES: usize = 64 * 1024;

/// So many other sources are compared with.
const SOURCES_LIMIT: usize = 64;

/// What a refusal comes from, the most likely cause first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Diagnosis {
    /// What was found.
    pub findings: Vec<Finding>,
}

/// One cause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// The stable code.
    pub code: Code,
    /// What disagrees.
    pub text: String,
    /// What to do next, naming the key of the configuration.
    pub advice: String,
}

/// The causes that are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// The place of the signature is empty.
    SignatureMissing,
    /// What stands there is no signature of this provider's form.
    SignatureMalformed,
    /// Something else that is signed is missing.
    PartMissing,
    /// A field of a form stands there twice.
    FieldRepeated,
    /// The path ends in no token.
    PathTokenMissing,
    /// The path ends in another token.
    PathTokenWrong,
    /// The path ends in another source's token.
    PathTokenOfOther,
    /// The sender's address is not allowed.
    AddressNotAllowed,
    /// The request is signed for a source of another provider.
    SignedForOther,
    /// Another source of this provider has the secret.
    SecretOfOther,
    /// The source's secret is that of the other mode.
    SecretOfOtherMode,
    /// A test event came to a source that accepts live ones.
    TestTraffic,
    /// A live event came to a source that accepts test ones.
    LiveTraffic,
    /// The secret is right but for what stands around it.
    SecretForm,
    /// Another URL was signed.
    UrlDiffers,
    /// The body was changed on its way.
    BodyChanged,
    /// Nothing that was tried matches.
    SecretWrong,
    /// The body is too long to be looked at.
    BodyTooLong,
    /// The signature is too old.
    TimestampStale,
    /// The signature is from the future.
    TimestampAhead,
    /// The time of signing cannot be read.
    TimestampMalformed,
    /// The certificate is not the provider's.
    CertificateRefused,
    /// The certificate could not be had.
    CertificateUnavailable,
}

/// Everything that is looked at.
struct Case<'a> {
    request: &'a Request,
    source: &'a Source,
    /// The other sources, those of the same pack first.
    others: Vec<&'a Source>,
    certificate: Option<&'a Chain>,
    /// False where the body is not at hand: then nothing is tried that it is signed in.
    has_body: bool,
}

impl Code {
    /// The code as it is stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SignatureMissing => "signature_missing",
            Self::SignatureMalformed => "signature_malformed",
            Self::PartMissing => "part_missing",
            Self::FieldRepeated => "field_repeated",
            Self::PathTokenMissing => "path_token_missing",
            Self::PathTokenWrong => "path_token_wrong",
            Self::PathTokenOfOther => "path_token_of_other",
            Self::AddressNotAllowed => "address_not_allowed",
            Self::SignedForOther => "signed_for_other",
            Self::SecretOfOther => "secret_of_other",
            Self::SecretOfOtherMode => "secret_of_other_mode",
            Self::TestTraffic => "test_traffic",
            Self::LiveTraffic => "live_traffic",
            Self::SecretForm => "secret_form",
            Self::UrlDiffers => "url_differs",
            Self::BodyChanged => "body_changed",
            Self::SecretWrong => "secret_wrong",
            Self::BodyTooLong => "body_too_long",
            Self::TimestampStale => "timestamp_stale",
            Self::TimestampAhead => "timestamp_ahead",
            Self::TimestampMalformed => "timestamp_malformed",
            Self::CertificateRefused => "certificate_refused",
            Self::CertificateUnavailable => "certificate_unavailable",
        }
    }
}

impl Finding {
    fn new(code: Code, text: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { code, text: text.into(), advice: advice.into() }
    }
}

/// Examines a request that `source` refused, and compares it with all `sources`. `certificate` is what it was judged by, where it was.
pub fn examine(
    request: &Request,
    refusal: &Refusal,
    source: &Source,
    sources: &HashMap<String, Arc<Source>>,
    certificate: Option<&Chain>,
) -> Diagnosis {
    let case = Case { request, source, others: others(source, sources), certificate, has_body: true };
    Diagnosis { findings: case.findings(refusal) }
}

/// The same without the body, which was too long to be kept: so many bytes.
pub fn examine_without_body(
    request: &Request,
    refusal: &Refusal,
    source: &Source,
    sources: &HashMap<String, Arc<Source>>,
    body_bytes: usize,
) -> Diagnosis {
    let case = Case { request, source, others: others(source, sources), certificate: None, has_body: false };
    let mut findings = case.findings(refusal);
    findings.push(Finding::new(
        Code::BodyTooLong,
        format!(
            "The body has {body_bytes} bytes; of a refused request at most {BODY_LIMIT_BYTES} are kept, so what is signed \
         in it was not tried."
        ),
        format!(
            "Mend what stands above, then let the provider send it again. For more words, save the request to a file and \
         run `salebridge explain {}`.",
            source.name
        ),
    ));
    Diagnosis { findings }
}

fn others<'a>(source: &Source, sources: &'a HashMap<String, Arc<Source>>) -> Vec<&'a Source> {
    let mut others: Vec<&Source> = sources.values().map(|other| &**other).filter(|other| other.name != source.name).collect();
    others.sort_by_key(|other| (other.pack.name() != source.pack.name(), Arc::clone(&other.name)));
    others.truncate(SOURCES_LIMIT);
    others
}

impl Case<'_> {
    fn findings(&self, refusal: &Refusal) -> Vec<Finding> {
        match refusal {
            Refusal::PathToken => self.by_the_door(self.path_token()),
            Refusal::AddressNotAllowed => self.by_the_door(self.address()),
            Refusal::SignatureMissing { .. } | Refusal::NoWayFits { .. } => self.missing(),
            Refusal::SignatureMismatch { .. } | Refusal::SecretMismatch { .. } => self.mismatch(refusal),
            Refusal::SignatureMalformed { place, why } => self.malformed(place, why),
            Refusal::PartMissing { part } => self.part_missing(part),
            Refusal::FieldRepeated => vec![self.field_repeated()],
            Refusal::TimestampStale { age_secs, allowed_secs } => vec![self.stale(*age_secs, *allowed_secs)],
            Refusal::TimestampAhead { ahead_secs, allowed_secs } => vec![self.ahead(*ahead_secs, *allowed_secs)],
            Refusal::TimestampMalformed => vec![self.timestamp_malformed()],
            Refusal::CertificateRefused { why } => vec![self.certificate_refused(why)],
            Refusal::CertificateUnavailable { why } => vec![self.certificate_unavailable(why)],
        }
    }

    /// The source as the configuration names it.
    fn key(&self, key: &str) -> String {
        format!("`{key}` of [[sources]] {}", self.source.name)
    }

    /// Where the source's secrets stand.
    fn secrets_key(&self) -> String {
        self.key(if self.source.pack.scheme.uses_unnamed_secrets() { "secrets" } else { "named_secrets" })
    }

    /// Whether this source's keys made the signature of a request.
    fn is_ours(&self, request: &Request) -> bool {
        self.source.pack.scheme.is_made_with(&self.source.keys, request, self.certificate)
    }

    /// How the URL of another source ends.
    fn end_of(other: &Source) -> String {
        let token = if other.path_token.is_some() { "/ and its path token" } else { "" };
        format!("/webhooks/{}{token}", other.name)
    }

    fn is_same_pack(&self, other: &Source) -> bool {
        other.pack.name() == self.source.pack.name()
    }
}
