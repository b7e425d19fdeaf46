//! What is marked: secrets, which stand nowhere, and what is personal, which stands in pages and answers of the operator at most.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use percent_encoding::percent_decode_str;

/// The token of the operator.
pub(super) const ADMIN_TOKEN: &str = "MARKadmintoken0123456789";
/// The token at the end of a source's URL.
pub(super) const PATH_TOKEN: &str = "MARKpathtoken0123456789";
/// The key of a provider's API.
pub(super) const API_KEY: &str = "live_MARKapikey0123456789";
/// What opens the receiver of alarms.
pub(super) const ALARM_TOKEN: &str = "MARKalarmtoken0123456789";
/// What a forger takes for a signature.
pub(super) const FORGED: &str = "4d41524b666f726765642d7369676e61747572652d6f662d746865206576696c";

/// Whatever is made of this is a secret.
const SECRETS: [(&str, &str); 15] = [
    ("the operator's token", ADMIN_TOKEN),
    ("a path token", PATH_TOKEN),
    ("a wrong path token", "MARKwrongpathtoken"),
    ("an API key", API_KEY),
    ("the token in the alarms' URL", ALARM_TOKEN),
    ("a forged signature", FORGED),
    ("the secret of the webhooks", "c2VjcmV0LW9mLXRoZS10ZXN0cw"),
    ("the token of the upstream", "token-of-the-test"),
    ("the secret of the other upstream", "bWluZS1zZWNyZXQtb2YtdGhlLXRlc3Rz"),
    ("a sender's authorization", "MARKauthorization"),
    ("a sender's cookie", "MARKcookie"),
    ("a sender's own token", "MARKxtoken"),
    ("a signature in a query", "MARKhmac"),
    ("a bearer token that is wrong", "MARKwrongbearer"),
    ("a token with which nobody signs in", "MARKwrongsignin"),
];

/// Whatever is made of this is somebody's own business.
const PERSONAL: [(&str, &str); 13] = [
    ("a name", "MARKname"),
    ("an e-mail address", "MARKemail@example.com"),
    ("an e-mail address without its domain", "MARKemail"),
    ("a customer", "MARKcustomer"),
    ("a click", "MARKclick"),
    ("a description", "MARKdescription"),
    ("a body that was refused", "MARKrefused"),
    ("a query", "MARKquery"),
    ("a sender's own header", "MARKheader"),
    ("a path", "MARKpath"),
    ("what an upstream answered", "MARKanswer"),
    ("what an API answered", "MARKfetched"),
    ("a word that is searched for", "MARKsearch"),
];

/// Everything that is looked for.
pub(super) struct Marks {
    secrets: Vec<(String, Vec<String>)>,
    personal: Vec<(String, Vec<String>)>,
}

impl Marks {
    pub(super) fn new() -> Self {
        let all = |marks: &[(&str, &str)]| marks.iter().map(|(what, text)| ((*what).to_owned(), forms(text))).collect();
        Self { secrets: all(&SECRETS), personal: all(&PERSONAL) }
    }

    /// A secret that is only known once it was made: a signature, a session.
    pub(super) fn add_secret(&mut self, what: &str, text: &str) {
        assert!(text.len() >= 12, "{what}: too short to be told from chance: {text}");
        self.secrets.push((what.to_owned(), forms(text)));
    }

    /// Which secret stands in a text.
    fn secret_in(&self, text: &str) -> Option<&str> {
        found(&self.secrets, text)
    }

    /// Which mark of either kind stands in a text.
    fn any_in(&self, text: &str) -> Option<&str> {
        self.secret_in(text).or_else(|| found(&self.personal, text))
    }

    /// The lines of a text in which a secret stands, or, unless the text is the operator's own, something personal; one for each mark.
    pub(super) fn findings(&self, place: &str, is_for_operator: bool, text: &str) -> BTreeMap<String, String> {
        let lines = text.lines().filter_map(|line| {
            let what = if is_for_operator { self.secret_in(line) } else { self.any_in(line) };
            Some((format!("{place} holds {}", what?), line.chars().take(600).collect()))
        });
        lines.collect()
    }
}

/// A mark as it is, and as it is after it was written in another way. All is compared in lower case.
fn forms(text: &str) -> Vec<String> {
    // Base64 begins anew with every third byte: what it makes of the middle of a mark is the same wherever the mark stands.
    let encoded = (0..3).map(|skipped| {
        let whole = BASE64_STANDARD.encode(&text.as_bytes()[skipped..]);
        whole[..(text.len() - skipped) / 3 * 4].to_owned()
    });
    let long = encoded.filter(|form| form.len() >= 8);
    [text.to_owned(), hex::encode(text)].into_iter().chain(long).map(|form| form.to_lowercase()).collect()
}

fn found<'a>(marks: &'a [(String, Vec<String>)], text: &str) -> Option<&'a str> {
    let plain = text.to_lowercase();
    let decoded = percent_decode_str(&plain).decode_utf8_lossy();
    let twice = percent_decode_str(&decoded).decode_utf8_lossy();
    let holds = |form: &String| plain.contains(form) || decoded.contains(form) || twice.contains(form);
    marks.iter().find(|(_, forms)| forms.iter().any(holds)).map(|(what, _)| what.as_str())
}

#[test]
fn a_mark_is_found_however_it_is_written() {
    let marks = Marks::new();
    for text in [
        "x MARKemail@example.com",
        "?q=markemail%40EXAMPLE.com",
        "?next=%2Fsales%3Fq%3DMARKemail%2540example.com",
        "4d41524b656d61696c",
        &BASE64_STANDARD.encode("MARKemail@example.com"),
        &BASE64_STANDARD.encode("1 MARKemail@example.com"),
        &BASE64_STANDARD.encode("12 MARKemail@example.com"),
    ] {
        assert!(marks.any_in(text).is_some(), "{text}");
        assert!(marks.secret_in(text).is_none(), "{text}");
    }
    assert_eq!(marks.any_in("mark email"), None);
    assert_eq!(marks.secret_in(&BASE64_STANDARD.encode(format!("user:{ADMIN_TOKEN}"))), Some("the operator's token"));
}
