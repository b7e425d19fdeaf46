//! What an event teaches about its customer: of the provider in one account, and of the team across all sources.

use std::sync::Arc;

use super::ledger::Ledger;
use crate::domain::{Click, Event, Found, Identity, Mode, Scope};

/// The scope of the team's own customers, who are the same at every source. No account has an empty name.
pub fn person_scope(mode: Mode) -> Scope {
    Scope { account: Arc::from(""), mode }
}

/// Under which a customer of the team is remembered across sources.
pub fn person(mode: Mode, customer_external_id: &str) -> (Scope, String) {
    (person_scope(mode), customer_external_id.to_owned())
}

impl Ledger {
    /// Remembers what the event says about its customer.
    pub(super) fn learn(&mut self, event: &Event) {
        let external = event.buyer.customer_external_id.as_ref();
        let click = event.buyer.click_id.as_ref().map(|click| Click {
            click_id: click.clone(),
            at: event.at,
            repeated: event.renewal,
            customer_external_id: external.map(|found| found.value.clone()),
        });
        let mut of_customer = Vec::new();
        if let Some(customer) = &event.buyer.customer {
            let identity = self.identity((event.scope.clone(), customer.clone()), event);
            if let Some(found) = external {
                learn_customer(identity, found, event);
            }
            click.iter().for_each(|click| identity.learn(click));
            of_customer = known_customer(identity);
        }
        // Across sources: who the customer is may be known only from the provider's customer.
        let told = external.map(|found| (found.clone(), click.into_iter().collect::<Vec<_>>()));
        let of_customer = of_customer.into_iter().filter(|_| event.buyer.click_id.is_some() || external.is_some());
        for (found, clicks) in told.into_iter().chain(of_customer) {
            if clicks.is_empty() {
                continue;
            }
            let person = self.identity(person(event.scope.mode, &found.value), event);
            if person.customer_external_id.is_none() {
                person.customer_external_id = Some((found, event.at));
            }
            clicks.iter().for_each(|click| person.learn(click));
        }
    }

    fn identity(&mut self, key: (Scope, String), event: &Event) -> &mut Identity {
        self.changed_identities.insert(key.clone());
        let identity = self.slice.identities.entry(key).or_insert_with(|| Identity::new(event.at));
        identity.first_seen = identity.first_seen.min(event.at);
        identity.last_seen = identity.last_seen.max(event.at);
        identity
    }
}

/// The newest word on who a provider's customer is counts, whenever it arrives.
fn learn_customer(identity: &mut Identity, found: &Found, event: &Event) {
    if identity.customer_external_id.as_ref().is_none_or(|(_, known_at)| event.at >= *known_at) {
        identity.customer_external_id = Some((found.clone(), event.at));
    }
}

/// Who a provider's customer is, with the clicks that are theirs.
fn known_customer(identity: &Identity) -> Vec<(Found, Vec<Click>)> {
    let Some((found, _)) = &identity.customer_external_id else { return Vec::new() };
    vec![(found.clone(), identity.clicks_of(Some(&found.value)).cloned().collect())]
}
