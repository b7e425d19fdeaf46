//! Every shipped pack keeps its promises, and a wrong pack is refused with all its faults.

use std::sync::Arc;

use salebridge::explain::test_pack;
use salebridge::pack::{Folder, Pack, Registry};

#[actix_web::test]
async fn every_case_of_every_pack_passes() {
    let packs = Registry::load(&[]).unwrap();
    assert!(packs.iter().count() >= 48);
    let mut cases = 0;
    for pack in packs.iter() {
        let report = test_pack(pack, crate::harness::START.parse().unwrap()).await;
        assert!(report.passed, "{report:#?}");
        cases += report.cases.len();
    }
    assert!(cases > 3_000, "{cases}");
}

#[test]
fn leaving_out_any_part_of_verify_is_a_fault() {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/providers/stripe/pack.toml")).unwrap();
    let parts = [
        "scheme = ",
        "covers = ",
        "digest = ",
        "encoding = ",
        "keys = [\"utf8\"]",
        "signed = ",
        "header = \"Stripe",
        "format = ",
        "separator = ",
        "label = \"v1\"",
        "label = \"t\"",
        "unit = \"seconds\"",
        "max_age_secs",
        "max_ahead_secs",
    ];
    for part in parts {
        let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with(part)).collect();
        assert_ne!(lines.len(), text.lines().count(), "{part} is not in the pack");
        assert!(load(&lines.join("\n")).is_err(), "a pack without {part} loads");
    }
    let without_body = text.replace("{timestamp}.{body}", "{timestamp}");
    assert!(load(&without_body).unwrap_err().contains("verify.signed"), "a pack that does not sign the body loads");
}

/// Whatever a shipped pack says about verifying is needed: without any part of it the pack does not load.
#[test]
fn no_pack_loads_without_any_part_of_its_verification() {
    let (mut packs, mut parts) = (0, 0);
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/providers")).unwrap() {
        let file = entry.unwrap().path().join("pack.toml");
        let Ok(text) = std::fs::read_to_string(&file) else { continue };
        packs += 1;
        let whole: toml::Table = text.parse().unwrap();
        assert!(load(&whole.to_string()).is_ok(), "{}", file.display());
        for path in paths(&whole["verify"], "") {
            let mut without = whole.clone();
            take_out(without.get_mut("verify").unwrap(), &path);
            assert!(load(&without.to_string()).is_err(), "{} loads without verify.{path}", file.display());
            parts += 1;
        }
    }
    assert!(packs >= 48 && parts > 500, "{packs} packs, {parts} parts");
}

/// The keys below a value that no scheme can do without.
fn paths(value: &toml::Value, prefix: &str) -> Vec<String> {
    // An alternative's guard and name, a prefix, several signatures in one place, a list's narrower place and a further demand
    // make a scheme stricter or friendlier; without them it is another one, not a weaker one.
    const CHOICES: [&str; 8] = ["name", "when", "prefix", "secret", "also", "at", "inside", "separator"];
    let ways = value.as_array().filter(|ways| ways.iter().all(toml::Value::is_table));
    let from_ways = ways.into_iter().flatten().enumerate().flat_map(|(index, way)| paths(way, &format!("{prefix}{index}.")));
    let table = value.as_table();
    let own = table.into_iter().flat_map(toml::Table::keys).filter(|key| !CHOICES.contains(&key.as_str()));
    let inner = table.into_iter().flatten().filter(|(key, _)| *key != "when");
    from_ways
        .chain(own.map(|key| format!("{prefix}{key}")))
        .chain(inner.flat_map(|(key, value)| paths(value, &format!("{prefix}{key}."))))
        .collect()
}

fn take_out(value: &mut toml::Value, path: &str) {
    match (path.split_once('.'), value) {
        (Some((index, rest)), toml::Value::Array(ways)) => take_out(&mut ways[index.parse::<usize>().unwrap()], rest),
        (Some((key, rest)), toml::Value::Table(table)) => take_out(table.get_mut(key).unwrap(), rest),
        (None, toml::Value::Table(table)) => drop(table.remove(path)),
        (_, value) => panic!("{path} is not in {value}"),
    }
}

/// The rest of a pack around a `[verify]` of a test's own.
const AROUND: &str = r#"
[event]
type = "$.type"
at = { paths = ["$.at"], form = "auto" }

[keys]
identifying = ["order"]
globally_unique = true

[[events]]
types = ["paid"]
sale = "order_paid"
rank = 1
amount = { paths = ["$.amount"], unit = "major" }
currency = ["$.currency"]
keys = { order = ["$.order"] }
"#;

fn with_verify(verify: &str) -> Result<Arc<Pack>, String> {
    let about = "[pack]\nname = \"own\"\ntitle = \"X\"\ndocs = \"x\"\nsubscribe = []\nevidence = \"vendor\"\n";
    load(&format!("{about}{verify}{AROUND}"))
}

#[test]
fn what_leaves_a_way_around_the_signature_does_not_load() {
    let hmac = "scheme = \"hmac\"\ncovers = \"body\"\ndigest = \"sha256\"\nencoding = \"hex\"\nkeys = [\"utf8\"]\n\
                signature = { header = \"x-sig\", format = \"plain\" }\n";
    let time = "timestamp = { header = \"x-time\", unit = \"seconds\", max_age_secs = 300, max_ahead_secs = 300 }\n";
    let verify = |rest: &str| format!("[verify]\n{hmac}{rest}");
    let hash = hmac.replace("\"hmac\"", "\"hash\"").replace("keys = [\"utf8\"]\n", "");
    let fields = |rest: &str| verify(rest).replace("covers = \"body\"", "covers = \"fields\"");
    let two = |weaker: &str| {
        let strong = hmac.replace("scheme", "name = \"strong\"\nwhen = { header = \"x-sig\", exists = true }\nscheme");
        format!("[[verify]]\n{strong}signed = \"{{body}}\"\n[[verify]]\nname = \"weak\"\n{weaker}\n")
    };
    assert!(with_verify(&verify("signed = \"{body}\"\n")).is_ok(), "what follows differs from a pack that loads");
    for (what, text, fault) in [
        ("a body that may vanish", verify("signed = \"{header:x-id}[{body}]\"\n"), "{body} exactly once"),
        ("one template without the body", verify("signed = [\"{body}\", \"{header:x-id}\"]\n"), "{body} exactly once"),
        ("a time that may vanish", verify(&format!("signed = \"[{{timestamp}}.]{{body}}\"\n{time}")), "{timestamp}"),
        (
            "a time that one template lacks",
            verify(&format!("signed = [\"{{timestamp}}{{body}}\", \"{{body}}\"]\n{time}")),
            "{timestamp}",
        ),
        ("a time that nobody signs", verify(&format!("signed = \"{{body}}\"\n{time}")), "anyone could change it"),
        ("a hash without a secret", format!("[verify]\n{hash}signed = \"{{body}}\"\n"), "{secret}"),
        (
            "a hash whose secret may vanish",
            format!("[verify]\n{hash}signed = \"[{{header:x}}{{secret}}]{{body}}\"\n"),
            "{secret}",
        ),
        ("fields of which none is named", fields("signed = \"{header:x-id}\"\n"), "names no field"),
        ("only fields where the body is promised", verify("signed = \"{json:$.order}\"\n"), "{body} exactly once"),
        ("a form that the body is not", fields("signed = \"{form:order}\"\n"), "[envelope]"),
        ("a CRC-32 as if it bound the body", verify("signed = \"{secret}{body:crc32}\"\n"), "{body} exactly once"),
        (
            "a certificate for anybody",
            verify("signed = \"{body}\"\ncertificate = { header = \"x\", host = \"com\", names = [] }\n")
                .replace("\"hmac\"", "\"certificate\"")
                .replace("keys = [\"utf8\"]\n", ""),
            "certificate.names",
        ),
        ("an unsigned way beside a signed one", two("scheme = \"unsigned\"\ncovers = \"nothing\"\nips = []"), "binds less"),
        (
            "the same secret in a weaker way",
            two("scheme = \"equal\"\ncovers = \"nothing\"\nsignature = { header = \"x-token\", format = \"plain\" }"),
            "binds less",
        ),
        (
            "a token that binds nothing, called more",
            verify("")
                .replace("\"hmac\"", "\"equal\"")
                .replace("digest = \"sha256\"\nencoding = \"hex\"\nkeys = [\"utf8\"]\n", ""),
            "cannot cover",
        ),
    ] {
        let found = with_verify(&text).expect_err(what);
        assert!(found.contains(fault), "{what}: {fault} is missing in:\n{found}");
    }
}

#[actix_web::test]
async fn what_events_know_reaches_the_right_sale() {
    let folder = Folder::read(std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/fixtures/ledger"))).unwrap();
    let pack = Arc::new(Pack::load(folder).unwrap());
    let report = test_pack(&pack, crate::harness::START.parse().unwrap()).await;
    assert!(report.cases.len() >= 5 && report.cases.iter().all(|case| case.passed), "{report:#?}");
}

#[test]
fn a_wrong_pack_reports_all_its_faults_with_file_and_key() {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/providers/razorpay/pack.toml")).unwrap();
    let wrong = text
        .replace("scheme = \"hmac\"", "scheme = \"none\"")
        .replace("form = \"unix_seconds\"", "form = \"unix\"")
        .replace("[keys]", "[keys]\nsurprise = 1");
    let faults = load(&wrong).unwrap_err();
    for key in ["pack.toml: verify.scheme: ", "pack.toml: event.at.form: ", "pack.toml: keys.surprise: "] {
        assert!(faults.contains(key), "{key} is missing in:\n{faults}");
    }
    let wrong = text
        .replace("$.payload.payment.entity.id", "$.payload..[")
        .replace("rank = 1", "")
        .replace("sale = \"order_paid\"", "sale = \"order_payed\"");
    let faults = load(&wrong).unwrap_err();
    for part in ["is not a path (RFC 9535)", "order_payed is not a canonical name", "rank: is missing"] {
        assert!(faults.contains(part), "{part} is missing in:\n{faults}");
    }
}

#[test]
fn a_folder_adds_and_overrides_packs() {
    let folder = tempfile::tempdir().unwrap();
    let pack = folder.path().join("our-shop");
    std::fs::create_dir(&pack).unwrap();
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/providers/shopify/pack.toml")).unwrap();
    std::fs::write(pack.join("pack.toml"), text.replace("name = \"shopify\"", "name = \"our-shop\"")).unwrap();
    let packs = Registry::load(&[folder.path().to_path_buf()]).unwrap();
    assert!(packs.get("our-shop").is_some() && packs.get("stripe").is_some());
    std::fs::write(pack.join("pack.toml"), "nonsense").unwrap();
    assert!(Registry::load(&[folder.path().to_path_buf()]).is_err(), "a wrong pack is never passed over");
}

/// Loads a pack of this text; the faults as text.
fn load(text: &str) -> Result<Arc<Pack>, String> {
    let name = text.lines().find_map(|line| line.strip_prefix("name = \"")).unwrap().trim_end_matches('"');
    let folder = tempfile::tempdir().unwrap();
    let pack = folder.path().join(name);
    std::fs::create_dir(&pack).unwrap();
    std::fs::write(pack.join("pack.toml"), text).unwrap();
    Pack::load(Folder::read(&pack).unwrap()).map(Arc::new).map_err(|faults| faults.to_string())
}
