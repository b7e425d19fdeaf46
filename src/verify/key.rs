//! From configured secrets to keys that are ready to use.

use base64::Engine as _;
use hmac::{Hmac, KeyInit, Mac as _, SimpleHmac};
use md5::Md5;
use sha1::Sha1;
use sha2::{Digest as _, Sha256, Sha512};
use sha3::Sha3_256;

use super::public::PublicKey;
use super::signature::BASE64;
use super::spec::{Digest, KeyForm, SchemeName};
use crate::domain::Secret;

/// A key that is ready to use.
#[derive(Clone)]
pub(super) enum Key {
    Mac(Box<Mac>),
    Cipher([u8; 16]),
    Public(PublicKey),
}

/// A keyed hash that has taken its key, and nothing else yet.
#[derive(Clone)]
pub(super) enum Mac {
    Md5(Hmac<Md5>),
    Sha1(Hmac<Sha1>),
    Sha256(Hmac<Sha256>),
    Sha512(Hmac<Sha512>),
    Sha3(SimpleHmac<Sha3_256>),
}

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

impl Mac {
    /// A keyed hash with this key.
    pub(super) fn new(digest: Digest, key: &[u8]) -> Self {
        fn keyed<M: KeyInit>(key: &[u8]) -> M {
            M::new_from_slice(key).expect("HMAC takes keys of any length")
        }
        match digest {
            Digest::Md5 => Self::Md5(keyed(key)),
            Digest::Sha1 => Self::Sha1(keyed(key)),
            Digest::Sha256 => Self::Sha256(keyed(key)),
            Digest::Sha512 => Self::Sha512(keyed(key)),
            Digest::Sha3_256 => Self::Sha3(keyed(key)),
        }
    }

    /// The hash of these parts, one after the other.
    pub(super) fn of<P: AsRef<[u8]>>(&self, parts: &[P]) -> Vec<u8> {
        macro_rules! finish {
            ($mac:expr) => {{
                let mut mac = $mac.clone();
                parts.iter().for_each(|part| mac.update(part.as_ref()));
                mac.finalize().into_bytes().to_vec()
            }};
        }
        match self {
            Self::Md5(mac) => finish!(mac),
            Self::Sha1(mac) => finish!(mac),
            Self::Sha256(mac) => finish!(mac),
            Self::Sha512(mac) => finish!(mac),
            Self::Sha3(mac) => finish!(mac),
        }
    }
}

/// The plain hash of these parts, one after the other.
pub(super) fn hash<P: AsRef<[u8]>>(digest: Digest, parts: &[P]) -> Vec<u8> {
    fn of<D: sha2::Digest, P: AsRef<[u8]>>(parts: &[P]) -> Vec<u8> {
        let mut hash = D::new();
        parts.iter().for_each(|part| hash.update(part.as_ref()));
        hash.finalize().to_vec()
    }
    match digest {
        Digest::Md5 => of::<Md5, P>(parts),
        Digest::Sha1 => of::<Sha1, P>(parts),
        Digest::Sha256 => of::<Sha256, P>(parts),
        Digest::Sha512 => of::<Sha512, P>(parts),
        Digest::Sha3_256 => of::<Sha3_256, P>(parts),
    }
}

/// The keys that a secret can be, in the order of the forms.
///
/// # Errors
/// It is blank, or fits none of the forms.
pub(super) fn keys_of(secret: &Secret, scheme: SchemeName, digest: Digest, forms: &[KeyForm]) -> Result<Vec<Key>, KeyError> {
    if secret.is_blank() {
        return Err(KeyError::Blank);
    }
    let keys: Vec<Key> = forms.iter().filter_map(|form| key_of(secret.expose(), scheme, digest, *form)).collect();
    if keys.is_empty() && !forms.is_empty() {
        let forms = forms.iter().map(|form| format!("{form:?}")).collect::<Vec<_>>().join(", ");
        return Err(KeyError::Form { forms });
    }
    Ok(keys)
}

fn key_of(text: &str, scheme: SchemeName, digest: Digest, form: KeyForm) -> Option<Key> {
    let bytes = match form {
        KeyForm::Utf8 => text.as_bytes().to_vec(),
        KeyForm::Base64 => BASE64.decode(text.trim()).ok()?,
        KeyForm::WhsecBase64 => BASE64.decode(text.strip_prefix("whsec_").unwrap_or(text)).ok()?,
        KeyForm::Hex => hex::decode(text.trim()).ok()?,
        KeyForm::Sha1 => Sha1::digest(text.as_bytes()).to_vec(),
        KeyForm::HtmlDecoded => html_decoded(text).into_bytes(),
        KeyForm::HtmlEncoded => html_encoded(text).into_bytes(),
        KeyForm::Pem => return PublicKey::from_pem(text, scheme, digest).map(Key::Public),
        KeyForm::WhpkBase64 => {
            let raw = BASE64.decode(text.strip_prefix("whpk_").unwrap_or(text)).ok()?;
            return PublicKey::ed25519(&raw).map(Key::Public);
        }
    };
    if bytes.is_empty() {
        return None;
    }
    match scheme {
        SchemeName::EncryptedHash => bytes.try_into().ok().map(Key::Cipher),
        SchemeName::Hmac
        | SchemeName::Hash
        | SchemeName::Rsa
        | SchemeName::EcdsaP256
        | SchemeName::Ed25519
        | SchemeName::Certificate
        | SchemeName::Equal
        | SchemeName::Basic
        | SchemeName::Unsigned => Some(Key::Mac(Box::new(Mac::new(digest, &bytes)))),
    }
}

/// As PHP's `htmlspecialchars_decode` and WordPress' `wp_specialchars_decode` with both quotes.
fn html_decoded(text: &str) -> String {
    let quotes = [("&quot;", "\""), ("&#039;", "'"), ("&#39;", "'"), ("&#x27;", "'"), ("&apos;", "'")];
    let decoded = quotes.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to));
    decoded.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

/// As PHP's `htmlspecialchars` with both quotes.
fn html_encoded(text: &str) -> String {
    let encoded = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    encoded.replace('"', "&quot;").replace('\'', "&#039;")
}
