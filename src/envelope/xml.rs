//! XML as a tree of values. No entities but the five of XML itself, no document types, bounded depth.

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};
use serde_json::{Map, Value};

use super::{DEPTH_LIMIT, Unreadable, too_deep};

/// An element that is being read.
struct Open {
    name: String,
    is_list: bool,
    text: String,
    children: Vec<(String, Value)>,
}

/// Reads a document: the root is the only member. An element without elements is its text; one with elements is an object, in
/// which elements of one name are a list; one with `type="array"` is the list of its elements.
pub(super) fn tree(text: &str) -> Result<Value, Unreadable> {
    let mut reader = Reader::from_str(text);
    let mut open = vec![Open { name: String::new(), is_list: false, text: String::new(), children: Vec::new() }];
    loop {
        match reader.read_event() {
            Ok(Event::Start(start)) => {
                if open.len() > DEPTH_LIMIT {
                    return Err(too_deep());
                }
                open.push(begin(&start));
            }
            Ok(Event::Empty(start)) => {
                let element = begin(&start);
                close(&mut open, element)?;
            }
            Ok(Event::End(_)) => {
                let element = open.pop().ok_or_else(malformed)?;
                close(&mut open, element)?;
            }
            Ok(Event::Text(text)) => current(&mut open)?.text.push_str(&text.xml10_content()),
            Ok(Event::CData(data)) => current(&mut open)?.text.push_str(&data.xml10_content()),
            Ok(Event::GeneralRef(reference)) => {
                let character = match reference.resolve_char_ref().map_err(|_| malformed())? {
                    Some(character) => character,
                    None => named(&reference.xml10_content()).ok_or_else(malformed)?,
                };
                current(&mut open)?.text.push(character);
            }
            Ok(Event::Decl(_) | Event::Comment(_) | Event::PI(_)) => {}
            Ok(Event::DocType(_)) | Err(_) => return Err(malformed()),
            Ok(Event::Eof) => break,
        }
    }
    match (open.pop(), open.is_empty()) {
        (Some(root), true) if root.children.len() == 1 => Ok(Value::Object(root.children.into_iter().collect())),
        (Some(_) | None, _) => Err(malformed()),
    }
}

fn begin(start: &BytesStart<'_>) -> Open {
    let name = start.name().into_inner().to_owned();
    let is_list = start.attributes().flatten().any(|attribute| attribute.key.as_ref() == "type" && &*attribute.value == "array");
    Open { name, is_list, text: String::new(), children: Vec::new() }
}

fn current(open: &mut [Open]) -> Result<&mut Open, Unreadable> {
    open.last_mut().ok_or_else(malformed)
}

fn close(open: &mut [Open], element: Open) -> Result<(), Unreadable> {
    let value = if element.is_list {
        Value::Array(element.children.into_iter().map(|(_, value)| value).collect())
    } else if element.children.is_empty() {
        Value::String(element.text)
    } else {
        Value::Object(object(element.children))
    };
    current(open)?.children.push((element.name, value));
    Ok(())
}

/// Elements by name; those of one name become a list.
fn object(children: Vec<(String, Value)>) -> Map<String, Value> {
    let mut object: Map<String, Value> = Map::new();
    let mut repeated: std::collections::HashSet<String> = std::collections::HashSet::new();
    for (name, value) in children {
        match object.get_mut(&name) {
            None => drop(object.insert(name, value)),
            Some(Value::Array(list)) if repeated.contains(&name) => list.push(value),
            Some(known) => {
                *known = Value::Array(vec![known.take(), value]);
                repeated.insert(name);
            }
        }
    }
    object
}

fn named(reference: &str) -> Option<char> {
    match reference {
        "lt" => Some('<'),
        "gt" => Some('>'),
        "amp" => Some('&'),
        "apos" => Some('\''),
        "quot" => Some('"'),
        _ => None,
    }
}

fn malformed() -> Unreadable {
    Unreadable { code: "body_malformed", why: "the body is not XML that can be read".to_owned() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn elements_become_objects_texts_and_lists() {
        let text = r#"<?xml version="1.0"?><notification><kind>check</kind><list type="array"><t><id>1</id></t></list>
            <a>1</a><a>2 &amp; &#51;</a><nil nil="true"/></notification>"#;
        let expected = json!({"notification": {"kind": "check", "list": [{"id": "1"}], "a": ["1", "2 & 3"], "nil": ""}});
        assert_eq!(tree(text), Ok(expected));
    }

    #[test]
    fn what_could_do_harm_is_refused() {
        let bomb = r#"<!DOCTYPE x [<!ENTITY a "aaaa">]><x>&a;</x>"#;
        for text in [bomb, "<x>&a;</x>", "<x>", "</x>", "<x></y>", "text", "<a/><b/>", ""] {
            assert!(tree(text).is_err(), "{text}");
        }
        let deep = "<a>".repeat(100_000);
        assert_eq!(tree(&deep).map_err(|error| error.code), Err("body_too_deep"));
    }
}
