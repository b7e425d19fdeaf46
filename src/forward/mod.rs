//! Sends sale events to upstreams until they are accepted.
//!
//! A template says how an upstream is spoken to and how its answers are judged; an [`Upstream`] is one configured use of it;
//! a [`Sender`] works through its queue.

pub mod again;
mod attempt;
mod cases;
mod judge;
mod note;
mod render;
mod schedule;
mod sender;
mod sign;
mod template;
mod trial;
mod upstream;

pub use cases::CaseReport;
pub use judge::Judgement;
pub use render::{RenderError, Rendered};
pub use schedule::{Next, Schedule};
pub use sender::Sender;
pub use template::{AmountUnit, Auth, Field, RequestSpec, Rule, TEMPLATE_FORMAT, Template, Templates, Transport};
pub use trial::{Sample, Trial, Verdict};
pub use upstream::{TimestampPolicy, Upstream, UpstreamConfig};
