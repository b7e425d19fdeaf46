//! All fields of a form or of an object, written one after the other: what the token `{fields}` stands for.

use std::borrow::Cow;
use std::collections::HashMap;

use super::input::View;
use super::spec::{FieldsFrom, FieldsSpec, Order, Write};
use crate::envelope::{Path, token};

/// A checked `[verify.fields]`.
#[derive(Debug, Clone)]
pub(super) struct Fields {
    from: FieldsFrom,
    at: Option<Path>,
    exclude: Vec<String>,
    order: Order,
    write: Write,
    join: String,
}

impl Fields {
    /// Checks the table.
    pub(super) fn new(spec: &FieldsSpec) -> Result<Self, String> {
        if spec.from == FieldsFrom::Form && spec.at.is_some() {
            return Err("at belongs to from = \"json\"".to_owned());
        }
        let at = spec.at.as_deref().map(Path::parse).transpose()?;
        let FieldsSpec { from, exclude, order, write, join, .. } = spec.clone();
        Ok(Self { from, at, exclude, order, write, join })
    }

    /// True where all of the body is written, names and values, but for what is excluded. Where only values are written, who holds
    /// one genuine request can give them other names.
    pub(super) fn is_whole(&self) -> bool {
        let binds_names = match self.write {
            Write::KeyValue | Write::KeyEqualsValue | Write::Php => true,
            Write::Value | Write::LengthValue => false,
        };
        self.at.is_none() && binds_names
    }

    /// The names that are left out.
    pub(super) fn excluded(&self) -> &[String] {
        &self.exclude
    }

    /// The object that is written, where it is not the form: its path, or `None` for the top.
    pub(super) fn object(&self) -> Option<Option<&Path>> {
        (self.from == FieldsFrom::Json).then_some(self.at.as_ref())
    }

    /// The bytes; `None` where the body cannot be read or holds a value that cannot be written.
    pub(super) fn write(&self, view: View<'_>) -> Option<Vec<u8>> {
        let mut fields: Vec<(Cow<'_, str>, Cow<'_, str>)> = match self.from {
            FieldsFrom::Form => view.input.form().iter().map(|(name, value)| (name.into(), value.into())).collect(),
            FieldsFrom::Json => {
                let object = view.object(self.at.as_ref())?;
                let value = |value| if serde_json::Value::is_null(value) { Some(Cow::Borrowed("")) } else { token(value) };
                let kept = object.iter().filter(|(name, _)| !self.is_excluded(name));
                kept.map(|(name, inner)| Some((name.as_str().into(), value(inner)?))).collect::<Option<_>>()?
            }
        };
        fields.retain(|(name, _)| !self.is_excluded(name));
        match self.order {
            Order::Received => group(&mut fields),
            Order::Key => fields.sort_by(|one, other| one.0.cmp(&other.0)),
            Order::KeyIgnoringCase => fields.sort_by_cached_key(|(name, _)| name.to_lowercase()),
            Order::ElementIgnoringCase => fields.sort_by_cached_key(|field| self.element(field).to_lowercase()),
        }
        if self.write == Write::Php {
            return Some(php(&fields).into_bytes());
        }
        let elements: Vec<String> = fields.iter().map(|field| self.element(field)).collect();
        Some(elements.join(&self.join).into_bytes())
    }

    fn element(&self, (name, value): &(Cow<'_, str>, Cow<'_, str>)) -> String {
        match self.write {
            Write::Value => value.to_string(),
            Write::KeyValue | Write::Php => format!("{name}{value}"),
            Write::KeyEqualsValue => format!("{name}={value}"),
            Write::LengthValue => format!("{}{value}", value.len()),
        }
    }

    /// Whether a field is left out: by its name, or as a `name[…]`.
    fn is_excluded(&self, name: &str) -> bool {
        let matches =
            |excluded: &String| name.strip_prefix(excluded.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('['));
        self.exclude.iter().any(matches)
    }
}

/// Elements of one bracketed name (`a[]=1&b[]=2&a[]=3`) stand together at the place of the first, as PHP keeps them.
fn group(fields: &mut [(Cow<'_, str>, Cow<'_, str>)]) {
    let base = |name: &str| name.split('[').next().unwrap_or(name).to_owned();
    let mut places: HashMap<String, usize> = HashMap::new();
    for (index, (name, _)) in fields.iter().enumerate() {
        places.entry(base(name)).or_insert(index);
    }
    fields.sort_by_key(|(name, _)| places.get(&base(name)).copied());
}

/// PHP's `serialize` of an array of texts (lengths count bytes).
fn php(fields: &[(Cow<'_, str>, Cow<'_, str>)]) -> String {
    let mut text = format!("a:{}:{{", fields.len());
    for (name, value) in fields {
        text.push_str(&format!("s:{}:\"{name}\";s:{}:\"{value}\";", name.len(), value.len()));
    }
    text.push('}');
    text
}
