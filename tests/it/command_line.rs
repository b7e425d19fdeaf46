//! The commands, as a person and as a program use them.

use serde_json::{Value, json};

use crate::harness::configuration;
use crate::harness::process::{Served, Sink, free_address, run, wait_until};

fn text(output: &std::process::Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn json_of(output: &std::process::Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

#[test]
fn the_demo_tells_the_whole_story_and_ends() {
    let demo = run(None, &["demo", "--once"]);
    assert!(demo.status.success(), "{demo:?}");
    let story = text(&demo);
    assert!(story.contains("dashboard at http://127.0.0.1:"), "{story}");
    for provider in ["stripe", "razorpay", "shopify", "paddle", "lemon-squeezy", "polar"] {
        let of_it: Vec<&str> = story.lines().filter(|line| line.starts_with(&format!("→ {provider} "))).collect();
        let count = |word: &str| of_it.iter().filter(|line| line.contains(word)).count();
        assert!(
            count("\"accepted\"") >= 1 && count("\"duplicate\"") >= 1 && count("signature_mismatch") == 1,
            "{provider}: {story}"
        );
        assert!(!story.contains("\u{1b}["), "no colour where nobody looks");
    }
    // Stripe's invoice comes before the checkout that carries its click.
    let place = |kind: &str| story.lines().position(|line| line.starts_with("→ stripe ") && line.contains(kind)).unwrap();
    assert!(place("invoice.paid") < place("checkout.session.completed"), "{story}");
    let sales = json_of(&run(None, &["demo", "--once", "--json"]));
    assert_eq!(sales.as_array().unwrap().len(), 6);
    for sale in sales.as_array().unwrap() {
        assert_eq!(sale["deliveries"][0]["state"], "delivered", "{sale}");
    }
}

#[test]
fn packs_are_listed_shown_and_tested() {
    let list = json_of(&run(None, &["pack", "list", "--json"]));
    assert!(list.as_array().unwrap().len() >= 48);
    let unsigned = list.as_array().unwrap().iter().filter(|pack| pack["signed"] == false);
    assert_eq!(
        unsigned.map(|pack| pack["name"].as_str().unwrap()).collect::<Vec<_>>(),
        ["gumroad", "mollie-classic", "yookassa"]
    );
    assert!(text(&run(None, &["pack", "list"])).contains("UNSIGNED"), "what is not signed is shown as such");
    assert!(text(&run(None, &["pack", "show", "gumroad"])).contains("UNSIGNED"));
    let shown = text(&run(None, &["pack", "show", "polar"]));
    assert!(
        shown.contains("order.paid") && shown.contains("HMAC-SHA-256 over {header:webhook-id}.{timestamp}.{body}"),
        "{shown}"
    );
    assert_eq!(run(None, &["pack", "show", "nobody"]).status.code(), Some(1));
    let root = env!("CARGO_MANIFEST_DIR");
    assert_eq!(run(None, &["pack", "test", &format!("{root}/providers")]).status.code(), Some(0));
    assert_eq!(run(None, &["pack", "test", &format!("{root}/providers/stripe")]).status.code(), Some(0));
    assert_eq!(run(None, &["pack", "test", &format!("{root}/src")]).status.code(), Some(2));
}

#[test]
fn a_new_pack_loads_and_its_cases_pass() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().to_str().unwrap();
    for scheme in ["body", "time", "standard-webhooks", "token", "basic"] {
        let made =
            run(None, &["pack", "new", &format!("my-{scheme}"), "--scheme", scheme, "--title", "My \"Shop\"", "--dir", dir]);
        assert_eq!(made.status.code(), Some(0), "{made:?}");
    }
    let tested = run(None, &["pack", "test", dir]);
    assert_eq!(tested.status.code(), Some(0), "{tested:?}");
    let again = run(None, &["pack", "new", "my-body", "--scheme", "body", "--dir", dir]);
    assert_eq!(again.status.code(), Some(2), "what is there is not touched: {again:?}");
    assert_eq!(run(None, &["pack", "new", "../Odd", "--scheme", "body", "--dir", dir]).status.code(), Some(2));
    let case = format!("{dir}/my-time/cases/paid.http");
    let explained = json_of(&run(None, &["explain", "--pack", &format!("{dir}/my-time"), &case, "--json"]));
    assert_eq!(explained["outcome"], "sale");
}

/// `salebridge pack list --markdown` and `salebridge pack schema` make what the documents hold.
#[test]
fn what_is_generated_from_the_packs_is_current() {
    let read = |file: &str| std::fs::read_to_string(format!("{}/{file}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let table = text(&run(None, &["pack", "list", "--markdown"]));
    assert!(
        read("providers/README.md").contains(table.trim()),
        "providers/README.md holds another table than `pack list --markdown`"
    );
    let schema = text(&run(None, &["pack", "schema"]));
    assert_eq!(read("providers/pack.schema.json"), schema, "providers/pack.schema.json is not what `pack schema` prints");
    // And the packs are what the schema's own words say: every key of every table is in it.
    let schema: Value = serde_json::from_str(&schema).unwrap();
    for table in ["pack", "verify", "envelope", "pings", "reply", "api", "enrich", "event", "reads", "keys", "money", "events"] {
        assert!(schema["properties"][table].is_object(), "{table}");
    }
    assert_eq!(schema["additionalProperties"], false, "unknown keys are refused");
}

#[test]
fn a_case_that_disagrees_fails_the_test_of_its_pack() {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("razorpay");
    let copied = std::process::Command::new("cp")
        .arg("-r")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/providers/razorpay"))
        .arg(&copy)
        .status();
    assert!(copied.unwrap().success());
    let case = std::fs::read_dir(copy.join("cases"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.to_str().unwrap().ends_with(".sale.json"))
        .unwrap();
    let changed = std::fs::read_to_string(&case)
        .unwrap()
        .replace("\"INR\"", "\"USD\"")
        .replace("\"JPY\"", "\"USD\"")
        .replace("\"KWD\"", "\"USD\"");
    std::fs::write(&case, changed).unwrap();
    let output = run(None, &["pack", "test", copy.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output).contains("currency: \"USD\" expected"), "{output:?}");
}

#[test]
fn explain_says_which_part_disagrees() {
    let root = env!("CARGO_MANIFEST_DIR");
    let folder = tempfile::tempdir().unwrap();
    let case = std::fs::read_dir(format!("{root}/providers/stripe/cases")).unwrap().map(|entry| entry.unwrap().path());
    let case = case.filter(|path| path.to_str().unwrap().ends_with(".sale.json")).min().unwrap();
    let http = case.to_str().unwrap().replace(".sale.json", ".http");
    let good = json_of(&run(None, &["explain", "--pack", "stripe", &http, "--json"]));
    assert_eq!((good["outcome"].as_str(), good["events"][0]["outcome"].as_str()), (Some("sale"), Some("sale")), "{good}");
    assert!(good["events"][0]["sale"]["amount"].is_number());

    let forged = folder.path().join("forged.http");
    std::fs::write(&forged, std::fs::read_to_string(&http).unwrap().replace("v1=", "v1=00")).unwrap();
    let bad = run(None, &["explain", "--pack", "stripe", forged.to_str().unwrap(), "--json"]);
    assert_eq!((bad.status.code(), json_of(&bad)["outcome"].as_str()), (Some(1), Some("refused")));
    assert!(json_of(&bad)["code"].is_string() && json_of(&bad)["reason"].is_string());
    assert_eq!(run(None, &["explain", "--pack", "stripe", "nowhere.http"]).status.code(), Some(2));
}

#[test]
fn health_says_whether_the_running_bridge_is_well() {
    let (folder, address) = (tempfile::tempdir().unwrap(), free_address());
    let config = folder.path().join("config.toml");
    std::fs::write(&config, configuration(&address, "http://127.0.0.1:9", "")).unwrap();
    let nobody = run(Some(&config), &["health"]);
    assert_eq!(nobody.status.code(), Some(1), "nobody answers: {nobody:?}");
    let mut served = Served::start(folder.path(), &address);
    let well = run(Some(&config), &["health", "--json"]);
    assert_eq!(json_of(&well), json!({"url": format!("http://{address}/healthz"), "status": 200}));
    let ready = run(Some(&config), &["health", "--ready"]);
    assert!(ready.status.success() && text(&ready).contains("/readyz answers 200"), "{ready:?}");
    // A file that is being mended does not make it ill, and another address can be asked.
    std::fs::write(&config, format!("[server]\nlisten = \"{address}\"\n[[sources]]\nname = 7\n")).unwrap();
    assert_eq!(run(Some(&config), &["health"]).status.code(), Some(0));
    assert_eq!(run(None, &["health", "--url", &format!("http://{address}/")]).status.code(), Some(0));
    served.signal("STOP");
    assert_eq!(run(Some(&config), &["health", "--timeout-secs", "1"]).status.code(), Some(1), "it stands still");
    served.signal("CONT");
    assert!(served.stop());
}

#[test]
fn a_running_bridge_takes_samples_and_shows_what_became_of_them() {
    let (folder, sink, address) = (tempfile::tempdir().unwrap(), Sink::start(), free_address());
    std::fs::write(folder.path().join("config.toml"), configuration(&address, &format!("http://{}", sink.address), "")).unwrap();
    let served = Served::start(folder.path(), &address);
    let case = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/providers/stripe/cases"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let case =
        case.filter(|name| name.contains("checkout") && name.ends_with(".sale.json")).min().unwrap().replace(".sale.json", "");
    let sent = served.json(&["send", "stripe", &case, "--set", "data.object.metadata.clickId=c-99"]);
    assert_eq!(sent, json!({"status": 200, "body": {"status": "accepted", "request": 1}}));
    wait_until("it is delivered", || served.json(&["deliveries", "list"])[0]["state"] == "delivered");
    assert!(sink.bodies()[0].contains("\"clickId\":\"c-99\""));

    let sale = served.json(&["sales", "show", "1"]);
    assert_eq!(sale["trail"]["clickId"]["path"], "$.data.object.metadata['clickId']");
    assert_eq!(sale["deliveries"][0]["state"], "delivered");
    assert_eq!(served.json(&["sales", "list"])[0]["id"], 1);
    assert_eq!(served.json(&["requests", "list"])[0]["outcome"], "sale");
    assert_eq!(served.json(&["deliveries", "show", "1"])["history"][0]["status"], 200);
    let config = folder.path().join("config.toml");
    for command in ["sales", "requests", "deliveries"] {
        assert!(run(Some(&config), &[command, "list"]).status.success());
        assert!(run(Some(&config), &[command, "show", "1"]).status.success());
        assert_eq!(run(Some(&config), &[command, "show", "99"]).status.code(), Some(1));
    }
    assert_eq!(run(Some(&config), &["deliveries", "retry", "1", "--yes"]).status.code(), Some(1), "it was accepted already");
    assert_eq!(run(Some(&config), &["send", "stripe", "no-such-case"]).status.code(), Some(2));
}

#[test]
fn listings_of_a_store_that_is_not_there_say_so() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config.toml");
    std::fs::write(&config, configuration("127.0.0.1:0", "http://127.0.0.1:9", "")).unwrap();
    let output = run(Some(&config), &["sales", "list"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("there is no such store yet"), "{output:?}");
}
