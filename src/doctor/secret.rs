//! What people add to a secret, or take from it, when they copy it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// One way in which a secret may have been miswritten.
pub(super) struct Change {
    /// How it would be right, after "is taken".
    pub(super) words: &'static str,
    /// What to look for.
    pub(super) advice: &'static str,
    /// The secret as it would be right; nothing where this way does not apply.
    pub(super) apply: fn(&str) -> Option<String>,
}

/// The ways, the likeliest first.
pub(super) const CHANGES: [Change; 10] = [
    Change {
        words: "without the white space around it",
        advice: "a space or a line break stands before or after it",
        apply: |text| Some(text.trim().to_owned()),
    },
    Change {
        words: "without the quotation marks around it",
        advice: "quotation marks of a shell or an .env file are a part of it now",
        apply: |text| Some(bare(text)),
    },
    Change {
        words: "without the characters \\n at its end",
        advice: "a line break was written as the two characters \\ and n",
        apply: |text| Some(bare(bare(text).trim_end_matches("\\n").trim_end_matches("\\r"))),
    },
    Change {
        words: "without the name and the = before it",
        advice: "the whole line of an .env file was copied",
        apply: |text| text.split_once('=').map(|(_, value)| bare(value)).filter(|value| !value.is_empty()),
    },
    Change {
        words: "with whsec_ before it",
        advice: "the prefix is a part of it",
        apply: |text| (!text.starts_with("whsec_")).then(|| format!("whsec_{}", bare(text))),
    },
    Change {
        words: "without the prefix before its first underscore",
        advice: "this provider's key has no such prefix",
        apply: |text| text.split_once('_').map(|(_, rest)| bare(rest)).filter(|rest| !rest.is_empty()),
    },
    Change {
        words: "decoded from base64",
        advice: "it was encoded once more, as the data of a Kubernetes Secret is",
        apply: |text| decoded(&bare(text)).map(|text| bare(&text)),
    },
    Change {
        words: "encoded as base64",
        advice: "it was decoded; the provider shows it as base64",
        apply: |text| Some(STANDARD.encode(bare(text))),
    },
    Change {
        words: "with whsec_ before it and its content encoded as base64",
        advice: "it was decoded; the provider shows it as whsec_ and base64",
        apply: |text| Some(format!("whsec_{}", STANDARD.encode(bare(text)))),
    },
    Change {
        words: "with its percent signs decoded",
        advice: "it was encoded as a part of a URL",
        apply: |text| {
            let decoded = percent_encoding::percent_decode_str(text).decode_utf8().ok()?;
            Some(decoded.into_owned())
        },
    },
];

/// A text without white space and quotation marks around it.
fn bare(text: &str) -> String {
    text.trim().trim_matches(['"', '\'', '`', '“', '”', '„', '‘', '’']).trim().to_owned()
}

fn decoded(text: &str) -> Option<String> {
    String::from_utf8(STANDARD.decode(text).ok()?).ok().filter(|text| !text.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_mends_what_it_says() {
        let mended = |text: &str| -> Vec<String> { CHANGES.iter().filter_map(|change| (change.apply)(text)).collect() };
        for written in [
            " whsec_abc=",
            "whsec_abc=\n",
            "\"whsec_abc=\"",
            "'whsec_abc=' ",
            "whsec_abc=\\n",
            "SECRET=whsec_abc=",
            "SECRET=\"whsec_abc=\"",
            "d2hzZWNfYWJjPQ==",
            "d2hzZWNfYWJjPQo=",
            "whsec_abc%3D",
        ] {
            assert!(mended(written).contains(&"whsec_abc=".to_owned()), "{written}: {:?}", mended(written));
        }
        assert!(mended("abc").contains(&"whsec_abc".to_owned()));
        assert!(mended("whsec_abc").contains(&"abc".to_owned()));
        assert!(mended("plain").contains(&"whsec_cGxhaW4=".to_owned()));
    }
}
