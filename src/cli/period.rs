//! Times as an operator types them: a day, or an instant.

use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::Failure;
use crate::domain::Timestamp;

/// The instant that was typed: RFC 3339, or the beginning of a day in UTC.
pub(super) fn instant(option: &str, text: &str) -> Result<Timestamp, Failure> {
    let day = || text.parse::<Date>().ok()?.to_zoned(TimeZone::UTC).ok().map(|day| day.timestamp());
    let known = text.parse::<Timestamp>().ok().or_else(day);
    known.ok_or_else(|| {
        Failure::Usage(format!(
            "{option} {text}: is neither a day such as 2026-11-01 nor an instant such as 2026-11-01T12:00:00Z"
        ))
    })
}
