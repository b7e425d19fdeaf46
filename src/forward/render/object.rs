//! The body of a request: an object whose members stand in the order of the template.

use std::borrow::Cow;

use serde::ser::{Serialize, SerializeMap as _, Serializer};
use serde_json::Value;

/// What is told under one name.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Scalar<'a> {
    /// A text, mostly the sale's own.
    Text(Cow<'a, str>),
    /// A number or a truth value.
    Other(Value),
}

/// An object that grows. No name is put twice, nor inside another that is no object: the check of templates sees to it.
#[derive(Debug, Default)]
pub(super) struct Object<'a>(Vec<(&'a str, Member<'a>)>);

#[derive(Debug)]
enum Member<'a> {
    Scalar(Scalar<'a>),
    Object(Object<'a>),
}

impl<'a> Object<'a> {
    /// An empty one with room for so many members.
    pub(super) fn with_capacity(members: usize) -> Self {
        Self(Vec::with_capacity(members))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Puts a value at a name in which dots lead into objects.
    pub(super) fn put(&mut self, name: &'a str, value: Scalar<'a>) {
        match name.split_once('.') {
            None => self.0.push((name, Member::Scalar(value))),
            Some((outer, inner)) => {
                let known = self.0.iter_mut().find_map(|(known, member)| match member {
                    Member::Object(inside) if *known == outer => Some(inside),
                    Member::Object(_) | Member::Scalar(_) => None,
                });
                match known {
                    Some(inside) => inside.put(inner, value),
                    None => {
                        let mut inside = Object::default();
                        inside.put(inner, value);
                        self.0.push((outer, Member::Object(inside)));
                    }
                }
            }
        }
    }

    /// Whether something stands at such a name.
    pub(super) fn has(&self, name: &str) -> bool {
        let (outer, inner) = name.split_once('.').map_or((name, None), |(outer, inner)| (outer, Some(inner)));
        self.0.iter().any(|(known, member)| {
            *known == outer
                && match (member, inner) {
                    (_, None) => true,
                    (Member::Object(inside), Some(inner)) => inside.has(inner),
                    (Member::Scalar(_), Some(_)) => false,
                }
        })
    }

    /// Takes out what stands at such a name.
    pub(super) fn take(&mut self, name: &str) {
        match name.split_once('.') {
            None => self.0.retain(|(known, _)| *known != name),
            Some((outer, inner)) => {
                for (_, member) in self.0.iter_mut().filter(|(known, _)| *known == outer) {
                    if let Member::Object(inside) = member {
                        inside.take(inner);
                    }
                }
            }
        }
    }
}

impl Scalar<'_> {
    /// The value as it stands in a path or a header.
    pub(super) fn into_text(self) -> String {
        match self {
            Self::Text(text) => text.into_owned(),
            Self::Other(value) => value.to_string(),
        }
    }
}

impl Serialize for Scalar<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => serializer.serialize_str(text),
            Self::Other(value) => value.serialize(serializer),
        }
    }
}

impl Serialize for Object<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, member) in &self.0 {
            match member {
                Member::Scalar(scalar) => map.serialize_entry(name, scalar)?,
                Member::Object(object) => map.serialize_entry(name, object)?,
            }
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_lead_into_objects_and_members_keep_their_order() {
        let mut object = Object::default();
        let text = |text: &'static str| Scalar::Text(text.into());
        for (name, value) in [("b", "1"), ("o.x", "2"), ("a", "3"), ("o.y.z", "4")] {
            object.put(name, text(value));
        }
        object.put("n", Scalar::Other(7.into()));
        let written = |object: &Object<'_>| serde_json::to_string(object).expect("it is JSON");
        assert_eq!(written(&object), r#"{"b":"1","o":{"x":"2","y":{"z":"4"}},"a":"3","n":7}"#);
        for (name, is_there) in [("o", true), ("o.x", true), ("o.y.z", true), ("o.z", false), ("a.x", false), ("c", false)] {
            assert_eq!(object.has(name), is_there, "{name}");
        }
        object.take("o.y.z");
        object.take("a");
        object.take("c.d");
        assert_eq!(written(&object), r#"{"b":"1","o":{"x":"2","y":{}},"n":7}"#);
    }
}
