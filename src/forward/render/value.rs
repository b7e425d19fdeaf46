//! The values of a sale, as a template writes them.

use std::borrow::Cow;

use super::object::Scalar;
use super::{RenderError, number};
use crate::domain::{EventName, Money, Outgoing, Timestamp};
use crate::forward::template::{AmountUnit, Case, Field, FieldValue, Format, TimeForm, Unfit, WrittenAs};
use crate::forward::upstream::{TimestampPolicy, Upstream};

/// The longest address that a mail server takes (RFC 5321, section 4.5.3.1.3).
const LONGEST_EMAIL: usize = 254;

impl Upstream {
    /// A value for a field; `None` where the sale has none, or it is not to be sent.
    pub(super) fn value<'a>(
        &'a self,
        value: FieldValue,
        field: &Field,
        outgoing: &'a Outgoing,
        now: Timestamp,
    ) -> Result<Option<Scalar<'a>>, RenderError> {
        if let Some(minor) = amount_of(value, outgoing) {
            let money = outgoing.sale.money.with(minor);
            let unfit = |why| RenderError::Unfit { field: field.name.clone(), why };
            return self.amount(money, field.written_as).map(Some).map_err(unfit);
        }
        if value == FieldValue::Timestamp {
            return Ok(self.timestamp(field, outgoing, now));
        }
        let is_subscription = match outgoing.sale.event {
            EventName::SubscriptionCreated | EventName::SubscriptionRenewed => true,
            EventName::CheckoutCompleted | EventName::PaymentCaptured | EventName::OrderPaid => outgoing.is_renewal,
        };
        if value == FieldValue::Renewal {
            return Ok(Some(Scalar::Other(outgoing.is_renewal.into())));
        }
        if value == FieldValue::Subscription {
            return Ok(Some(Scalar::Other(is_subscription.into())));
        }
        let prefix = field.prefix.as_ref().and_then(|name| self.settings.get(name));
        Ok(self.text(value, outgoing).map(|text| match prefix {
            Some(prefix) => Scalar::Text([prefix, &*text].concat().into()),
            None => Scalar::Text(text),
        }))
    }

    /// A value by its name, as it stands in a path.
    pub(super) fn named(&self, name: &str, outgoing: &Outgoing, now: Timestamp) -> Result<Option<String>, RenderError> {
        let Some(value) = FieldValue::parse(name) else { return Ok(None) };
        let field = Field::plain(name, value);
        Ok(self.value(value, &field, outgoing, now)?.map(Scalar::into_text))
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "amounts, times and truth values are no texts")]
    fn text<'a>(&'a self, value: FieldValue, outgoing: &'a Outgoing) -> Option<Cow<'a, str>> {
        let sale = &outgoing.sale;
        match value {
            FieldValue::Event => Some(self.event_name.as_deref().unwrap_or(sale.event.as_str()).into()),
            FieldValue::CustomerExternalId => sale.customer_external_id.as_deref().map(Cow::from),
            FieldValue::Currency => Some(sale.money.currency.code().into()),
            FieldValue::ClickId => sale.click_id.as_deref().map(Cow::from),
            FieldValue::InvoiceId => sale.invoice_id.as_deref().map(Cow::from),
            FieldValue::Email => sale.email.as_deref().map(Cow::from),
            FieldValue::Name => sale.name.as_deref().map(Cow::from),
            FieldValue::Source => Some(outgoing.source.as_str().into()),
            FieldValue::Mode => Some(outgoing.mode.as_str().into()),
            FieldValue::AdjustmentId => outgoing.id().map(Cow::from),
            FieldValue::UpstreamId => outgoing.upstream_id.as_deref().map(Cow::from),
            _ => None,
        }
    }

    /// An amount in the upstream's unit, exactly; else why it cannot be written.
    fn amount(&self, money: Money, written_as: Option<WrittenAs>) -> Result<Scalar<'static>, String> {
        let spec = &self.template.amount;
        let digits = match self.amount_unit {
            AmountUnit::Major => within(&money.to_major(), spec.max_decimals)
                .map_err(|most| format!("{money} has more than the {most} decimals that it takes, and nothing is rounded"))?,
            AmountUnit::Minor => money.minor.to_string(),
            AmountUnit::Hundredths => {
                let decimals = if spec.whole.contains(&money.currency) { 0 } else { 2 };
                let whole = money.in_units_of(decimals);
                whole.ok_or_else(|| format!("{money} is no whole number of the units that it takes, and nothing is rounded"))?
            }
        };
        Ok(number(digits, written_as.unwrap_or(spec.written_as)))
    }

    fn timestamp(&self, field: &Field, outgoing: &Outgoing, now: Timestamp) -> Option<Scalar<'static>> {
        let at = outgoing.adjustment.as_ref().map_or(outgoing.sale.timestamp, |step| step.at);
        let age_secs = now.as_second() - at.as_second();
        let time = self.template.time;
        let is_recent =
            time.max_age_secs.is_none_or(|most| age_secs < most) && time.max_ahead_secs.is_none_or(|most| -age_secs <= most);
        let is_sent = match self.timestamp {
            TimestampPolicy::Always => true,
            TimestampPolicy::Never => field.required,
            TimestampPolicy::WhenRecent => field.required || is_recent,
        };
        is_sent.then(|| match field.time.unwrap_or_default() {
            TimeForm::Rfc3339 => Scalar::Text(format!("{at:.0}").into()),
            TimeForm::EpochS => Scalar::Other(at.as_second().into()),
            TimeForm::EpochMs => Scalar::Other(at.as_millisecond().into()),
            TimeForm::EpochUs => Scalar::Other(at.as_microsecond().into()),
        })
    }
}

impl Field {
    /// A field that holds a value as it is.
    fn plain(name: &str, value: FieldValue) -> Self {
        Self {
            name: name.to_owned(),
            value: Some(value),
            literal: None,
            setting: None,
            required: true,
            case: None,
            time: None,
            written_as: None,
            prefix: None,
            format: None,
            min_chars: None,
            max_chars: None,
            unfit: None,
        }
    }
}

/// The count of minor units that a value is, where it is one.
fn amount_of(value: FieldValue, outgoing: &Outgoing) -> Option<i64> {
    let sale = outgoing.sale.money.minor;
    let step = outgoing.adjustment.as_ref();
    match value {
        FieldValue::Amount => Some(step.map_or(sale, |step| step.minor)),
        FieldValue::NegativeAmount => step.map(|step| -step.minor),
        FieldValue::TakenBack => step.map(|step| step.taken_back),
        FieldValue::Left => step.map(|step| sale - step.taken_back),
        FieldValue::SaleAmount => Some(sale),
        FieldValue::Event
        | FieldValue::CustomerExternalId
        | FieldValue::Currency
        | FieldValue::ClickId
        | FieldValue::InvoiceId
        | FieldValue::Timestamp
        | FieldValue::Email
        | FieldValue::Name
        | FieldValue::Source
        | FieldValue::Mode
        | FieldValue::Renewal
        | FieldValue::Subscription
        | FieldValue::AdjustmentId
        | FieldValue::UpstreamId => None,
    }
}

/// Major units with at most so many decimals: surplus ones must be zeros.
fn within(major: &str, most: Option<u8>) -> Result<String, u8> {
    let Some(most) = most else { return Ok(major.to_owned()) };
    let Some((whole, fraction)) = major.split_once('.') else { return Ok(major.to_owned()) };
    let kept = fraction.len().min(usize::from(most));
    if fraction[kept..].bytes().any(|digit| digit != b'0') {
        return Err(most);
    }
    Ok(if kept == 0 { whole.to_owned() } else { format!("{whole}.{}", &fraction[..kept]) })
}

/// A text that stands in the template.
pub(super) fn literal(value: &toml::Value) -> Option<Scalar<'_>> {
    match value {
        toml::Value::String(text) => Some(Scalar::Text(text.as_str().into())),
        toml::Value::Integer(number) => Some(Scalar::Other((*number).into())),
        toml::Value::Boolean(is_so) => Some(Scalar::Other((*is_so).into())),
        // Refused when the template was read.
        toml::Value::Float(_) | toml::Value::Datetime(_) | toml::Value::Array(_) | toml::Value::Table(_) => None,
    }
}

/// A text as the field wants it; `None` where it is left out.
pub(super) fn fit<'a>(field: &Field, text: Cow<'a, str>) -> Result<Option<Cow<'a, str>>, RenderError> {
    let text = match field.case {
        Some(Case::Lower) => text.to_lowercase().into(),
        Some(Case::Upper) => text.to_uppercase().into(),
        None => text,
    };
    let is_made_well = match field.format {
        Some(Format::Id) => text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'),
        Some(Format::Email) => is_email(&text),
        None => true,
    };
    let most = field.max_chars.unwrap_or(usize::MAX);
    let is_short = text.len() <= most || text.chars().count() <= most;
    let is_long = field.min_chars.is_none_or(|least| text.chars().count() >= least);
    if is_made_well && is_short && is_long && !text.is_empty() {
        return Ok(Some(text));
    }
    let default = if field.required { Unfit::Refuse } else { Unfit::Omit };
    match field.unfit.unwrap_or(default) {
        Unfit::Omit => Ok(None),
        Unfit::Cut if is_made_well && is_long && !text.is_empty() => Ok(Some(text.chars().take(most).collect())),
        Unfit::Cut | Unfit::Refuse => {
            let why = match field.format {
                _ if text.is_empty() => "it is empty".to_owned(),
                _ if !is_long => format!("it must have at least {} characters", field.min_chars.unwrap_or_default()),
                Some(Format::Id) if !is_made_well => "it must be made of A-Z a-z 0-9 _ -".to_owned(),
                Some(Format::Email) if !is_made_well => "it is not an e-mail address".to_owned(),
                Some(_) | None => format!("it may have at most {most} characters"),
            };
            Err(RenderError::Unfit { field: field.name.clone(), why })
        }
    }
}

/// Whether it is an address that every vendor takes: some refuse the whole sale for one that they do not (Dub's validator is the
/// strictest that is known).
fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.split_once('@') else { return false };
    let Some((labels, top)) = domain.rsplit_once('.') else { return false };
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_+-".contains(&byte);
    let is_local = local.bytes().all(|byte| is_plain(byte) || b"'.".contains(&byte))
        && local.bytes().last().is_some_and(is_plain)
        && !local.starts_with('.')
        && !local.contains("..");
    let is_label = |label: &str| {
        let is_within = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        is_within && label.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric)
    };
    let is_top = top.len() >= 2 && top.bytes().all(|byte| byte.is_ascii_alphabetic());
    text.len() <= LONGEST_EMAIL && is_local && labels.split('.').all(is_label) && is_top
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn surplus_decimals_must_be_zeros() {
        assert_eq!(within("49.99", None), Ok("49.99".to_owned()));
        assert_eq!(within("1.230", Some(2)), Ok("1.23".to_owned()));
        assert_eq!(within("1.234", Some(2)), Err(2));
        assert_eq!(within("1580", Some(2)), Ok("1580".to_owned()));
        assert_eq!(within("12.00", Some(0)), Ok("12".to_owned()));
    }

    #[test]
    fn what_cannot_be_an_address_is_none() {
        for text in ["jane@example.com", "j.d+x@mail.example.co.uk", "o'neil@example.com"] {
            assert!(is_email(text), "{text}");
        }
        for text in [
            "",
            "jane",
            "@example.com",
            "jane@",
            "jane@localhost",
            "a b@example.com",
            "a@b@example.com",
            "jörg@example.com",
            "jane..doe@example.com",
            "jane.@example.com",
            "jane@example.c0m",
            "jane@-a.com",
            "a@@b.cc",
            "x\n@b.cc",
        ] {
            assert!(!is_email(text), "{text:?}");
        }
    }
}
