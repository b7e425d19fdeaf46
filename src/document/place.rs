//! A value of a document, read as a type in such a way that a fault knows where it stands. It is read in one pass without a copy, and
//! one deserialiser is all that the program holds of this for each type. Nothing of it is inlined: that would make the binary larger by
//! what every field of every type needs, for what is read once at the start.

use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{
    self, DeserializeSeed, Deserializer, EnumAccess, Error as _, IntoDeserializer as _, MapAccess, SeqAccess, Unexpected,
    VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;
use toml::{Value, map};

/// A step on the way to a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Key(String),
    Index(usize),
}

/// What the reading stumbled over first, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stumble {
    /// The steps from the value to the root: each level adds its own on the way back.
    steps: Vec<Step>,
    /// What is wrong, in serde's words.
    pub(super) message: String,
}

/// A value that is read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a>(pub(super) &'a Value);

struct Elements<'a>(std::iter::Enumerate<std::slice::Iter<'a, Value>>);

struct Entries<'a> {
    rest: map::Iter<'a, String, Value>,
    entry: Option<(&'a String, &'a Value)>,
}

/// A variant by its name, with what it holds.
struct Variant<'a>(&'a str, Option<&'a Value>);

impl Stumble {
    /// The steps from the root to the value.
    pub(super) fn path(&self) -> Vec<Step> {
        self.steps.iter().rev().cloned().collect()
    }

    fn under(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }
}

impl fmt::Display for Stumble {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for Stumble {}

impl de::Error for Stumble {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self { steps: Vec::new(), message: message.to_string() }
    }
}

impl<'de> Deserializer<'de> for Place<'de> {
    type Error = Stumble;

    #[inline(never)]
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stumble> {
        match self.0 {
            Value::String(text) => visitor.visit_str(text),
            Value::Integer(number) => visitor.visit_i64(*number),
            Value::Float(number) => visitor.visit_f64(*number),
            Value::Boolean(claim) => visitor.visit_bool(*claim),
            Value::Datetime(time) => visitor.visit_str(&time.to_string()),
            Value::Array(values) => visitor.visit_seq(Elements(values.iter().enumerate())),
            Value::Table(table) => visitor.visit_map(Entries { rest: table.iter(), entry: None }),
        }
    }

    /// A table and nothing else: a list of a structure's fields in their order is no document.
    #[inline(never)]
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Stumble> {
        let Value::Table(table) = self.0 else { return Err(Stumble::invalid_type(unexpected(self.0), &visitor)) };
        visitor.visit_map(Entries { rest: table.iter(), entry: None })
    }

    #[inline(never)]
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stumble> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _name: &'static str, visitor: V) -> Result<V::Value, Stumble> {
        visitor.visit_newtype_struct(self)
    }

    #[inline(never)]
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Stumble> {
        match self.0 {
            Value::String(name) => visitor.visit_enum(Variant(name, None)),
            Value::Table(table) => match (table.iter().next(), table.len()) {
                (Some((name, held)), 1) => visitor.visit_enum(Variant(name, Some(held))),
                (_, count) => Err(Stumble::custom(format!("wanted exactly 1 element, found {count} elements"))),
            },
            Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::Datetime(_) | Value::Array(_) => {
                Err(Stumble::custom("wanted string or table"))
            }
        }
    }

    forward_to_deserialize_any! {
        bool u8 u16 u32 u64 u128 i8 i16 i32 i64 i128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple tuple_struct
        map identifier ignored_any
    }
}

/// A value in serde's words.
fn unexpected(value: &Value) -> Unexpected<'_> {
    match value {
        Value::String(text) => Unexpected::Str(text),
        Value::Integer(number) => Unexpected::Signed(*number),
        Value::Float(number) => Unexpected::Float(*number),
        Value::Boolean(claim) => Unexpected::Bool(*claim),
        Value::Datetime(_) => Unexpected::Other("time"),
        Value::Array(_) => Unexpected::Seq,
        Value::Table(_) => Unexpected::Map,
    }
}

impl<'de> SeqAccess<'de> for Elements<'de> {
    type Error = Stumble;

    #[inline(never)]
    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Stumble> {
        let Some((index, value)) = self.0.next() else { return Ok(None) };
        seed.deserialize(Place(value)).map(Some).map_err(|stumble| stumble.under(Step::Index(index)))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.0.len())
    }
}

impl<'de> MapAccess<'de> for Entries<'de> {
    type Error = Stumble;

    #[inline(never)]
    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Stumble> {
        self.entry = self.rest.next();
        let Some((key, _)) = self.entry else { return Ok(None) };
        let key: StrDeserializer<'_, Stumble> = key.as_str().into_deserializer();
        seed.deserialize(key).map(Some)
    }

    #[inline(never)]
    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Stumble> {
        let (key, value) = self.entry.take().expect("serde asks for a value after its key");
        seed.deserialize(Place(value)).map_err(|stumble| stumble.under(Step::Key(key.clone())))
    }

    fn size_hint(&self) -> Option<usize> {
        self.rest.size_hint().1
    }
}

impl<'de> EnumAccess<'de> for Variant<'de> {
    type Error = Stumble;
    type Variant = Self;

    #[inline(never)]
    fn variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<(T::Value, Self), Stumble> {
        let name: StrDeserializer<'_, Stumble> = self.0.into_deserializer();
        seed.deserialize(name).map(|value| (value, self))
    }
}

impl<'de> Variant<'de> {
    /// What a variant that holds something was given, and at which key.
    fn held(&self, wanted: &'static str) -> Result<Place<'de>, Stumble> {
        self.1.map(Place).ok_or_else(|| Stumble::invalid_type(Unexpected::UnitVariant, &wanted))
    }
}

impl<'de> VariantAccess<'de> for Variant<'de> {
    type Error = Stumble;

    fn unit_variant(self) -> Result<(), Stumble> {
        match self.1 {
            None => Ok(()),
            Some(Value::Table(table)) if table.is_empty() => Ok(()),
            Some(_) => Err(Stumble::custom("expected a name alone")),
        }
    }

    #[inline(never)]
    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Stumble> {
        seed.deserialize(self.held("newtype variant")?).map_err(|stumble| stumble.under(Step::Key(self.0.to_owned())))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _length: usize, visitor: V) -> Result<V::Value, Stumble> {
        self.held("tuple variant")?.deserialize_any(visitor).map_err(|stumble| stumble.under(Step::Key(self.0.to_owned())))
    }

    #[inline(never)]
    fn struct_variant<V: Visitor<'de>>(self, fields: &'static [&'static str], visitor: V) -> Result<V::Value, Stumble> {
        self.held("struct variant")?
            .deserialize_struct("", fields, visitor)
            .map_err(|stumble| stumble.under(Step::Key(self.0.to_owned())))
    }
}
