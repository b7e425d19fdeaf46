//! What an answer means, by the template's rules.

use serde_json::Value;

use super::template::{BodyKind, Rule, Template};
use crate::domain::AttemptOutcome;
use crate::outbound::Answer;

/// What an answer comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// What it comes to.
    pub outcome: AttemptOutcome,
    /// What happened and what to do, for the operator.
    pub advice: String,
}

impl Template {
    /// Judges an answer: the first rule that matches wins. An answer outside 2xx to 5xx is tried again.
    pub fn judge(&self, answer: &Answer) -> Judgement {
        let body: Option<Value> = serde_json::from_str(&answer.body).ok();
        let matching = self.answers.iter().find(|rule| rule.matches(answer, body.as_ref()));
        match matching {
            Some(rule) => Judgement { outcome: rule.outcome, advice: rule.advice.clone() },
            None => {
                Judgement { outcome: AttemptOutcome::Retry, advice: "this status is not one that an API answers with".to_owned() }
            }
        }
    }
}

impl Rule {
    fn matches(&self, answer: &Answer, body: Option<&Value>) -> bool {
        let is_status = self.status.iter().any(|wanted| match wanted.strip_suffix("xx") {
            Some(class) => class.parse() == Ok(answer.status / 100),
            None => wanted.parse() == Ok(answer.status),
        });
        let is_kind = match self.body {
            Some(BodyKind::Html) => answer.is_html(),
            None => true,
        };
        let is_value = match (&self.pointer, &self.is) {
            (Some(pointer), Some(wanted)) => {
                body.and_then(|body| body.pointer(pointer)).is_some_and(|found| text(found) == *wanted)
            }
            (Some(_) | None, Some(_) | None) => true,
        };
        is_status && is_kind && is_value
    }
}

impl Answer {
    fn is_html(&self) -> bool {
        let is_declared = self.content_type.as_deref().is_some_and(|kind| kind.to_ascii_lowercase().contains("html"));
        let start = self.body.trim_start().as_bytes();
        let begins = |tag: &[u8]| start.len() >= tag.len() && start[..tag.len()].eq_ignore_ascii_case(tag);
        is_declared || begins(b"<!doctype html") || begins(b"<html")
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}
