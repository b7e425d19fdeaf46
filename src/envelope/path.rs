//! Paths (RFC 9535) into a document. Those of plain names and numbers, nearly all, are walked without a query engine.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::Value;
use serde_json_path::JsonPath;

use super::scalar;

/// A compiled path.
#[derive(Debug, Clone)]
pub struct Path {
    text: Arc<str>,
    /// The plain steps with which it begins; all of it where there is no query.
    steps: Vec<Step>,
    query: Option<Arc<JsonPath>>,
    /// Whether a filter looks at the document from its top.
    needs_root: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Name(String),
    Index(usize),
}

impl Path {
    /// Compiles a path.
    ///
    /// # Errors
    /// A sentence that says why it is none.
    pub fn parse(text: &str) -> Result<Self, String> {
        let query = JsonPath::parse(text).map_err(|error| format!("{text} is not a path (RFC 9535): {}", error.message()))?;
        let (steps, rest) = plain_steps(text.strip_prefix('$').unwrap_or(text));
        let needs_root = rest.contains('$');
        let query = (!rest.is_empty()).then(|| Arc::new(query));
        Ok(Self { text: text.into(), steps, query, needs_root })
    }

    /// The path as it was written.
    pub fn text(&self) -> &Arc<str> {
        &self.text
    }

    /// The names with which it begins, up to the first step of another kind; nothing where all of the document may matter.
    pub(super) fn names(&self) -> Vec<&str> {
        if self.needs_root {
            return Vec::new();
        }
        self.steps.iter().map_while(|step| if let Step::Name(name) = step { Some(name.as_str()) } else { None }).collect()
    }

    /// The names of a path that is made of nothing else.
    pub fn plain_names(&self) -> Option<Vec<&str>> {
        let names = self.names();
        (self.query.is_none() && names.len() == self.steps.len()).then_some(names)
    }

    /// Everything that stands there.
    pub fn all<'a>(&self, document: &'a Value) -> Vec<&'a Value> {
        match &self.query {
            Some(query) => query.query(document).all(),
            None => self.walk(document).into_iter().collect(),
        }
    }

    /// The first value that stands there, as text; see [`scalar`].
    pub fn scalar<'a>(&self, document: &'a Value) -> Option<Cow<'a, str>> {
        match &self.query {
            Some(query) => query.query(document).all().into_iter().find_map(scalar),
            None => self.walk(document).and_then(scalar),
        }
    }

    fn walk<'a>(&self, document: &'a Value) -> Option<&'a Value> {
        self.steps.iter().try_fold(document, |place, step| match (step, place) {
            (Step::Name(name), Value::Object(object)) => object.get(name),
            (Step::Index(index), Value::Array(array)) => array.get(*index),
            (Step::Name(_) | Step::Index(_), _) => None,
        })
    }
}

/// The plain steps at the beginning of a path that is known to be valid, and what comes after them.
fn plain_steps(mut rest: &str) -> (Vec<Step>, &str) {
    let mut steps = Vec::new();
    while let Some((step, tail)) = plain_step(rest) {
        steps.push(step);
        rest = tail;
    }
    (steps, rest)
}

fn plain_step(text: &str) -> Option<(Step, &str)> {
    if let Some(tail) = text.strip_prefix('.') {
        let end = tail.find(['.', '[']).unwrap_or(tail.len());
        let (name, tail) = tail.split_at(end);
        let is_name = !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_');
        return is_name.then(|| (Step::Name(name.to_owned()), tail));
    }
    let (inside, tail) = text.strip_prefix('[')?.split_once(']')?;
    if let Ok(index) = inside.parse() {
        return inside.bytes().all(|byte| byte.is_ascii_digit()).then_some((Step::Index(index), tail));
    }
    let name = inside.strip_prefix('\'')?.strip_suffix('\'')?;
    (!name.contains(['\'', '\\'])).then(|| (Step::Name(name.to_owned()), tail))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn plain_and_other_paths_find_the_same() {
        let document = json!({"a": {"b": [{"c": "1"}, {"c": 2}], "d.e": "x", "n": null}, "f": [{"k": "x", "v": "y"}]});
        let read = |path: &str| Path::parse(path).expect("a path").scalar(&document).map(Cow::into_owned);
        for (path, wanted) in [
            ("$.a.b[1].c", Some("2")),
            ("$['a']['d.e']", Some("x")),
            ("$.a.b[*].c", Some("1")),
            ("$.f[?@.k=='x'].v", Some("y")),
            ("$.f[?@.k==$.a['d.e']].v", Some("y")),
            ("$..c", Some("1")),
            ("$.a['zz','d.e']", Some("x")),
            ("$.a.n", None),
            ("$.a.b", None),
            ("$.a.b[9].c", None),
            ("$.a.b.c", None),
        ] {
            assert_eq!(read(path).as_deref(), wanted, "{path}");
        }
        assert!(Path::parse("$.a[").is_err() && Path::parse("a.b").is_err() && Path::parse("").is_err());
    }

    #[test]
    fn a_filter_that_looks_from_the_top_needs_all_of_the_document() {
        let names = |text: &str| Path::parse(text).expect("a path").names().join("/");
        assert_eq!(names("$.a.b[0].c"), "a/b");
        assert_eq!(names("$.a.b['x','y']"), "a/b");
        assert_eq!(names("$.a[?@.b == $.c]"), "");
    }
}
