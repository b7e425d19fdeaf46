//! Why a request was not believed: a stable code for the sender, the part that disagreed for the operator.

use crate::domain::Request;

/// A request was refused. The sender's doing or a wrong secret here; the same request never passes later, but for
/// [`Refusal::CertificateUnavailable`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The place that holds the signature is empty.
    #[error("{place} is missing: the request is not signed, or a proxy dropped it")]
    SignatureMissing {
        /// The place, such as `the header Stripe-Signature`.
        place: String,
    },
    /// None of the ways in which the provider signs fits the request.
    #[error("the request is not signed in any of the ways for which the source has secrets: {ways}")]
    NoWayFits {
        /// The ways.
        ways: String,
    },
    /// The signature is not written as the provider writes it.
    #[error("{place} cannot be read: {why}")]
    SignatureMalformed {
        /// The place.
        place: String,
        /// What is wrong with it; never its value.
        why: &'static str,
    },
    /// Something else that is signed is missing.
    #[error("{part} is signed by this provider but missing from the request")]
    PartMissing {
        /// The part, such as `the header webhook-id`.
        part: String,
    },
    /// A field stands twice in a form of which fields are signed: who reads which of the two is anybody's guess.
    #[error("a field stands more than once in the form, so what is signed may not be what is read")]
    FieldRepeated,
    /// The time of signing is not written as the provider writes it.
    #[error("the signature's timestamp is not a time in the form that this provider uses")]
    TimestampMalformed,
    /// No configured secret gives any of the signatures.
    #[error(
        "none of the {candidates} signature(s) in {place} was made with the configured secret(s) over these bytes: \
         the secret is another one, or what is signed was changed on its way"
    )]
    SignatureMismatch {
        /// The place.
        place: String,
        /// How many signatures were tried.
        candidates: usize,
    },
    /// The request does not show the configured secret.
    #[error("{place} does not hold the configured secret(s)")]
    SecretMismatch {
        /// The place.
        place: String,
    },
    /// The signature is right but old.
    #[error("the signature is right but was made {age_secs} s before its receipt; {allowed_secs} s are allowed")]
    TimestampStale {
        /// Seconds between signing and receipt.
        age_secs: i64,
        /// Seconds allowed.
        allowed_secs: u32,
    },
    /// The signature is right but from the future.
    #[error(
        "the signature is right but was made {ahead_secs} s after its receipt; {allowed_secs} s are allowed: \
         is this machine's clock slow?"
    )]
    TimestampAhead {
        /// Seconds between receipt and signing.
        ahead_secs: i64,
        /// Seconds allowed.
        allowed_secs: u32,
    },
    /// The certificate that the request names is not the provider's.
    #[error("the certificate that the request names is not believed: {why}")]
    CertificateRefused {
        /// Why.
        why: String,
    },
    /// The certificate cannot be had right now. Nobody's fault; the sender should come back.
    #[error("the certificate that the request names cannot be had: {why}")]
    CertificateUnavailable {
        /// Why.
        why: String,
    },
    /// The token at the end of the path is missing or wrong.
    #[error("the path does not end in the source's path_token")]
    PathToken,
    /// The request comes from an address that the source does not allow.
    #[error("the request comes from an address that is not in allow_ips; behind a proxy, name it in server.trusted_proxies")]
    AddressNotAllowed,
}

/// A request that was refused, as it was, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The request; nothing of it is believed.
    pub request: Request,
    /// The part that disagreed.
    pub refusal: Refusal,
}

impl Refusal {
    /// The stable code that the sender sees.
    pub fn code(&self) -> &'static str {
        match self {
            Self::SignatureMissing { .. } | Self::NoWayFits { .. } => "signature_missing",
            Self::SignatureMalformed { .. } => "signature_malformed",
            Self::PartMissing { .. } => "signed_part_missing",
            Self::FieldRepeated => "field_repeated",
            Self::TimestampMalformed => "timestamp_malformed",
            Self::SignatureMismatch { .. } | Self::SecretMismatch { .. } => "signature_mismatch",
            Self::TimestampStale { .. } => "timestamp_stale",
            Self::TimestampAhead { .. } => "timestamp_ahead",
            Self::CertificateRefused { .. } => "certificate_refused",
            Self::CertificateUnavailable { .. } => "certificate_unavailable",
            Self::PathToken => "path_token_mismatch",
            Self::AddressNotAllowed => "address_not_allowed",
        }
    }
}
