//! Deliveries that a person sends again: which, how many, and which had better not be.

use super::views::select_deliveries;
use super::{Db, Value, values};
use crate::domain::{DeliveryState, Timestamp};
use crate::store::{Error, Forgotten, Retry, RetryView};

/// What is under way, or was taken back because of its sale, is nobody's to send.
const SENDABLE: &str = "d.state NOT IN ('sending', 'merged', 'withdrawn')";
const ACCEPTED: &str = "d.state IN ('delivered', 'duplicate', 'unattributed')";

/// A condition on `d`, with its values.
struct Selection {
    sql: String,
    values: Vec<Value<'static>>,
}

pub(in crate::store) fn retryable(db: &dyn Db, which: &Retry, limit: usize) -> Result<RetryView, Error> {
    let picked = picked(which);
    let forgotten = forgotten(which, &picked);
    let accepted = if which.accepted { 0 } else { count(db, &picked, ACCEPTED)? };
    let not_accepted = if which.accepted { "1 = 1".to_owned() } else { format!("NOT {ACCEPTED}") };
    let past_window = if which.past_window {
        0
    } else {
        let both = Selection { sql: format!("{} AND {}", picked.sql, forgotten.sql), values: forgotten.values };
        count(db, &both, &not_accepted)?
    };
    let sent = sent(which);
    let rest = format!("WHERE {} ORDER BY d.id LIMIT {limit}", sent.sql);
    Ok(RetryView { count: count(db, &sent, "1 = 1")?, accepted, past_window, first: select_deliveries(db, &rest, &sent.values)? })
}

pub(in crate::store) fn retry(db: &dyn Db, which: &Retry, now: Timestamp) -> Result<usize, Error> {
    let now = now.as_millisecond();
    let sent = sent(which);
    // Looked at once more when the row is there to be changed: a replica may have begun it meanwhile.
    let still = if which.accepted { SENDABLE.to_owned() } else { format!("{SENDABLE} AND NOT {ACCEPTED}") };
    let still = still.replace("d.state", "state");
    // A resumed delivery gets the days of the schedule anew.
    let sql = format!(
        "UPDATE deliveries SET state = 'due', due_at = {now}, tried_since = NULL, attempts = 0, limited = 0, maybe_since = NULL, updated_at = {now}
         WHERE id IN (SELECT d.id FROM deliveries d JOIN sales s ON s.id = d.sale WHERE {}) AND {still}",
        sent.sql
    );
    let changed = db.execute(&sql, &sent.values)?;
    db.execute(
        "UPDATE upstreams SET paused = 0, reason = NULL, since = ?1 WHERE paused <> 0 AND by_hand = 0
         AND EXISTS (SELECT 1 FROM deliveries WHERE upstream = upstreams.name AND updated_at = ?1)",
        values![now],
    )?;
    Ok(changed)
}

/// What is sent: of what was picked, what was not accepted, and what the upstream would not count anew.
fn sent(which: &Retry) -> Selection {
    let picked = picked(which);
    let mut parts = Vec::new();
    if !which.accepted {
        parts.push(format!("NOT {ACCEPTED}"));
    }
    let selection = if which.past_window {
        picked
    } else {
        let forgotten = forgotten(which, &picked);
        parts.push(format!("NOT ({})", forgotten.sql));
        Selection { sql: picked.sql, values: forgotten.values }
    };
    let sql = std::iter::once(selection.sql).chain(parts).collect::<Vec<_>>().join(" AND ");
    Selection { sql, values: selection.values }
}

/// What the operator names.
fn picked(which: &Retry) -> Selection {
    let mut values: Vec<Value<'static>> = Vec::new();
    let mut parts = vec![SENDABLE.to_owned()];
    let mut is_one_of = |column: &str, wanted: Vec<Value<'static>>| {
        let places: Vec<String> = (1..=wanted.len()).map(|place| format!("?{}", values.len() + place)).collect();
        values.extend(wanted);
        format!("{column} IN ({})", places.join(", "))
    };
    if !which.ids.is_empty() {
        parts.push(is_one_of("d.id", which.ids.iter().map(|id| Value::Integer(*id)).collect()));
    }
    let dead = [DeliveryState::Dead];
    let states = if which.states.is_empty() && which.ids.is_empty() { &dead[..] } else { &which.states[..] };
    if !states.is_empty() {
        parts.push(is_one_of("d.state", states.iter().map(|state| Value::owned(state.as_str().to_owned())).collect()));
    }
    for (column, wanted) in [("d.upstream", &which.upstream), ("s.source", &which.source)] {
        if let Some(wanted) = wanted {
            parts.push(is_one_of(column, vec![Value::owned(wanted.clone())]));
        }
    }
    if let Some(status) = which.status {
        parts.push(is_one_of("d.last_status", vec![Value::Integer(i64::from(status))]));
    }
    for (column, bound) in [("d.made_at >=", which.since), ("d.made_at <", which.until)] {
        if let Some(bound) = bound {
            values.push(Value::Integer(bound.as_millisecond()));
            parts.push(format!("{column} ?{}", values.len()));
        }
    }
    Selection { sql: parts.join(" AND "), values }
}

/// The condition that the upstream may have accepted it so long ago that it would count it anew. Its values come after those of
/// what was picked.
fn forgotten(which: &Retry, picked: &Selection) -> Selection {
    let mut values = picked.values.clone();
    let maybe = "a.outcome IN ('delivered', 'duplicate', 'unattributed', 'unknown') OR (a.outcome IN ('retry', 'retry_limited') AND a.status >= 500)";
    let mut parts = Vec::new();
    for Forgotten { upstream, before, sales_only } in &which.forgotten_by {
        values.push(Value::owned(upstream.clone()));
        values.push(Value::Integer(before.as_millisecond()));
        let (name, at) = (values.len() - 1, values.len());
        let what = if *sales_only { "AND d.number = 0" } else { "" };
        parts.push(format!(
            "(d.upstream = ?{name} {what} AND EXISTS (SELECT 1 FROM attempts a WHERE a.delivery = d.id AND ({maybe}) AND a.started_at <= ?{at}))"
        ));
    }
    let sql = if parts.is_empty() { "1 = 0".to_owned() } else { parts.join(" OR ") };
    Selection { sql: format!("({sql})"), values }
}

/// Of what was picked, so many for which a condition holds. The selection has the values of both.
fn count(db: &dyn Db, selection: &Selection, condition: &str) -> Result<usize, Error> {
    let sql = format!("SELECT COUNT(*) FROM deliveries d JOIN sales s ON s.id = d.sale WHERE {} AND {condition}", selection.sql);
    db.value(&sql, &selection.values)
}
