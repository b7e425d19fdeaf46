//! What has to be fetched before an event can be mapped: says which, in order, and puts the answers into the event. Fetches nothing.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::place::{Document, Place};
use super::rule::{Test, Types};
use super::spec::Condition;
use crate::domain::{Answer, Fetch, Reason};
use crate::envelope::{Path, Shape, json, scalar};

/// More fetches for one event are a mistake in its pack.
pub(super) const STEP_LIMIT: usize = 8;

/// One thing to be fetched.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Enrich")]
pub struct EnrichSpec {
    /// The event types for which it is fetched; left out: all.
    pub types: Option<Vec<String>>,
    /// What else must hold, all of it.
    #[serde(default)]
    pub when: Vec<Condition>,
    /// The path and query of the URL, with places of the event in braces.
    pub path: String,
    /// The member of the event that the answer becomes, such as `payment` or `data.object`.
    pub into: String,
    /// True where a source without the API's credentials believes what the sender put there; else it is taken out all the same.
    #[serde(default)]
    pub keep: bool,
    /// A path in the answer that must hold a value; else it counts as not fetched.
    pub needs: Option<String>,
    /// What to do with the event when it cannot be fetched.
    pub failure: Failure,
}

/// What to do with an event for which something cannot be fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Failure {
    /// Park it.
    Park,
    /// Map it without.
    Skip,
}

/// A compiled [`EnrichSpec`].
#[derive(Debug, Clone)]
pub(super) struct Enrich {
    types: Option<Types>,
    when: Vec<Test>,
    path: Place,
    into: Vec<String>,
    keep: bool,
    needs: Option<Path>,
    failure: Failure,
}

/// An event after what was fetched for it.
pub(super) enum Enriched {
    /// Nothing is missing any more.
    Whole(Value),
    /// This is to be fetched next.
    Lacks(Fetch),
    /// What it needs cannot be fetched.
    Failed(Reason),
}

impl Enrich {
    /// Compiles a table. `fault` is told the key inside it and the cause.
    pub(super) fn new(spec: &EnrichSpec, fault: &mut dyn FnMut(&str, String)) -> Option<Self> {
        let mut when = Vec::new();
        for (index, condition) in spec.when.iter().enumerate() {
            match Test::new(condition) {
                Ok(test) => when.push(test),
                Err(cause) => fault(&format!("when[{index}]"), cause),
            }
        }
        if !spec.path.starts_with('/') {
            fault("path", "must begin with a slash: the host stands in [api]".to_owned());
        }
        let into: Vec<String> = spec.into.split('.').map(str::to_owned).collect();
        if into.iter().any(String::is_empty) {
            fault("into", "must be the name of a member, or several with dots between".to_owned());
        }
        let needs = spec.needs.as_ref().and_then(|text| Path::parse(text).map_err(|cause| fault("needs", cause)).ok());
        let path = Place::joined(&spec.path).map_err(|cause| fault("path", cause)).ok()?;
        let types = spec.types.as_ref().map(|types| Types::new(types));
        Some(Self { types, when, path, into, keep: spec.keep, needs, failure: spec.failure })
    }

    pub(super) fn places(&self) -> impl Iterator<Item = &Place> {
        self.when.iter().map(Test::place).chain([&self.path])
    }

    fn applies(&self, kind: &str, document: Document<'_>) -> bool {
        self.types.as_ref().is_none_or(|types| types.contain(kind)) && self.when.iter().all(|test| test.holds(document))
    }

    /// The answer as a value, or why there is none.
    fn judge(&self, answer: &Answer) -> Result<Value, String> {
        let text = answer.result.as_ref().map_err(String::clone)?;
        let value = json(text, &Shape::whole()).map_err(|_| "the answer is not JSON that can be read".to_owned())?;
        match &self.needs {
            Some(path) if path.all(&value).into_iter().find_map(scalar).is_none() => {
                Err(format!("the answer holds nothing at {}", path.text()))
            }
            Some(_) | None => Ok(value),
        }
    }
}

/// Whether an answer is what its step needs, so that it need not be asked for again.
pub(super) fn is_usable(steps: &[Enrich], answer: &Answer) -> Result<(), String> {
    let step = steps.get(usize::from(answer.step)).ok_or("the pack has no such step any more")?;
    step.judge(answer).map(drop)
}

/// An event of a source that cannot fetch: what the sender put in the place of an answer is taken out, unless the pack keeps it.
pub(super) fn without_answers<'a>(steps: &[Enrich], kind: &str, document: Document<'a>) -> Cow<'a, Value> {
    let mut event = Cow::Borrowed(document.event);
    for step in steps.iter().filter(|step| !step.keep) {
        if step.applies(kind, Document { event: &event, ..document }) {
            put(event.to_mut(), &step.into, Value::Null);
        }
    }
    event
}

/// Puts what was fetched into an event, step by step. What the sender put there itself is taken out first.
pub(super) fn enrich(steps: &[Enrich], kind: &str, document: Document<'_>, answers: &[Answer]) -> Enriched {
    let mut event = document.event.clone();
    for (index, step) in steps.iter().enumerate() {
        let document = Document { event: &event, ..document };
        if !step.applies(kind, document) {
            continue;
        }
        let path = step.path.read_for_url(document);
        put(&mut event, &step.into, Value::Null);
        let index = u16::try_from(index).unwrap_or(u16::MAX);
        let found = match path {
            None => Err("the event does not name what is to be fetched".to_owned()),
            // The same step of another version of the pack may have asked for something else.
            Some(path) => match answers.iter().find(|answer| answer.step == index && answer.path == path) {
                Some(answer) => step.judge(answer),
                None => return Enriched::Lacks(Fetch { step: index, path }),
            },
        };
        match (found, step.failure) {
            (Ok(value), _) => put(&mut event, &step.into, value),
            (Err(_), Failure::Skip) => {}
            (Err(why), Failure::Park) => {
                return Enriched::Failed(Reason::new(
                    "enrich_failed",
                    format!("what the event refers to could not be fetched: {why}"),
                ));
            }
        }
    }
    Enriched::Whole(event)
}

/// Sets a member, making the objects on the way to it.
fn put(event: &mut Value, into: &[String], value: Value) {
    let Some((name, rest)) = into.split_first() else { return };
    if !event.is_object() {
        *event = Value::Object(Map::new());
    }
    let Value::Object(object) = event else { return };
    if rest.is_empty() {
        object.insert(name.clone(), value);
    } else {
        put(object.entry(name.clone()).or_insert(Value::Null), rest, value);
    }
}
