//! What an event teaches about its customer: of the provider in one account, and through it of the team's own across all sources.

use std::sync::Arc;

use super::ledger::Ledger;
use crate::domain::{Click, Event, Identity, Meaning, Mode, Scope};

/// The scope of customers of whom only the team's own id is known. No account has an empty name.
pub fn person_scope(mode: Mode) -> Scope {
    Scope { account: Arc::from(""), mode }
}

impl Ledger {
    /// Remembers what the event says about its customer: under the provider's id, or else under the team's own.
    pub(super) fn learn(&mut self, event: &Event) {
        let external = event.buyer.customer_external_id.as_ref();
        let key = match (&event.buyer.customer, external) {
            (Some(customer), _) => (event.scope.clone(), customer.clone()),
            (None, Some(found)) if event.buyer.click_id.is_some() => (person_scope(event.scope.mode), found.value.clone()),
            (None, Some(_) | None) => return,
        };
        let identity = self.slice.identities.entry(key.clone()).or_insert_with(|| Identity::new(event.at));
        identity.first_seen = identity.first_seen.min(event.at);
        identity.last_seen = identity.last_seen.max(event.at);
        // A refund repeats what its purchase said, however late it comes.
        let is_refund = matches!(event.meaning, Meaning::Adjustment(_));
        let repeats = event.renewal || is_refund;
        if let Some(found) = external {
            // The newest word on who it is counts, whenever it arrives.
            if identity.customer_external_id.as_ref().is_none_or(|(_, known_at)| event.at >= *known_at && !is_refund) {
                identity.customer_external_id = Some((found.clone(), event.at));
            }
        }
        if let Some(click) = &event.buyer.click_id {
            identity.learn(&Click {
                click_id: click.clone(),
                at: event.at,
                repeated: repeats,
                customer_external_id: external.map(|found| found.value.clone()),
            });
        }
        self.note_person(&key);
        self.changed_identities.insert(key);
    }

    /// Makes an identity found by the team's own customer id.
    pub(super) fn note_person(&mut self, key: &(Scope, String)) {
        let Some((found, _)) = self.slice.identities.get(key).and_then(|identity| identity.customer_external_id.as_ref()) else {
            return;
        };
        let known = self.persons.entry((key.0.mode, found.value.clone())).or_default();
        if !known.contains(key) {
            known.push(key.clone());
        }
    }
}
