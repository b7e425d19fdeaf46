//! TLS on the public listener: a certificate and its key from two files, taken anew when they change.
//!
//! Only TLS 1.2 and 1.3 are spoken, and HTTP/1.1 over them: that is what every provider sends webhooks by, and its limits are the
//! ones that this bridge knows. What cannot be read, or does not go together, never takes the place of what works.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::ring::default_provider;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use schemars::JsonSchema;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

/// A file larger than this is neither a chain of certificates nor a key.
const FILE_LIMIT_BYTES: u64 = 1024 * 1024;

/// `tls` in `[server]`. Without it the public listener speaks plain HTTP, for a proxy in front of it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Tls")]
pub struct TlsConfig {
    /// The certificate, and those that lead from it towards a root, as PEM; relative to the configuration's folder.
    pub certificate: PathBuf,
    /// Its private key, as PEM; relative to the configuration's folder.
    pub key: PathBuf,
}

/// A certificate and its key that go together, as they stood in two files.
#[derive(Debug, Clone)]
pub struct Pair {
    files: TlsConfig,
    certified: Arc<CertifiedKey>,
    digest: [u8; 32],
}

/// The certificate that is shown now. Connections that stand keep the one with which they began.
#[derive(Debug)]
pub struct Certificate(ArcSwap<Pair>);

impl TlsConfig {
    /// The same with both paths relative to this folder.
    pub fn within(&self, folder: &Path) -> Self {
        Self { certificate: folder.join(&self.certificate), key: folder.join(&self.key) }
    }
}

impl Pair {
    /// Reads both files.
    ///
    /// # Errors
    /// The option whose file is at fault, and what is wrong with it.
    pub fn read(files: &TlsConfig) -> Result<Self, (&'static str, String)> {
        let (certificate, key) = (bytes("certificate", &files.certificate)?, bytes("key", &files.key)?);
        let fault = |option, path: &Path, what: &str| (option, format!("{}: {what}", path.display()));
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&certificate)
            .collect::<Result<_, _>>()
            .map_err(|_| fault("certificate", &files.certificate, "is no PEM"))?;
        if chain.is_empty() {
            return Err(fault("certificate", &files.certificate, "holds no certificate in PEM"));
        }
        let private = PrivateKeyDer::from_pem_slice(&key).map_err(|_| fault("key", &files.key, "holds no private key in PEM"))?;
        let certified = CertifiedKey::from_der(chain, private, &default_provider()).map_err(|error| {
            if matches!(error, rustls::Error::InconsistentKeys(_)) {
                fault("key", &files.key, "is not the key of that certificate")
            } else {
                fault("certificate", &files.certificate, &format!("cannot be used with its key: {error}"))
            }
        })?;
        let digest = Sha256::new().chain_update(&certificate).chain_update([0]).chain_update(&key).finalize().into();
        Ok(Self { files: files.clone(), certified: Arc::new(certified), digest })
    }

    /// Whether both are of the same bytes, and of the same files.
    pub fn is_same(&self, other: &Self) -> bool {
        self.digest == other.digest && self.files == other.files
    }

    /// A warning where others than its owner and its group may read the key; `None` where all is well.
    pub fn exposed_key(&self) -> Option<String> {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(&self.files.key).ok()?.permissions().mode();
        let path = self.files.key.display();
        (mode & 0o007 != 0).then(|| format!("{path}: everybody on this machine may read the key: chmod 640 {path}"))
    }
}

impl Certificate {
    /// Begins with this pair.
    pub fn new(pair: Pair) -> Self {
        Self(ArcSwap::from_pointee(pair))
    }

    /// From now on new connections are shown this one. `true` where it is another one.
    pub fn replace(&self, pair: Pair) -> bool {
        let is_same = self.0.load().is_same(&pair);
        self.0.store(Arc::new(pair));
        !is_same
    }

    /// Reads the files anew. `true` where another pair stands in them now and is shown from now on.
    ///
    /// # Errors
    /// What is wrong with them; the old pair is kept.
    pub fn refresh(&self) -> Result<bool, String> {
        let present = self.0.load_full();
        let pair = Pair::read(&present.files).map_err(|(option, cause)| format!("server.tls.{option}: {cause}"))?;
        if pair.is_same(&present) {
            return Ok(false);
        }
        // Only where nobody else has replaced it meanwhile.
        let before = self.0.compare_and_swap(&present, Arc::new(pair));
        Ok(Arc::ptr_eq(&before, &present))
    }

    /// The listener's side of TLS.
    ///
    /// # Errors
    /// The library refuses its own defaults, which it does not.
    pub fn server(self: Arc<Self>) -> Result<ServerConfig, String> {
        let versions = [&rustls::version::TLS13, &rustls::version::TLS12];
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider())).with_protocol_versions(&versions);
        let config = config.map_err(|error| format!("TLS cannot be spoken: {error}"))?;
        Ok(config.with_no_client_auth().with_cert_resolver(self))
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.load().certified))
    }
}

fn bytes(option: &'static str, path: &Path) -> Result<Vec<u8>, (&'static str, String)> {
    let unread = |why: &dyn std::fmt::Display| (option, format!("{}: cannot be read: {why}", path.display()));
    let length = std::fs::metadata(path).map_err(|error| unread(&error))?.len();
    if length > FILE_LIMIT_BYTES {
        return Err(unread(&"it is larger than a mebibyte"));
    }
    std::fs::read(path).map_err(|error| unread(&error))
}
