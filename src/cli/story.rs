//! One sale, request or delivery with its whole story, for people.

use super::print::{Printer, clean};
use crate::store::{DeliveryView, EventView, SaleView};

/// One delivery with its attempts.
pub(super) fn show_delivery(delivery: &DeliveryView, printer: &Printer) {
    printer.line(format!("delivery  {} of sale {} to {}: {}", delivery.id, delivery.sale, delivery.upstream, delivery.what()));
    if let Some(id) = &delivery.upstream_id {
        printer.line(format!("known as  {} there", clean(id)));
    }
    printer.line(format!("state     {}, {} tries, due {}", delivery.state.as_str(), delivery.attempts, delivery.due_at));
    for attempt in &delivery.history {
        let status = attempt.status.map_or_else(|| "no answer".to_owned(), |status| status.to_string());
        printer.line(format!(
            "attempt {} at {} ({} ms): {status}, {}: {}",
            attempt.number, attempt.started_at, attempt.duration_ms, attempt.outcome, attempt.reason
        ));
        printer.line(clean(&attempt.request).lines().map(|line| format!("  > {line}\n")).collect::<String>().trim_end());
        printer.line(clean(&attempt.answer).lines().map(|line| format!("  < {line}\n")).collect::<String>().trim_end());
    }
}

/// One sale with all that is known of it.
pub(super) fn show_sale(sale: &SaleView, printer: &Printer) {
    printer.line(format!("sale      {} of {} ({}), counted {}", sale.id, sale.source, sale.mode, sale.counted_at));
    printer.line(format!("stands    {}", sale.standing()));
    if let Some(reason) = &sale.reason {
        printer.line(format!("          {reason}"));
    }
    for (name, value) in &sale.event {
        printer.line(
            format!("  {name:<20} {}  {}", clean(&value.to_string()), printer.quiet(&clean(&sale.whence(name)))).trim_end(),
        );
    }
    for name in sale.trail.keys().filter(|name| !sale.event.contains_key(*name)) {
        printer.line(format!("  {name:<20} -  {}", printer.quiet(&clean(&sale.whence(name)))));
    }
    printer.line(format!("proof     {}", sale.proof));
    if let Some(other) = sale.amounts.get("other") {
        let told = format!("{} minor units of {}", other["minor"], other["currency"].as_str().unwrap_or_default());
        printer.line(format!("{:<9} {told}, not counted", other["side"].as_str().unwrap_or_default()));
    }
    show_balance(sale, printer);
    printer.line(format!("known by  {}", sale.keys.join(", ")));
    show_events(&sale.events, printer);
    show_deliveries(&sale.deliveries, printer);
    for other in &sale.double_counts {
        let text = "was sent as well and turned out to be the same purchase";
        let invoice = other.invoice_id.as_deref().unwrap_or_default();
        printer.line(
            printer.bad(&format!(
                "possible double count: sale {} ({invoice}) {text}, as request {} shows",
                other.sale, other.tied_by
            )),
        );
        show_events(&other.events, printer);
        show_deliveries(&other.deliveries, printer);
    }
}

fn show_balance(sale: &SaleView, printer: &Printer) {
    if sale.adjustments.is_empty() {
        return;
    }
    for said in &sale.adjustments {
        let word = |name: &str| said.adjustment.get(name).map(|value| value.to_string().trim_matches('"').to_owned());
        let amount = match (word("amount"), word("currency")) {
            (Some(amount), Some(currency)) => format!("{amount} {currency}"),
            (Some(_) | None, Some(_) | None) => "all of it".to_owned(),
        };
        let all = if said.adjustment.contains_key("cumulative") { " in all so far" } else { "" };
        let id = word("id").map(|id| format!(" {}", clean(&id))).unwrap_or_default();
        let (kind, at) = (word("adjustment").unwrap_or_default(), word("timestamp").unwrap_or_default());
        printer.line(format!("back      {kind}{id}: {amount}{all}, at {at} (request {})", said.request));
    }
    let balance = &sale.balance;
    printer.line(format!("left      {} of {}; taken back {}", balance.left, balance.amount, balance.taken_back));
    if balance.not_counted > 0 {
        let text = format!("          {} in a currency of which the sale knows nothing: kept, not counted", balance.not_counted);
        printer.line(printer.bad(&text));
    }
}

fn show_deliveries(deliveries: &[DeliveryView], printer: &Printer) {
    for delivery in deliveries {
        let reason = delivery.last_reason.as_deref().unwrap_or("not tried yet");
        let (id, upstream, state) = (delivery.id, &delivery.upstream, delivery.state.as_str());
        let what = if delivery.adjustment.is_some() { format!(" ({})", delivery.what()) } else { String::new() };
        printer.line(format!("delivery  {id} to {upstream}{what}: {state}, {} tries: {reason}", delivery.attempts));
    }
}

/// What became of each event.
pub(super) fn show_events(events: &[EventView], printer: &Printer) {
    for event in events {
        let kind = if event.kind.is_empty() { "(unreadable)".to_owned() } else { clean(&event.kind) };
        let sale = event.sale.map(|sale| format!(" (sale {sale})")).unwrap_or_default();
        let reason = event.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
        printer.line(format!("event     {kind} in request {}, {}{sale}{reason}", event.request, event.outcome));
    }
}
