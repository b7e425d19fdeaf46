//! What a listing is to show: options of the command line as the store's filters, and as many pages as it takes.

use std::path::Path;

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};

use super::Failure;
use super::period::instant;
use crate::app;
use crate::attribute::EventOutcome;
use crate::domain::{DeliveryState, Mode, Timestamp};
use crate::store::{DeliveryFilter, Error, PAGE_LIMIT, Page, Paging, RequestFilter, SaleFilter, Store};

/// How many rows, in which order, of which time.
#[derive(Debug, Args)]
pub(super) struct Extent {
    /// At most so many
    #[arg(long, default_value_t = 100, value_name = "COUNT")]
    limit: usize,
    /// From this day (UTC) or instant on: 2026-11-01 or RFC 3339
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Before this day (UTC) or instant
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Oldest first
    #[arg(long)]
    ascending: bool,
}

/// Which sales; times are those of the sales, by the providers' word.
#[derive(Debug, Args)]
pub(super) struct Sales {
    /// Only of this source
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// Only in this state
    #[arg(long, value_name = "STATE", value_parser = ["waiting", "ready", "parked", "merged"])]
    state: Option<String>,
    /// Only in this mode
    #[arg(long, value_name = "MODE", value_parser = mode())]
    mode: Option<Mode>,
    /// Only in this currency, such as EUR
    #[arg(long, value_name = "CODE")]
    currency: Option<String>,
    /// Only those with a click
    #[arg(long, conflicts_with = "without_click")]
    with_click: bool,
    /// Only those without a click
    #[arg(long)]
    without_click: bool,
    #[command(flatten)]
    extent: Extent,
}

/// Which requests; times are those of receipt.
#[derive(Debug, Args)]
pub(super) struct Requests {
    /// Only of this source
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// Only those with an event of this outcome
    #[arg(long, value_name = "OUTCOME", value_parser = outcome())]
    outcome: Option<EventOutcome>,
    #[command(flatten)]
    extent: Extent,
}

/// Which deliveries; times are those at which they were made.
#[derive(Debug, Args)]
pub(super) struct Deliveries {
    /// Only to this upstream
    #[arg(long, value_name = "NAME")]
    upstream: Option<String>,
    /// Only in this state
    #[arg(long, value_name = "STATE", value_parser = state())]
    state: Option<DeliveryState>,
    #[command(flatten)]
    extent: Extent,
}

impl Extent {
    fn since(&self) -> Result<Option<Timestamp>, Failure> {
        self.since.as_deref().map(|text| instant("--since", text)).transpose()
    }

    fn until(&self) -> Result<Option<Timestamp>, Failure> {
        self.until.as_deref().map(|text| instant("--until", text)).transpose()
    }

    /// As many rows as are wanted, however many pages that takes.
    pub(super) fn rows<T>(&self, list: impl Fn(&Paging) -> Result<Page<T>, Error>) -> Result<Vec<T>, Failure> {
        let mut rows = Vec::new();
        let mut cursor = None;
        while rows.len() < self.limit {
            let limit = (self.limit - rows.len()).min(PAGE_LIMIT);
            let page = list(&Paging { cursor, limit, ascending: self.ascending })?;
            rows.extend(page.rows);
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        Ok(rows)
    }
}

impl Sales {
    pub(super) fn filter(&self, store: &dyn Store, config: &Path) -> Result<(SaleFilter, &Extent), Failure> {
        known_source(self.source.as_deref(), store, config)?;
        let filter = SaleFilter {
            is_double: false,
            source: self.source.clone(),
            state: self.state.clone(),
            mode: self.mode,
            currency: self.currency.as_ref().map(|code| code.to_uppercase()),
            clicked: (self.with_click || self.without_click).then_some(self.with_click),
            since: self.extent.since()?,
            until: self.extent.until()?,
        };
        Ok((filter, &self.extent))
    }
}

impl Requests {
    pub(super) fn filter(&self, store: &dyn Store, config: &Path) -> Result<(RequestFilter, &Extent), Failure> {
        known_source(self.source.as_deref(), store, config)?;
        let (since, until) = (self.extent.since()?, self.extent.until()?);
        Ok((RequestFilter { source: self.source.clone(), outcome: self.outcome, since, until }, &self.extent))
    }
}

impl Deliveries {
    pub(super) fn filter(&self) -> Result<(DeliveryFilter, &Extent), Failure> {
        let (since, until) = (self.extent.since()?, self.extent.until()?);
        Ok((DeliveryFilter { upstream: self.upstream.clone(), state: self.state, since, until }, &self.extent))
    }
}

/// A source that is neither configured nor has ever sent anything is a slip of the pen.
pub(super) fn known_source(source: Option<&str>, store: &dyn Store, config: &Path) -> Result<(), Failure> {
    let Some(source) = source else { return Ok(()) };
    let mut known = app::source_names(config)?;
    known.extend(store.last_seen()?.into_iter().map(|(name, _)| name));
    known.sort();
    known.dedup();
    if known.iter().any(|name| name == source) {
        return Ok(());
    }
    let known = if known.is_empty() { "none yet".to_owned() } else { known.join(", ") };
    Err(Failure::Usage(format!("--source {source}: there is no such source; there is {known}")))
}

fn mode() -> impl TypedValueParser<Value = Mode> {
    PossibleValuesParser::new(["live", "test"]).map(|text| if text == "test" { Mode::Test } else { Mode::Live })
}

fn outcome() -> impl TypedValueParser<Value = EventOutcome> {
    let words = EventOutcome::ALL.map(EventOutcome::as_str);
    PossibleValuesParser::new(words).map(|text| EventOutcome::parse(&text).expect("it is one of the words"))
}

fn state() -> impl TypedValueParser<Value = DeliveryState> {
    let words = DeliveryState::ALL.map(DeliveryState::as_str);
    PossibleValuesParser::new(words).map(|text| DeliveryState::parse(&text).expect("it is one of the words"))
}
