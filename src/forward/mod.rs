//! Sends sale events to upstreams until they are accepted.
//!
//! A template says how an upstream is spoken to and how its answers are judged; an [`Upstream`] is one configured use of it;
//! a [`Sender`] works through its queue.

mod judge;
mod limiter;
mod render;
mod schedule;
mod sender;
mod template;
mod upstream;

pub use judge::Judgement;
pub use limiter::Limiter;
pub use schedule::{Next, Schedule};
pub use sender::Sender;
pub use template::{Template, Templates};
pub use upstream::{AmountUnit, TimestampPolicy, Upstream, UpstreamConfig};

pub use render::RenderError;
