//! What is remembered about a customer: the team's own id, and the clicks that led to their purchases.

use serde::{Deserialize, Serialize};

use super::clock::Timestamp;
use super::event::Found;

/// So many clicks are remembered of one customer: the first, and the latest.
const CLICK_LIMIT: usize = 8;

/// A click that was learned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Click {
    /// The click, and where it was told.
    pub click_id: Found,
    /// When the provider told it.
    #[serde(with = "super::clock::millis")]
    pub at: Timestamp,
    /// True where it was only ever told by events that repeat an old purchase, so that its own time is not known.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub repeated: bool,
    /// The team's own id of the customer, where the same event told it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer_external_id: Option<String>,
}

/// What was learned about a provider's customer, or across sources about the team's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The team's own id of the customer, and when the provider said so; the newest word counts.
    pub customer_external_id: Option<(Found, Timestamp)>,
    /// The clicks, oldest first.
    pub clicks: Vec<Click>,
    /// The first event that spoke of the customer.
    pub first_seen: Timestamp,
    /// The latest one.
    pub last_seen: Timestamp,
}

impl Identity {
    /// Somebody of whom nothing is known yet.
    pub fn new(seen: Timestamp) -> Self {
        Self { customer_external_id: None, clicks: Vec::new(), first_seen: seen, last_seen: seen }
    }

    /// Learns a click. In whichever order clicks are told, the same is remembered.
    pub fn learn(&mut self, click: &Click) {
        let is_same = |known: &Click| known.click_id.value == click.click_id.value;
        if click.repeated {
            match self.clicks.iter_mut().find(|known| is_same(known)) {
                Some(known) if known.repeated && known.at > click.at => known.clone_from(click),
                Some(_) => return,
                None => self.clicks.push(click.clone()),
            }
        } else {
            self.clicks.retain(|known| !(is_same(known) && known.repeated));
            if self.clicks.iter().any(|known| is_same(known) && known.at == click.at) {
                return;
            }
            self.clicks.push(click.clone());
        }
        self.clicks.sort_by(|one, other| (one.at, &one.click_id.value).cmp(&(other.at, &other.click_id.value)));
        if self.clicks.len() > CLICK_LIMIT {
            self.clicks.remove(1);
        }
    }

    /// The clicks that may be credited to a customer of the team: those that were not told of another.
    pub fn clicks_of<'a>(&'a self, customer_external_id: Option<&'a str>) -> impl DoubleEndedIterator<Item = &'a Click> {
        let known = self.customer_external_id.as_ref().map(|(found, _)| found.value.as_str());
        self.clicks.iter().filter(move |click| match (click.customer_external_id.as_deref().or(known), customer_external_id) {
            (Some(told), Some(wanted)) => told == wanted,
            (Some(_) | None, None) | (None, Some(_)) => true,
        })
    }
}
