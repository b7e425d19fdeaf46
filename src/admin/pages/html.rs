//! Values as HTML: escaped, bounded and harmless. Whatever a sender or an upstream wrote reaches a page through here or through the
//! templates, which escape as well.

use std::fmt::{Display, Formatter, Result as Written, Write as _};
use std::time::Duration;

use askama::filters::{Escaper as _, Html as Escaper, HtmlSafe};
use serde_json::Value;

use crate::domain::Timestamp;

/// A value in a table or a sentence is cut after so many characters.
const VALUE_LIMIT: usize = 160;
/// What is shown as it was sent is cut after so many characters.
const TEXT_LIMIT: usize = 20_000;

/// HTML that this file made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Html(String);

/// How something stands; it decides the sign and the colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    /// As it should be.
    Good,
    /// On its way.
    Busy,
    /// Neither good nor bad.
    Plain,
    /// Somebody may want to look.
    Warn,
    /// Somebody has to look.
    Bad,
}

impl Display for Html {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> Written {
        formatter.write_str(&self.0)
    }
}

impl HtmlSafe for Html {}

impl Html {
    /// Several, with nothing between them.
    pub(super) fn join(parts: impl IntoIterator<Item = Self>, between: &str) -> Self {
        let parts: Vec<String> = parts.into_iter().map(|part| part.0).collect();
        Self(parts.join(&escaped(between)))
    }

    /// True where there is nothing to show.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// What somebody else wrote, in a line: cut where it is long, and isolated, so that it cannot turn the text around it.
pub(super) fn told(text: &str) -> Html {
    Html(format!("<bdi>{}</bdi>", escaped(&bounded(text, VALUE_LIMIT))))
}

/// As [`told`], or a dash.
pub(super) fn told_or_dash(text: Option<&str>) -> Html {
    text.filter(|text| !text.is_empty() && *text != "-").map_or_else(dash, told)
}

/// An id: as [`told`], in the letters of code.
pub(super) fn code(text: &str) -> Html {
    Html(format!("<code><bdi>{}</bdi></code>", escaped(&bounded(text, VALUE_LIMIT))))
}

/// As [`code`], or a dash.
pub(super) fn code_or_dash(text: Option<&str>) -> Html {
    text.filter(|text| !text.is_empty() && *text != "-").map_or_else(dash, code)
}

/// A sentence of ours that may hold what somebody else wrote.
pub(super) fn words(text: &str) -> Html {
    Html(format!("<bdi>{}</bdi>", escaped(&bounded(text, 1_000))))
}

/// As [`words`], where every `request 12` leads to that request and every `sale 3` to that sale.
pub(super) fn linked(text: &str) -> Html {
    let text = escaped(&bounded(text, 1_000));
    let mut linked = String::new();
    let mut rest = text.as_str();
    while let Some((at, word, room)) = [("request ", "requests"), ("sale ", "sales")]
        .into_iter()
        .filter_map(|(word, room)| Some((rest.find(word)?, word, room)))
        .min()
    {
        let after = &rest[at + word.len()..];
        let digits = after.len() - after.trim_start_matches(|letter: char| letter.is_ascii_digit()).len();
        let number = &after[..digits];
        linked.push_str(&rest[..at]);
        match number.is_empty() {
            true => linked.push_str(word),
            false => linked.push_str(&format!("<a href=\"/{room}/{number}\">{word}{number}</a>")),
        }
        rest = &after[digits..];
    }
    linked.push_str(rest);
    Html(format!("<bdi>{linked}</bdi>"))
}

/// What was sent or answered, as it was; and whether it was cut.
pub(super) fn sent(text: &str) -> Html {
    Html(escaped(&bounded(text, TEXT_LIMIT)))
}

/// Nothing is known.
pub(super) fn dash() -> Html {
    Html("<span class=\"quiet\" title=\"nothing\">–</span>".to_owned())
}

/// A link within the dashboard. `href` is ours.
pub(super) fn link(href: &str, text: &str) -> Html {
    Html(format!("<a href=\"{}\">{}</a>", escaped(href), escaped(&bounded(text, VALUE_LIMIT))))
}

/// An amount with its currency, as exact as it is.
pub(super) fn money(amount: &Value, currency: &str) -> Html {
    let (amount, currency) = (amount.to_string(), escaped(&bounded(currency, 8)));
    let amount = escaped(&bounded(amount.trim_matches('"'), 40));
    Html(format!("<span class=\"money\">{amount}\u{a0}<span class=\"currency\">{currency}</span></span>"))
}

/// How something stands, with a sign so that it does not hang on the colour.
pub(super) fn badge(tone: Tone, text: &str) -> Html {
    let (class, sign) = match tone {
        Tone::Good => ("good", "✓"),
        Tone::Busy => ("busy", "…"),
        Tone::Plain => ("plain", "·"),
        Tone::Warn => ("warn", "!"),
        Tone::Bad => ("bad", "✕"),
    };
    let text = escaped(&bounded(text, VALUE_LIMIT));
    Html(format!("<span class=\"badge {class}\"><span aria-hidden=\"true\">{sign}</span> {text}</span>"))
}

/// An instant (RFC 3339): in UTC, and how far it is from now.
pub(super) fn when(at: &str, now: Timestamp) -> Html {
    let Ok(at) = at.parse::<Timestamp>() else { return told(at) };
    instant(at, now)
}

/// As [`when`].
pub(super) fn instant(at: Timestamp, now: Timestamp) -> Html {
    let iso = format!("{at:.0}");
    let shown = iso.replace('T', " ");
    let shown = shown.trim_end_matches('Z');
    Html(format!(
        "<time datetime=\"{iso}\" title=\"{shown} UTC\"><span class=\"at\">{shown}</span> <span class=\"ago\">{}</span></time>",
        ago(at, now)
    ))
}

/// How far an instant is from now, in words.
pub(super) fn ago(at: Timestamp, now: Timestamp) -> String {
    let secs = now.duration_since(at).as_secs();
    let span = span(Duration::from_secs(secs.unsigned_abs()));
    match secs {
        -4..=4 => "now".to_owned(),
        5.. => format!("{span} ago"),
        _ => format!("in {span}"),
    }
}

/// A time span in its largest unit.
pub(super) fn span(span: Duration) -> String {
    let secs = span.as_secs();
    match secs {
        0..90 => format!("{secs} s"),
        90..5_400 => format!("{} min", (secs + 30) / 60),
        5_400..172_800 => format!("{} h", (secs + 1_800) / 3_600),
        _ => format!("{} days", (secs + 43_200) / 86_400),
    }
}

/// A share of a whole, in per cent with one digit.
pub(super) fn percent(part: u64, whole: u64) -> Option<String> {
    let tenths = u128::from(part).checked_mul(1000)?.checked_add(u128::from(whole) / 2)?.checked_div(u128::from(whole))?;
    Some(format!("{}.{} %", tenths / 10, tenths % 10))
}

/// A number with its thousands apart.
pub(super) fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut apart = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            apart.push('\u{202f}');
        }
        apart.push(digit);
    }
    apart
}

/// An SVG of ours: only numbers and escaped words.
pub(super) fn drawn(svg: String) -> Html {
    Html(svg)
}

/// Text that stands in HTML as itself. What is not seen or turns the direction of writing is made visible.
pub(super) fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for letter in text.chars() {
        let is_odd = match letter {
            '\n' | '\t' => false,
            '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{061c}' => true,
            letter => letter.is_control(),
        };
        let shown = if is_odd { '\u{fffd}' } else { letter };
        // A String takes whatever is written.
        if Escaper.write_escaped_char(&mut escaped, shown).is_err() {
            let _ = escaped.write_char('\u{fffd}');
        }
    }
    escaped
}

/// Text without its end, where it is longer than so many characters.
pub(super) fn bounded(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::{ago, escaped, linked, number, percent, told};

    #[test]
    fn what_somebody_else_wrote_stays_text() {
        let html = told("<script>alert(\"x\")</script>\u{202e}\u{0}").to_string();
        assert_eq!(html, "<bdi>&#60;script&#62;alert(&#34;x&#34;)&#60;/script&#62;\u{fffd}\u{fffd}</bdi>");
        assert!(told(&"ä".repeat(70_000)).to_string().len() < 400);
        assert_eq!(escaped("a\nb'&"), "a\nb&#39;&#38;");
    }

    #[test]
    fn requests_and_sales_in_a_sentence_lead_there() {
        let html = linked("remembered from request 12; see sale 3, not <sale x>").to_string();
        let wanted = "<bdi>remembered from <a href=\"/requests/12\">request 12</a>; see <a href=\"/sales/3\">sale 3</a>, not &#60;sale x&#62;</bdi>";
        assert_eq!(html, wanted);
    }

    #[test]
    fn numbers_are_set_for_people() {
        let now: crate::domain::Timestamp = "2026-11-22T05:11:00Z".parse().expect("a time");
        let at = |text: &str| ago(text.parse().expect("a time"), now);
        assert_eq!((at("2026-11-22T05:08:00Z"), at("2026-11-22T05:11:30Z")), ("3 min ago".to_owned(), "in 30 s".to_owned()));
        assert_eq!(number(1_234_567), "1\u{202f}234\u{202f}567");
        assert_eq!((percent(1, 3).as_deref(), percent(1, 0)), (Some("33.3 %"), None));
    }
}
