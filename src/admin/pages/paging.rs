//! Filters and pages as they stand in a URL. No personal data ever does.

use actix_web::HttpRequest;

use super::visitor::Fault;
use crate::domain::Timestamp;
use crate::store::{Page, Paging};

/// So many rows are shown on a page.
const ROWS: usize = 50;
/// What pages are filtered and ordered by. Nothing else of a query goes into a URL that we write.
const FILTERS: [&str; 12] =
    ["source", "upstream", "state", "outcome", "mode", "currency", "clicked", "double", "since", "until", "order", "days"];
/// No value of a filter is longer: it is a word of ours, a name of the configuration, a code or a day.
const FILTER_LIMIT: usize = 64;

/// The query of a listing's URL.
pub(super) struct Asked {
    path: String,
    pairs: Vec<(String, String)>,
}

/// One value that a filter can have.
pub(super) struct Choice {
    pub(super) value: String,
    pub(super) text: String,
    pub(super) is_chosen: bool,
}

/// The links below a listing.
#[derive(Default)]
pub(super) struct Turns {
    /// To the page before, in the order of the listing.
    pub(super) back: Option<String>,
    /// To the next.
    pub(super) on: Option<String>,
    /// To the first, from any other.
    pub(super) first: Option<String>,
}

impl Asked {
    /// What a request asks for.
    pub(super) fn of(request: &HttpRequest) -> Self {
        let pairs = form_urlencoded::parse(request.query_string().as_bytes()).into_owned().collect();
        Self { path: request.path().to_owned(), pairs }
    }

    /// A value; `None` where it is empty or missing.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let value = self.pairs.iter().find(|(known, _)| known == name).map(|(_, value)| value.trim());
        value.filter(|value| !value.is_empty())
    }

    /// A value that is one of these.
    ///
    /// # Errors
    /// It is none of them.
    pub(super) fn one_of<'a>(&self, name: &str, known: &[&'a str]) -> Result<Option<&'a str>, Fault> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let found = known.iter().copied().find(|known| *known == value);
        found.map(Some).ok_or_else(|| Fault::Invalid(format!("{name} is none of {}.", known.join(", "))))
    }

    /// The beginning of a day (UTC); `more` days later.
    ///
    /// # Errors
    /// It is no day.
    pub(super) fn day(&self, name: &str, more: i64) -> Result<Option<Timestamp>, Fault> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let day: Option<Timestamp> = format!("{text}T00:00:00Z").parse().ok();
        let later = day.and_then(|day| day.checked_add(jiff::SignedDuration::from_hours(24 * more)).ok());
        later.map(Some).ok_or_else(|| Fault::Invalid(format!("{name} is not a day such as 2026-11-01.")))
    }

    /// The same URL with other values; without the place in the listing.
    pub(super) fn with(&self, changes: &[(&str, Option<&str>)]) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        let is_kept = |name: &str, value: &str| is_filter(name, value) && !changes.iter().any(|(changed, _)| *changed == name);
        for (name, value) in self.pairs.iter().filter(|(name, value)| is_kept(name, value)) {
            query.append_pair(name, value);
        }
        for (name, value) in changes {
            if let Some(value) = value {
                query.append_pair(name, value);
            }
        }
        let query = query.finish();
        if query.is_empty() { self.path.clone() } else { format!("{}?{query}", self.path) }
    }

    /// Whether the listing begins with the oldest.
    ///
    /// # Errors
    /// The order is none that there is.
    pub(super) fn is_oldest_first(&self) -> Result<bool, Fault> {
        Ok(self.one_of("order", &["newest", "oldest"])? == Some("oldest"))
    }

    /// Which page is asked for, with one row more, which says whether there is another. Whoever goes back reads the other way round:
    /// [`Asked::turns`] turns that again.
    ///
    /// # Errors
    /// The place is none.
    pub(super) fn paging(&self) -> Result<Paging, Fault> {
        let cursor = self.get("back").or_else(|| self.get("cursor"));
        if cursor.is_some_and(|cursor| cursor.parse::<i64>().is_err()) {
            return Err(Fault::Invalid("There is no such page.".to_owned()));
        }
        let ascending = self.is_oldest_first()? != self.get("back").is_some();
        Ok(Paging { cursor: cursor.map(str::to_owned), limit: ROWS + 1, ascending })
    }

    /// Puts the rows in the order of the listing, and says where else one can go.
    pub(super) fn turns<T>(&self, page: &mut Page<T>, id: impl Fn(&T) -> i64) -> Turns {
        let is_back = self.get("back").is_some();
        let mut further = page.next.take();
        if page.rows.len() > ROWS {
            page.rows.truncate(ROWS);
            further = page.rows.last().map(|row| id(row).to_string());
        }
        if is_back {
            page.rows.reverse();
        }
        let first = page.rows.first().map(|row| id(row).to_string());
        let last = page.rows.last().map(|row| id(row).to_string());
        let (back, on) = match is_back {
            true => (further.filter(|_| first.is_some()).and(first), last.or_else(|| self.get("back").map(str::to_owned))),
            false => (first.filter(|_| self.get("cursor").is_some()), further),
        };
        Turns {
            back: back.map(|place| self.with(&[("back", Some(&place))])),
            on: on.map(|place| self.with(&[("cursor", Some(&place))])),
            first: (is_back || self.get("cursor").is_some()).then(|| self.with(&[])),
        }
    }
}

/// Whether a value of a query may be one of a filter. A person's address, or what was searched for, is none, whoever typed it.
pub(super) fn is_filter(name: &str, value: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    FILTERS.contains(&name) && (1..=FILTER_LIMIT).contains(&value.len()) && value.bytes().all(is_plain)
}

/// The choices of a filter, the first of which is any.
pub(super) fn choices<'a>(chosen: Option<&str>, any: &str, all: impl IntoIterator<Item = (&'a str, &'a str)>) -> Vec<Choice> {
    let first = Choice { value: String::new(), text: any.to_owned(), is_chosen: chosen.is_none() };
    let rest = all.into_iter().map(|(value, text)| Choice {
        value: value.to_owned(),
        text: text.to_owned(),
        is_chosen: chosen == Some(value),
    });
    std::iter::once(first).chain(rest).collect()
}
