//! What may be kept of the path token of a refused request, so that it can be judged again, though the token itself is never stored.
//!
//! That the token was right is kept as a plain yes: the request did come by the source's door. Of any other token only a hash is kept,
//! which is compared with the configured token once that is mended. A plain SHA-256 does, with the source and the instant of receipt in it
//! so that equal tokens leave unequal hashes: what is looked for is a token of at least 16 characters that nobody can guess, so a hash of it
//! tells nobody anything, and a shorter one opens no door. No key of the source goes into the hash, because those are what is being mended.

use sha2::{Digest as _, Sha256};

use super::keys::{Keys, is_same};
use crate::domain::{Request, Secret};

/// What is kept of a path token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenMark {
    /// The path ended in no token.
    Absent,
    /// The path ended in the token that the source had at the time of receipt.
    Right,
    /// The path ended in another text, of which this is the hash.
    Other([u8; 32]),
}

impl Keys {
    /// What may be kept of the path token of this request.
    pub fn mark_token(&self, request: &Request) -> TokenMark {
        match &request.path_token {
            None => TokenMark::Absent,
            Some(_) if self.has_path_token_of(request) => TokenMark::Right,
            Some(given) => TokenMark::Other(hash(request, given)),
        }
    }

    /// The token that a request with this mark is to be judged with: the configured one, where the request had shown it.
    pub fn token_of(&self, mark: &TokenMark, request: &Request) -> Option<Secret> {
        let wanted = self.secrets.path_token.as_ref()?;
        let is_right = match mark {
            TokenMark::Absent => false,
            TokenMark::Right => true,
            TokenMark::Other(known) => is_same(known, &hash(request, wanted)),
        };
        is_right.then(|| wanted.clone())
    }

    /// True where the source has a path token and the request shows it.
    pub(crate) fn has_path_token_of(&self, request: &Request) -> bool {
        let given = request.path_token.as_ref().map_or("", Secret::expose);
        self.secrets.path_token.as_ref().is_some_and(|wanted| is_same(wanted.expose().as_bytes(), given.as_bytes()))
    }
}

fn hash(request: &Request, token: &Secret) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in [b"path token".as_slice(), request.source.as_bytes(), token.expose().as_bytes()] {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.update(request.received_at.as_millisecond().to_le_bytes());
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Timestamp;
    use crate::verify::Secrets;

    fn keys(token: Option<&str>) -> Keys {
        let secrets = Secrets { path_token: token.map(Secret::new), ..Secrets::default() };
        Keys { secrets, alternatives: Vec::new() }
    }

    fn request(token: Option<&str>) -> Request {
        Request {
            source: "s".to_owned(),
            headers: crate::domain::Headers::default(),
            body: Vec::new(),
            query: None,
            url: None,
            path_token: token.map(Secret::new),
            peer: None,
            received_at: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn a_mark_leads_to_the_token_that_was_shown_and_to_no_other() {
        let (old, new) = (keys(Some("0123456789abcdef")), keys(Some("fedcba9876543210")));
        let shown = request(Some("fedcba9876543210"));
        let mark = old.mark_token(&shown);
        assert!(matches!(mark, TokenMark::Other(_)), "{mark:?}");
        assert_eq!(new.token_of(&mark, &shown), Some(Secret::new("fedcba9876543210")));
        assert_eq!(old.token_of(&mark, &shown), None);
        let later = Request { received_at: Timestamp::UNIX_EPOCH + std::time::Duration::from_secs(1), ..shown.clone() };
        assert_ne!(old.mark_token(&later), mark, "the same token leaves another hash");
        assert_eq!(new.mark_token(&shown), TokenMark::Right);
        assert_eq!(old.token_of(&TokenMark::Right, &shown), Some(Secret::new("0123456789abcdef")), "it had come by the door");
        assert_eq!(old.mark_token(&request(None)), TokenMark::Absent);
        assert_eq!(old.token_of(&TokenMark::Absent, &request(None)), None);
        assert_eq!(keys(None).token_of(&TokenMark::Right, &shown), None);
    }
}
