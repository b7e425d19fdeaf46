//! Public keys and certificates: signatures that only the provider can make.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use ring::signature::{RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY, UnparsedPublicKey};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{
    AlgorithmIdentifier, CertificateDer, InvalidSignature, ServerName, SignatureVerificationAlgorithm, SubjectPublicKeyInfoDer,
    TrustAnchor, UnixTime, alg_id,
};
use webpki::{ALL_VERIFICATION_ALGS, EndEntityCert, Error, KeyUsage, RawPublicKeyEntity};

use super::signature::BASE64;
use super::spec::{Digest, SchemeName};
use crate::domain::Timestamp;

/// More certificates in a chain are no chain.
const CHAIN_LIMIT: usize = 10;
/// What stands before the 32 bytes of an Ed25519 key in its DER form (RFC 8410).
const ED25519_HEAD: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// A public key and how it is used.
#[derive(Clone)]
pub(super) struct PublicKey {
    der: Vec<u8>,
    algorithm: &'static dyn SignatureVerificationAlgorithm,
}

/// A certificate with the chain above it, as it was fetched: nothing of it is believed yet, and it may be none.
#[derive(Clone)]
pub struct Chain(Vec<CertificateDer<'static>>);

/// The authorities that are believed: those of the web, and one more in cases.
#[derive(Clone, Default)]
pub struct Roots {
    more: Vec<TrustAnchor<'static>>,
}

impl PublicKey {
    /// Reads a key as PEM, or as the base64 inside it.
    pub(super) fn from_pem(text: &str, scheme: SchemeName, digest: Digest) -> Option<Self> {
        let text = text.replace("\\n", "\n");
        let der = match SubjectPublicKeyInfoDer::from_pem_slice(text.as_bytes()) {
            Ok(key) => key.to_vec(),
            Err(_) => BASE64.decode(text.split_whitespace().collect::<String>()).ok()?,
        };
        Self::new(der, algorithm(scheme, digest)?)
    }

    /// A raw Ed25519 key of 32 bytes.
    pub(super) fn ed25519(raw: &[u8]) -> Option<Self> {
        let is_raw = raw.len() == 32;
        is_raw.then(|| [ED25519_HEAD.as_slice(), raw].concat()).and_then(|der| Self::new(der, webpki::ring::ED25519))
    }

    fn new(der: Vec<u8>, algorithm: &'static dyn SignatureVerificationAlgorithm) -> Option<Self> {
        let key = Self { der, algorithm };
        // A key of another kind says so whatever the signature is.
        match key.judge(b"", b"") {
            Err(Error::InvalidSignatureForPublicKey) => Some(key),
            Ok(()) | Err(_) => None,
        }
    }

    /// Whether this key's owner signed the message.
    pub(super) fn signed(&self, message: &[u8], signature: &[u8]) -> bool {
        let is_ecdsa = self.algorithm.public_key_alg_id() == alg_id::ECDSA_P256;
        match <&[u8; 64]>::try_from(signature) {
            Ok(fixed) if is_ecdsa => self.judge(message, &ecdsa_der(fixed)).is_ok(),
            Ok(_) | Err(_) => self.judge(message, signature).is_ok(),
        }
    }

    fn judge(&self, message: &[u8], signature: &[u8]) -> Result<(), Error> {
        let der = SubjectPublicKeyInfoDer::from(self.der.as_slice());
        RawPublicKeyEntity::try_from(&der)?.verify_signature(self.algorithm, message, signature)
    }
}

fn algorithm(scheme: SchemeName, digest: Digest) -> Option<&'static dyn SignatureVerificationAlgorithm> {
    match (scheme, digest) {
        (SchemeName::Rsa | SchemeName::Certificate, Digest::Sha256) => Some(webpki::ring::RSA_PKCS1_2048_8192_SHA256),
        (SchemeName::Rsa, Digest::Sha1) => Some(&RsaSha1),
        (SchemeName::EcdsaP256, Digest::Sha256) => Some(webpki::ring::ECDSA_P256_SHA256),
        (SchemeName::Ed25519, _) => Some(webpki::ring::ED25519),
        _ => None,
    }
}

/// The two numbers of an ECDSA signature as DER writes them (RFC 3279).
fn ecdsa_der(fixed: &[u8; 64]) -> Vec<u8> {
    let integer = |number: &[u8]| {
        let start = number.iter().position(|byte| *byte != 0).unwrap_or(number.len() - 1);
        let number = &number[start..];
        let sign = (number[0] & 0x80 != 0).then_some(0);
        let length = u8::try_from(number.len() + usize::from(sign.is_some())).expect("33 bytes at most");
        let mut der = vec![0x02, length];
        der.extend(sign);
        der.extend_from_slice(number);
        der
    };
    let (r, s) = fixed.split_at(32);
    let inside = [integer(r), integer(s)].concat();
    let mut der = vec![0x30, u8::try_from(inside.len()).expect("70 bytes at most")];
    der.extend(inside);
    der
}

/// RSA PKCS #1 v1.5 with SHA-1, which only old schemes of providers still use.
#[derive(Debug)]
struct RsaSha1;

impl SignatureVerificationAlgorithm for RsaSha1 {
    fn verify_signature(&self, public_key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), InvalidSignature> {
        let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY, public_key);
        key.verify(message, signature).map_err(|_| InvalidSignature)
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::RSA_ENCRYPTION
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        // sha1WithRSAEncryption (RFC 8017, appendix A.2.4)
        AlgorithmIdentifier::from_slice(&[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x05, 0x05, 0x00])
    }
}

impl Chain {
    /// Reads a certificate and those above it, as PEM, the signer's first. What cannot be read is left out.
    pub fn from_pem(pem: &[u8]) -> Self {
        Self(CertificateDer::pem_slice_iter(pem).take(CHAIN_LIMIT).filter_map(Result::ok).collect())
    }

    /// Whether the owner of this certificate signed the message, and is who one of `names` says.
    ///
    /// # Errors
    /// A sentence about the certificate; `Ok(false)` is about the signature.
    pub(super) fn signed(
        &self,
        roots: &Roots,
        names: &[String],
        at: Timestamp,
        message: &[u8],
        signatures: &[Vec<u8>],
    ) -> Result<bool, String> {
        let (leaf, above) = self.0.split_first().ok_or("what stands at its URL is no certificate")?;
        let certificate = EndEntityCert::try_from(leaf).map_err(|error| format!("it cannot be read: {error}"))?;
        let anchors: Vec<TrustAnchor<'_>> = webpki_roots::TLS_SERVER_ROOTS.iter().cloned().chain(roots.more.clone()).collect();
        let at = UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(at.as_second()).unwrap_or_default()));
        certificate
            .verify_for_usage(ALL_VERIFICATION_ALGS, &anchors, above, at, KeyUsage::server_auth(), None, None)
            .map_err(|error| format!("its chain does not lead to a trusted root at the time of receipt: {error}"))?;
        let is_named = names.iter().any(|name| {
            let name = ServerName::try_from(name.as_str());
            name.is_ok_and(|name| certificate.verify_is_valid_for_subject_name(&name).is_ok())
        });
        if !is_named {
            return Err(format!("it was not made out to {}", names.join(" or ")));
        }
        let algorithm = webpki::ring::RSA_PKCS1_2048_8192_SHA256;
        Ok(signatures.iter().any(|signature| certificate.verify_signature(algorithm, message, signature).is_ok()))
    }
}

impl Roots {
    /// The roots of the web and this one, as base64 of its DER.
    ///
    /// # Errors
    /// A sentence that says why it is none.
    pub fn with(base64: &str) -> Result<Self, String> {
        let der = BASE64.decode(base64.trim()).map_err(|_| "the root is not base64".to_owned())?;
        let anchor = webpki::anchor_from_trusted_cert(&CertificateDer::from(der))
            .map_err(|error| format!("the root is not a certificate: {error}"))?
            .to_owned();
        Ok(Self { more: vec![anchor] })
    }
}

impl fmt::Debug for Chain {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} certificates", self.0.len())
    }
}

impl fmt::Debug for Roots {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "the web's and {} more roots", self.more.len())
    }
}
