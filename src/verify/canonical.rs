//! JSON written in another way with every number and text as it was: for providers that sign such a form of their body.

use serde::de::IgnoredAny;

use crate::envelope::is_too_deep;

/// What is signed in this way is flat or nearly so; each level below is written once more.
const SORTED_LIMIT_BYTES: usize = 256 * 1024;

/// JSON without the white space between its parts.
pub(super) fn minified(body: &[u8]) -> Vec<u8> {
    let (mut in_text, mut is_escaped) = (false, false);
    let keep = |byte: &u8| {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if in_text => is_escaped = true,
            b'"' => in_text = !in_text,
            b' ' | b'\t' | b'\r' | b'\n' if !in_text => return false,
            _ => {}
        }
        true
    };
    let mut keep = keep;
    body.iter().filter(|byte| keep(byte)).copied().collect()
}

/// JSON with the names of every object in the order of their UTF-16 code units (as JavaScript sorts), without white space. `None`
/// where the body is no JSON, is nested too deep, or is longer than anything that is signed so.
pub(crate) fn sorted(body: &[u8]) -> Option<String> {
    if body.len() > SORTED_LIMIT_BYTES || is_too_deep(body) {
        return None;
    }
    let text = std::str::from_utf8(body).ok()?;
    serde_json::from_str::<IgnoredAny>(text).ok()?;
    // Valid JSON without white space: what is left to do is to find where its parts end.
    let compact = String::from_utf8(minified(body)).ok()?;
    let (sorted, rest) = value(&compact)?;
    rest.is_empty().then_some(sorted)
}

/// The first value of a text in its sorted form, and what comes after it.
fn value(text: &str) -> Option<(String, &str)> {
    match text.as_bytes().first()? {
        b'{' => object(&text[1..]),
        b'[' => array(&text[1..]),
        b'"' => string(text).map(|(token, rest)| (token.to_owned(), rest)),
        _ => {
            let end = text.find([',', '}', ']']).unwrap_or(text.len());
            Some((text[..end].to_owned(), &text[end..]))
        }
    }
}

fn object(mut rest: &str) -> Option<(String, &str)> {
    let mut members: Vec<(Vec<u16>, String)> = Vec::new();
    while !rest.starts_with('}') {
        let (token, after) = string(rest)?;
        let name: String = serde_json::from_str(token).ok()?;
        let (value, after) = value(after.strip_prefix(':')?)?;
        members.push((name.encode_utf16().collect(), format!("{}:{value}", serde_json::to_string(&name).ok()?)));
        rest = after.strip_prefix(',').unwrap_or(after);
    }
    // Of equal names the last one counts, as everywhere.
    members.reverse();
    members.sort_by(|one, other| one.0.cmp(&other.0));
    members.dedup_by(|later, first| later.0 == first.0);
    let members: Vec<String> = members.into_iter().map(|(_, member)| member).collect();
    Some((format!("{{{}}}", members.join(",")), &rest[1..]))
}

fn array(mut rest: &str) -> Option<(String, &str)> {
    let mut elements = Vec::new();
    while !rest.starts_with(']') {
        let (element, after) = value(rest)?;
        elements.push(element);
        rest = after.strip_prefix(',').unwrap_or(after);
    }
    Some((format!("[{}]", elements.join(",")), &rest[1..]))
}

/// A text with its quotation marks, and what comes after it.
fn string(text: &str) -> Option<(&str, &str)> {
    let mut is_escaped = false;
    let inside = text.strip_prefix('"')?;
    let end = inside.bytes().position(|byte| {
        let ends = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        ends
    })?;
    Some(text.split_at(end + 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sorting_keeps_every_token_as_it_was_written() {
        let body = br#" {"b": 1.50, "a": {"z": [ {"y":1,"x":"\/ \u00e9"} ], "B": 1e2}, "10": null} "#;
        assert_eq!(sorted(body).as_deref(), Some(r#"{"10":null,"a":{"B":1e2,"z":[{"x":"\/ \u00e9","y":1}]},"b":1.50}"#));
        assert_eq!(sorted(br#"{"a":1,"a":2,"":[],"q":"\\\"}","e":{}}"#).as_deref(), Some(r#"{"":[],"a":2,"e":{},"q":"\\\"}"}"#));
        for broken in ["{", "{}x", "[1,]", "{\"a\"}", "nul", ""] {
            assert_eq!(sorted(broken.as_bytes()), None, "{broken}");
        }
        assert_eq!(sorted("[".repeat(100_000).as_bytes()), None);
    }

    #[test]
    fn white_space_is_taken_out_between_parts_only() {
        assert_eq!(minified(br#"{ "a" : "x \" y" , "b":[1, 2] }"#), br#"{"a":"x \" y","b":[1,2]}"#);
    }
}
