//! The dashboard and the alert rules ask only for what is exposed, under labels that it has.

use std::collections::{BTreeMap, BTreeSet};

use salebridge::app::{Kind, METRICS};
use serde_json::Value;
use yaml_rust2::{Yaml, YamlLoader};

/// What a scrape adds by itself.
const OF_THE_SCRAPE: [&str; 2] = ["instance", "job"];

fn read(file: &str) -> String {
    std::fs::read_to_string(format!("{}/packaging/grafana/{file}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// The names of metrics in an expression, each with the labels that are asked of it in braces.
fn asked(expression: &str) -> Vec<(String, Vec<String>)> {
    let mut found = Vec::new();
    for (at, _) in expression.match_indices("salebridge_") {
        let name: String = expression[at..].chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
        let rest = &expression[at + name.len()..];
        let inside = rest.strip_prefix('{').and_then(|rest| rest.split_once('}')).map_or("", |(inside, _)| inside);
        let labels = inside.split(',').filter_map(|part| part.trim().split(['=', '!']).next()).filter(|label| !label.is_empty());
        found.push((name, labels.map(str::to_owned).collect()));
    }
    found
}

/// The labels that an expression groups by.
fn grouped(expression: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for word in ["by (", "on (", "group_left ("] {
        for rest in expression.split(word).skip(1) {
            found.extend(rest.split(')').next().unwrap().split(',').map(|label| label.trim().to_owned()));
        }
    }
    found
}

/// Fails where an expression asks for what nobody exposes. Answers with the metrics that it asks for.
fn checked(place: &str, expression: &str) -> BTreeSet<&'static str> {
    let mut used = BTreeSet::new();
    let mut labels: BTreeSet<&str> = OF_THE_SCRAPE.into_iter().collect();
    for (name, given) in asked(expression) {
        let metric = METRICS.iter().find(|metric| {
            let rest = name.strip_prefix(metric.name);
            let is_histogram = matches!(metric.kind, Kind::Seconds(_) | Kind::Sizes(_));
            match rest {
                Some("") => !is_histogram,
                Some("_bucket" | "_sum" | "_count") => is_histogram,
                Some(_) | None => false,
            }
        });
        let metric = metric.unwrap_or_else(|| panic!("{place} asks for {name}, which nobody exposes"));
        for label in given {
            assert!(metric.labels.contains(&label.as_str()), "{place}: {name} has no label {label}");
        }
        labels.extend(metric.labels);
        if name.ends_with("_bucket") {
            labels.insert("le");
        }
        used.insert(metric.name);
    }
    for label in grouped(expression) {
        assert!(labels.contains(label.as_str()), "{place} groups by {label}, which {expression} does not have");
    }
    used
}

#[test]
fn the_dashboard_asks_for_what_is_exposed() {
    let dashboard: Value = serde_json::from_str(&read("dashboard.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let rows: Vec<&str> = panels.iter().filter(|panel| panel["type"] == "row").filter_map(|row| row["title"].as_str()).collect();
    assert_eq!(rows, ["Now", "Funnel", "Latency", "Queues", "Upstreams", "Store"]);
    let (mut used, mut ids, mut places) = (BTreeSet::new(), BTreeSet::new(), BTreeMap::new());
    for panel in panels {
        let title = panel["title"].as_str().unwrap();
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{title}: its number is another panel's as well");
        let place = &panel["gridPos"];
        let [x, y, w, h] = ["x", "y", "w", "h"].map(|side| place[side].as_u64().unwrap());
        assert!(x + w <= 24, "{title} is wider than the dashboard");
        for (left, top) in (x..x + w).flat_map(|left| (y..y + h).map(move |top| (left, top))) {
            if let Some(other) = places.insert((left, top), title) {
                panic!("{title} lies over {other}");
            }
        }
        for target in panel["targets"].as_array().into_iter().flatten() {
            assert_eq!(target["datasource"]["uid"], "${datasource}", "{title}");
            used.extend(checked(title, target["expr"].as_str().unwrap()));
        }
    }
    for variable in dashboard["templating"]["list"].as_array().unwrap() {
        if let Some(query) = variable["query"]["query"].as_str() {
            let inside = query.strip_prefix("label_values(").and_then(|rest| rest.strip_suffix(')')).unwrap();
            let (metric, label) = inside.split_once(", ").unwrap();
            checked(query, &format!("sum by ({label}) ({metric})"));
        }
    }
    let all: BTreeSet<&str> = METRICS.iter().map(|metric| metric.name).collect();
    assert_eq!(all.difference(&used).collect::<Vec<_>>(), Vec::<&&str>::new(), "every metric is shown somewhere");
}

#[test]
fn each_alert_rule_asks_for_what_is_exposed_and_says_what_to_do() {
    let documents = YamlLoader::load_from_str(&read("alerts.yml")).unwrap();
    let mut names = BTreeSet::new();
    for group in documents[0]["groups"].as_vec().unwrap() {
        for rule in group["rules"].as_vec().unwrap() {
            let name = rule["alert"].as_str().unwrap();
            assert!(name.starts_with("Salebridge") && names.insert(name), "{name}");
            let text = |part: &Yaml| part.as_str().unwrap_or_default().to_owned();
            let used = checked(name, &text(&rule["expr"]));
            assert!(!used.is_empty() || name == "SalebridgeDown", "{name} asks for nothing of ours");
            assert!(["warning", "critical"].contains(&text(&rule["labels"]["severity"]).as_str()), "{name}");
            for part in ["summary", "description", "runbook"] {
                assert!(text(&rule["annotations"][part]).len() > 15, "{name} has no {part}");
            }
            for command in text(&rule["annotations"]["runbook"]).split('`').skip(1).step_by(2) {
                let words = command.replace("NAME", "n").replace("ID", "1");
                let parsed = <salebridge::cli::Arguments as clap::Parser>::try_parse_from(words.split_whitespace());
                assert!(parsed.is_ok(), "{name}: {command} is no command");
            }
        }
    }
    assert!(names.len() > 10, "the rules were not found");
}
