//! What a configuration takes from elsewhere: `${NAME}` from the environment, `file:PATH` from a file.

use std::path::Path;

use toml::{Table, Value};

use super::environment::Environment;
use crate::domain::Faults;

/// Replaces `${NAME}` by the environment and `file:PATH` by a file's text, everywhere. What is missing or empty is a fault.
pub(super) fn fill_in(table: &mut Table, folder: &Path, environment: &Environment, file: &str, faults: &mut Faults) {
    for (key, value) in table.iter_mut() {
        fill_in_value(value, key, folder, environment, file, faults);
    }
}

fn fill_in_value(value: &mut Value, key: &str, folder: &Path, environment: &Environment, file: &str, faults: &mut Faults) {
    match value {
        Value::String(text) => match filled(text, folder, environment) {
            Ok(filled) => *text = filled,
            Err(cause) => faults.add(file, key, cause),
        },
        Value::Array(values) => {
            for (index, value) in values.iter_mut().enumerate() {
                fill_in_value(value, &format!("{key}[{index}]"), folder, environment, file, faults);
            }
        }
        Value::Table(table) => {
            for (name, value) in table.iter_mut() {
                fill_in_value(value, &format!("{key}.{name}"), folder, environment, file, faults);
            }
        }
        Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::Datetime(_) => {}
    }
}

fn filled(text: &str, folder: &Path, environment: &Environment) -> Result<String, String> {
    if let Some(path) = text.strip_prefix("file:") {
        let path = folder.join(path);
        let content = std::fs::read_to_string(&path).map_err(|error| format!("{}: cannot be read: {error}", path.display()))?;
        let content = content.trim_end_matches(['\r', '\n']).to_owned();
        return if content.is_empty() { Err(format!("{}: is empty", path.display())) } else { Ok(content) };
    }
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let (name, after) = after.split_once('}').ok_or("a ${ is never closed")?;
        let value = environment.get(name).ok_or_else(|| format!("the environment variable {name} is missing or empty"))?;
        filled.push_str(before);
        filled.push_str(value.expose());
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}
