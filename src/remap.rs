//! Stored requests read anew by today's packs: what would change, and what is safe to change.
//!
//! A dry run folds a slice of the ledger in memory and writes nothing; otherwise each batch is one transaction. A request whose
//! events say what they said before is passed over.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex};

use schemars::JsonSchema;
use serde::Serialize;

use crate::attribute::{EventOutcome, Ledger, Recorded, Rules, SaleChange, Unsafe, Wanted};
use crate::domain::{self, Answer, Event, Meaning, Reason, RequestId, Sale, SaleId, SaleState, Timestamp};
use crate::map::RequestView;
use crate::pack::Source;
use crate::store::{Error, Past, PastEvent, PastRequest, Store};

/// So many requests are read anew in one transaction.
const BATCH_LIMIT: usize = 96;

/// Reads stored requests anew.
pub struct Remapper {
    store: Arc<dyn Store>,
    sources: Arc<HashMap<String, Arc<Source>>>,
    rules: Arc<Rules>,
}

/// What came of it.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
pub struct Outcome {
    /// True where the changes were made, false for a dry run.
    pub applied: bool,
    /// Requests that were read anew.
    pub requests: usize,
    /// Events that say something else than they did.
    pub events_changed: usize,
    /// Sales that change.
    pub changes: Vec<Difference>,
    /// Sales that were sent, and would be others today: they stay as they were sent.
    pub kept: Vec<Difference>,
    /// Pairs of sales, both sent, that turned out to be one purchase: correct one of them at the upstream.
    pub possible_double_counts: Vec<(SaleId, SaleId)>,
    /// Sales that were left alone because some of their requests came to a source that is not configured any more.
    pub unreadable: Vec<SaleId>,
}

/// How a sale differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Difference {
    /// The sale; of a dry run, those that would appear are numbered after the last.
    pub sale: SaleId,
    /// The source.
    pub source: String,
    /// Its invoice id.
    #[serde(rename = "invoiceId", skip_serializing_if = "Option::is_none")]
    pub invoice_id: Option<String>,
    /// What differs.
    pub what: Vec<Change>,
}

/// One thing that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Change {
    /// `appears`, `event`, `amount`, `currency`, `customer`, `click`, `state`, `taken_back` or `not_counted`.
    pub what: String,
    /// Before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// After.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// What one batch came to.
#[derive(Default)]
struct Found {
    changes: Vec<SaleChange>,
    kept: Vec<Unsafe>,
    doubles: Vec<(SaleId, SaleId)>,
}

/// Requests that are read anew together.
struct Batch {
    events: Vec<Recorded>,
    wanted: Wanted,
}

impl Remapper {
    /// A remapper over this store, by these sources' packs.
    pub fn new(store: Arc<dyn Store>, sources: Arc<HashMap<String, Arc<Source>>>, rules: Rules) -> Self {
        Self { store, sources, rules: Arc::new(rules) }
    }

    /// Says what would change, and changes nothing. `progress` is told the request that was reached.
    ///
    /// # Errors
    /// The store's.
    pub fn dry_run(&self, which: &Past, now: Timestamp, mut progress: impl FnMut(RequestId)) -> Result<Outcome, Error> {
        let mut outcome = Outcome::default();
        let mut ledger = Ledger::default();
        let mut originals: BTreeMap<SaleId, Sale> = BTreeMap::new();
        let mut after = 0;
        loop {
            let past = self.store.past(which, after, BATCH_LIMIT)?;
            let Some(last) = past.last() else { break };
            after = last.request.id;
            progress(after);
            if let Some(batch) = self.batch(&past, &mut outcome)? {
                let slice = self.store.slice(&batch.wanted)?;
                for sale in slice.sales.iter().filter(|sale| ledger.sale(sale.id).is_none()) {
                    originals.insert(sale.id, sale.clone());
                }
                ledger.extend(slice);
                let kept = ledger.refold(&batch.events, &self.rules, now);
                outcome.possible_double_counts.extend(ledger.double_counts());
                outcome.kept.extend(kept.iter().map(Difference::kept));
            }
        }
        let changed = |sale: &Sale| SaleChange { before: originals.get(&sale.id).cloned(), after: sale.clone() };
        outcome.changes = ledger.sales().iter().map(changed).filter_map(|change| Difference::of(&change)).collect();
        outcome.tidy();
        Ok(outcome)
    }

    /// Changes what is safe. May be broken off and made again at any point.
    ///
    /// # Errors
    /// The store's; batches before the one that failed are changed.
    pub async fn apply(&self, which: &Past, now: Timestamp, mut progress: impl FnMut(RequestId)) -> Result<Outcome, Error> {
        let mut outcome = Outcome { applied: true, ..Outcome::default() };
        let mut changes: BTreeMap<SaleId, SaleChange> = BTreeMap::new();
        let mut after = 0;
        loop {
            let past = self.store.past(which, after, BATCH_LIMIT)?;
            let Some(last) = past.last() else { break };
            after = last.request.id;
            progress(after);
            let Some(Batch { events, wanted }) = self.batch(&past, &mut outcome)? else { continue };
            let found: Arc<Mutex<Found>> = Arc::default();
            let (told, rules) = (Arc::clone(&found), Arc::clone(&self.rules));
            let fold = Box::new(move |ledger: &mut Ledger| {
                let before: HashMap<SaleId, Sale> = ledger.sales().iter().map(|sale| (sale.id, sale.clone())).collect();
                let kept = ledger.refold(&events, &rules, now);
                let change = |sale: &Sale| SaleChange { before: before.get(&sale.id).cloned(), after: sale.clone() };
                let changes = ledger.sales().iter().map(change).collect();
                let doubles = ledger.double_counts().collect();
                *told.lock().expect("nothing panics while it tells") = Found { changes, kept, doubles };
            });
            self.store.remap(wanted, now, fold).await?;
            let Found { changes: changed, kept, doubles } =
                std::mem::take(&mut *found.lock().expect("nothing panics while it tells"));
            outcome.kept.extend(kept.iter().map(Difference::kept));
            outcome.possible_double_counts.extend(doubles);
            for change in changed.into_iter().filter(|change| Difference::of(change).is_some()) {
                changes.entry(change.after.id).and_modify(|known| known.after = change.after.clone()).or_insert(change);
            }
        }
        outcome.changes = changes.values().filter_map(Difference::of).collect();
        outcome.tidy();
        Ok(outcome)
    }

    /// The events of these requests that say something else, each with all others of its sale. `None` where nothing changed.
    fn batch(&self, past: &[PastRequest], outcome: &mut Outcome) -> Result<Option<Batch>, Error> {
        outcome.requests += past.len();
        let mut events: Vec<Recorded> = past.iter().flat_map(|past| self.read(past, true)).collect();
        events.retain(|recorded| recorded.is_changed);
        if events.is_empty() {
            return Ok(None);
        }
        outcome.events_changed += past.iter().map(|past| self.changed(past)).sum::<usize>();
        let mut sales: HashSet<SaleId> = events.iter().filter_map(|recorded| recorded.sale).collect();
        let known: HashSet<(RequestId, u16)> = events.iter().map(Recorded::place).collect();
        let of_sales = self.store.past_of_sales(&sales.iter().copied().collect::<Vec<_>>())?;
        for past in of_sales.iter().filter(|past| !self.sources.contains_key(&past.request.request.source)) {
            for sale in past.events.iter().filter_map(|event| event.sale).filter(|sale| sales.contains(sale)).collect::<Vec<_>>()
            {
                sales.remove(&sale);
                outcome.unreadable.push(sale);
            }
        }
        events.retain(|recorded| recorded.sale.is_none_or(|sale| sales.contains(&sale)));
        for past in of_sales {
            let others = self.read(&past, false).into_iter().filter(|recorded| !known.contains(&recorded.place()));
            events.extend(others.filter(|recorded| recorded.sale.is_some_and(|sale| sales.contains(&sale))));
        }
        events.sort_by_key(Recorded::place);
        let mut wanted = Wanted::by(events.iter().map(|recorded| &recorded.event));
        wanted.sales.extend(sales);
        Ok(Some(Batch { events, wanted }))
    }

    /// How many events of a request say something else than they did.
    fn changed(&self, past: &PastRequest) -> usize {
        let digest =
            |place: (RequestId, u16)| past.events.iter().find(|event| event.position == place.1).and_then(|event| event.digest);
        let read = self.read(past, true);
        read.iter().filter(|recorded| recorded.is_changed && digest(recorded.place()) != Some(recorded.event.digest())).count()
    }

    /// What a request says today. `may_change` is false for one that is only there because of its sale.
    fn read(&self, past: &PastRequest, may_change: bool) -> Vec<Recorded> {
        let Some(source) = self.sources.get(&past.request.request.source) else { return Vec::new() };
        // What could not be fetched may be fetched now.
        let has_failed = |event: &PastEvent| event.outcome == EventOutcome::Parked;
        let parked: HashSet<u16> = past.events.iter().filter(|event| has_failed(event)).map(|event| event.position).collect();
        let is_of_use = |answer: &&Answer| answer.result.is_ok() || !parked.contains(&answer.position);
        let answers: Vec<Answer> = past.answers.iter().filter(is_of_use).cloned().collect();
        let today = source.mapping.map(RequestView { id: past.request.id, request: &past.request.request, answers: &answers });
        let mut recorded: Vec<Recorded> = Vec::new();
        for event in &past.events {
            let found = today.iter().find(|today| today.position == event.position).cloned();
            let today = found.unwrap_or_else(|| self.gone(past, source, event.position));
            let is_settled = !matches!(event.outcome, EventOutcome::Duplicate | EventOutcome::Fetching);
            recorded.push(Recorded {
                is_changed: may_change && is_settled && (event.digest != Some(today.digest()) || event.lacks_customer),
                event: today,
                outcome: event.outcome,
                sale: event.sale,
                is_late: event.is_late,
            });
        }
        let is_new = |event: &&Event| !past.events.iter().any(|known| known.position == event.position);
        recorded.extend(today.iter().filter(is_new).map(|event| Recorded {
            event: event.clone(),
            outcome: EventOutcome::Parked,
            sale: None,
            is_late: false,
            is_changed: may_change,
        }));
        recorded
    }

    /// An event that today's pack does not see in its request any more.
    fn gone(&self, past: &PastRequest, source: &Source, position: u16) -> Event {
        let why = "today's pack finds no such event in the request";
        let meaning = Meaning::Parked(Reason::new("event_gone", why));
        let account = Arc::clone(&source.mapping.context().account);
        Event { position, ..Event::unread(past.request.id, &past.request.request, account, meaning) }
    }
}

impl Outcome {
    /// Each sale once, in the order of their numbers.
    fn tidy(&mut self) {
        self.changes.sort_by_key(|difference| difference.sale);
        self.kept.sort_by_key(|difference| difference.sale);
        self.kept.dedup_by_key(|difference| difference.sale);
        self.possible_double_counts.sort_unstable();
        self.possible_double_counts.dedup();
        self.unreadable.sort_unstable();
        self.unreadable.dedup();
    }
}

impl Difference {
    /// How a sale changed; `None` where nothing is different that anyone would see.
    fn of(change: &SaleChange) -> Option<Self> {
        let what = match &change.before {
            None => vec![Change::new("appears", None, Some(change.after.money.to_string()))],
            Some(before) => changes(before, &change.after),
        };
        (!what.is_empty()).then(|| Self::new(&change.after, what))
    }

    /// How a sale that was sent would be another one.
    fn kept(kept: &Unsafe) -> Self {
        let what = match &kept.today {
            Some(today) => sent_changes(&kept.sent, today),
            None => vec![Change::new("not_counted", Some(kept.sent.money.to_string()), None)],
        };
        Self::new(&kept.sent, what)
    }

    fn new(sale: &Sale, what: Vec<Change>) -> Self {
        Self { sale: sale.id, source: sale.source.to_string(), invoice_id: sale.invoice_id(), what }
    }
}

impl Change {
    fn new(what: &str, before: Option<String>, after: Option<String>) -> Self {
        Self { what: what.to_owned(), before, after }
    }

    fn between(what: &str, before: Option<String>, after: Option<String>) -> Option<Self> {
        (before != after).then(|| Self::new(what, before, after))
    }
}

fn sent_changes(before: &Sale, after: &Sale) -> Vec<Change> {
    let value = |found: &Option<domain::Found>| found.as_ref().map(|found| found.value.clone());
    let text = |text: &str| Some(text.to_owned());
    let changes = [
        Change::between("event", text(before.event.as_str()), text(after.event.as_str())),
        Change::between("amount", text(&before.money.to_major()), text(&after.money.to_major())),
        Change::between("currency", text(before.money.currency.code()), text(after.money.currency.code())),
        Change::between("customer", value(&before.buyer.customer_external_id), value(&after.buyer.customer_external_id)),
        Change::between("click", value(&before.buyer.click_id), value(&after.buyer.click_id)),
    ];
    changes.into_iter().flatten().collect()
}

fn changes(before: &Sale, after: &Sale) -> Vec<Change> {
    let state = |sale: &Sale| match &sale.state {
        SaleState::Parked(reason) => format!("parked: {}", reason.code),
        SaleState::Merged(into) => format!("merged into sale {into}"),
        state @ (SaleState::Waiting(_) | SaleState::Ready) => state.as_str().to_owned(),
    };
    let back = |sale: &Sale| Some(sale.money.with(sale.taken_back).to_major());
    let mut all = sent_changes(before, after);
    all.extend(Change::between("state", Some(state(before)), Some(state(after))));
    all.extend(Change::between("taken_back", back(before), back(after)));
    all
}
