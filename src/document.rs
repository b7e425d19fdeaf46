//! A TOML document as a type, with every fault that can be found at once, each with its file and key.

use serde::de::DeserializeOwned;
use serde_path_to_error::Segment;
use toml::{Table, Value};

use crate::domain::Faults;

/// A document with more faults than this is another kind of file.
const FAULT_LIMIT: usize = 50;

/// Reads `text`, named `file` in faults, as `T`.
///
/// # Errors
/// Every fault: what is not TOML, unknown keys, wrong types, missing keys.
pub fn read<T: DeserializeOwned>(text: &str, file: &str) -> Result<T, Faults> {
    read_table(parse(text, file)?, file)
}

/// Reads `text` as a bare table, for a caller that changes it before it is [read](read_table) as a type.
///
/// # Errors
/// The place where it is not TOML.
pub fn parse(text: &str, file: &str) -> Result<Table, Faults> {
    text.parse().map_err(|error: toml::de::Error| {
        let line = error.span().map(|span| 1 + text[..span.start.min(text.len())].matches('\n').count());
        let place = line.map(|line| format!("line {line}")).unwrap_or_default();
        let mut faults = Faults::default();
        faults.add(file, place, format!("is not TOML: {}", error.message()));
        faults
    })
}

/// Reads a table as `T`: after each fault the part that is wrong is taken out and the rest is read again, so that all faults
/// are found together.
///
/// # Errors
/// Every fault.
pub fn read_table<T: DeserializeOwned>(table: Table, file: &str) -> Result<T, Faults> {
    let mut document = Value::Table(table);
    let mut faults = Faults::default();
    loop {
        let error = match serde_path_to_error::deserialize(document.clone()) {
            Ok(value) => return faults.or(value),
            Err(error) => error,
        };
        let message = error.inner().message().to_owned();
        let mut path = steps(error.path().iter());
        if let Some(name) = quoted(&message, "unknown field `")
            && path.last() != Some(&Step::Key(name.clone()))
        {
            path.push(Step::Key(name));
        }
        faults.add(file, render(&path), first_line(&message));
        let removed = if message.starts_with("missing field") { remove_element(&mut document, &path) } else { remove(&mut document, &path) };
        if !removed || faults.0.len() >= FAULT_LIMIT {
            return Err(faults);
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Key(String),
    Index(usize),
}

fn steps<'a>(segments: impl Iterator<Item = &'a Segment>) -> Vec<Step> {
    segments
        .filter_map(|segment| match segment {
            Segment::Map { key } => Some(Step::Key(key.clone())),
            Segment::Seq { index } => Some(Step::Index(*index)),
            Segment::Enum { .. } | Segment::Unknown => None,
        })
        .collect()
}

fn render(path: &[Step]) -> String {
    let mut text = String::new();
    for step in path {
        match step {
            Step::Key(key) if text.is_empty() => text.push_str(key),
            Step::Key(key) => text.push_str(&format!(".{key}")),
            Step::Index(index) => text.push_str(&format!("[{index}]")),
        }
    }
    text
}

/// Takes out the element of a list that lacks a field, so that the others are still read.
fn remove_element(document: &mut Value, path: &[Step]) -> bool {
    let last_index = path.iter().rposition(|step| matches!(step, Step::Index(_)));
    last_index.is_some_and(|last| remove(document, &path[..=last]))
}

fn remove(document: &mut Value, path: &[Step]) -> bool {
    let Some((last, parents)) = path.split_last() else { return false };
    let mut place = document;
    for step in parents {
        let next = match (step, place) {
            (Step::Key(key), Value::Table(table)) => table.get_mut(key),
            (Step::Index(index), Value::Array(array)) => array.get_mut(*index),
            (Step::Key(_) | Step::Index(_), _) => None,
        };
        let Some(next) = next else { return false };
        place = next;
    }
    match (last, place) {
        (Step::Key(key), Value::Table(table)) => table.remove(key).is_some(),
        (Step::Index(index), Value::Array(array)) if *index < array.len() => {
            array.remove(*index);
            true
        }
        (Step::Key(_) | Step::Index(_), _) => false,
    }
}

fn quoted(message: &str, before: &str) -> Option<String> {
    let (name, _) = message.strip_prefix(before)?.split_once('`')?;
    Some(name.to_owned())
}

fn first_line(message: &str) -> String {
    message.lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Root {
        #[expect(dead_code, reason = "only its reading is tested")]
        server: Server,
        #[expect(dead_code, reason = "only its reading is tested")]
        sources: Vec<Server>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Server {
        #[expect(dead_code, reason = "only its reading is tested")]
        port: u16,
    }

    #[test]
    fn every_fault_is_reported_with_its_key() {
        let text = "typo = 1\n[server]\nport = \"x\"\nhots = 2\n[[sources]]\nport = 1\n[[sources]]\nprot = 5\n[[sources]]\nport = 99999\n";
        let faults = read::<Root>(text, "c.toml").expect_err("it is full of faults").to_string();
        for part in ["c.toml: typo: ", "c.toml: server.port: ", "c.toml: server.hots: ", "c.toml: sources[1].prot: "] {
            assert!(faults.contains(part), "{part} is missing in:\n{faults}");
        }
        assert!(faults.lines().count() >= 5, "{faults}");
    }

    #[test]
    fn what_is_not_toml_is_placed_by_its_line() {
        let faults = read::<Root>("a = 1\nb = = 2\n", "c.toml").expect_err("not TOML");
        assert_eq!(faults.0[0].key, "line 2");
    }
}
