//! The way out: one HTTP client for each upstream, which follows no redirect and reaches no private address by a name.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Once;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{ACCEPT, CONTENT_TYPE, RETRY_AFTER};
use reqwest::redirect::Policy;

use super::judge::Answer;
use super::template::{Auth, Method};
use super::upstream::Upstream;
use crate::domain::Headers;

/// So much of an answer is read; no API says more about one sale.
const ANSWER_LIMIT_BYTES: usize = 64 * 1024;
/// [`post`] waits so long.
const POST_TIMEOUT: Duration = Duration::from_secs(30);

/// A client for one upstream.
#[derive(Debug, Clone)]
pub(super) struct Client(reqwest::Client);

/// Resolves names, but not to addresses that a name must not lead to.
#[derive(Debug)]
struct Guard {
    allow_private: bool,
}

impl Client {
    /// A client for this upstream.
    pub(super) fn new(upstream: &Upstream) -> Result<Self, String> {
        install_tls();
        let limits = &upstream.template.limits;
        let client = reqwest::Client::builder()
            .redirect(Policy::none())
            .no_proxy() // a proxy would look names up itself, past the guard
            .connect_timeout(Duration::from_secs(limits.connect_timeout_secs))
            .timeout(Duration::from_secs(limits.timeout_secs))
            .pool_max_idle_per_host(limits.max_in_flight)
            .pool_idle_timeout(Duration::from_secs(30))
            .user_agent(concat!("salebridge/", env!("CARGO_PKG_VERSION")))
            .dns_resolver(Guard { allow_private: upstream.allow_private })
            .build()
            .map_err(|error| format!("{}; are the system's CA certificates installed (ca-certificates)?", sentence(&error)))?;
        Ok(Self(client))
    }

    /// Sends a body and reads the answer, bounded in size and time. An error is the reason in words, without URL or token.
    pub(super) async fn send(&self, upstream: &Upstream, body: String) -> Result<Answer, String> {
        let words = |error: reqwest::Error| sentence(&error.without_url());
        let request = match upstream.template.request.method {
            Method::Post => self.0.post(upstream.url.clone()),
        };
        let request = match upstream.template.request.auth {
            Auth::Bearer => request.bearer_auth(upstream.token.expose()),
        };
        let request = request.header(CONTENT_TYPE, "application/json").header(ACCEPT, "application/json").body(body);
        let mut response = request.send().await.map_err(words)?;
        let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let (content_type, retry_after) = (header(CONTENT_TYPE), header(RETRY_AFTER));
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(words)? {
            let room = ANSWER_LIMIT_BYTES - body.len();
            body.extend_from_slice(&chunk[..chunk.len().min(room)]);
            if body.len() == ANSWER_LIMIT_BYTES {
                break;
            }
        }
        let body = String::from_utf8_lossy(&body).into_owned();
        Ok(Answer { status: response.status().as_u16(), content_type, retry_after, body })
    }
}

/// Posts a body to an address of this machine and answers with status and body: the way of `send` and the demo.
///
/// # Errors
/// The reason in words.
pub async fn post(url: &str, headers: &Headers, body: Vec<u8>) -> Result<(u16, String), String> {
    install_tls();
    let words = |error: reqwest::Error| sentence(&error);
    let client = reqwest::Client::builder().redirect(Policy::none()).no_proxy().timeout(POST_TIMEOUT).build().map_err(words)?;
    let request = headers.iter().fold(client.post(url).body(body), |request, (name, value)| match name {
        // Those two belong to the connection, not to the case.
        "host" | "content-length" => request,
        _ => request.header(name, value),
    });
    let response = request.send().await.map_err(words)?;
    let status = response.status().as_u16();
    Ok((status, response.text().await.map_err(words)?))
}

fn install_tls() {
    static PROVIDER: Once = Once::new();
    // An error says that a provider is installed already, which is as good.
    PROVIDER.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let allow_private = self.allow_private;
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let allowed: Vec<SocketAddr> =
                found.into_iter().filter(|address| allow_private || !is_private(address.ip())).collect();
            if allowed.is_empty() {
                let text = "the host's name leads only to private addresses, which are refused unless allow_private is set";
                return Err(text.into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

/// True for addresses that a name on the internet must not lead to: loopback, private, link-local (with the clouds' metadata
/// services), shared, unspecified, multicast and reserved ones (RFC 6890).
pub(super) fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_private_v4(address),
        IpAddr::V6(address) => match address.to_ipv4() {
            // Also the mapped and compatible forms of IPv4, and ::1 and ::, which read as 0.0.0.1 and 0.0.0.0.
            Some(inner) => is_private_v4(inner),
            None => {
                let first = address.segments()[0];
                let is_unique_local = first & 0xfe00 == 0xfc00;
                let is_link_local = first & 0xffc0 == 0xfe80;
                let is_nat64 = address.segments()[..6] == [0x64, 0xff9b, 0, 0, 0, 0];
                is_unique_local || is_link_local || is_nat64 || address.is_multicast()
            }
        },
    }
}

fn is_private_v4(address: Ipv4Addr) -> bool {
    let [first, second, ..] = address.octets();
    let is_shared = first == 100 && second & 0xc0 == 64;
    let is_reserved = first == 0 || first >= 240;
    address.is_loopback() || address.is_private() || address.is_link_local() || address.is_multicast() || is_shared || is_reserved
}

/// An error with its causes, as one sentence.
fn sentence(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_addresses_are_known_in_every_form() {
        let private = "127.0.0.1 10.1.2.3 192.168.0.1 172.16.0.1 169.254.169.254 100.64.0.1 0.0.0.0 255.255.255.255 224.0.0.1 \
                       ::1 :: fe80::1 fd00::1 ::ffff:127.0.0.1 ::ffff:169.254.169.254 64:ff9b::7f00:1 ff02::1";
        for address in private.split_whitespace() {
            assert!(is_private(address.parse().expect("an address")), "{address}");
        }
        for address in ["1.1.1.1", "8.8.8.8", "100.128.0.1", "2606:4700:4700::1111", "::ffff:1.1.1.1"] {
            assert!(!is_private(address.parse().expect("an address")), "{address}");
        }
    }
}
