//! The grammars of signature headers. Values are only taken apart here, never judged.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::refusal::Refusal;
use super::spec::{Encoding, Format};
use crate::domain::Headers;

/// A header longer than this is not a signature.
const HEADER_LIMIT_BYTES: usize = 8 * 1024;
/// Nobody signs with more keys at once; more members would only cost us time.
const CANDIDATE_LIMIT: usize = 32;

/// Where signatures stand and how they are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) header: String,
    pub(super) grammar: Grammar,
    pub(super) encoding: Encoding,
}

/// A checked [`Format`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Grammar {
    Plain,
    Members { between: char, inside: char, label: String },
}

impl Grammar {
    /// The character between label and value.
    pub(super) fn inside(format: Format) -> char {
        match format {
            Format::Versions => ',',
            Format::Plain | Format::Pairs => '=',
        }
    }
}

impl Place {
    /// Every signature that the request carries, decoded. Members that are not of the right form cannot match and are
    /// passed over, but something must be left.
    pub(super) fn candidates(&self, headers: &Headers) -> Result<Vec<Vec<u8>>, Refusal> {
        let mut found = Vec::new();
        let mut is_present = false;
        for value in headers.all(&self.header) {
            is_present = true;
            if value.len() > HEADER_LIMIT_BYTES {
                return Err(self.malformed("it is longer than any signature"));
            }
            match &self.grammar {
                Grammar::Plain => found.extend(self.decode(value.trim())),
                Grammar::Members { between, inside, label } => found.extend(
                    members(value, *between, *inside).filter(|(name, _)| name == label).filter_map(|(_, text)| self.decode(text)),
                ),
            }
        }
        match found.len() {
            _ if !is_present => Err(Refusal::SignatureMissing { header: self.header.clone() }),
            0 => Err(self.malformed("it holds no signature of the provider's form")),
            count if count > CANDIDATE_LIMIT => Err(self.malformed("it holds too many signatures")),
            _ => Ok(found),
        }
    }

    /// The text of the only member with this label, where the header is a list of pairs.
    pub(super) fn member(&self, headers: &Headers, wanted: &str) -> Result<Option<String>, Refusal> {
        let Grammar::Members { between, inside, .. } = &self.grammar else { return Ok(None) };
        let mut found: Option<String> = None;
        for value in headers.all(&self.header).filter(|value| value.len() <= HEADER_LIMIT_BYTES) {
            for (_, text) in members(value, *between, *inside).filter(|(name, _)| *name == wanted) {
                if found.as_deref().is_some_and(|known| known != text) {
                    return Err(self.malformed("it holds two different timestamps"));
                }
                found = Some(text.to_owned());
            }
        }
        Ok(found)
    }

    /// A signature as its header is written, with the members of `others` (a timestamp) before it.
    pub(super) fn write(&self, signature: &[u8], others: &[(String, String)]) -> String {
        let text = match self.encoding {
            Encoding::Hex => hex::encode(signature),
            Encoding::Base64 => STANDARD.encode(signature),
        };
        match &self.grammar {
            Grammar::Plain => text,
            Grammar::Members { between, inside, label } => {
                let last = (label.clone(), text);
                let parts = others.iter().chain(std::iter::once(&last));
                parts.map(|(name, value)| format!("{name}{inside}{value}")).collect::<Vec<_>>().join(&between.to_string())
            }
        }
    }

    fn decode(&self, text: &str) -> Option<Vec<u8>> {
        match self.encoding {
            Encoding::Hex => hex::decode(text).ok(),
            Encoding::Base64 => STANDARD.decode(text).ok(),
        }
    }

    fn malformed(&self, why: &'static str) -> Refusal {
        Refusal::SignatureMalformed { header: self.header.clone(), why }
    }
}

/// The `label<inside>value` members of a header, trimmed.
fn members(value: &str, between: char, inside: char) -> impl Iterator<Item = (&str, &str)> {
    value.split(between).filter_map(move |member| member.split_once(inside)).map(|(name, text)| (name.trim(), text.trim()))
}
