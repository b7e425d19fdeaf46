//! What does a verified request say? Reads the body by a pack's rules and answers with events in our words.
//!
//! Pure: the same bytes, rules and source give the same events. What cannot be mapped is parked with its reason, never
//! dropped and never an error.

mod amount;
mod mapping;
mod path;
mod read;
mod rule;
mod spec;

pub use mapping::{Context, Mapping, RequestView};
pub use read::{AmountKind, MetadataKeys};
pub use spec::{EventSpec, KeysSpec, MoneySpec, Outcome, Reads, Rule, Spec};
