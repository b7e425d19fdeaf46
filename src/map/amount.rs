//! How much: an amount read from its own text, in the provider's unit, as exact money.

use std::collections::HashMap;

use super::place::{Document, Place};
use super::read::AmountKind;
use super::spec::Unit;
use crate::domain::{AmountError, Currency, Money, Reason, decimal_to_minor};

/// Compiled places of an amount, its currency and its parts.
#[derive(Debug, Clone)]
pub(super) struct Amount {
    pub(super) paths: Vec<(Place, Unit)>,
    pub(super) currency: Vec<Place>,
    pub(super) tax: Vec<Place>,
    pub(super) shipping: Vec<Place>,
}

/// Why there is no amount to count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NoMoney {
    /// Nothing was paid: not a sale.
    Zero(Reason),
    /// What the provider says makes no sense: parked.
    Senseless(Reason),
}

impl Amount {
    pub(super) fn read(
        &self,
        document: Document<'_>,
        kind: AmountKind,
        exponents: &HashMap<Currency, u8>,
    ) -> Result<Money, NoMoney> {
        let senseless = |code: &'static str, text: String| NoMoney::Senseless(Reason::new(code, text));
        let found = self.paths.iter().find_map(|(place, unit)| Some((place.read(document)?.trim().to_owned(), *unit)));
        let (text, unit) = found
            .ok_or_else(|| senseless("amount_missing", "the event holds no amount where the pack looks for it".to_owned()))?;
        let code = first(&self.currency, document)
            .ok_or_else(|| senseless("currency_missing", "the event names no currency".to_owned()))?;
        let currency = Currency::from_code(&code)
            .ok_or_else(|| senseless("unknown_currency", "the event's currency is not in ISO 4217".to_owned()))?;
        let exponent = exponents.get(&currency).copied().unwrap_or(currency.exponent());
        let read =
            |text: &str| minor(text, unit, exponent, currency).map_err(|error| senseless(code_of(error), error.to_string()));

        let mut minor = read(&text)?;
        if minor < 0 {
            return Err(senseless("negative_amount", "the amount of a payment is negative".to_owned()));
        }
        for part in self.parts_to_take_away(kind) {
            let texts = part.iter().map(|place| place.read_all(document)).find(|texts| !texts.is_empty());
            for text in texts.into_iter().flatten() {
                minor = minor.checked_sub(read(text.trim())?).ok_or_else(|| {
                    senseless("amount_out_of_range", "the amount's parts are beyond what an account can hold".to_owned())
                })?;
            }
        }
        match minor {
            0 => Err(NoMoney::Zero(Reason::new("zero_amount", "nothing was paid"))),
            ..0 => Err(senseless("negative_amount", "tax and shipping are more than the amount".to_owned())),
            1.. => Ok(Money { minor, currency }),
        }
    }

    /// True where the pack says enough to count this kind of amount.
    pub(super) fn can_give(&self, kind: AmountKind) -> bool {
        self.parts_to_take_away(kind).iter().all(|part| !part.is_empty())
    }

    fn parts_to_take_away(&self, kind: AmountKind) -> Vec<&Vec<Place>> {
        match kind {
            AmountKind::Gross => vec![],
            AmountKind::NetOfTax => vec![&self.tax],
            AmountKind::NetOfTaxAndShipping => vec![&self.tax, &self.shipping],
        }
    }

    pub(super) fn places(&self) -> impl Iterator<Item = &Place> {
        self.paths.iter().map(|(place, _)| place).chain(&self.currency).chain(&self.tax).chain(&self.shipping)
    }

    pub(super) fn needs_source_currency(&self) -> bool {
        self.currency.iter().any(Place::needs_source_currency)
    }
}

/// Minor units by ISO 4217, from text in the provider's unit with `exponent` decimals.
fn minor(text: &str, unit: Unit, exponent: u8, currency: Currency) -> Result<i64, AmountError> {
    match unit {
        Unit::Major => decimal_to_minor(text, currency.exponent()),
        Unit::Minor => rescale(decimal_to_minor(text, 0)?, exponent, currency.exponent()),
    }
}

/// Moves a count of units of 10^-`from` to units of 10^-`to`, exactly or not at all.
fn rescale(units: i64, from: u8, to: u8) -> Result<i64, AmountError> {
    let factor = 10_i64.checked_pow(u32::from(from.abs_diff(to))).ok_or(AmountError::OutOfRange)?;
    if to >= from {
        return units.checked_mul(factor).ok_or(AmountError::OutOfRange);
    }
    if units % factor == 0 { Ok(units / factor) } else { Err(AmountError::TooPrecise) }
}

fn first(places: &[Place], document: Document<'_>) -> Option<String> {
    places.iter().find_map(|place| place.read(document)).map(|value| value.trim().to_owned())
}

fn code_of(error: AmountError) -> &'static str {
    match error {
        AmountError::Malformed => "amount_malformed",
        AmountError::TooPrecise => "amount_too_precise",
        AmountError::OutOfRange => "amount_out_of_range",
    }
}
