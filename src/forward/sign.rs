//! Signatures of the Standard Webhooks scheme, version `v1`:
//! <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::domain::{Secret, Timestamp};

/// A key that signs.
#[derive(Clone, PartialEq)]
pub struct SigningKey {
    secret: Secret,
    key: Vec<u8>,
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("[redacted]")
    }
}

impl SigningKey {
    /// A key as it is handed around: `whsec_` and the base64 of 24 to 64 bytes.
    ///
    /// # Errors
    /// What is wrong with it, without it.
    pub fn new(secret: &Secret) -> Result<Self, &'static str> {
        let text = secret.expose().strip_prefix("whsec_").ok_or("must begin with whsec_")?;
        let key = STANDARD.decode(text).map_err(|_| "must be base64 after whsec_")?;
        if !(24..=64).contains(&key.len()) {
            return Err("must be 24 to 64 bytes long; `openssl rand -base64 32` makes one");
        }
        Ok(Self { secret: secret.clone(), key })
    }

    /// The key as it was handed in.
    pub(super) fn secret(&self) -> &Secret {
        &self.secret
    }

    fn sign(&self, id: &str, at: i64, body: &str) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).expect("HMAC takes keys of any length");
        mac.update(format!("{id}.{at}.").as_bytes());
        mac.update(body.as_bytes());
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }
}

/// The headers of a message that is sent at `now`. `id` is the same for every try; the time is that of the try.
pub(super) fn headers(keys: &[SigningKey], id: &str, now: Timestamp, body: &str) -> [(&'static str, String); 3] {
    let at = now.as_second();
    let signatures: Vec<String> = keys.iter().map(|key| key.sign(id, at, body)).collect();
    [("webhook-id", id.to_owned()), ("webhook-timestamp", at.to_string()), ("webhook-signature", signatures.join(" "))]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_libraries_vector_is_met() {
        let secret = Secret::new("whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD");
        let key = SigningKey::new(&secret).expect("a key of 24 bytes");
        let body = r#"{"email":"test@example.com","username":"test_user"}"#;
        let signed = key.sign("msg_27UH4WbU6Z5A5EzD8u03UvzRbpk", 1_649_367_553, body);
        assert_eq!(signed, "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=");
    }

    #[test]
    fn weak_keys_are_refused() {
        for secret in ["", "whsec_", "whsec_c2hvcnQ=", "C2FVsBQIhrscChlQIMV+b5sSYspob7oD", "whsec_%%%"] {
            assert!(SigningKey::new(&Secret::new(secret)).is_err(), "{secret}");
        }
        let long = format!("whsec_{}", STANDARD.encode([7; 65]));
        assert!(SigningKey::new(&Secret::new(long)).is_err());
    }
}
