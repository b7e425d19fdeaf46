//! Questions to a person at a terminal. They stand on standard error, so that the answer of the command stays clean; a secret is not
//! shown as it is typed. Where nobody is there, nothing is asked.

use std::io::{BufRead as _, IsTerminal as _, Write as _, stderr, stdin};

use crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use crossterm::terminal::{disable_raw_mode, enable_raw_mode};

use crate::cli::Failure;
use crate::domain::Secret;

/// No secret of a provider's is longer.
const SECRET_LIMIT_BYTES: usize = 64 * 1024;

/// Who may be asked.
pub(super) struct Person {
    is_there: bool,
}

impl Person {
    /// Somebody is there if both ends are a terminal, unless they said that they want no questions.
    pub(super) fn new(wants_none: bool) -> Self {
        Self { is_there: !wants_none && stdin().is_terminal() && stderr().is_terminal() }
    }

    /// True where questions are answered.
    pub(super) fn is_there(&self) -> bool {
        self.is_there
    }

    /// Asks until the answer is right; `read` says what is wrong with it.
    pub(super) fn until<T>(&self, question: &str, read: impl Fn(&str) -> Result<T, String>) -> Result<T, Failure> {
        loop {
            match read(&line(question)?) {
                Ok(answer) => return Ok(answer),
                Err(cause) => say(&format!("{cause}\n"))?,
            }
        }
    }

    /// Yes or no; where nobody is there, no.
    pub(super) fn yes(&self, question: &str, default: bool) -> Result<bool, Failure> {
        if !self.is_there {
            return Ok(false);
        }
        let hint = if default { "Y/n" } else { "y/N" };
        self.until(&format!("{question} [{hint}]"), |answer| match answer.to_ascii_lowercase().as_str() {
            "" => Ok(default),
            "y" | "yes" => Ok(true),
            "n" | "no" => Ok(false),
            _ => Err("please answer y or n".to_owned()),
        })
    }

    /// A secret, typed or pasted without being shown; `None` where only Enter was pressed.
    pub(super) fn hidden(&self, question: &str) -> Result<Option<Secret>, Failure> {
        say(&format!("{question}: "))?;
        let typed = {
            let _raw = Raw::enter().map_err(|error| unreadable(&error))?;
            type_hidden()
        };
        say("\n")?;
        let text = typed?.trim().to_owned();
        Ok((!text.is_empty()).then(|| Secret::new(text)))
    }
}

/// The terminal while it shows nothing of what is typed.
struct Raw;

impl Raw {
    fn enter() -> std::io::Result<Self> {
        enable_raw_mode().map(|()| Self)
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // Whoever has no terminal any more does not miss it.
        drop(disable_raw_mode());
    }
}

fn type_hidden() -> Result<String, Failure> {
    let mut text = String::new();
    loop {
        let key = match event::read().map_err(|error| unreadable(&error))? {
            Event::Key(key) if key.kind != KeyEventKind::Release => key,
            Event::Key(_) | Event::FocusGained | Event::FocusLost | Event::Mouse(_) | Event::Resize(..) => continue,
        };
        if is_control(key, 'c') || is_control(key, 'd') {
            return Err(Failure::No("interrupted; nothing was written".to_owned()));
        } else if key.code == KeyCode::Enter || is_control(key, 'j') {
            return Ok(text);
        } else if is_control(key, 'u') {
            text.clear();
        } else if key.code == KeyCode::Backspace {
            text.pop();
        } else if let KeyCode::Char(character) = key.code
            && !key.modifiers.contains(KeyModifiers::CONTROL)
        {
            text.push(character);
        }
        if text.len() > SECRET_LIMIT_BYTES {
            return Err(Failure::No("that is too long to be a secret; nothing was written".to_owned()));
        }
    }
}

fn is_control(key: KeyEvent, letter: char) -> bool {
    key.code == KeyCode::Char(letter) && key.modifiers.contains(KeyModifiers::CONTROL)
}

fn line(question: &str) -> Result<String, Failure> {
    say(&format!("{question}: "))?;
    let mut line = String::new();
    if stdin().lock().read_line(&mut line).map_err(|error| unreadable(&error))? == 0 {
        return Err(Failure::No("the answers have ended; nothing was written".to_owned()));
    }
    Ok(line.trim().to_owned())
}

fn say(text: &str) -> Result<(), Failure> {
    let mut out = stderr().lock();
    write!(out, "{text}").and_then(|()| out.flush()).map_err(|error| unreadable(&error))
}

fn unreadable(error: &std::io::Error) -> Failure {
    Failure::No(format!("no answer could be read: {error}"))
}
