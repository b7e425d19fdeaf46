//! The other direction: signs a request as its provider would, for `send`, `demo` and tests.

use aes::Aes128;
use base64::Engine as _;
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockModeEncrypt as _, KeyIvInit as _};

use super::alternative::{Alternative, BASIC};
use super::input::Input;
use super::key::{Key, hash};
use super::keys::{Candidate, Keys};
use super::refusal::Refusal;
use super::scheme::Scheme;
use super::spec::SchemeName;
use super::template::Values;
use super::timestamp::StampPlace;
use crate::domain::{Request, Secret};
use crate::envelope::Path;

/// Whoever made it, nobody needs to know what the salt of a sample is.
const SALT: &str = "salt";

/// Why a request cannot be signed here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// A part that is to be signed is missing from the request.
    #[error(transparent)]
    Missing(#[from] Refusal),
    /// The scheme needs a private key.
    #[error("only the provider can sign this way: it alone has the private key")]
    PrivateKey,
    /// The signature stands in a place where none can be put.
    #[error("the signature cannot be put into {0}")]
    Place(String),
}

impl Scheme {
    /// Signs the request as of its `received_at` with the first key of the way that fits it, replacing whatever signature it
    /// carried.
    ///
    /// # Errors
    /// See [`SignError`].
    pub fn sign(&self, keys: &Keys, request: &mut Request) -> Result<(), SignError> {
        request.path_token.clone_from(&keys.secrets.path_token);
        let usable = || self.alternatives.iter().enumerate().filter(|(index, _)| keys.alternatives[*index].is_some());
        let (index, way) = {
            let input = Input::new(request, &self.envelope, &self.shape);
            let fitting = usable().find(|(_, way)| way.fits(&input));
            fitting.or_else(|| usable().next()).expect("keys are made for at least one way")
        };
        let candidate = keys.alternatives[index].as_ref().and_then(|candidates| candidates.first());
        if way.scheme == SchemeName::Basic || way.also_basic && BASIC.iter().all(|name| keys.secrets.named.contains_key(*name)) {
            let [username, password] = BASIC.map(|name| keys.secrets.named.get(name).map_or("", Secret::expose));
            let packed = base64::engine::general_purpose::STANDARD.encode(format!("{username}:{password}"));
            request.headers.set("authorization", format!("Basic {packed}"));
        }
        let Some(candidate) = candidate.filter(|_| way.place.is_some()) else { return Ok(()) };
        match &way.each {
            None => self.sign_once(way, keys, candidate, request),
            Some(each) => self.sign_items(way, each, keys, candidate, request),
        }
    }

    fn sign_once(&self, way: &Alternative, keys: &Keys, candidate: &Candidate, request: &mut Request) -> Result<(), SignError> {
        let Some(place) = &way.place else { return Ok(()) };
        let timestamp = way.timestamp.as_ref().map(|stamp| stamp.write(request.received_at));
        let mut member = None;
        let mut own_timestamp = timestamp.clone();
        match (way.timestamp.as_ref().map(|stamp| &stamp.place), &timestamp) {
            (Some(StampPlace::Spot(spot)), Some(text)) => {
                spot.write(request, text);
                let input = Input::new(request, &self.envelope, &self.shape);
                own_timestamp = spot.read(input.view()).first().map(|text| text.clone().into_owned());
            }
            (Some(StampPlace::Member(label)), Some(text)) => member = Some((label.as_str(), text.as_str())),
            (Some(StampPlace::Position(_)), Some(text)) => member = Some(("", text.as_str())),
            (None, _) | (_, None) => {}
        }
        let signature = {
            let input = Input::new(request, &self.envelope, &self.shape);
            let values = Values {
                named: &keys.secrets.named,
                secret: candidate.secret.as_ref(),
                timestamp: own_timestamp.as_deref(),
                fields: way.fields.as_ref(),
                salt: Some(SALT),
                now: None,
                hmac: None,
            };
            way.signature(candidate, &input, values)?
        };
        place.spot.write(request, &place.write(&signature, member, &keys.secrets.named));
        let input = Input::new(request, &self.envelope, &self.shape);
        if place.spot.read(input.view()).is_empty() { Err(SignError::Place(place.spot.describe())) } else { Ok(()) }
    }

    /// Signs each item as if it were a body of its own, and puts it back.
    fn sign_items(
        &self,
        way: &Alternative,
        each: &Path,
        keys: &Keys,
        candidate: &Candidate,
        request: &mut Request,
    ) -> Result<(), SignError> {
        let failed = || SignError::Place(each.text().to_string());
        let mut document: serde_json::Value = serde_json::from_slice(&request.body).map_err(|_| failed())?;
        let located = serde_json_path::JsonPath::parse(each.text()).map_err(|_| failed())?;
        let pointers: Vec<String> = located.query_located(&document).locations().map(|path| path.to_json_pointer()).collect();
        let single = Self { alternatives: Vec::new(), envelope: self.envelope.clone(), shape: crate::envelope::Shape::whole() };
        for pointer in pointers {
            let item = document.pointer_mut(&pointer).ok_or_else(failed)?;
            let mut inner = Request { body: item.to_string().into_bytes(), ..request.clone() };
            single.sign_once(way, keys, candidate, &mut inner)?;
            *item = serde_json::from_slice(&inner.body).map_err(|_| failed())?;
        }
        request.body = document.to_string().into_bytes();
        Ok(())
    }
}

impl Alternative {
    /// The signature as text, without what stands around it.
    fn signature(&self, candidate: &Candidate, input: &Input<'_>, values: Values<'_>) -> Result<String, SignError> {
        let (Some(place), key) = (&self.place, candidate.keys.first()) else { return Ok(String::new()) };
        if self.scheme == SchemeName::Equal {
            return Ok(candidate.secret.as_ref().map_or("", Secret::expose).to_owned());
        }
        let Some(template) = self.signed.first() else { return Ok(String::new()) };
        let parts = template.render(input.view(), values)?;
        let bytes = match (self.scheme, key) {
            (SchemeName::Hash, _) => hash(self.digest, &parts),
            (_, Some(Key::Mac(mac))) => mac.of(&parts),
            (_, Some(Key::Cipher(key))) => {
                let clear = format!("{}{SALT}", hex::encode(hash(self.digest, &parts)));
                let Some(cipher) = &self.cipher else { return Err(SignError::PrivateKey) };
                cbc::Encryptor::<Aes128>::new(key.into(), (&cipher.iv).into()).encrypt_padded_vec::<Pkcs7>(clear.as_bytes())
            }
            (_, Some(Key::Public(_)) | None) => return Err(SignError::PrivateKey),
        };
        Ok(place.encode(&bytes))
    }
}
