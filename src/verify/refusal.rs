//! Why a request was not believed: a stable code for the sender, the part that disagreed for the operator.

/// A request was refused. The sender's doing or a wrong secret here; the same request never passes later.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The header that holds the signature is missing.
    #[error("the header {header} is missing: the request is not signed, or a proxy dropped it")]
    SignatureMissing {
        /// The header.
        header: String,
    },
    /// The signature's header is not written as the provider writes it.
    #[error("the header {header} cannot be read: {why}")]
    SignatureMalformed {
        /// The header.
        header: String,
        /// What is wrong with it; never its value.
        why: &'static str,
    },
    /// Something else that is signed is missing.
    #[error("{part} is signed by this provider but missing from the request")]
    PartMissing {
        /// The part, such as `the header webhook-id`.
        part: String,
    },
    /// The time of signing is not a whole number of seconds.
    #[error("the signature's timestamp is not a whole number of seconds since 1970")]
    TimestampMalformed,
    /// No configured secret gives any of the signatures.
    #[error(
        "none of the {candidates} signature(s) in {header} was made with the configured secret(s) over these bytes: \
         the secret is another one, or the body was changed on its way"
    )]
    SignatureMismatch {
        /// The header.
        header: String,
        /// How many signatures were tried.
        candidates: usize,
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
}

impl Refusal {
    /// The stable code that the sender sees.
    pub fn code(&self) -> &'static str {
        match self {
            Self::SignatureMissing { .. } => "signature_missing",
            Self::SignatureMalformed { .. } => "signature_malformed",
            Self::PartMissing { .. } => "signed_part_missing",
            Self::TimestampMalformed => "timestamp_malformed",
            Self::SignatureMismatch { .. } => "signature_mismatch",
            Self::TimestampStale { .. } => "timestamp_stale",
            Self::TimestampAhead { .. } => "timestamp_ahead",
        }
    }
}
