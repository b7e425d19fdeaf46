//! Questions that only explain a refusal: what would have matched. No answer to them is a [`super::Verified`], and none opens a door.

use std::collections::BTreeSet;

use super::alternative::Alternative;
use super::input::Input;
use super::keys::{Keys, Secrets};
use super::public::Chain;
use super::refusal::Refusal;
use super::scheme::Scheme;
use super::spec::{Covers, SchemeName};
use crate::domain::{Request, Secret};

impl Scheme {
    /// True where these keys made the signature that the request carries, however old it is. Never true of a way that has none.
    pub(crate) fn is_made_with(&self, keys: &Keys, request: &Request, certificate: Option<&Chain>) -> bool {
        let is_signed = self.way(keys, request).is_some_and(|way| way.scheme != SchemeName::Unsigned);
        is_signed
            && match self.judge_signature(keys, request, certificate) {
                // These are looked at only once the signature was found right.
                Ok(()) | Err(Refusal::TimestampStale { .. } | Refusal::TimestampAhead { .. } | Refusal::TimestampMalformed) => {
                    true
                }
                Err(
                    Refusal::SignatureMissing { .. }
                    | Refusal::NoWayFits { .. }
                    | Refusal::SignatureMalformed { .. }
                    | Refusal::PartMissing { .. }
                    | Refusal::FieldRepeated
                    | Refusal::SignatureMismatch { .. }
                    | Refusal::SecretMismatch { .. }
                    | Refusal::CertificateRefused { .. }
                    | Refusal::CertificateUnavailable { .. }
                    | Refusal::PathToken
                    | Refusal::AddressNotAllowed,
                ) => false,
            }
    }

    /// The keys of the same source, had its secrets been written in another way; `None` where none of them changes, or where what
    /// they become cannot be keys.
    pub(crate) fn keys_if(&self, keys: &Keys, change: impl Fn(&str) -> Option<String>) -> Option<Keys> {
        let mut is_changed = false;
        let mut changed = |secret: &Secret| match change(secret.expose()).filter(|text| text != secret.expose()) {
            Some(text) => {
                is_changed = true;
                Secret::new(text)
            }
            None => secret.clone(),
        };
        let unnamed = keys.secrets.unnamed.iter().map(&mut changed).collect();
        let named = keys.secrets.named.iter().map(|(name, secret)| (name.clone(), changed(secret))).collect();
        let secrets = Secrets { unnamed, named, ..keys.secrets.clone() };
        if is_changed { self.keys(secrets).ok() } else { None }
    }

    /// True where the signature of this request binds its body, or fields of it.
    pub(crate) fn binds_body_of(&self, keys: &Keys, request: &Request) -> bool {
        self.way(keys, request).is_some_and(|way| way.covers != Covers::Nothing)
    }

    /// True where some way takes a secret that its provider shares with its user, rather than only public keys of the provider.
    pub(crate) fn shares_secret(&self) -> bool {
        self.alternatives.iter().any(|way| match way.scheme {
            SchemeName::Hmac | SchemeName::Hash | SchemeName::EncryptedHash | SchemeName::Equal | SchemeName::Basic => true,
            SchemeName::Rsa | SchemeName::EcdsaP256 | SchemeName::Ed25519 | SchemeName::Certificate | SchemeName::Unsigned => {
                false
            }
        })
    }

    /// Where signatures may stand, of the ways for which there are secrets, such as `the header stripe-signature`.
    pub(crate) fn signature_places(&self, keys: &Keys) -> Vec<String> {
        let usable = self.alternatives.iter().zip(&keys.alternatives).filter(|(_, keys)| keys.is_some());
        let mut places: Vec<String> = Vec::new();
        for (way, _) in usable {
            let place = match &way.place {
                Some(place) => place.spot.describe(),
                None if way.scheme == SchemeName::Basic => "the header authorization".to_owned(),
                None => continue,
            };
            if !places.contains(&place) {
                places.push(place);
            }
        }
        places
    }

    /// The headers that hold a signature, the time of signing or a password, and must not be shown.
    pub fn private_headers(&self) -> BTreeSet<&str> {
        let is_basic = self.alternatives.iter().any(|way| way.scheme == SchemeName::Basic || way.also_basic);
        self.own_headers().into_iter().chain(is_basic.then_some("authorization")).collect()
    }

    fn way(&self, keys: &Keys, request: &Request) -> Option<&Alternative> {
        let input = Input::new(request, &self.envelope, &self.shape);
        self.choose(keys, &input).ok().map(|(way, _)| way)
    }
}
