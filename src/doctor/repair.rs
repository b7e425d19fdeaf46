//! What may have been done to a body on its way, undone: bounded in number and size, and only to be compared.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode;

use super::json::{Part, Spaces, Texts, parts, write};
use crate::verify::sorted;

/// At most so many bodies are tried.
const TRIES_LIMIT: usize = 128;

/// The byte order mark of UTF-8.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// Tries the likely repairs of a body. Answers with the words for the first that is right: `with a final newline`.
pub(super) fn find(body: &[u8], is_form: bool, mut is_right: impl FnMut(Vec<u8>) -> bool) -> Option<String> {
    let mut tries = 0;
    let mut is_found = |repaired: Option<Vec<u8>>| {
        let Some(repaired) = repaired.filter(|repaired| repaired != body) else { return false };
        tries += 1;
        tries <= TRIES_LIMIT && is_right(repaired)
    };
    for (words, repair) in BYTES {
        if is_found(repair(body)) {
            return Some(words.to_owned());
        }
    }
    if is_form {
        return FORMS.iter().find(|(_, repair)| is_found(repair(body))).map(|(words, _)| (*words).to_owned());
    }
    let text = std::str::from_utf8(body.strip_prefix(MARK).unwrap_or(body)).ok()?;
    let own = parts(text)?;
    if let Some(words) = restyled(&own, "", &mut is_found) {
        return Some(words);
    }
    let sorted = sorted(text.as_bytes())?;
    restyled(&parts(&sorted)?, " and its names in the order of the alphabet", &mut is_found)
}

/// Tries a JSON text in every style, with and without a final newline.
fn restyled(parts: &[Part<'_>], more: &str, is_found: &mut impl FnMut(Option<Vec<u8>>) -> bool) -> Option<String> {
    let spaces = [
        (Spaces::None, "as JSON without white space"),
        (Spaces::AfterMarks, "as JSON with a space after each comma and colon"),
        (Spaces::Lines(2), "as JSON on lines indented by two spaces"),
        (Spaces::Lines(4), "as JSON on lines indented by four spaces"),
    ];
    let texts = [
        (Texts::AsTheyAre, ""),
        (Texts::Plain, ", its texts without needless escapes"),
        (Texts::Ascii, ", its texts with \\u escapes"),
        (Texts::Slashes, ", its slashes escaped"),
        (Texts::AsciiSlashes, ", its texts with \\u escapes and its slashes escaped"),
        (Texts::Html, ", with < > & escaped"),
    ];
    for (texts, texts_words) in texts {
        for (spaces, spaces_words) in spaces {
            let Some(written) = write(parts, spaces, texts) else { continue };
            let newline = format!("{written}\n");
            if is_found(Some(written.into_bytes())) {
                return Some(format!("written {spaces_words}{texts_words}{more}"));
            }
            if more.is_empty() && is_found(Some(newline.into_bytes())) {
                return Some(format!("written {spaces_words}{texts_words} and with a final newline"));
            }
        }
    }
    None
}

type Repair = (&'static str, fn(&[u8]) -> Option<Vec<u8>>);

/// Repairs of any body.
const BYTES: [Repair; 12] = [
    ("with a final newline", |body| Some([body, b"\n"].concat())),
    ("without its final newline", |body| {
        let rest = body.strip_suffix(b"\n")?;
        Some(rest.strip_suffix(b"\r").unwrap_or(rest).to_vec())
    }),
    ("with a final CR and LF", |body| Some([body, b"\r\n"].concat())),
    ("with LF for each CR LF", |body| Some(replaced(body, b"\r\n", b"\n"))),
    ("with CR LF for each LF", |body| Some(replaced(&replaced(body, b"\r\n", b"\n"), b"\n", b"\r\n"))),
    ("without the white space around it", |body| Some(body.trim_ascii().to_vec())),
    ("without a byte order mark", |body| body.strip_prefix(MARK).map(<[u8]>::to_vec)),
    ("with a byte order mark", |body| Some([MARK, body].concat())),
    ("read as Latin-1 and written as UTF-8", |body| {
        let text: String = body.iter().map(|byte| char::from(*byte)).collect();
        Some(text.into_bytes())
    }),
    ("read as UTF-8 and written as Latin-1", |body| {
        std::str::from_utf8(body).ok()?.chars().map(|character| u8::try_from(u32::from(character)).ok()).collect()
    }),
    ("decoded from base64", |body| STANDARD.decode(body.trim_ascii()).ok()),
    ("taken out of the JSON text that it was put into", |body| {
        serde_json::from_slice::<String>(body).ok().map(String::into_bytes)
    }),
];

/// Repairs of a form.
const FORMS: [Repair; 7] = [
    ("with %20 for each +", |body| Some(replaced(body, b"+", b"%20"))),
    ("with + for each %20", |body| Some(replaced(body, b"%20", b"+"))),
    ("with its percent codes in lower case", |body| Some(percent_case(body, u8::to_ascii_lowercase))),
    ("with its percent codes in upper case", |body| Some(percent_case(body, u8::to_ascii_uppercase))),
    ("encoded anew as a browser does", |body| Some(encoded(body))),
    ("encoded anew with %20 for spaces", |body| Some(replaced(&encoded(body), b"+", b"%20"))),
    ("with its percent codes decoded", |body| Some(Cow::from(percent_decode(body)).into_owned())),
];

fn encoded(body: &[u8]) -> Vec<u8> {
    let mut written = form_urlencoded::Serializer::new(String::new());
    written.extend_pairs(crate::envelope::pairs(body)).finish().into_bytes()
}

fn replaced(body: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut written = Vec::with_capacity(body.len());
    let mut rest = body;
    while let Some(first) = rest.first() {
        match rest.strip_prefix(from) {
            Some(after) => {
                written.extend_from_slice(to);
                rest = after;
            }
            None => {
                written.push(*first);
                rest = &rest[1..];
            }
        }
    }
    written
}

/// The two digits after each percent sign in one case.
fn percent_case(body: &[u8], to_case: fn(&u8) -> u8) -> Vec<u8> {
    let is_code = |at: usize| at < body.len() && body[at] == b'%';
    let in_code = |at: usize| (at > 0 && is_code(at - 1)) || (at > 1 && is_code(at - 2));
    body.iter().enumerate().map(|(at, byte)| if in_code(at) { to_case(byte) } else { *byte }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said where the body came as `came` and was signed as `signed`.
    fn found(came: &[u8], signed: &[u8], is_form: bool) -> Option<String> {
        find(came, is_form, |body| body == signed)
    }

    #[test]
    fn whatever_a_proxy_does_to_a_body_is_undone_in_words() {
        let cases: [(&[u8], &[u8], &str); 17] = [
            (b"{}", b"{}\n", "with a final newline"),
            (b"{}\r\n", b"{}", "without its final newline"),
            (b"{\r\n}", b"{\n}", "with LF for each CR LF"),
            (b"{\n}", b"{\r\n}", "with CR LF for each LF"),
            (b" {} ", b"{}", "without the white space around it"),
            (b"\xef\xbb\xbf{}", b"{}", "without a byte order mark"),
            (b"{}", b"\xef\xbb\xbf{}", "with a byte order mark"),
            (b"\"\xe9\"", "\"é\"".as_bytes(), "read as Latin-1 and written as UTF-8"),
            ("\"Ã©\"".as_bytes(), "\"é\"".as_bytes(), "read as UTF-8 and written as Latin-1"),
            (b"e30=", b"{}", "decoded from base64"),
            (br#""{\"a\":1}""#, br#"{"a":1}"#, "taken out of the JSON text that it was put into"),
            (br#"{"a":1,"b":[2.50]}"#, br#"{"a": 1, "b": [2.50]}"#, "written as JSON with a space after each comma and colon"),
            (br#"{"a": 1}"#, br#"{"a":1}"#, "written as JSON without white space"),
            (br#"{"a":1}"#, b"{\n  \"a\": 1\n}", "written as JSON on lines indented by two spaces"),
            (
                "{\"a\":\"é/\"}".as_bytes(),
                br#"{"a":"\u00e9\/"}"#,
                "written as JSON without white space, its texts with \\u escapes and its slashes escaped",
            ),
            (
                br#"{"a":"\u00e9\/"}"#,
                "{\"a\":\"é/\"}".as_bytes(),
                "written as JSON without white space, its texts without needless escapes",
            ),
            (
                br#"{"b":1,"a":2}"#,
                br#"{"a": 2, "b": 1}"#,
                "written as JSON with a space after each comma and colon and its names in the order of the alphabet",
            ),
        ];
        for (came, signed, words) in cases {
            assert_eq!(found(came, signed, false).as_deref(), Some(words));
        }
    }

    #[test]
    fn forms_are_encoded_in_more_than_one_way() {
        let cases: [(&[u8], &[u8], &str); 5] = [
            (b"a=b+c", b"a=b%20c", "with %20 for each +"),
            (b"a=b%20c", b"a=b+c", "with + for each %20"),
            (b"a=%C3%A9", b"a=%c3%a9", "with its percent codes in lower case"),
            ("a=é*~".as_bytes(), b"a=%C3%A9*%7E", "encoded anew as a browser does"),
            (b"a=b%26c", b"a=b&c", "with its percent codes decoded"),
        ];
        for (came, signed, words) in cases {
            assert_eq!(found(came, signed, true).as_deref(), Some(words));
        }
    }

    #[test]
    fn a_body_that_nothing_mends_costs_a_bounded_number_of_tries() {
        for (body, is_form) in
            [(br#"{"b":"/\u00e9","a":[1,2,{"c":null}]}"#.as_slice(), false), (b"a=%c3+b&c=d", true), (b"\xff\x00", false)]
        {
            let mut tries = 0;
            let none = find(body, is_form, |tried| {
                tries += 1;
                assert_ne!(tried, body, "the body as it came was judged before");
                false
            });
            assert!(none.is_none() && (1..=TRIES_LIMIT).contains(&tries), "{tries}");
        }
    }
}
