//! A sale as the ledger keeps it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::clock::Timestamp;
use super::event::{Buyer, Found, Key, Reason, Scope};
use super::money::Money;
use super::proof::Proof;
use super::sale_event::{EventName, SaleEvent, invoice_id};
use super::{RequestId, SaleId};

/// Where a sale stands on its way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SaleState {
    /// Held until this instant for an event that may bring its customer or its click.
    Waiting(Timestamp),
    /// Handed to the upstreams' queues.
    Ready,
    /// It cannot be sent as it is; tried again when something new arrives.
    Parked(Reason),
    /// Found to be the same purchase as another sale before either was sent.
    Merged(SaleId),
}

/// Who gave a sale its name, amount and time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Teller {
    /// The request that held the event.
    pub request: RequestId,
    /// The provider's type of the event.
    pub kind: Arc<str>,
    /// Where the event told its time; `None` where that is the time of receipt.
    pub at_path: Option<Arc<str>>,
}

/// One purchase, counted once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sale {
    /// Its number.
    pub id: SaleId,
    /// The source whose event made it.
    pub source: Arc<str>,
    /// Where its keys live.
    pub scope: Scope,
    /// The canonical name.
    pub event: EventName,
    /// The rank of the event that gave name, amount and time.
    pub rank: u8,
    /// How much, exactly.
    pub money: Money,
    /// How that was arrived at.
    pub proof: Proof,
    /// When, by the provider's word.
    pub at: Timestamp,
    /// Which event gave name, amount and time.
    pub teller: Teller,
    /// When it was last said to be paid.
    pub paid_at: Timestamp,
    /// What refunds, disputes and voids take from the amount, in minor units; see [`super::Balance`].
    pub taken_back: i64,
    /// How many statements speak of money that went back.
    pub adjustments: u32,
    /// Who bought.
    pub buyer: Buyer,
    /// Every id by which it may be found, and those that only group it with others.
    pub keys: Vec<Key>,
    /// True where it repeats an earlier purchase.
    pub renewal: bool,
    /// The provider's event types that may still bring something.
    pub awaits: Vec<Arc<str>>,
    /// The provider's event types seen for this sale.
    pub seen: Vec<Arc<str>>,
    /// Where it stands.
    pub state: SaleState,
    /// Why there is no click, once that is settled.
    pub without_click: Option<Reason>,
    /// The request that made it.
    pub request: RequestId,
    /// When the bridge counted it.
    pub counted_at: Timestamp,
    /// The invoice id under which it was handed to a sender: from then on what is sent does not change.
    pub sent_as: Option<String>,
}

/// The code of a sale that was counted by a former pack, and is not by today's.
pub const NOT_TODAY: &str = "not_a_sale_today";

/// The code of a sale that a person keeps back.
pub const PARKED_BY_HAND: &str = "by_hand";

/// The invoice id that these keys give: the strongest one that identifies.
pub fn invoice_id_of(keys: &[Key]) -> Option<String> {
    let strongest = keys.iter().filter(|key| key.identifies).min_by_key(|key| key.strength)?;
    Some(invoice_id(&strongest.prefix, &strongest.value))
}

impl SaleState {
    /// The state as it is written.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Waiting(_) => "waiting",
            Self::Ready => "ready",
            Self::Parked(_) => "parked",
            Self::Merged(_) => "merged",
        }
    }
}

impl Sale {
    /// The invoice id: the one under which it was sent, else the strongest identifying key.
    pub fn invoice_id(&self) -> Option<String> {
        self.sent_as.clone().or_else(|| invoice_id_of(&self.keys))
    }

    /// True once it was handed to a sender.
    pub fn is_sent(&self) -> bool {
        self.sent_as.is_some()
    }

    /// True where today's pack was found not to count it: it stays parked until an event counts it again.
    pub fn is_not_counted_today(&self) -> bool {
        matches!(&self.state, SaleState::Parked(reason) if &*reason.code == NOT_TODAY)
    }

    /// True where a person keeps it back: only a person lets it go.
    pub fn is_parked_by_hand(&self) -> bool {
        matches!(&self.state, SaleState::Parked(reason) if &*reason.code == PARKED_BY_HAND)
    }

    /// True where nothing is left of its amount.
    pub fn is_nothing_left(&self) -> bool {
        self.taken_back >= self.money.minor
    }

    /// The canonical form, as an upstream's template renders it.
    pub fn to_event(&self) -> SaleEvent {
        let value = |found: &Option<Found>| found.as_ref().map(|found| found.value.clone());
        SaleEvent {
            event: self.event,
            customer_external_id: value(&self.buyer.customer_external_id),
            money: self.money,
            click_id: value(&self.buyer.click_id),
            invoice_id: self.invoice_id(),
            timestamp: self.at,
            email: value(&self.buyer.email),
            name: value(&self.buyer.name),
        }
    }
}
