//! Output for people and for programs: tables and words, or JSON; colour only on a terminal.

use std::io::{IsTerminal as _, Write as _};

use clap::builder::styling::{AnsiColor, Style};
use comfy_table::{Table, presets};
use serde::Serialize;

/// Where a command's output goes.
pub(super) struct Printer {
    json: bool,
    is_colourful: bool,
}

impl Printer {
    pub(super) fn new(json: bool) -> Self {
        let is_colourful = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
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

    /// One line of JSON.
    pub(super) fn json(&self, value: &impl Serialize) {
        self.line(serde_json::to_string_pretty(value).expect("our own views are JSON"));
    }

    /// What went wrong.
    pub(super) fn complain(&self, text: &str) {
        let red =
            if std::io::stderr().is_terminal() && self.is_colourful { AnsiColor::Red.on_default().bold() } else { Style::new() };
        drop(writeln!(std::io::stderr().lock(), "{red}error:{red:#} {text}"));
    }

    /// Progress of long work, on standard error so that the answer stays clean.
    pub(super) fn progress(&self, text: &str) {
        if std::io::stderr().is_terminal() {
            drop(write!(std::io::stderr().lock(), "\r\x1b[2K{text}"));
        }
    }

    /// A table with these headings.
    pub(super) fn table(&self, headings: &[&str], rows: impl IntoIterator<Item = Vec<String>>) {
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        let bold = if self.is_colourful { Style::new().bold() } else { Style::new() };
        table.set_header(headings.iter().map(|heading| format!("{bold}{heading}{bold:#}")));
        for row in rows {
            table.add_row(row.into_iter().map(|cell| clean(&cell)));
        }
        self.line(table.trim_fmt());
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

/// What a sender or an upstream wrote must not move the cursor of an operator's terminal.
pub(super) fn clean(text: &str) -> String {
    text.chars().map(|character| if character.is_control() && character != '\n' { '\u{fffd}' } else { character }).collect()
}
