//! Which module may import which. The arrows only go down; ARCHITECTURE.md shows the same table.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Module, and the modules of ours that it may import. Topmost first.
const TABLE: [(&str, &[&str]); 25] = [
    ("main", &["cli"]),
    (
        "cli",
        &[
            "alarm",
            "app",
            "attribute",
            "doctor",
            "domain",
            "explain",
            "forward",
            // A pack as a page says its rules in words.
            "map",
            "outbound",
            "overview",
            "pack",
            "receive",
            "rejudge",
            "remap",
            "store",
            "verify",
        ],
    ),
    (
        "app",
        &[
            "admin",
            "alarm",
            "attribute",
            "document",
            "domain",
            "enrich",
            "forward",
            "pack",
            "pipeline",
            "receive",
            "rejudge",
            "store",
            "trace",
        ],
    ),
    (
        "admin",
        &[
            "attribute",
            "doctor",
            "domain",
            "explain",
            "forward",
            "overview",
            "pack",
            "pipeline",
            "receive",
            "rejudge",
            "remap",
            "store",
            "verify",
        ],
    ),
    ("rejudge", &["doctor", "domain", "pack", "receive", "store", "verify"]),
    ("receive", &["doctor", "domain", "outbound", "pack", "pipeline", "store", "trace", "verify"]),
    ("overview", &["domain", "store"]),
    ("alarm", &["domain", "outbound", "store"]),
    ("explain", &["attribute", "doctor", "domain", "enrich", "map", "pack", "pipeline", "store", "verify"]),
    ("pipeline", &["attribute", "domain", "map", "pack", "store", "trace"]),
    ("remap", &["attribute", "domain", "map", "pack", "store"]),
    ("enrich", &["domain", "map", "outbound", "pack", "store", "trace"]),
    ("doctor", &["domain", "envelope", "pack", "verify"]),
    ("pack", &["document", "domain", "envelope", "map", "shipped", "verify"]),
    ("forward", &["attribute", "document", "domain", "outbound", "shipped", "store", "trace"]),
    ("store", &["attribute", "domain", "verify"]),
    ("attribute", &["domain"]),
    ("map", &["document", "domain", "envelope"]),
    ("verify", &["document", "domain", "envelope"]),
    ("trace", &["domain", "outbound"]),
    ("outbound", &["domain"]),
    ("envelope", &["domain"]),
    ("document", &["domain"]),
    ("shipped", &[]),
    ("domain", &[]),
];

#[test]
fn modules_import_only_what_the_table_allows() {
    let mut wrong = Vec::new();
    for (file, text) in sources() {
        let module = module_of(&file);
        let allowed = TABLE.iter().find(|(name, _)| *name == module).map(|(_, allowed)| *allowed);
        let allowed = allowed.unwrap_or_else(|| panic!("{module} is not in the table"));
        // What a test may use inside a module is the test's own business.
        let code = if file.ends_with("tests.rs") { "" } else { text.split("#[cfg(test)]\nmod tests {").next().unwrap() };
        for import in imports(code) {
            if import != module && !allowed.contains(&import.as_str()) {
                wrong.push(format!("{} imports {import}", file.display()));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn the_arrows_only_go_down() {
    let place: BTreeMap<&str, usize> = TABLE.iter().enumerate().map(|(index, (name, _))| (*name, index)).collect();
    for (name, allowed) in TABLE {
        for below in allowed {
            assert!(place[below] > place[name], "{name} → {below} goes up");
        }
    }
}

#[test]
fn only_their_own_rooms_know_http_sql_and_the_network() {
    let rules: [(&str, &[&str]); 4] = [
        // The demo's stand-in upstream is a server too; serve and demo run on actix's system.
        ("actix_web::", &["receive", "admin", "app", "cli"]),
        ("rusqlite::", &["store"]),
        ("postgres::", &["store"]),
        ("hyper", &["outbound"]),
    ];
    for (file, text) in sources() {
        for (word, rooms) in rules {
            let module = module_of(&file);
            assert!(!text.contains(word) || rooms.contains(&module.as_str()), "{} uses {word}", file.display());
        }
    }
}

#[test]
fn the_document_shows_the_same_table() {
    let document = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    for (name, allowed) in TABLE {
        let list = if allowed.is_empty() { "nothing".to_owned() } else { allowed.join(", ") };
        let row = format!("| `{name}` | {list} |");
        assert!(document.contains(&row), "ARCHITECTURE.md lacks the row {row}");
    }
}

#[test]
fn every_file_says_what_it_is() {
    for (file, text) in sources() {
        assert!(text.starts_with("//! "), "{} does not open with //!", file.display());
    }
}

#[test]
fn every_dependency_has_its_sentence() {
    let manifest: toml::Table = std::fs::read_to_string(root().join("Cargo.toml")).unwrap().parse().unwrap();
    let document = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    for kind in ["dependencies", "build-dependencies", "dev-dependencies"] {
        for name in manifest[kind].as_table().unwrap().keys() {
            assert!(document.contains(&format!("| `{name}` |")), "ARCHITECTURE.md says nothing of {name}");
        }
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn sources() -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    collect(&root().join("src"), &mut files);
    files.retain(|(path, _)| !path.ends_with("src/lib.rs"));
    assert!(files.len() > 40, "the sources were not found");
    files
}

fn collect(folder: &Path, files: &mut Vec<(PathBuf, String)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            files.push((path, text));
        }
    }
}

fn module_of(file: &Path) -> String {
    let inside = file.strip_prefix(root().join("src")).unwrap();
    inside.components().next().unwrap().as_os_str().to_str().unwrap().trim_end_matches(".rs").to_owned()
}

/// The modules that `crate::…` and `salebridge::…` name, braces included.
fn imports(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    for prefix in ["crate::", "salebridge::"] {
        for (at, _) in code.match_indices(prefix) {
            let rest = &code[at + prefix.len()..];
            match rest.strip_prefix('{') {
                Some(list) => {
                    let list = list.split('}').next().unwrap();
                    found.extend(list.split(',').map(|name| name.split("::").next().unwrap().trim().to_owned()));
                }
                None => found.push(rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()),
            }
        }
    }
    found.retain(|name| !name.is_empty());
    found
}
