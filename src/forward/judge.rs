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
    /// The id that the upstream gave to the sale.
    pub upstream_id: Option<String>,
}

impl Template {
    /// Judges an answer to a sale, or to an adjustment: the first rule that matches wins. A status outside 200 to 599 is tried again.
    pub fn judge(&self, answer: &Answer, is_adjustment: bool) -> Judgement {
        let body: Option<Value> = serde_json::from_str(&answer.body).ok();
        let matching = self.rules(is_adjustment).find(|rule| rule.matches(answer, body.as_ref()));
        let (outcome, advice) = match matching {
            Some(rule) => (rule.outcome, rule.advice.clone()),
            None => (AttemptOutcome::Retry, "this status is not one that an API answers with".to_owned()),
        };
        // A server that fails may have failed after it wrote; only 503 says that it did not serve (RFC 9110, section 15.6.4).
        let is_failure = matches!(outcome, AttemptOutcome::Retry | AttemptOutcome::RetryLimited)
            && (500..600).contains(&answer.status)
            && answer.status != 503;
        let (outcome, advice) = if is_failure && self.counts_repeats(is_adjustment) {
            (AttemptOutcome::Unknown, self.in_doubt("the upstream failed", is_adjustment))
        } else {
            (outcome, advice)
        };
        let pointer = self.request.capture.as_ref().filter(|_| !is_adjustment);
        let upstream_id = pointer.and_then(|pointer| scalar(body.as_ref()?.pointer(pointer)?));
        Judgement { outcome, advice, upstream_id }
    }

    /// What becomes of what may have been accepted or not, for the operator; `why` begins the sentence.
    pub(super) fn in_doubt(&self, why: &str, is_adjustment: bool) -> String {
        let what = match &self.idempotency.key {
            _ if self.counts_repeats(is_adjustment) => {
                "and would be counted twice: look for it in the upstream's dashboard, and only if it is not there, \
                 `deliveries retry --past-window`"
            }
            Some(key) => return format!("{why}; it may or may not have been accepted, so it is sent again under the same {key}"),
            None => "so it is sent again: to be told it twice changes nothing there",
        };
        format!("{why}; it may or may not have been accepted, {what}")
    }
}

impl Rule {
    fn matches(&self, answer: &Answer, body: Option<&Value>) -> bool {
        let is_status = self.status.iter().any(|wanted| match wanted.strip_suffix("xx") {
            Some(class) => class.parse() == Ok(answer.status / 100),
            None => wanted.parse() == Ok(answer.status),
        });
        let is_kind = || match self.body {
            Some(BodyKind::Html) => answer.is_html(),
            None => true,
        };
        is_status && is_kind() && self.holds(answer, body)
    }

    fn holds(&self, answer: &Answer, body: Option<&Value>) -> bool {
        let found = self.pointer.as_ref().and_then(|pointer| body?.pointer(pointer));
        let holds = |text: &str, part: &String| text.to_lowercase().contains(&part.to_lowercase());
        match (&self.pointer, &self.is, &self.contains) {
            (Some(_), Some(wanted), _) => found.is_some_and(|found| text(found) == *wanted),
            (Some(_), None, Some(part)) => found.is_some_and(|found| holds(&text(found), part)),
            (Some(_), None, None) => found.is_none_or(Value::is_null),
            (None, _, Some(part)) => holds(&answer.body, part),
            (None, _, None) => true,
        }
    }
}

impl Answer {
    fn is_html(&self) -> bool {
        let start = self.body.trim_start().as_bytes();
        // Web frameworks call an empty or a plain answer HTML where nobody says what it is.
        let is_declared = self.content_type.as_deref().is_some_and(|kind| kind.to_ascii_lowercase().contains("html"))
            && start.first() == Some(&b'<');
        let begins = |tag: &[u8]| start.len() >= tag.len() && start[..tag.len()].eq_ignore_ascii_case(tag);
        is_declared || begins(b"<!doctype html") || begins(b"<html")
    }
}

/// The text or number at a place of a JSON document.
pub(super) fn scalar_at(body: &str, pointer: &str) -> Option<String> {
    let body: Value = serde_json::from_str(body).ok()?;
    scalar(body.pointer(pointer)?)
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(_) | Value::Number(_) => Some(text(value)),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}
