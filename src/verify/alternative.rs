//! One way in which a provider signs, checked, and its question: is this request genuine?

use std::collections::BTreeSet;

use aes::Aes128;
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockModeDecrypt as _, KeyIvInit as _};

use super::basic;
use super::fields::Fields;
use super::input::{Input, View};
use super::key::{Key, hash, keys_of};
use super::keys::{Candidate, KeyFault, Keys, Secrets, is_same};
use super::public::Chain;
use super::refusal::Refusal;
use super::signature::{Grammar, Label, Place, Spot};
use super::spec::{Covers, Digest, KeyForm, SchemeName};
use super::template::{Template, Values};
use super::timestamp::{Stamp, StampPlace};
use super::token::What;
use crate::domain::{Request, Secret};
use crate::envelope::Path;

/// The named secrets of HTTP Basic.
pub(super) const BASIC: [&str; 2] = ["username", "password"];

/// One way in which a provider signs.
#[derive(Debug, Clone)]
pub(super) struct Alternative {
    pub(super) name: Option<String>,
    pub(super) guard: Option<Guard>,
    pub(super) scheme: SchemeName,
    pub(super) covers: Covers,
    pub(super) digest: Digest,
    pub(super) forms: Vec<KeyForm>,
    /// The named secret that is the key; else the unnamed ones are.
    pub(super) secret: Option<String>,
    pub(super) signed: Vec<Template>,
    pub(super) fields: Option<Fields>,
    pub(super) each: Option<Path>,
    pub(super) place: Option<Place>,
    pub(super) timestamp: Option<Stamp>,
    pub(super) also_basic: bool,
    pub(super) certificate: Option<Certificate>,
    pub(super) cipher: Option<Cipher>,
    pub(super) ips: Vec<String>,
}

/// When an alternative is the one to judge by.
#[derive(Debug, Clone)]
pub(super) struct Guard {
    pub(super) spot: Spot,
    pub(super) wanted: Wanted,
}

#[derive(Debug, Clone)]
pub(super) enum Wanted {
    Is(Vec<String>),
    Exists(bool),
}

/// Which certificates are believed.
#[derive(Debug, Clone)]
pub(super) struct Certificate {
    pub(super) header: String,
    pub(super) host: String,
    pub(super) names: Vec<String>,
}

/// How a hash is encrypted.
#[derive(Debug, Clone)]
pub(super) struct Cipher {
    pub(super) iv: [u8; 16],
    pub(super) salt_chars: usize,
}

impl Guard {
    fn holds(&self, view: View<'_>) -> bool {
        let values = self.spot.read(view);
        let mut values = values.iter().map(|value| value.trim()).filter(|value| !value.is_empty());
        match &self.wanted {
            Wanted::Is(wanted) => values.any(|value| wanted.iter().any(|known| known == value)),
            Wanted::Exists(exists) => values.next().is_some() == *exists,
        }
    }
}

impl Alternative {
    /// Whether this is the way to judge the request by.
    pub(super) fn fits(&self, input: &Input<'_>) -> bool {
        self.guard.as_ref().is_none_or(|guard| guard.holds(input.view()))
    }

    /// The keys of a source's secrets; `None` where the source lacks a secret that this way needs.
    pub(super) fn keys(&self, secrets: &Secrets, faults: &mut Vec<KeyFault>) -> Option<Vec<Candidate>> {
        if self.scheme == SchemeName::Unsigned {
            let has_door = secrets.path_token.is_some() || !secrets.allow_ips.is_empty();
            return has_door.then(Vec::new);
        }
        if self.also_basic {
            let [user, password] = BASIC.map(|name| secrets.named.contains_key(name));
            let missing = if user { BASIC[1] } else { BASIC[0] };
            if user != password {
                let cause = format!("is missing: {} and {} go together", BASIC[0], BASIC[1]);
                faults.push(KeyFault { key: format!("named_secrets.{missing}"), cause });
            }
        }
        if !self.named_secrets().iter().all(|name| secrets.named.contains_key(name)) {
            return None;
        }
        let own: Vec<(String, &Secret)> = match &self.secret {
            Some(name) => secrets.named.get(name).map(|secret| (format!("named_secrets.{name}"), secret)).into_iter().collect(),
            None => secrets.unnamed.iter().enumerate().map(|(index, secret)| (format!("secrets[{index}]"), secret)).collect(),
        };
        if !self.uses_own_secret() {
            return Some(vec![Candidate { secret: None, keys: Vec::new() }]);
        }
        let mut candidates = Vec::new();
        for (key, secret) in own {
            match keys_of(secret, self.scheme, self.digest, &self.forms) {
                Ok(keys) => candidates.push(Candidate { secret: Some(secret.clone()), keys }),
                Err(error) => faults.push(KeyFault { key, cause: error.to_string() }),
            }
        }
        (!candidates.is_empty()).then_some(candidates)
    }

    /// Whether `secrets` of a source, or the one that `secret` names, have a part in it.
    pub(super) fn uses_own_secret(&self) -> bool {
        let is_key = match self.scheme {
            SchemeName::Hmac
            | SchemeName::Rsa
            | SchemeName::EcdsaP256
            | SchemeName::Ed25519
            | SchemeName::EncryptedHash
            | SchemeName::Equal => true,
            SchemeName::Hash | SchemeName::Certificate | SchemeName::Basic | SchemeName::Unsigned => false,
        };
        is_key || self.tokens().any(|what| matches!(what, What::Secret(None)))
    }

    /// The named secrets without which this way cannot be gone.
    pub(super) fn named_secrets(&self) -> BTreeSet<String> {
        let mut names: BTreeSet<String> = self.secret.iter().cloned().collect();
        names
            .extend(self.tokens().filter_map(|what| if let What::Secret(Some(name)) = what { Some(name.clone()) } else { None }));
        if let Some(Place { grammar: Grammar::Members { labels, .. }, .. }) = &self.place {
            names.extend(
                labels.iter().filter_map(|label| if let Label::Secret(name) = label { Some(name.clone()) } else { None }),
            );
        }
        if self.scheme == SchemeName::Basic {
            names.extend(BASIC.map(str::to_owned));
        }
        names
    }

    pub(super) fn tokens(&self) -> impl Iterator<Item = &What> {
        self.signed.iter().flat_map(Template::tokens).map(|token| &token.what)
    }

    /// The paths into the body that are looked at before anything is believed, as seen from the top.
    pub(super) fn paths(&self) -> Vec<&Path> {
        let guard = self.guard.iter().filter_map(|guard| guard.spot.path());
        if let Some(each) = &self.each {
            return guard.chain([each]).collect();
        }
        let place = self.place.iter().filter_map(|place| place.spot.path());
        let stamp = self.timestamp.iter().filter_map(|stamp| match &stamp.place {
            StampPlace::Spot(spot) => spot.path(),
            StampPlace::Member(_) | StampPlace::Position(_) => None,
        });
        let signed = self.signed.iter().flat_map(Template::tokens).flat_map(|token| token.paths());
        let fields = self.fields.iter().filter_map(|fields| fields.object().flatten());
        guard.chain(place).chain(stamp).chain(signed).chain(fields).collect()
    }

    /// True where fields of a form are signed, or hold the signature.
    pub(super) fn looks_at_form(&self) -> bool {
        let fields_of_form = self.fields.as_ref().is_some_and(|fields| fields.object().is_none());
        let reads = |what: &What| matches!(what, What::Form(_)) || (fields_of_form && matches!(what, What::Fields));
        self.tokens().any(reads) || self.place.as_ref().is_some_and(|place| matches!(place.spot, Spot::Form(_)))
    }

    /// True where the whole of the body must be built to write its fields.
    pub(super) fn needs_whole_body(&self) -> bool {
        self.fields.as_ref().is_some_and(|fields| matches!(fields.object(), Some(None)))
    }

    /// Judges a request as of its receipt. A wrong signature is named before a stale timestamp, so that only a sender who holds
    /// the secret learns of the clock.
    pub(super) fn judge(
        &self,
        keys: &Keys,
        candidates: &[Candidate],
        input: &Input<'_>,
        certificate: Option<&Chain>,
    ) -> Result<(), Refusal> {
        let must_be_basic = self.also_basic && BASIC.iter().all(|name| keys.secrets.named.contains_key(*name));
        if must_be_basic || self.scheme == SchemeName::Basic {
            basic::judge(keys, input.request)?;
        }
        if self.looks_at_form() && input.has_repeated_field() {
            return Err(Refusal::FieldRepeated);
        }
        match &self.each {
            None => self.judge_view(keys, candidates, input.view(), certificate),
            Some(each) => {
                let missing = || Refusal::PartMissing { part: format!("the list of items, {}", each.text()) };
                let views = input.items(each).ok_or_else(missing)?;
                views.into_iter().try_for_each(|view| self.judge_view(keys, candidates, view, certificate))
            }
        }
    }

    fn judge_view(
        &self,
        keys: &Keys,
        candidates: &[Candidate],
        view: View<'_>,
        certificate: Option<&Chain>,
    ) -> Result<(), Refusal> {
        let Some(place) = &self.place else { return Ok(()) }; // basic and unsigned, which were judged above
        let named = &keys.secrets.named;
        if self.scheme == SchemeName::Equal {
            let given = place.texts(view, named)?;
            let secrets = candidates.iter().filter_map(|candidate| candidate.secret.as_ref());
            let is_right = secrets
                .flat_map(|secret| given.iter().map(move |text| is_same(secret.expose().as_bytes(), text.as_bytes())))
                .fold(false, |found, is_same| found | is_same);
            return if is_right { Ok(()) } else { Err(Refusal::SecretMismatch { place: place.spot.describe() }) };
        }
        let signatures = place.candidates(view, named)?;
        let timestamp = self.timestamp.as_ref().map(|stamp| stamp.read(place, view)).transpose()?;
        let values = Values {
            named,
            secret: None,
            timestamp: timestamp.as_deref(),
            fields: self.fields.as_ref(),
            salt: None,
            now: None,
            hmac: None,
        };
        let mut is_genuine = false;
        let mut missing = None;
        let mut tried = 0;
        for candidate in candidates {
            let values = Values { secret: candidate.secret.as_ref(), ..values };
            for template in &self.signed {
                match self.is_signed(template, &signatures, &candidate.keys, view, values, keys, certificate) {
                    Ok(is_signed) => {
                        tried += 1;
                        is_genuine |= is_signed;
                    }
                    // Another of several templates may do without what is missing for this one.
                    Err(refusal @ Refusal::PartMissing { .. }) => missing = Some(refusal),
                    Err(refusal) => return Err(refusal),
                }
            }
        }
        match missing {
            Some(refusal) if tried == 0 => return Err(refusal),
            Some(_) | None if is_genuine => {}
            Some(_) | None => {
                return Err(Refusal::SignatureMismatch { place: place.spot.describe(), candidates: signatures.len() });
            }
        }
        match (&self.timestamp, timestamp) {
            (Some(stamp), Some(text)) => stamp.judge(&text, view.input.request),
            (None, _) | (_, None) => Ok(()),
        }
    }

    /// Whether any of the signatures is right for what the template stands for.
    #[expect(clippy::too_many_arguments, reason = "one step of one loop, with all that it looks at")]
    fn is_signed(
        &self,
        template: &Template,
        signatures: &[Vec<u8>],
        keys: &[Key],
        view: View<'_>,
        values: Values<'_>,
        all: &Keys,
        certificate: Option<&Chain>,
    ) -> Result<bool, Refusal> {
        if let Some(cipher) = &self.cipher {
            let is_right = |key: &Key, signature: &Vec<u8>| match key {
                Key::Cipher(key) => self.is_encrypted(cipher, key, signature, template, view, values),
                Key::Mac(_) | Key::Public(_) => false,
            };
            return Ok(keys.iter().any(|key| signatures.iter().any(|signature| is_right(key, signature))));
        }
        let parts = template.render(view, values)?;
        let is_any = |expected: &[u8]| signatures.iter().fold(false, |found, given| found | is_same(expected, given));
        match self.scheme {
            SchemeName::Hash => Ok(is_any(&hash(self.digest, &parts))),
            SchemeName::Certificate => {
                let (Some(rules), Some(chain)) = (&self.certificate, certificate) else {
                    return Err(Refusal::CertificateUnavailable { why: "it was not fetched".to_owned() });
                };
                let at = view.input.request.received_at;
                let signed = chain.signed(&all.secrets.roots, &rules.names, at, &parts.concat(), signatures);
                signed.map_err(|why| Refusal::CertificateRefused { why })
            }
            SchemeName::Hmac
            | SchemeName::Rsa
            | SchemeName::EcdsaP256
            | SchemeName::Ed25519
            | SchemeName::EncryptedHash
            | SchemeName::Equal
            | SchemeName::Basic
            | SchemeName::Unsigned => Ok(keys.iter().fold(false, |found, key| {
                found
                    | match key {
                        Key::Mac(mac) => is_any(&mac.of(&parts)),
                        Key::Public(key) => {
                            let message = parts.concat();
                            signatures.iter().any(|signature| key.signed(&message, signature))
                        }
                        Key::Cipher(_) => false,
                    }
            })),
        }
    }

    /// Whether a signature, decrypted, is the hash of what the template stands for with the salt at its own end.
    fn is_encrypted(
        &self,
        cipher: &Cipher,
        key: &[u8; 16],
        signature: &[u8],
        template: &Template,
        view: View<'_>,
        values: Values<'_>,
    ) -> bool {
        let decryptor = cbc::Decryptor::<Aes128>::new(key.into(), (&cipher.iv).into());
        let Ok(clear) = decryptor.decrypt_padded_vec::<Pkcs7>(signature) else { return false };
        let Some(at) = clear.len().checked_sub(cipher.salt_chars) else { return false };
        let (given, salt) = clear.split_at(at);
        let Ok(salt) = std::str::from_utf8(salt) else { return false };
        let Ok(parts) = template.render(view, Values { salt: Some(salt), ..values }) else { return false };
        is_same(hex::encode(hash(self.digest, &parts)).as_bytes(), &given.to_ascii_lowercase())
    }

    /// The URL of the certificate that the request names, where this way needs one.
    pub(super) fn certificate_url(&self, request: &Request) -> Result<Option<String>, Refusal> {
        let Some(rules) = &self.certificate else { return Ok(None) };
        let url = request.headers.one(&rules.header).unwrap_or_default();
        let refused = |why: &str| Refusal::CertificateRefused { why: why.to_owned() };
        if url.is_empty() {
            return Err(Refusal::PartMissing { part: format!("the header {}", rules.header) });
        }
        let rest = url.strip_prefix("https://").ok_or_else(|| refused("its URL is not https"))?;
        let host = rest.split('/').next().unwrap_or_default();
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
        let is_crooked = rest.contains("//") || rest.contains("/.");
        if url.len() > 500 || is_crooked || !rest.bytes().all(is_plain) {
            return Err(refused("its URL holds more than a plain host and path"));
        }
        let is_inside = host == rules.host || host.strip_suffix(&rules.host).is_some_and(|rest| rest.ends_with('.'));
        if is_inside { Ok(Some(url.to_owned())) } else { Err(refused(&format!("its URL does not lie under {}", rules.host))) }
    }

    /// True for a path to a field that `{fields}` leaves out.
    pub(super) fn leaves_out(&self, path: &str) -> bool {
        self.fields.iter().flat_map(Fields::excluded).any(|name| path == format!("$.{name}") || path == format!("$['{name}']"))
    }

    /// Everything that a source must have to go this way.
    pub(super) fn needs(&self) -> BTreeSet<String> {
        let mut needs = self.named_secrets();
        if self.uses_own_secret() && self.secret.is_none() {
            needs.insert("secrets".to_owned());
        }
        if self.also_basic {
            needs.extend(BASIC.map(str::to_owned));
        }
        needs
    }

    /// The place whose text is the secret itself, or tells it, and must not be kept.
    pub(super) fn secret_spot(&self) -> Option<&Spot> {
        let shows_secret = match self.scheme {
            SchemeName::Equal => true,
            SchemeName::Hash => self.covers == Covers::Nothing,
            SchemeName::Hmac
            | SchemeName::Rsa
            | SchemeName::EcdsaP256
            | SchemeName::Ed25519
            | SchemeName::Certificate
            | SchemeName::EncryptedHash
            | SchemeName::Basic
            | SchemeName::Unsigned => false,
        };
        self.place.as_ref().filter(|_| shows_secret).map(|place| &place.spot)
    }
}
