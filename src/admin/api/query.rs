//! Parameters that several listings share.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::admin::problem::Problem;
use crate::domain::Timestamp;
use crate::store::{PAGE_LIMIT, Paging};

/// In which order a listing comes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Order {
    /// Newest first.
    #[default]
    Newest,
    /// Oldest first.
    Oldest,
}

/// Which page.
pub(super) fn paging(cursor: Option<&str>, limit: Option<u16>, order: Option<Order>) -> Result<Paging, Problem> {
    let limit = usize::from(limit.unwrap_or(50));
    if !(1..=PAGE_LIMIT).contains(&limit) {
        return Err(Problem::Invalid(format!("limit: must be between 1 and {PAGE_LIMIT}")));
    }
    if let Some(cursor) = cursor.filter(|cursor| cursor.parse::<i64>().is_err()) {
        let cursor: String = cursor.chars().take(40).collect();
        return Err(Problem::Invalid(format!("cursor: {cursor} is not the next of a page")));
    }
    Ok(Paging { cursor: cursor.map(str::to_owned), limit, ascending: order.unwrap_or_default() == Order::Oldest })
}

/// An instant, where one is given.
pub(super) fn instant(name: &str, text: Option<&str>) -> Result<Option<Timestamp>, Problem> {
    let Some(text) = text else { return Ok(None) };
    let known = text
        .parse::<Timestamp>()
        .map_err(|_| Problem::Invalid(format!("{name}: is not an instant such as 2026-11-01T12:00:00Z (a + is written %2B)")))?;
    Ok(Some(known))
}

/// A text of a body: not empty, not long.
pub(super) fn text(name: &str, text: &str, most: usize) -> Result<String, Problem> {
    match text.chars().count() {
        count if count > most => Err(Problem::Invalid(format!("{name}: has more than {most} characters"))),
        _ if text.contains('\0') => Err(Problem::Invalid(format!("{name}: holds a character that no text has"))),
        _ if text.trim().is_empty() => Err(Problem::Conflict(format!("{name}: is empty"))),
        _ => Ok(text.trim().to_owned()),
    }
}
