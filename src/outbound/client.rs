//! One HTTP client for each destination, which follows no redirect and reaches no private address by a name.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, Method, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Error;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tower_service::Service;

use super::address::{allowed, uri};
use crate::domain::Headers;

/// So much of an answer is read at the most.
const ANSWER_LIMIT_BYTES: usize = 1024 * 1024;
/// [`post`] waits so long.
const POST_TIMEOUT: Duration = Duration::from_secs(30);
/// A connection over which nothing goes is asked after this whether the other side is still there.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// A connection that nobody needs is kept so long.
const IDLE: Duration = Duration::from_secs(30);
/// Who asks.
const AGENT: HeaderValue = HeaderValue::from_static(concat!("salebridge/", env!("CARGO_PKG_VERSION")));

/// A client for one destination.
#[derive(Debug, Clone)]
pub struct Client {
    pool: hyper_util::client::legacy::Client<Within<HttpsConnector<HttpConnector<Guard>>>, Full<Bytes>>,
    timeout: Duration,
    answer_limit_bytes: usize,
}

/// The limits of a client.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// A connection must be there within this.
    pub connect_timeout: Duration,
    /// An answer must be complete within this.
    pub timeout: Duration,
    /// So many connections are kept for later.
    pub idle_connections: usize,
    /// So much of an answer is read, at most a mebibyte.
    pub answer_limit_bytes: usize,
    /// True where a name may lead to a private or loopback address.
    pub allow_private: bool,
}

/// What is asked.
#[derive(Debug, Clone)]
pub struct Request {
    /// The method.
    pub method: &'static str,
    /// The whole URL, by [`uri`].
    pub url: Uri,
    /// The content type and the body.
    pub body: Option<(&'static str, String)>,
    /// The headers; [`put_header`] makes them.
    pub headers: HeaderMap,
}

/// What an API answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The content type.
    pub content_type: Option<String>,
    /// `Retry-After`, as it came.
    pub retry_after: Option<String>,
    /// The start of the body.
    pub body: String,
}

/// Why there is no answer, in words, without URL or secrets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// There was no connection: the other side cannot have the request.
    #[error("{0}")]
    Unsent(String),
    /// The other side may have the request, but no whole answer came.
    #[error("{0}")]
    Unanswered(String),
}

/// Resolves names, but not to addresses that a name must not lead to.
#[derive(Debug, Clone)]
struct Guard {
    allow_private: bool,
}

/// Connects, with everything that belongs to it, within a time.
#[derive(Debug, Clone)]
struct Within<C> {
    connector: C,
    limit: Duration,
}

impl Client {
    /// A client with these limits. It follows no redirect and asks no proxy, which would look names up itself, past the guard.
    ///
    /// # Errors
    /// This machine cannot make one (no certificates).
    pub fn new(limits: Limits) -> Result<Self, String> {
        let mut connector = HttpConnector::new_with_resolver(Guard { allow_private: limits.allow_private });
        connector.enforce_http(false);
        connector.set_nodelay(true);
        connector.set_keepalive(Some(KEEP_ALIVE));
        let connector = HttpsConnectorBuilder::new()
            .with_provider_and_platform_verifier(rustls::crypto::ring::default_provider())
            .map_err(|error| format!("{}; are the system's CA certificates installed (ca-certificates)?", sentence(&error)))?
            .https_or_http()
            .enable_all_versions()
            .wrap_connector(connector);
        let pool = hyper_util::client::legacy::Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(limits.idle_connections)
            .build(Within { connector, limit: limits.connect_timeout });
        Ok(Self { pool, timeout: limits.timeout, answer_limit_bytes: limits.answer_limit_bytes.min(ANSWER_LIMIT_BYTES) })
    }

    /// Asks, and reads the answer, bounded in size and time.
    ///
    /// # Errors
    /// No answer came.
    pub async fn ask(&self, request: Request) -> Result<Answer, Failure> {
        let mut headers = request.headers;
        let body = request.body.map_or_else(Bytes::new, |(content_type, body)| {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
            body.into()
        });
        headers.entry(USER_AGENT).or_insert(AGENT);
        let method = Method::from_bytes(request.method.as_bytes()).map_err(|error| Failure::Unsent(sentence(&error)))?;
        self.exchange(method, request.url, headers, body).await
    }

    /// One request and its answer. What belongs to the connection itself (`Host`, `Content-Length`) is added on the way.
    async fn exchange(&self, method: Method, url: Uri, mut headers: HeaderMap, body: Bytes) -> Result<Answer, Failure> {
        headers.entry(ACCEPT).or_insert(HeaderValue::from_static("*/*"));
        let mut request = http::Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = url;
        *request.headers_mut() = headers;
        let exchange = async {
            let response = self.pool.request(request).await.map_err(|error| Failure::of(&error))?;
            self.read(response).await.map_err(|error| Failure::Unanswered(sentence(&error)))
        };
        let late = |_| Failure::Unanswered(format!("no whole answer within {} s", self.timeout.as_secs_f32()));
        tokio::time::timeout(self.timeout, exchange).await.map_err(late)?
    }

    async fn read(&self, response: http::Response<Incoming>) -> Result<Answer, hyper::Error> {
        let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let (status, content_type, retry_after) = (response.status().as_u16(), header(CONTENT_TYPE), header(RETRY_AFTER));
        let mut incoming = response.into_body();
        let mut body = Vec::new();
        while let Some(frame) = incoming.frame().await {
            let Ok(chunk) = frame?.into_data() else { continue }; // trailers say nothing that is read
            let room = self.answer_limit_bytes - body.len();
            body.extend_from_slice(&chunk[..chunk.len().min(room)]);
            if body.len() == self.answer_limit_bytes {
                break;
            }
        }
        let body = String::from_utf8(body).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
        Ok(Answer { status, content_type, retry_after, body })
    }
}

impl Failure {
    fn of(error: &Error) -> Self {
        let words = sentence(error);
        if error.is_connect() { Self::Unsent(words) } else { Self::Unanswered(words) }
    }
}

/// Adds a header; one that is secret is never printed, and HTTP/2 keeps it in no table.
///
/// # Errors
/// Name or value cannot be one (RFC 9110, section 5).
pub fn put_header(headers: &mut HeaderMap, name: &str, value: &str, is_secret: bool) -> Result<(), http::Error> {
    let mut value = HeaderValue::from_str(value)?;
    value.set_sensitive(is_secret);
    headers.append(HeaderName::from_bytes(name.as_bytes())?, value);
    Ok(())
}

/// Posts a body to an address of this machine and answers with status and body: the way of `send` and the demo.
///
/// # Errors
/// The reason in words.
pub async fn post(url: &str, headers: &Headers, body: Vec<u8>) -> Result<(u16, String), String> {
    let mut sent = HeaderMap::new();
    // Those two belong to the connection, not to the case.
    for (name, value) in headers.iter().filter(|(name, _)| !matches!(*name, "host" | "content-length")) {
        put_header(&mut sent, name, value, true).map_err(|error| sentence(&error))?;
    }
    plain(Method::POST, url, sent, body, POST_TIMEOUT).await
}

/// Gets a page of this machine's own, as `health` asks for it, and answers with status and body.
///
/// # Errors
/// The reason in words; that there was no answer within `timeout` is one.
pub async fn get(url: &str, timeout: Duration) -> Result<(u16, String), String> {
    plain(Method::GET, url, HeaderMap::new(), Vec::new(), timeout).await
}

/// Asks an address that an operator named, whatever network it is in.
async fn plain(method: Method, url: &str, headers: HeaderMap, body: Vec<u8>, timeout: Duration) -> Result<(u16, String), String> {
    let limits = Limits {
        connect_timeout: timeout,
        timeout,
        idle_connections: 0,
        answer_limit_bytes: ANSWER_LIMIT_BYTES,
        allow_private: true,
    };
    let answer = Client::new(limits)?.exchange(method, uri(url)?, headers, body.into()).await;
    answer.map(|answer| (answer.status, answer.body)).map_err(|failure| failure.to_string())
}

impl Service<Name> for Guard {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = std::io::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let allow_private = self.allow_private;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            Ok(allowed(found, allow_private).map_err(std::io::Error::other)?.into_iter())
        })
    }
}

impl<C> Service<Uri> for Within<C>
where
    C: Service<Uri>,
    C::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    C::Future: Send + 'static,
{
    type Response = C::Response;
    type Error = Box<dyn std::error::Error + Send + Sync>;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.connector.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, url: Uri) -> Self::Future {
        let (connecting, limit) = (self.connector.call(url), self.limit);
        Box::pin(async move {
            match tokio::time::timeout(limit, connecting).await {
                Ok(connected) => connected.map_err(Into::into),
                Err(_) => Err(format!("no connection within {} s", limit.as_secs_f32()).into()),
            }
        })
    }
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

    #[tokio::test]
    async fn a_name_that_leads_to_this_machine_is_refused_before_anything_is_sent() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://localhost:{}/", listener.local_addr().expect("it is bound").port());
        let limits = Limits {
            connect_timeout: Duration::from_secs(5),
            timeout: Duration::from_secs(5),
            idle_connections: 1,
            answer_limit_bytes: 1024,
            allow_private: false,
        };
        let url = uri(&url).expect("a URL");
        let request = Request { method: "POST", url, body: None, headers: HeaderMap::new() };
        let failure = Client::new(limits).expect("a client").ask(request).await.expect_err("it is refused");
        assert!(matches!(&failure, Failure::Unsent(why) if why.contains("allow_private")), "{failure:?}");
        listener.set_nonblocking(true).expect("it can be");
        assert!(listener.accept().is_err(), "nobody came");
    }

    const PATIENCE: Duration = Duration::from_secs(20);

    /// What a client makes of somebody who does this with a connection, within this time.
    async fn asks(timeout: Duration, peer: impl FnOnce(std::net::TcpStream) + Send + 'static) -> Result<Answer, Failure> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = uri(&format!("http://{}/", listener.local_addr().expect("it is bound"))).expect("a URL");
        let talk = tokio::task::spawn_blocking(move || peer(listener.accept().expect("it comes").0));
        let limits =
            Limits { connect_timeout: PATIENCE, timeout, idle_connections: 1, answer_limit_bytes: 16, allow_private: true };
        let request =
            Request { method: "POST", url, body: Some(("application/json", "{}".to_owned())), headers: HeaderMap::new() };
        let answer = Client::new(limits).expect("a client").ask(request).await;
        talk.await.expect("the peer does not panic");
        answer
    }

    fn answers(text: &'static str) -> impl FnOnce(std::net::TcpStream) + Send {
        use std::io::{Read as _, Write as _};
        move |mut stream| {
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n{}") {
                let mut byte = [0];
                stream.read_exact(&mut byte).expect("the request is whole");
                request.extend(byte);
            }
            stream.write_all(text.as_bytes()).expect("it is there");
            let mut rest = Vec::new();
            drop(stream.read_to_end(&mut rest)); // until the client goes away
            assert!(rest.is_empty(), "nothing more was asked");
        }
    }

    #[tokio::test]
    async fn a_redirect_is_an_answer() {
        let moved =
            "HTTP/1.1 307 Temporary Redirect\r\nLocation: http://127.0.0.1:9/\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n";
        let answer = asks(PATIENCE, answers(moved)).await.expect("an answer");
        assert_eq!((answer.status, answer.retry_after.as_deref(), answer.body.as_str()), (307, Some("7"), ""));
    }

    #[tokio::test]
    async fn an_answer_is_read_as_far_as_it_is_kept() {
        let long = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n\
                    a\r\n0123456789\r\na\r\nabcdefghij\r\nffffffff\r\n";
        let answer = asks(PATIENCE, answers(long)).await.expect("an answer");
        assert_eq!((answer.content_type.as_deref(), answer.body.as_str()), (Some("text/plain"), "0123456789abcdef"));
    }

    #[tokio::test]
    async fn what_may_have_arrived_is_told_from_what_cannot() {
        let halves = ["", "HTTP/1.1 200 OK\r\nContent-", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"];
        for half in halves {
            let failure = asks(Duration::from_secs(1), answers(half)).await.expect_err("there is no whole answer");
            assert_eq!(failure, Failure::Unanswered("no whole answer within 1 s".to_owned()), "{half}");
        }
        let broken = asks(PATIENCE, drop).await.expect_err("it was closed");
        assert!(matches!(broken, Failure::Unanswered(_)), "{broken:?}");
        let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port");
        let refused = post(&format!("http://{free}/"), &Headers::default(), Vec::new()).await.expect_err("nobody listens");
        assert!(refused.contains("refused"), "{refused}");
    }
}
