//! From configured secrets to keys that are ready to use.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use hmac::{Hmac, KeyInit as _};
use sha2::Sha256;

use super::spec::KeyForm;
use crate::domain::Secret;

/// Secrets lose their padding when people copy them; the vendors' own libraries put it back.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

pub(super) type Mac = Hmac<Sha256>;

/// Every key that the secrets of a source can be: any of them may match.
#[derive(Clone)]
pub struct Keys(Vec<Mac>);

/// A secret that cannot be a key of this provider. The operator's to mend.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Nothing but white space, which protects nothing.
    #[error("the secret is empty")]
    Blank,
    /// None of the pack's key forms fits.
    #[error("the secret is not of the form this provider hands out ({forms})")]
    Form {
        /// The forms that were tried.
        forms: String,
    },
}

impl Keys {
    /// Makes the keys of several secrets, each in every form that fits, in order.
    ///
    /// # Errors
    /// The first secret that fits no form, with its position.
    pub fn new(secrets: &[Secret], forms: &[KeyForm]) -> Result<Self, (usize, KeyError)> {
        let mut keys = Vec::new();
        for (index, secret) in secrets.iter().enumerate() {
            if secret.is_blank() {
                return Err((index, KeyError::Blank));
            }
            let before = keys.len();
            keys.extend(forms.iter().filter_map(|form| key_bytes(secret, *form)).map(|bytes| mac(&bytes)));
            if keys.len() == before {
                let forms = forms.iter().map(|form| format!("{form:?}")).collect::<Vec<_>>().join(", ");
                return Err((index, KeyError::Form { forms }));
            }
        }
        Ok(Self(keys))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Mac> {
        self.0.iter()
    }
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} keys [redacted]", self.0.len())
    }
}

fn key_bytes(secret: &Secret, form: KeyForm) -> Option<Vec<u8>> {
    let text = secret.expose();
    let bytes = match form {
        KeyForm::Utf8 => text.as_bytes().to_vec(),
        KeyForm::WhsecBase64 => LENIENT.decode(text.strip_prefix("whsec_").unwrap_or(text)).ok()?,
    };
    (!bytes.is_empty()).then_some(bytes)
}

fn mac(key: &[u8]) -> Mac {
    Mac::new_from_slice(key).expect("HMAC takes keys of any length")
}
