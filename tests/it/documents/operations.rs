//! The page for operators forgets nothing that the program can say.

use schemars::{JsonSchema, schema_for};

use super::read;

/// The words of an enum as they are written and shown.
fn words<T: JsonSchema>() -> Vec<String> {
    let schema = serde_json::to_value(schema_for!(T)).unwrap();
    let words: Vec<String> =
        schema["oneOf"].as_array().unwrap().iter().map(|choice| choice["const"].as_str().unwrap().to_owned()).collect();
    assert!(words.len() > 2, "{schema}");
    words
}

#[test]
fn every_alarm_has_a_paragraph_that_says_what_to_do() {
    let alarms = read("docs/alarms.md");
    let page = read("docs/operations.md");
    let kinds: Vec<&str> = alarms.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    assert_eq!(kinds.len(), 6, "{kinds:?}");
    for kind in kinds {
        assert!(salebridge::alarm::Kind::of_name(&format!("{kind}:x")).is_some(), "{kind} is no alarm");
        assert!(page.contains(&format!("### {kind}\n")), "docs/operations.md does not say what to do about {kind}");
    }
}

#[test]
fn every_diagnosis_and_every_outcome_is_explained() {
    let page = read("docs/operations.md");
    let metrics = read("docs/metrics.md");
    let row = metrics.lines().find(|line| line.starts_with("| `outcome` of attempts |")).unwrap();
    let outcomes: Vec<String> = row.split('`').skip(3).step_by(2).map(str::to_owned).collect();
    assert_eq!(outcomes.len(), 8, "{outcomes:?}");
    for code in words::<salebridge::doctor::Code>().into_iter().chain(outcomes) {
        assert!(page.contains(&format!("`{code}`")), "docs/operations.md does not say what to do about {code}");
    }
}

/// What the engine itself parks; packs have words of their own, which stand on their pages.
#[test]
fn every_reason_for_which_the_engine_parks_is_explained() {
    let page = read("docs/operations.md");
    let guide = read("providers/README.md");
    let (_, listed) = guide.split_once("It parks ").unwrap();
    let (listed, _) = listed.split_once(".\n").unwrap();
    let codes: Vec<&str> = listed.split('`').skip(1).step_by(2).collect();
    assert!(codes.len() > 12, "{codes:?}");
    for code in
        codes.into_iter().chain(["enrich_failed", "too_many_events", "source_unknown", "customer_unknown", "nothing_left"])
    {
        assert!(page.contains(&format!("`{code}`")), "docs/operations.md does not say what to do about {code}");
    }
}
