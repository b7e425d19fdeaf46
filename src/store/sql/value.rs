//! Values on their way into a statement, and fields on their way out of a row.

use std::borrow::Cow;
use std::sync::Arc;

use super::row::damaged;
use crate::store::{Error, shorthand};

/// A value of a statement.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::store) enum Value<'a> {
    /// Nothing.
    Null,
    /// An integer, a time in milliseconds or a truth value.
    Integer(i64),
    /// A text.
    Text(Cow<'a, str>),
    /// Bytes.
    Blob(Cow<'a, [u8]>),
}

/// What may be a value.
pub(in crate::store) trait ToValue {
    /// The same as a value.
    fn to_value(&self) -> Value<'_>;
}

/// The values of a statement, in the order of its places.
macro_rules! values {
    ($($value:expr),* $(,)?) => { &[$($crate::store::sql::ToValue::to_value(&$value)),*] };
}
/// The same, kept: one of many that are asked at once.
macro_rules! question {
    ($($value:expr),* $(,)?) => { vec![$($crate::store::sql::ToValue::to_value(&$value).into_owned()),*] };
}
pub(in crate::store) use {question, values};

impl Value<'_> {
    /// The same, for as long as anyone likes.
    pub(in crate::store) fn into_owned(self) -> Value<'static> {
        match self {
            Self::Null => Value::Null,
            Self::Integer(value) => Value::Integer(value),
            Self::Text(text) => Value::Text(Cow::Owned(text.into_owned())),
            Self::Blob(bytes) => Value::Blob(Cow::Owned(bytes.into_owned())),
        }
    }

    /// A text, owned.
    pub(in crate::store) fn owned(text: String) -> Self {
        Self::Text(Cow::Owned(text))
    }
}

impl ToValue for i64 {
    fn to_value(&self) -> Value<'_> {
        Value::Integer(*self)
    }
}

macro_rules! integers {
    ($($kind:ty),*) => { $(
        impl ToValue for $kind {
            fn to_value(&self) -> Value<'_> {
                Value::Integer(i64::from(*self))
            }
        }
        impl FromField for $kind {
            fn from_field(field: Option<Field<'_>>) -> Option<Self> {
                i64::from_field(field).and_then(|value| value.try_into().ok())
            }
        }
    )* };
}
integers!(u16, u32, u8);

impl ToValue for bool {
    fn to_value(&self) -> Value<'_> {
        Value::Integer(i64::from(*self))
    }
}

impl ToValue for usize {
    fn to_value(&self) -> Value<'_> {
        Value::Integer(i64::try_from(*self).unwrap_or(i64::MAX))
    }
}

impl ToValue for str {
    fn to_value(&self) -> Value<'_> {
        Value::Text(Cow::Borrowed(self))
    }
}

impl ToValue for String {
    fn to_value(&self) -> Value<'_> {
        self.as_str().to_value()
    }
}

impl ToValue for Arc<str> {
    fn to_value(&self) -> Value<'_> {
        (**self).to_value()
    }
}

impl ToValue for Vec<u8> {
    fn to_value(&self) -> Value<'_> {
        Value::Blob(Cow::Borrowed(self))
    }
}

impl ToValue for [u8] {
    fn to_value(&self) -> Value<'_> {
        Value::Blob(Cow::Borrowed(self))
    }
}

impl<const LENGTH: usize> ToValue for [u8; LENGTH] {
    fn to_value(&self) -> Value<'_> {
        Value::Blob(Cow::Borrowed(self))
    }
}

impl<T: ToValue + ?Sized> ToValue for &T {
    fn to_value(&self) -> Value<'_> {
        (**self).to_value()
    }
}

impl<T: ToValue> ToValue for Option<T> {
    fn to_value(&self) -> Value<'_> {
        self.as_ref().map_or(Value::Null, ToValue::to_value)
    }
}

/// A row that a database answered with.
pub(in crate::store) enum Row<'a> {
    /// SQLite's.
    Sqlite(&'a rusqlite::Row<'a>),
    /// PostgreSQL's.
    Postgres(&'a tokio_postgres::Row),
}

/// A field of a row that is not NULL.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) enum Field<'a> {
    /// An integer or a truth value.
    Integer(i64),
    /// A text.
    Text(&'a str),
    /// Bytes.
    Blob(&'a [u8]),
}

/// What a field may be read as.
pub(in crate::store) trait FromField: Sized {
    /// The field, or nothing where it is something else.
    fn from_field(field: Option<Field<'_>>) -> Option<Self>;
}

impl Row<'_> {
    /// The field in a column, counted from 0.
    pub(in crate::store) fn field(&self, column: usize) -> Result<Option<Field<'_>>, Error> {
        match self {
            Self::Sqlite(row) => {
                use rusqlite::types::ValueRef;
                let text = |text| std::str::from_utf8(text).map_err(|_| damaged("a text that is no UTF-8"));
                Ok(match row.get_ref(column)? {
                    ValueRef::Null => None,
                    ValueRef::Integer(value) => Some(Field::Integer(value)),
                    ValueRef::Text(bytes) => Some(Field::Text(text(bytes)?)),
                    ValueRef::Blob(bytes) => Some(Field::Blob(bytes)),
                    ValueRef::Real(_) => return Err(damaged("a number that is no integer")),
                })
            }
            Self::Postgres(row) => crate::store::postgres::field(row, column),
        }
    }

    /// A column, counted from 0, read as what it has to be.
    pub(in crate::store) fn get<T: FromField>(&self, column: usize) -> Result<T, Error> {
        T::from_field(self.field(column)?).ok_or_else(|| Error::Damaged(format!("a value of another kind in column {column}")))
    }

    /// A column as a value of a statement, whatever it holds.
    pub(in crate::store) fn owned(&self, column: usize) -> Result<Value<'static>, Error> {
        Ok(match self.field(column)? {
            None => Value::Null,
            Some(Field::Integer(value)) => Value::Integer(value),
            Some(Field::Text(text)) => Value::owned(text.to_owned()),
            Some(Field::Blob(bytes)) => Value::Blob(Cow::Owned(bytes.to_owned())),
        })
    }

    /// A column that holds bytes.
    pub(in crate::store) fn bytes(&self, column: usize) -> Result<&[u8], Error> {
        match self.field(column)? {
            Some(Field::Blob(bytes)) => Ok(bytes),
            Some(Field::Integer(_) | Field::Text(_)) | None => Err(damaged("bytes that are none")),
        }
    }

    /// A column that holds a text in shorthand, where it holds any.
    pub(in crate::store) fn shorthand(&self, column: usize) -> Result<Option<String>, Error> {
        match self.field(column)? {
            None => Ok(None),
            Some(Field::Blob(note)) => shorthand::read(note).map(Some),
            Some(Field::Integer(_) | Field::Text(_)) => Err(damaged("a note in shorthand")),
        }
    }

    /// A column that is a text.
    pub(in crate::store) fn text(&self, column: usize) -> Result<&str, Error> {
        match self.field(column)? {
            Some(Field::Text(text)) => Ok(text),
            Some(Field::Integer(_) | Field::Blob(_)) | None => Err(damaged("a text that is none")),
        }
    }
}

impl FromField for i64 {
    fn from_field(field: Option<Field<'_>>) -> Option<Self> {
        match field? {
            Field::Integer(value) => Some(value),
            Field::Text(_) | Field::Blob(_) => None,
        }
    }
}

impl FromField for bool {
    fn from_field(field: Option<Field<'_>>) -> Option<Self> {
        i64::from_field(field).map(|value| value != 0)
    }
}

impl FromField for u64 {
    fn from_field(field: Option<Field<'_>>) -> Option<Self> {
        i64::from_field(field).and_then(|value| value.try_into().ok())
    }
}

impl FromField for usize {
    fn from_field(field: Option<Field<'_>>) -> Option<Self> {
        i64::from_field(field).and_then(|value| value.try_into().ok())
    }
}

impl FromField for String {
    fn from_field(field: Option<Field<'_>>) -> Option<Self> {
        match field? {
            Field::Text(text) => Some(text.to_owned()),
            Field::Integer(_) | Field::Blob(_) => None,
        }
    }
}

impl FromField for Vec<u8> {
    fn from_field(field: Option<Field<'_>>) -> Option<Self> {
        match field? {
            Field::Blob(bytes) => Some(bytes.to_owned()),
            Field::Integer(_) | Field::Text(_) => None,
        }
    }
}

impl<T: FromField> FromField for Option<T> {
    fn from_field(field: Option<Field<'_>>) -> Option<Self> {
        match field {
            None => Some(None),
            Some(_) => T::from_field(field).map(Some),
        }
    }
}
