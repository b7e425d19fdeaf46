//! When to ask again.

use std::time::Duration;

use crate::domain::Timestamp;

/// Anything between one second and a bound that doubles with each attempt: a crowd that failed together does not come back
/// together. `random` is any number.
pub fn jittered(first: Duration, longest: Duration, attempts: u32, random: u64) -> Duration {
    let doubled = first.saturating_mul(1_u32.checked_shl(attempts.saturating_sub(1).min(20)).unwrap_or(u32::MAX));
    let bound = u64::try_from(doubled.min(longest).as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis((random % bound.max(1)).max(1_000))
}

/// Reads `Retry-After` (RFC 9110, section 10.2.3) in seconds or as a date, and in the forms that vendors send against it:
/// seconds or milliseconds since 1970.
pub fn retry_after(text: &str, now: Timestamp) -> Option<Duration> {
    let until = |at: Timestamp| Duration::try_from(at.duration_since(now)).unwrap_or(Duration::ZERO);
    let text = text.trim();
    if let Ok(number) = text.parse::<i64>() {
        return match number {
            ..0 => None,
            0..1_000_000_000 => Some(Duration::from_secs(number.unsigned_abs())),
            1_000_000_000..1_000_000_000_000 => Timestamp::from_second(number).ok().map(until),
            1_000_000_000_000.. => Timestamp::from_millisecond(number).ok().map(until),
        };
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Timestamp::try_from(date).ok().map(until)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_retry_after_is_understood() {
        let now = "2026-11-22T05:11:00Z".parse().expect("a timestamp");
        let secs = |text| retry_after(text, now).map(|delay| delay.as_secs());
        assert_eq!(secs("120"), Some(120));
        assert_eq!(secs(" 0 "), Some(0));
        assert_eq!(secs("Sun, 22 Nov 2026 05:12:00 GMT"), Some(60));
        assert_eq!(secs("1795324290"), Some(30));
        assert_eq!(secs("1795324290000"), Some(30));
        assert_eq!(secs("Sun, 22 Nov 2026 05:00:00 GMT"), Some(0));
        assert_eq!((secs("-5"), secs("soon"), secs("")), (None, None, None));
    }
}
