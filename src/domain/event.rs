//! What a provider said, in our words: one event of a verified request, mapped.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::RequestId;
use super::adjustment::Adjustment;
use super::clock::Timestamp;
use super::money::Money;
use super::proof::Proof;
use super::request::Request;
use super::sale_event::EventName;

/// Whether real money moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Real money, or a provider that has no test flag.
    Live,
    /// The provider's sandbox.
    Test,
}

/// Which modes are counted and forwarded; the others are stored and shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Accept {
    /// Real money only.
    #[default]
    Live,
    /// The sandbox only.
    Test,
    /// Both, never mixed.
    All,
}

/// Where keys and identities are shared: one account of a provider, in one mode. Live and test never meet.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scope {
    /// The account, by default the source's name.
    pub account: Arc<str>,
    /// Live or test.
    pub mode: Mode,
}

/// A provider's id for something that belongs to a sale.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Key {
    /// What the id names, by the pack: `invoice`, `payment`, `order`, `session`.
    pub kind: Arc<str>,
    /// The id itself.
    pub value: String,
    /// True where the key identifies one sale; false where it only groups several.
    pub identifies: bool,
    /// True for a key that groups, if a refund may name its sale by it alone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub leads: bool,
    /// Position in the pack's list, 0 being the strongest; the strongest key becomes the invoice id.
    pub strength: u8,
    /// Put before the value in the invoice id, so that ids of two sources or kinds stay apart; may be empty.
    pub prefix: Arc<str>,
}

/// A value with the place where it was found.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Found {
    /// The value.
    pub value: String,
    /// Where it came from.
    pub origin: Origin,
}

/// The place a value came from.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// A path inside a stored request.
    Request {
        /// The request.
        request: RequestId,
        /// The path (RFC 9535) or header.
        path: Arc<str>,
    },
    /// The identity that was learned about the provider's customer.
    Memory {
        /// The request that taught it.
        request: RequestId,
    },
    /// What stands in for the team's own customer id, because nothing better came in time.
    Fallback {
        /// What it was made of.
        of: Fallback,
        /// The request that told it.
        request: RequestId,
    },
}

impl Origin {
    /// The kind of place as it is written.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Request { .. } => "request",
            Self::Memory { .. } => "memory",
            Self::Fallback { .. } => "fallback",
        }
    }
}

/// What may stand in for the team's own customer id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Fallback {
    /// The provider's id of its customer.
    ProviderCustomer,
    /// The SHA-256, in hex, of the e-mail address in lower case.
    EmailHash,
    /// The e-mail address as it is.
    Email,
}

/// Who bought, as far as an event or a sale knows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Buyer {
    /// The provider's id of its customer.
    pub customer: Option<String>,
    /// The team's own id of the customer.
    pub customer_external_id: Option<Found>,
    /// The click that led to the purchase.
    pub click_id: Option<Found>,
    /// The customer's e-mail address.
    pub email: Option<Found>,
    /// The customer's name.
    pub name: Option<Found>,
}

/// Why something is not a sale, or not yet: a stable code and a sentence for the operator.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Reason {
    /// A short stable code, such as `zero_amount`.
    pub code: Arc<str>,
    /// The sentence.
    pub text: Arc<str>,
}

/// What an event says about money.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Meaning {
    /// Money arrived.
    Sale(Claim),
    /// Money went back.
    Adjustment(Adjustment),
    /// Genuine, but no sale; it may still teach an identity or complete a sale.
    Ignored(Reason),
    /// Genuine, but it cannot be mapped; kept until somebody mends it.
    Parked(Reason),
    /// Genuine, but it only refers to what has to be fetched first.
    Lacking(Fetch),
}

/// Something that has to be fetched before an event can be mapped.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Fetch {
    /// Which of the pack's steps it is, from 0.
    pub step: u16,
    /// The path and query that are asked for.
    pub path: String,
}

/// What came of a fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The event's place in its request, from 0.
    pub position: u16,
    /// Which of the pack's steps it is, from 0.
    pub step: u16,
    /// The path and query that were asked for.
    pub path: String,
    /// The JSON that was answered, or why there is none and will be none.
    pub result: Result<String, String>,
}

/// An event's claim that money arrived.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Claim {
    /// The canonical name.
    pub event: EventName,
    /// Among events of one sale the highest rank gives name, amount and time, in whichever order they arrive.
    pub rank: u8,
    /// How much, exactly.
    pub money: Money,
    /// How that was arrived at.
    pub proof: Proof,
    /// All that was refunded of it so far, and when that was so, where the same event says it.
    pub refunded: Option<(Money, Timestamp)>,
    /// The provider's event types that may still bring the customer or the click.
    pub awaits: Vec<Arc<str>>,
}

/// One provider event, mapped.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Event {
    /// The request that held it.
    pub request: RequestId,
    /// Its place in the request, from 0.
    pub position: u16,
    /// The source it came to.
    pub source: Arc<str>,
    /// Where its keys and its customer live.
    pub scope: Scope,
    /// The provider's event id, where it lies in signed data.
    pub provider_id: Option<String>,
    /// The provider's event type; empty where the body could not be read.
    pub kind: String,
    /// When it happened by the provider's word, else when it was received.
    pub at: Timestamp,
    /// Where the provider said so; `None` where it is the time of receipt.
    pub at_path: Option<Arc<str>>,
    /// False where the source does not take this mode; then it teaches nothing and counts nothing.
    pub accepted: bool,
    /// What it says about who bought.
    pub buyer: Buyer,
    /// The ids that tie it to a sale.
    pub keys: Vec<Key>,
    /// True where it repeats an earlier purchase: memory may answer at once, and its click is the old one.
    pub renewal: bool,
    /// What it says about money.
    pub meaning: Meaning,
}

impl Accept {
    /// Whether this mode is one of them.
    pub fn takes(self, mode: Mode) -> bool {
        match (self, mode) {
            (Self::All, _) | (Self::Live, Mode::Live) | (Self::Test, Mode::Test) => true,
            (Self::Live, Mode::Test) | (Self::Test, Mode::Live) => false,
        }
    }
}

impl Mode {
    /// `live` or `test`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Test => "test",
        }
    }
}

impl Event {
    /// What it says, as a number by which a change of its mapping is seen: FNV-1a of 64 bits, without the first. No secret and no
    /// decision hangs on it: two readings that give one number by chance are only not looked at again.
    pub fn digest(&self) -> i64 {
        struct Fnv(u64);
        impl Hasher for Fnv {
            fn write(&mut self, bytes: &[u8]) {
                for byte in bytes {
                    self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
                }
            }

            fn finish(&self) -> u64 {
                self.0
            }
        }
        let mut digest = Fnv(0xcbf2_9ce4_8422_2325);
        self.hash(&mut digest);
        i64::try_from(digest.finish() >> 1).unwrap_or_default()
    }

    /// An event of a request that says nothing but its meaning: what could not be read.
    pub fn unread(id: RequestId, request: &Request, account: Arc<str>, meaning: Meaning) -> Self {
        Self {
            request: id,
            position: 0,
            source: request.source.as_str().into(),
            scope: Scope { account, mode: Mode::Live },
            provider_id: None,
            kind: String::new(),
            at: request.received_at,
            at_path: None,
            accepted: true,
            buyer: Buyer::default(),
            keys: Vec::new(),
            renewal: false,
            meaning,
        }
    }
}

impl Buyer {
    /// True where nothing at all is known that a sale could use.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// True where both are known that an upstream credits: the team's customer and the click.
    pub fn is_complete(&self) -> bool {
        self.customer_external_id.is_some() && self.click_id.is_some()
    }

    /// True where the other names another customer, by the provider's id or by the team's own.
    pub fn contradicts(&self, other: &Self) -> bool {
        let differs = |one: Option<&str>, other: Option<&str>| matches!((one, other), (Some(one), Some(other)) if one != other);
        let external = |buyer: &'_ Self| buyer.customer_external_id.as_ref().map(|found| found.value.clone());
        differs(self.customer.as_deref(), other.customer.as_deref())
            || differs(external(self).as_deref(), external(other).as_deref())
    }

    /// Takes over what is missing here, and what only memory or a fallback had answered.
    pub fn take(&mut self, other: &Self) {
        take(&mut self.customer_external_id, &other.customer_external_id);
        take(&mut self.click_id, &other.click_id);
        self.take_contact(other);
        if self.customer.is_none() {
            self.customer.clone_from(&other.customer);
        }
    }

    /// Takes over what is true of the customer in all their purchases.
    pub fn take_contact(&mut self, other: &Self) {
        take(&mut self.email, &other.email);
        take(&mut self.name, &other.name);
    }
}

fn take(field: &mut Option<Found>, value: &Option<Found>) {
    let is_borrowed = |found: &Found| found.origin.is_borrowed();
    if value.is_some() && field.as_ref().is_none_or(is_borrowed) {
        field.clone_from(value);
    }
}

impl Origin {
    /// The request that told the value.
    pub fn request(&self) -> RequestId {
        let (Self::Request { request, .. } | Self::Memory { request } | Self::Fallback { request, .. }) = self;
        *request
    }

    /// True where no event of the sale itself told the value, so that one that does takes its place.
    pub fn is_borrowed(&self) -> bool {
        match self {
            Self::Memory { .. } | Self::Fallback { .. } => true,
            Self::Request { .. } => false,
        }
    }
}

impl Reason {
    /// A reason of this code and sentence.
    pub fn new(code: impl Into<Arc<str>>, text: impl Into<Arc<str>>) -> Self {
        Self { code: code.into(), text: text.into() }
    }
}
