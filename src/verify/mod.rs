//! Is this request genuine? A scheme, given as data by a pack, answers with a [`Verified`] or a [`Refusal`].
//!
//! No I/O, no clock: a request is judged as of its own receipt. There is no scheme that accepts everything.

mod key;
mod refusal;
mod scheme;
mod sign;
mod signature;
mod spec;

pub use key::{KeyError, Keys};
pub use refusal::Refusal;
pub use scheme::Scheme;
pub use spec::Spec;

use crate::domain::Request;

/// A request whose signature was found good. Only [`Scheme::verify`] makes one, and only such a request can be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified(Request);

impl Verified {
    /// The request.
    pub fn request(&self) -> &Request {
        &self.0
    }
}
