//! Revenue per day as a picture: drawn on the server, with an axis, words for those who do not see it, and no script.

use std::fmt::Write as _;

use super::html::{Html, drawn, escaped};
use crate::domain::Currency;
use crate::overview::Revenue;

/// The picture's width and height; it is scaled to the page.
const SIZE: (i128, i128) = (440, 190);
/// Where the bars stand: left, top, right, bottom.
const PLOT: (i128, i128, i128, i128) = (64, 10, 436, 160);
/// The axis has at most so many lines above zero.
const LINES: i128 = 4;

/// A picture of what one currency brought in each day: what is left, and on top of it what was taken back. `number` tells it from
/// others on the page.
pub(super) fn revenue(revenue: &Revenue, number: usize) -> Html {
    let (left, top, right, bottom) = PLOT;
    let most = revenue.days.iter().map(|day| day.minor.max(day.taken_back_minor)).max().unwrap_or(0).max(1);
    let step = step(most);
    let end = (most + step - 1) / step * step;
    let height = |minor: i128| minor.clamp(0, end) * (bottom - top) * 100 / end;
    let mut svg = String::new();
    let mut put = |text: String| svg.push_str(&text);
    let (id, code) = (format!("chart-{number}"), escaped(&revenue.currency));
    let (first, last) = (revenue.days.first(), revenue.days.last());
    let (from, until) = (first.map_or("", |day| &day.day), last.map_or("", |day| &day.day));
    put(format!(
        "<svg class=\"chart\" viewBox=\"0 0 {} {}\" role=\"img\" aria-labelledby=\"{id}-title {id}-text\">\
         <title id=\"{id}-title\">Revenue per day in {code}</title>\
         <desc id=\"{id}-text\">From {from} to {until}: {} sales, {} {code}, of which {} were taken back. The table below has each day.</desc>",
        SIZE.0,
        SIZE.1,
        revenue.sales,
        escaped(&revenue.amount.to_string()),
        escaped(&revenue.taken_back.to_string())
    ));
    let mut line = 0;
    while line <= end {
        let y = bottom - height(line) / 100;
        put(format!("<line class=\"grid\" x1=\"{left}\" x2=\"{right}\" y1=\"{y}\" y2=\"{y}\"/>"));
        put(format!("<text class=\"tick\" x=\"{}\" y=\"{}\">{}</text>", left - 6, y + 4, short(line, &revenue.currency)));
        line += step;
    }
    let count = i128::try_from(revenue.days.len()).unwrap_or(1).max(1);
    let slot = (right - left) * 100 / count;
    let width = (slot * 7 / 10).clamp(100, 4_000);
    for (index, day) in (0_i128..).zip(&revenue.days) {
        let x = left * 100 + slot * index + (slot - width) / 2;
        let back = day.taken_back_minor.clamp(0, day.minor.max(0));
        let (whole, kept) = (height(day.minor), height(day.minor - back));
        let y = bottom * 100;
        let title = format!(
            "{}: {} sales, {} {code}, {} taken back",
            day.day,
            day.sales,
            escaped(&day.amount.to_string()),
            escaped(&day.taken_back.to_string())
        );
        put(format!("<g><title>{title}</title>"));
        if whole > kept {
            put(bar("back", x, y - whole, width, whole - kept));
        }
        if kept > 0 {
            put(bar("kept", x, y - kept, width, kept));
        }
        // The whole slot answers to the pointer, however small the bar is.
        put(bar("slot", left * 100 + slot * index, top * 100, slot, (bottom - top) * 100));
        put("</g>".to_owned());
    }
    put(format!("<line class=\"axis\" x1=\"{left}\" x2=\"{right}\" y1=\"{bottom}\" y2=\"{bottom}\"/>"));
    put(format!("<text class=\"day\" x=\"{left}\" y=\"{}\">{from}</text>", bottom + 20));
    if count > 1 {
        put(format!("<text class=\"day end\" x=\"{right}\" y=\"{}\">{until}</text>", bottom + 20));
    }
    put("</svg>".to_owned());
    drawn(svg)
}

/// A bar of a funnel: `part` of `whole`.
pub(super) fn share(part: u64, whole: u64) -> Html {
    let thousandths = u128::from(part.min(whole)).saturating_mul(1000).checked_div(u128::from(whole)).unwrap_or(0);
    // Something is never drawn as nothing.
    let width = if part > 0 { thousandths.max(4) } else { 0 };
    drawn(format!(
        "<svg class=\"share\" viewBox=\"0 0 1000 10\" preserveAspectRatio=\"none\" aria-hidden=\"true\" focusable=\"false\">\
         <rect class=\"whole\" width=\"1000\" height=\"10\"/><rect class=\"part\" width=\"{width}\" height=\"10\"/></svg>"
    ))
}

/// A bar, in hundredths of a unit.
fn bar(class: &str, x: i128, y: i128, width: i128, height: i128) -> String {
    let mut bar = format!("<rect class=\"{class}\"");
    for (name, value) in [("x", x), ("y", y), ("width", width), ("height", height)] {
        // A String takes whatever is written.
        let _ = write!(bar, " {name}=\"{}.{:02}\"", value / 100, (value % 100).abs());
    }
    bar + "/>"
}

/// The distance of the axis's lines: 1, 2 or 5 with zeros.
fn step(most: i128) -> i128 {
    let mut unit = 1;
    loop {
        for step in [unit, unit * 2, unit * 5] {
            if step * LINES >= most {
                return step;
            }
        }
        unit *= 10;
    }
}

/// An amount of minor units beside the axis.
fn short(minor: i128, code: &str) -> String {
    let Some(currency) = Currency::from_code(code) else { return minor.to_string() };
    let one = 10_i128.pow(u32::from(currency.exponent()));
    let whole = minor / one;
    let (unit, sign) = match whole {
        1_000_000_000.. => (1_000_000_000, "bn"),
        1_000_000.. => (1_000_000, "m"),
        10_000.. => (1_000, "k"),
        _ => (1, ""),
    };
    match (minor % one, whole % unit * 10 / unit) {
        (0, 0) => format!("{}{sign}", whole / unit),
        (0, tenths) => format!("{}.{tenths}{sign}", whole / unit),
        _ => currency.major(minor),
    }
}

#[cfg(test)]
mod tests {
    use super::{short, step};

    #[test]
    fn the_axis_has_round_numbers() {
        assert_eq!([1, 4, 5, 100, 101, 999_999].map(step), [1, 1, 2, 50, 50, 500_000]);
        assert_eq!(short(0, "USD"), "0");
        assert_eq!(short(50, "USD"), "0.50");
        assert_eq!(short(1_250_000, "USD"), "12.5k");
        assert_eq!(short(200_000_000, "JPY"), "200m");
    }
}
