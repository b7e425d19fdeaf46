//! When it happened: a time as a provider writes it.

use jiff::civil;
use jiff::tz::Offset;

use super::spec::TimeForm;
use crate::domain::Timestamp;

/// From here on a number is taken for milliseconds.
const FIRST_MILLIS: i64 = 100_000_000_000;

/// Reads a time; `zone` is for those that name none.
pub(super) fn read(text: &str, form: TimeForm, zone: Offset) -> Option<Timestamp> {
    let text = text.trim();
    match form {
        TimeForm::UnixSeconds => Timestamp::from_second(text.parse().ok()?).ok(),
        TimeForm::UnixMillis => Timestamp::from_millisecond(text.parse().ok()?).ok(),
        TimeForm::Rfc3339 => text.parse().ok(),
        TimeForm::Datetime => datetime(text, zone),
        TimeForm::Auto => match text.parse::<i64>() {
            Ok(number) if number >= FIRST_MILLIS => Timestamp::from_millisecond(number).ok(),
            Ok(number) => Timestamp::from_second(number).ok(),
            Err(_) => datetime(text, zone),
        },
    }
}

/// `+05:30` as an offset from UTC.
pub(super) fn zone(text: &str) -> Option<Offset> {
    let sign = match text.get(..1)? {
        "+" => 1,
        "-" => -1,
        _ => return None,
    };
    let (hours, minutes) = text[1..].split_once(':')?;
    let is_two = |part: &str| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
    let (hours, minutes): (i32, i32) =
        (is_two(hours) && is_two(minutes)).then(|| Some((hours.parse().ok()?, minutes.parse().ok()?)))??;
    Offset::from_seconds(sign * (hours * 3600 + minutes * 60)).ok()
}

/// ISO 8601 with `T` or a blank between date and time, with or without a zone, or a date alone.
fn datetime(text: &str, zone: Offset) -> Option<Timestamp> {
    if let Ok(at) = jiff::fmt::rfc2822::parse(text) {
        return Some(at.timestamp());
    }
    // Ruby writes a blank before the zone, others a name before the offset.
    let compact = match text.rsplit_once(' ') {
        Some((start, "UTC" | "GMT" | "Z")) => format!("{start}Z"),
        Some((start, end)) if end.trim_start_matches("GMT").starts_with(['+', '-']) => {
            format!("{start}{}", end.trim_start_matches("GMT"))
        }
        Some(_) | None => text.to_owned(),
    };
    if let Ok(at) = compact.parse::<Timestamp>() {
        return Some(at);
    }
    let local: civil::DateTime = match compact.parse() {
        Ok(local) => local,
        Err(_) => compact.parse::<civil::Date>().ok()?.to_datetime(civil::Time::midnight()),
    };
    zone.to_timestamp(local).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_every_form() {
        let ist = zone("+05:30").expect("an offset");
        for (text, form, wanted) in [
            ("1795324260", TimeForm::UnixSeconds, "2026-11-22T05:11:00Z"),
            ("1795324260123", TimeForm::UnixMillis, "2026-11-22T05:11:00.123Z"),
            ("1795324260123", TimeForm::Auto, "2026-11-22T05:11:00.123Z"),
            ("1795324260", TimeForm::Auto, "2026-11-22T05:11:00Z"),
            ("2026-11-22T10:41:00+05:30", TimeForm::Auto, "2026-11-22T05:11:00Z"),
            ("2026-11-22 10:41:00", TimeForm::Datetime, "2026-11-22T05:11:00Z"),
            ("2026-11-22T10:41:00.1234567", TimeForm::Datetime, "2026-11-22T05:11:00.1234567Z"),
            ("2026-11-22 10:41:00.0", TimeForm::Datetime, "2026-11-22T05:11:00Z"),
            ("2026-11-22 13:11:00 +0800", TimeForm::Datetime, "2026-11-22T05:11:00Z"),
            ("2026-11-22 05:11:00 UTC", TimeForm::Datetime, "2026-11-22T05:11:00Z"),
            ("2026-11-22T05:11:00Z", TimeForm::Datetime, "2026-11-22T05:11:00Z"),
            ("2026-11-22 07:11:00 GMT+02:00", TimeForm::Datetime, "2026-11-22T05:11:00Z"),
            ("Sun, 22 Nov 2026 05:11:00 +0000", TimeForm::Datetime, "2026-11-22T05:11:00Z"),
            ("2026-11-22", TimeForm::Datetime, "2026-11-21T18:30:00Z"),
        ] {
            assert_eq!(read(text, form, ist), Some(wanted.parse().expect("a time")), "{text}");
        }
        for text in ["", "soon", "22/11/2026", "1e9", "2026-13-01"] {
            assert_eq!(read(text, TimeForm::Auto, ist), None, "{text}");
        }
        for text in ["", "5", "+5:30", "05:30", "+99:00", "+ab:cd"] {
            assert_eq!(zone(text), None, "{text}");
        }
    }
}
