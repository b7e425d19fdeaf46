//! Certificates that requests name, fetched and remembered.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Mutex;

use crate::domain::{Clock, Timestamp};
use crate::outbound::{Client, Limits, Request};
use crate::verify::Chain;

/// So many certificates are remembered; a provider uses one or two at a time.
const KEPT: usize = 16;
/// A certificate is fetched anew after this.
const KEPT_FOR: Duration = Duration::from_secs(24 * 60 * 60);
/// What could not be had is not asked for again before this, whoever sends what.
const FAILED_FOR: Duration = Duration::from_secs(10);

/// Where certificates come from. A test brings its own.
#[async_trait]
pub trait Certificates: Send + Sync {
    /// The certificate at a URL, which the scheme has found fit to be asked.
    ///
    /// # Errors
    /// Why it cannot be had right now, in words.
    async fn certificate(&self, url: &str) -> Result<Arc<Chain>, String>;
}

/// Certificates from the web.
pub struct WebCertificates {
    client: Client,
    clock: Arc<dyn Clock>,
    known: Mutex<HashMap<String, (Timestamp, Result<Arc<Chain>, String>)>>,
}

impl WebCertificates {
    /// A way to the web.
    ///
    /// # Errors
    /// This machine cannot make a client.
    pub fn new(clock: Arc<dyn Clock>) -> Result<Self, String> {
        let client = Client::new(Limits {
            connect_timeout: Duration::from_secs(3),
            timeout: Duration::from_secs(5),
            idle_connections: 1,
            answer_limit_bytes: 64 * 1024,
            allow_private: false,
        })?;
        Ok(Self { client, clock, known: Mutex::new(HashMap::new()) })
    }

    async fn fetch(&self, url: &str) -> Result<Arc<Chain>, String> {
        let url = url.parse().map_err(|_| "its URL is none".to_owned())?;
        let answer = self.client.ask(Request { url, body: None, headers: Vec::new() }).await?;
        if answer.status != 200 {
            return Err(format!("its host answered {}", answer.status));
        }
        Ok(Arc::new(Chain::from_pem(answer.body.as_bytes())))
    }
}

#[async_trait]
impl Certificates for WebCertificates {
    async fn certificate(&self, url: &str) -> Result<Arc<Chain>, String> {
        // One at a time: whoever names many certificates waits for each.
        let mut known = self.known.lock().await;
        let now = self.clock.now();
        let is_fresh = |at: &Timestamp, found: &Result<Arc<Chain>, String>| {
            let limit = if found.is_ok() { KEPT_FOR } else { FAILED_FOR };
            now >= *at && now.duration_since(*at).unsigned_abs() < limit
        };
        known.retain(|_, (at, found)| is_fresh(at, found));
        if let Some((_, found)) = known.get(url) {
            return found.clone();
        }
        if known.len() >= KEPT {
            return Err("too many certificates were named lately".to_owned());
        }
        let found = self.fetch(url).await;
        known.insert(url.to_owned(), (now, found.clone()));
        found
    }
}
