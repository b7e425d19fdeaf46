//! Output for people and for programs: tables and words, or JSON; colour only on a terminal.

use std::io::{IsTerminal as _, Write as _};

use clap::builder::styling::{AnsiColor, Style};
use serde::Serialize;

use super::table;

/// Where a command's output goes.
pub(super) struct Printer {
    json: bool,
    is_colourful: bool,
}

impl Printer {
    pub(super) fn new(json: bool) -> Self {
        // As no-color.org has it: an empty value asks for nothing.
        let is_plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let is_colourful = std::io::stdout().is_terminal() && !is_plain;
        Self { json, is_colourful }
    }

    /// True where the answer must be JSON.
    pub(super) fn is_json(&self) -> bool {
        self.json
    }

    /// One line. A reader that has gone away (`| head`) is no fault of ours.
    pub(super) fn line(&self, text: impl AsRef<str>) {
        drop(std::io::stdout().lock().write_all(format!("{}\n", text.as_ref()).as_bytes()));
    }

    /// A whole text, as it is.
    pub(super) fn text(&self, bytes: &[u8]) {
        drop(std::io::stdout().lock().write_all(bytes));
    }

    /// One line, at once, for a reader who waits for it.
    ///
    /// # Errors
    /// The reader has gone away.
    pub(super) fn tell(&self, text: &str) -> std::io::Result<()> {
        let mut out = std::io::stdout().lock();
        out.write_all(format!("{text}\n").as_bytes())?;
        out.flush()
    }

    /// True where colours are shown.
    pub(super) fn is_colourful(&self) -> bool {
        self.is_colourful
    }

    /// JSON for people to read as well.
    pub(super) fn json(&self, value: &impl Serialize) {
        self.line(serde_json::to_string_pretty(value).expect("our own views are JSON"));
    }

    /// What went wrong.
    pub(super) fn complain(&self, text: &str) {
        let red =
            if std::io::stderr().is_terminal() && self.is_colourful { AnsiColor::Red.on_default().bold() } else { Style::new() };
        drop(writeln!(std::io::stderr().lock(), "{red}error:{red:#} {text}"));
    }

    /// Something beside the answer, on standard error so that the answer stays clean.
    pub(super) fn note(&self, text: &str) {
        drop(writeln!(std::io::stderr().lock(), "{text}"));
    }

    /// Progress of long work, on standard error so that the answer stays clean.
    pub(super) fn progress(&self, text: &str) {
        if std::io::stderr().is_terminal() {
            drop(write!(std::io::stderr().lock(), "\r\x1b[2K{text}"));
        }
    }

    /// A table with these headings. On a terminal it is as wide as that at most.
    pub(super) fn table(&self, headings: &[&str], rows: impl IntoIterator<Item = Vec<String>>) {
        let one_line = |cell: &String| clean(cell).replace('\n', " ");
        let rows: Vec<Vec<String>> = rows.into_iter().map(|row| row.iter().map(one_line).collect()).collect();
        let bold = if self.is_colourful { Style::new().bold() } else { Style::new() };
        let lines = table::lines(headings, &rows, terminal_width(), &|heading, whole, shown| self.tone(heading, whole, shown));
        for (index, line) in lines.iter().enumerate() {
            if index == 0 { self.line(format!("{bold}{line}{bold:#}")) } else { self.line(line) }
        }
    }

    /// What is shown of a cell that says how something stands, in the colour of the whole of it.
    pub(super) fn tone(&self, heading: &str, whole: &str, shown: &str) -> Option<String> {
        if !matches!(heading, "STATE" | "STANDS" | "OUTCOME") {
            return None;
        }
        let says = |words: &[&str]| words.iter().any(|word| whole.contains(word));
        match () {
            () if says(&["dead", "parked", "possible double", "paused", "rejected"]) => Some(self.bad(shown)),
            () if says(&["ignored", "duplicate", "merged", "withdrawn", "skipped"]) => Some(self.quiet(shown)),
            () if says(&["delivered", "sale"]) => Some(self.good(shown)),
            () => None,
        }
    }

    pub(super) fn good(&self, text: &str) -> String {
        self.paint(text, AnsiColor::Green)
    }

    pub(super) fn bad(&self, text: &str) -> String {
        self.paint(text, AnsiColor::Red)
    }

    pub(super) fn quiet(&self, text: &str) -> String {
        self.paint(text, AnsiColor::BrightBlack)
    }

    fn paint(&self, text: &str, colour: AnsiColor) -> String {
        let style = if self.is_colourful { colour.on_default() } else { Style::new() };
        format!("{style}{text}{style:#}")
    }
}

/// How wide the terminal is; `None` where standard output is none.
pub(super) fn terminal_width() -> Option<usize> {
    let (columns, _) = std::io::stdout().is_terminal().then(crossterm::terminal::size)?.ok()?;
    Some(usize::from(columns)).filter(|columns| *columns > 0)
}

/// What a sender or an upstream wrote must not move the cursor of an operator's terminal.
pub(super) fn clean(text: &str) -> String {
    text.chars().map(|character| if character.is_control() && character != '\n' { '\u{fffd}' } else { character }).collect()
}
