//! A request that was refused is judged again, once the secret is mended: by today's configuration, over the exact bytes that
//! came, and as of the moment in which they came. What is genuine after all goes the way of every webhook, through the one door
//! of `verify` and the inbox; what is not stays where it is, with today's diagnosis.

use std::collections::HashMap;
use std::sync::Arc;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::Serialize;

use crate::doctor::{self, Diagnosis};
use crate::domain::{Request, RequestId};
use crate::pack::Source;
use crate::receive::{Certificates, peer_of};
use crate::store::{Error, Readmitted, RefusedId, RefusedRequest, Store};
use crate::verify::{Refusal, Verified};

/// What became of a refused request that was judged again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Judged {
    /// It is genuine: it is in the inbox, and gone from the ring. Whoever settles the inbox finds it there within a second; in the
    /// process that does it, its bell may be rung.
    Accepted {
        /// The refused request.
        id: RefusedId,
        /// Its number in the inbox.
        request: RequestId,
        /// True where the same was in the inbox already.
        duplicate: bool,
    },
    /// It is still refused, and stays in the ring.
    Refused {
        /// The refused request.
        id: RefusedId,
        /// The stable code.
        code: String,
        /// What disagrees now.
        cause: String,
        /// What that comes from, by today's configuration.
        diagnosis: Diagnosis,
    },
    /// It cannot be judged, and stays in the ring.
    Impossible {
        /// The refused request.
        id: RefusedId,
        /// Why not.
        why: String,
    },
    /// There is no such refused request: it was accepted or removed, or newer ones took its place.
    Gone {
        /// The number that was asked for.
        id: RefusedId,
    },
}

/// Judges refused requests again, by one configuration.
pub struct Rejudge {
    store: Arc<dyn Store>,
    sources: Arc<HashMap<String, Arc<Source>>>,
    trusted_proxies: Vec<IpNet>,
    certificates: Arc<dyn Certificates>,
}

impl Rejudge {
    /// A judge over this store, by these sources. `trusted_proxies` are those of `[server]`, for sources with `allow_ips`.
    pub fn new(
        store: Arc<dyn Store>,
        sources: Arc<HashMap<String, Arc<Source>>>,
        trusted_proxies: Vec<IpNet>,
        certificates: Arc<dyn Certificates>,
    ) -> Self {
        Self { store, sources, trusted_proxies, certificates }
    }

    /// Judges one refused request again, and accepts it where it is genuine. Made a second time it finds the request gone, or stored.
    ///
    /// # Errors
    /// The store's; then the request is still in the ring, or in the inbox and the ring, and the same call may be made again.
    pub async fn judge_again(&self, id: RefusedId) -> Result<Judged, Error> {
        let Some((_, refused)) = self.store.refused_request(id)? else { return Ok(Judged::Gone { id }) };
        let name = &refused.request.source;
        let Some(source) = self.sources.get(name) else {
            let why = format!("the configuration has no source named {name} any more");
            return Ok(Judged::Impossible { id, why });
        };
        if !refused.has_body {
            let why = format!(
                "its body of {} bytes was too long to be kept: let the provider send it again, most dashboards can",
                refused.body_bytes
            );
            return Ok(Judged::Impossible { id, why });
        }
        let request = self.as_of_its_receipt(refused, source);
        let fingerprint = source.fingerprint(&request);
        match self.verify(source, request).await {
            Ok(verified) => {
                let Readmitted { request, is_duplicate } = self.store.accept_refused(id, verified, fingerprint).await?;
                tracing::info!(source = %source.name, refused.id = id, request.id = request, "a refused request was accepted \
                 after all");
                Ok(Judged::Accepted { id, request, duplicate: is_duplicate })
            }
            Err((refusal, diagnosis)) => {
                Ok(Judged::Refused { id, code: refusal.code().to_owned(), cause: refusal.to_string(), diagnosis })
            }
        }
    }

    /// The request as the door would see it today, but for the time.
    fn as_of_its_receipt(&self, refused: RefusedRequest, source: &Source) -> Request {
        let RefusedRequest { request, connection, token, .. } = refused;
        let path_token = source.keys.token_of(&token, &request);
        let forwarded: Vec<&str> = request.headers.all("x-forwarded-for").collect();
        let peer = connection.and_then(|address| peer_of(address, &forwarded, &self.trusted_proxies));
        let url = source.url.clone().filter(|_| source.pack.scheme.signs_url());
        Request { url, path_token, peer, ..request }
    }

    /// The same as at the door: nothing else makes a [`Verified`].
    async fn verify(&self, source: &Source, request: Request) -> Result<Verified, (Refusal, Diagnosis)> {
        let scheme = &source.pack.scheme;
        let examined = |request: &Request, refusal: Refusal| {
            let diagnosis = doctor::examine(request, &refusal, source, &self.sources, None);
            (refusal, diagnosis)
        };
        let url = scheme.certificate_url(&source.keys, &request).map_err(|refusal| examined(&request, refusal))?;
        let certificate = match &url {
            Some(url) => {
                let certificate = self.certificates.certificate(url).await;
                Some(certificate.map_err(|why| examined(&request, Refusal::CertificateUnavailable { why }))?)
            }
            None => None,
        };
        scheme.take(&source.keys, request, certificate.as_deref()).map_err(|refused| {
            let diagnosis = doctor::examine(&refused.request, &refused.refusal, source, &self.sources, certificate.as_deref());
            (refused.refusal, diagnosis)
        })
    }
}
