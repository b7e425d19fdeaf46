//! Codes in plain words, for readers who did not write the configuration.

use super::html::Tone;
use crate::domain::DeliveryState;

/// How sales came by their click, or why they did not.
pub(super) fn attribution(how: &str, code: Option<&str>) -> String {
    match (how, code) {
        ("attributed", _) => "Attributed: an event of the purchase itself carried the click.".to_owned(),
        ("remembered", _) => "Attributed: the click was remembered from an earlier event of the same customer.".to_owned(),
        ("waiting", _) => "Waiting: an event that is still expected may bring the click.".to_owned(),
        ("unattributed", Some(code)) => format!("No click: {}", without_click(code)),
        ("parked", Some(code)) => format!("Parked, not sent: {}", parked(code)),
        (how, code) => format!("{how} {}", code.unwrap_or_default()),
    }
}

/// Why a sale has no click.
pub(super) fn without_click(code: &str) -> String {
    match code {
        "click_unknown" => {
            "no event of the sale carried one, and none is remembered for its customer. Pass the clickId as metadata when the checkout is made."
        }
        "click_too_late" => "the only one that is remembered was told after the purchase.",
        "click_of_another_customer" => "one is remembered for the provider's customer, but under another customerExternalId.",
        "renewal_not_credited" => "it is a renewal, and attribution.renewals is \"none\".",
        code => code,
    }
    .to_owned()
}

/// Why a sale is parked.
pub(super) fn parked(code: &str) -> String {
    match code {
        "customer_unknown" => "nobody knows whose it is: no event carried a customerExternalId, and none is remembered.",
        "nothing_left" => "all of it was taken back before it could be sent.",
        "by_hand" => "a person keeps it back.",
        "not_a_sale_today" => "a former pack counted it, today's does not.",
        code => code,
    }
    .to_owned()
}

/// Why requests were refused, and what to do.
pub(super) fn refusal(code: &str) -> String {
    match code {
        "signature_missing" => "not signed: somebody else called, or a proxy dropped a header",
        "signature_malformed" => "the signature is not written as this provider writes it",
        "signed_part_missing" => "a part that the provider signs is missing",
        "field_repeated" => "a signed field stands more than once",
        "timestamp_malformed" => "the time of signing cannot be read",
        "signature_mismatch" => {
            "signed with another secret, or changed on its way: compare the secret with the provider's dashboard"
        }
        "timestamp_stale" => "signed too long ago: a replay, or this machine's clock is fast",
        "timestamp_ahead" => "signed in the future: this machine's clock is slow",
        "certificate_refused" => "the certificate that it names is not the provider's",
        "certificate_unavailable" => "the provider's certificate could not be fetched: the provider comes back",
        "path_token_mismatch" => "the URL does not end in the source's path_token",
        "address_not_allowed" => "it comes from an address that is not in allow_ips",
        "body_too_large" => "the body is larger than server.body_limit_bytes",
        "headers_too_large" => "the headers are too large",
        code => code,
    }
    .to_owned()
}

/// What became of a request or an event, with its tone.
pub(super) fn outcome(outcome: &str) -> (Tone, &'static str) {
    match outcome {
        "sale" => (Tone::Good, "made a sale"),
        "corroborates" => (Tone::Good, "speaks of a sale that is counted"),
        "adjustment" => (Tone::Good, "takes money back"),
        "ignored" => (Tone::Plain, "ignored: no sale"),
        "duplicate" => (Tone::Plain, "came before"),
        "fetching" => (Tone::Busy, "fetching what it refers to"),
        "parked" => (Tone::Bad, "parked: could not be read"),
        "received" => (Tone::Busy, "not settled yet"),
        _ => (Tone::Plain, "unknown"),
    }
}

/// Where a delivery stands, with its tone.
pub(super) fn delivery(state: DeliveryState, attempts: u32) -> (Tone, &'static str) {
    match state {
        DeliveryState::Due if attempts == 0 => (Tone::Busy, "waiting"),
        DeliveryState::Due => (Tone::Warn, "retrying"),
        DeliveryState::Sending => (Tone::Busy, "being sent"),
        DeliveryState::Delivered => (Tone::Good, "delivered"),
        DeliveryState::Duplicate => (Tone::Good, "known there already"),
        DeliveryState::Unattributed => (Tone::Warn, "accepted, not counted there"),
        DeliveryState::Dead => (Tone::Bad, "dead letter"),
        DeliveryState::Held => (Tone::Plain, "held: no click"),
        DeliveryState::Skipped => (Tone::Plain, "skipped: no click"),
        DeliveryState::Merged => (Tone::Plain, "merged into another sale"),
        DeliveryState::Withdrawn => (Tone::Plain, "withdrawn"),
    }
}

/// Where a sale stands, with its tone.
pub(super) fn sale(state: &str, deliveries: impl Iterator<Item = DeliveryState>) -> Tone {
    match state {
        "ready" => {
            let mut tone = Tone::Good;
            for state in deliveries {
                match state {
                    DeliveryState::Dead => return Tone::Bad,
                    DeliveryState::Unattributed => tone = Tone::Warn,
                    DeliveryState::Due | DeliveryState::Sending => tone = if tone == Tone::Good { Tone::Busy } else { tone },
                    DeliveryState::Delivered
                    | DeliveryState::Duplicate
                    | DeliveryState::Held
                    | DeliveryState::Skipped
                    | DeliveryState::Merged
                    | DeliveryState::Withdrawn => {}
                }
            }
            tone
        }
        "waiting" => Tone::Busy,
        "parked" => Tone::Warn,
        _ => Tone::Plain,
    }
}
