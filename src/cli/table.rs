//! Tables as text: one line a row, numbers to the right, and never wider than they may be.

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// Between two columns.
const GAP: usize = 2;
/// A column is not made narrower than this, or than its heading.
const LEAST: usize = 6;

/// The lines of a table, headings first. Where `width` is given, texts are shortened until a row fits into so many places; numbers
/// and times are not, unless nothing else helps. `paint` colours what is shown of a cell, by its heading and the whole of it.
pub(super) fn lines(
    headings: &[&str],
    rows: &[Vec<String>],
    width: Option<usize>,
    paint: &dyn Fn(&str, &str, &str) -> Option<String>,
) -> Vec<String> {
    let columns: Vec<Column> = (0..headings.len()).map(|index| Column::of(headings[index], rows, index)).collect();
    let widths = fitted(&columns, width);
    let line = |cells: &dyn Fn(usize) -> String, is_heading: bool| {
        let mut text = String::new();
        let mut used = 0;
        for (index, column) in columns.iter().enumerate() {
            let gap = if index == 0 { 0 } else { GAP };
            let room = width.map_or(usize::MAX, |width| width.saturating_sub(used + gap));
            if room == 0 {
                break;
            }
            let whole = cells(index);
            let cell = shortened(&whole, widths[index].min(room));
            let pad = widths[index].min(room).saturating_sub(cell.width());
            used += gap + widths[index];
            let shown = if is_heading { None } else { paint(headings[index], &whole, &cell) }.unwrap_or_else(|| cell.clone());
            let (before, after) = if column.is_number { (pad, 0) } else { (0, pad) };
            text.extend(std::iter::repeat_n(' ', gap + before));
            text.push_str(&shown);
            text.extend(std::iter::repeat_n(' ', after));
        }
        text.trim_end().to_owned()
    };
    let mut lines = vec![line(&|index| headings[index].to_owned(), true)];
    lines.extend(rows.iter().map(|row| line(&|index| row.get(index).cloned().unwrap_or_default(), false)));
    lines
}

/// A state or an outcome is a word of so many places at most.
const WORD: usize = 12;

/// What is known of a column.
struct Column {
    /// Its widest cell, or its heading.
    width: usize,
    /// It is not made narrower.
    least: usize,
    is_number: bool,
}

impl Column {
    fn of(heading: &str, rows: &[Vec<String>], index: usize) -> Self {
        let cells = || rows.iter().filter_map(|row| row.get(index)).filter(|cell| !cell.is_empty());
        let width = cells().map(|cell| cell.width()).max().unwrap_or(0).max(heading.width());
        let is_number = cells().any(|cell| is_number(cell)) && cells().all(|cell| is_number(cell) || cell == "-");
        let is_word = matches!(heading, "STATE" | "OUTCOME") && width <= WORD;
        let is_fixed = is_number || is_word || cells().any(|cell| is_time(cell));
        let least = if is_fixed { width } else { width.min(heading.width().max(LEAST)) };
        Self { width, least, is_number }
    }
}

fn is_number(cell: &str) -> bool {
    let digits = cell.strip_prefix('-').unwrap_or(cell);
    digits.starts_with(|first: char| first.is_ascii_digit())
        && digits.chars().all(|character| character.is_ascii_digit() || character == '.')
}

/// An instant as [`time`] writes it.
fn is_time(cell: &str) -> bool {
    let shape = |character: char| if character.is_ascii_digit() { '0' } else { character };
    cell.chars().map(shape).eq("0000-00-00 00:00".chars())
}

/// An instant (RFC 3339, in UTC) as a table shows it: to the minute.
pub(super) fn time(at: &str) -> String {
    at.get(..16).map_or_else(|| at.to_owned(), |text| text.replace('T', " "))
}

/// The widths of the columns: the widest gives way first. The last one, which says why, is given thrice the room.
fn fitted(columns: &[Column], width: Option<usize>) -> Vec<usize> {
    let mut widths: Vec<usize> = columns.iter().map(|column| column.width).collect();
    let Some(width) = width else { return widths };
    let gaps = GAP * columns.len().saturating_sub(1);
    while widths.iter().sum::<usize>() + gaps > width {
        let weight = |index: &usize| if index + 1 == columns.len() { widths[*index] } else { widths[*index] * 3 };
        let widest = (0..columns.len()).filter(|index| widths[*index] > columns[*index].least).max_by_key(weight);
        match widest {
            Some(index) => widths[index] -= 1,
            None => break,
        }
    }
    widths
}

/// The text in at most so many places, with … where something is missing.
pub(super) fn shortened(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut kept = String::new();
    let mut used = 0;
    for character in text.chars() {
        let wide = character.width().unwrap_or(0);
        if used + wide + 1 > width {
            break;
        }
        kept.push(character);
        used += wide;
    }
    if width > 0 {
        kept.push('…');
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::{is_time, lines, shortened, time};

    const HEADINGS: [&str; 4] = ["SALE", "INVOICE", "AMOUNT", "STANDS"];

    fn rows() -> Vec<Vec<String>> {
        let row = |cells: [&str; 4]| cells.map(str::to_owned).to_vec();
        vec![
            row(["7", "in_1PqRsTuVwXyZ0123456789", "1234.50", "parked: customer_unknown, and so on and so on"]),
            row(["1024", "顧客番号顧客番号顧客番号", "-", "cutmeshort delivered"]),
        ]
    }

    #[test]
    fn numbers_stand_to_the_right() {
        let shown = lines(&HEADINGS, &rows(), None, &|_, _, _| None);
        assert_eq!(shown[0], "SALE  INVOICE                     AMOUNT  STANDS");
        assert_eq!(shown[1], "   7  in_1PqRsTuVwXyZ0123456789  1234.50  parked: customer_unknown, and so on and so on");
        assert_eq!(shown[2], "1024  顧客番号顧客番号顧客番号         -  cutmeshort delivered");
    }

    #[test]
    fn no_row_is_wider_than_it_may_be_and_numbers_stay_whole() {
        use unicode_width::UnicodeWidthStr as _;
        for width in 1..120 {
            for line in lines(&HEADINGS, &rows(), Some(width), &|_, _, _| None) {
                assert!(line.width() <= width, "{width}: {line}");
            }
        }
        let shown = lines(&HEADINGS, &rows(), Some(60), &|_, _, _| None);
        assert!(shown[1].contains("   7  in_1Pq") && shown[1].contains("…  1234.50  parked: customer_"), "{shown:#?}");
    }

    #[test]
    fn times_stay_whole() {
        let at = time("2026-11-29T08:28:02.123Z");
        assert!(at == "2026-11-29 08:28" && is_time(&at) && !is_time("2026-11-29"), "{at}");
        let row = vec!["a".repeat(60), at.clone(), "b".repeat(60)];
        assert!(lines(&["A", "AT", "B"], &[row], Some(60), &|_, _, _| None)[1].contains(&at));
    }

    #[test]
    fn what_is_shortened_says_so() {
        assert_eq!(shortened("abcdef", 6), "abcdef");
        assert_eq!(shortened("abcdef", 5), "abcd…");
        assert_eq!(shortened("顧客番号", 5), "顧客…");
        assert_eq!(shortened("abc", 0), "");
    }
}
