//! What is found by names that come in no order: ids of events, keys and groups of sales, customers.
//!
//! PostgreSQL has indexes of them. A file finds rows by the hashes of their names ([`Db::named`]) and compares the rows themselves; it has
//! no constraint that would refuse a second row of one name, so whoever writes looks first.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::row::{damaged, origin_from, scope, scope_from};
use super::{Db, Row, Unchanged, Value, question, values};
use crate::attribute::{EventRecord, Place, SaleKey};
use crate::domain::{Click, Found, Identity, Origin, RequestId, SaleId, Scope, from_millis};
use crate::store::{Error, shorthand};

/// What goes by a name. The numbers are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Named {
    /// A request in the inbox, by its fingerprint.
    Request,
    /// The request of an event, by the provider's id of the event.
    Event,
    /// A row of `sale_keys`, by the key's value.
    Key,
    /// A row of `sale_groups`, by the key's value.
    Group,
    /// An identity, by the provider's customer.
    Customer,
    /// An identity, by the team's own customer.
    Person,
}

impl Named {
    pub(in crate::store) fn number(self) -> u8 {
        match self {
            Self::Request => 0,
            Self::Event => 1,
            Self::Key => 2,
            Self::Group => 3,
            Self::Customer => 4,
            Self::Person => 5,
        }
    }
}

/// A question for all rows of a name: as it is put to an index, and to a row whose number is its last value.
pub(super) struct Ask {
    named: Named,
    by_index: &'static str,
    by_row: &'static str,
    /// No more rows than this are wanted.
    limit: usize,
}

/// The sale of a key. Values: scope, kind, value.
pub(super) const SALE_OF_KEY: Ask = Ask {
    named: Named::Key,
    by_index: "SELECT sale FROM sale_keys WHERE scope = ?1 AND kind = ?2 AND value = ?3",
    by_row: "SELECT sale FROM sale_keys WHERE id = ?4 AND scope = ?1 AND kind = ?2 AND value = ?3",
    limit: 1,
};

/// The sales of a group, first ones first. Values: scope, kind, value.
pub(super) const SALES_OF_GROUP: Ask = Ask {
    named: Named::Group,
    by_index: "SELECT sale FROM sale_groups WHERE scope = ?1 AND kind = ?2 AND value = ?3 ORDER BY sale LIMIT 50",
    by_row: "SELECT sale FROM sale_groups WHERE id = ?4 AND scope = ?1 AND kind = ?2 AND value = ?3",
    limit: 50,
};

/// Selects what is remembered of a customer, in the columns that [`read_identity`] follows.
macro_rules! identity {
    ($rest:literal) => {
        concat!(
            "SELECT customer_external_id, customer_origin, customer_at, clicks, first_seen, last_seen, notes, scope, customer \
             FROM identities WHERE ",
            $rest
        )
    };
}

/// The same of a provider's customer, where there is an index. Values: scope, customer.
pub(super) const CUSTOMER_OF_SCOPE: &str = identity!("scope = ?1 AND customer = ?2");

/// What is remembered of a provider's customer. Values: scope, customer.
pub(super) const CUSTOMER: Ask = Ask {
    named: Named::Customer,
    by_index: CUSTOMER_OF_SCOPE,
    by_row: identity!("id = ?3 AND scope = ?1 AND customer = ?2"),
    limit: 1,
};

/// What is remembered of the team's own customer, in all scopes that begin with a text. Values: that text, customer.
pub(super) const PERSON: Ask = Ask {
    named: Named::Person,
    by_index: identity!("customer_external_id = ?2 AND substr(scope, 1, length(CAST(?1 AS TEXT))) = ?1 LIMIT 100"),
    by_row: identity!("id = ?3 AND customer_external_id = ?2 AND substr(scope, 1, length(CAST(?1 AS TEXT))) = ?1"),
    limit: 100,
};

/// The event that used up a provider's event id. Values: source, id.
pub(super) const EVENT_OF_ID: Ask = Ask {
    named: Named::Event,
    by_index: "SELECT request, position FROM events WHERE source = ?1 AND unique_id = ?2",
    by_row: "SELECT request, position FROM events WHERE request = ?3 AND source = ?1 AND unique_id = ?2",
    limit: 1,
};

/// Sales of any key of a value. Values: the value.
pub(super) const SALES_OF_VALUE: [Ask; 2] = [
    Ask { named: Named::Key, by_index: "", by_row: "SELECT sale FROM sale_keys WHERE id = ?2 AND value = ?1", limit: usize::MAX },
    Ask {
        named: Named::Group,
        by_index: "",
        by_row: "SELECT sale FROM sale_groups WHERE id = ?2 AND value = ?1",
        limit: usize::MAX,
    },
];

/// Identities of a provider's customer in any scope, and of the team's own customer. Values: the customer.
pub(super) const SHOWN_IDENTITIES: [Ask; 2] = [
    Ask { named: Named::Customer, by_index: "", by_row: identity!("id = ?2 AND customer = ?1"), limit: usize::MAX },
    Ask {
        named: Named::Person,
        by_index: identity!("customer_external_id = ?1 ORDER BY scope, customer LIMIT 100"),
        by_row: identity!("id = ?2 AND customer_external_id = ?1"),
        limit: 100,
    },
];

impl Ask {
    /// Asks for all of them at once. A question's last value is the name. Each row that comes back is handed over with the place of its
    /// question.
    pub(super) fn all(
        &self,
        db: &dyn Db,
        questions: &[Vec<Value<'_>>],
        each: &mut dyn FnMut(usize, &Row<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        for (place, question) in questions.iter().enumerate() {
            let Some(rows) = db.named(self.named, name_of(question))? else {
                return db.query_all(self.by_index, questions, each);
            };
            let mut found = 0;
            for row in rows {
                let mut values = question.clone();
                values.push(Value::Integer(row));
                db.query(self.by_row, &values, &mut |row| {
                    found += 1;
                    each(place, row)
                })?;
                if found >= self.limit {
                    break;
                }
            }
        }
        Ok(())
    }
}

fn name_of<'a>(question: &'a [Value<'_>]) -> &'a [u8] {
    match question.last() {
        Some(Value::Text(text)) => text.as_bytes(),
        Some(Value::Blob(bytes)) => bytes,
        Some(Value::Integer(_) | Value::Null) | None => &[],
    }
}

/// Puts a key of a sale: one that identifies it, or one that it shares with others.
///
/// # Errors
/// [`Error::Conflict`]: the key identifies another sale already, so this would be a second count. (To say the same again changes
/// nothing.)
pub(super) fn put_key(db: &dyn Db, new: &SaleKey) -> Result<(), Error> {
    let (place, value) = (scope(&new.scope), &new.key.value);
    let (named, sql) = if new.key.identifies {
        (Named::Key, "SELECT id, sale FROM sale_keys WHERE id = ?4 AND scope = ?1 AND kind = ?2 AND value = ?3")
    } else {
        (Named::Group, "SELECT id, sale FROM sale_groups WHERE id = ?4 AND scope = ?1 AND kind = ?2 AND value = ?3")
    };
    let taken = Unchanged::Conflict("a key that belongs to another sale already");
    let Some(rows) = db.named(named, value.as_bytes())? else {
        let (sql, name, expected) = if new.key.identifies {
            let sql = "INSERT INTO sale_keys (scope, kind, value, sale) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (scope, kind, value) DO UPDATE SET sale = excluded.sale WHERE sale_keys.sale = excluded.sale";
            (sql, 3, Some(taken))
        } else {
            let sql = "INSERT INTO sale_groups (scope, kind, value, sale) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING";
            (sql, 4, None)
        };
        return db.put_row(sql, name, values![place, new.key.kind, value, new.sale], expected);
    };
    for row in rows {
        match db.row(sql, values![place, new.key.kind, value, row], |row| row.get::<SaleId>(1))? {
            Some(owner) if owner == new.sale => return Ok(()),
            Some(_) if new.key.identifies => return Err(taken.error()),
            Some(_) | None => {}
        }
    }
    let sql = if new.key.identifies {
        "INSERT INTO sale_keys (scope, kind, value, sale) VALUES (?1, ?2, ?3, ?4)"
    } else {
        "INSERT INTO sale_groups (scope, kind, value, sale) VALUES (?1, ?2, ?3, ?4)"
    };
    let row = db.insert(sql, values![place, new.key.kind, value, new.sale])?;
    db.name(named, value.as_bytes(), row)
}

/// Leads a key to the sale that another was merged into. A group that both share has both.
pub(super) fn move_key(db: &dyn Db, moved: &SaleKey) -> Result<(), Error> {
    if !moved.key.identifies {
        return put_key(db, moved);
    }
    let (place, value) = (scope(&moved.scope), &moved.key.value);
    let Some(rows) = db.named(Named::Key, value.as_bytes())? else {
        let sql = "UPDATE sale_keys SET sale = ?4 WHERE scope = ?1 AND kind = ?2 AND value = ?3";
        return db.write(sql, values![place, moved.key.kind, value, moved.sale]);
    };
    let sql = "UPDATE sale_keys SET sale = ?4 WHERE id = ?5 AND scope = ?1 AND kind = ?2 AND value = ?3";
    rows.into_iter().try_for_each(|row| db.write(sql, values![place, moved.key.kind, value, moved.sale, row]))
}

/// Keeps what is remembered of a customer.
pub(super) fn put_identity(db: &dyn Db, place: &Scope, customer: &str, identity: &Identity) -> Result<(), Error> {
    let place = scope(place);
    let external = identity.customer_external_id.as_ref();
    let person = external.map(|(found, _)| &found.value);
    let at = external.map(|(_, at)| at.as_millisecond());
    let notes =
        Notes { customer: external.map(|(found, _)| Cow::Borrowed(&found.origin)), clicks: Cow::Borrowed(&identity.clicks) };
    let notes = shorthand::write_json(&notes)?;
    let (first_seen, last_seen) = (identity.first_seen.as_millisecond(), identity.last_seen.as_millisecond());
    let all = values![place, customer, person, at, first_seen, last_seen, notes];
    let Some(rows) = db.named(Named::Customer, customer.as_bytes())? else {
        let sql =
            "INSERT INTO identities (scope, customer, customer_external_id, customer_at, clicks, first_seen, last_seen, notes)
             VALUES (?1, ?2, ?3, ?4, '', ?5, ?6, ?7) ON CONFLICT (scope, customer) DO UPDATE
             SET customer_external_id = excluded.customer_external_id, customer_origin = NULL, customer_at = excluded.customer_at,
             clicks = '', first_seen = excluded.first_seen, last_seen = excluded.last_seen, notes = excluded.notes";
        return db.write_row(sql, 2, all);
    };
    let mut known: Option<(i64, Option<String>)> = None;
    for row in rows {
        let sql = "SELECT id, customer_external_id FROM identities WHERE id = ?3 AND scope = ?1 AND customer = ?2";
        known = db.row(sql, values![place, customer, row], |row| Ok((row.get(0)?, row.get(1)?)))?;
        if known.is_some() {
            break;
        }
    }
    let (row, person_before) = if let Some((row, person_before)) = known {
        let sql = "UPDATE identities SET customer_external_id = ?3, customer_origin = NULL, customer_at = ?4, clicks = '',
             first_seen = ?5, last_seen = ?6, notes = ?7 WHERE id = ?8 AND scope = ?1 AND customer = ?2";
        let with_row = [&all[..], &[Value::Integer(row)]].concat();
        db.put(sql, &with_row, Some(Unchanged::Damage("an identity that is gone")))?;
        (row, person_before)
    } else {
        let sql =
            "INSERT INTO identities (scope, customer, customer_external_id, customer_at, clicks, first_seen, last_seen, notes)
             VALUES (?1, ?2, ?3, ?4, '', ?5, ?6, ?7)";
        let row = db.insert(sql, all)?;
        db.name(Named::Customer, customer.as_bytes(), row)?;
        (row, None)
    };
    match person {
        Some(person) if person_before.as_ref() != Some(person) => db.name(Named::Person, person.as_bytes(), row),
        Some(_) | None => Ok(()),
    }
}

/// An event; an earlier one of the same place is changed by it...
macro_rules! event {
    ($where:literal) => {
        concat!(
            "INSERT INTO events VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13) ON CONFLICT (request, position) \
             DO UPDATE SET unique_id = excluded.unique_id, kind = excluded.kind, mode = excluded.mode, at = excluded.at, \
             outcome = excluded.outcome, code = excluded.code, reason = excluded.reason, sale = excluded.sale, \
             late = excluded.late, digest = excluded.digest",
            $where
        )
    };
}
/// ... if it still waits for what has to be fetched,
const INSERT_EVENT: &str = event!(" WHERE events.outcome = 'fetching'");
/// or whatever it was.
const REPLACE_EVENT: &str = event!("");

/// Records an event.
///
/// # Errors
/// [`Error::Conflict`]: another event has used up its id.
pub(super) fn put_event(db: &dyn Db, event: &EventRecord) -> Result<(), Error> {
    if let Some(id) = &event.unique_id
        && let Some(rows) = db.named(Named::Event, id.as_bytes())?
    {
        let sql = "SELECT request, position FROM events WHERE request = ?3 AND source = ?1 AND unique_id = ?2";
        for row in rows {
            let known = db.row(sql, values![event.source, id, row], |row| Ok((row.get::<RequestId>(0)?, row.get::<u16>(1)?)))?;
            if known.is_some_and(|known| known != (event.request, event.position)) {
                return Err(Unchanged::Conflict("an event whose id is used up already").error());
            }
        }
        db.name(Named::Event, id.as_bytes(), event.request)?;
    }
    let sql = if event.replaces { REPLACE_EVENT } else { INSERT_EVENT };
    db.write_row(
        sql,
        2,
        values![
            event.request,
            event.position,
            event.source,
            event.unique_id,
            event.kind,
            event.mode.as_str(),
            event.at.as_millisecond(),
            event.outcome.as_str(),
            event.reason.as_ref().map(|reason| &*reason.code),
            event.reason.as_ref().map(|reason| &*reason.text),
            event.sale,
            event.is_late,
            event.digest,
        ],
    )
}

/// The values of a place.
pub(super) fn place_values((place, kind, value): &Place) -> Vec<Value<'static>> {
    question![scope(place), kind, value]
}

/// What is noted of a customer beside the columns.
#[derive(Serialize, Deserialize)]
pub(super) struct Notes<'a> {
    /// Who told the team's own id.
    customer: Option<Cow<'a, Origin>>,
    clicks: Cow<'a, [Click]>,
}

/// The notes in a column, where it holds any.
pub(super) fn notes_of(row: &Row<'_>, column: usize) -> Result<Option<Notes<'static>>, Error> {
    Ok(row.shorthand(column)?.map(|notes| serde_json::from_str(&notes)).transpose()?)
}

/// The notes of an identity; before layout 15 of a file, 7 of a database, they stood in columns of their own.
fn notes(row: &Row<'_>) -> Result<Notes<'static>, Error> {
    if let Some(notes) = notes_of(row, 6)? {
        return Ok(notes);
    }
    let origin: Option<String> = row.get(1)?;
    let customer = origin.map(|origin| origin_from(&serde_json::from_str(&origin)?)).transpose()?;
    Ok(Notes { customer: customer.map(Cow::Owned), clicks: Cow::Owned(serde_json::from_str(row.text(3)?)?) })
}

/// Reads an identity from the columns of [`CUSTOMER`], whose last two are where it is remembered: the scope, and the customer.
pub(super) fn read_identity(row: &Row<'_>) -> Result<Identity, Error> {
    let (value, at): (Option<String>, Option<i64>) = (row.get(0)?, row.get(2)?);
    let Notes { customer, clicks } = notes(row)?;
    let customer_external_id = match (value, customer, at) {
        (Some(value), Some(origin), Some(at)) => Some((Found { value, origin: origin.into_owned() }, from_millis(at))),
        (None, _, _) => None,
        (Some(_), None, _) | (Some(_), Some(_), None) => return Err(damaged("an identity without its origin")),
    };
    Ok(Identity {
        customer_external_id,
        clicks: clicks.into_owned(),
        first_seen: from_millis(row.get(4)?),
        last_seen: from_millis(row.get(5)?),
    })
}

/// Whose identity that is.
pub(super) fn whose(row: &Row<'_>) -> Result<(Scope, String), Error> {
    Ok((scope_from(row.text(7)?)?, row.get(8)?))
}
