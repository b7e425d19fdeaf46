//! The words of the project as types: money, time, secrets, requests, provider events, sales.
//!
//! Nothing here does I/O, and nothing here imports another module of ours.

mod adjustment;
mod balance;
mod clock;
mod delivery;
mod event;
mod fault;
mod identity;
mod limiter;
mod money;
mod proof;
mod request;
mod sale;
mod sale_event;
mod secret;
mod tally;

pub use adjustment::{Adjustment, AdjustmentKind, Statement};
pub use balance::Balance;
pub use clock::{CLOCK_NOISE, Clock, FixedClock, LatestSeen, SystemClock, Timestamp, from_millis};
pub use delivery::{AdjustmentRule, AdjustmentStep, AttemptOutcome, DeliveryState, Outgoing};
pub use event::{Accept, Answer, Buyer, Claim, Event, Fallback, Fetch, Found, Key, Meaning, Mode, Origin, Reason, Scope};
pub use fault::{Fault, Faults};
pub use identity::{Click, Identity};
pub use limiter::Limiter;
pub use money::{AmountError, Currency, Money, decimal_to_minor};
pub use proof::{Part, PartKind, Proof, Side, Told};
pub use request::{CREDENTIAL_HEADERS, Headers, Request};
pub use sale::{NOT_TODAY, PARKED_BY_HAND, Sale, SaleState, Teller, invoice_id_of};
pub use sale_event::{EventName, SaleEvent, invoice_id};
pub use secret::Secret;
pub use tally::{Count, Tallied, Tallies, Tally, hour_of, start_of_hour};

/// The inbox number of a stored request; ascending in the order of storage, from 1.
pub type RequestId = i64;
/// The number of a sale in the ledger; ascending, from 1.
pub type SaleId = i64;
/// The number of a delivery; ascending, from 1.
pub type DeliveryId = i64;
