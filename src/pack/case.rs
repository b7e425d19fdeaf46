//! Cases: raw requests and what must come of them (the format is described in providers/README.md).

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde_json::Value;

use super::source::network;
use super::{Circumstances, Folder};
use crate::domain::{Headers, Request, Secret, Timestamp};
use crate::verify::{Roots, Secrets};

/// A raw request with the circumstances in which it is judged.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    /// The clock; where the file does not say, the caller's.
    pub at: Option<Timestamp>,
    /// The unnamed secrets, in order.
    pub secrets: Vec<Secret>,
    /// The named secrets.
    pub named_secrets: BTreeMap<String, Secret>,
    /// The URL that was signed, where the scheme signs one.
    pub url: Option<String>,
    /// The token that the source's path ends in.
    pub path_token: Option<Secret>,
    /// The networks that the source allows.
    pub allow_ips: Vec<String>,
    /// Whose connection it is.
    pub peer: Option<IpAddr>,
    /// A root certificate that is believed, as base64 of its DER.
    pub root: Option<String>,
    /// The currency of the source.
    pub currency: Option<String>,
    /// The method of the request line.
    pub method: String,
    /// The path of the request line, with its query.
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
    /// Adjustments, as mapped, with their keys.
    Adjustments(Vec<Value>),
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
    /// The requests in order.
    pub steps: Vec<Step>,
    /// What must come of them.
    pub expected: Expected,
}

/// One request of a scenario.
#[derive(Debug, Clone)]
pub struct Step {
    /// The file's name.
    pub file: String,
    /// The request.
    pub case: Case,
    /// What is fetched for it, where the scenario says so.
    pub fetched: Option<Fetched>,
}

/// What a case's fetches are answered: JSON by path and query, or by the whole URL; a number is the status of a failure.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Fetched(BTreeMap<String, Value>);

impl Fetched {
    /// Reads an `.enrich.json`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(bytes).map(Self).map_err(|error| format!("is not a JSON object: {error}"))
    }

    /// The JSON that is answered at a path, or why there is none.
    ///
    /// # Errors
    /// The case says so, or says nothing.
    pub fn answer(&self, path: &str) -> Result<String, String> {
        match self.find(path) {
            Some(Value::Number(status)) => Err(format!("the answer was {status}")),
            Some(value) => Ok(value.to_string()),
            None => Err(format!("the case holds no answer for {path}")),
        }
    }

    /// The text that is answered at a URL.
    pub fn text(&self, url: &str) -> Option<&str> {
        self.find(url)?.as_str()
    }

    fn find(&self, path: &str) -> Option<&Value> {
        let ends = |url: &str| url.split_once("://").and_then(|(_, rest)| rest.find('/').map(|at| rest[at..] == *path));
        self.0.get(path).or_else(|| self.0.iter().find(|(url, _)| ends(url) == Some(true)).map(|(_, value)| value))
    }
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
            named_secrets: BTreeMap::new(),
            url: None,
            path_token: None,
            allow_ips: Vec::new(),
            peer: None,
            root: None,
            currency: None,
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
        let (path, query) = self.path.split_once('?').map_or((self.path.as_str(), None), |(path, query)| (path, Some(query)));
        // What stands after /webhooks/NAME/ is the token.
        let token = path.trim_start_matches('/').split('/').nth(2).filter(|token| !token.is_empty());
        Request {
            source: source.to_owned(),
            headers: self.headers.clone(),
            body: self.body.clone(),
            query: query.map(str::to_owned),
            url: self.url.clone(),
            path_token: token.map(Secret::new),
            peer: self.peer,
            received_at: self.at.unwrap_or(now),
        }
    }

    /// True where the file brings secrets of its own.
    pub fn has_secrets(&self) -> bool {
        !self.secrets.is_empty() || !self.named_secrets.is_empty() || self.path_token.is_some()
    }

    /// The circumstances in which the case is judged.
    ///
    /// # Errors
    /// The remark that makes no sense.
    pub fn circumstances(&self, can_fetch: bool) -> Result<Circumstances, String> {
        let mut allow_ips = Vec::new();
        for text in &self.allow_ips {
            allow_ips.push(network(text).ok_or_else(|| format!("allow_ips: {text} is not a network"))?);
        }
        let roots = self.root.as_deref().map_or_else(|| Ok(Roots::default()), Roots::with)?;
        let secrets = Secrets {
            unnamed: self.secrets.clone(),
            named: self.named_secrets.clone(),
            path_token: self.path_token.clone(),
            allow_ips,
            roots,
        };
        Ok(Circumstances { secrets, url: self.url.clone(), currency: self.currency.clone(), can_fetch })
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
            "path_token" => self.path_token = Some(Secret::new(value)),
            "allow_ips" => self.allow_ips = value.split(',').map(|text| text.trim().to_owned()).collect(),
            "peer" => {
                let cause = format!("{value:?} is not an address like 192.0.2.1");
                self.peer = Some(value.parse().map_err(|_| CaseError { line, cause })?);
            }
            "root" => self.root = Some(value.to_owned()),
            "currency" => self.currency = Some(value.to_owned()),
            key => match key.strip_prefix("secret.") {
                Some("path_token") => self.path_token = Some(Secret::new(value)),
                Some(name) => drop(self.named_secrets.insert(name.to_owned(), Secret::new(value))),
                None => {}
            },
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

/// The ending of the file that says what is fetched.
pub const FETCHED: &str = ".enrich.json";

/// All scenarios of a folder, by name; the second list says which files make no sense.
pub fn scenarios(folder: &Folder) -> (Vec<Scenario>, Vec<String>) {
    let mut fetched: BTreeMap<&str, Fetched> = BTreeMap::new();
    let mut requests: BTreeMap<&str, BTreeMap<u32, (String, Case)>> = BTreeMap::new();
    let mut expected: BTreeMap<&str, Vec<Expected>> = BTreeMap::new();
    let mut faults = Vec::new();
    for (file, bytes) in folder.cases() {
        let label = folder.label(&format!("cases/{file}"));
        if let Some(stem) = file.strip_suffix(FETCHED) {
            match Fetched::parse(bytes) {
                Ok(answers) => drop(fetched.insert(stem, answers)),
                Err(cause) => faults.push(format!("{label}: {cause}")),
            }
        } else if let Some(stem) = file.strip_suffix(".http") {
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
                let step = |(number, (file, case)): (u32, (String, Case))| {
                    let own = fetched.get(format!("{name}.{number}").as_str());
                    Step { file, case, fetched: own.or_else(|| fetched.get(name)).cloned() }
                };
                let steps = steps.into_iter().map(step).collect();
                scenarios.push(Scenario { name: name.to_owned(), steps, expected });
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
    if let Some(stem) = stem(".adjustment.json") {
        return Ok((stem, Expected::Adjustments(list()?)));
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
    Err("is neither a request (.http) nor an expectation (.sale.json, .sales.json, .adjustment.json, .ignored.txt, .parked.txt, .refused.txt)"
        .to_owned())
}
