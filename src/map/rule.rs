//! One compiled rule: when it applies, and what it then says.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::amount::{Amount, Reading};
use super::place::{Document, Place};
use super::read::{Customer, MetadataKeys, compile_all};
use super::spec::{Condition, KeysSpec, Reads, Rule};
use crate::domain::{AdjustmentKind, EventName, Key, Reason};

/// Longer ids are nobody's.
const KEY_LIMIT_BYTES: usize = 500;

/// A compiled rule.
#[derive(Debug, Clone)]
pub(super) struct Compiled {
    types: Option<Types>,
    when: Vec<Test>,
    pub(super) verdict: Verdict,
    keys: Vec<KeyPlaces>,
    pub(super) customer: Customer,
    pub(super) renewal: bool,
    /// Where its time stands, if not where that of other events does.
    pub(super) at: Option<Vec<Place>>,
}

/// What a rule says about money.
#[derive(Debug, Clone)]
pub(super) enum Verdict {
    Sale(Box<SaleRule>),
    Adjustment(Box<AdjustmentRule>),
    Ignore(Reason),
    Park(Reason),
}

/// A rule that counts.
#[derive(Debug, Clone)]
pub(super) struct SaleRule {
    pub(super) event: EventName,
    pub(super) rank: u8,
    pub(super) amount: Amount,
    pub(super) awaits: Vec<Arc<str>>,
}

/// A rule that takes back.
#[derive(Debug, Clone)]
pub(super) struct AdjustmentRule {
    pub(super) kind: AdjustmentKind,
    pub(super) id: Vec<Place>,
    /// `None` where all of the sale goes back.
    pub(super) amount: Option<Reading>,
    pub(super) is_cumulative: bool,
}

#[derive(Debug, Clone)]
struct KeyPlaces {
    kind: Arc<str>,
    identifies: bool,
    leads: bool,
    strength: u8,
    prefix: Arc<str>,
    places: Vec<Place>,
}

/// Event types by name, or by how they begin.
#[derive(Debug, Clone)]
pub(super) struct Types {
    names: BTreeSet<String>,
    beginnings: Vec<String>,
}

/// A compiled condition.
#[derive(Debug, Clone)]
pub(super) struct Test {
    place: Place,
    wanted: Wanted,
}

#[derive(Debug, Clone)]
enum Wanted {
    Is(Vec<String>),
    IsNot(Vec<String>),
    StartsWith(Vec<String>),
    Exists(bool),
}

/// What a source adds to a rule.
#[derive(Debug, Clone, Copy)]
pub(super) struct Choice<'a> {
    pub(super) source: &'a str,
    pub(super) metadata_keys: &'a MetadataKeys,
    pub(super) reads_reference: bool,
}

impl Compiled {
    /// Compiles a rule. `fault` is told the key inside the rule and the cause.
    pub(super) fn new(
        rule: &Rule,
        reads: &Reads,
        keys: &KeysSpec,
        choice: Choice<'_>,
        fault: &mut dyn FnMut(&str, String),
    ) -> Option<Self> {
        let when =
            rule.when.iter().enumerate().filter_map(|(index, condition)| {
                Test::new(condition).map_err(|cause| fault(&format!("when[{index}]"), cause)).ok()
            });
        let when = when.collect();
        let places = key_places(rule, keys, choice.source, fault);
        let customer = Customer::compile(&rule.reads, reads, choice.metadata_keys, choice.reads_reference, fault);
        let verdict = verdict(rule, fault)?;
        if matches!(verdict, Verdict::Sale(_)) && !places.iter().any(|key| key.identifies) {
            fault("keys", "a sale needs at least one identifying key, or it could be counted twice".to_owned());
        }
        if matches!(verdict, Verdict::Adjustment(_)) && places.is_empty() {
            fault("keys", "an adjustment needs a key, or nobody could say which sale it takes back".to_owned());
        }
        let types = rule.types.as_ref().map(|types| Types::new(types));
        let at = rule.at.as_ref().map(|places| compile_all("at", places, fault));
        Some(Self { at, types, when, verdict, keys: places, customer, renewal: rule.renewal })
    }

    /// The kinds of grouping keys by which it may find a sale.
    pub(super) fn leading_kinds(&self) -> Vec<Arc<str>> {
        match self.verdict {
            Verdict::Adjustment(_) => self.keys.iter().filter(|key| !key.identifies).map(|key| Arc::clone(&key.kind)).collect(),
            Verdict::Sale(_) | Verdict::Ignore(_) | Verdict::Park(_) => vec![],
        }
    }

    /// Notes which grouping keys may lead an adjustment to its sale.
    pub(super) fn lead_by(&mut self, kinds: &BTreeSet<Arc<str>>) {
        for key in self.keys.iter_mut().filter(|key| !key.identifies) {
            key.leads = kinds.contains(&key.kind);
        }
    }

    pub(super) fn applies(&self, kind: &str, document: Document<'_>) -> bool {
        self.types.as_ref().is_none_or(|types| types.contain(kind)) && self.when.iter().all(|test| test.holds(document))
    }

    /// The ids that stand in the event; those that are nobody's are passed over.
    pub(super) fn read_keys(&self, document: Document<'_>) -> Vec<Key> {
        let read = |key: &KeyPlaces| {
            let value = key.places.iter().find_map(|place| place.read(document))?;
            let value = value.trim();
            let is_plain = value.len() <= KEY_LIMIT_BYTES && !value.chars().any(char::is_control);
            is_plain.then(|| Key {
                kind: Arc::clone(&key.kind),
                value: value.to_owned(),
                identifies: key.identifies,
                leads: key.leads,
                strength: key.strength,
                prefix: Arc::clone(&key.prefix),
            })
        };
        self.keys.iter().filter_map(read).collect()
    }

    pub(super) fn places(&self) -> impl Iterator<Item = &Place> {
        let tests = self.when.iter().map(|test| &test.place);
        let amount: Vec<&Place> = match &self.verdict {
            Verdict::Sale(sale) => sale.amount.places().collect(),
            Verdict::Adjustment(back) => back.id.iter().chain(back.amount.iter().flat_map(Reading::places)).collect(),
            Verdict::Ignore(_) | Verdict::Park(_) => vec![],
        };
        tests
            .chain(self.at.iter().flatten())
            .chain(self.keys.iter().flat_map(|key| &key.places))
            .chain(self.customer.places())
            .chain(amount)
    }

    pub(super) fn types(&self) -> impl Iterator<Item = &str> {
        self.types.iter().flat_map(|types| types.names.iter().chain(&types.beginnings)).map(String::as_str)
    }
}

impl Types {
    /// Types as a pack lists them; `payment.*` is for all that begin so.
    pub(super) fn new(listed: &[String]) -> Self {
        let (beginnings, names): (Vec<&String>, Vec<&String>) = listed.iter().partition(|name| name.ends_with('*'));
        Self { names: names.into_iter().cloned().collect(), beginnings: beginnings.into_iter().cloned().collect() }
    }

    pub(super) fn contain(&self, kind: &str) -> bool {
        let begins = |beginning: &String| kind.starts_with(beginning.trim_end_matches('*'));
        self.names.contains(kind) || self.beginnings.iter().any(begins)
    }
}

impl Test {
    pub(super) fn new(condition: &Condition) -> Result<Self, String> {
        let wanted = match (&condition.is, &condition.is_not, &condition.starts_with, condition.exists) {
            (Some(values), None, None, None) => Wanted::Is(values.clone()),
            (None, Some(values), None, None) => Wanted::IsNot(values.clone()),
            (None, None, Some(values), None) => Wanted::StartsWith(values.clone()),
            (None, None, None, Some(exists)) => Wanted::Exists(exists),
            (Some(_) | None, Some(_) | None, Some(_) | None, Some(_) | None) => {
                return Err("give exactly one of is, is_not, starts_with and exists".to_owned());
            }
        };
        Ok(Self { place: Place::new(&condition.path)?, wanted })
    }

    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    pub(super) fn holds(&self, document: Document<'_>) -> bool {
        let value = self.place.read(document);
        let is_among = |values: &[String]| value.as_deref().is_some_and(|value| values.iter().any(|known| known == value));
        match &self.wanted {
            Wanted::Is(values) => is_among(values),
            Wanted::IsNot(values) => !is_among(values),
            Wanted::StartsWith(values) => {
                value.as_deref().is_some_and(|value| values.iter().any(|start| value.starts_with(start.as_str())))
            }
            Wanted::Exists(exists) => value.is_some() == *exists,
        }
    }
}

fn key_places(rule: &Rule, keys: &KeysSpec, source: &str, fault: &mut dyn FnMut(&str, String)) -> Vec<KeyPlaces> {
    let kinds = keys.identifying.iter().map(|kind| (kind, true)).chain(keys.grouping.iter().map(|kind| (kind, false)));
    let kinds: Vec<_> = kinds.collect();
    for kind in rule.keys.keys().filter(|kind| !kinds.iter().any(|(known, _)| known == kind)) {
        fault("keys", format!("{kind} is not in the pack's [keys]"));
    }
    let mut places = Vec::new();
    for (strength, (kind, identifies)) in kinds.into_iter().enumerate() {
        if let Some(texts) = rule.keys.get(kind) {
            places.push(KeyPlaces {
                kind: kind.as_str().into(),
                identifies,
                leads: false,
                strength: u8::try_from(strength).unwrap_or(u8::MAX),
                prefix: prefix(keys, source, kind),
                places: compile_all(&format!("keys.{kind}"), texts, fault),
            });
        }
    }
    places
}

/// What stands before an id of this kind in the invoice id.
fn prefix(keys: &KeysSpec, source: &str, kind: &str) -> Arc<str> {
    let source = if keys.globally_unique { None } else { Some(source) };
    let kind = keys.invoice_prefix.get(kind).map(String::as_str);
    source.into_iter().chain(kind).collect::<Vec<_>>().join("-").into()
}

fn verdict(rule: &Rule, fault: &mut dyn FnMut(&str, String)) -> Option<Verdict> {
    let reason = |code: &str, text: &str| Reason::new(code, text);
    if rule.adjustment.is_none() && (rule.id.is_some() || rule.cumulative) {
        fault("adjustment", "is missing: id and cumulative are for adjustments".to_owned());
    }
    let is_of_sale = [rule.presentment.is_some(), rule.settlement.is_some(), rule.refunded.is_some()];
    if rule.sale.is_none() && (is_of_sale.contains(&true) || rule.tax.is_some() || rule.shipping.is_some()) {
        fault("sale", "is missing: presentment, settlement, refunded, tax and shipping are for sales".to_owned());
    }
    match (&rule.sale, &rule.adjustment, &rule.ignore, &rule.park) {
        (Some(name), None, None, None) => sale(rule, name, fault).map(|sale| Verdict::Sale(Box::new(sale))),
        (None, Some(name), None, None) => adjustment(rule, name, fault).map(|back| Verdict::Adjustment(Box::new(back))),
        (None, None, Some(outcome), None) => Some(Verdict::Ignore(reason(&outcome.code, &outcome.reason))),
        (None, None, None, Some(outcome)) => Some(Verdict::Park(reason(&outcome.code, &outcome.reason))),
        (Some(_) | None, Some(_) | None, Some(_) | None, Some(_) | None) => {
            fault("", "give exactly one of sale, adjustment, ignore and park".to_owned());
            None
        }
    }
}

fn sale(rule: &Rule, name: &str, fault: &mut dyn FnMut(&str, String)) -> Option<SaleRule> {
    let event = EventName::parse(name);
    if event.is_none() {
        let known = EventName::ALL.map(EventName::as_str).join(", ");
        fault("sale", format!("{name} is not a canonical name; use one of {known}"));
    }
    if rule.rank.is_none() {
        fault("rank", "is missing: a sale says how strong its word is among the events of one sale".to_owned());
    }
    let amount = Amount::compile(rule, fault)?;
    let awaits = rule.awaits.iter().map(|kind| kind.as_str().into()).collect();
    Some(SaleRule { event: event?, rank: rule.rank?, amount, awaits })
}

fn adjustment(rule: &Rule, name: &str, fault: &mut dyn FnMut(&str, String)) -> Option<AdjustmentRule> {
    let kind = AdjustmentKind::parse(name);
    if kind.is_none() {
        let known = AdjustmentKind::ALL.map(AdjustmentKind::as_str).join(", ");
        fault("adjustment", format!("{name} is not an adjustment; use one of {known}"));
    }
    let none = Vec::new();
    let id = compile_all("id", rule.id.as_ref().unwrap_or(&none), fault);
    let amount = Reading::of_adjustment(rule, fault);
    let kind = kind?;
    if rule.cumulative && (kind != AdjustmentKind::Refund || amount.is_none() || !id.is_empty()) {
        fault(
            "cumulative",
            "is for a refund with an amount and without an id: all that was refunded of the sale so far".to_owned(),
        );
    }
    if kind.needs_id() && id.is_empty() && !rule.cumulative {
        fault("id", format!("is missing: without the id of its own a {name} that is told twice would count twice"));
    }
    if rule.rank.is_some() || !rule.awaits.is_empty() {
        fault("adjustment", "rank and awaits are for sales".to_owned());
    }
    Some(AdjustmentRule { kind, id, amount, is_cumulative: rule.cumulative })
}
