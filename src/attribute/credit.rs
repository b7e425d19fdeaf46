//! Who earned a sale: what is taken from memory, which click a renewal is credited to, and what stands in for the customer.

use sha2::{Digest as _, Sha256};

use super::{Renewals, Rules};
use crate::domain::{Click, Fallback, Found, Identity, Origin, Reason, Sale};

/// What is remembered of a sale's customer.
#[derive(Debug, Clone, Default)]
pub(super) struct Memory<'a> {
    /// Of the provider's customer.
    pub(super) customer: Option<&'a Identity>,
    /// Of the team's own, across sources.
    pub(super) person: Vec<&'a Identity>,
}

/// Fills what is missing from memory. A click is taken only from the same customer and, for a new purchase, only one that was
/// known when it was made (give or take the waiting room, since events of one purchase come in any order).
pub(super) fn remember(sale: &mut Sale, memory: &Memory<'_>, rules: &Rules) {
    let is_fallback = |found: &Found| matches!(found.origin, Origin::Fallback { .. });
    let known = memory.customer.and_then(|identity| identity.customer_external_id.as_ref());
    if let Some((found, _)) = known
        && sale.buyer.customer_external_id.as_ref().is_none_or(is_fallback)
    {
        sale.buyer.customer_external_id = Some(from_memory(found));
    }
    if sale.buyer.click_id.is_none() {
        let click = newest(sale, &clicks(sale, memory), rules).map(|click| from_memory(&click.click_id));
        sale.buyer.click_id = click;
    }
}

/// Credits a renewal by the team's own policy, whatever click its events repeat.
pub(super) fn credit_renewal(sale: &mut Sale, memory: &Memory<'_>, rules: &Rules) {
    let own = sale.buyer.click_id.as_ref().filter(|found| !found.origin.is_borrowed()).cloned();
    let known = clicks(sale, memory);
    sale.buyer.click_id = match rules.renewals {
        Renewals::None => None,
        Renewals::AsTold => own.or_else(|| newest(sale, &known, rules).map(|click| from_memory(&click.click_id))),
        Renewals::FirstClick => {
            let oldest = known.iter().min_by_key(|click| (click.repeated, click.at));
            own.or_else(|| oldest.map(|click| from_memory(&click.click_id)))
        }
        Renewals::LastClick => {
            let newest = newest(sale, &known, rules);
            let repeats = |click: &&&Click| Some(&click.click_id.value) == own.as_ref().map(|found| &found.value);
            let told_at = known.iter().filter(repeats).map(|click| click.at).min();
            match (own, newest) {
                // What it repeats may itself be newer than anything else that is remembered.
                (Some(own), Some(newest)) if told_at.is_none_or(|at| newest.at <= at) => Some(own),
                (Some(own), Some(newest)) if own.value == newest.click_id.value => Some(own),
                (_, Some(newest)) => Some(from_memory(&newest.click_id)),
                (own, None) => own,
            }
        }
    };
}

/// What stands in for the team's own customer id, where nothing is awaited any more.
pub(super) fn fall_back(sale: &mut Sale, rules: &Rules) {
    if sale.buyer.customer_external_id.is_some() {
        return;
    }
    let email = sale.buyer.email.as_ref().map(|found| (found.value.trim().to_lowercase(), found.origin.request()));
    let found = rules.customer_fallback.iter().find_map(|of| {
        let (value, request) = match of {
            Fallback::ProviderCustomer => (sale.buyer.customer.clone()?, sale.request),
            Fallback::EmailHash => email.as_ref().map(|(email, request)| (hex::encode(Sha256::digest(email)), *request))?,
            Fallback::Email => email.clone()?,
        };
        Some(Found { value, origin: Origin::Fallback { of: *of, request } })
    });
    sale.buyer.customer_external_id = found;
}

/// Why a sale has no customer.
pub(super) fn customer_unknown(sale: &Sale, memory: &Memory<'_>) -> Reason {
    let why = match (&sale.buyer.customer, memory.customer) {
        (None, _) => "and the provider names no customer by which one could be remembered",
        (Some(_), None) => "and nothing is remembered about the provider's customer",
        (Some(_), Some(_)) => "and no event of the provider's customer carried one either",
    };
    Reason::new("customer_unknown", format!("no event of this sale carried a customerExternalId, {why}"))
}

/// Why a sale has no click.
pub(super) fn click_unknown(sale: &Sale, memory: &Memory<'_>, rules: &Rules) -> Reason {
    if sale.renewal && rules.renewals == Renewals::None {
        return Reason::new("renewal_not_credited", "renewals are credited to no click: attribution.renewals is \"none\"");
    }
    let none = "no event of this sale carried a clickId";
    let is_remembered = |identity: Option<&Identity>| identity.is_some_and(|identity| !identity.clicks.is_empty());
    if !clicks(sale, memory).is_empty() {
        return Reason::new("click_too_late", format!("{none}; the one that is remembered came after the purchase"));
    }
    if is_remembered(memory.customer) {
        let text = format!("{none}; one is remembered for the provider's customer, but for another customerExternalId");
        return Reason::new("click_of_another_customer", text);
    }
    let why = match (&sale.buyer.customer, &sale.buyer.customer_external_id) {
        (None, None) => "and the provider names no customer by which one could be remembered",
        (Some(_), _) | (None, Some(_)) => "and none is remembered for its customer",
    };
    Reason::new("click_unknown", format!("{none}, {why}"))
}

/// The clicks that are the sale's customer's.
fn clicks<'a>(sale: &'a Sale, memory: &Memory<'a>) -> Vec<&'a Click> {
    let external = sale.buyer.customer_external_id.as_ref().map(|found| found.value.as_str());
    let identities = memory.customer.into_iter().chain(memory.person.iter().copied());
    identities.flat_map(|identity| identity.clicks_of(external)).collect()
}

/// The newest click that was known when the sale was made. One whose own time is not known is credited to a renewal, where there is
/// no other; to a new purchase only if it was told in time.
fn newest<'a>(sale: &Sale, clicks: &[&'a Click], rules: &Rules) -> Option<&'a Click> {
    let until = rules.deadline(sale.at);
    let in_time = clicks.iter().filter(|click| click.at <= until || (click.repeated && sale.renewal));
    in_time.max_by_key(|click| (!click.repeated, click.at)).copied()
}

fn from_memory(found: &Found) -> Found {
    Found { value: found.value.clone(), origin: Origin::Memory { request: found.origin.request() } }
}
