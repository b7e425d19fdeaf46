//! A pack's rules, compiled for one source, and the step from a request to its events.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::amount::NoMoney;
use super::path::{Document, Place, decode};
use super::read::{AmountKind, MetadataKeys, compile_all};
use super::rule::{Choice, Compiled, SaleRule, Verdict};
use super::spec::{Spec, TimeForm};
use crate::domain::{Claim, Currency, Event, Faults, Meaning, Mode, Reason, Request, RequestId, Scope, Timestamp};

/// No event happens so long after its receipt, whatever the clocks say.
const AHEAD_LIMIT_SECS: i64 = 24 * 60 * 60;

/// What a source adds to its pack's rules.
#[derive(Debug, Clone)]
pub struct Context {
    /// The source's name.
    pub source: Arc<str>,
    /// The account whose keys and customers it shares, by default its name.
    pub account: Arc<str>,
    /// True where live events count.
    pub accepts_live: bool,
    /// True where test events count.
    pub accepts_test: bool,
    /// The names of the metadata entries.
    pub metadata_keys: MetadataKeys,
    /// True where a reference field is the customer's id.
    pub customer_from_reference: bool,
    /// What part of a payment is the amount.
    pub amount: AmountKind,
}

/// Compiled rules.
#[derive(Debug, Clone)]
pub struct Mapping {
    context: Context,
    kind: Place,
    id: Option<Place>,
    at: Vec<Place>,
    at_form: TimeForm,
    mode: Option<(Vec<Place>, Vec<String>)>,
    exponents: HashMap<Currency, u8>,
    rules: Vec<Compiled>,
}

/// A stored request, seen by the mapper.
#[derive(Debug, Clone, Copy)]
pub struct RequestView<'a> {
    /// Its inbox number.
    pub id: RequestId,
    /// The request.
    pub request: &'a Request,
}

impl Mapping {
    /// Compiles a pack's tables for a source. `signed_headers` are the headers whose values the signature covers.
    ///
    /// # Errors
    /// Every fault that was found, with `file` and key.
    pub fn compile(spec: &Spec, context: Context, signed_headers: &[&str], file: &str) -> Result<Self, Faults> {
        let mut faults = Faults::default();
        let mut place = |key: &str, text: &str| Place::new(text).map_err(|cause| faults.add(file, key, cause)).ok();
        let kind = place("event.type", &spec.event.kind);
        let id = spec.event.id.as_ref().and_then(|text| place("event.id", text));
        let mode = spec.event.mode.as_ref().map(|mode| {
            let places = mode.paths.iter().filter_map(|text| place("event.mode.paths", text)).collect();
            (places, mode.test.clone())
        });
        if let Some(header) = id.as_ref().and_then(Place::header)
            && !signed_headers.iter().any(|signed| signed.eq_ignore_ascii_case(header))
        {
            faults.add(file, "event.id", format!("the header {header} is not signed, so anyone could change it"));
        }
        if spec.keys.identifying.is_empty() {
            faults.add(file, "keys.identifying", "name at least one kind of id that identifies a sale");
        }
        let at = compile_all("event.at.paths", &spec.event.at.paths, &mut |key, cause| faults.add(file, key, cause));
        let choice = Choice {
            source: &context.source,
            metadata_keys: &context.metadata_keys,
            reads_reference: context.customer_from_reference,
            amount: context.amount,
        };
        let mut rules = Vec::new();
        for (index, rule) in spec.events.iter().enumerate() {
            let mut fault = |key: &str, cause: String| {
                let dot = if key.is_empty() { "" } else { "." };
                faults.add(file, format!("events[{index}]{dot}{key}"), cause);
            };
            rules.extend(Compiled::new(rule, &spec.reads, &spec.keys, choice, &mut fault));
        }
        if !rules.iter().any(|rule| matches!(rule.verdict, Verdict::Sale(_))) {
            faults.add(file, "events", "no rule counts a sale");
        }
        let mut exponents = HashMap::new();
        for (code, exponent) in &spec.money.exponents {
            match Currency::from_code(code) {
                Some(currency) => drop(exponents.insert(currency, *exponent)),
                None => faults.add(file, format!("money.exponents.{code}"), "is not a currency of ISO 4217"),
            }
        }
        match kind {
            Some(kind) => faults.or(Self { context, kind, id, at, at_form: spec.event.at.form, mode, exponents, rules }),
            None => Err(faults),
        }
    }

    /// The source it was compiled for.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// The headers whose values the rules read.
    pub fn headers_read(&self) -> BTreeSet<String> {
        let places = [Some(&self.kind), self.id.as_ref()];
        let mode = self.mode.iter().flat_map(|(places, _)| places);
        let rules = self.rules.iter().flat_map(Compiled::places);
        places
            .into_iter()
            .flatten()
            .chain(mode)
            .chain(&self.at)
            .chain(rules)
            .filter_map(Place::header)
            .map(str::to_owned)
            .collect()
    }

    /// The provider's event types by what the rules make of them: (counted, ignored or parked).
    pub fn types(&self) -> (BTreeSet<&str>, BTreeSet<&str>) {
        let mut counted = BTreeSet::new();
        let mut other = BTreeSet::new();
        for rule in &self.rules {
            let is_sale = matches!(rule.verdict, Verdict::Sale(_));
            if is_sale { counted.extend(rule.types()) } else { other.extend(rule.types()) }
        }
        let other = other.difference(&counted).copied().collect();
        (counted, other)
    }

    /// The events of a request, in order. Never empty: what cannot be read is one parked event.
    pub fn map(&self, view: RequestView<'_>) -> Vec<Event> {
        let event = match decode(view.request) {
            Ok(body) => self.event(view, Document { body: &body, headers: &view.request.headers }),
            Err(unreadable) => self.blank(view, Meaning::Parked(Reason::new(unreadable.code, unreadable.why))),
        };
        vec![event]
    }

    fn event(&self, view: RequestView<'_>, document: Document<'_>) -> Event {
        let Some(kind) = self.kind.read(document) else {
            let why = "the body does not say what kind of event it is";
            return self.blank(view, Meaning::Parked(Reason::new("event_type_missing", why)));
        };
        let mode = self.read_mode(document);
        let accepted = match mode {
            Mode::Live => self.context.accepts_live,
            Mode::Test => self.context.accepts_test,
        };
        let mut event = Event {
            kind: kind.chars().take(200).collect(),
            provider_id: self.id.as_ref().and_then(|id| id.read(document)).map(|id| id.chars().take(500).collect()),
            at: self.read_at(document, view.request.received_at),
            scope: Scope { account: Arc::clone(&self.context.account), mode },
            accepted,
            ..self.blank(view, not_a_sale_event())
        };
        if let Some(rule) = self.rules.iter().find(|rule| rule.applies(&kind, document)) {
            event.buyer = rule.customer.read(document, view.id);
            event.keys = rule.read_keys(document);
            event.renewal = rule.renewal;
            event.meaning = match &rule.verdict {
                Verdict::Sale(sale) => self.claim(sale, &event, document),
                Verdict::Ignore(reason) => Meaning::Ignored(reason.clone()),
                Verdict::Park(reason) => Meaning::Parked(reason.clone()),
            };
        }
        if !accepted {
            event.meaning = Meaning::Ignored(other_mode(mode));
        }
        event
    }

    fn claim(&self, rule: &SaleRule, event: &Event, document: Document<'_>) -> Meaning {
        if !event.keys.iter().any(|key| key.identifies) {
            return Meaning::Parked(Reason::new("key_missing", "the event holds no id by which the sale could be known again"));
        }
        match rule.amount.read(document, self.context.amount, &self.exponents) {
            Ok(money) => Meaning::Sale(Claim { event: rule.event, rank: rule.rank, money, awaits: rule.awaits.clone() }),
            Err(NoMoney::Zero(reason)) => Meaning::Ignored(reason),
            Err(NoMoney::Senseless(reason)) => Meaning::Parked(reason),
        }
    }

    fn read_mode(&self, document: Document<'_>) -> Mode {
        let Some((places, test)) = &self.mode else { return Mode::Live };
        let is_test = |place: &Place| place.read(document).is_some_and(|value| test.iter().any(|known| *known == value));
        if places.iter().any(is_test) { Mode::Test } else { Mode::Live }
    }

    /// When it happened. A time that cannot be read, or lies far after the receipt, is nobody's: the receipt stands for it.
    fn read_at(&self, document: Document<'_>, received_at: Timestamp) -> Timestamp {
        let parse = |text: &str| match self.at_form {
            TimeForm::UnixSeconds => Timestamp::from_second(text.parse().ok()?).ok(),
            TimeForm::UnixMillis => Timestamp::from_millisecond(text.parse().ok()?).ok(),
            TimeForm::Rfc3339 => text.parse().ok(),
        };
        let text = self.at.iter().find_map(|place| place.read(document));
        let is_sensible = |at: &Timestamp| at.as_second() - received_at.as_second() < AHEAD_LIMIT_SECS;
        text.and_then(|text| parse(text.trim())).filter(is_sensible).unwrap_or(received_at)
    }

    fn blank(&self, view: RequestView<'_>, meaning: Meaning) -> Event {
        Event::unread(view.id, view.request, Arc::clone(&self.context.account), meaning)
    }
}

fn not_a_sale_event() -> Meaning {
    Meaning::Ignored(Reason::new("not_a_sale_event", "this type of event does not say that money arrived"))
}

fn other_mode(mode: Mode) -> Reason {
    match mode {
        Mode::Live => Reason::new("live_mode", "a live event at a source that accepts test events only"),
        Mode::Test => Reason::new("test_mode", "a test event at a source that accepts live events only"),
    }
}
