//! Templates keep their promises, and each sale goes to each upstream that takes it.

use std::collections::BTreeSet;
use std::path::Path;

use salebridge::forward::{CaseReport, Templates};
use serde_json::{Value, json};

use crate::harness::Bridge;
use crate::harness::process::run;
use crate::harness::webhooks::{razorpay, stripe_checkout, stripe_invoice, who};

fn reports() -> Vec<CaseReport> {
    let templates = Templates::load(&[]).unwrap_or_else(|faults| panic!("{faults}"));
    templates.names().map(|name| templates.run_cases(name).unwrap_or_else(|faults| panic!("{faults}"))).collect()
}

#[test]
fn every_case_of_every_template_holds() {
    for report in reports() {
        assert!(report.failures.is_empty(), "{}:\n{}", report.template, report.failures.join("\n\n"));
    }
}

#[test]
fn every_template_has_cases_for_every_class_of_answers_and_every_exponent() {
    let statuses: BTreeSet<u16> = [200, 301, 400, 401, 403, 404, 409, 422, 429, 500, 503].into();
    for report in reports() {
        let exponents: BTreeSet<u8> = report.amounts.iter().map(|(exponent, _, _)| *exponent).collect();
        assert!(exponents.is_superset(&[0, 2, 3].into()), "{}: {exponents:?}", report.template);
        if report.template != "log" {
            let answered: BTreeSet<u16> = report.outcomes.iter().map(|(status, _, _)| *status).collect();
            let lacking: Vec<&u16> = statuses.difference(&answered).collect();
            assert!(lacking.is_empty(), "{} has no case for {lacking:?}", report.template);
        }
    }
}

#[test]
fn a_template_of_ones_own_takes_the_place_of_a_shipped_one_and_its_faults_are_all_named() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = tempfile::tempdir().unwrap();
    let own = folder.path().join("dub.toml");
    let text = std::fs::read_to_string(root.join("upstreams/dub.toml")).unwrap();
    std::fs::write(&own, text.replace("https://api.dub.co\"", "https://dub.example.com\"")).unwrap();
    let templates = Templates::load(&[folder.path().to_owned()]).unwrap();
    assert_eq!(templates.get("dub").unwrap().upstream.base_url.as_deref(), Some("https://dub.example.com"));
    assert!(templates.get("cutmeshort").is_some());

    let broken = text
        .replace("path = \"/track/sale\"", "path = \"track/{nobody}\"")
        .replace("status = [\"2xx\"]\npointer", "status = [\"2yy\"]\npointer")
        .replace("capture", "caption")
        .replace("value = \"invoice_id\"", "value = \"left\"");
    std::fs::write(&own, broken).unwrap();
    let faults = Templates::load(&[folder.path().to_owned()]).unwrap_err().to_string();
    for part in ["request.path: must be empty or begin", "{nobody} is neither", "2yy is neither", "is known of adjustments only"]
    {
        assert!(faults.contains(part), "{part}: {faults}");
    }
}

#[test]
fn what_an_upstream_is_configured_with_is_checked_as_a_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.toml");
    let faults = |upstream: &str| {
        let source = "[[sources]]\nname = \"s\"\npack = \"stripe\"\nsecrets = [\"x\"]\n";
        std::fs::write(&path, format!("{source}[[upstreams]]\nname = \"u\"\n{upstream}\n")).unwrap();
        let output = run(Some(&path), &["check"]);
        String::from_utf8(output.stderr).unwrap() + String::from_utf8(output.stdout).unwrap().as_str()
    };
    let cases = [
        ("template = \"dub\"", "upstreams[0].token: is missing"),
        ("template = \"dub\"\ntoken = \"t\"\namount_unit = \"major\"", "amount_unit: is not one that Dub may mean"),
        ("template = \"firstpromoter\"\ntoken = \"t\"", "settings.account_id: is missing: the Account-ID"),
        ("template = \"dub\"\ntoken = \"t\"\nsettings = { x = \"1\" }", "settings.x: is not a setting of Dub"),
        ("template = \"webhook\"\nbase_url = \"https://a.example.com\"", "signing_secrets: is missing"),
        ("template = \"webhook\"\nsigning_secrets = [\"whsec_eA==\"]", "must be 24 to 64 bytes long"),
        ("template = \"webhook\"\nsigning_secrets = [\"whsec_eA==\"]", "base_url: is missing"),
        ("template = \"dub\"\ntoken = \"t\"\nbase_url = \"http://api.example.com\"", "must be https"),
        ("template = \"dub\"\ntoken = \"t\"\nsources = [\"shop\"]", "shop is not a source"),
        ("template = \"dub\"\ntoken = \"t\"\ncurrencies = []", "currencies: is an empty list"),
        ("template = \"dub\"\ntoken = \"t\"\ncurrencies = [\"USX\"]", "USX is not a currency"),
        ("template = \"endorsely\"\ntoken = \"t\"\nsettings = { organization_id = \"o\" }", "must name the one currency"),
        (
            "template = \"endorsely\"\ntoken = \"t\"\nsettings = { organization_id = \"o\" }\ncurrencies = [\"USD\"]\nwithout_click = \"send\"",
            "takes no sale without a click",
        ),
        ("template = \"dub\"\ntoken = \"t\"\nmax_in_flight = 0", "max_in_flight: must be between"),
        ("template = \"dub\"\ntoken = \"t\"\n[upstreams.retry]\nfirst_delay_secs = 0", "retry: must be between"),
        ("template = \"log\"\nbase_url = \"https://a.example.com\"", "base_url: is not used"),
        ("template = \"nothing\"", "nothing is not a template; there is affitor, affonso"),
    ];
    for (upstream, part) in cases {
        let said = faults(upstream);
        assert!(said.contains(part), "{upstream}: {said}");
    }
}

/// Four more upstreams on the same stand-in, each behind a path of its own.
fn four(uri: &str) -> String {
    let table = |name: &str, more: &str| {
        format!(
            "[[upstreams]]\nname = \"{name}\"\ntemplate = \"cutmeshort\"\ntoken = \"t\"\nbase_url = \"{uri}/{name}\"\n{more}\n"
        )
    };
    [
        table("stripe-only", "sources = [\"stripe\"]"),
        table("renewals", "events = [\"subscription_renewed\"]"),
        table("rupees", "currencies = [\"INR\"]"),
        table("tests", "accept = \"test\""),
    ]
    .concat()
}

#[actix_web::test]
async fn each_sale_goes_to_each_upstream_that_takes_it() {
    let mut bridge = Bridge::with(&four("http://127.0.0.1:9")).await;
    bridge.leaves_work();
    bridge.receives("stripe", &stripe_checkout(1, &who("c-1", "user_1"))).await;
    bridge.receives("stripe", &stripe_invoice(2, 1, "subscription_cycle", &json!({}))).await;
    bridge.receives("razorpay", &razorpay("payment.captured", "pay_1", &who("c-2", "user_2"), None)).await;
    bridge.settles().await;
    let went: Vec<(i64, String)> = bridge.deliveries().into_iter().map(|delivery| (delivery.sale, delivery.upstream)).collect();
    let wanted = [
        (1, "cutmeshort"),
        (1, "stripe-only"),
        (2, "cutmeshort"),
        (2, "stripe-only"),
        (2, "renewals"),
        (3, "cutmeshort"),
        (3, "rupees"),
    ];
    assert_eq!(went, wanted.map(|(sale, name)| (sale, name.to_owned())));
    // Those that lead nowhere delay nobody.
    bridge.forwards().await;
    let delivered = bridge.deliveries().into_iter().filter(|delivery| delivery.state.is_accepted()).count();
    assert_eq!(delivered, 3);
}

#[test]
fn an_upstream_explains_itself_and_is_tried_with_one_marked_sale() {
    let sink = crate::harness::process::Sink::start();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.toml");
    let source = "[[sources]]\nname = \"s\"\npack = \"stripe\"\nsecrets = [\"x\"]\n";
    let upstream = format!(
        "[[upstreams]]\nname = \"cms\"\ntemplate = \"cutmeshort\"\ntoken = \"very-secret-token\"\nbase_url = \"http://{}\"\n",
        sink.address
    );
    std::fs::write(&path, format!("{source}{upstream}")).unwrap();
    let said = |arguments: &[&str]| {
        let output = run(Some(&path), arguments);
        let text = String::from_utf8(output.stdout).unwrap() + String::from_utf8(output.stderr).unwrap().as_str();
        assert!(!text.contains("very-secret-token"), "{text}");
        (output.status.code(), text)
    };
    let (code, text) = said(&["upstream", "list"]);
    assert!(code == Some(0) && text.contains("cms") && text.contains("runs"), "{text}");
    let (code, text) = said(&["upstream", "show", "cms"]);
    assert!(code == Some(0) && text.contains("customerExternalId") && text.contains("rejected"), "{text}");

    let (code, text) = said(&["upstream", "test", "cms", "--dry-run"]);
    assert!(code == Some(0) && text.contains("12.34") && text.contains("Authorization: [redacted]"), "{text}");
    assert!(sink.bodies().is_empty(), "a dry run sends nothing");
    let (code, text) = said(&["upstream", "test", "cms", "--click", "c-9"]);
    assert_eq!(code, Some(0), "{text}");
    for part in ["HTTP 200", "delivered: accepted", "It must say 12.34 USD", "0.12 USD, set amount_unit = \"minor\""] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let sent: Value = serde_json::from_str(&sink.bodies()[0]).unwrap();
    assert!(sent["invoiceId"].as_str().unwrap().starts_with("salebridge-test-"), "{sent}");
    assert_eq!((sent["clickId"].as_str(), sent["customerName"].as_str()), (Some("c-9"), Some("Salebridge Test")));

    let (code, text) = said(&["upstream", "test", "nobody"]);
    assert!(code == Some(1) && text.contains("there is cms"), "{text}");
    let (code, text) = said(&["--json", "upstream", "list", "--templates"]);
    let list: Value = serde_json::from_str(&text).unwrap();
    assert!(code == Some(0) && list.as_array().unwrap().len() == 11, "{text}");
    let (code, text) = said(&["upstream", "cases"]);
    assert!(code == Some(0) && text.contains("cutmeshort"), "{text}");
}
