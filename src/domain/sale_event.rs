//! The canonical sale event: the form in which a sale leaves the bridge (see ARCHITECTURE.md, "The sale event").

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::clock::Timestamp;
use super::money::Money;

/// The canonical names of a sale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EventName {
    /// A one-off checkout was paid.
    CheckoutCompleted,
    /// The first payment of a subscription.
    SubscriptionCreated,
    /// A later payment of a subscription.
    SubscriptionRenewed,
    /// A payment was captured.
    PaymentCaptured,
    /// An order was paid.
    OrderPaid,
}

/// One sale as an upstream may receive it. Absent fields are left out, never null.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SaleEvent {
    /// What kind of purchase.
    pub event: EventName,
    /// The team's own id of the customer; absent only before attribution.
    pub customer_external_id: Option<String>,
    /// How much, exactly.
    pub money: Money,
    /// The click that led to the purchase.
    pub click_id: Option<String>,
    /// The sale's strongest key, in `[A-Za-z0-9_-]`.
    pub invoice_id: Option<String>,
    /// When the money arrived.
    pub timestamp: Timestamp,
    /// The customer's e-mail address.
    pub email: Option<String>,
    /// The customer's name.
    pub name: Option<String>,
}

impl EventName {
    /// All names, in the order of the documents.
    pub const ALL: [Self; 5] =
        [Self::CheckoutCompleted, Self::SubscriptionCreated, Self::SubscriptionRenewed, Self::PaymentCaptured, Self::OrderPaid];

    /// The name as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CheckoutCompleted => "checkout_completed",
            Self::SubscriptionCreated => "subscription_created",
            Self::SubscriptionRenewed => "subscription_renewed",
            Self::PaymentCaptured => "payment_captured",
            Self::OrderPaid => "order_paid",
        }
    }

    /// Reads a name as it is written.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|name| name.as_str() == text)
    }
}

impl SaleEvent {
    /// The canonical JSON object; the amount is a number in major units with its exact digits.
    pub fn to_json(&self) -> serde_json::Map<String, serde_json::Value> {
        let mut object = serde_json::Map::new();
        let mut put = |name: &str, value: Option<String>| {
            if let Some(value) = value {
                object.insert(name.to_owned(), value.into());
            }
        };
        put("event", Some(self.event.as_str().to_owned()));
        put("customerExternalId", self.customer_external_id.clone());
        put("amount", None);
        put("currency", Some(self.money.currency.code().to_owned()));
        put("clickId", self.click_id.clone());
        put("invoiceId", self.invoice_id.clone());
        put("timestamp", Some(format!("{:.0}", self.timestamp)));
        put("email", self.email.clone());
        put("name", self.name.clone());
        let place = usize::from(self.customer_external_id.is_some()) + 1;
        object.shift_insert(place, "amount".to_owned(), self.money.to_number());
        object
    }
}

/// An invoice id in `[A-Za-z0-9_-]`, of at most 200 characters, from a provider's key; `prefix` keeps ids of several
/// sources apart. A key that does not fit is replaced by its digest, so that two keys never become one id.
pub fn invoice_id(prefix: &str, value: &str) -> String {
    let fits = value.len() + prefix.len() < 200
        && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
    let value = if fits { value.to_owned() } else { format!("sha256-{}", hex::encode(&Sha256::digest(value)[..16])) };
    if prefix.is_empty() { value } else { format!("{prefix}-{value}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Currency;

    #[test]
    fn absent_fields_are_left_out_and_the_amount_keeps_its_digits() {
        let event = SaleEvent {
            event: EventName::PaymentCaptured,
            customer_external_id: Some("user_42".into()),
            money: Money { minor: 4990, currency: Currency::from_code("USD").expect("a known code") },
            click_id: None,
            invoice_id: Some("in_1P".into()),
            timestamp: "2026-11-22T05:11:00.75Z".parse().expect("a timestamp"),
            email: None,
            name: Some("{{name}}".into()),
        };
        assert_eq!(
            serde_json::Value::Object(event.to_json()).to_string(),
            r#"{"event":"payment_captured","customerExternalId":"user_42","amount":49.90,"currency":"USD","invoiceId":"in_1P","timestamp":"2026-11-22T05:11:00Z","name":"{{name}}"}"#
        );
    }

    #[test]
    fn invoice_ids_stay_within_their_alphabet_and_apart() {
        assert_eq!(invoice_id("", "in_1P-x"), "in_1P-x");
        assert_eq!(invoice_id("shop", "1001"), "shop-1001");
        let odd = invoice_id("shop", "a:1");
        assert!(odd.starts_with("shop-sha256-") && odd.len() == 12 + 32, "{odd}");
        assert_ne!(odd, invoice_id("shop", "a.1"));
        assert!(invoice_id("shop", &"9".repeat(5000)).len() < 200);
    }
}
