//! JSON written anew, as libraries write it: with other white space and other escapes, but with every number as it was.

use serde::de::IgnoredAny;

use crate::envelope::is_too_deep;

/// What is written anew may grow to so many bytes, and is then given up.
const LIMIT_BYTES: usize = 512 * 1024;

/// The white space between the parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spaces {
    /// None, as JavaScript, PHP and Go write.
    None,
    /// One after each comma and colon, as Python writes.
    AfterMarks,
    /// Each part on a line of its own, indented by so many more for each level.
    Lines(usize),
}

/// How texts are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Texts {
    /// As they came.
    AsTheyAre,
    /// With nothing escaped that need not be.
    Plain,
    /// Everything but ASCII escaped, as Python writes.
    Ascii,
    /// `/` escaped.
    Slashes,
    /// Both, as PHP writes.
    AsciiSlashes,
    /// `<`, `>` and `&` escaped, as Go writes.
    Html,
}

/// The parts of a JSON text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part<'a> {
    /// `{` or `[`.
    Open(char),
    /// `}` or `]`.
    Close(char),
    Comma,
    Colon,
    /// A text with its quotation marks.
    Text(&'a str),
    /// A number, or a word.
    Other(&'a str),
}

/// Takes a text apart; `None` where it is no JSON, or nested too deep.
pub(super) fn parts(text: &str) -> Option<Vec<Part<'_>>> {
    if is_too_deep(text.as_bytes()) {
        return None;
    }
    serde_json::from_str::<IgnoredAny>(text).ok()?;
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '"' => text_length(rest)?,
            '{' | '}' | '[' | ']' | ',' | ':' => 1,
            ' ' | '\t' | '\r' | '\n' => {
                rest = &rest[1..];
                continue;
            }
            _ => rest.find([',', ':', '}', ']', ' ', '\t', '\r', '\n']).unwrap_or(rest.len()),
        };
        let (part, after) = rest.split_at(length);
        parts.push(match first {
            '{' | '[' => Part::Open(first),
            '}' | ']' => Part::Close(first),
            ',' => Part::Comma,
            ':' => Part::Colon,
            '"' => Part::Text(part),
            _ => Part::Other(part),
        });
        rest = after;
    }
    Some(parts)
}

/// The text in a certain style; `None` where it becomes too long.
pub(super) fn write(parts: &[Part<'_>], spaces: Spaces, texts: Texts) -> Option<String> {
    let mut written = String::new();
    let mut depth = 0_usize;
    for (index, part) in parts.iter().enumerate() {
        let is_empty_after = matches!(parts.get(index + 1), Some(Part::Close(_)));
        let is_empty_before = index > 0 && matches!(parts[index - 1], Part::Open(_));
        match part {
            Part::Open(mark) => {
                written.push(*mark);
                depth += 1;
                if !is_empty_after {
                    begin_line(&mut written, spaces, depth);
                }
            }
            Part::Close(mark) => {
                depth = depth.saturating_sub(1);
                if !is_empty_before {
                    begin_line(&mut written, spaces, depth);
                }
                written.push(*mark);
            }
            Part::Comma => {
                written.push(',');
                match spaces {
                    Spaces::None => {}
                    Spaces::AfterMarks => written.push(' '),
                    Spaces::Lines(_) => begin_line(&mut written, spaces, depth),
                }
            }
            Part::Colon => written.push_str(if spaces == Spaces::None { ":" } else { ": " }),
            Part::Text(text) => written.push_str(&styled(text, texts)),
            Part::Other(text) => written.push_str(text),
        }
        if written.len() > LIMIT_BYTES {
            return None;
        }
    }
    Some(written)
}

fn begin_line(written: &mut String, spaces: Spaces, depth: usize) {
    match spaces {
        Spaces::None | Spaces::AfterMarks => {}
        Spaces::Lines(indent) => {
            written.push('\n');
            written.extend(std::iter::repeat_n(' ', depth * indent));
        }
    }
}

/// A text with its quotation marks in a style; as it came where it cannot be read (half of a surrogate pair).
fn styled(text: &str, texts: Texts) -> String {
    let plain = |text: &str| serde_json::from_str::<String>(text).and_then(|inner| serde_json::to_string(&inner));
    let Ok(plain) = plain(text) else { return text.to_owned() };
    match texts {
        Texts::AsTheyAre => text.to_owned(),
        Texts::Plain => plain,
        Texts::Ascii => ascii(&plain),
        Texts::Slashes => plain.replace('/', "\\/"),
        Texts::AsciiSlashes => ascii(&plain).replace('/', "\\/"),
        Texts::Html => plain.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026"),
    }
}

fn ascii(plain: &str) -> String {
    let mut written = String::with_capacity(plain.len());
    for character in plain.chars() {
        if character.is_ascii() {
            written.push(character);
        } else {
            for unit in character.encode_utf16(&mut [0; 2]) {
                written.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    written
}

/// The length of the text with quotation marks that begins here.
fn text_length(rest: &str) -> Option<usize> {
    let mut is_escaped = false;
    let end = rest.bytes().skip(1).position(|byte| {
        let ends = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        ends
    })?;
    Some(end + 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_written_as_libraries_write_it() {
        let parts = parts(r#"{"a":[1.50,"é/<\"😀"],"b":{},"c":[ ]}"#).expect("JSON");
        let style = |spaces, texts| write(&parts, spaces, texts).expect("short");
        assert_eq!(style(Spaces::None, Texts::AsTheyAre), r#"{"a":[1.50,"é/<\"😀"],"b":{},"c":[]}"#);
        assert_eq!(style(Spaces::AfterMarks, Texts::Ascii), r#"{"a": [1.50, "\u00e9/<\"\ud83d\ude00"], "b": {}, "c": []}"#);
        assert_eq!(style(Spaces::None, Texts::AsciiSlashes), r#"{"a":[1.50,"\u00e9\/<\"\ud83d\ude00"],"b":{},"c":[]}"#);
        assert_eq!(style(Spaces::None, Texts::Html), r#"{"a":[1.50,"é/\u003c\"😀"],"b":{},"c":[]}"#);
        let lines = "{\n  \"a\": [\n    1.50,\n    \"é/<\\\"😀\"\n  ],\n  \"b\": {},\n  \"c\": []\n}";
        assert_eq!(style(Spaces::Lines(2), Texts::Plain), lines);
    }

    #[test]
    fn what_is_no_json_or_grows_without_end_is_given_up() {
        for text in ["", "{", "nul", "[1,]", &"[".repeat(100_000)] {
            assert_eq!(parts(text), None);
        }
        let odd = parts(r#"["\ud800"]"#);
        assert!(odd.is_none_or(|odd| write(&odd, Spaces::None, Texts::Ascii).is_some()));
        let deep = format!("{}{}{}", "[".repeat(120), vec!["1"; 30_000].join(","), "]".repeat(120));
        assert_eq!(write(&parts(&deep).expect("JSON"), Spaces::Lines(4), Texts::Plain), None);
    }
}
