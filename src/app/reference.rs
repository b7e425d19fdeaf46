//! Every key of the configuration, from the types that it is read into: a JSON Schema for editors, and docs/configuration.md for people.
//! What a key means stands at its field and nowhere else.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::config::Document;

/// The JSON Schema of `config.toml` (draft 2020-12). Texts may be `${NAME}` or `file:PATH` wherever it says `string`.
pub fn schema() -> Value {
    serde_json::to_value(schemars::schema_for!(Document)).expect("a schema is JSON")
}

/// One table of the file.
struct Part<'a> {
    /// As it is written: `[server]`, `[[sources]]`, `[sources.metadata]`; nothing for the keys at the top.
    heading: String,
    about: &'a str,
    node: &'a Value,
}

/// The reference as Markdown: a table of keys for each table of the file.
pub fn reference() -> String {
    let schema = schema();
    let root = Part { heading: String::new(), about: "", node: &schema };
    let mut page = HEAD.to_owned();
    part(&root, &schema, &mut page);
    page
}

/// What holds for every key.
const HEAD: &str = "# Configuration

TOML, by default `config.toml` in the folder where salebridge is started; another file with `--config FILE` or the environment variable \
`SALEBRIDGE_CONFIG`. [config.example.toml](../config.example.toml) shows every key in its place. `salebridge check` reports every fault at \
once, with file and key; unknown keys are refused.

- In every text `${NAME}` is replaced by the environment variable of that name, and a text that begins with `file:` by the content of that \
file: `token = \"file:/run/secrets/token\"`. What is missing or empty is a fault. Keep secrets there, never in the file itself.
- Paths are relative to the folder of the file.
- `salebridge check --reference --json` prints the same as a JSON Schema, for editors; it is \
[config.schema.json](../config.schema.json) in the repository.

This page is made from the types that the file is read into: `salebridge check --reference`.

";

fn part(part_of_file: &Part<'_>, schema: &Value, page: &mut String) {
    let Part { heading, about, node } = part_of_file;
    let (title, name) = if heading.is_empty() {
        ("At the top of the file".to_owned(), String::new())
    } else {
        (format!("`{heading}`"), format!("{}.", heading.trim_matches(['[', ']'])))
    };
    let _ = writeln!(page, "## {title}");
    if !about.is_empty() {
        let _ = writeln!(page, "{}", in_line(about));
    }
    let required: Vec<&str> = node["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let _ = writeln!(page, "\n| key | type | default | meaning |\n|---|---|---|---|");
    let mut below = Vec::new();
    for (key, property) in node["properties"].as_object().into_iter().flatten() {
        let (inner, is_list) = resolve(property, schema);
        if inner["properties"].is_object() {
            let heading = if is_list { format!("[[{name}{key}]]") } else { format!("[{name}{key}]") };
            below.push(Part { heading, about: about_of(property), node: inner });
            continue;
        }
        let default = match property.get("default") {
            Some(Value::Null) | None if required.contains(&key.as_str()) => "*required*".to_owned(),
            Some(Value::Null) | None => "none".to_owned(),
            Some(Value::Object(entries)) if entries.is_empty() => "`{}`".to_owned(),
            Some(value) => format!("`{value}`"),
        };
        let meaning = format!("{}{}", in_line(about_of(property)), choices(inner));
        let _ = writeln!(page, "| `{key}` | {} | {default} | {meaning} |", kind(inner, is_list));
    }
    for each in below {
        page.push('\n');
        part(&each, schema, page);
    }
}

/// What a property is made of, without references and `null`; and whether it is a list of that.
fn resolve<'a>(property: &'a Value, schema: &'a Value) -> (&'a Value, bool) {
    if let Some(name) = property["$ref"].as_str().and_then(|path| path.strip_prefix("#/$defs/")) {
        return resolve(&schema["$defs"][name], schema);
    }
    let is_null = |choice: &&Value| choice["type"] != "null";
    if let Some(choice) = property["anyOf"].as_array().and_then(|choices| choices.iter().find(is_null)) {
        return resolve(choice, schema);
    }
    match property.get("items") {
        Some(items) => (resolve(items, schema).0, true),
        None => (property, false),
    }
}

fn kind(node: &Value, is_list: bool) -> String {
    let name = match &node["type"] {
        Value::String(name) => name.as_str(),
        Value::Array(names) => names.iter().filter_map(Value::as_str).find(|name| *name != "null").unwrap_or_default(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => "",
    };
    let one = match name {
        "string" if node["format"] == "password" => "secret",
        "string" => "text",
        "integer" => "whole number",
        "boolean" => "true or false",
        "number" => "number",
        "object" if node["additionalProperties"]["format"] == "password" => "table of secrets",
        "object" => "table of texts",
        _ => "one of these words",
    };
    if is_list { format!("list: {one}") } else { one.to_owned() }
}

/// The words that a key may hold, each with what it means.
fn choices(node: &Value) -> String {
    let words = node["oneOf"].as_array().into_iter().flatten();
    let words: Vec<String> = words
        .filter_map(|choice| {
            let about = in_line(choice["description"].as_str().unwrap_or_default());
            Some(format!("`\"{}\"`: {}", choice["const"].as_str()?, about.trim_end_matches('.')))
        })
        .collect();
    if words.is_empty() { String::new() } else { format!(" {}.", words.join("; ")) }
}

fn about_of(property: &Value) -> &str {
    property.as_object().and_then(|property: &Map<String, Value>| property.get("description")?.as_str()).unwrap_or_default()
}

/// A text as a cell of a table.
fn in_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}
