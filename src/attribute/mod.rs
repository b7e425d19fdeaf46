//! Which sale is it, and who earned it? The rules of the ledger (ARCHITECTURE.md, "The rules of the ledger").
//!
//! Pure: [`Ledger`] is the slice of the store that a batch touches; [`Ledger::apply`] and [`Ledger::expire`] change it by
//! the rules, and [`Ledger::into_changes`] says what the store must write, all in one transaction.

mod by_hand;
mod changes;
mod credit;
mod hints;
mod learn;
mod ledger;
mod refold;
mod route;
mod settle;
mod slice;
mod take_back;
mod tally;

pub use by_hand::{ByHand, Choice};
pub use changes::{Changes, DoubleCount, EventOutcome, EventRecord, Merge, NewDelivery, NewFetch, NewStatement, SaleKey, Tell};
pub use hints::{Hint, Pending};
pub use learn::person_scope;
pub use ledger::Ledger;
pub use refold::{Recorded, SaleChange, Unsafe};
pub use route::{Filter, Route, WithoutClick};
pub use slice::{Place, Slice, Wanted, place};

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::Fallback;

/// `[attribution]` of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Attribution")]
pub struct Config {
    /// How long a sale that lacks its customer or its click is held for an event that may bring it.
    pub waiting_room_secs: u32,
    /// Which click a renewal is credited to.
    pub renewals: Renewals,
    /// What stands in for the team's own customer id where no event told it in time; the first that is known.
    pub customer_fallback: Vec<Fallback>,
}

impl Default for Config {
    fn default() -> Self {
        Self { waiting_room_secs: 60, renewals: Renewals::default(), customer_fallback: Vec::new() }
    }
}

/// What the rules need to know of the configuration.
#[derive(Debug, Clone)]
pub struct Rules {
    /// How long a sale is held for its customer or its click.
    pub waiting_room: Duration,
    /// Which click a renewal is credited to.
    pub renewals: Renewals,
    /// What stands in for the team's own customer id.
    pub customer_fallback: Vec<Fallback>,
    /// Where sales go.
    pub upstreams: Vec<Route>,
}

impl Rules {
    /// The rules of a configuration, for these upstreams.
    pub fn new(config: &Config, upstreams: Vec<Route>) -> Self {
        Self {
            waiting_room: Duration::from_secs(config.waiting_room_secs.into()),
            renewals: config.renewals,
            customer_fallback: config.customer_fallback.clone(),
            upstreams,
        }
    }
}

/// Which click a renewal is credited to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Renewals {
    /// The one that its own events tell, else the newest that is remembered.
    #[default]
    AsTold,
    /// The newest click of the customer, even where the renewal repeats an older one.
    LastClick,
    /// The click that led to the first purchase: the one that the renewal repeats, else the oldest that is remembered.
    FirstClick,
    /// None at all.
    None,
}
