//! The pages that the program writes itself are current, and the reference of the configuration and its example hold the same keys.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{below, read};
use crate::harness::process::run;

#[test]
fn the_pages_of_packs_and_templates_are_current() {
    let folder = tempfile::tempdir().unwrap();
    for (what, command) in
        [("providers", &["pack", "list", "--pages"][..]), ("upstreams", &["upstream", "list", "--templates", "--pages"])]
    {
        let dir = folder.path().join(what);
        let mut words = command.to_vec();
        words.push(dir.to_str().unwrap());
        let output = run(None, &words);
        assert!(output.status.success(), "{output:?}");
        let mut names = BTreeSet::new();
        for entry in std::fs::read_dir(&dir).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            let page = std::fs::read_to_string(entry.path()).unwrap();
            assert!(read(&format!("docs/{what}/{name}")) == page, "docs/{what}/{name} is old: run scripts/generate");
            names.insert(name);
        }
        let there = below(&format!("docs/{what}"));
        let there = there.iter().map(|page| page.path.file_name().unwrap().to_str().unwrap().to_owned()).collect();
        assert_eq!(names, there, "docs/{what} holds pages of what is not there any more: run scripts/generate");
    }
}

#[test]
fn the_reference_of_the_configuration_is_current() {
    let page = run(None, &["check", "--reference"]);
    assert_eq!(read("docs/configuration.md"), String::from_utf8(page.stdout).unwrap(), "run scripts/generate");
    let schema = run(None, &["check", "--reference", "--json"]);
    assert_eq!(read("config.schema.json"), String::from_utf8(schema.stdout).unwrap(), "run scripts/generate");
}

/// Whatever the program reads is shown in the example, in its own table, and the example shows nothing else.
#[test]
fn the_example_and_the_reference_hold_the_same_keys() {
    let schema = salebridge::app::schema();
    let mut known = BTreeSet::new();
    keys_of_schema(&schema, &schema, "", &mut known);
    assert!(known.len() > 70 && known.contains("sources.metadata.click_id"), "{known:?}");
    let mut shown = BTreeSet::new();
    keys_of_example(&read("config.example.toml"), &mut shown);
    let of = |one: &BTreeSet<String>, other: &BTreeSet<String>| one.difference(other).cloned().collect::<Vec<_>>();
    assert_eq!(of(&known, &shown), Vec::<String>::new(), "config.example.toml does not show these");
    assert_eq!(of(&shown, &known), Vec::<String>::new(), "config.example.toml shows these, and nothing reads them");
}

/// Every key has a sentence that says what it is for.
#[test]
fn every_key_of_the_reference_says_what_it_means() {
    let page = read("docs/configuration.md");
    let rows: Vec<&str> = page.lines().filter(|line| line.starts_with("| `")).collect();
    assert!(rows.len() > 70, "{}", rows.len());
    for row in rows {
        let meaning = row.trim_end_matches(" |").rsplit(" | ").next().unwrap();
        assert!(meaning.len() > 10 && meaning.ends_with('.'), "{row}");
    }
}

fn keys_of_schema(node: &Value, schema: &Value, before: &str, keys: &mut BTreeSet<String>) {
    for (key, property) in node["properties"].as_object().unwrap() {
        let inner = inner_of(property, schema);
        if inner["properties"].is_object() {
            keys_of_schema(inner, schema, &format!("{before}{key}."), keys);
        } else {
            keys.insert(format!("{before}{key}"));
        }
    }
}

/// What a property is made of: itself, what it refers to, or the entries of its list.
fn inner_of<'a>(property: &'a Value, schema: &'a Value) -> &'a Value {
    let choice = property["anyOf"].as_array().and_then(|choices| choices.iter().find(|choice| choice["type"] != "null"));
    let inner = choice.or_else(|| property.get("items"));
    match (property["$ref"].as_str(), inner) {
        (Some(name), _) => inner_of(&schema["$defs"][name.rsplit('/').next().unwrap()], schema),
        (None, Some(inner)) => inner_of(inner, schema),
        (None, None) => property,
    }
}

/// Keys that are set, and those that a remark or a mark for another build shows, each with its table.
fn keys_of_example(text: &str, keys: &mut BTreeSet<String>) {
    let mut table = String::new();
    for line in text.lines() {
        let line = line.trim_start_matches("#:").trim_start_matches('#').trim();
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.split(']').next()).filter(|name| !name.contains(' ')) {
            table = format!("{}.", name.trim_start_matches('['));
        } else if let Some((key, value)) = line.split_once(" = ")
            && key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
        {
            // A table of known keys in one line.
            let known = |pair: &str| Some(format!("{table}{key}.{}", pair.split_once(" = ")?.0.trim()));
            let inner = value.strip_prefix("{ ").filter(|_| key == "tls").map(|rest| rest.split(", ").filter_map(known));
            match inner {
                Some(inner) => keys.extend(inner),
                None => drop(keys.insert(format!("{table}{key}"))),
            }
        }
    }
}
