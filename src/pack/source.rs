//! A source: one configured use of a pack, with its secrets and its URL.

use std::sync::Arc;

use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::{Pack, Registry, is_pack_name, plain_context};
use crate::domain::{Faults, Request, Secret};
use crate::map::{AmountKind, Context, Mapping, MetadataKeys};
use crate::verify::Keys;

/// One `[[sources]]` of the configuration, its secrets already read from their places.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceConfig {
    /// Its name, and the last part of its URL: `/webhooks/{name}`.
    pub name: String,
    /// The pack that it uses.
    pub pack: String,
    /// The provider's signing secrets. Several during a rotation; any may match.
    pub secrets: Vec<Secret>,
    /// Which modes are counted and forwarded.
    #[serde(default)]
    pub accept: Accept,
    /// Sources of one account share keys and customers; by default the source's name.
    pub account: Option<String>,
    /// Makes the URL `/webhooks/{name}/{token}`.
    pub path_token: Option<Secret>,
    /// The URL that the provider was given, where it signs it and it is not `public_url` and path.
    pub url: Option<String>,
    /// What part of a payment is the amount.
    #[serde(default)]
    pub amount: AmountKind,
    /// More, or other, names of metadata entries.
    #[serde(default)]
    pub metadata: MetadataConfig,
    /// True where a reference field (`client_reference_id` and the like) is the customer's id.
    #[serde(default)]
    pub customer_from_reference: bool,
}

/// Which modes are counted and forwarded; the others are stored and shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Accept {
    /// Real money only.
    #[default]
    Live,
    /// The sandbox only.
    Test,
    /// Both, never mixed.
    All,
}

/// More, or other, names of metadata entries.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetadataConfig {
    /// True where the names below replace the usual ones instead of coming before them.
    #[serde(default)]
    pub replace: bool,
    /// Names of the entry with the click.
    #[serde(default)]
    pub click_id: Vec<String>,
    /// Names of the entry with the team's own customer id.
    #[serde(default)]
    pub customer_external_id: Vec<String>,
}

/// A source, checked and ready to verify and map.
#[derive(Debug, Clone)]
pub struct Source {
    /// Its name.
    pub name: Arc<str>,
    /// Its pack.
    pub pack: Arc<Pack>,
    /// The keys of its secrets.
    pub keys: Keys,
    /// Its pack's rules with its own settings.
    pub mapping: Mapping,
    /// The token in its URL.
    pub path_token: Option<Secret>,
    /// The URL that its provider signs.
    pub url: Option<String>,
    fingerprint_headers: Vec<String>,
}

impl Source {
    /// Checks a source. `public_url` is where the bridge is reached; `file` and `key` name the source in faults.
    ///
    /// # Errors
    /// Every fault.
    pub fn new(config: &SourceConfig, packs: &Registry, public_url: Option<&str>, file: &str, key: &str) -> Result<Self, Faults> {
        let mut faults = Faults::default();
        if !is_pack_name(&config.name) {
            faults.add(file, format!("{key}.name"), "must be lower-case letters, digits and hyphens: it is part of the URL");
        }
        let token = config.path_token.clone();
        if token.as_ref().is_some_and(|token| token.expose().len() < 16 || token.expose().contains('/')) {
            faults.add(
                file,
                format!("{key}.path_token"),
                "must be at least 16 characters that nobody can guess, without a slash",
            );
        }
        if config.secrets.is_empty() {
            faults.add(file, format!("{key}.secrets"), "name at least one secret: without it nothing can be verified");
        }
        let context = context(config, file, key, &mut faults);
        let Some(pack) = packs.get(&config.pack) else {
            let cause = format!("{} is not a pack; `salebridge pack list` names them all", config.pack);
            faults.add(file, format!("{key}.pack"), cause);
            return Err(faults);
        };
        let path = path(&config.name, config.path_token.as_ref());
        let url = config.url.clone().or_else(|| Some(format!("{}{path}", public_url?.trim_end_matches('/'))));
        if pack.scheme.signs_url() && url.is_none() {
            faults.add(file, format!("{key}.url"), "this provider signs the URL: set it here, or server.public_url");
        }
        let keys = pack.scheme.keys(&config.secrets).map_err(|(index, error)| {
            faults.add(file, format!("{key}.secrets[{index}]"), error.to_string());
        });
        let mapping = Self::mapping(pack, context).map_err(|found| {
            for fault in found.0 {
                faults.add(file, key, format!("does not go with its pack: {fault}"));
            }
        });
        match (keys, mapping) {
            (Ok(keys), Ok(mapping)) => faults.or(Self::assemble(pack, keys, mapping, token, url)),
            (Ok(_) | Err(()), Ok(_) | Err(())) => Err(faults),
        }
    }

    /// A source as the pack's own cases see it: named as the pack, with everything as it is by default.
    ///
    /// # Errors
    /// The secret that cannot be a key of this provider.
    pub fn plain(pack: &Arc<Pack>, secrets: &[Secret], url: Option<String>) -> Result<Self, String> {
        let keys = pack.scheme.keys(secrets).map_err(|(index, error)| format!("secret {}: {error}", index + 1))?;
        let mapping = Self::mapping(pack, plain_context(pack.name())).map_err(|faults| faults.to_string())?;
        Ok(Self::assemble(pack, keys, mapping, None, url))
    }

    /// The same source with other secrets; with its own where there are none.
    ///
    /// # Errors
    /// The secret that cannot be a key of this provider.
    pub fn with_secrets(&self, secrets: &[Secret]) -> Result<Self, String> {
        let mut other = self.clone();
        if !secrets.is_empty() {
            other.keys = self.pack.scheme.keys(secrets).map_err(|(index, error)| format!("secret {}: {error}", index + 1))?;
        }
        Ok(other)
    }

    /// The path of its URL, with the token where it has one.
    pub fn path(&self) -> String {
        path(&self.name, self.path_token.as_ref())
    }

    /// The fingerprint by which the provider's identical retry is recognised: the source, the body, and every header that the
    /// pack reads, but not the signature and its time, which are new in every retry.
    pub fn fingerprint(&self, request: &Request) -> [u8; 32] {
        let mut hash = Sha256::new();
        let mut part = |bytes: &[u8]| {
            hash.update((bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        };
        part(self.name.as_bytes());
        for header in &self.fingerprint_headers {
            part(header.as_bytes());
            part(request.headers.one(header).unwrap_or_default().as_bytes());
        }
        part(&request.body);
        hash.finalize().into()
    }

    fn mapping(pack: &Pack, context: Context) -> Result<Mapping, Faults> {
        let signed: Vec<&str> = pack.scheme.signed_headers().collect();
        Mapping::compile(&pack.mapping, context, &signed, &pack.folder.label("pack.toml"))
    }

    fn assemble(pack: &Arc<Pack>, keys: Keys, mapping: Mapping, path_token: Option<Secret>, url: Option<String>) -> Self {
        let is_signature = |header: &String| {
            let own = [Some(pack.scheme.signature_header()), pack.scheme.timestamp_header()];
            own.into_iter().flatten().any(|name| name.eq_ignore_ascii_case(header))
        };
        let fingerprint_headers = mapping.headers_read().into_iter().filter(|header| !is_signature(header)).collect();
        let name = Arc::clone(&mapping.context().source);
        Self { name, pack: Arc::clone(pack), keys, mapping, path_token, url, fingerprint_headers }
    }
}

fn path(name: &str, token: Option<&Secret>) -> String {
    match token {
        Some(token) => format!("/webhooks/{name}/{}", token.expose()),
        None => format!("/webhooks/{name}"),
    }
}

fn context(config: &SourceConfig, file: &str, key: &str, faults: &mut Faults) -> Context {
    let usual = MetadataKeys::default();
    let mut merge = |own: &[String], usual: Vec<String>, name: &str| -> Vec<String> {
        for entry in own.iter().filter(|entry| !MetadataKeys::is_valid(entry)) {
            faults.add(file, format!("{key}.metadata.{name}"), format!("{entry:?} is not the name of a metadata entry"));
        }
        let usual = if config.metadata.replace { Vec::new() } else { usual };
        own.iter().cloned().chain(usual).collect()
    };
    let metadata_keys = MetadataKeys {
        click_id: merge(&config.metadata.click_id, usual.click_id, "click_id"),
        customer_external_id: merge(&config.metadata.customer_external_id, usual.customer_external_id, "customer_external_id"),
    };
    Context {
        source: config.name.as_str().into(),
        account: config.account.as_deref().unwrap_or(&config.name).into(),
        accepts_live: matches!(config.accept, Accept::Live | Accept::All),
        accepts_test: matches!(config.accept, Accept::Test | Accept::All),
        metadata_keys,
        customer_from_reference: config.customer_from_reference,
        amount: config.amount,
    }
}
