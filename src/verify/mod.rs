//! Is this request genuine? A scheme, given as data by a pack, answers with a [`Verified`] or a [`Refusal`].
//!
//! No I/O, no clock: a request is judged as of its own receipt. There is no scheme that accepts everything: where a provider does
//! not sign, only a path token or a list of addresses opens the door.

mod alternative;
mod basic;
mod canonical;
mod check;
mod describe;
mod door;
mod fields;
mod input;
mod key;
mod keys;
mod public;
mod refusal;
mod reply;
mod scheme;
mod sign;
mod signature;
mod spec;
mod template;
#[cfg(test)]
mod tests;
mod timestamp;
mod token;
mod trial;

pub use door::TokenMark;
pub use key::KeyError;
pub use keys::{KeyFault, Keys, Secrets};
pub use public::{Chain, Roots};
pub use refusal::{Refusal, Refused};
pub use reply::{Reply, ReplySpec};
pub use scheme::Scheme;
pub use sign::SignError;
pub use spec::{Covers, Spec};

pub(crate) use canonical::sorted;

use crate::domain::Request;

/// A request that was found genuine. Only [`Scheme::verify`] makes one, and only such a request can be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified(Request);

impl Verified {
    /// The request.
    pub fn request(&self) -> &Request {
        &self.0
    }

    /// The request as it is kept.
    pub fn into_kept(self) -> Request {
        self.0.kept()
    }
}
