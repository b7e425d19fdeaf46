//! Which upstreams a sale goes to, and as what.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::domain::{Accept, AdjustmentRule, Currency, DeliveryState, EventName, Sale};

/// One upstream, as far as the ledger is concerned.
#[derive(Debug, Clone)]
pub struct Route {
    /// Its configured name.
    pub upstream: Arc<str>,
    /// What to do with a sale that has no click.
    pub without_click: WithoutClick,
    /// Which sales go there.
    pub filter: Filter,
    /// What it is told of money that went back; `None` where nothing.
    pub adjustments: Option<AdjustmentRule>,
}

/// Which sales an upstream takes. An empty list takes all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// The sources that counted them.
    pub sources: Vec<String>,
    /// Their canonical events.
    pub events: Vec<EventName>,
    /// Their currencies.
    pub currencies: Vec<Currency>,
    /// Live or test; `None` takes both.
    pub accept: Option<Accept>,
}

/// What to do with a sale that has no click.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
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

impl Route {
    /// The state in which a delivery of this sale begins; `None` where the sale does not go there.
    pub(super) fn first_state(&self, sale: &Sale) -> Option<DeliveryState> {
        let has_click = sale.buyer.click_id.is_some();
        self.filter.takes(sale).then_some(match self.without_click {
            WithoutClick::Hold if !has_click => DeliveryState::Held,
            WithoutClick::Skip if !has_click => DeliveryState::Skipped,
            WithoutClick::Send | WithoutClick::Hold | WithoutClick::Skip => DeliveryState::Due,
        })
    }
}

impl Filter {
    /// Whether a sale is one of those.
    pub fn takes(&self, sale: &Sale) -> bool {
        let is_source = self.sources.is_empty() || self.sources.iter().any(|source| **source == *sale.source);
        let is_event = self.events.is_empty() || self.events.contains(&sale.event);
        let is_currency = self.currencies.is_empty() || self.currencies.contains(&sale.money.currency);
        let is_mode = self.accept.is_none_or(|accept| accept.takes(sale.scope.mode));
        is_source && is_event && is_currency && is_mode
    }
}
