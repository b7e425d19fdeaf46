//! A pack's rules, compiled for one source, and the step from a request to its events.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use jiff::tz::Offset;
use serde_json::Value;

use super::enrich::{Enrich, Enriched, STEP_LIMIT, enrich, is_usable, without_answers};
use super::meaning::bounded_id;
use super::place::{Document, Leaf, Place};
use super::read::{AmountKind, MetadataKeys, compile_all};
use super::rule::{Choice, Compiled, SaleRule, Verdict};
use super::spec::{Spec, TimeForm};
use super::time;
use crate::domain::{Answer, Currency, Event, Faults, Meaning, Mode, Reason, Request, RequestId, Scope, Side};
use crate::envelope::{Envelope, Path, Shape};

/// More events in one request are no webhook.
const EVENT_LIMIT: usize = 1_000;
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
    /// In which of a payment's two currencies it counts, where the provider tells both; `None`: as the pack prefers.
    pub money: Option<Side>,
    /// The currency of providers that do not say theirs.
    pub currency: Option<Arc<str>>,
    /// True where the source has what is needed to ask the provider's API.
    pub can_fetch: bool,
}

/// What a scheme binds, as far as rules must know.
pub trait Trust {
    /// True where the header's value cannot be changed unseen.
    fn binds_header(&self, name: &str) -> bool;
    /// True where the value of the query cannot be changed unseen.
    fn binds_query(&self, name: &str) -> bool;
    /// True where what stands at this path of an event cannot be changed unseen.
    fn binds_path(&self, path: &str) -> bool;
    /// True where what stands at this path of the whole document cannot be changed unseen.
    fn binds_root_path(&self, path: &str) -> bool;
    /// For each way of signing that does not bind the whole body: the path to the items that it binds one by one, if it does that.
    fn item_paths(&self) -> Vec<Option<&str>>;
}

/// Compiled rules.
#[derive(Debug, Clone)]
pub struct Mapping {
    pub(super) context: Context,
    envelope: Envelope,
    shape: Shape,
    foreach: Option<Path>,
    kind: Vec<Place>,
    drop_prefix: Option<String>,
    id: Option<Place>,
    at: Vec<Place>,
    pub(super) at_form: TimeForm,
    pub(super) zone: Offset,
    pub(super) mode: Option<(Vec<Place>, Vec<String>)>,
    pub(super) exponents: HashMap<Currency, u8>,
    enrich: Vec<Enrich>,
    rules: Vec<Compiled>,
}

/// A provider's event types by what the rules make of them.
#[derive(Debug, Clone, Default)]
pub struct Types<'a> {
    /// Those that count a sale.
    pub counted: BTreeSet<&'a str>,
    /// Those that take one back.
    pub taken_back: BTreeSet<&'a str>,
    /// Those that are only ever ignored or parked.
    pub other: BTreeSet<&'a str>,
}

/// A stored request, seen by the mapper.
#[derive(Debug, Clone, Copy)]
pub struct RequestView<'a> {
    /// Its inbox number.
    pub id: RequestId,
    /// The request.
    pub request: &'a Request,
    /// What was fetched for its events.
    pub answers: &'a [Answer],
}

impl Mapping {
    /// Compiles a pack's tables for a source.
    ///
    /// # Errors
    /// Every fault that was found, with `file` and key.
    pub fn compile(spec: &Spec, context: Context, trust: &dyn Trust, envelope: &Envelope, file: &str) -> Result<Self, Faults> {
        let mut faults = Faults::default();
        let mut place = |key: &str, text: &str| Place::new(text).map_err(|cause| faults.add(file, key, cause)).ok();
        let kind: Vec<Place> = spec.event.kind.iter().filter_map(|text| place("event.type", text)).collect();
        let id = spec.event.id.as_ref().and_then(|text| place("event.id", text));
        let mode = spec.event.mode.as_ref().map(|mode| {
            let places = mode.paths.iter().filter_map(|text| place("event.mode.paths", text)).collect();
            (places, mode.test.clone())
        });
        for leaf in id.iter().flat_map(Place::leaves) {
            if let Some(name) = unbound(leaf, trust) {
                faults.add(file, "event.id", format!("{name} is not signed, so anyone could change it"));
            }
        }
        let foreach = spec
            .event
            .foreach
            .as_ref()
            .and_then(|text| Path::parse(text).map_err(|cause| faults.add(file, "event.foreach", cause)).ok());
        let items = foreach.as_ref().map(|path| &**path.text());
        if trust.item_paths().into_iter().any(|signed| signed != items) {
            faults.add(file, "event.foreach", "must be the same as verify.each, or items that nobody signed would be counted");
        }
        if spec.keys.identifying.is_empty() {
            faults.add(file, "keys.identifying", "name at least one kind of id that identifies a sale");
        }
        let at = compile_all("event.at.paths", &spec.event.at.paths, &mut |key, cause| faults.add(file, key, cause));
        let zone = spec.event.at.zone.as_deref().map_or(Some(Offset::UTC), time::zone).unwrap_or_else(|| {
            faults.add(file, "event.at.zone", "is not an offset such as +05:30");
            Offset::UTC
        });
        let choice = Choice {
            source: &context.source,
            metadata_keys: &context.metadata_keys,
            reads_reference: context.customer_from_reference,
        };
        let mut rules = Vec::new();
        for (index, rule) in spec.events.iter().enumerate() {
            let mut fault = within(&mut faults, file, format!("events[{index}]"));
            rules.extend(Compiled::new(rule, &spec.reads, &spec.keys, choice, &mut fault));
        }
        let leading = rules.iter().flat_map(Compiled::leading_kinds).collect();
        rules.iter_mut().for_each(|rule| rule.lead_by(&leading));
        if !rules.iter().any(|rule| matches!(rule.verdict, Verdict::Sale(_))) {
            faults.add(file, "events", "no rule counts a sale");
        }
        let is_of_use = |wanted: fn(&SaleRule, &Context) -> bool| {
            rules.iter().any(|rule| matches!(&rule.verdict, Verdict::Sale(sale) if wanted(sale, &context)))
        };
        if !is_of_use(|sale, context| sale.amount.can_give(context.amount)) {
            faults.add(file, "events", "the source wants a net amount, but no event of this provider says its tax or shipping");
        }
        if !is_of_use(|sale, context| context.money.is_none_or(|side| sale.amount.can_count(side))) {
            faults.add(file, "events", "the source wants the presentment currency, but no event of this provider tells it apart");
        }
        let mut steps = Vec::new();
        for (index, step) in spec.enrich.iter().enumerate() {
            let mut fault = within(&mut faults, file, format!("enrich[{index}]"));
            steps.extend(Enrich::new(step, &mut fault));
        }
        if steps.len() > STEP_LIMIT {
            faults.add(file, "enrich", format!("more than {STEP_LIMIT} fetches for one event"));
        }
        let mut exponents = HashMap::new();
        for (code, exponent) in &spec.money.exponents {
            match Currency::from_code(code) {
                Some(currency) => drop(exponents.insert(currency, *exponent)),
                None => faults.add(file, format!("money.exponents.{code}"), "is not a currency of ISO 4217"),
            }
        }
        if kind.is_empty() {
            faults.add(file, "event.type", "names no place");
        }
        let mut mapping = Self {
            context,
            envelope: envelope.clone(),
            shape: Shape::whole(),
            foreach,
            kind,
            drop_prefix: spec.event.drop_prefix.clone(),
            id,
            at,
            at_form: spec.event.at.form,
            zone,
            mode,
            exponents,
            enrich: steps,
            rules,
        };
        mapping.shape = mapping.wanted();
        faults.or(mapping)
    }

    /// The source it was compiled for.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// The headers whose values the rules read.
    pub fn headers_read(&self) -> BTreeSet<String> {
        self.leaves().filter_map(|leaf| if let Leaf::Header(name) = leaf { Some(name.to_owned()) } else { None }).collect()
    }

    /// The values of the query that the rules read.
    pub fn queries_read(&self) -> BTreeSet<String> {
        self.leaves().filter_map(|leaf| if let Leaf::Query(name) = leaf { Some(name.to_owned()) } else { None }).collect()
    }

    /// True where some sale's currency is what the source says.
    pub fn needs_currency(&self) -> bool {
        self.rules.iter().any(|rule| matches!(&rule.verdict, Verdict::Sale(sale) if sale.amount.needs_source_currency()))
    }

    fn places(&self) -> impl Iterator<Item = &Place> {
        let own = self.kind.iter().chain(&self.id).chain(&self.at).chain(self.mode.iter().flat_map(|(places, _)| places));
        own.chain(self.enrich.iter().flat_map(Enrich::places)).chain(self.rules.iter().flat_map(Compiled::places))
    }

    fn leaves(&self) -> impl Iterator<Item = Leaf<'_>> {
        self.places().flat_map(Place::leaves)
    }

    /// The part of a document that the rules look at.
    fn wanted(&self) -> Shape {
        let inside = |leaf| match leaf {
            // What lies inside an event of several is built with the event.
            Leaf::Event(path) => self.foreach.is_none().then_some(path),
            Leaf::Root(path) => Some(path),
            Leaf::Header(_) | Leaf::Query(_) => None,
        };
        Shape::of(self.leaves().filter_map(inside).chain(&self.foreach))
    }

    /// True where some rule can take a sale back.
    pub fn takes_back(&self) -> bool {
        self.rules.iter().any(|rule| match &rule.verdict {
            Verdict::Adjustment(_) => true,
            Verdict::Sale(sale) => sale.amount.tells_refunds(),
            Verdict::Ignore(_) | Verdict::Park(_) => false,
        })
    }

    /// The provider's event types by what the rules make of them.
    pub fn types(&self) -> Types<'_> {
        let mut types = Types::default();
        for rule in &self.rules {
            match rule.verdict {
                Verdict::Sale(_) => types.counted.extend(rule.types()),
                Verdict::Adjustment(_) => types.taken_back.extend(rule.types()),
                Verdict::Ignore(_) | Verdict::Park(_) => types.other.extend(rule.types()),
            }
        }
        types.other.retain(|kind| !types.counted.contains(kind) && !types.taken_back.contains(kind));
        types
    }

    /// The events of a request, in order. Never empty: what cannot be read is one parked event.
    pub fn map(&self, view: RequestView<'_>) -> Vec<Event> {
        self.map_where(view, |_| true)
    }

    /// One event of a request; `None` where there is none at this position.
    pub fn map_one(&self, view: RequestView<'_>, position: u16) -> Option<Event> {
        self.map_where(view, |other| other == usize::from(position)).into_iter().find(|event| event.position == position)
    }

    /// The mode that the first event of a request says it is of, whether or not it is genuine; `None` where this provider's events do not
    /// say theirs, or the body cannot be read.
    pub fn mode_said(&self, request: &Request) -> Option<Mode> {
        self.mode.as_ref()?;
        let event = self.map_one(RequestView { id: 0, request, answers: &[] }, 0)?;
        (!event.kind.is_empty()).then_some(event.scope.mode)
    }

    fn map_where(&self, view: RequestView<'_>, is_wanted: impl Fn(usize) -> bool) -> Vec<Event> {
        let root = match self.envelope.open(view.request, &self.shape) {
            Ok(root) => root,
            Err(unreadable) => return vec![self.blank(view, Meaning::Parked(Reason::new(unreadable.code, unreadable.why)))],
        };
        let items = match &self.foreach {
            Some(path) => path.all(&root),
            None => vec![&root],
        };
        if items.is_empty() {
            return vec![self.blank(view, Meaning::Ignored(Reason::new("no_events", "the request holds no event")))];
        }
        if items.len() > EVENT_LIMIT {
            let why = format!("the request holds more than {EVENT_LIMIT} events");
            return vec![self.blank(view, Meaning::Parked(Reason::new("too_many_events", why)))];
        }
        let currency = self.context.currency.as_deref();
        let event = |(position, event): (usize, &Value)| {
            let position = u16::try_from(position).unwrap_or(u16::MAX);
            self.event(view, position, Document { event, root: &root, request: view.request, currency })
        };
        items.into_iter().enumerate().filter(|(position, _)| is_wanted(*position)).map(event).collect()
    }

    /// Whether an answer is what its step needs; else why not.
    ///
    /// # Errors
    /// What is wrong with the answer.
    pub fn is_usable(&self, answer: &Answer) -> Result<(), String> {
        is_usable(&self.enrich, answer)
    }

    fn event(&self, view: RequestView<'_>, position: u16, document: Document<'_>) -> Event {
        let Some(kind) = self.kind.iter().find_map(|place| place.read(document)) else {
            let why = "the body does not say what kind of event it is";
            let event = self.blank(view, Meaning::Parked(Reason::new("event_type_missing", why)));
            return Event { position, ..event };
        };
        let kind = match self.drop_prefix.as_deref().and_then(|prefix| kind.strip_prefix(prefix)) {
            Some(rest) => Cow::Owned(rest.to_owned()),
            None => kind,
        };
        let mode = self.read_mode(document);
        if mode == Mode::Test && !self.context.accepts_test {
            return self.read(view, position, document, &kind); // whatever could be fetched, it does not count
        }
        if self.enrich.is_empty() {
            return self.read(view, position, document, &kind);
        }
        if !self.context.can_fetch {
            let event = without_answers(&self.enrich, &kind, document);
            return self.read(view, position, document.with(&event, self.foreach.is_none()), &kind);
        }
        let answers: Cow<'_, [Answer]> = view.answers.iter().filter(|answer| answer.position == position).cloned().collect();
        match enrich(&self.enrich, &kind, document, &answers) {
            Enriched::Whole(event) => self.read(view, position, document.with(&event, self.foreach.is_none()), &kind),
            Enriched::Lacks(fetch) => self.without_rule(view, position, document, &kind, Meaning::Lacking(fetch)),
            Enriched::Failed(reason) => self.without_rule(view, position, document, &kind, Meaning::Parked(reason)),
        }
    }

    fn without_rule(&self, view: RequestView<'_>, position: u16, document: Document<'_>, kind: &str, meaning: Meaning) -> Event {
        let mode = self.read_mode(document);
        let (at, at_path) = self.read_at(&self.at, document, view.request.received_at);
        Event {
            position,
            kind: kind.chars().take(200).collect(),
            provider_id: self.id.as_ref().and_then(|id| id.read(document)).map(|id| bounded_id(&id)),
            at,
            at_path,
            scope: Scope { account: Arc::clone(&self.context.account), mode },
            accepted: match mode {
                Mode::Live => self.context.accepts_live,
                Mode::Test => self.context.accepts_test,
            },
            ..self.blank(view, meaning)
        }
    }

    /// An event that lacks nothing, by the first rule that applies.
    fn read(&self, view: RequestView<'_>, position: u16, document: Document<'_>, kind: &str) -> Event {
        let mut event = self.without_rule(view, position, document, kind, not_a_sale_event());
        if let Some(rule) = self.rules.iter().find(|rule| rule.applies(kind, document)) {
            event.buyer = rule.customer.read(document, view.id);
            event.keys = rule.read_keys(document);
            event.renewal = rule.renewal;
            if let Some(places) = &rule.at {
                (event.at, event.at_path) = self.read_at(places, document, view.request.received_at);
            }
            event.meaning = match &rule.verdict {
                Verdict::Sale(sale) => self.claim(sale, &event, document, view.request.received_at),
                Verdict::Adjustment(back) => self.adjustment(back, &event, document),
                Verdict::Ignore(reason) => Meaning::Ignored(reason.clone()),
                Verdict::Park(reason) => Meaning::Parked(reason.clone()),
            };
        }
        if !event.accepted {
            event.meaning = Meaning::Ignored(other_mode(event.scope.mode));
        }
        event
    }

    fn blank(&self, view: RequestView<'_>, meaning: Meaning) -> Event {
        Event::unread(view.id, view.request, Arc::clone(&self.context.account), meaning)
    }
}

/// What a leaf of an id looks at, where the scheme does not bind it.
fn unbound(leaf: Leaf<'_>, trust: &dyn Trust) -> Option<String> {
    match leaf {
        Leaf::Header(name) => (!trust.binds_header(name)).then(|| format!("the header {name}")),
        Leaf::Query(name) => (!trust.binds_query(name)).then(|| format!("the query's {name}")),
        Leaf::Event(path) => (!trust.binds_path(path.text())).then(|| path.text().to_string()),
        Leaf::Root(path) => (!trust.binds_root_path(path.text())).then(|| path.text().to_string()),
    }
}

/// Adds faults of one table of a list.
fn within<'a>(faults: &'a mut Faults, file: &'a str, table: String) -> impl FnMut(&str, String) + 'a {
    move |key, cause| {
        let dot = if key.is_empty() { "" } else { "." };
        faults.add(file, format!("{table}{dot}{key}"), cause);
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
