//! Fetches what thin webhooks only refer to, after they were answered, and stores the answers beside them.
//!
//! What is fetched, and from where, is the pack's to say; which event needs what is the mapping's. An event waits until all was
//! fetched; when something cannot be had, that is its answer, and the mapping parks the event or does without.

mod fetcher;
mod worker;

pub use fetcher::{Failure, Fetcher, HttpFetcher};
pub use worker::Enricher;
