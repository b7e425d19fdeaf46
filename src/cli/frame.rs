//! What `salebridge top` shows, as text: a pure function of what is known, of the room that there is, and of the time.

use std::time::Duration;

use unicode_width::UnicodeWidthStr as _;

use super::print::clean;
use super::table::shortened;
use crate::domain::Timestamp;
use crate::overview::{Funnel, Overview, SourceSeen};
use crate::store::UpstreamView;

/// A bar's parts, from an eighth of a place to a whole one.
const BAR: [char; 8] = ['▏', '▎', '▍', '▌', '▋', '▊', '▉', '█'];

/// What is known when a frame is drawn.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known<'a> {
    /// The last look; `None` before the first.
    pub(super) overview: Option<&'a Overview>,
    /// How fast it goes; `None` before the second look.
    pub(super) rates: Option<Rates>,
    /// Why the last look failed.
    pub(super) trouble: Option<&'a str>,
    /// True where keys are heard.
    pub(super) is_live: bool,
}

/// How much room there is, in places and lines.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    pub(super) width: usize,
    pub(super) height: usize,
}

/// Tenths of a request, sale or delivery a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rates {
    pub(super) received: u64,
    pub(super) verified: u64,
    pub(super) sales: u64,
    pub(super) delivered: u64,
}

/// How a piece of text looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    Plain,
    Title,
    Quiet,
    Good,
    Bad,
}

/// A piece of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) tone: Tone,
    pub(super) text: String,
}

/// Lines that fit into the room.
pub(super) type Frame = Vec<Vec<Piece>>;

/// A part of the frame: its title and what stands below it.
struct Part {
    title: &'static str,
    lines: Vec<Vec<Piece>>,
}

impl Rates {
    /// The rates between two looks; `None` where no time passed, or where the counts began anew.
    pub(super) fn between(before: &Funnel, after: &Funnel, passed: Duration) -> Option<Self> {
        let millis = u64::try_from(passed.as_millis()).ok().filter(|millis| *millis > 0)?;
        let rate = |before: u64, after: u64| Some(after.checked_sub(before)?.saturating_mul(10_000) / millis);
        Some(Self {
            received: rate(before.received, after.received)?,
            verified: rate(before.verified, after.verified)?,
            sales: rate(before.sales, after.sales)?,
            delivered: rate(before.delivered, after.delivered)?,
        })
    }
}

/// Draws a frame: never more lines, and none wider, than there is room for.
pub(super) fn frame(known: &Known<'_>, room: Room, now: Timestamp) -> Frame {
    let mut lines = vec![head(known, now)];
    if let Some(trouble) = known.trouble {
        lines.push(vec![bad(format!("{}; it is tried again", one_line(trouble)))]);
    }
    if let Some(overview) = known.overview {
        let mut parts = vec![
            Part { title: "FUNNEL", lines: funnel(&overview.funnel, known.rates, room.width) },
            Part { title: "QUEUES", lines: vec![queues(overview)] },
            Part { title: "NEEDS A PERSON", lines: attention(overview) },
            Part { title: "UPSTREAMS", lines: upstreams(&overview.upstreams) },
            Part { title: "SOURCES", lines: sources(overview, now) },
            Part { title: "WITHOUT A CLICK", lines: unattributed(overview) },
        ];
        parts.retain(|part| !part.lines.is_empty());
        lay_out(&parts, room.height.saturating_sub(lines.len()), &mut lines);
    }
    lines.truncate(room.height);
    lines.into_iter().map(|line| cut(line, room.width)).collect()
}

/// The frame without colours.
pub(super) fn text(frame: &Frame) -> String {
    let line = |pieces: &Vec<Piece>| pieces.iter().map(|piece| piece.text.as_str()).collect::<String>().trim_end().to_owned();
    frame.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn head(known: &Known<'_>, now: Timestamp) -> Vec<Piece> {
    let mut line = vec![title("salebridge"), plain(format!("  {now:.0}"))];
    if let Some(overview) = known.overview {
        line.push(quiet(format!("  counted since {}", overview.since)));
    }
    if known.is_live {
        line.push(quiet("  q leaves".to_owned()));
    }
    line
}

/// Parts below each other: with a line between them if there is room, and shortened where there is not, the longest first.
fn lay_out(parts: &[Part], height: usize, lines: &mut Frame) {
    let mut shown: Vec<usize> = parts.iter().map(|part| part.lines.len()).collect();
    let needed = |shown: &[usize]| shown.iter().sum::<usize>() + parts.len();
    while needed(&shown) > height {
        // The funnel is what one looks for.
        match (1..parts.len()).filter(|index| shown[*index] > 1).max_by_key(|index| shown[*index]) {
            Some(longest) => shown[longest] -= 1,
            None => break,
        }
    }
    let is_spaced = needed(&shown) + parts.len() <= height;
    for (part, count) in parts.iter().zip(shown) {
        if is_spaced {
            lines.push(Vec::new());
        }
        let hidden = part.lines.len() - count;
        let more = if hidden > 0 { format!("  … {hidden} more") } else { String::new() };
        lines.push(vec![title(part.title), quiet(more)]);
        lines.extend(part.lines.iter().take(count).cloned());
    }
}

fn funnel(funnel: &Funnel, rates: Option<Rates>, width: usize) -> Vec<Vec<Piece>> {
    let steps = [
        ("received", funnel.received, rates.map(|rates| rates.received)),
        ("verified", funnel.verified, rates.map(|rates| rates.verified)),
        ("sales", funnel.sales, rates.map(|rates| rates.sales)),
        ("delivered", funnel.delivered, rates.map(|rates| rates.delivered)),
    ];
    let most = steps.iter().map(|(_, count, _)| *count).max().unwrap_or(0);
    let counts = steps.iter().map(|(_, count, _)| count.to_string().len()).max().unwrap_or(0);
    let mut lines: Vec<Vec<Piece>> = steps
        .iter()
        .map(|(name, count, rate)| {
            let rate = rate.map_or_else(|| "–".to_owned(), |tenths| format!("{}.{}", tenths / 10, tenths % 10));
            let before = format!("  {name:<10} {count:>counts$} {rate:>8}/s  ");
            let room = width.saturating_sub(before.width());
            vec![plain(before), good(bar(*count, most, room))]
        })
        .collect();
    let Funnel { ignored, parked, refused, .. } = funnel;
    lines.push(vec![quiet(format!("  of them ignored {ignored}, parked {parked}, refused {refused}"))]);
    lines
}

/// A bar of so many places for the whole.
fn bar(part: u64, whole: u64, room: usize) -> String {
    let eighths = u128::from(part) * 8 * (room as u128);
    let eighths = usize::try_from(eighths.checked_div(u128::from(whole)).unwrap_or(0)).unwrap_or(0);
    let mut bar: String = std::iter::repeat_n(BAR[7], eighths / 8).collect();
    // Something is never nothing.
    let rest = if eighths == 0 && part > 0 && room > 0 { 1 } else { eighths % 8 };
    bar.extend(rest.checked_sub(1).map(|index| BAR[index]));
    bar
}

fn queues(overview: &Overview) -> Vec<Piece> {
    let queues = overview.queues;
    let dead = format!("dead {}", queues.dead);
    vec![
        plain(format!("  unsettled {}  waiting {}  due {}  ", queues.unsettled, queues.waiting, queues.due)),
        if queues.dead > 0 { bad(dead) } else { plain(dead) },
        plain(format!("  fetching {}", queues.fetching)),
    ]
}

fn upstreams(views: &[UpstreamView]) -> Vec<Vec<Piece>> {
    let widest = |text: fn(&UpstreamView) -> String| views.iter().map(|view| text(view).width()).max().unwrap_or(0);
    let (name, due, dead) = (
        |view: &UpstreamView| one_line(&view.name),
        |view: &UpstreamView| view.due.to_string(),
        |view: &UpstreamView| view.dead.to_string(),
    );
    let (names, dues, deads) = (widest(name), widest(due), widest(dead));
    let line = |view: &UpstreamView| {
        let counted = format!("  {:<names$}  due {:>dues$}  ", name(view), view.due);
        let dead = format!("dead {:>deads$}  ", view.dead);
        let (state, reason) = match (view.paused, view.by_hand) {
            (true, true) => (bad("paused by hand"), view.reason.as_deref()),
            (true, false) => (bad("paused"), view.reason.as_deref()),
            (false, _) => (good("runs"), None),
        };
        let reason = reason.map(|reason| format!("  {}", one_line(reason))).unwrap_or_default();
        vec![plain(counted), if view.dead > 0 { bad(dead) } else { plain(dead) }, state, quiet(reason)]
    };
    views.iter().map(line).collect()
}

fn sources(overview: &Overview, now: Timestamp) -> Vec<Vec<Piece>> {
    let names = overview.sources.iter().map(|source| one_line(&source.source).width()).max().unwrap_or(0);
    let line = |source: &SourceSeen| {
        let seen = source.last_seen.parse::<Timestamp>().unwrap_or(now);
        vec![plain(format!("  {:<names$} {:>12}", one_line(&source.source), ago(now, seen))), quiet(format!("  {seen:.0}"))]
    };
    // Who has been silent for longest comes last.
    let mut seen: Vec<_> = overview.sources.iter().collect();
    seen.sort_by(|one, other| other.last_seen.cmp(&one.last_seen));
    seen.into_iter().map(line).collect()
}

/// How long ago something was, in one unit.
fn ago(now: Timestamp, then: Timestamp) -> String {
    let secs = now.duration_since(then).as_secs().max(0);
    match secs {
        0..=119 => format!("{secs} s ago"),
        120..=7_199 => format!("{} min ago", secs / 60),
        7_200..=172_799 => format!("{} h ago", secs / 3_600),
        _ => format!("{} days ago", secs / 86_400),
    }
}

#[expect(clippy::float_arithmetic, reason = "a share, shown to a person")]
fn unattributed(overview: &Overview) -> Vec<Vec<Piece>> {
    let Some(share) = overview.unattributed_share else { return Vec::new() };
    let mut lines = vec![vec![plain(format!("  {:.1} % of the live sales that are decided", share * 100.0))]];
    lines.extend(overview.attribution.iter().filter(|line| line.how == "unattributed").map(|line| {
        let code = line.code.as_deref().unwrap_or("no reason is known");
        vec![plain(format!("  {:>6}  {}", line.sales, one_line(code)))]
    }));
    lines
}

fn attention(overview: &Overview) -> Vec<Vec<Piece>> {
    overview.attention.iter().map(|found| vec![bad(format!("  {}", one_line(&found.text)))]).collect()
}

/// A line in so many places at most.
fn cut(line: Vec<Piece>, width: usize) -> Vec<Piece> {
    let mut room = width;
    let mut kept = Vec::new();
    for piece in line {
        let text = shortened(&piece.text, room);
        let is_cut = text != piece.text;
        room -= text.width().min(room);
        kept.push(Piece { tone: piece.tone, text });
        if is_cut {
            break;
        }
    }
    kept
}

fn one_line(text: &str) -> String {
    clean(text).replace('\n', " ")
}

fn title(text: &str) -> Piece {
    Piece { tone: Tone::Title, text: text.to_owned() }
}

fn plain(text: String) -> Piece {
    Piece { tone: Tone::Plain, text }
}

fn quiet(text: String) -> Piece {
    Piece { tone: Tone::Quiet, text }
}

fn good(text: impl Into<String>) -> Piece {
    Piece { tone: Tone::Good, text: text.into() }
}

fn bad(text: impl Into<String>) -> Piece {
    Piece { tone: Tone::Bad, text: text.into() }
}

#[cfg(test)]
mod tests;
