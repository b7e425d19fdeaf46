//! One question to a provider's API.

use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::Deserialize;
use sha2::Sha256;
use tokio::sync::Mutex;

use crate::domain::{Secret, Timestamp};
use crate::outbound::{Answer, Client, HeaderMap, Limits, Request, put_header, retry_after, uri};
use crate::pack::{Access, Auth, AuthHmac};

/// No object of a payment API is larger.
const ANSWER_LIMIT_BYTES: usize = 1024 * 1024;
/// A token is got anew so long before it ends.
const TOKEN_MARGIN: Duration = Duration::from_secs(60);
/// A token that does not say how long it lives is used for so long.
const TOKEN_LIFE: Duration = Duration::from_secs(5 * 60);

/// Why there is no answer, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// Not now; the API may have asked to wait.
    Later(String, Option<Duration>),
    /// Perhaps never: to be tried a few times only.
    Limited(String),
    /// Never.
    Never(String),
}

/// Where answers come from: a provider's API, or a case's own file.
#[async_trait]
pub trait Fetcher: Send + Sync {
    /// The JSON at a path (with its query). May take as long as its time-out.
    ///
    /// # Errors
    /// Why there is none.
    async fn fetch(&self, path: &str, now: Timestamp) -> Result<String, Failure>;
}

/// A provider's API, with a source's credentials.
pub struct HttpFetcher {
    access: Access,
    client: Client,
    token: Mutex<Option<(Secret, Timestamp)>>,
    random: Box<dyn Fn() -> u64 + Send + Sync>,
}

impl HttpFetcher {
    /// A way to the API. `random` makes requests that are signed unlike each other.
    ///
    /// # Errors
    /// This machine cannot make a client.
    pub fn new(access: Access, random: Box<dyn Fn() -> u64 + Send + Sync>) -> Result<Self, String> {
        let client = Client::new(Limits {
            connect_timeout: Duration::from_secs(5),
            timeout: Duration::from_secs(15),
            idle_connections: 4,
            answer_limit_bytes: ANSWER_LIMIT_BYTES,
            allow_private: access.allow_private,
        })?;
        Ok(Self { access, client, token: Mutex::new(None), random })
    }

    fn secret(&self, name: &str) -> &str {
        self.access.secrets.get(name).map_or("", Secret::expose)
    }

    fn request(
        &self,
        path: &str,
        headers: Vec<(String, Secret)>,
        body: Option<(&'static str, String)>,
    ) -> Result<Request, Failure> {
        let url = if path.starts_with('/') { format!("{}{path}", self.access.base_url) } else { path.to_owned() };
        let url = uri(&url).map_err(|_| Failure::Limited("the URL to be asked is none".to_owned()))?;
        let own = self.access.headers.iter().map(|(name, value)| (name.clone(), Secret::new(value.as_str())));
        let accept = ("Accept".to_owned(), Secret::new("application/json"));
        let has_accept = self.access.headers.keys().any(|name| name.eq_ignore_ascii_case("accept"));
        let mut all = HeaderMap::new();
        for (name, value) in own.chain((!has_accept).then_some(accept)).chain(headers) {
            let unfit = |_| Failure::Limited(format!("the header {name} holds what none may"));
            put_header(&mut all, &name, value.expose(), true).map_err(unfit)?;
        }
        let method = if body.is_some() { "POST" } else { "GET" };
        Ok(Request { method, url, body, headers: all })
    }

    async fn credentials(&self, path: &str, now: Timestamp) -> Result<Vec<(String, Secret)>, Failure> {
        let authorization = |value: String| vec![("Authorization".to_owned(), Secret::new(value))];
        match &self.access.auth {
            Auth::Bearer(secret) => Ok(authorization(format!("Bearer {}", self.secret(secret)))),
            Auth::Basic(user, password) => {
                let password = password.as_deref().map_or("", |name| self.secret(name));
                Ok(authorization(basic(self.secret(user), password)))
            }
            Auth::Header { name, secret, prefix } => {
                Ok(vec![(name.clone(), Secret::new(format!("{prefix}{}", self.secret(secret))))])
            }
            Auth::OAuth2 { path, client, secret } => {
                let token = self.token(path, client, secret, now).await?;
                Ok(authorization(format!("Bearer {}", token.expose())))
            }
            Auth::Signed { name, prefix, packed, hmac, random_header } => {
                let random = format!("{:016x}", (self.random)());
                let value = STANDARD.encode(self.signed(packed, hmac, path, &random));
                Ok(vec![(name.clone(), Secret::new(format!("{prefix}{value}"))), (random_header.clone(), Secret::new(random))])
            }
        }
    }

    /// The packed text of a header that signs the request.
    fn signed(&self, packed: &str, hmac: &AuthHmac, path: &str, random: &str) -> String {
        let path = path.split('?').next().unwrap_or(path);
        let fill = |text: &str| {
            let filled = self
                .access
                .secrets
                .iter()
                .fold(text.to_owned(), |text, (name, secret)| text.replace(&format!("{{secret:{name}}}"), secret.expose()));
            filled.replace("{random}", random).replace("{path}", path)
        };
        let mut mac: Hmac<Sha256> =
            Hmac::new_from_slice(self.secret(&hmac.secret).as_bytes()).expect("HMAC takes keys of any length");
        mac.update(fill(&hmac.signed).as_bytes());
        fill(packed).replace("{hmac}", &hex::encode(mac.finalize().into_bytes()))
    }

    /// The token of client credentials (RFC 6749, section 4.4), which is kept for as long as it lives.
    async fn token(&self, path: &str, client: &str, secret: &str, now: Timestamp) -> Result<Secret, Failure> {
        #[derive(Deserialize)]
        struct Granted {
            access_token: String,
            expires_in: Option<u64>,
        }
        let mut kept = self.token.lock().await;
        if let Some((token, until)) = &*kept
            && now < *until
        {
            return Ok(token.clone());
        }
        let credentials = basic(self.secret(client), self.secret(secret));
        let headers = vec![("Authorization".to_owned(), Secret::new(credentials))];
        let body = ("application/x-www-form-urlencoded", "grant_type=client_credentials".to_owned());
        let answer =
            self.client.ask(self.request(path, headers, Some(body))?).await.map_err(|why| no_answer(&why.to_string()))?;
        let text = judged(answer, now)?;
        let granted: Granted =
            serde_json::from_str(&text).map_err(|_| Failure::Later("the API gave no access token".to_owned(), None))?;
        let life = granted.expires_in.map_or(TOKEN_LIFE, Duration::from_secs).min(Duration::from_secs(24 * 60 * 60));
        let token = Secret::new(granted.access_token);
        *kept = Some((token.clone(), now + life.saturating_sub(TOKEN_MARGIN)));
        Ok(token)
    }
}

#[async_trait]
impl Fetcher for HttpFetcher {
    async fn fetch(&self, path: &str, now: Timestamp) -> Result<String, Failure> {
        let headers = self.credentials(path, now).await?;
        let answer = self.client.ask(self.request(path, headers, None)?).await.map_err(|why| no_answer(&why.to_string()))?;
        if answer.status == 401 {
            *self.token.lock().await = None; // it may have been taken back before its time
        }
        judged(answer, now)
    }
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

fn no_answer(why: &str) -> Failure {
    Failure::Later(format!("no answer ({why})"), None)
}

/// What an answer comes to.
fn judged(answer: Answer, now: Timestamp) -> Result<String, Failure> {
    let asked = answer.retry_after.as_deref().and_then(|text| retry_after(text, now));
    match answer.status {
        200..300 if answer.body.len() >= ANSWER_LIMIT_BYTES => Err(Failure::Limited("the answer is too long".to_owned())),
        200..300 => Ok(answer.body),
        300..=399 => Err(Failure::Later(format!("the API answered {}, a redirect, which is not followed", answer.status), None)),
        401 | 403 => {
            Err(Failure::Later(format!("the API answered {}: are the source's named_secrets right?", answer.status), None))
        }
        408 | 425 | 429 | 500..=599 => Err(Failure::Later(format!("the API answered {}", answer.status), asked)),
        status => Err(Failure::Limited(format!("the API answered {status}"))),
    }
}
