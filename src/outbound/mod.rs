//! The way out: HTTP clients that follow no redirect, reach no private address by a name, and read answers within bounds; and when
//! to ask again.

mod address;
mod client;
mod retry;

pub use http::{HeaderMap, Uri};

pub use address::{check_url, is_private, names_private, uri, uri_of};
pub use client::{Answer, Client, Failure, Limits, Request, get, post, put_header};
pub use retry::{jittered, retry_after};
