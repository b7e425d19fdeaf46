//! Certificates that requests name, fetched and remembered.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Semaphore;

use crate::outbound::{Client, HeaderMap, Limits, Request, uri};
use crate::verify::Chain;

/// So many certificates are remembered; a provider uses one or two at a time.
const KEPT: usize = 16;
/// So many are fetched at once, whoever names how many.
const AT_ONCE: usize = 4;

/// Where certificates come from. A test brings its own.
#[async_trait]
pub trait Certificates: Send + Sync {
    /// The certificate at a URL, which the scheme has found fit to be asked.
    ///
    /// # Errors
    /// Why it cannot be had right now, in words.
    async fn certificate(&self, url: &str) -> Result<Arc<Chain>, String>;

    /// A request that was signed with this certificate was found genuine: it may be remembered. Whether it is still valid is
    /// judged anew with each request.
    fn proven(&self, url: &str, chain: &Arc<Chain>);
}

/// Certificates from the web. Only those that have proven themselves are remembered, so that no stranger can fill the memory.
pub struct WebCertificates {
    client: Client,
    known: Mutex<VecDeque<(String, Arc<Chain>)>>,
    fetches: Semaphore,
}

impl WebCertificates {
    /// A way to the web.
    ///
    /// # Errors
    /// This machine cannot make a client.
    pub fn new() -> Result<Self, String> {
        let client = Client::new(Limits {
            connect_timeout: Duration::from_secs(3),
            timeout: Duration::from_secs(5),
            idle_connections: 1,
            answer_limit_bytes: 64 * 1024,
            allow_private: false,
        })?;
        Ok(Self { client, known: Mutex::new(VecDeque::new()), fetches: Semaphore::new(AT_ONCE) })
    }

    fn known(&self) -> MutexGuard<'_, VecDeque<(String, Arc<Chain>)>> {
        self.known.lock().expect("nobody panics while they look at certificates")
    }
}

#[async_trait]
impl Certificates for WebCertificates {
    async fn certificate(&self, url: &str) -> Result<Arc<Chain>, String> {
        let known = self.known().iter().find(|(known, _)| known == url).map(|(_, chain)| Arc::clone(chain));
        if let Some(chain) = known {
            return Ok(chain);
        }
        let _permit = self.fetches.try_acquire().map_err(|_| "too many are being fetched".to_owned())?;
        let asked = uri(url).map_err(|_| "its URL is none".to_owned())?;
        let answer = self.client.ask(Request { method: "GET", url: asked, body: None, headers: HeaderMap::new() }).await;
        let answer = answer.map_err(|failure| failure.to_string())?;
        match answer.status {
            200 => Ok(Arc::new(Chain::from_pem(answer.body.as_bytes()))),
            status => Err(format!("its host answered {status}")),
        }
    }

    fn proven(&self, url: &str, chain: &Arc<Chain>) {
        let mut known = self.known();
        if known.iter().all(|(known, _)| known != url) {
            if known.len() == KEPT {
                known.pop_front();
            }
            known.push_back((url.to_owned(), Arc::clone(chain)));
        }
    }
}
