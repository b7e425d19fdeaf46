//! HTML forms (`application/x-www-form-urlencoded`): flat pairs, and the tree that bracketed names describe.

use std::borrow::Cow;

use serde_json::{Map, Value};

/// Before the numbers of elements that came as `ids[]`; `ids[0]` is another element.
const NEXT: char = '\u{0}';
/// More fields than this are no webhook.
const FIELD_LIMIT: usize = 10_000;
/// `a[b][c]…`: more brackets than this are kept as one name.
const DEPTH_LIMIT: usize = 16;

/// The fields in the order of arrival, decoded.
pub fn pairs(body: &[u8]) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    form_urlencoded::parse(body).take(FIELD_LIMIT)
}

/// The only value of a field; `None` where there is none, or several that differ.
pub(super) fn one<'a>(body: &'a [u8], name: &str) -> Option<Cow<'a, str>> {
    let mut values = pairs(body).filter(|(known, _)| known == name).map(|(_, value)| value);
    let first = values.next()?;
    values.all(|value| value == first).then_some(first)
}

/// A tree of texts: `order[total]` is a member of `order`, `ids[]` an element of the list `ids`, and `a[0]`, `a[1]` are elements
/// of the list `a`. A later field replaces an earlier one of the same name.
pub(super) fn tree(body: &str) -> Value {
    let mut root = Map::new();
    for (name, value) in pairs(body.as_bytes()) {
        let steps = steps(&name);
        put(&mut root, &steps, value.into_owned());
    }
    let mut root = Value::Object(root);
    lists(&mut root);
    root
}

/// `a[b][]` as `a`, `b`, and an empty name for "the next element".
fn steps(name: &str) -> Vec<&str> {
    let Some((first, rest)) = name.split_once('[').filter(|_| !name.contains(NEXT)) else { return vec![name] };
    let Some(rest) = rest.strip_suffix(']').filter(|_| !first.is_empty()) else { return vec![name] };
    let steps: Vec<&str> = std::iter::once(first).chain(rest.split("][")).collect();
    if steps.len() > DEPTH_LIMIT { vec![name] } else { steps }
}

fn put(object: &mut Map<String, Value>, steps: &[&str], value: String) {
    let Some((first, rest)) = steps.split_first() else { return };
    // The next element of a list gets the next number as its name, which no field can write itself.
    let name = if first.is_empty() { format!("{NEXT}{}", object.len()) } else { (*first).to_owned() };
    if rest.is_empty() {
        object.insert(name, Value::String(value));
        return;
    }
    let inner = object.entry(name).or_insert(Value::Null);
    if !inner.is_object() {
        *inner = Value::Object(Map::new());
    }
    if let Value::Object(inner) = inner {
        put(inner, rest, value);
    }
}

/// Objects whose names are 0, 1, 2 and so on are lists.
fn lists(value: &mut Value) {
    let Value::Object(object) = value else { return };
    object.values_mut().for_each(lists);
    let is_next = |index: usize, name: &str| name.strip_prefix(NEXT).unwrap_or(name) == index.to_string();
    let is_one_kind = object.keys().all(|name| name.starts_with(NEXT)) || object.keys().all(|name| !name.starts_with(NEXT));
    let is_list = !object.is_empty() && is_one_kind && object.keys().enumerate().all(|(index, name)| is_next(index, name));
    if is_list {
        *value = Value::Array(std::mem::take(object).into_iter().map(|(_, value)| value).collect());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bracketed_names_become_a_tree() {
        let body =
            "event=payment_success&payload%5Bsubscription%5D%5Bid%5D=7&ids[]=a&ids[]=b&items[0][sku]=x&items[1][sku]=y+z&odd[=1";
        let expected = serde_json::json!({
            "event": "payment_success", "payload": {"subscription": {"id": "7"}}, "ids": ["a", "b"],
            "items": [{"sku": "x"}, {"sku": "y z"}], "odd[": "1"
        });
        assert_eq!(tree(body), expected);
        let mixed = tree("a[]=1&a[0]=2");
        assert!(mixed["a"].is_object() && mixed["a"][0].is_null(), "{mixed}");
    }

    #[test]
    fn fields_that_contradict_each_other_are_nobodys() {
        assert_eq!(one(b"a=1&b=2&a=1", "a").as_deref(), Some("1"));
        assert_eq!(one(b"a=1&a=2", "a"), None);
        assert_eq!(one(b"", "a"), None);
    }

    #[test]
    fn many_brackets_cost_no_depth() {
        let name = format!("a{}", "[x]".repeat(100_000));
        assert_eq!(tree(&format!("{name}=1")), serde_json::json!({ name: "1" }));
    }
}
