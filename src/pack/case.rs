//! Cases: raw requests and what must come of them (the format is described in providers/README.md).

use std::collections::BTreeMap;

use serde_json::Value;

use super::Folder;
use crate::domain::{Headers, Request, Secret, Timestamp};

/// A raw request with the circumstances in which it is judged.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    /// The clock; where the file does not say, the caller's.
    pub at: Option<Timestamp>,
    /// The secrets, in order.
    pub secrets: Vec<Secret>,
    /// The URL that was signed, where the scheme signs one.
    pub url: Option<String>,
    /// The method of the request line.
    pub method: String,
    /// The path of the request line.
    pub path: String,
    /// The headers.
    pub headers: Headers,
    /// The body.
    pub body: Vec<u8>,
}

/// A file that is not a case, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {cause}")]
pub struct CaseError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub cause: String,
}

/// What must come of a case.
#[derive(Debug, Clone, PartialEq)]
pub enum Expected {
    /// Sales, as mapped, before attribution.
    Sales(Vec<Value>),
    /// Genuine but no sale: the reason or its code.
    Ignored(String),
    /// Genuine but not to be mapped: the reason or its code.
    Parked(String),
    /// Not believed: the code.
    Refused(String),
    /// What the ledger ends with after all requests of the scenario.
    Ledger(Vec<Value>),
}

/// One case, or several requests in a row, with what must come of them.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// The stem that its files share.
    pub name: String,
    /// The requests in order, each with its file's name.
    pub requests: Vec<(String, Case)>,
    /// What must come of them.
    pub expected: Expected,
}

impl Case {
    /// Reads a case file.
    ///
    /// # Errors
    /// The line that is not of the format.
    pub fn parse(bytes: &[u8]) -> Result<Self, CaseError> {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes); // what some editors put before a text
        let mut lines = Lines { rest: bytes, number: 0, ends_in_crlf: false };
        let mut case = Self {
            at: None,
            secrets: Vec::new(),
            url: None,
            method: String::new(),
            path: String::new(),
            headers: Headers::default(),
            body: Vec::new(),
        };
        let request_line = loop {
            let line = lines.next("the file ends before its request line")?;
            match line.strip_prefix('#') {
                Some(note) => case.note(note.trim(), lines.number)?,
                None if line.trim().is_empty() => {}
                None => break line,
            }
        };
        let mut words = request_line.split_ascii_whitespace();
        match (words.next(), words.next(), words.next()) {
            (Some(method), Some(path), Some(version)) if version.starts_with("HTTP/") => {
                (case.method, case.path) = (method.to_owned(), path.to_owned());
            }
            (_, _, _) => return Err(lines.fault("the request line must read like POST /webhooks/stripe HTTP/1.1")),
        }
        loop {
            let line = lines.next("the file ends before the empty line that begins the body")?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').ok_or_else(|| lines.fault("a header must read like Name: value"))?;
            case.headers.add(name.trim(), value.trim());
        }
        let newline: &[u8] = if lines.ends_in_crlf { b"\r\n" } else { b"\n" };
        case.body = lines.rest.strip_suffix(newline).unwrap_or(lines.rest).to_vec();
        Ok(case)
    }

    /// The request, as if it had come to this source at its own time, or else at `now`.
    pub fn request(&self, source: &str, now: Timestamp) -> Request {
        Request {
            source: source.to_owned(),
            headers: self.headers.clone(),
            body: self.body.clone(),
            url: self.url.clone(),
            received_at: self.at.unwrap_or(now),
        }
    }

    /// One `# key: value` line; other remarks are for the reader.
    fn note(&mut self, note: &str, line: usize) -> Result<(), CaseError> {
        let Some((key, value)) = note.split_once(':') else { return Ok(()) };
        // A remark may stand behind the value, two spaces away.
        let value = value.trim().split("  ").next().unwrap_or_default().trim_end();
        match key.trim() {
            "at" => {
                let cause = format!("{value:?} is not a time like 2026-11-22T05:11:00Z");
                self.at = Some(value.parse().map_err(|_| CaseError { line, cause })?);
            }
            "secret" => self.secrets.push(Secret::new(value)),
            "url" => self.url = Some(value.to_owned()),
            _ => {}
        }
        Ok(())
    }
}

struct Lines<'a> {
    rest: &'a [u8],
    number: usize,
    /// Whether the last line ended in CRLF, as in files from Windows.
    ends_in_crlf: bool,
}

impl<'a> Lines<'a> {
    fn next(&mut self, at_end: &str) -> Result<&'a str, CaseError> {
        self.number += 1;
        let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') else { return Err(self.fault(at_end)) };
        let line = &self.rest[..end];
        self.rest = &self.rest[end + 1..];
        self.ends_in_crlf = line.ends_with(b"\r");
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        std::str::from_utf8(line).map_err(|_| self.fault("is not UTF-8"))
    }

    fn fault(&self, cause: &str) -> CaseError {
        CaseError { line: self.number, cause: cause.to_owned() }
    }
}

/// Endings of the format that this version does not judge yet: refunds, and what a fetch would be answered.
const LATER: [&str; 2] = [".adjustment.json", ".enrich.json"];

/// All scenarios of a folder, by name; the second list says which files make no sense. Scenarios that this version does not
/// judge yet are passed over.
pub fn scenarios(folder: &Folder) -> (Vec<Scenario>, Vec<String>) {
    let later: Vec<&str> =
        folder.cases().filter_map(|(file, _)| LATER.iter().find_map(|ending| file.strip_suffix(ending))).collect();
    let mut requests: BTreeMap<&str, BTreeMap<u32, (String, Case)>> = BTreeMap::new();
    let mut expected: BTreeMap<&str, Vec<Expected>> = BTreeMap::new();
    let mut faults = Vec::new();
    for (file, bytes) in folder.cases() {
        let label = folder.label(&format!("cases/{file}"));
        if later.iter().any(|stem| file.strip_prefix(stem).is_some_and(|rest| rest.starts_with('.'))) {
            continue;
        }
        if let Some(stem) = file.strip_suffix(".http") {
            let (stem, step) = match stem.rsplit_once('.').map(|(stem, step)| (stem, step.parse())) {
                Some((stem, Ok(step))) => (stem, step),
                Some((_, Err(_))) | None => (stem, 0),
            };
            match Case::parse(bytes) {
                Ok(case) => drop(requests.entry(stem).or_default().insert(step, (file.to_owned(), case))),
                Err(error) => faults.push(format!("{label}: {error}")),
            }
        } else {
            match expectation(file, bytes) {
                Ok((stem, expectation)) => expected.entry(stem).or_default().push(expectation),
                Err(cause) => faults.push(format!("{label}: {cause}")),
            }
        }
    }
    let mut scenarios = Vec::new();
    for (name, steps) in requests {
        let mut wanted = expected.remove(name).unwrap_or_default();
        let is_ledger = |expected: &Expected| matches!(expected, Expected::Ledger(_));
        match (wanted.pop(), wanted.is_empty(), steps.len()) {
            (Some(expected), true, count) if count == 1 || is_ledger(&expected) => {
                scenarios.push(Scenario { name: name.to_owned(), requests: steps.into_values().collect(), expected });
            }
            (Some(_), true, _) => faults.push(format!("{name}: several requests in a row need {name}.sales.json")),
            (Some(_), false, _) => faults.push(format!("{name}: more than one file says what must come of it")),
            (None, ..) => faults.push(format!("{name}: no file says what must come of it")),
        }
    }
    faults.extend(expected.keys().map(|name| format!("{name}: there is no {name}.http for it")));
    (scenarios, faults)
}

fn expectation<'a>(file: &'a str, bytes: &[u8]) -> Result<(&'a str, Expected), String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "is not UTF-8".to_owned())?;
    let json = || serde_json::from_str::<Value>(text).map_err(|error| format!("is not JSON: {error}"));
    let list = || {
        json().map(|value| match value {
            Value::Array(values) => values,
            value @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_)) => vec![value],
        })
    };
    let line = || text.trim().to_owned();
    let stem = |ending: &str| file.strip_suffix(ending);
    if let Some(stem) = stem(".sales.json") {
        return Ok((stem, Expected::Ledger(list()?)));
    }
    if let Some(stem) = stem(".sale.json") {
        return Ok((stem, Expected::Sales(list()?)));
    }
    if let Some(stem) = stem(".ignored.txt") {
        return Ok((stem, Expected::Ignored(line())));
    }
    if let Some(stem) = stem(".parked.txt") {
        return Ok((stem, Expected::Parked(line())));
    }
    if let Some(stem) = stem(".refused.txt") {
        return Ok((stem, Expected::Refused(line())));
    }
    Err("is neither a request (.http) nor an expectation (.sale.json, .sales.json, .ignored.txt, .parked.txt, .refused.txt)"
        .to_owned())
}
