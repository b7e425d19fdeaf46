//! Money as an integer of minor units with its ISO 4217 currency. No float is ever involved.

use std::fmt;

use iso_currency::Currency as Iso;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An ISO 4217 currency with a known number of decimal places.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Currency {
    iso: Iso,
    exponent: u8,
}

/// An exact amount: `minor` units of `currency` (cents, yen, fils), within ±9.2 × 10^18.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Money {
    /// The count of minor units.
    pub minor: i64,
    /// The currency, which says how many decimals a major unit has.
    pub currency: Currency,
}

/// Why a text is not an amount of its currency. The provider's doing; trying again does not help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AmountError {
    /// Not an optional minus, digits, and an optional fraction. An exponent (`1e3`) is not taken for money.
    #[error("the amount is not a plain decimal number")]
    Malformed,
    /// More decimals than the unit has, such as 19.99 where whole cents are promised.
    #[error("the amount has more decimals than its unit")]
    TooPrecise,
    /// Beyond ±9.2 × 10^18 minor units.
    #[error("the amount is beyond what an account can hold")]
    OutOfRange,
}

impl Currency {
    /// Reads an ISO 4217 code in either case; `None` where the code is unknown or has no minor unit (gold, test codes).
    pub fn from_code(code: &str) -> Option<Self> {
        if code.len() != 3 {
            return None;
        }
        let iso = Iso::from_code(&code.to_ascii_uppercase())?;
        let exponent = u8::try_from(iso.exponent()?).ok()?;
        Some(Self { iso, exponent })
    }

    /// The upper-case three-letter code.
    pub fn code(self) -> &'static str {
        self.iso.code()
    }

    /// A count of minor units, or a sum of many, in major units with all the decimals of the currency.
    pub fn major(self, minor: i128) -> String {
        let exponent = usize::from(self.exponent);
        if exponent == 0 {
            return minor.to_string();
        }
        let digits = format!("{:0>width$}", minor.unsigned_abs(), width = exponent + 1);
        let (whole, fraction) = digits.split_at(digits.len() - exponent);
        let sign = if minor < 0 { "-" } else { "" };
        format!("{sign}{whole}.{fraction}")
    }

    /// Decimal places of the major unit by ISO 4217: JPY 0, USD 2, KWD 3.
    pub fn exponent(self) -> u8 {
        self.exponent
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.code())
    }
}

impl Serialize for Currency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let code = String::deserialize(deserializer)?;
        Self::from_code(&code).ok_or_else(|| serde::de::Error::custom(format!("{code} is not a currency of ISO 4217")))
    }
}

impl Money {
    /// The amount in major units with all the decimals of its currency: `49.90`, `1580`, `1.234`.
    pub fn to_major(self) -> String {
        self.currency.major(self.minor.into())
    }
}

impl Money {
    /// The amount as a whole number of units that have so many decimals of the major unit (2: hundredths), whatever the currency;
    /// `None` where it is none.
    pub fn in_units_of(self, decimals: u32) -> Option<String> {
        let minor = i128::from(self.minor);
        let exponent = u32::from(self.currency.exponent());
        if exponent <= decimals {
            return Some((minor * 10_i128.pow(decimals - exponent)).to_string());
        }
        let surplus = 10_i128.pow(exponent - decimals);
        (minor % surplus == 0).then(|| (minor / surplus).to_string())
    }

    /// Another amount of the same currency.
    pub fn with(self, minor: i64) -> Self {
        Self { minor, ..self }
    }

    /// The amount in major units as a JSON number that keeps its exact digits.
    pub fn to_number(self) -> serde_json::Value {
        serde_json::from_str(&self.to_major()).expect("the text of an amount is a JSON number")
    }
}

impl fmt::Display for Money {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.to_major(), self.currency.code())
    }
}

/// Reads decimal text as a count of units of 10^-`exponent`: ("49.99", 2) is 4999. Surplus decimals must be zeros.
///
/// # Errors
/// See [`AmountError`]; nothing is ever rounded.
pub fn decimal_to_minor(text: &str, exponent: u8) -> Result<i64, AmountError> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let is_decimal = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let has_empty_fraction = digits.ends_with('.');
    if whole.is_empty() || has_empty_fraction || !is_decimal(whole) || !is_decimal(fraction) {
        return Err(AmountError::Malformed);
    }
    let exponent = usize::from(exponent);
    let kept = fraction.len().min(exponent);
    if fraction[kept..].bytes().any(|byte| byte != b'0') {
        return Err(AmountError::TooPrecise);
    }
    let scaled = format!("{whole}{:0<exponent$}", &fraction[..kept]);
    let magnitude: i64 = scaled.parse().map_err(|_| AmountError::OutOfRange)?;
    Ok(if negative { -magnitude } else { magnitude })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn money(minor: i64, code: &str) -> Money {
        Money { minor, currency: Currency::from_code(code).expect("a known code") }
    }

    #[test]
    fn major_units_carry_the_decimals_of_their_currency() {
        assert_eq!(money(4990, "USD").to_major(), "49.90");
        assert_eq!(money(5, "usd").to_major(), "0.05");
        assert_eq!(money(1580, "JPY").to_major(), "1580");
        assert_eq!(money(1234, "KWD").to_major(), "1.234");
        assert_eq!(money(-5, "EUR").to_major(), "-0.05");
    }

    #[test]
    fn other_units_are_whole_numbers_or_nothing() {
        assert_eq!(money(4990, "USD").in_units_of(2).as_deref(), Some("4990"));
        assert_eq!(money(1580, "JPY").in_units_of(2).as_deref(), Some("158000"));
        assert_eq!(money(1230, "KWD").in_units_of(2).as_deref(), Some("123"));
        assert_eq!(money(1234, "KWD").in_units_of(2), None);
        assert_eq!(money(1200, "MGA").in_units_of(0).as_deref(), Some("12"));
        assert_eq!(money(1234, "MGA").in_units_of(0), None);
        assert_eq!(money(i64::MAX, "JPY").in_units_of(2).as_deref(), Some("922337203685477580700"));
    }

    #[test]
    fn decimals_are_read_from_their_text() {
        assert_eq!(decimal_to_minor("49.99", 2), Ok(4999));
        assert_eq!(decimal_to_minor("49.9", 2), Ok(4990));
        assert_eq!(decimal_to_minor("49", 2), Ok(4900));
        assert_eq!(decimal_to_minor("49.9900", 2), Ok(4999));
        assert_eq!(decimal_to_minor("-0.05", 2), Ok(-5));
        assert_eq!(decimal_to_minor("1000", 0), Ok(1000));
    }

    #[test]
    fn what_is_not_exact_is_refused() {
        for text in ["", "-", ".", "1.", ".5", "1e3", "1E3", "+5", "1,000", " 5", "0x10", "NaN", "1_0", "٣"] {
            assert_eq!(decimal_to_minor(text, 2), Err(AmountError::Malformed), "{text:?}");
        }
        assert_eq!(decimal_to_minor("19.99", 0), Err(AmountError::TooPrecise));
        assert_eq!(decimal_to_minor("19.999", 2), Err(AmountError::TooPrecise));
        assert_eq!(decimal_to_minor("12345678901234567890", 0), Err(AmountError::OutOfRange));
        assert_eq!(decimal_to_minor("9223372036854775807", 0), Ok(i64::MAX));
        assert_eq!(decimal_to_minor("9223372036854775808", 0), Err(AmountError::OutOfRange));
    }

    #[test]
    fn unknown_and_unitless_currencies_are_refused() {
        for code in ["", "US", "USDX", "ZZZ", "XAU", "XXX", "12$", "日本円"] {
            assert_eq!(Currency::from_code(code), None, "{code:?}");
        }
    }
}
