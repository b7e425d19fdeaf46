//! How much: an amount read from its own text, in the provider's unit, as exact money with its proof.

use std::collections::HashMap;
use std::sync::Arc;

use super::place::{Document, Place};
use super::read::{AmountKind, compile_all};
use super::spec::{AmountSpec, OtherSpec, Rule, Unit};
use crate::domain::{AmountError, Currency, Money, Part, PartKind, Proof, Reason, Side, Told, decimal_to_minor};

/// Decimal places of a provider's minor unit where they differ from ISO 4217.
pub(super) type Exponents = HashMap<Currency, u8>;

/// Compiled places of an amount: in the currency that counts by default, and in the other one where that is told as well.
#[derive(Debug, Clone)]
pub(super) struct Amount {
    own: Reading,
    /// The other currency, and which of the two it is.
    other: Option<(Side, Reading)>,
    refunded: Vec<AmountPlace>,
    /// When that was so.
    pub(super) refunded_at: Option<Vec<Place>>,
}

/// What part of a payment counts, and in which of its currencies.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Wish {
    pub(super) kind: AmountKind,
    /// `None` for the one that the pack prefers.
    pub(super) side: Option<Side>,
}

/// Compiled places of an amount in one currency.
#[derive(Debug, Clone)]
pub(super) struct Reading {
    amounts: Vec<AmountPlace>,
    currency: Vec<Place>,
    tax: Vec<Place>,
    shipping: Vec<Place>,
}

#[derive(Debug, Clone)]
struct AmountPlace {
    place: Place,
    unit: Unit,
    is_sum: bool,
}

/// Why there is no amount to count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NoMoney {
    /// Nothing was paid: not a sale.
    Zero(Reason),
    /// What the provider says makes no sense: parked.
    Senseless(Reason),
}

/// A number as it stood, and what it is.
struct Number {
    minor: i64,
    written: String,
    path: Arc<str>,
    unit: Unit,
}

impl Amount {
    /// Compiles the places of a rule that counts. `fault` is told the key inside the rule and the cause.
    pub(super) fn compile(rule: &Rule, fault: &mut dyn FnMut(&str, String)) -> Option<Self> {
        let none = Vec::new();
        let own = Reading {
            amounts: amounts("amount.paths", rule.amount.iter().flat_map(|amount| amount.iter()), fault),
            currency: compile_all("currency", rule.currency.as_ref().unwrap_or(&none), fault),
            tax: compile_all("tax", rule.tax.as_ref().unwrap_or(&none), fault),
            shipping: compile_all("shipping", rule.shipping.as_ref().unwrap_or(&none), fault),
        };
        if own.currency.is_empty() {
            fault("currency", "is missing: a sale needs the places of its currency".to_owned());
        }
        if own.amounts.is_empty() {
            fault("amount", "is missing: a sale needs the places of its amount".to_owned());
            return None;
        }
        let other = match (&rule.presentment, &rule.settlement) {
            (Some(told), None) => Some((Side::Presentment, Reading::of_other(told, "presentment", fault))),
            (None, Some(told)) => Some((Side::Settlement, Reading::of_other(told, "settlement", fault))),
            (None, None) => None,
            (Some(_), Some(_)) => {
                fault("settlement", "give presentment or settlement: the amount itself is the other of the two".to_owned());
                None
            }
        };
        let mut refunded = Vec::new();
        if let Some(spec) = &rule.refunded {
            let compiled = compile_all("refunded.paths", &spec.paths, fault).into_iter();
            refunded.extend(compiled.map(|place| AmountPlace { place, unit: spec.unit, is_sum: spec.sum }));
        }
        let refunded_at = rule.refunded.as_ref().and_then(|spec| spec.at.as_ref());
        let refunded_at = refunded_at.map(|places| compile_all("refunded.at", places, fault));
        Some(Self { own, other, refunded, refunded_at })
    }

    /// Reads the money that counts. The other currency, where it is told and makes sense, is kept in the proof.
    pub(super) fn read(&self, document: Document<'_>, wish: Wish, exponents: &Exponents) -> Result<(Money, Proof), NoMoney> {
        let own = || self.own.read(document, wish.kind, exponents);
        // Another currency that is not told at all leaves the pack's own; one that makes no sense is not passed over.
        let told = self.other.as_ref().filter(|(_, reading)| reading.is_told(document));
        let ((money, mut proof), side, other) = match told {
            Some((side, reading)) if wish.side == Some(*side) => {
                (reading.read(document, wish.kind, exponents)?, side.opposite(), own().ok())
            }
            Some((side, reading)) => (own()?, *side, reading.read(document, wish.kind, exponents).ok()),
            None => (own()?, Side::Settlement, None),
        };
        let other = other.filter(|(other, _)| other.currency != money.currency);
        proof.other = other.map(|(other, told)| {
            let path = told.parts.first().map_or_else(|| "".into(), |part| Arc::clone(&part.path));
            Told { side, money: other.with(told.total_minor()), path }
        });
        Ok((money, proof))
    }

    /// All that was refunded so far, in the currency of the pack's own amount, where the event says so as well.
    pub(super) fn read_refunded(&self, document: Document<'_>, exponents: &Exponents) -> Result<Option<Money>, NoMoney> {
        let Some(place) = self.refunded.iter().find(|place| place.place.read(document).is_some()) else { return Ok(None) };
        let currency = self.own.currency(document)?;
        let number = place.read(document, currency, exponents)?;
        let minor = number.and_then(|number| number.minor.checked_abs()).ok_or_else(|| senseless(AmountError::OutOfRange))?;
        Ok((minor > 0 || self.refunded_at.is_some()).then_some(Money { minor, currency }))
    }

    /// True where the rule also reads what was refunded.
    pub(super) fn tells_refunds(&self) -> bool {
        !self.refunded.is_empty()
    }

    /// True where the rule names places for something that this kind of amount leaves out.
    pub(super) fn can_give(&self, kind: AmountKind) -> bool {
        self.own.parts_to_take_away(kind).iter().any(|(_, places)| !places.is_empty()) || kind == AmountKind::Gross
    }

    /// True where the rule can tell the payment in this currency, or already does.
    pub(super) fn can_count(&self, side: Side) -> bool {
        self.other.is_some() || side == Side::Settlement
    }

    pub(super) fn places(&self) -> impl Iterator<Item = &Place> {
        let readings = std::iter::once(&self.own).chain(self.other.iter().map(|(_, reading)| reading));
        let refunded = self.refunded.iter().map(|amount| &amount.place).chain(self.refunded_at.iter().flatten());
        readings.flat_map(Reading::places).chain(refunded)
    }

    pub(super) fn needs_source_currency(&self) -> bool {
        self.own.needs_source_currency()
    }
}

impl AmountPlace {
    /// The number that stands here; `None` where it is a sum of nothing.
    fn read(&self, document: Document<'_>, currency: Currency, exponents: &Exponents) -> Result<Option<Number>, NoMoney> {
        if self.is_sum {
            return sum(std::slice::from_ref(&self.place), document, self.unit, currency, exponents);
        }
        let written = self.place.read(document).unwrap_or_default().trim().to_owned();
        let minor = minor(&written, self.unit, currency, exponents).map_err(senseless)?;
        Ok(Some(Number { minor, written, path: Arc::clone(&self.place.text), unit: self.unit }))
    }
}

impl Reading {
    fn of_other(told: &OtherSpec, key: &str, fault: &mut dyn FnMut(&str, String)) -> Self {
        let none = Vec::new();
        let reading = Self {
            amounts: amounts(&format!("{key}.amount.paths"), told.amount.iter(), fault),
            currency: compile_all(&format!("{key}.currency"), &told.currency, fault),
            tax: compile_all(&format!("{key}.tax"), told.tax.as_ref().unwrap_or(&none), fault),
            shipping: compile_all(&format!("{key}.shipping"), told.shipping.as_ref().unwrap_or(&none), fault),
        };
        if reading.amounts.is_empty() || reading.currency.is_empty() {
            fault(key, "needs the places of its amount and of its currency".to_owned());
        }
        reading
    }

    /// Compiles the places of a rule about money that went back; `None` where it names none, which means all of it.
    pub(super) fn of_adjustment(rule: &Rule, fault: &mut dyn FnMut(&str, String)) -> Option<Self> {
        let none = Vec::new();
        let amounts = amounts("amount.paths", rule.amount.iter().flat_map(|amount| amount.iter()), fault);
        let currency = compile_all("currency", rule.currency.as_ref().unwrap_or(&none), fault);
        if amounts.is_empty() != currency.is_empty() {
            fault("amount", "amount and currency belong together; leave both out where all of the sale goes back".to_owned());
        }
        (!amounts.is_empty()).then_some(Self { amounts, currency, tax: Vec::new(), shipping: Vec::new() })
    }

    /// What went back: the provider may write it with or without a minus. `None` where the event does not say how much. Nothing is
    /// worth telling only of all refunds together.
    pub(super) fn read_back(
        &self,
        document: Document<'_>,
        is_cumulative: bool,
        exponents: &Exponents,
    ) -> Result<Option<Money>, NoMoney> {
        if !self.is_told(document) {
            return Ok(None);
        }
        let (number, currency) = self.number(document, exponents)?;
        match number.minor.checked_abs() {
            Some(0) if !is_cumulative => Err(NoMoney::Zero(Reason::new("zero_amount", "nothing went back"))),
            Some(minor) => Ok(Some(Money { minor, currency })),
            None => Err(senseless(AmountError::OutOfRange)),
        }
    }

    fn is_told(&self, document: Document<'_>) -> bool {
        self.amounts.iter().any(|amount| amount.place.read(document).is_some())
    }

    fn read(&self, document: Document<'_>, kind: AmountKind, exponents: &Exponents) -> Result<(Money, Proof), NoMoney> {
        let (total, currency) = self.number(document, exponents)?;
        if total.minor < 0 {
            return Err(NoMoney::Senseless(Reason::new("negative_amount", "the amount of a payment is negative")));
        }
        let currency_path = self.currency.iter().find(|place| place.read(document).is_some());
        let currency_path = currency_path.map_or_else(|| "".into(), |place| Arc::clone(&place.text));
        let mut minor = total.minor;
        let part = |what, minor, number: Number| Part { what, minor, written: number.written, path: number.path };
        let unit = total.unit;
        let mut proof =
            Proof { parts: vec![part(PartKind::Total, minor, total)], unstated: Vec::new(), currency_path, other: None };
        for (what, places) in self.parts_to_take_away(kind) {
            match sum(places, document, unit, currency, exponents)? {
                Some(number) => {
                    let away = number.minor.checked_neg().ok_or_else(|| senseless(AmountError::OutOfRange))?;
                    minor = minor.checked_add(away).ok_or_else(|| senseless(AmountError::OutOfRange))?;
                    proof.parts.push(part(what, away, number));
                }
                None => proof.unstated.push(what),
            }
        }
        match minor {
            0 => Err(NoMoney::Zero(Reason::new("zero_amount", "nothing was paid"))),
            ..0 => Err(NoMoney::Senseless(Reason::new("negative_amount", "tax and shipping are more than the amount"))),
            1.. => Ok((Money { minor, currency }, proof)),
        }
    }

    fn currency(&self, document: Document<'_>) -> Result<Currency, NoMoney> {
        let wrong = |code: &'static str, text: &'static str| NoMoney::Senseless(Reason::new(code, text));
        let code = self.currency.iter().find_map(|place| place.read(document));
        let code = code.ok_or_else(|| wrong("currency_missing", "the event names no currency"))?;
        Currency::from_code(code.trim()).ok_or_else(|| wrong("unknown_currency", "the event's currency is not in ISO 4217"))
    }

    /// The number that counts, and its currency.
    fn number(&self, document: Document<'_>, exponents: &Exponents) -> Result<(Number, Currency), NoMoney> {
        let wrong = |code: &'static str, text: &'static str| NoMoney::Senseless(Reason::new(code, text));
        let found = self.amounts.iter().find(|amount| amount.place.read(document).is_some());
        let amount = found.ok_or_else(|| wrong("amount_missing", "the event holds no amount where the pack looks for it"))?;
        let currency = self.currency(document)?;
        let number = amount.read(document, currency, exponents)?;
        number.map(|number| (number, currency)).ok_or_else(|| wrong("amount_missing", "the event holds no amount"))
    }

    fn parts_to_take_away(&self, kind: AmountKind) -> Vec<(PartKind, &Vec<Place>)> {
        match kind {
            AmountKind::Gross => vec![],
            AmountKind::NetOfTax => vec![(PartKind::Tax, &self.tax)],
            AmountKind::NetOfTaxAndShipping => vec![(PartKind::Tax, &self.tax), (PartKind::Shipping, &self.shipping)],
        }
    }

    pub(super) fn places(&self) -> impl Iterator<Item = &Place> {
        let amounts = self.amounts.iter().map(|amount| &amount.place);
        amounts.chain(&self.currency).chain(&self.tax).chain(&self.shipping)
    }

    pub(super) fn needs_source_currency(&self) -> bool {
        self.currency.iter().any(Place::needs_source_currency)
    }
}

fn amounts<'a>(key: &str, specs: impl Iterator<Item = &'a AmountSpec>, fault: &mut dyn FnMut(&str, String)) -> Vec<AmountPlace> {
    let mut places = Vec::new();
    for spec in specs {
        let compiled = compile_all(key, &spec.paths, fault).into_iter();
        places.extend(compiled.map(|place| AmountPlace { place, unit: spec.unit, is_sum: spec.sum }));
    }
    places
}

/// The sum of all values at the first place that holds any; `None` where none does.
fn sum(
    places: &[Place],
    document: Document<'_>,
    unit: Unit,
    currency: Currency,
    exponents: &Exponents,
) -> Result<Option<Number>, NoMoney> {
    let found = places.iter().map(|place| (place, place.read_all(document))).find(|(_, texts)| !texts.is_empty());
    let Some((place, texts)) = found else { return Ok(None) };
    let mut total = 0_i64;
    for text in &texts {
        let part = minor(text.trim(), unit, currency, exponents).map_err(senseless)?;
        total = total.checked_add(part).ok_or_else(|| senseless(AmountError::OutOfRange))?;
    }
    let written = texts.iter().map(|text| text.trim()).collect::<Vec<_>>().join("+");
    Ok(Some(Number { minor: total, written, path: Arc::clone(&place.text), unit }))
}

/// Minor units by ISO 4217, from text in the provider's unit.
fn minor(text: &str, unit: Unit, currency: Currency, exponents: &Exponents) -> Result<i64, AmountError> {
    match unit {
        Unit::Major => decimal_to_minor(text, currency.exponent()),
        Unit::Minor => {
            let exponent = exponents.get(&currency).copied().unwrap_or(currency.exponent());
            rescale(decimal_to_minor(text, 0)?, exponent, currency.exponent())
        }
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

fn senseless(error: AmountError) -> NoMoney {
    let code = match error {
        AmountError::Malformed => "amount_malformed",
        AmountError::TooPrecise => "amount_too_precise",
        AmountError::OutOfRange => "amount_out_of_range",
    };
    NoMoney::Senseless(Reason::new(code, error.to_string()))
}
