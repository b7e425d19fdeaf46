//! Who bought: the customer's fields, read from the places that the pack and the source name.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::place::{Document, Place};
use super::spec::Reads;
use crate::domain::{Buyer, Found, Origin, RequestId};

/// Longer values are not ids of a customer or a click; every upstream's limit is at most this.
const VALUE_LIMIT_CHARS: usize = 255;

/// The names of metadata entries that hold the click and the customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetadataKeys {
    /// Names of the entry with the click.
    pub click_id: Vec<String>,
    /// Names of the entry with the team's own customer id.
    pub customer_external_id: Vec<String>,
}

/// What part of a payment counts as the amount of a sale.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AmountKind {
    /// All that was paid.
    #[default]
    Gross,
    /// Without tax.
    NetOfTax,
    /// Without tax and shipping.
    NetOfTaxAndShipping,
}

/// Compiled reads of one rule for one source.
#[derive(Debug, Clone)]
pub(super) struct Customer {
    customer: Vec<Place>,
    nobody: Vec<String>,
    customer_external_id: Vec<Place>,
    click_id: Vec<Place>,
    email: Vec<Place>,
    name: Vec<Vec<Place>>,
}

impl Default for MetadataKeys {
    fn default() -> Self {
        let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        Self {
            click_id: owned(&["clickId", "click_id", "cms_click_id"]),
            customer_external_id: owned(&["customerExternalId", "customer_external_id"]),
        }
    }
}

impl MetadataKeys {
    /// True for a name that can stand inside a path without being mistaken for one.
    pub fn is_valid(name: &str) -> bool {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-. :$@/".contains(&byte);
        !name.is_empty() && name.len() <= 100 && name.bytes().all(is_plain)
    }
}

impl Customer {
    /// Compiles what a rule reads, falling back to the pack's own reads. `fault` is told the key and the cause.
    pub(super) fn compile(
        rule: &Reads,
        pack: &Reads,
        keys: &MetadataKeys,
        reads_reference: bool,
        fault: &mut dyn FnMut(&str, String),
    ) -> Self {
        let list = |own: &Option<Vec<String>>, common: &Option<Vec<String>>| -> Vec<String> {
            own.as_ref().or(common.as_ref()).cloned().unwrap_or_default()
        };
        let metadata = list(&rule.metadata, &pack.metadata);
        for place in metadata.iter().filter(|place| !place.contains("{key}")) {
            fault("reads.metadata", format!("{place} lacks {{key}}, the name of the entry"));
        }
        let entries = |names: &[String]| -> Vec<String> {
            metadata.iter().flat_map(|place| names.iter().map(move |name| place.replace("{key}", name))).collect()
        };
        let mut external = entries(&keys.customer_external_id);
        external.extend(list(&rule.customer_external_id, &pack.customer_external_id));
        if reads_reference {
            external.extend(list(&rule.reference, &pack.reference));
        }
        let names = rule.name.as_ref().or(pack.name.as_ref()).cloned().unwrap_or_default();
        Self {
            nobody: list(&rule.nobody, &pack.nobody),
            customer: compile_all("reads.customer", &list(&rule.customer, &pack.customer), fault),
            customer_external_id: compile_all("reads.customer_external_id", &external, fault),
            click_id: compile_all("reads.metadata", &entries(&keys.click_id), fault),
            email: compile_all("reads.email", &list(&rule.email, &pack.email), fault),
            name: names.iter().map(|joined| compile_all("reads.name", joined, fault)).collect(),
        }
    }

    pub(super) fn read(&self, document: Document<'_>, request: RequestId) -> Buyer {
        let nobody: &[String] = &self.nobody;
        Buyer {
            customer: first(&self.customer, nobody, document, request).map(|found| found.value),
            customer_external_id: first(&self.customer_external_id, nobody, document, request),
            click_id: first(&self.click_id, &[], document, request),
            email: first(&self.email, &[], document, request).filter(|found| is_email(&found.value)),
            name: self.name.iter().find_map(|joined| name(joined, document, request)),
        }
    }

    pub(super) fn places(&self) -> impl Iterator<Item = &Place> {
        let lists = [&self.customer, &self.customer_external_id, &self.click_id, &self.email];
        lists.into_iter().flatten().chain(self.name.iter().flatten())
    }
}

pub(super) fn compile_all(key: &str, texts: &[String], fault: &mut dyn FnMut(&str, String)) -> Vec<Place> {
    let mut places = Vec::with_capacity(texts.len());
    for text in texts {
        match Place::new(text) {
            Ok(place) => places.push(place),
            Err(cause) => fault(key, cause),
        }
    }
    places
}

/// The first usable value: somebody's, filled in, not longer than any upstream takes, and without control characters.
fn first(places: &[Place], nobody: &[String], document: Document<'_>, request: RequestId) -> Option<Found> {
    places.iter().find_map(|place| {
        let value = place.read(document)?;
        let value = value.trim();
        let is_usable = is_plain(value) && !is_unfilled(value) && !nobody.iter().any(|known| known == value);
        is_usable.then(|| found(value.to_owned(), &place.text, request))
    })
}

fn name(places: &[Place], document: Document<'_>, request: RequestId) -> Option<Found> {
    let parts: Vec<_> = places.iter().filter_map(|place| place.read(document)).collect();
    let value = parts.iter().map(|part| part.trim()).collect::<Vec<_>>().join(" ");
    (!value.is_empty() && is_plain(&value)).then(|| found(value, &places[0].text, request))
}

fn found(value: String, path: &Arc<str>, request: RequestId) -> Found {
    Found { value, origin: Origin::Request { request, path: Arc::clone(path) } }
}

fn is_plain(value: &str) -> bool {
    value.chars().count() <= VALUE_LIMIT_CHARS && !value.chars().any(char::is_control)
}

/// What a program writes that had no value: whoever is called so is nobody, or strangers would share their clicks.
fn is_unfilled(value: &str) -> bool {
    ["undefined", "null", "NaN", "None", "nil", "[object Object]"].contains(&value)
}

/// Good enough to be sent on: an upstream that checks more strictly would refuse the whole sale for it.
fn is_email(value: &str) -> bool {
    let Some((local, host)) = value.rsplit_once('@') else { return false };
    let is_clean = |part: &str| !part.is_empty() && !part.contains(|c: char| c.is_whitespace() || "@,;<>\"()".contains(c));
    value.len() <= 254
        && is_clean(local)
        && is_clean(host)
        && host.contains('.')
        && !host.starts_with('.')
        && !host.ends_with('.')
}
