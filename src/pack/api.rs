//! The provider's API, for webhooks that only say where the facts are: `[api]` of a pack, and a source's way into it.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Deserialize;

use crate::domain::{Faults, Secret};

/// The provider's API as a pack describes it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Api")]
pub struct ApiSpec {
    /// Where it is; left out where it is the team's own server.
    pub url: Option<String>,
    /// Where a source's `api_url` may lead: hosts, `*.example.com` for those below one, or `*` alone without `url`.
    pub hosts: Vec<String>,
    /// How it is told who asks.
    pub auth: AuthSpec,
    /// Further headers.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Whether a source can do without.
    pub credentials: Credentials,
}

/// Whether a source can do without the API's credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Credentials {
    /// A source without them is a fault.
    Required,
    /// A source without them fetches nothing.
    Optional,
}

/// How the API is told who asks; the texts are names of a source's named secrets. One of `bearer`, `basic`, `oauth2` and `header`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AuthSpec {
    /// `Authorization: Bearer SECRET`
    pub bearer: Option<String>,
    /// HTTP Basic: user and password; a password that is left out is empty.
    pub basic: Option<Vec<String>>,
    /// The path, or the whole URL, at which client credentials (`basic`) are exchanged for a token (RFC 6749, section 4.4).
    pub oauth2: Option<String>,
    /// The header that holds `secret`, or `packed`.
    pub header: Option<String>,
    /// What the header holds.
    pub secret: Option<String>,
    /// What stands before it in the header.
    pub prefix: Option<String>,
    /// Text that the header holds in base64, with `{secret:NAME}`, `{random}`, `{path}` (without its query) and `{hmac}`.
    pub packed: Option<String>,
    /// What `{hmac}` stands for.
    pub hmac: Option<AuthHmac>,
    /// A header that repeats `{random}`.
    pub random_header: Option<String>,
}

/// An HMAC-SHA256 in hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AuthHmac {
    /// The named secret that is the key.
    pub secret: String,
    /// What is hashed, with the tokens of `packed`.
    pub signed: String,
}

/// How the API is told who asks, checked; the texts are names of secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Auth {
    /// `Authorization: Bearer SECRET`
    Bearer(String),
    /// HTTP Basic.
    Basic(String, Option<String>),
    /// A header with a secret after a prefix.
    Header {
        /// Its name.
        name: String,
        /// The secret.
        secret: String,
        /// What stands before it.
        prefix: String,
    },
    /// A token that is got with client credentials.
    OAuth2 {
        /// The path at which it is got.
        path: String,
        /// The client's id.
        client: String,
        /// The client's secret.
        secret: String,
    },
    /// A header that signs the request.
    Signed {
        /// Its name.
        name: String,
        /// What stands before the packed text.
        prefix: String,
        /// The text.
        packed: String,
        /// What is hashed.
        hmac: AuthHmac,
        /// A header that repeats the random part.
        random_header: String,
    },
}

/// The provider's API, checked.
#[derive(Debug, Clone)]
pub struct Api {
    url: Option<String>,
    hosts: Vec<String>,
    auth: Auth,
    headers: BTreeMap<String, String>,
    /// Whether a source can do without.
    pub credentials: Credentials,
}

/// A source's way into the provider's API.
#[derive(Debug, Clone)]
pub struct Access {
    /// Scheme and host, without a slash at the end.
    pub base_url: String,
    /// How it is told who asks.
    pub auth: Auth,
    /// The secrets that `auth` names.
    pub secrets: BTreeMap<String, Secret>,
    /// Further headers.
    pub headers: BTreeMap<String, String>,
    /// True where the host's name may lead to a private address.
    pub allow_private: bool,
}

impl Api {
    /// Checks the table.
    ///
    /// # Errors
    /// Every fault, with `file` and key.
    pub fn new(spec: &ApiSpec, file: &str) -> Result<Self, Faults> {
        let mut faults = Faults::default();
        let is_anywhere = spec.hosts.iter().any(|host| host == "*");
        match &spec.url {
            Some(_) if is_anywhere => faults.add(file, "api.hosts", "\"*\" is only for APIs of the team's own, without api.url"),
            Some(url) if host_of(url, "https").is_none() => {
                faults.add(file, "api.url", "must be https and a host, without a path")
            }
            Some(url) if !allows(&spec.hosts, host_of(url, "https").unwrap_or_default()) => {
                faults.add(file, "api.hosts", "must name the host of api.url");
            }
            Some(_) => {}
            None if spec.hosts.is_empty() => faults.add(file, "api.hosts", "names no host, so nothing could be fetched"),
            None => {}
        }
        let auth = auth(&spec.auth).map_err(|cause| faults.add(file, "api.auth", cause));
        if let Ok(Auth::OAuth2 { path, .. }) = &auth {
            let host = path.strip_prefix("https://").and_then(|rest| rest.split('/').next());
            if !path.starts_with('/') && !host.is_some_and(|host| allows(&spec.hosts, host)) {
                faults.add(file, "api.auth.oauth2", "must be a path, or a URL of one of api.hosts");
            }
        }
        match auth {
            Ok(auth) => faults.or(Self {
                url: spec.url.as_ref().map(|url| url.trim_end_matches('/').to_owned()),
                hosts: spec.hosts.clone(),
                auth,
                headers: spec.headers.clone(),
                credentials: spec.credentials,
            }),
            Err(()) => Err(faults),
        }
    }

    /// True where a source has to say where it is.
    pub fn needs_url(&self) -> bool {
        self.url.is_none()
    }

    /// Where a source's `api_url` may lead, where it has to say one: a host, `*.example.com`, or `*` for a server of the team's own.
    pub fn own_host(&self) -> Option<&str> {
        if self.url.is_some() { None } else { self.hosts.first().map(String::as_str) }
    }

    /// The named secrets that it takes.
    pub fn secrets(&self) -> BTreeSet<&str> {
        match &self.auth {
            Auth::Bearer(secret) | Auth::Header { secret, .. } => BTreeSet::from([secret.as_str()]),
            Auth::Basic(user, password) => std::iter::once(user).chain(password).map(String::as_str).collect(),
            Auth::OAuth2 { client, secret, .. } => BTreeSet::from([client.as_str(), secret.as_str()]),
            Auth::Signed { packed, hmac, .. } => {
                let named = packed.split("{secret:").skip(1).filter_map(|rest| rest.split('}').next());
                named.chain([hmac.secret.as_str()]).collect()
            }
        }
    }

    /// A source's way into it; `None` where the source lacks a secret. `key` names the source in faults.
    pub fn access(
        &self,
        api_url: Option<&str>,
        allow_private: bool,
        named: &BTreeMap<String, Secret>,
        file: &str,
        key: &str,
        faults: &mut Faults,
    ) -> Option<Access> {
        let secrets = self.secrets();
        let missing: Vec<String> =
            secrets.iter().filter(|name| !named.contains_key(**name)).map(|name| format!("named_secrets.{name}")).collect();
        let is_needed = self.credentials == Credentials::Required || missing.len() < secrets.len();
        if !missing.is_empty() {
            if is_needed {
                let cause = format!("{} is missing: this provider's webhooks only say where the facts are", missing.join(", "));
                faults.add(file, format!("{key}.named_secrets"), cause);
            }
            return None;
        }
        let url = match (api_url, &self.url) {
            (Some(url), _) => url.trim_end_matches('/').to_owned(),
            (None, Some(url)) => url.clone(),
            (None, None) => {
                faults.add(file, format!("{key}.api_url"), "is missing: this provider runs on a server of your own");
                return None;
            }
        };
        let is_own = self.hosts.iter().any(|host| host == "*");
        let secure = host_of(&url, "https");
        let host = secure.or_else(|| host_of(&url, "http"));
        // Plain HTTP only to a server that is named by its address, such as one on this machine, or that is the team's own.
        let is_plain = secure.is_none();
        let is_literal = host.is_some_and(is_address);
        match host {
            None => faults.add(file, format!("{key}.api_url"), "must be a URL of a host alone, such as https://api.example.com"),
            Some(_) if is_plain && !is_literal && !is_own => {
                faults.add(file, format!("{key}.api_url"), "must be https");
            }
            Some(host) if !is_own && !is_literal && !allows(&self.hosts, host) => {
                let cause = format!("leads to a host that the pack does not allow; it allows {}", self.hosts.join(", "));
                faults.add(file, format!("{key}.api_url"), cause);
            }
            Some(_) => {}
        }
        let secrets = secrets.into_iter().filter_map(|name| Some((name.to_owned(), named.get(name)?.clone()))).collect();
        let allow_private = allow_private || is_literal;
        Some(Access { base_url: url, auth: self.auth.clone(), secrets, headers: self.headers.clone(), allow_private })
    }
}

fn auth(spec: &AuthSpec) -> Result<Auth, String> {
    let AuthSpec { bearer, basic, oauth2, header, secret, prefix, packed, hmac, random_header } = spec.clone();
    let prefix_text = prefix.clone().unwrap_or_default();
    let pair = |names: Vec<String>| {
        let mut names = names.into_iter();
        match (names.next(), names.next(), names.next()) {
            (Some(user), password, None) => Ok((user, password)),
            (_, _, _) => Err("basic takes one or two names of secrets".to_owned()),
        }
    };
    match (bearer, basic, oauth2, header, secret, packed, hmac, random_header) {
        (Some(secret), None, None, None, None, None, None, None) if prefix.is_none() => Ok(Auth::Bearer(secret)),
        (None, Some(names), None, None, None, None, None, None) if prefix.is_none() => {
            pair(names).map(|(user, password)| Auth::Basic(user, password))
        }
        (None, Some(names), Some(path), None, None, None, None, None) if prefix.is_none() => match pair(names)? {
            (client, Some(secret)) => Ok(Auth::OAuth2 { path, client, secret }),
            (_, None) => Err("oauth2 needs basic with two names of secrets".to_owned()),
        },
        (None, None, None, Some(name), Some(secret), None, None, None) => Ok(Auth::Header { name, secret, prefix: prefix_text }),
        (None, None, None, Some(name), None, Some(packed), Some(hmac), Some(random_header)) => {
            Ok(Auth::Signed { name, prefix: prefix_text, packed, hmac, random_header })
        }
        _ => Err("give bearer; or basic; or oauth2 and basic; or header and secret; or header, packed, hmac and random_header"
            .to_owned()),
    }
}

/// The host (and port) of a URL that has nothing else.
fn host_of<'a>(url: &'a str, scheme: &str) -> Option<&'a str> {
    let host = url.strip_prefix(scheme)?.strip_prefix("://")?.trim_end_matches('/');
    let is_plain = !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.:[]".contains(&byte));
    is_plain.then_some(host)
}

fn is_address(host: &str) -> bool {
    host.parse::<std::net::SocketAddr>().is_ok() || host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok()
}

fn allows(hosts: &[String], host: &str) -> bool {
    hosts.iter().any(|allowed| match allowed.strip_prefix("*.") {
        Some(domain) => host.strip_suffix(domain).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.')),
        None => allowed == host,
    })
}
