//! The way out: HTTP clients that follow no redirect, reach no private address by a name, and read answers within bounds; and when
//! to ask again.

mod client;
mod retry;

pub use http::Uri;

pub use client::{Answer, Client, Failure, Limits, Request, check_url, get, is_private, names_private, post, uri, uri_of};
pub use retry::{jittered, retry_after};
