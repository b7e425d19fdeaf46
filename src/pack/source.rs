//! A source: one configured use of a pack, with its secrets and its URL.

use std::collections::BTreeMap;
use std::sync::Arc;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::{Access, Pack, Registry, is_pack_name, plain_context};
use crate::domain::{Accept, Currency, Faults, Mode, Request, Secret, Side};
use crate::map::{AmountKind, Context, Mapping, MetadataKeys};
use crate::verify::{self, Keys, Secrets};

/// One `[[sources]]` of the configuration, its secrets already read from their places.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Source")]
pub struct SourceConfig {
    /// Its name, and the last part of its URL: `/webhooks/{name}`. Lower-case letters, digits and hyphens.
    pub name: String,
    /// The pack that it uses; `salebridge pack list` names them all.
    pub pack: String,
    /// The provider's signing secrets. Several during a rotation; any may match.
    #[serde(default)]
    pub secrets: Vec<Secret>,
    /// Secrets of other kinds, where a scheme or the provider's API needs them; `salebridge pack show NAME` says which.
    #[serde(default)]
    pub named_secrets: BTreeMap<String, Secret>,
    /// Which modes are counted and forwarded. The others are stored and shown; live and test are never mixed.
    #[serde(default)]
    pub accept: Accept,
    /// Sources of one account share keys and customers, such as two endpoints of one account. Left out: the source's name.
    pub account: Option<String>,
    /// Makes the URL `/webhooks/{name}/{token}`: at least 16 characters, without a slash. Never logged.
    pub path_token: Option<Secret>,
    /// The addresses from which requests may come: networks such as `192.0.2.0/24`. Empty: all. For a provider that does not sign it is this or `path_token`.
    #[serde(default)]
    pub allow_ips: Vec<String>,
    /// Where the provider's API is, where that is not the pack's address: a sandbox, or a server of your own. Only for packs that fetch.
    pub api_url: Option<String>,
    /// True where the API's name may lead to a private or loopback address.
    #[serde(default)]
    pub allow_private: bool,
    /// The currency (ISO 4217), for providers that do not say theirs.
    pub currency: Option<String>,
    /// The URL that the provider was given, where it signs it and it is not `public_url` and path.
    pub url: Option<String>,
    /// What part of a payment is the amount. Where an event does not state its tax or shipping, nothing is taken away for it.
    #[serde(default)]
    pub amount: AmountKind,
    /// In which of a payment's two currencies it counts, where the provider tells both. Left out: as the pack prefers.
    pub money: Option<Side>,
    /// More, or other, names of metadata entries.
    #[serde(default)]
    pub metadata: MetadataConfig,
    /// True where a reference field (`client_reference_id` and the like) is the customer's id. It is the last place that is looked at.
    #[serde(default)]
    pub customer_from_reference: bool,
}

/// More, or other, names of metadata entries.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Metadata")]
pub struct MetadataConfig {
    /// True where the names below replace the usual ones instead of coming before them.
    #[serde(default)]
    pub replace: bool,
    /// Names of the entry with the click, before the usual ones: `clickId`, `click_id`, `cms_click_id`.
    #[serde(default)]
    pub click_id: Vec<String>,
    /// Names of the entry with the team's own customer id, before the usual ones: `customerExternalId`, `customer_external_id`.
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
    /// The way into the provider's API, where it has one.
    pub api: Option<Access>,
    fingerprint_headers: Vec<String>,
    fingerprint_queries: Vec<String>,
}

/// The circumstances in which a pack's own cases are judged.
#[derive(Debug, Clone, Default)]
pub struct Circumstances {
    /// Everything secret or trusted.
    pub secrets: Secrets,
    /// The URL that was signed, where one is.
    pub url: Option<String>,
    /// The currency, for providers that do not say theirs.
    pub currency: Option<String>,
    /// True where what has to be fetched can be fetched.
    pub can_fetch: bool,
}

impl Source {
    /// Whether webhooks of this mode are counted.
    pub fn accepts(&self, mode: Mode) -> bool {
        let context = self.mapping.context();
        match mode {
            Mode::Live => context.accepts_live,
            Mode::Test => context.accepts_test,
        }
    }

    /// Checks a source. `public_url` is where the bridge is reached; `file` and `key` name the source in faults.
    ///
    /// # Errors
    /// Every fault.
    pub fn new(config: &SourceConfig, packs: &Registry, public_url: Option<&str>, file: &str, key: &str) -> Result<Self, Faults> {
        let mut faults = Faults::default();
        if !is_pack_name(&config.name) {
            faults.add(file, format!("{key}.name"), "must be lower-case letters, digits and hyphens: it is part of the URL");
        }
        if config.account.as_ref().is_some_and(|account| account.trim().is_empty()) {
            faults.add(file, format!("{key}.account"), "is empty: leave it out, or give the account a name");
        }
        let token = config.path_token.clone();
        if token.as_ref().is_some_and(|token| token.expose().len() < 16 || token.expose().contains(['/', '?', '#'])) {
            faults.add(
                file,
                format!("{key}.path_token"),
                "must be at least 16 characters that nobody can guess, without a slash",
            );
        }
        let Some(pack) = packs.get(&config.pack) else {
            context(config, file, key, &mut faults);
            let cause = format!("{} is not a pack; `salebridge pack list` names them all", config.pack);
            faults.add(file, format!("{key}.pack"), cause);
            return Err(faults);
        };
        let path = path(&config.name, config.path_token.as_ref());
        let url = config.url.clone().or_else(|| Some(format!("{}{path}", public_url?.trim_end_matches('/'))));
        if pack.scheme.signs_url() && url.is_none() {
            faults.add(file, format!("{key}.url"), "this provider signs the URL: set it here, or server.public_url");
        }
        check_names(config, pack, file, key, &mut faults);
        let access = pack.api.as_ref().and_then(|api| {
            let url = config.api_url.as_deref();
            api.access(url, config.allow_private, &config.named_secrets, file, key, &mut faults)
        });
        let secrets = Secrets {
            unnamed: config.secrets.clone(),
            named: config.named_secrets.clone(),
            path_token: config.path_token.clone(),
            allow_ips: networks(&config.allow_ips, file, key, &mut faults),
            roots: verify::Roots::default(),
        };
        let keys = pack.scheme.keys(secrets).map_err(|found| {
            for fault in found {
                faults.add(file, format!("{key}.{}", fault.key), fault.cause);
            }
        });
        let context = Context { can_fetch: access.is_some(), ..context(config, file, key, &mut faults) };
        let mapping = Self::mapping(pack, context).map_err(|found| {
            for fault in found.0 {
                faults.add(file, key, format!("does not go with its pack: {fault}"));
            }
        });
        if let Ok(mapping) = &mapping
            && mapping.needs_currency()
            && config.currency.is_none()
        {
            faults.add(file, format!("{key}.currency"), "is missing: this provider does not say in which currency it was paid");
        }
        match (keys, mapping) {
            (Ok(keys), Ok(mapping)) => faults.or(Self::assemble(pack, keys, mapping, token, url, access)),
            (Ok(_) | Err(()), Ok(_) | Err(())) => Err(faults),
        }
    }

    /// A source as the pack's own cases see it: named as the pack, with everything as it is by default.
    ///
    /// # Errors
    /// What is missing or of no use among the secrets.
    pub fn plain(pack: &Arc<Pack>, circumstances: Circumstances) -> Result<Self, String> {
        let Circumstances { secrets, url, currency, can_fetch } = circumstances;
        let path_token = secrets.path_token.clone();
        let keys = pack.scheme.keys(secrets).map_err(|faults| in_words(&faults))?;
        let context = Context { currency: currency.map(Into::into), ..plain_context(pack.name(), can_fetch) };
        let mapping = Self::mapping(pack, context).map_err(|faults| faults.to_string())?;
        Ok(Self::assemble(pack, keys, mapping, path_token, url, None))
    }

    /// The same source with other secrets.
    ///
    /// # Errors
    /// What is missing or of no use among the secrets.
    pub fn with_secrets(&self, secrets: Secrets) -> Result<Self, String> {
        let keys = self.pack.scheme.keys(secrets).map_err(|faults| in_words(&faults))?;
        Ok(Self { keys, ..self.clone() })
    }

    /// The path of its URL, with the token where it has one.
    pub fn path(&self) -> String {
        path(&self.name, self.path_token.as_ref())
    }

    /// The fingerprint by which the provider's identical retry is recognised: the source, the body, and every header and value of
    /// the query that the pack reads, but not the signature and its time, which are new in every retry. `None` where the body
    /// only refers to something that may have changed.
    pub fn fingerprint(&self, request: &Request) -> Option<[u8; 32]> {
        if self.pack.mapping.event.reference {
            return None;
        }
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
        for name in &self.fingerprint_queries {
            part(name.as_bytes());
            part(request.query_value(name).unwrap_or_default().as_bytes());
        }
        part(&request.body);
        Some(hash.finalize().into())
    }

    fn mapping(pack: &Pack, context: Context) -> Result<Mapping, Faults> {
        Mapping::compile(&pack.mapping, context, &pack.scheme, &pack.envelope, &pack.folder.label("pack.toml"))
    }

    fn assemble(
        pack: &Arc<Pack>,
        keys: Keys,
        mapping: Mapping,
        path_token: Option<Secret>,
        url: Option<String>,
        api: Option<Access>,
    ) -> Self {
        let (headers, queries) = (pack.scheme.own_headers(), pack.scheme.own_queries());
        let fingerprint_headers = mapping.headers_read().into_iter().filter(|name| !headers.contains(name.as_str())).collect();
        let fingerprint_queries = mapping.queries_read().into_iter().filter(|name| !queries.contains(name.as_str())).collect();
        let name = Arc::clone(&mapping.context().source);
        Self { name, pack: Arc::clone(pack), keys, mapping, path_token, url, api, fingerprint_headers, fingerprint_queries }
    }
}

fn in_words(faults: &[verify::KeyFault]) -> String {
    faults.iter().map(|fault| format!("{}: {}", fault.key, fault.cause)).collect::<Vec<_>>().join("; ")
}

/// A secret that nothing reads is a mistake.
fn check_names(config: &SourceConfig, pack: &Pack, file: &str, key: &str, faults: &mut Faults) {
    let mut known = pack.scheme.named_secrets();
    known.extend(pack.api.iter().flat_map(|api| api.secrets()).map(str::to_owned));
    let list = if known.is_empty() { "none".to_owned() } else { known.iter().cloned().collect::<Vec<_>>().join(", ") };
    for name in config.named_secrets.keys().filter(|name| !known.contains(*name)) {
        faults.add(file, format!("{key}.named_secrets.{name}"), format!("is not used by this pack; it uses {list}"));
    }
    if !config.secrets.is_empty() && !pack.scheme.uses_unnamed_secrets() {
        faults.add(file, format!("{key}.secrets"), format!("is not used by this pack; of named_secrets it uses {list}"));
    }
    if config.api_url.is_some() && pack.api.is_none() {
        faults.add(file, format!("{key}.api_url"), "is not used by this pack: nothing has to be fetched");
    }
}

fn networks(listed: &[String], file: &str, key: &str, faults: &mut Faults) -> Vec<IpNet> {
    let mut networks = Vec::new();
    for (index, text) in listed.iter().enumerate() {
        match network(text) {
            Some(network) => networks.push(network),
            None => faults.add(file, format!("{key}.allow_ips[{index}]"), "is not an address or a network such as 192.0.2.0/24"),
        }
    }
    networks
}

/// A network, or a single address.
pub(super) fn network(text: &str) -> Option<IpNet> {
    text.parse().ok().or_else(|| text.parse::<std::net::IpAddr>().ok().map(IpNet::from))
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
    if config.currency.as_deref().is_some_and(|code| Currency::from_code(code).is_none()) {
        faults.add(file, format!("{key}.currency"), "is not a currency of ISO 4217, such as USD");
    }
    Context {
        source: config.name.as_str().into(),
        account: config.account.as_deref().unwrap_or(&config.name).into(),
        accepts_live: config.accept.takes(Mode::Live),
        accepts_test: config.accept.takes(Mode::Test),
        metadata_keys,
        customer_from_reference: config.customer_from_reference,
        amount: config.amount,
        money: config.money,
        currency: config.currency.as_deref().map(Into::into),
        can_fetch: false,
    }
}
