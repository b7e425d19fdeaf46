//! A way of signing in words, for `pack list` and `pack show`.

use super::alternative::Alternative;
use super::spec::{Covers, Digest, SchemeName};
use super::template::Template;
use super::timestamp::Stamp;

impl Alternative {
    /// One sentence for people.
    pub(super) fn describe(&self) -> String {
        let place = self.place.as_ref().map(|place| place.spot.describe()).unwrap_or_default();
        let mut signed = self.signed.first().map(Template::describe).unwrap_or_default();
        if let Some(fields) = &self.fields {
            signed = format!("{signed} (all fields but {})", fields.excluded().join(", "));
        }
        let age = self.timestamp.as_ref().map_or_else(|| ", without a timestamp".to_owned(), Stamp::describe);
        let digest = match self.digest {
            Digest::Md5 => "MD5",
            Digest::Sha1 => "SHA-1",
            Digest::Sha256 => "SHA-256",
            Digest::Sha512 => "SHA-512",
            Digest::Sha3_256 => "SHA3-256",
        };
        let also = if self.also_basic { "; and HTTP Basic where it is configured" } else { "" };
        let each = if self.each.is_some() { " of each item" } else { "" };
        let text = match self.scheme {
            SchemeName::Hmac => format!("HMAC-{digest} over {signed}{each}, in {place}{age}"),
            SchemeName::Hash => format!("{digest} over {signed}, in {place}{age}"),
            SchemeName::Rsa => format!("RSA with {digest} over {signed}, in {place}{age}"),
            SchemeName::EcdsaP256 => format!("ECDSA P-256 over {signed}, in {place}{age}"),
            SchemeName::Ed25519 => format!("Ed25519 over {signed}, in {place}{age}"),
            SchemeName::Certificate => format!("RSA with {digest} by a certificate over {signed}, in {place}{age}"),
            SchemeName::EncryptedHash => format!("{digest} over {signed}, encrypted with AES-128, in {place}"),
            SchemeName::Equal => format!("the secret itself, in {place}"),
            SchemeName::Basic => "HTTP Basic".to_owned(),
            SchemeName::Unsigned => "nothing: UNSIGNED, only path_token or allow_ips".to_owned(),
        };
        let binds = match self.covers {
            Covers::Nothing if self.scheme != SchemeName::Unsigned => "; it does not bind the body",
            Covers::Nothing | Covers::Body | Covers::Fields => "",
        };
        format!("{text}{also}{binds}")
    }
}
