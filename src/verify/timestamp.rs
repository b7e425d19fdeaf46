//! The time of signing: where it stands, how it is written, and how far it may be from the time of receipt.

use super::input::View;
use super::refusal::Refusal;
use super::signature::{Place, Spot};
use super::spec::{Bound, TimestampUnit};
use crate::domain::{Request, Timestamp};

/// From here on a number is taken for milliseconds (the year 5138 in seconds, 1973 in milliseconds).
const FIRST_MILLIS: i64 = 100_000_000_000;

/// A checked `[verify.timestamp]`.
#[derive(Debug, Clone)]
pub(super) struct Stamp {
    pub(super) place: StampPlace,
    pub(super) unit: TimestampUnit,
    pub(super) max_age_secs: Bound,
    pub(super) max_ahead_secs: Bound,
}

/// Where a time of signing stands.
#[derive(Debug, Clone)]
pub(super) enum StampPlace {
    Spot(Spot),
    Member(String),
    Position(usize),
}

impl Stamp {
    /// The time as it was written.
    pub(super) fn read(&self, signature: &Place, view: View<'_>) -> Result<String, Refusal> {
        let text = match &self.place {
            StampPlace::Spot(Spot::Header(name)) => view.input.request.headers.one(name).map(str::to_owned),
            StampPlace::Spot(spot) => spot.read(view).first().map(|text| text.clone().into_owned()),
            StampPlace::Member(label) => signature.member(view, label)?,
            StampPlace::Position(position) => signature.positioned(view, *position),
        };
        text.ok_or_else(|| Refusal::PartMissing { part: "the timestamp".to_owned() })
    }

    /// Whether the time is within its bounds at receipt.
    pub(super) fn judge(&self, text: &str, request: &Request) -> Result<(), Refusal> {
        let signed_at = self.parse(text).ok_or(Refusal::TimestampMalformed)?;
        let age_secs = request.received_at.as_second().saturating_sub(signed_at);
        match self.max_age_secs {
            Bound::Secs(allowed_secs) if age_secs > i64::from(allowed_secs) => {
                return Err(Refusal::TimestampStale { age_secs, allowed_secs });
            }
            Bound::Secs(_) | Bound::Any => {}
        }
        match self.max_ahead_secs {
            Bound::Secs(allowed_secs) if age_secs.saturating_neg() > i64::from(allowed_secs) => {
                Err(Refusal::TimestampAhead { ahead_secs: age_secs.saturating_neg(), allowed_secs })
            }
            Bound::Secs(_) | Bound::Any => Ok(()),
        }
    }

    /// A time as the provider writes it.
    pub(super) fn write(&self, at: Timestamp) -> String {
        match self.unit {
            TimestampUnit::Seconds | TimestampUnit::Auto => at.as_second().to_string(),
            TimestampUnit::Millis => at.as_millisecond().to_string(),
            TimestampUnit::Rfc3339 => format!("{at:.0}"),
        }
    }

    /// In words, for people.
    pub(super) fn describe(&self) -> String {
        match self.max_age_secs {
            Bound::Secs(secs) => format!(", refused when older than {secs} s at receipt"),
            Bound::Any => ", of any age".to_owned(),
        }
    }

    /// Seconds since 1970.
    fn parse(&self, text: &str) -> Option<i64> {
        let number = || {
            let is_plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse::<i64>().ok().filter(|_| is_plain)
        };
        match self.unit {
            TimestampUnit::Seconds => number(),
            TimestampUnit::Millis => number().map(|millis| millis / 1000),
            TimestampUnit::Auto => number().map(|number| if number >= FIRST_MILLIS { number / 1000 } else { number }),
            TimestampUnit::Rfc3339 => text.parse::<Timestamp>().ok().map(Timestamp::as_second),
        }
    }
}
