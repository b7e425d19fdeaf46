//! Every configuration in a document is one that `check` takes, once its variables are set; other data is at least what it says it is.

use std::collections::BTreeMap;
use std::path::Path;

use toml::{Table, Value};

use super::{all, below, root};

#[test]
fn every_configuration_in_a_document_is_taken() {
    let mut count = 0;
    let mut found = Vec::new();
    for document in all() {
        for block in document.blocks().into_iter().filter(|block| block.language == "toml") {
            let place = format!("{}, the block at line {}", document.path.display(), block.line);
            let table: Table = block.text.parse().unwrap_or_else(|error| panic!("{place} is not TOML: {error}"));
            if is_configuration(&table) {
                count += 1;
                let secrets = secrets_for(&document.path);
                let faults = faults(&block.text, &secrets);
                found.extend((!faults.is_empty()).then(|| format!("{place}: {faults}")));
            } else {
                let is_of_a_pack = document.path.starts_with("providers") || document.path.starts_with("upstreams");
                assert!(is_of_a_pack, "{place} is no configuration");
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
    assert!(count > 75, "only {count} configurations were found");
}

/// What a page of a provider shows as a remark works once the mark is taken away: the way to the provider's API.
#[test]
fn every_remark_of_a_source_works_when_it_is_switched_on() {
    let mut count = 0;
    for page in below("docs/providers").iter().filter(|page| !page.path.ends_with("README.md")) {
        let text = &page.blocks()[0].text;
        if !text.contains("\n# named_secrets = ") {
            continue;
        }
        count += 1;
        let is_replaced = |line: &&str| !line.starts_with("named_secrets");
        let switched: String =
            text.lines().filter(is_replaced).map(|line| format!("{}\n", line.trim_start_matches("# "))).collect();
        let secrets = secrets_of_the_cases(page.path.file_stem().unwrap().to_str().unwrap());
        assert_eq!(faults(&switched, &secrets), "", "{}", page.path.display());
    }
    assert!(count > 10, "only {count} were found");
}

#[test]
fn all_other_data_in_the_pages_can_be_read() {
    let mut count = 0;
    for document in below("docs") {
        for block in document.blocks() {
            let place = format!("{}, the block at line {}", document.path.display(), block.line);
            match block.language.as_str() {
                "yaml" => assert!(yaml_rust2::YamlLoader::load_from_str(&block.text).is_ok(), "{place} is not YAML"),
                "json" => assert!(serde_json::from_str::<serde_json::Value>(&block.text).is_ok(), "{place} is not JSON"),
                _ => continue,
            }
            count += 1;
        }
    }
    assert!(count > 2, "only {count} blocks were found");
}

#[test]
fn a_configuration_that_is_wrong_is_found() {
    let none = BTreeMap::new();
    assert!(faults("[server]\nsurprise = 1\n", &none).contains("server.surprise"));
    assert!(faults("[[sources]]\nname = \"a\"\npack = \"nobody\"\nsecrets = [\"x\"]\n", &none).contains("sources[0].pack"));
    assert_eq!(faults("[[upstreams]]\nname = \"log\"\ntemplate = \"log\"\nsources = [\"stripe\"]\n", &none), "");
}

fn is_configuration(table: &Table) -> bool {
    let schema = salebridge::app::schema();
    !table.is_empty() && table.keys().all(|key| schema["properties"][key].is_object())
}

/// What `check` says of a part of a configuration, with the rest as small as can be.
fn faults(text: &str, secrets: &BTreeMap<String, String>) -> String {
    let mut table: Table = filled(text, secrets).parse().unwrap();
    if !cfg!(feature = "otlp") {
        table.remove("traces");
    }
    let named = |value: &Value| Some(value.get("name")?.as_str()?.to_owned());
    let sources = table.get("sources").and_then(Value::as_array).cloned().unwrap_or_default();
    let there: Vec<String> = sources.iter().filter_map(named).collect();
    let asked = table.get("upstreams").and_then(Value::as_array).cloned().unwrap_or_default();
    let mut wanted: Vec<String> = asked
        .iter()
        .filter_map(|upstream| upstream.get("sources")?.as_array())
        .flatten()
        .filter_map(|name| Some(name.as_str()?.to_owned()))
        .filter(|name| !there.contains(name))
        .collect();
    if there.is_empty() && wanted.is_empty() {
        wanted.push("stripe".to_owned());
    }
    let more = wanted.iter().map(|name| format!("[[sources]]\nname = \"{name}\"\npack = \"stripe\"\nsecrets = [\"whsec_x\"]\n"));
    let more: Table = more.collect::<String>().parse().unwrap();
    if let Some(Value::Array(more)) = more.get("sources") {
        table.insert("sources".to_owned(), Value::Array(sources.into_iter().chain(more.iter().cloned()).collect()));
    }
    if let Value::Table(server) = table.entry("server").or_insert(Value::Table(Table::new())) {
        server.entry("public_url").or_insert("https://hooks.example.com".into());
    }
    let folder = tempfile::tempdir().unwrap();
    for dir in ["providers", "upstreams"] {
        std::fs::create_dir(folder.path().join(dir)).unwrap();
    }
    if let Some(Value::Table(tls)) = table.get_mut("server").and_then(|server| server.get_mut("tls")) {
        let certified = rcgen::generate_simple_self_signed(["hooks.example.com".to_owned()]).unwrap();
        for (key, text) in [("certificate", certified.cert.pem()), ("key", certified.signing_key.serialize_pem())] {
            std::fs::write(folder.path().join(key), text).unwrap();
            assert!(tls.insert(key.to_owned(), key.into()).is_some(), "tls has no {key}");
        }
    }
    let path = folder.path().join("config.toml");
    std::fs::write(&path, toml::to_string(&table).unwrap()).unwrap();
    salebridge::app::load(&path).err().map(|faults| faults.to_string()).unwrap_or_default()
}

/// The text with a value for each variable: of `secrets` where that has it, else one that is of the right form by the variable's name.
fn filled(text: &str, secrets: &BTreeMap<String, String>) -> String {
    let mut parts = text.split("${");
    let mut filled = parts.next().unwrap().to_owned();
    for part in parts {
        let (name, rest) = part.split_once('}').unwrap();
        let value = match secrets.get(name) {
            Some(secret) => secret.as_str(),
            None if name.ends_with("PATH_TOKEN") => "0123456789abcdef0123",
            None if secrets.contains_key("") => secrets[""].as_str(),
            None if name == "DATABASE_URL" => "postgres://bridge:secret@127.0.0.1/sales",
            None if name.ends_with("_URL") => "https://hooks.example.com/alarms",
            None if name.contains("SECRET") => "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
            None => "0123456789abcdef0123",
        };
        filled += value;
        filled += rest;
    }
    filled.replace("\"…\"", "\"acc1\"")
}

/// What the variables of a document stand for, where that is about one provider. A pack's README chooses their names itself, so there
/// whatever is asked for is the secret that the cases are signed with.
fn secrets_for(path: &Path) -> BTreeMap<String, String> {
    let parts: Vec<&str> = path.iter().map(|part| part.to_str().unwrap()).collect();
    match parts[..] {
        ["docs", "providers", page] if page != "README.md" => secrets_of_the_cases(page.trim_end_matches(".md")),
        ["providers", pack, "README.md"] => {
            let secrets = secrets_of_the_cases(pack);
            let variable = format!("{pack}_webhook_secret").to_uppercase().replace('-', "_");
            secrets.get(&variable).map(|secret| BTreeMap::from([(String::new(), secret.clone())])).unwrap_or_default()
        }
        _ => BTreeMap::new(),
    }
}

/// The variables of a pack's page with what its cases are signed with: `NAME_WEBHOOK_SECRET`, and one for each named secret.
fn secrets_of_the_cases(pack: &str) -> BTreeMap<String, String> {
    let name = |what: &str| format!("{pack}_{what}").to_uppercase().replace('-', "_");
    let mut secrets = BTreeMap::new();
    let folder = root().join("providers").join(pack).join("cases");
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "http") {
            continue;
        }
        for line in head_of(&path) {
            let Some((key, value)) = line.strip_prefix("# secret").and_then(|rest| rest.split_once(": ")) else { continue };
            let value = value.split("  ").next().unwrap().trim();
            let variable = key.strip_prefix('.').map_or_else(|| name("webhook_secret"), name);
            // What would have to be escaped in TOML is left to the value that stands in.
            if !value.contains(['"', '\\']) {
                secrets.entry(variable).or_insert_with(|| value.to_owned());
            }
        }
    }
    secrets
}

fn head_of(path: &Path) -> Vec<String> {
    let bytes = std::fs::read(path).unwrap();
    let text = String::from_utf8_lossy(&bytes);
    text.lines().take_while(|line| line.starts_with('#')).map(str::to_owned).collect()
}
