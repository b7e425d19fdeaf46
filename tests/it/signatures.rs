//! For every pack: whatever is changed in what was signed, in the signature, in its time or in the key is refused.

use proptest::prelude::*;
use salebridge::domain::{Headers, Request, Secret, Timestamp};
use salebridge::pack::{Registry, Source};

use crate::harness::{START, webhooks};

fn now() -> Timestamp {
    START.parse().unwrap()
}

fn sources() -> Vec<Source> {
    let packs = Registry::load(&[]).unwrap();
    packs.iter().map(|pack| Source::plain(pack, &[Secret::new(webhooks::SECRET)], None).unwrap()).collect()
}

fn signed(source: &Source, body: &[u8]) -> Request {
    let mut headers = Headers::default();
    for (name, value) in webhooks::signed(source, body, &[], now()) {
        headers.add(&name, value);
    }
    Request { source: source.name.to_string(), headers, body: body.to_vec(), url: None, received_at: now() }
}

fn is_believed(source: &Source, request: &Request) -> bool {
    source.pack.scheme.judge(&source.keys, request).is_ok()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_signed_is_believed_and_any_change_of_the_body_is_not(
        body in prop::collection::vec(any::<u8>(), 0..300), at in any::<prop::sample::Index>(), bit in 0_u8..8,
    ) {
        for source in sources() {
            let mut request = signed(&source, &body);
            prop_assert!(is_believed(&source, &request), "{}", source.name);
            let mut longer = request.clone();
            longer.body.push(b' ');
            prop_assert!(!is_believed(&source, &longer), "{}: a longer body", source.name);
            if !body.is_empty() {
                request.body[at.index(body.len())] ^= 1 << bit;
                prop_assert!(!is_believed(&source, &request), "{}: a flipped bit", source.name);
                request.body = body[..body.len() - 1].to_vec();
                prop_assert!(!is_believed(&source, &request), "{}: a shorter body", source.name);
            }
        }
    }

    #[test]
    fn another_key_and_another_time_are_refused(secret in "[a-zA-Z0-9]{1,60}", shift in 1_i64..1_000_000) {
        let body = br#"{"id":1}"#;
        for source in sources() {
            let stranger = source.with_secrets(&[Secret::new(secret.as_str())]);
            if let Ok(stranger) = stranger {
                prop_assert!(!is_believed(&source, &signed(&stranger, body)), "{}: another key", source.name);
            }
            // The signed time cannot be moved without the key, whatever the tolerance is.
            let mut request = signed(&source, body);
            let seconds = now().as_second();
            let moved: Vec<(String, String)> = request
                .headers
                .iter()
                .map(|(name, value)| (name.to_owned(), value.replace(&seconds.to_string(), &(seconds - shift).to_string())))
                .collect();
            let has_time = moved.iter().zip(request.headers.iter()).any(|(new, old)| new.1 != old.1);
            request.headers = Headers::default();
            moved.iter().for_each(|(name, value)| request.headers.add(name, value));
            prop_assert_eq!(is_believed(&source, &request), !has_time, "{}: another time", source.name);
        }
    }

    #[test]
    fn no_header_makes_it_panic_or_believe(value in "\\PC{0,400}") {
        let body = br#"{"id":1}"#;
        for source in sources() {
            let mut request = signed(&source, body);
            request.headers.set(source.pack.scheme.signature_header(), value.as_str());
            prop_assert!(!is_believed(&source, &request), "{}: {value:?}", source.name);
        }
    }
}

#[test]
fn a_truncated_signature_is_refused() {
    for source in sources() {
        let request = signed(&source, b"{}");
        let header = source.pack.scheme.signature_header();
        let value = request.headers.one(header).unwrap().to_owned();
        for changed in [&value[..value.len() - 2], &value[..value.len() / 2], "", ",", "=", "v1=", "v1,", "t=1"] {
            let mut request = request.clone();
            request.headers.set(header, changed);
            assert!(!is_believed(&source, &request), "{}: {changed:?}", source.name);
        }
    }
}

#[test]
fn long_headers_cost_no_time() {
    for source in sources() {
        for unit in ["v1=00,", "v1,AA== ", ";h1=00", "=,", "\u{7f}"] {
            let mut request = signed(&source, b"{}");
            request.headers.set(source.pack.scheme.signature_header(), unit.repeat(1_000_000 / unit.len()));
            assert!(!is_believed(&source, &request), "{}", source.name);
        }
    }
}
