//! A TOML document as a type, with every fault that can be found at once, each with its file and key.

mod one_or_many;
mod place;

pub use one_or_many::OneOrMany;

use serde::de::DeserializeOwned;
use toml::{Table, Value};

use self::place::{Place, Step};
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

/// Makes sure that the number at `key`, such as `pack.format`, is of a format that this program knows. Asked before anything else, so that
/// somebody with a newer document is told that, and not of each key that is new. A document without the number is of the first format.
///
/// # Errors
/// The key, which format is known, and what to do.
pub fn check_format(table: &Table, key: &str, known: u32, file: &str) -> Result<(), Faults> {
    let (part, name) = key.split_once('.').map_or((None, key), |(part, name)| (Some(part), name));
    let place = part.map_or(Some(table), |part| table.get(part)?.as_table());
    let cause = match place.and_then(|place| place.get(name)) {
        None => return Ok(()),
        Some(Value::Integer(format)) if (1..=i64::from(known)).contains(format) => return Ok(()),
        Some(Value::Integer(format)) if *format > i64::from(known) => format!(
            "needs format {format}, and salebridge {} knows formats up to {known}: run a newer salebridge",
            env!("CARGO_PKG_VERSION")
        ),
        Some(_) => format!("must be a whole number from 1 to {known}"),
    };
    let mut faults = Faults::default();
    faults.add(file, key, cause);
    Err(faults)
}

/// Reads a table as `T`: after each fault something that fits is put in its place and the rest is read again, so that all
/// faults are found together.
///
/// # Errors
/// Every fault.
pub fn read_table<T: DeserializeOwned>(table: Table, file: &str) -> Result<T, Faults> {
    match read_on(table, file) {
        (Some(value), faults) => faults.or(value),
        (None, faults) => Err(faults),
    }
}

/// As [`read_table`], but gives the value as well where all faults could be got past, so that its meaning can be checked too.
/// What stands at a faulty key is then made up.
pub fn read_on<T: DeserializeOwned>(table: Table, file: &str) -> (Option<T>, Faults) {
    let mut document = Value::Table(table);
    let mut faults = Faults::default();
    loop {
        let fault = match attempt::<T>(&document) {
            Ok(value) => return (Some(value), faults),
            Err(fault) => fault,
        };
        faults.add(file, render(&fault.path), without_value(&fault.message));
        if faults.0.len() >= FAULT_LIMIT || !mend::<T>(&mut document, &fault) {
            return (None, faults);
        }
    }
}

/// What the parser stumbled over first.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stumble {
    path: Vec<Step>,
    message: String,
}

fn attempt<T: DeserializeOwned>(document: &Value) -> Result<T, Stumble> {
    T::deserialize(Place(document)).map_err(|stumble| {
        let (mut path, message) = (stumble.path(), stumble.message);
        let named = quoted(&message, "unknown field `").or_else(|| quoted(&message, "missing field `"));
        if let Some(name) = named
            && path.last() != Some(&Step::Key(name.clone()))
        {
            path.push(Step::Key(name));
        }
        Stumble { path, message }
    })
}

/// Takes out what is unknown, or puts something in the place of what is wrong or missing, so that the parser gets past it.
fn mend<T: DeserializeOwned>(document: &mut Value, fault: &Stumble) -> bool {
    if fault.message.starts_with("unknown field") {
        return remove(document, &fault.path);
    }
    let expected = fault.message.rsplit_once("expected").and_then(|(_, rest)| quoted(rest.get(rest.find('`')?..)?, "`"));
    let fitting = [
        expected.map(Value::String),
        Some(Value::String("x".to_owned())),
        Some(Value::Integer(1)),
        Some(Value::Boolean(true)),
        Some(Value::Array(Vec::new())),
        Some(Value::Table(Table::new())),
    ];
    fitting.into_iter().flatten().any(|value| {
        let mut mended = document.clone();
        let is_past =
            put(&mut mended, &fault.path, value) && attempt::<T>(&mended).err().is_none_or(|next| next.path != fault.path);
        if is_past {
            *document = mended;
        }
        is_past
    })
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

fn put(document: &mut Value, path: &[Step], value: Value) -> bool {
    let Some((last, parents)) = path.split_last() else { return false };
    match (last, place(document, parents)) {
        (Step::Key(key), Some(Value::Table(table))) => {
            table.insert(key.clone(), value);
            true
        }
        (Step::Index(index), Some(Value::Array(array))) if *index < array.len() => {
            array[*index] = value;
            true
        }
        (Step::Key(_) | Step::Index(_), _) => false,
    }
}

fn remove(document: &mut Value, path: &[Step]) -> bool {
    let Some((Step::Key(key), parents)) = path.split_last() else { return false };
    match place(document, parents) {
        Some(Value::Table(table)) => table.remove(key).is_some(),
        _ => false,
    }
}

fn place<'a>(document: &'a mut Value, path: &[Step]) -> Option<&'a mut Value> {
    path.iter().try_fold(document, |place, step| match (step, place) {
        (Step::Key(key), Value::Table(table)) => table.get_mut(key),
        (Step::Index(index), Value::Array(array)) => array.get_mut(*index),
        (Step::Key(_) | Step::Index(_), _) => None,
    })
}

fn quoted(message: &str, before: &str) -> Option<String> {
    let (name, _) = message.strip_prefix(before)?.split_once('`')?;
    Some(name.to_owned())
}

/// The message without the text that stood there: it may be a secret.
fn without_value(message: &str) -> String {
    let message = message.lines().collect::<Vec<_>>().join(" ");
    match (message.find("string \""), message.rfind("\", expected")) {
        (Some(start), Some(end)) if start < end => format!("{}string{}", &message[..start], &message[end + 1..]),
        (Some(_) | None, Some(_) | None) => message,
    }
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
        let keys = ["typo", "server.port", "server.hots", "sources[1].prot", "sources[1].port", "sources[2].port"];
        for key in keys {
            assert!(faults.contains(&format!("c.toml: {key}: ")), "{key} is missing in:\n{faults}");
        }
        assert_eq!(faults.lines().count(), keys.len(), "{faults}");
    }

    #[test]
    fn a_fault_does_not_repeat_what_may_be_a_secret() {
        let faults =
            read::<Root>("sources = []\n[server]\nport = \"whsec_private\"\n", "c.toml").expect_err("a fault").to_string();
        assert!(!faults.contains("private") && faults.contains("expected u16"), "{faults}");
    }

    #[test]
    fn what_is_not_toml_is_placed_by_its_line() {
        let faults = read::<Root>("a = 1\nb = = 2\n", "c.toml").expect_err("not TOML");
        assert_eq!(faults.0[0].key, "line 2");
    }
}
