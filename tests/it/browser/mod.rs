//! What a person sees: pages of the bridge in a real browser. `scripts/with-browser` starts one; without it these tests are left out.
//!
//! A test visits with one look (a window and a colour scheme), and ends well only if the browser had nothing to complain of: errors of
//! scripts, resources that failed, and all that a content security policy forbade fail it, unless it took those complaints itself.

mod axe;
mod dashboard;
mod mending;
mod page;
mod proof;
mod site;

pub(crate) use page::{Look, visit};
pub(crate) use site::Site;

/// What `scripts/with-browser` hands over.
fn handed(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run this by scripts/with-browser"))
}
