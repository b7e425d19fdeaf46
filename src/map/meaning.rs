//! What one event means once its rule is found: money that arrived, or went back; and when, and in which mode.

use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::amount::{NoMoney, Wish};
use super::mapping::Mapping;
use super::place::{Document, Place};
use super::rule::{AdjustmentRule, SaleRule};
use super::time;
use crate::domain::{Adjustment, Claim, Event, Meaning, Mode, Reason, Timestamp, from_millis};

/// No event happens so long after its receipt, whatever the clocks say.
const AHEAD_LIMIT_SECS: i64 = 24 * 60 * 60;
/// Longer ids of events are nobody's.
const ID_LIMIT_BYTES: usize = 500;

impl Mapping {
    pub(super) fn claim(&self, rule: &SaleRule, event: &Event, document: Document<'_>, received_at: Timestamp) -> Meaning {
        if !event.keys.iter().any(|key| key.identifies) {
            return Meaning::Parked(Reason::new("key_missing", "the event holds no id by which the sale could be known again"));
        }
        let wish = Wish { kind: self.context.amount, side: self.context.money };
        match rule.amount.read(document, wish, &self.exponents) {
            Ok((money, proof)) => match rule.amount.read_refunded(document, &self.exponents) {
                Ok(refunded) => {
                    let places = rule.amount.refunded_at.as_ref();
                    let at = places.map_or(event.at, |places| self.read_at(places, document, received_at).0);
                    let refunded = refunded.map(|money| (money, at));
                    let (event, rank, awaits) = (rule.event, rule.rank, rule.awaits.clone());
                    Meaning::Sale(Claim { event, rank, money, proof, refunded, awaits })
                }
                Err(no_money) => no_money.into(),
            },
            Err(no_money) => no_money.into(),
        }
    }

    pub(super) fn adjustment(&self, rule: &AdjustmentRule, event: &Event, document: Document<'_>) -> Meaning {
        let parked = |code: &'static str, why: &'static str| Meaning::Parked(Reason::new(code, why));
        if event.keys.is_empty() {
            return parked("key_missing", "the event holds no id by which its sale could be found");
        }
        let id = rule.id.iter().find_map(|place| place.read(document)).map(|id| bounded_id(id.trim()));
        if id.is_none() && rule.kind.needs_id() && !rule.is_cumulative {
            return parked(
                "adjustment_id_missing",
                "the event holds no id of the refund or dispute by which it could be known again",
            );
        }
        match rule.amount.as_ref().map_or(Ok(None), |amount| amount.read_back(document, rule.is_cumulative, &self.exponents)) {
            Ok(None) if rule.amount.is_some() && rule.kind.takes_back() => {
                parked("amount_missing", "the event does not say how much went back where the pack looks for it")
            }
            Ok(money) => Meaning::Adjustment(Adjustment { kind: rule.kind, id, money, is_cumulative: rule.is_cumulative }),
            Err(no_money) => no_money.into(),
        }
    }

    pub(super) fn read_mode(&self, document: Document<'_>) -> Mode {
        let Some((places, test)) = &self.mode else { return Mode::Live };
        let is_test = |place: &Place| place.read(document).is_some_and(|value| test.iter().any(|known| *known == value));
        if places.iter().any(is_test) { Mode::Test } else { Mode::Live }
    }

    /// When it happened. A time that cannot be read, or lies far after the receipt, is nobody's: the receipt stands for it.
    pub(super) fn read_at(
        &self,
        places: &[Place],
        document: Document<'_>,
        received_at: Timestamp,
    ) -> (Timestamp, Option<Arc<str>>) {
        let found = places.iter().find_map(|place| Some((place, place.read(document)?)));
        let is_sensible = |at: &Timestamp| at.as_second() - received_at.as_second() < AHEAD_LIMIT_SECS;
        let read = found.and_then(|(place, text)| Some((time::read(&text, self.at_form, self.zone).filter(is_sensible)?, place)));
        // To the millisecond, as it is stored: an event must mean the same before and after.
        let whole = |at: Timestamp| from_millis(at.as_millisecond());
        read.map_or((received_at, None), |(at, place)| (whole(at), Some(Arc::clone(&place.text))))
    }
}

impl From<NoMoney> for Meaning {
    fn from(no_money: NoMoney) -> Self {
        match no_money {
            NoMoney::Zero(reason) => Self::Ignored(reason),
            NoMoney::Senseless(reason) => Self::Parked(reason),
        }
    }
}

/// An event's id; one that is longer than any provider's stands as its digest, so that two never become one.
pub(super) fn bounded_id(id: &str) -> String {
    if id.len() <= ID_LIMIT_BYTES { id.to_owned() } else { format!("sha256-{}", hex::encode(Sha256::digest(id))) }
}
