//! A sale event as the upstream wants it.

use serde_json::{Map, Value};

use super::template::FieldValue;
use super::upstream::{AmountUnit, TimestampPolicy, Upstream};
use crate::domain::{SaleEvent, Timestamp};

/// A sale is recent for so many seconds; one of the vendor's own validators refuses older ones.
const RECENT_SECS: i64 = 24 * 60 * 60;
/// Clocks differ; the same validator takes times of the future up to this.
const AHEAD_SECS: i64 = 60;

/// A sale that this upstream cannot take.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// A field that the upstream requires is missing.
    #[error("the upstream takes no sale without {field}, and this sale has none")]
    Missing {
        /// The field's name on the wire.
        field: String,
    },
}

impl Upstream {
    /// The body of the request for a sale, as of `now`.
    ///
    /// # Errors
    /// A required field is missing.
    pub fn render(&self, sale: &SaleEvent, now: Timestamp) -> Result<String, RenderError> {
        let mut body = Map::new();
        for field in &self.template.body {
            match self.value(field.value, sale, now) {
                Some(value) => drop(body.insert(field.name.clone(), value)),
                None if field.required => return Err(RenderError::Missing { field: field.name.clone() }),
                None => {}
            }
        }
        Ok(Value::Object(body).to_string())
    }

    fn value(&self, value: FieldValue, sale: &SaleEvent, now: Timestamp) -> Option<Value> {
        let text = |text: &Option<String>| text.clone().map(Value::from);
        match value {
            FieldValue::Event => Some(self.event_name.as_deref().unwrap_or(sale.event.as_str()).into()),
            FieldValue::CustomerExternalId => text(&sale.customer_external_id),
            FieldValue::Amount => Some(self.amount(sale)),
            FieldValue::Currency => Some(sale.money.currency.code().into()),
            FieldValue::ClickId => text(&sale.click_id),
            FieldValue::InvoiceId => text(&sale.invoice_id),
            FieldValue::Timestamp => self.sends_time(sale.timestamp, now).then(|| format!("{:.0}", sale.timestamp).into()),
            FieldValue::Email => text(&sale.email),
            FieldValue::Name => text(&sale.name),
        }
    }

    fn amount(&self, sale: &SaleEvent) -> Value {
        let digits = match self.amount_unit {
            AmountUnit::Major => sale.money.to_major(),
            AmountUnit::Minor => sale.money.minor.to_string(),
        };
        serde_json::from_str(&digits).expect("the text of an amount is a JSON number")
    }

    fn sends_time(&self, at: Timestamp, now: Timestamp) -> bool {
        let age_secs = now.as_second() - at.as_second();
        match self.timestamp {
            TimestampPolicy::Always => true,
            TimestampPolicy::Never => false,
            TimestampPolicy::WhenRecent => (-AHEAD_SECS..RECENT_SECS).contains(&age_secs),
        }
    }
}
