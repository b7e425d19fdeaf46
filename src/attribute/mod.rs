//! Which sale is it, and who earned it? The rules of the ledger (ARCHITECTURE.md, "The rules of the ledger").
//!
//! Pure: [`Ledger`] is the slice of the store that a batch touches; [`Ledger::apply`] and [`Ledger::expire`] change it by
//! the rules, and [`Ledger::into_changes`] says what the store must write, all in one transaction.

mod changes;
mod ledger;
mod settle;

pub use changes::{Changes, DoubleCount, EventOutcome, EventRecord, NewDelivery, NewFetch, SaleKey};
pub use ledger::{Ledger, Place, Wanted};

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

/// `[attribution]` of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How long a sale that lacks its customer or its click is held for an event that may bring it.
    pub waiting_room_secs: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self { waiting_room_secs: 60 }
    }
}

/// What the rules need to know of the configuration.
#[derive(Debug, Clone)]
pub struct Rules {
    /// How long a sale is held for its customer or its click.
    pub waiting_room: Duration,
    /// Where sales go.
    pub upstreams: Vec<Route>,
}

/// One upstream, as far as the ledger is concerned.
#[derive(Debug, Clone)]
pub struct Route {
    /// Its configured name.
    pub upstream: Arc<str>,
    /// What to do with a sale that has no click.
    pub without_click: WithoutClick,
}

/// What to do with a sale that has no click.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WithoutClick {
    /// Send it without.
    #[default]
    Send,
    /// Keep it back; a click that arrives later releases it.
    Hold,
    /// Do not send it; it is shown as skipped.
    Skip,
}
