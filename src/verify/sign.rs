//! The other direction: signs a request as its provider would, for `send`, `demo` and tests.

use hmac::Mac as _;

use super::key::Keys;
use super::refusal::Refusal;
use super::scheme::{Scheme, StampPlace};
use crate::domain::Request;

impl Scheme {
    /// Signs the request as of its `received_at` with the first key, replacing whatever signature it carried.
    ///
    /// # Errors
    /// A part that is to be signed is missing from the request.
    pub fn sign(&self, keys: &Keys, request: &mut Request) -> Result<(), Refusal> {
        let timestamp = self.timestamp.as_ref().map(|_| request.received_at.as_second().to_string());
        let mut mac = keys.iter().next().expect("a source has at least one secret").clone();
        for part in self.parts(request, timestamp.as_deref())? {
            mac.update(part);
        }
        let signature = mac.finalize().into_bytes();
        let mut members = Vec::new();
        match (self.timestamp.as_ref().map(|stamp| &stamp.place), timestamp) {
            (Some(StampPlace::Header(name)), Some(timestamp)) => request.headers.set(name, timestamp),
            (Some(StampPlace::Member(label)), Some(timestamp)) => members.push((label.clone(), timestamp)),
            (None, _) | (_, None) => {}
        }
        let value = self.place.write(&signature, &members);
        request.headers.set(&self.place.header, value);
        Ok(())
    }
}
