//! A checked scheme and its one question: is this request genuine?

use hmac::Mac as _;

use super::Verified;
use super::key::Keys;
use super::refusal::Refusal;
use super::signature::{Grammar, Place};
use super::spec::{Bound, Digest, Format, KeyForm, SchemeName, Spec, TimestampSpec};
use crate::domain::{Faults, Request, Secret};

/// How a provider signs, checked and ready to judge requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scheme {
    pub(super) signed: Vec<Segment>,
    pub(super) place: Place,
    pub(super) timestamp: Option<Stamp>,
    forms: Vec<KeyForm>,
}

/// One piece of what is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Segment {
    Literal(String),
    Body,
    Timestamp,
    Url,
    Header(String),
}

/// Where the time of signing stands, and its bounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) place: StampPlace,
    max_age_secs: u32,
    max_ahead_secs: Bound,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum StampPlace {
    Header(String),
    Member(String),
}

impl Scheme {
    /// Checks the `[verify]` table of a pack. Faults carry `file` and the key.
    ///
    /// # Errors
    /// Every fault that was found.
    pub fn new(spec: &Spec, file: &str) -> Result<Self, Faults> {
        let SchemeName::Hmac = spec.scheme;
        let Digest::Sha256 = spec.digest;
        let mut faults = Faults::default();
        let signed = segments(&spec.signed).unwrap_or_else(|cause| {
            faults.add(file, "verify.signed", cause);
            Vec::new()
        });
        if signed.iter().filter(|segment| **segment == Segment::Body).count() != 1 {
            faults.add(file, "verify.signed", "must hold {body} exactly once, or a body could be changed unseen");
        }
        if spec.keys.is_empty() {
            faults.add(file, "verify.keys", "name at least one form, such as \"utf8\"");
        }
        let place = place(spec, file, &mut faults);
        let timestamp = stamp(spec, &signed, file, &mut faults);
        faults.or(Self { signed, place, timestamp, forms: spec.keys.clone() })
    }

    /// The keys of a source's secrets under this scheme.
    ///
    /// # Errors
    /// The position of the first secret that cannot be a key, and why.
    pub fn keys(&self, secrets: &[Secret]) -> Result<Keys, (usize, super::KeyError)> {
        Keys::new(secrets, &self.forms)
    }

    /// The one door to [`Verified`].
    ///
    /// # Errors
    /// The part that disagreed.
    pub fn verify(&self, keys: &Keys, request: Request) -> Result<Verified, Refusal> {
        self.judge(keys, &request)?;
        Ok(Verified(request))
    }

    /// Judges a request as of its receipt, without taking it.
    ///
    /// # Errors
    /// The part that disagreed. A wrong signature is named before a stale timestamp, so that only a sender who holds the
    /// secret learns of the clock.
    pub fn judge(&self, keys: &Keys, request: &Request) -> Result<(), Refusal> {
        let candidates = self.place.candidates(&request.headers)?;
        let timestamp = self.timestamp.as_ref().map(|stamp| stamp.read(&self.place, request)).transpose()?;
        let is_genuine = self.parts(request, timestamp.as_deref()).map(|parts| {
            keys.iter().any(|key| {
                let mut mac = key.clone();
                parts.iter().for_each(|part| mac.update(part));
                candidates.iter().any(|candidate| mac.clone().verify_slice(candidate).is_ok())
            })
        })?;
        if !is_genuine {
            return Err(Refusal::SignatureMismatch { header: self.place.header.clone(), candidates: candidates.len() });
        }
        match (&self.timestamp, timestamp) {
            (Some(stamp), Some(text)) => stamp.judge(&text, request),
            (None, _) | (_, None) => Ok(()),
        }
    }

    /// The headers that are covered by the signature, so that their values can be trusted.
    pub fn signed_headers(&self) -> impl Iterator<Item = &str> {
        self.signed.iter().filter_map(|segment| match segment {
            Segment::Header(name) => Some(name.as_str()),
            Segment::Literal(_) | Segment::Body | Segment::Timestamp | Segment::Url => None,
        })
    }

    /// True where the provider signs the URL that it was given.
    pub fn signs_url(&self) -> bool {
        self.signed.contains(&Segment::Url)
    }

    /// The header that holds the signature.
    pub fn signature_header(&self) -> &str {
        &self.place.header
    }

    /// The header that holds nothing but the time of signing, where there is one.
    pub fn timestamp_header(&self) -> Option<&str> {
        match &self.timestamp.as_ref()?.place {
            StampPlace::Header(name) => Some(name),
            StampPlace::Member(_) => None,
        }
    }

    /// One sentence for `pack show`.
    pub fn describe(&self) -> String {
        let signed: String = self.signed.iter().map(Segment::describe).collect();
        let age = match &self.timestamp {
            Some(stamp) => format!(", refused when older than {} s at receipt", stamp.max_age_secs),
            None => ", without a timestamp".to_owned(),
        };
        format!("HMAC-SHA256 over {signed}, in the header {}{age}", self.place.header)
    }

    /// The bytes that are signed, piece by piece.
    pub(super) fn parts<'a>(&'a self, request: &'a Request, timestamp: Option<&'a str>) -> Result<Vec<&'a [u8]>, Refusal> {
        let missing = |part: &str| Refusal::PartMissing { part: part.to_owned() };
        self.signed
            .iter()
            .map(|segment| match segment {
                Segment::Literal(text) => Ok(text.as_bytes()),
                Segment::Body => Ok(request.body.as_slice()),
                Segment::Timestamp => timestamp.map(str::as_bytes).ok_or_else(|| missing("the timestamp")),
                Segment::Url => request.url.as_deref().map(str::as_bytes).ok_or_else(|| missing("the URL")),
                Segment::Header(name) => {
                    request.headers.one(name).map(str::as_bytes).ok_or_else(|| missing(&format!("the header {name}")))
                }
            })
            .collect()
    }
}

impl Segment {
    fn describe(&self) -> String {
        match self {
            Self::Literal(text) => text.clone(),
            Self::Body => "{body}".to_owned(),
            Self::Timestamp => "{timestamp}".to_owned(),
            Self::Url => "{url}".to_owned(),
            Self::Header(name) => format!("{{{name}}}"),
        }
    }
}

impl Stamp {
    fn read(&self, signature: &Place, request: &Request) -> Result<String, Refusal> {
        let text = match &self.place {
            StampPlace::Header(name) => request.headers.one(name).map(str::to_owned),
            StampPlace::Member(label) => signature.member(&request.headers, label)?,
        };
        text.ok_or_else(|| Refusal::PartMissing { part: "the timestamp".to_owned() })
    }

    fn judge(&self, text: &str, request: &Request) -> Result<(), Refusal> {
        let is_plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let signed_at: i64 = text.parse().ok().filter(|_| is_plain).ok_or(Refusal::TimestampMalformed)?;
        let age_secs = request.received_at.as_second().saturating_sub(signed_at);
        if age_secs > i64::from(self.max_age_secs) {
            return Err(Refusal::TimestampStale { age_secs, allowed_secs: self.max_age_secs });
        }
        match self.max_ahead_secs {
            Bound::Secs(allowed_secs) if age_secs.saturating_neg() > i64::from(allowed_secs) => {
                Err(Refusal::TimestampAhead { ahead_secs: age_secs.saturating_neg(), allowed_secs })
            }
            Bound::Secs(_) | Bound::Any => Ok(()),
        }
    }
}

/// Takes `{timestamp}.{body}` apart.
fn segments(text: &str) -> Result<Vec<Segment>, String> {
    let mut segments = Vec::new();
    let mut rest = text;
    while let Some((literal, tail)) = rest.split_once('{') {
        if !literal.is_empty() {
            segments.push(Segment::Literal(literal.to_owned()));
        }
        let (token, tail) = tail.split_once('}').ok_or("a { is never closed")?;
        segments.push(match token {
            "body" => Segment::Body,
            "timestamp" => Segment::Timestamp,
            "url" => Segment::Url,
            _ => match token.strip_prefix("header:") {
                Some(name) if is_header_name(name) => Segment::Header(name.to_ascii_lowercase()),
                Some(_) | None => {
                    return Err(format!("{{{token}}} is unknown: use {{body}}, {{timestamp}}, {{url}} or {{header:NAME}}"));
                }
            },
        });
        rest = tail;
    }
    if rest.contains('}') {
        return Err("a } without its {".to_owned());
    }
    if !rest.is_empty() {
        segments.push(Segment::Literal(rest.to_owned()));
    }
    Ok(segments)
}

/// True for a name that HTTP allows (RFC 9110, section 5.6.2, without the odd characters).
pub(crate) fn is_header_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

fn place(spec: &Spec, file: &str, faults: &mut Faults) -> Place {
    let signature = &spec.signature;
    if !is_header_name(&signature.header) {
        faults.add(file, "verify.signature.header", "is not a header name");
    }
    let grammar = match (signature.format, signature.separator, &signature.label) {
        (Format::Plain, None, None) => Grammar::Plain,
        (Format::Plain, ..) => {
            faults.add(file, "verify.signature", "separator and label belong to the formats pairs and versions");
            Grammar::Plain
        }
        (format @ (Format::Pairs | Format::Versions), Some(between), Some(label)) if !label.is_empty() => {
            let inside = Grammar::inside(format);
            if between == inside {
                faults.add(file, "verify.signature.separator", format!("{between} already stands inside a member"));
            }
            Grammar::Members { between, inside, label: label.clone() }
        }
        (Format::Pairs | Format::Versions, ..) => {
            faults.add(file, "verify.signature", "this format needs a separator and a label");
            Grammar::Plain
        }
    };
    Place { header: signature.header.clone(), grammar, encoding: spec.encoding }
}

fn stamp(spec: &Spec, signed: &[Segment], file: &str, faults: &mut Faults) -> Option<Stamp> {
    let is_signed = signed.contains(&Segment::Timestamp);
    let Some(TimestampSpec { header, label, max_age_secs, max_ahead_secs }) = &spec.timestamp else {
        if is_signed {
            faults.add(file, "verify.timestamp", "is missing, though verify.signed holds {timestamp}");
        }
        return None;
    };
    if !is_signed {
        faults.add(file, "verify.timestamp", "is useless unless verify.signed holds {timestamp}: anyone could change it");
    }
    let place = match (header, label) {
        (Some(header), None) if is_header_name(header) => StampPlace::Header(header.clone()),
        (None, Some(label)) if spec.signature.format == Format::Pairs => StampPlace::Member(label.clone()),
        (Some(_) | None, Some(_) | None) => {
            faults.add(file, "verify.timestamp", "needs either header, or label where the signature's format is pairs");
            return None;
        }
    };
    Some(Stamp { place, max_age_secs: *max_age_secs, max_ahead_secs: *max_ahead_secs })
}
