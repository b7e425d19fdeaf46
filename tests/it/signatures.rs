//! Whatever a sender writes where signatures, times and packed bodies stand: no panic, no belief, no time lost. What is changed in
//! what was signed is in `src/verify/tests.rs`, where the parts of a scheme can be named.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use salebridge::domain::{Request, Timestamp};
use salebridge::envelope::{Envelope, Shape};
use salebridge::pack::{Expected, Registry, Source, scenarios};

use crate::harness::START;

fn now() -> Timestamp {
    START.parse().unwrap()
}

/// A source of every pack with a genuine request, made once.
fn genuine() -> &'static [(Source, Request)] {
    static ALL: LazyLock<Vec<(Source, Request)>> = LazyLock::new(load);
    &ALL
}

fn load() -> Vec<(Source, Request)> {
    let mut found = Vec::new();
    for pack in Registry::load(&[]).unwrap().iter() {
        let (scenarios, _) = scenarios(&pack.folder);
        let mut accepted = scenarios.into_iter().filter(|scenario| matches!(scenario.expected, Expected::Sales(_)));
        let step = accepted.next().unwrap().steps.remove(0);
        let source = Source::plain(pack, step.case.circumstances(false).unwrap()).unwrap();
        found.push((source, step.case.request(pack.name(), now())));
    }
    found
}

fn is_believed(source: &Source, request: &Request) -> bool {
    source.pack.scheme.judge(&source.keys, request, None).is_ok()
}

/// The headers of the request in which its scheme looks for a signature or a time.
fn own_headers<'a>(source: &'a Source, request: &Request) -> Vec<&'a str> {
    source.pack.scheme.own_headers().into_iter().filter(|name| request.headers.one(name).is_some()).collect()
}

/// The request with this text in every header and value of the query that its scheme looks at; `None` where it has none.
fn with_everywhere(source: &Source, request: &Request, text: &str) -> Option<Request> {
    let mut changed = request.clone();
    for header in own_headers(source, request) {
        changed.headers.set(header, text);
    }
    for name in source.pack.scheme.own_queries().into_iter().filter(|name| request.query_value(name).is_some()) {
        changed.query = Some(format!("{name}={}", url_encoded(text)));
    }
    (changed != *request).then_some(changed)
}

fn url_encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn no_header_makes_it_panic_or_believe(text in "\\PC{0,400}") {
        for (source, request) in genuine() {
            if let Some(request) = with_everywhere(source, request, &text) {
                prop_assert!(!is_believed(source, &request), "{}: {text:?}", source.name);
            }
        }
    }

    #[test]
    fn no_grammar_makes_it_panic_or_believe(parts in prop::collection::vec("(t|ts|te|li|v0|v1|v1a|h|h1|sha256|[0-9a-f]{0,70}|[A-Za-z0-9+/=]{0,90}|[=,;:/|&. ])", 0..40)) {
        let text = parts.concat();
        for (source, request) in genuine() {
            if let Some(request) = with_everywhere(source, request, &text) {
                prop_assert!(!is_believed(source, &request), "{}: {text:?}", source.name);
            }
        }
    }

    #[test]
    fn no_body_makes_verifying_or_mapping_panic(body in prop::collection::vec(any::<u8>(), 0..600)) {
        for (source, request) in genuine() {
            let request = Request { body: body.clone(), ..request.clone() };
            is_believed(source, &request);
            let view = salebridge::map::RequestView { id: 1, request: &request, answers: &[] };
            prop_assert!(!source.mapping.map(view).is_empty());
        }
    }

    #[test]
    fn no_json_makes_mapping_panic(text in r#"(\{|\}|\[|\]|"[a-z_]{0,9}"|:|,|-?[0-9]{1,20}(\.[0-9]{1,9})?|true|null| ){0,80}"#) {
        for (source, request) in genuine() {
            let request = Request { body: text.clone().into_bytes(), ..request.clone() };
            let view = salebridge::map::RequestView { id: 1, request: &request, answers: &[] };
            prop_assert!(!source.mapping.map(view).is_empty());
        }
    }

    #[test]
    fn a_part_of_a_document_is_the_same_as_in_the_whole(value in any_json(4)) {
        let text = value.to_string();
        let request = |body: &str| Request { body: body.as_bytes().to_vec(), ..genuine()[0].1.clone() };
        let whole = Envelope::default().open(&request(&text), &Shape::whole()).unwrap();
        for path in ["$.a", "$.a.b", "$.a.b.a", "$.b[0]", "$.b[*].a", "$..a", "$.a['a','b']"] {
            let path = salebridge::envelope::Path::parse(path).unwrap();
            let part = Envelope::default().open(&request(&text), &Shape::of([&path])).unwrap();
            prop_assert_eq!(path.all(&whole), path.all(&part), "{} in {}", path.text(), &text);
        }
    }
}

/// JSON of a few names, so that paths often meet something.
fn any_json(depth: u32) -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        "[a-z]{0,4}".prop_map(Into::into),
    ];
    leaf.prop_recursive(depth, 48, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            prop::collection::vec(("[abc]", inner), 0..4)
                .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
        ]
    })
}

#[test]
fn a_truncated_signature_is_refused() {
    for (source, request) in genuine() {
        for header in own_headers(source, request) {
            let value = request.headers.one(header).unwrap().to_owned();
            for changed in [&value[..value.len() / 4], "", ",", "=", "v1=", "v1,", "t=1", "Basic", "Basic "] {
                let mut request = request.clone();
                request.headers.set(header, changed);
                assert!(!is_believed(source, &request), "{}: {changed:?}", source.name);
            }
        }
    }
}

/// A megabyte of anything costs no more than a linear look at it, even in a build that is not optimised.
#[test]
fn long_inputs_cost_no_time() {
    let limit = Duration::from_secs(20);
    let size = 1_000_000;
    let units = [
        "v1=00,",
        "v1,AA== ",
        ";h1=00",
        "=,",
        "&a=1",
        "a[]=1&",
        "a[b][c]=1&",
        "%41",
        "[",
        "{\"a\":",
        "\"",
        "1",
        "<a>",
        "<a/>",
        "&lt;",
        "\\",
        "AAAA",
        "x",
        " ",
        "t=1,",
        "1/sha256/00,",
        "|",
    ];
    for (source, request) in genuine() {
        for unit in units {
            let long = unit.repeat(size / unit.len());
            let started = Instant::now();
            for header in own_headers(source, request) {
                let mut request = request.clone();
                request.headers.set(header, long.as_str());
                assert!(!is_believed(source, &request), "{}: {unit}", source.name);
            }
            let request = Request { body: long.into_bytes(), ..request.clone() };
            is_believed(source, &request);
            let view = salebridge::map::RequestView { id: 1, request: &request, answers: &[] };
            source.mapping.map(view);
            assert!(started.elapsed() < limit, "{}: {unit} took {:?}", source.name, started.elapsed());
        }
    }
}
