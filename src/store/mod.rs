//! What is kept, and the contract for keeping it. Only this folder knows SQL.

mod commit;
mod copy;
mod error;
mod following;
mod listing;
mod packing;
mod place;
mod postgres;
mod refused;
mod report;
mod shorthand;
mod sql;
mod sqlite;
mod upgrade;
mod views;
mod words;

pub use copy::copy;
pub use error::Error;
pub use following::{AttemptLine, AttemptLines, EventLine, Watched};
pub use listing::{AdjustmentFilter, DeliveryFilter, PAGE_LIMIT, Page, Paging, RequestFilter, SaleFilter};
pub use place::{Access, Config, Place};
pub use postgres::Postgres;
pub use refused::{Readmitted, RefusedCountView, RefusedId, RefusedRequest, RefusedTally, RefusedView, WhichRefused};
pub use report::{AdjustmentLine, AttributionLine, DoubleLine, ParkedLine, Period, Report, SalesLine, TestLine};
pub use sqlite::Sqlite;
pub use upgrade::UpgradeView;
pub use views::{
    AdjustmentView, AttemptView, AttentionView, BackupView, BalanceView, CheckView, ClickView, CopiedView, CopyView,
    DeliveryView, DoubleView, EventView, FindingView, IdentityView, ListedAdjustmentView, OldestView, QueueView, RequestView,
    SaleView, StepView, TallyLine, UpstreamView,
};

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Serialize;

use crate::attribute::{EventOutcome, Ledger, Slice, Wanted};
use crate::domain::{
    AdjustmentRule, Answer, AttemptOutcome, DeliveryId, DeliveryState, Outgoing, Request, RequestId, SaleId, Tallied, Timestamp,
};
use crate::verify::Verified;

/// The fingerprint by which a provider's identical retry is recognised.
pub type Fingerprint = [u8; 32];

/// Changes the loaded part of the ledger by the rules: pure, so that it may be called again.
pub type Fold = Box<dyn FnMut(&mut Ledger) + Send>;

/// What became of a request at the door.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Appended {
    /// It is new, and durable.
    New(RequestId),
    /// The same was stored before, under this number.
    Duplicate(RequestId),
}

/// A request as it stands in the inbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRequest {
    /// Its number.
    pub id: RequestId,
    /// The request.
    pub request: Request,
}

/// An event for which something has to be fetched, or was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetching {
    /// The request that held it.
    pub request: StoredRequest,
    /// Its place in the request.
    pub position: u16,
    /// Tries that failed since the last answer.
    pub attempts: u32,
    /// When it began to wait.
    pub since: Timestamp,
    /// What was answered so far, for this event.
    pub answers: Vec<Answer>,
}

/// Which settled requests are read anew.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Past {
    /// Only those received from this instant on.
    pub since: Option<Timestamp>,
    /// Only those of this source.
    pub source: Option<String>,
}

/// A settled request, with all that came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastRequest {
    /// The request.
    pub request: StoredRequest,
    /// What was fetched for its events.
    pub answers: Vec<Answer>,
    /// What became of its events, by their places.
    pub events: Vec<PastEvent>,
}

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PastEvent {
    /// Its place in the request, from 0.
    pub position: u16,
    /// What became of it.
    pub outcome: EventOutcome,
    /// The sale it belongs to.
    pub sale: Option<SaleId>,
    /// True where that sale had been sent before.
    pub is_late: bool,
    /// What it said, as a number; `None` where it was settled by a version that kept none.
    pub digest: Option<i64>,
    /// True where its sale is parked for want of its customer, whom today's settings may know.
    pub lacks_customer: bool,
}

/// What came of one try to fetch something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// The request.
    pub request: RequestId,
    /// The event's place in it.
    pub position: u16,
    /// What came of it.
    pub outcome: FetchOutcome,
}

/// Nobody waits longer to fetch something again.
pub const LONGEST_FETCH_DELAY: Duration = Duration::from_secs(15 * 60);

/// What came of one try to fetch something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FetchOutcome {
    /// An answer, or the end of all tries; the event is looked at again.
    Answered(Answer),
    /// Nothing is to be fetched any more: the event can be mapped.
    Ready,
    /// To be tried again.
    Later {
        /// After so long, at most [`LONGEST_FETCH_DELAY`].
        delay: Duration,
        /// Why, in words.
        why: String,
    },
}

/// What a sender asks for.
#[derive(Debug, Clone)]
pub struct Lease {
    /// The upstream.
    pub upstream: Arc<str>,
    /// What is due by now.
    pub now: Timestamp,
    /// Until then nobody else gets it.
    pub until: Timestamp,
    /// At most so many.
    pub limit: usize,
    /// What the asker holds already: its leases of these do not run out.
    pub held: HashSet<DeliveryId>,
    /// True where the upstream counts a sale that it is told twice: what may have been sent is then not sent again by itself.
    pub counts_repeats: bool,
    /// The same for money that went back.
    pub counts_repeated_adjustments: bool,
    /// For so long the upstream knows a repeat. What it may have accepted earlier is not sent again by itself.
    pub window: Option<Duration>,
    /// What all replicas together may send in any 60 seconds. A store that one process serves leaves the limit to that process.
    pub requests_per_minute: u32,
    /// So many requests an adjustment takes.
    pub requests_per_adjustment: usize,
}

/// Counts the leases of one delivery: what is recorded under an old one came too late.
pub type LeaseNumber = i64;

/// What a sender gets.
#[derive(Debug, Clone, Default)]
pub struct Claims {
    /// The deliveries.
    pub claimed: Vec<Claimed>,
    /// When more may be asked for, where the limit that all replicas share left something behind.
    pub not_before: Option<Timestamp>,
}

/// A delivery handed to a sender under a lease. Its sale no longer changes.
#[derive(Debug, Clone)]
pub struct Claimed {
    /// The delivery.
    pub id: DeliveryId,
    /// The lease under which it was handed out.
    pub lease: LeaseNumber,
    /// True where the invoice id under which it is sent stands in its sale already.
    pub is_frozen: bool,
    /// Attempts made before this one.
    pub attempts: u32,
    /// How many of them came to [`AttemptOutcome::RetryLimited`].
    pub limited: u32,
    /// When the first attempt that counts began, from which the schedule counts; `None` before it.
    pub tried_since: Option<Timestamp>,
    /// The sale.
    pub sale: SaleId,
    /// The request that made the sale.
    pub request: RequestId,
    /// When that was received.
    pub received_at: Option<Timestamp>,
    /// What is told.
    pub outgoing: Outgoing,
}

/// One try of a delivery, and where the delivery stands after it.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// The delivery.
    pub delivery: DeliveryId,
    /// The upstream.
    pub upstream: Arc<str>,
    /// The lease under which it was tried.
    pub lease: LeaseNumber,
    /// When it began.
    pub started_at: Timestamp,
    /// When its answer was complete, or it was given up.
    pub finished_at: Timestamp,
    /// What it came to.
    pub outcome: AttemptOutcome,
    /// The HTTP status, where there was an answer.
    pub status: Option<u16>,
    /// What happened and what to do, in words.
    pub reason: String,
    /// What was sent, without secrets.
    pub request: String,
    /// The start of the answer, without secrets.
    pub answer: String,
    /// Where the delivery stands now.
    pub state: DeliveryState,
    /// When it is to be tried again, where it is due.
    pub due_at: Timestamp,
    /// False where the try does not count against the delivery (a paused upstream burns nothing).
    pub counts: bool,
    /// The id that the upstream gave to the sale.
    pub upstream_id: Option<String>,
    /// What the upstream can be told of money that went back, now that it has the sale.
    pub adjustments: Option<AdjustmentRule>,
}

/// Which deliveries to send again by hand.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Retry {
    /// These; none named means all that the rest picks.
    pub ids: Vec<DeliveryId>,
    /// Those in one of these states. None named means dead letters, or any state where ids are named.
    pub states: Vec<DeliveryState>,
    /// Those to this upstream.
    pub upstream: Option<String>,
    /// Those of sales of this source.
    pub source: Option<String>,
    /// Those whose last answer had this status.
    pub status: Option<u16>,
    /// Those made at this instant or later.
    pub since: Option<Timestamp>,
    /// Those made before this instant.
    pub until: Option<Timestamp>,
    /// Also what was accepted before.
    pub accepted: bool,
    /// Also what may have been accepted so long ago that the upstream would count it anew.
    pub past_window: bool,
    /// What upstreams may have forgotten.
    pub forgotten_by: Vec<Forgotten>,
}

/// What an upstream may have accepted so long ago that it would count it anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forgotten {
    /// The upstream.
    pub upstream: String,
    /// Accepted by this instant.
    pub before: Timestamp,
    /// True where that holds for sales only: to repeat an adjustment changes nothing.
    pub sales_only: bool,
}

/// What sending again by hand comes to.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct RetryView {
    /// How many are sent.
    pub count: usize,
    /// How many were accepted before, and are left out.
    pub accepted: usize,
    /// How many may have been accepted so long ago that the upstream would count them anew, and are left out.
    pub past_window: usize,
    /// The first of those that are sent.
    pub first: Vec<DeliveryView>,
}

/// What nobody needs any more, from a place on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prune {
    /// Settled requests that were received before this instant, and of whose events none is anything but ignored or repeated, and none
    /// belongs to a sale: with their events.
    Ignored {
        /// Only those received before this instant.
        before: Timestamp,
        /// Only those after this request.
        after: RequestId,
    },
    /// The texts (what was sent, what was answered) of attempts that ended before this instant, of deliveries about which nothing is
    /// left to be done. The attempts themselves stay.
    Texts {
        /// Only attempts that ended before this instant.
        before: Timestamp,
        /// Only those of deliveries after this one.
        after: DeliveryId,
    },
    /// Refused requests that were received before this instant, and counts of which nothing is left.
    Refused {
        /// Only those received before this instant.
        before: Timestamp,
    },
}

/// What one step of pruning came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Requests that were removed, accepted or refused ones, or attempts whose texts were emptied.
    pub count: usize,
    /// Where the next step goes on; `None` where nothing older is left.
    pub next: Option<i64>,
}

/// What was counted in one hour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HourlyTally {
    /// What: `request`, `sale` or `refused`.
    pub what: String,
    /// Whole hours since 1970 in UTC.
    pub hour: i64,
    /// The source.
    pub source: String,
    /// What more is told: how a sale is attributed, why a request was refused.
    pub label: String,
    /// How many.
    pub count: u64,
    /// When the last of them came, where that is known.
    pub last_at: Option<Timestamp>,
}

/// What is remembered of an alarm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlarmRecord {
    /// Its name: what it is about, such as `upstream_paused:cutmeshort`.
    pub name: String,
    /// Since when it is on; `None` where it is off, and only what is known already is kept.
    pub since: Option<Timestamp>,
    /// When it was last told.
    pub told_at: Option<Timestamp>,
    /// A number that the alarm's rule compares the next one with.
    pub level: i64,
    /// When that last changed.
    pub changed_at: Timestamp,
    /// What was told last, in words.
    pub what: String,
}

/// The contract that every store keeps.
///
/// Durable means: once a call that writes has returned `Ok`, neither a crash of the process nor of the machine undoes it.
/// Calls that are not `async` work on the calling thread and may block for as long as the disk or the database does.
#[async_trait]
pub trait Store: Send + Sync {
    /// Stores a verified request durably, or recognises it by its fingerprint. Requests that wait together share one
    /// commit. `None` as fingerprint: never recognised.
    ///
    /// # Errors
    /// [`Error::Busy`] at once where too many requests wait already; [`Error::Unavailable`] where the disk refuses.
    async fn append(&self, request: Verified, fingerprint: Option<Fingerprint>) -> Result<Appended, Error>;

    /// Whether so much is written at the moment that what can wait should: requests that wait to be stored go first. True for a moment
    /// longer, because bursts come in waves.
    fn is_pressed(&self) -> bool;

    /// Whether writing works, by a write that changes nothing.
    ///
    /// # Errors
    /// What stands in the way.
    async fn ready(&self) -> Result<(), Error>;

    /// The oldest requests that are not settled and come after `after`, at most `limit`, in order. Nobody else who serves the same
    /// store gets them, until they are settled or a lease runs out.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    fn unsettled(&self, after: RequestId, limit: usize) -> Result<Vec<StoredRequest>, Error>;

    /// When the first request was received that is not settled.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    fn unsettled_since(&self) -> Result<Option<Timestamp>, Error>;

    /// When the next waiting sale's time is over, where one waits.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    fn next_expiry(&self) -> Result<Option<Timestamp>, Error>;

    /// Settles `requests`, the next ones that [`Store::unsettled`] gave: loads the part of the ledger that is `wanted`, lets `rules`
    /// change it, and writes the changes and that they are settled, all of it or nothing. `rules` may be called again where the
    /// transaction has to be repeated. A loss of power may undo the whole, until something is written that has to last, such as a claim:
    /// then [`Store::unsettled`] gives them again.
    ///
    /// # Errors
    /// [`Error::Unavailable`]; then nothing is settled, and the same call may be made again. [`Error::Conflict`]: another replica
    /// settles them.
    async fn settle(&self, wanted: Wanted, requests: Vec<RequestId>, now: Timestamp, rules: Fold) -> Result<(), Error>;

    /// Loads sales whose waiting is over at `now`, at most `limit`, with what is remembered of their customers, lets `rules`
    /// change them, and writes the changes. Answers with their number.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    async fn expire(&self, now: Timestamp, limit: usize, rules: Fold) -> Result<usize, Error>;

    /// Events of a source for which something has to be fetched by now, oldest first, at most `limit`.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    fn due_fetches(&self, source: &str, now: Timestamp, limit: usize) -> Result<Vec<Fetching>, Error>;

    /// When the next fetch of a source is due, where one is.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    fn next_fetch(&self, source: &str) -> Result<Option<Timestamp>, Error>;

    /// Records what came of fetches. An answer is stored beside its request, as one more input of the fold.
    ///
    /// # Errors
    /// [`Error::Unavailable`]; then the same is fetched again.
    async fn record_fetches(&self, fetched: Vec<Fetched>, now: Timestamp) -> Result<(), Error>;

    /// Lets go the events of all sources but these: nobody fetches for them any more, so they are looked at as they are.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    async fn release_fetches(&self, but: Vec<String>) -> Result<(), Error>;

    /// Events for which all was fetched, oldest first, at most `limit`.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    fn fetched(&self, limit: usize) -> Result<Vec<Fetching>, Error>;

    /// Settles events for which all was fetched, as [`Store::settle`] does; those of which something else has to be fetched after
    /// all go on waiting.
    ///
    /// # Errors
    /// [`Error::Unavailable`]; then nothing is settled, and the same call may be made again.
    async fn settle_fetched(
        &self,
        wanted: Wanted,
        events: Vec<(RequestId, u16)>,
        now: Timestamp,
        rules: Fold,
    ) -> Result<(), Error>;

    /// Settled requests after `after`, with what became of them, in order, at most `limit`.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    fn past(&self, which: &Past, after: RequestId, limit: usize) -> Result<Vec<PastRequest>, Error>;

    /// The requests that hold events of these sales, in order.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    fn past_of_sales(&self, sales: &[SaleId]) -> Result<Vec<PastRequest>, Error>;

    /// The part of the ledger that is wanted, to be looked at only.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    fn slice(&self, wanted: &Wanted) -> Result<Slice, Error>;

    /// Changes the part of the ledger that is wanted, as [`Store::settle`] does, for requests that were settled before.
    ///
    /// # Errors
    /// [`Error::Unavailable`]; then nothing is changed, and the same call may be made again.
    async fn remap(&self, wanted: Wanted, now: Timestamp, rules: Fold) -> Result<(), Error>;

    /// The ledger over a period.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    fn report(&self, period: &Period) -> Result<Report, Error>;

    /// Leases due deliveries of an upstream to the caller, oldest first, and freezes their sales. A lease of a process that died is due
    /// again, or a dead letter where the upstream would count it twice; those that the asker holds never run out. Nothing is leased while a person has
    /// paused the upstream.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    async fn claim(&self, lease: Lease) -> Result<Claims, Error>;

    /// The clock was set back, or a former process's was ahead: what waits for a time is brought as much nearer as the clock was ahead
    /// when it was made to wait, so that nothing waits for hours that nobody meant.
    ///
    /// # Errors
    /// [`Error::Unavailable`]; then it waits for those hours.
    async fn set_back(&self, now: Timestamp) -> Result<(), Error>;

    /// When the next delivery of an upstream is due, where one is.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    async fn next_due(&self, upstream: &str) -> Result<Option<Timestamp>, Error>;

    /// Records attempts and where their deliveries stand now. Where a lease had run out, and somebody else has the delivery, only that
    /// it was accepted changes where it stands.
    ///
    /// # Errors
    /// [`Error::Unavailable`]; the leases then run out and the deliveries are tried again.
    async fn record(&self, attempts: Arc<Vec<Attempt>>) -> Result<(), Error>;

    /// Gives back what was leased and not begun.
    ///
    /// # Errors
    /// [`Error::Unavailable`]; the leases then run out.
    async fn give_back(&self, deliveries: Vec<(DeliveryId, LeaseNumber)>) -> Result<(), Error>;

    /// Stops (with the reason) or starts an upstream's queue. A person's pause stays.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    async fn set_paused(&self, upstream: &str, reason: Option<String>, now: Timestamp) -> Result<(), Error>;

    /// Whether an upstream's queue is stopped.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    async fn is_paused(&self, upstream: &str) -> Result<bool, Error>;

    /// Stops an upstream's queue for a person, with the reason, until a person starts it again; or starts it.
    /// Answers whether that changed anything.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    async fn pause_by_hand(&self, upstream: &str, reason: Option<String>, now: Timestamp) -> Result<bool, Error>;

    /// Makes deliveries due at once, for a person who has mended what was wrong, and starts their upstreams' queues unless a person
    /// stopped them. Answers with how many.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    async fn retry(&self, which: Retry, now: Timestamp) -> Result<usize, Error>;

    /// What [`Store::retry`] would do, with the first `limit` deliveries that it would make due.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    fn retryable(&self, which: &Retry, limit: usize) -> Result<RetryView, Error>;

    /// What an attempt of this delivery would send.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    fn outgoing(&self, id: DeliveryId) -> Result<Option<Claimed>, Error>;

    /// Sales, newest first.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    fn sales(&self, limit: usize) -> Result<Vec<SaleView>, Error>;

    /// A page of sales.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    fn list_sales(&self, filter: &SaleFilter, paging: &Paging) -> Result<Page<SaleView>, Error>;

    /// The sales that are known by exactly this text (an invoice id, an e-mail address, a customer, a click, a provider's id), newest
    /// first, at most `limit`; and how many there are, counted up to a thousand.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    fn search_sales(&self, text: &str, limit: usize) -> Result<(Vec<SaleView>, usize), Error>;

    /// Makes the next block of sales fit to be searched, where one is old enough. Answers whether there may be another.
    ///
    /// # Errors
    /// [`Error::Unavailable`]; until the next call its sales are searched one by one.
    async fn seal_sales(&self, now: Timestamp) -> Result<bool, Error>;

    /// Learns what the requests of a source have in common, for each of which enough new ones have come, so that the next ones take less
    /// room. Answers with how many sources that were.
    ///
    /// # Errors
    /// [`Error::Unavailable`] and [`Error::Damaged`]; requests are stored as before, and the next call tries again.
    async fn learn(&self, now: Timestamp) -> Result<usize, Error>;

    /// A page of requests, without their bodies.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    fn list_requests(&self, filter: &RequestFilter, paging: &Paging) -> Result<Page<RequestView>, Error>;

    /// A page of deliveries, without their attempts.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    fn list_deliveries(&self, filter: &DeliveryFilter, paging: &Paging) -> Result<Page<DeliveryView>, Error>;

    /// A page of what was said of money that went back.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    fn list_adjustments(&self, filter: &AdjustmentFilter, paging: &Paging) -> Result<Page<ListedAdjustmentView>, Error>;

    /// What is remembered of a customer, be it a provider's or the team's own.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    fn identities(&self, customer: &str) -> Result<Vec<IdentityView>, Error>;

    /// Events after a place (a request, and an event's place in it) in the order of their requests' numbers, at most `limit`. Where
    /// several processes serve the store, a request of a lower number may be settled later.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    fn events_after(&self, after: (RequestId, u16), limit: usize) -> Result<Vec<EventLine>, Error>;

    /// The events of requests with numbers in these ranges (first and last).
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    fn events_between(&self, ranges: &[(RequestId, RequestId)]) -> Result<Vec<EventLine>, Error>;

    /// The highest number of a request that is settled; 0 where none is.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    fn last_settled(&self) -> Result<RequestId, Error>;

    /// The number of the last request that was received before this instant, near enough: 0 where none was.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    fn last_request_before(&self, at: Timestamp) -> Result<RequestId, Error>;

    /// Attempts that ended at `since` or later, of the newest deliveries, and new ones of the deliveries that the look before
    /// found worth watching. The work is bounded: an attempt of an old delivery that was made due and ended between two looks may be
    /// missed.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    fn attempts_after(&self, since: Timestamp, watched: &[Watched]) -> Result<AttemptLines, Error>;

    /// Whether several processes may serve this store at once.
    fn is_shared(&self) -> bool;

    /// One sale.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    fn sale(&self, id: SaleId) -> Result<Option<SaleView>, Error>;

    /// Requests, newest first, without their bodies.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    fn requests(&self, limit: usize) -> Result<Vec<RequestView>, Error>;

    /// One request with its headers and its exact body.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    fn request(&self, id: RequestId) -> Result<Option<(RequestView, Request)>, Error>;

    /// Deliveries, newest first, without their attempts.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    fn deliveries(&self, limit: usize) -> Result<Vec<DeliveryView>, Error>;

    /// One delivery with its attempts.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    fn delivery(&self, id: DeliveryId) -> Result<Option<DeliveryView>, Error>;

    /// Upstreams that have or had something in their queues, or were paused, by name.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    fn upstreams(&self) -> Result<Vec<UpstreamView>, Error>;

    /// What has gathered that a person should look at.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    fn attention(&self) -> Result<AttentionView, Error>;

    /// How much waits in each queue.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    fn queues(&self) -> Result<QueueView, Error>;

    /// The hourly counts of one kind from an hour (since 1970) on, by hour.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    fn tallies(&self, what: Tallied, since: i64) -> Result<Vec<TallyLine>, Error>;

    /// When a genuine request of each source was last settled, by name.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    fn last_seen(&self) -> Result<Vec<(String, Timestamp)>, Error>;
    /// Since when the first of each queue is there.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    fn oldest(&self) -> Result<OldestView, Error>;

    /// What was counted in each hour from `since` on (whole hours since 1970): requests, live sales and refusals of each source.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    fn hourly(&self, since: i64) -> Result<Vec<HourlyTally>, Error>;

    /// Takes or renews the watch over alarms for `holder`, a number of the process's own, until `until`. Answers whether it has it:
    /// of several processes that serve one store one keeps watch.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    async fn watch(&self, holder: i64, now: Timestamp, until: Timestamp) -> Result<bool, Error>;

    /// Lets go of the watch, where `holder` has it.
    ///
    /// # Errors
    /// [`Error::Unavailable`]; the lease then runs out.
    async fn end_watch(&self, holder: i64) -> Result<(), Error>;

    /// What is remembered of alarms, by name.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    fn alarms(&self) -> Result<Vec<AlarmRecord>, Error>;

    /// Keeps an alarm as it is now, or forgets it.
    ///
    /// # Errors
    /// [`Error::Unavailable`]; it is then told again.
    async fn put_alarm(&self, name: &str, record: Option<AlarmRecord>) -> Result<(), Error>;
    /// Keeps refused requests, of each source, code and finding only the newest `per_cause`, and adds up how often they came.
    ///
    /// # Errors
    /// [`Error::Unavailable`]; then nothing is kept and nothing counted.
    async fn keep_refused(&self, refused: Vec<RefusedRequest>, tallies: Vec<RefusedTally>, per_cause: usize)
    -> Result<(), Error>;

    /// Refused requests that are kept, newest first.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    fn refused(&self, which: &WhichRefused) -> Result<Vec<RefusedView>, Error>;

    /// One refused request, whole.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    fn refused_request(&self, id: RefusedId) -> Result<Option<(RefusedView, RefusedRequest)>, Error>;

    /// How often requests were refused, by source and code.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    fn refused_counts(&self) -> Result<Vec<RefusedCountView>, Error>;

    /// Removes refused requests. Answers with how many of them were there.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    async fn remove_refused(&self, ids: Vec<RefusedId>) -> Result<usize, Error>;

    /// Takes a refused request that was found genuine after all into the inbox, as [`Store::append`] does, and out of the ring. Both
    /// may be made again: a request with a fingerprint is stored once.
    ///
    /// # Errors
    /// As [`Store::append`].
    async fn accept_refused(
        &self,
        id: RefusedId,
        request: Verified,
        fingerprint: Option<Fingerprint>,
    ) -> Result<Readmitted, Error> {
        let appended = self.append(request, fingerprint).await?;
        self.remove_refused(vec![id]).await?;
        Ok(match appended {
            Appended::New(request) => Readmitted { request, is_duplicate: false },
            Appended::Duplicate(request) => Readmitted { request, is_duplicate: true },
        })
    }

    /// Removes what nobody needs any more, in one small step: at most `limit` of it, among not many more. May be made by several
    /// replicas at once. Keys, sales, deliveries, and the event ids that they used up are never removed.
    ///
    /// # Errors
    /// [`Error::Unavailable`]; then nothing is removed, and the same step may be made again.
    async fn prune(&self, what: Prune, limit: usize) -> Result<Pruned, Error>;

    /// Whether what is stored agrees with itself: reads all of it, beside a server that may be running.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    fn check(&self) -> Result<CheckView, Error>;
}
