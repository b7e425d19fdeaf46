//! Who may come in: a program shows the bearer token with every request; a person signs in with it once and gets a session.
//!
//! A session is a cookie that only this bridge's token can have made: its end and a nonce, signed with a key that is derived from the
//! token. So it holds on every replica and over a restart, and ends at once where the token is changed. Forms carry a word that is
//! derived from the session, so that no other site can send them.

use std::sync::Mutex;
use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::cookie::{Cookie, SameSite, time};
use actix_web::http::header::{AUTHORIZATION, HOST, ORIGIN};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

use crate::domain::{Secret, Timestamp};

/// The cookie's name.
const COOKIE: &str = "salebridge_session";
/// A session lasts so long.
const SESSION: Duration = Duration::from_secs(12 * 60 * 60);
/// So many wrong tokens are looked at in a minute; more are not looked at.
const TRIES_A_MINUTE: usize = 10;

/// The doorkeeper of the operator's listener.
pub struct Door {
    token: Option<Secret>,
    /// Signs sessions and forms. Without a token it is chance, and signs forms only.
    key: Vec<u8>,
    is_secure: bool,
    /// When wrong tokens were shown in the last minute.
    misses: Mutex<Vec<Timestamp>>,
}

/// What became of an attempt to sign in.
pub enum SignIn {
    /// The cookie of the new session.
    Welcome(Box<Cookie<'static>>),
    /// That is not the token.
    Wrong,
    /// Too many wrong ones were shown: nothing is looked at for a minute.
    Later,
}

/// Why a request is not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stranger {
    /// No token, a wrong one, or a session that is over.
    Unknown,
    /// It comes from another site, or by another name than this machine's.
    Elsewhere,
}

impl Door {
    /// A door that this token opens; without one it is open, for a machine that nobody else can reach. `chance` are random bytes.
    /// `is_secure`: people reach it by https.
    pub fn new(token: Option<Secret>, chance: [u8; 32], is_secure: bool) -> Self {
        let key = token.as_ref().map_or(chance.to_vec(), |token| sign(token.expose().as_bytes(), b"sessions and forms"));
        Self { token, key, is_secure, misses: Mutex::default() }
    }

    /// Whether anybody has to sign in.
    pub fn is_locked(&self) -> bool {
        self.token.is_some()
    }

    /// Whether a request may be answered, and if it `changes` something, whether it was meant.
    ///
    /// # Errors
    /// Who it is not.
    pub fn admit(&self, request: &HttpRequest, now: Timestamp) -> Result<(), Stranger> {
        let Some(token) = &self.token else { return self.is_local(request) };
        let shown = header(request, AUTHORIZATION.as_str()).and_then(|value| value.strip_prefix("Bearer "));
        if let Some(shown) = shown {
            let is_right = bool::from(shown.as_bytes().ct_eq(token.expose().as_bytes()));
            return if is_right { Ok(()) } else { Err(Stranger::Unknown) };
        }
        if self.session(request, now).is_none() { Err(Stranger::Unknown) } else { Ok(()) }
    }

    /// Whether a request that changes something was meant by whoever sends it: a program by its token, a browser only from a page of
    /// our own.
    ///
    /// # Errors
    /// It comes from another site.
    pub fn is_meant(&self, request: &HttpRequest) -> Result<(), Stranger> {
        if self.token.is_some() && header(request, AUTHORIZATION.as_str()).is_some() {
            return Ok(());
        }
        let (origin, host) = (header(request, ORIGIN.as_str()), header(request, HOST.as_str()));
        match (origin, header(request, "sec-fetch-site")) {
            (Some(origin), _) if host.is_some_and(|host| origin.split_once("://").is_some_and(|(_, from)| from == host)) => {
                Ok(())
            }
            (None, None | Some("same-origin" | "none")) => Ok(()),
            (Some(_) | None, _) => Err(Stranger::Elsewhere),
        }
    }

    /// Without a token: only by an address of this machine, so that no name that was made to lead here gets in.
    fn is_local(&self, request: &HttpRequest) -> Result<(), Stranger> {
        let host = header(request, HOST.as_str()).unwrap_or_default();
        let name =
            host.rsplit_once(':').map_or(host, |(name, port)| if port.bytes().all(|b| b.is_ascii_digit()) { name } else { host });
        let is_address = name.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok();
        if is_address || name == "localhost" { Ok(()) } else { Err(Stranger::Elsewhere) }
    }

    /// Looks at a token that a person shows.
    pub fn sign_in(&self, shown: &Secret, nonce: u64, now: Timestamp) -> SignIn {
        let Some(token) = &self.token else { return SignIn::Wrong };
        let mut misses = self.misses.lock().expect("nobody panics while they hold it");
        misses.retain(|at| now.duration_since(*at).as_secs().abs() < 60);
        if misses.len() >= TRIES_A_MINUTE {
            return SignIn::Later;
        }
        if !bool::from(shown.expose().as_bytes().ct_eq(token.expose().as_bytes())) {
            misses.push(now);
            return SignIn::Wrong;
        }
        let until = now.as_second().saturating_add(i64::try_from(SESSION.as_secs()).unwrap_or(0));
        let told = format!("{until}.{nonce:016x}");
        let value = format!("{told}.{}", hex::encode(sign(&self.key, told.as_bytes())));
        let seconds = time::Duration::seconds(i64::try_from(SESSION.as_secs()).unwrap_or(0));
        let mut cookie = Cookie::new(COOKIE, value);
        self.dress(&mut cookie, seconds);
        SignIn::Welcome(Box::new(cookie))
    }

    /// The cookie that ends a session.
    pub fn sign_out(&self) -> Cookie<'static> {
        let mut cookie = Cookie::new(COOKIE, "");
        self.dress(&mut cookie, time::Duration::ZERO);
        cookie
    }

    fn dress(&self, cookie: &mut Cookie<'static>, max_age: time::Duration) {
        cookie.set_http_only(true);
        cookie.set_same_site(SameSite::Strict);
        cookie.set_secure(self.is_secure);
        cookie.set_path("/");
        cookie.set_max_age(max_age);
    }

    /// The word that forms carry in this session.
    pub fn form_word(&self, request: &HttpRequest) -> String {
        let session = request.cookie(COOKIE).map(|cookie| cookie.value().to_owned()).unwrap_or_default();
        hex::encode(sign(&self.key, format!("form {session}").as_bytes()))
    }

    /// Whether a form carries that word.
    pub fn is_own_form(&self, request: &HttpRequest, word: &str) -> bool {
        self.form_word(request).as_bytes().ct_eq(word.as_bytes()).into()
    }

    /// The session that a request shows, where it is one and not over.
    fn session(&self, request: &HttpRequest, now: Timestamp) -> Option<()> {
        let cookie = request.cookie(COOKIE)?;
        let (told, signature) = cookie.value().rsplit_once('.')?;
        let right = hex::encode(sign(&self.key, told.as_bytes()));
        let until: i64 = told.split_once('.')?.0.parse().ok()?;
        let is_right = bool::from(right.as_bytes().ct_eq(signature.as_bytes()));
        (is_right && now.as_second() < until).then_some(())
    }
}

fn header<'a>(request: &'a HttpRequest, name: &str) -> Option<&'a str> {
    request.headers().get(name)?.to_str().ok()
}

fn sign(key: &[u8], what: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(what);
    mac.finalize().into_bytes().to_vec()
}
