//! The part of a JSON document that somebody wants to see. The rest is checked and passed over, not built.
//!
//! What is built is bounded in width, and no name in it means anything to the parser: what a sender writes stays what it is.

use std::borrow::Cow;
use std::fmt;

use hashbrown::HashMap;
use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::Path;

/// No webhook has an object with more members, or a list with more elements, that matter. Filters look at each of them.
const WIDTH_LIMIT: usize = 2_000;
/// Under this name, alone and first, serde_json hands over a number with its own digits.
const NUMBER: &str = "$serde_json::private::Number";

/// The wanted members of an object, and of those in it.
#[derive(Debug, Clone, Default)]
pub struct Shape {
    is_whole: bool,
    /// No sender adds to them, so a quick hash suffices.
    members: HashMap<String, Shape>,
}

impl Shape {
    /// All of a document.
    pub fn whole() -> Self {
        Self { is_whole: true, members: HashMap::new() }
    }

    /// What these paths look at.
    pub fn of<'a>(paths: impl IntoIterator<Item = &'a Path>) -> Self {
        let mut shape = Self::default();
        paths.into_iter().for_each(|path| shape.add(path));
        shape
    }

    fn add(&mut self, path: &Path) {
        let mut place = self;
        for name in path.names() {
            place = place.members.entry(name.to_owned()).or_default();
        }
        place.is_whole = true;
    }

    /// Reads a document, of which only the wanted part is built. All of it must be JSON.
    pub(super) fn read(&self, text: &str) -> serde_json::Result<Value> {
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let value = self.deserialize(&mut deserializer)?;
        deserializer.end()?;
        Ok(value)
    }
}

impl<'de> DeserializeSeed<'de> for &Shape {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        if self.is_whole { deserializer.deserialize_any(Whole) } else { deserializer.deserialize_any(self) }
    }
}

/// All of a value.
#[derive(Clone, Copy)]
struct Whole;

impl<'de> DeserializeSeed<'de> for Whole {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Whole {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = entries.next_key_seed(Name)? {
            if object.is_empty() && name == NUMBER {
                let digits: String = entries.next_value()?;
                return digits.parse::<Number>().map(Value::Number).map_err(de::Error::custom);
            }
            object.insert(name.into_owned(), entries.next_value_seed(self)?);
            bounded(object.len())?;
        }
        Ok(Value::Object(object))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(element) = elements.next_element_seed(self)? {
            list.push(element);
            bounded(list.len())?;
        }
        Ok(Value::Array(list))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::String(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(Value::String(text))
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Value, E> {
        Ok(Value::Bool(truth))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Number(number.into()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(Value::Number(number.into()))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
}

/// The name of a member, which mostly stands in the text as it is.
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = Cow<'de, str>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a name")
    }

    fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(name))
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(name.to_owned()))
    }
}

/// The name of a member, looked up among those that are wanted.
struct Among<'a>(&'a HashMap<String, Shape>);

impl<'de, 'a> DeserializeSeed<'de> for Among<'a> {
    type Value = Option<(&'a String, &'a Shape)>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'a> Visitor<'_> for Among<'a> {
    type Value = Option<(&'a String, &'a Shape)>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.get_key_value(name))
    }
}

fn bounded<E: de::Error>(width: usize) -> Result<(), E> {
    if width > WIDTH_LIMIT { Err(E::custom("an object or a list is wider than any webhook's")) } else { Ok(()) }
}

/// Where only members are wanted, everything but an object is nothing.
impl<'de> Visitor<'de> for &Shape {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut object = Map::with_capacity(self.members.len());
        while let Some(wanted) = entries.next_key_seed(Among(&self.members))? {
            match wanted {
                Some((name, shape)) => drop(object.insert(name.clone(), entries.next_value_seed(shape)?)),
                None => drop(entries.next_value::<IgnoredAny>()?),
            }
        }
        Ok(Value::Object(object))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        while elements.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Value::Array(Vec::new()))
    }

    fn visit_str<E>(self, _: &str) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shape(paths: &[&str]) -> Shape {
        Shape::of(&paths.iter().map(|path| Path::parse(path).expect("a path")).collect::<Vec<_>>())
    }

    #[test]
    fn only_what_is_wanted_is_built() {
        let text = r#"{"id":1,"data":{"object":{"amount":19.90,"lines":[1,2,3]},"x":{}},"n":[{"k":1}],"more":{"deep":[{}]}}"#;
        let wanted = shape(&["$.id", "$.data.object.amount", "$.n[?@.k==1].k", "$.data.gone.a"]);
        let found = wanted.read(text).expect("JSON");
        assert_eq!(
            found,
            json!({"id": 1, "data": {"object": {"amount": serde_json::from_str::<Value>("19.90").expect("a number")}}, "n": [{"k": 1}]})
        );
        assert_eq!(Shape::whole().read(text).expect("JSON"), serde_json::from_str::<Value>(text).expect("JSON"));
    }

    #[test]
    fn what_is_passed_over_is_still_checked() {
        for text in [r#"{"id":1,"x":[}"#, r#"{"id":1}x"#, r#"{"id":1,"x":tru}"#, r#"{"id":"#, "", "nul"] {
            assert!(shape(&["$.id"]).read(text).is_err(), "{text}");
        }
        for text in ["[1]", "3", "1.5", "null", "true", "\"x\"", r#"{"id":{}}"#] {
            assert!(shape(&["$.id.a"]).read(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn no_name_means_anything_to_the_parser_and_width_is_bounded() {
        let text = r#"{"a":{"$serde_json::private::RawValue":"[[1]]"},"b":{"x":1,"$serde_json::private::Number":"7"}}"#;
        let expected =
            json!({"a": {"$serde_json::private::RawValue": "[[1]]"}, "b": {"x": 1, "$serde_json::private::Number": "7"}});
        assert_eq!(Shape::whole().read(text).expect("JSON"), expected);
        assert!(Shape::whole().read(r#"{"$serde_json::private::Number":"[1]"}"#).is_err());
        let wide = format!("[{}1]", "1,".repeat(WIDTH_LIMIT));
        assert!(Shape::whole().read(&wide).is_err());
        assert!(shape(&["$.a"]).read(&format!(r#"{{"b":{wide},"a":1}}"#)).is_ok(), "what is passed over costs nothing");
    }

    #[test]
    fn the_last_of_equal_names_counts_as_everywhere() {
        assert_eq!(shape(&["$.a.b"]).read(r#"{"a":{"b":1},"a":{"b":2}}"#).expect("JSON"), json!({"a": {"b": 2}}));
    }
}
