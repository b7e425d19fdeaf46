//! What a scheme may look at before it believes anything: bytes, headers, and just those fields of the body that it names.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::HashSet;

use serde_json::Value;

use crate::domain::Request;
use crate::envelope::{Envelope, Path, Shape, pairs, scalar, token};

/// More items in one request are no webhook.
const ITEM_LIMIT: usize = 1_000;

/// A request that is being judged. The body is opened when a field of it is asked for, and only as far as the scheme needs.
pub(super) struct Input<'a> {
    pub(super) request: &'a Request,
    envelope: &'a Envelope,
    shape: &'a Shape,
    document: OnceCell<Option<Value>>,
    form: OnceCell<Vec<(String, String)>>,
}

/// The fields of a request, seen from its top or from one of its items.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) input: &'a Input<'a>,
    item: Option<&'a Value>,
}

impl<'a> Input<'a> {
    pub(super) fn new(request: &'a Request, envelope: &'a Envelope, shape: &'a Shape) -> Self {
        Self { request, envelope, shape, document: OnceCell::new(), form: OnceCell::new() }
    }

    pub(super) fn view(&'a self) -> View<'a> {
        View { input: self, item: None }
    }

    /// One view for each item; `None` where there is none or there are too many.
    pub(super) fn items(&'a self, each: &Path) -> Option<Vec<View<'a>>> {
        let items = each.all(self.document()?);
        let is_usual = (1..=ITEM_LIMIT).contains(&items.len());
        is_usual.then(|| items.into_iter().map(|item| View { input: self, item: Some(item) }).collect())
    }

    /// The fields of a form body; none where the body is read as something else.
    pub(super) fn form(&self) -> &[(String, String)] {
        let owned = |(name, value): (Cow<'_, str>, Cow<'_, str>)| (name.into_owned(), value.into_owned());
        let fields =
            || if self.envelope.is_form(self.request) { pairs(&self.request.body).map(owned).collect() } else { Vec::new() };
        self.form.get_or_init(fields)
    }

    /// True where a field other than an element of a list (`ids[]`) stands more than once in a form body.
    pub(super) fn has_repeated_field(&self) -> bool {
        let mut names = HashSet::new();
        self.form().iter().any(|(name, _)| !name.ends_with("[]") && !names.insert(name.as_str()))
    }

    fn document(&self) -> Option<&Value> {
        self.document.get_or_init(|| self.envelope.open(self.request, self.shape).ok()).as_ref()
    }
}

impl<'a> View<'a> {
    /// A value in the body as text, blank or not.
    pub(super) fn json(self, path: &Path) -> Option<Cow<'a, str>> {
        path.all(self.top()?).into_iter().find_map(token)
    }

    /// A value in the body as text, unless it is blank.
    pub(super) fn json_value(self, path: &Path) -> Option<Cow<'a, str>> {
        path.all(self.top()?).into_iter().find_map(scalar)
    }

    /// The object at a path, or at the top.
    pub(super) fn object(self, at: Option<&Path>) -> Option<&'a serde_json::Map<String, Value>> {
        match at {
            Some(path) => path.all(self.top()?).into_iter().find_map(Value::as_object),
            None => self.top()?.as_object(),
        }
    }

    /// The only value of a form's field; of a list (`ids[]`) the first.
    pub(super) fn form(self, key: &str) -> Option<&'a str> {
        let mut values = self.input.form().iter().filter(|(known, _)| known == key).map(|(_, value)| value.as_str());
        let first = values.next()?;
        (key.ends_with("[]") || values.all(|value| value == first)).then_some(first)
    }

    fn top(self) -> Option<&'a Value> {
        self.item.or_else(|| self.input.document())
    }
}
