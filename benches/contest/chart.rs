//! A picture of the rates: bars, drawn as SVG that suits light and dark pages.

use std::fmt::Write as _;

use crate::report::{Entry, whole};

const ROW: usize = 30;
const LABELS: usize = 340;
const BARS: f64 = 430.0;

/// Contenders that were measured, the floor left out: it would make all other bars short, and it does nothing.
pub(crate) fn draw(entries: &[Entry], day: &str) -> String {
    let mut bars: Vec<&Entry> = entries.iter().filter(|entry| entry.per_second() > 0.0 && entry.contender.verifies()).collect();
    bars.sort_by(|one, other| other.per_second().total_cmp(&one.per_second()));
    let longest = bars.first().map_or(1.0, |entry| entry.per_second());
    let height = 64 + bars.len() * ROW;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 860 {height}\" role=\"img\" aria-labelledby=\"t\">\n\
         <title id=\"t\">Webhooks acknowledged a second, by contender, {day}</title>\n\
         <style>text{{font:14px system-ui,sans-serif;fill:#1f2328}}.h{{font-weight:600}}.o{{fill:#0969da}}.r{{fill:#8c959f}}\
         @media(prefers-color-scheme:dark){{text{{fill:#e6edf3}}.o{{fill:#4493f8}}.r{{fill:#6e7681}}}}</style>\n\
         <text class=\"h\" x=\"8\" y=\"26\">Webhooks acknowledged a second ({day}, same machine, same load)</text>\n"
    );
    for (row, entry) in bars.into_iter().enumerate() {
        let (top, width) = (48 + row * ROW, (entry.per_second() / longest * BARS).max(1.0));
        let class = if entry.is_ours() { "o" } else { "r" };
        let (label, value, end) = (escaped(entry.title()), whole(entry.per_second()), LABELS as f64 + width + 8.0);
        writeln!(
            svg,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{label}</text>\
             <rect class=\"{class}\" x=\"{LABELS}\" y=\"{top}\" width=\"{width:.1}\" height=\"18\" rx=\"3\"/>\
             <text x=\"{end:.1}\" y=\"{}\">{value}</text>",
            LABELS - 8,
            top + 14,
            top + 14,
        )
        .unwrap_or_default();
    }
    svg.push_str("</svg>\n");
    svg
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
