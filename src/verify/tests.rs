//! For every pack, starting from its own cases: whatever is changed in what was signed, in the signature, in its time or in a
//! secret is refused.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use proptest::prelude::*;
use serde_json::Value;

use super::alternative::Alternative;
use super::input::Input;
use super::signature::Spot;
use super::spec::{Covers, SchemeName};
use super::timestamp::StampPlace;
use super::token::What;
use super::{Chain, Secrets};
use crate::domain::{Request, Secret, Timestamp};
use crate::envelope::{Shape, pairs};
use crate::pack::{Circumstances, Expected, Fetched, Registry, Source, scenarios};

/// So many genuine cases of each pack are tampered with.
const CASES: usize = 4;

/// A genuine request of a pack, with all that is needed to judge it.
struct Genuine {
    name: String,
    source: Source,
    circumstances: Circumstances,
    request: Request,
    fetched: Option<Fetched>,
}

impl Genuine {
    /// Every pack's, made once.
    fn all() -> &'static [Self] {
        static ALL: LazyLock<Vec<Genuine>> = LazyLock::new(Genuine::load);
        &ALL
    }

    fn load() -> Vec<Self> {
        let now: Timestamp = "2026-11-22T05:11:00Z".parse().expect("a timestamp");
        let mut found = Vec::new();
        for pack in Registry::load(&[]).expect("the packs load").iter() {
            let (scenarios, _) = scenarios(&pack.folder);
            let accepted = scenarios.into_iter().filter(|scenario| matches!(scenario.expected, Expected::Sales(_)));
            for mut scenario in accepted.take(CASES) {
                let step = scenario.steps.remove(0);
                let circumstances = step.case.circumstances(step.fetched.is_some()).expect("a case makes sense");
                let source = Source::plain(pack, circumstances.clone()).expect("a case has its secrets");
                let request = step.case.request(pack.name(), now);
                let name = format!("{}/{}", pack.name(), scenario.name);
                let genuine = Self { name, source, circumstances, request, fetched: step.fetched };
                assert!(genuine.is_believed(&genuine.request), "{} is not believed as it is", genuine.name);
                found.push(genuine);
            }
        }
        found
    }

    fn is_believed(&self, request: &Request) -> bool {
        let (scheme, keys) = (&self.source.pack.scheme, &self.source.keys);
        let Ok(url) = scheme.certificate_url(keys, request) else { return false };
        let pem = url.and_then(|url| self.fetched.as_ref()?.text(&url));
        let chain = pem.map(|pem| Chain::from_pem(pem.as_bytes()));
        scheme.judge(keys, request, chain.as_ref()).is_ok()
    }

    /// The way by which the request is judged.
    fn way(&self) -> &Alternative {
        let scheme = &self.source.pack.scheme;
        let input = Input::new(&self.request, &scheme.envelope, &scheme.shape);
        let (_, index) = scheme.choose(&self.source.keys, &input).expect("a way fits");
        &scheme.alternatives[index]
    }

    fn goes_the_same_way(&self, request: &Request) -> bool {
        let scheme = &self.source.pack.scheme;
        let index = |request| {
            let input = Input::new(request, &scheme.envelope, &scheme.shape);
            scheme.choose(&self.source.keys, &input).map(|(_, index)| index).ok()
        };
        index(request) == index(&self.request)
    }

    /// What stands at a place of the request.
    fn read(&self, spot: &Spot) -> Option<String> {
        let shape = Shape::whole();
        let input = Input::new(&self.request, &self.source.pack.envelope, &shape);
        spot.read(input.view()).first().map(|text| text.clone().into_owned())
    }

    /// The request with another text at a place. `None` where nothing is there, or where it lies inside another document.
    fn with(&self, spot: &Spot, change: impl Fn(&str) -> String) -> Option<Request> {
        let old = self.read(spot)?;
        let mut request = self.request.clone();
        match (spot, &self.way().each) {
            (Spot::Json(_), Some(_)) => return None,
            (Spot::Json(path), None) => {
                path.plain_names().filter(|_| self.source.pack.envelope.is_plain_json())?;
                spot.write(&mut request, &change(&old));
            }
            (Spot::Header(_) | Spot::Query(_) | Spot::Form(_), _) => spot.write(&mut request, &change(&old)),
        }
        (request != self.request).then_some(request)
    }

    /// What the body says, however it is written: two bodies that say the same may both be genuine where fields are signed.
    fn says(&self, request: &Request) -> (Vec<(String, String)>, Option<Value>) {
        // Where the document is one field of a form, the other fields are nobody's to read.
        let inner = self.source.pack.envelope.inner_field();
        // The signature's own field may be written in either case; whether it is right is another test's question.
        let own = match self.way().place.as_ref().map(|place| &place.spot) {
            Some(Spot::Form(key)) => Some(key.as_str()),
            Some(Spot::Header(_) | Spot::Query(_) | Spot::Json(_)) | None => None,
        };
        let matters = |name: &str| inner.is_none_or(|inner| inner == name) && own != Some(name);
        let form = pairs(&request.body).filter(|(name, _)| matters(name));
        let form = form.map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
        let json = serde_json::from_slice(&request.body).ok();
        (if json.is_some() { Vec::new() } else { form }, json)
    }
}

/// Another character in place of the one at `at`, counted from the end where a signature stands.
fn other_char(text: &str, at: usize) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    // The last character of base64 may hold bits that mean nothing.
    let index = at % chars.len().saturating_sub(4).max(1);
    chars[index] = if chars[index].eq_ignore_ascii_case(&'a') { 'b' } else { 'a' };
    chars.into_iter().collect()
}

/// The signature's own texts inside what stands at its place, or at its place in each item.
fn signature_texts(genuine: &Genuine) -> Vec<String> {
    let scheme = &genuine.source.pack.scheme;
    let input = Input::new(&genuine.request, &scheme.envelope, &scheme.shape);
    let place = genuine.way().place.as_ref().expect("a place");
    let views = match &genuine.way().each {
        Some(each) => input.items(each).expect("there are items"),
        None => vec![input.view()],
    };
    let named = &genuine.circumstances.secrets.named;
    views.into_iter().flat_map(|view| place.texts(view, named).unwrap_or_default()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn a_changed_body_is_refused(at in any::<prop::sample::Index>(), bit in 0_u8..8) {
        for genuine in Genuine::all() {
            if genuine.way().covers != Covers::Body || genuine.request.body.is_empty() {
                continue;
            }
            let mut request = genuine.request.clone();
            let index = at.index(request.body.len());
            request.body[index] ^= 1 << bit;
            let signs_bytes = genuine.way().tokens().any(|what| matches!(what, What::Body | What::BodySha256 | What::BodyCrc32));
            if signs_bytes || genuine.says(&request) != genuine.says(&genuine.request) {
                prop_assert!(!genuine.is_believed(&request), "{}: bit {bit} of byte {index}", genuine.name);
            }
            let mut longer = genuine.request.clone();
            longer.body.extend_from_slice(b"&x=1");
            if signs_bytes || genuine.says(&longer) != genuine.says(&genuine.request) {
                prop_assert!(!genuine.is_believed(&longer), "{}: a longer body", genuine.name);
            }
        }
    }

    #[test]
    fn a_changed_field_that_is_signed_is_refused(suffix in "[1-9a-zA-Z]{1,3}") {
        for genuine in Genuine::all() {
            let way = genuine.way();
            let mut places: BTreeMap<String, Spot> = BTreeMap::new();
            for what in way.tokens() {
                let Some(spot) = what.spot() else { continue };
                if matches!(&spot, Spot::Form(key) if key.ends_with("[]")) {
                    continue; // only the first of a list is signed
                }
                places.insert(spot.describe(), spot);
            }
            let is_in_all = |spot: &Spot| way.signed.iter().all(|template| {
                template.tokens().iter().any(|token| token.what.spot().is_some_and(|place| place.describe() == spot.describe()))
            });
            for spot in places.values().filter(|spot| is_in_all(spot)) {
                if let Some(request) = genuine.with(spot, |old| format!("{old}{suffix}")) {
                    prop_assert!(!genuine.is_believed(&request), "{}: {}", genuine.name, spot.describe());
                }
            }
        }
    }

    #[test]
    fn a_changed_signature_is_refused(at in 0_usize..10_000) {
        for genuine in Genuine::all() {
            let Some(place) = &genuine.way().place else { continue };
            let texts = signature_texts(genuine);
            prop_assert!(!texts.is_empty(), "{}: no signature was found", genuine.name);
            let change = |old: &str| texts.iter().fold(old.to_owned(), |old, text| old.replace(text, &other_char(text, at)));
            if genuine.way().each.is_some() {
                let body = change(std::str::from_utf8(&genuine.request.body).expect("JSON is UTF-8"));
                let request = Request { body: body.into_bytes(), ..genuine.request.clone() };
                prop_assert!(!genuine.is_believed(&request), "{}: another signature", genuine.name);
            }
            if let Some(request) = genuine.with(&place.spot, change) {
                prop_assert!(!genuine.is_believed(&request), "{}: another signature", genuine.name);
            }
            // Where a request is signed in several ways, one signature less may leave another way.
            let without = genuine.with(&place.spot, |_| String::new()).filter(|request| genuine.goes_the_same_way(request));
            if let Some(request) = without {
                prop_assert!(!genuine.is_believed(&request), "{}: no signature", genuine.name);
            }
        }
    }

    #[test]
    fn a_changed_time_is_refused(shift in 1_u32..9) {
        for genuine in Genuine::all() {
            let way = genuine.way();
            let (Some(stamp), Some(place)) = (&way.timestamp, &way.place) else { continue };
            let scheme = &genuine.source.pack.scheme;
            let input = Input::new(&genuine.request, &scheme.envelope, &scheme.shape);
            let old = stamp.read(place, input.view()).expect("a genuine request has its time");
            let digits: String = old
                .chars()
                .rev()
                .enumerate()
                .map(|(index, c)| match c.to_digit(10) {
                    Some(digit) if index == 0 || (index == 1 && !old.ends_with(|c: char| c.is_ascii_digit())) => {
                        char::from_digit((digit + shift) % 10, 10).expect("a digit")
                    }
                    Some(_) | None => c,
                })
                .collect();
            let new: String = digits.chars().rev().collect();
            let spot = match &stamp.place {
                StampPlace::Spot(spot) => spot,
                StampPlace::Member(_) | StampPlace::Position(_) => &place.spot,
            };
            let request = genuine.with(spot, |text| text.replace(&old, &new)).expect("the time was changed");
            prop_assert!(!genuine.is_believed(&request), "{}: {old} as {new}", genuine.name);
        }
    }

    #[test]
    fn another_secret_is_refused(at in 0_usize..10_000) {
        for genuine in Genuine::all() {
            let changed = |secret: &Secret| Secret::new(other_char(secret.expose(), at));
            let own = &genuine.circumstances.secrets;
            let mut tries: Vec<Secrets> = Vec::new();
            if genuine.way().uses_own_secret() && genuine.way().secret.is_none() {
                tries.push(Secrets { unnamed: own.unnamed.iter().map(changed).collect(), ..own.clone() });
            }
            for name in genuine.way().named_secrets() {
                let mut named = own.named.clone();
                let secret = named.get_mut(&name).expect("the way has its secrets");
                *secret = changed(secret);
                tries.push(Secrets { named, ..own.clone() });
            }
            if own.path_token.is_some() {
                tries.push(Secrets { path_token: own.path_token.as_ref().map(changed), ..own.clone() });
            }
            for secrets in tries {
                // A changed public key may be none at all, which no source can have.
                let Ok(source) = genuine.source.with_secrets(secrets) else { continue };
                let stranger = Genuine {
                    name: genuine.name.clone(),
                    source,
                    circumstances: genuine.circumstances.clone(),
                    request: genuine.request.clone(),
                    fetched: genuine.fetched.clone(),
                };
                prop_assert!(!stranger.is_believed(&stranger.request), "{}: another secret", genuine.name);
            }
        }
    }
}

#[test]
fn what_is_signed_here_is_believed_here() {
    for genuine in Genuine::all() {
        let mut request = genuine.request.clone();
        match genuine.source.pack.scheme.sign(&genuine.source.keys, &mut request) {
            Ok(()) => assert!(genuine.is_believed(&request), "{}", genuine.name),
            Err(super::SignError::PrivateKey) => {
                let is_asymmetric = matches!(
                    genuine.way().scheme,
                    SchemeName::Rsa | SchemeName::EcdsaP256 | SchemeName::Ed25519 | SchemeName::Certificate
                );
                assert!(is_asymmetric, "{}", genuine.name);
            }
            Err(error) => panic!("{}: {error}", genuine.name),
        }
    }
}

#[test]
fn unsigned_requests_pass_only_by_a_door_of_their_own() {
    for pack in Registry::load(&[]).expect("the packs load").iter().filter(|pack| pack.scheme.is_unsigned()) {
        let circumstances = Circumstances { secrets: Secrets::default(), ..Circumstances::default() };
        assert!(Source::plain(&Arc::clone(pack), circumstances).is_err(), "{} takes anything", pack.name());
    }
}
