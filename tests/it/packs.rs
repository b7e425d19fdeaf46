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
