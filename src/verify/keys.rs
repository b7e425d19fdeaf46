//! The secrets of a source, and what a scheme makes of them.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use subtle::ConstantTimeEq as _;

use super::key::Key;
use super::public::Roots;
use super::refusal::Refusal;
use crate::domain::{Request, Secret};

/// Everything secret or trusted that a source brings to a scheme.
#[derive(Debug, Clone, Default)]
pub struct Secrets {
    /// The provider's secrets; several during a rotation, any of which may match.
    pub unnamed: Vec<Secret>,
    /// Secrets of other kinds, by name.
    pub named: BTreeMap<String, Secret>,
    /// The token in which the path must end.
    pub path_token: Option<Secret>,
    /// The addresses from which requests may come; all, where there is none.
    pub allow_ips: Vec<IpNet>,
    /// The authorities whose certificates are believed.
    pub roots: Roots,
}

impl Secrets {
    /// Unnamed secrets and nothing else.
    pub fn of(unnamed: &[Secret]) -> Self {
        Self { unnamed: unnamed.to_vec(), ..Self::default() }
    }
}

/// The secrets of a source, ready to use under the scheme of its pack.
#[derive(Clone)]
pub struct Keys {
    pub(super) secrets: Secrets,
    /// For each alternative of the scheme: its keys, or `None` where the source lacks the secrets for it.
    pub(super) alternatives: Vec<Option<Vec<Candidate>>>,
}

/// One secret with the keys that it can be.
#[derive(Clone)]
pub(super) struct Candidate {
    pub(super) secret: Option<Secret>,
    pub(super) keys: Vec<Key>,
}

/// A secret that is missing or of no use, and the key of the source at which it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyFault {
    /// Such as `secrets[0]` or `named_secrets.salt`.
    pub key: String,
    /// What is wrong.
    pub cause: String,
}

impl Keys {
    /// Whether the request came by the source's own door: path token and address.
    pub(super) fn admit(&self, request: &Request) -> Result<(), Refusal> {
        if let Some(wanted) = &self.secrets.path_token {
            let given = request.path_token.as_ref().map_or("", Secret::expose);
            if !is_same(wanted.expose().as_bytes(), given.as_bytes()) {
                return Err(Refusal::PathToken);
            }
        }
        let is_allowed = |peer: &IpAddr| self.secrets.allow_ips.iter().any(|net| net.contains(peer));
        let is_open = self.secrets.allow_ips.is_empty();
        if is_open || request.peer.map(|peer| peer.to_canonical()).as_ref().is_some_and(is_allowed) {
            Ok(())
        } else {
            Err(Refusal::AddressNotAllowed)
        }
    }

    /// True where only a door of its own tells a source's requests from others.
    pub(super) fn has_door(&self) -> bool {
        self.secrets.path_token.is_some() || !self.secrets.allow_ips.is_empty()
    }
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let count: usize = self.alternatives.iter().flatten().flatten().map(|candidate| candidate.keys.len()).sum();
        write!(formatter, "{count} keys [redacted]")
    }
}

/// Compares in a time that does not depend on where the two differ.
pub(super) fn is_same(one: &[u8], other: &[u8]) -> bool {
    one.ct_eq(other).into()
}
