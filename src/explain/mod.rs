//! What would come of this request? Verifies and maps offline, for `explain`, `pack test` and the demo.

mod sample;
mod trial;

pub use sample::{Sampled, case_names, sample};
pub use trial::{CaseReport, PackReport, test_pack};

use schemars::JsonSchema;
use std::collections::HashMap;
use std::sync::Arc;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::doctor::{self, Diagnosis};
use crate::domain::{Answer, Event, Found, Meaning, Reason, Request, SaleEvent, invoice_id_of};
use crate::map::RequestView;
use crate::pack::{Fetched, Source};
use crate::verify::{Chain, Refusal};

/// What becomes of an event or a request; the strongest is last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Not believed.
    Refused,
    /// Genuine, but no sale.
    Ignored,
    /// Genuine, but it cannot be mapped.
    Parked,
    /// Money went back.
    Adjustment,
    /// Money arrived.
    Sale,
}

/// What would come of a request.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Verdict {
    /// The strongest outcome of its events.
    pub outcome: Outcome,
    /// The stable code of that outcome, where it is neither sale nor adjustment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The sentence for the operator, where it is neither sale nor adjustment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What a refusal comes from, the most likely cause first; only where it was [asked](diagnosed) for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub diagnosis: Option<Diagnosis>,
    /// Each event.
    pub events: Vec<EventVerdict>,
}

/// What would come of one event.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct EventVerdict {
    /// What becomes of it.
    pub outcome: Outcome,
    /// The provider's event type.
    #[serde(rename = "type")]
    pub kind: String,
    /// The stable code, where it is neither sale nor adjustment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The sentence, where it is neither sale nor adjustment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The sale event, as mapped, before attribution.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sale: Option<Map<String, Value>>,
    /// How the sale's amount was arrived at: `11900 total − 1900 tax = 10000 EUR`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proof: Option<String>,
    /// The adjustment, as mapped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adjustment: Option<Map<String, Value>>,
    /// The ids by which the sale is known, as `kind:value`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<String>,
    /// The provider's id of its customer, under which the click is remembered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub customer: Option<String>,
}

/// Verifies and maps a request as this source would. `fetched` is what certificates and fetches would be answered.
pub fn request(source: &Source, request: &Request, fetched: Option<&Fetched>) -> Verdict {
    match certificate(source, request, fetched).and_then(|certificate| judge(source, request, certificate.as_ref())) {
        Ok(()) => believed(source, request, fetched),
        Err(refusal) => refused(&refusal, None),
    }
}

/// The same; a request that is refused is [examined](doctor), and compared with all `sources`.
pub fn diagnosed(
    source: &Source,
    sources: &HashMap<String, Arc<Source>>,
    request: &Request,
    fetched: Option<&Fetched>,
) -> Verdict {
    let (certificate, judged) = match certificate(source, request, fetched) {
        Ok(certificate) => {
            let judged = judge(source, request, certificate.as_ref());
            (certificate, judged)
        }
        Err(refusal) => (None, Err(refusal)),
    };
    match judged {
        Ok(()) => believed(source, request, fetched),
        Err(refusal) => {
            let diagnosis = doctor::examine(request, &refusal, source, sources, certificate.as_ref());
            refused(&refusal, Some(diagnosis))
        }
    }
}

fn refused(refusal: &Refusal, diagnosis: Option<Diagnosis>) -> Verdict {
    Verdict {
        outcome: Outcome::Refused,
        code: Some(refusal.code().to_owned()),
        reason: Some(refusal.to_string()),
        diagnosis,
        events: Vec::new(),
    }
}

/// Maps a request that was verified when it came.
pub fn stored(source: &Source, request: &Request) -> Verdict {
    believed(source, request, None)
}

fn believed(source: &Source, request: &Request, fetched: Option<&Fetched>) -> Verdict {
    let events: Vec<EventVerdict> = events(source, request, fetched).iter().map(event).collect();
    let strongest = events.iter().max_by_key(|event| event.outcome).expect("a mapping always gives an event");
    let (code, reason) = (strongest.code.clone(), strongest.reason.clone());
    Verdict { outcome: strongest.outcome, code, reason, diagnosis: None, events }
}

/// The certificate by which a request is to be judged, where its scheme needs one.
fn certificate(source: &Source, request: &Request, fetched: Option<&Fetched>) -> Result<Option<Chain>, Refusal> {
    let Some(url) = source.pack.scheme.certificate_url(&source.keys, request)? else { return Ok(None) };
    let missing = || Refusal::CertificateUnavailable { why: format!("nothing is fetched here; it would be {url}") };
    let pem = fetched.and_then(|fetched| fetched.text(&url)).ok_or_else(missing)?;
    Ok(Some(Chain::from_pem(pem.as_bytes())))
}

fn judge(source: &Source, request: &Request, certificate: Option<&Chain>) -> Result<(), Refusal> {
    source.pack.scheme.judge(&source.keys, request, certificate)
}

/// The events of a request after all that is fetched for them.
fn events(source: &Source, request: &Request, fetched: Option<&Fetched>) -> Vec<Event> {
    let mut answers: Vec<Answer> = Vec::new();
    loop {
        let events = source.mapping.map(RequestView { id: 0, request, answers: &answers });
        let before = answers.len();
        for event in &events {
            if let (Meaning::Lacking(fetch), Some(fetched)) = (&event.meaning, fetched) {
                let result = fetched.answer(&fetch.path);
                answers.push(Answer { position: event.position, step: fetch.step, path: fetch.path.clone(), result });
            }
        }
        if answers.len() == before {
            return events;
        }
    }
}

fn event(event: &Event) -> EventVerdict {
    let (mut proof, mut adjustment) = (None, None);
    let (outcome, reason, sale) = match &event.meaning {
        Meaning::Sale(claim) => {
            proof = Some(claim.proof.in_words(claim.money));
            let value = |found: &Option<Found>| found.as_ref().map(|found| found.value.clone());
            let sale = SaleEvent {
                event: claim.event,
                customer_external_id: value(&event.buyer.customer_external_id),
                money: claim.money,
                click_id: value(&event.buyer.click_id),
                invoice_id: invoice_id_of(&event.keys),
                timestamp: event.at,
                email: value(&event.buyer.email),
                name: value(&event.buyer.name),
            };
            (Outcome::Sale, None, Some(sale.to_json()))
        }
        Meaning::Adjustment(back) => {
            adjustment = Some(back.to_json(event.at));
            (Outcome::Adjustment, None, None)
        }
        Meaning::Ignored(reason) => (Outcome::Ignored, Some(reason.clone()), None),
        Meaning::Parked(reason) => (Outcome::Parked, Some(reason.clone()), None),
        Meaning::Lacking(fetch) => {
            let why = format!("it waits until {} is fetched, which explain does not do", fetch.path);
            (Outcome::Parked, Some(Reason::new("fetching", why)), None)
        }
    };
    EventVerdict {
        outcome,
        kind: event.kind.clone(),
        code: reason.as_ref().map(|reason| reason.code.to_string()),
        reason: reason.map(|reason| reason.text.to_string()),
        sale,
        proof,
        adjustment,
        keys: event.keys.iter().map(|key| format!("{}:{}", key.kind, key.value)).collect(),
        customer: event.buyer.customer.clone(),
    }
}
