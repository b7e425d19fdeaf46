//! What does a verified request say? Reads the body by a pack's rules and answers with events in our words.
//!
//! Pure: the same bytes, rules and source give the same events. What cannot be mapped is parked with its reason, never
//! dropped and never an error.

mod amount;
mod enrich;
mod mapping;
mod meaning;
mod place;
mod read;
mod rule;
mod spec;
mod time;

pub use enrich::{EnrichSpec, Failure};
pub use mapping::{Context, Mapping, RequestView, Trust, Types};
pub use read::{AmountKind, MetadataKeys};
pub use spec::{AmountSpec, Condition, EventSpec, KeysSpec, MoneySpec, OtherSpec, Reads, RefundedSpec, Rule, Spec, Unit};
