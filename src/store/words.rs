//! The words for what is shown, shared by the command line and the dashboard. What a sender wrote stands in them as it is: who shows
//! them makes it harmless for the place where it is shown.

use serde_json::Value;

use super::views::{AdjustmentView, DeliveryView, SaleView};

impl DeliveryView {
    /// What it tells: the sale, or how much of it goes back.
    pub fn what(&self) -> String {
        match &self.adjustment {
            Some(step) => format!("back {} {}", step.amount, step.currency),
            None => "sale".to_owned(),
        }
    }
}

impl SaleView {
    /// A field of the sale event as text; a dash where it has none.
    pub fn field(&self, name: &str) -> String {
        match self.event.get(name) {
            Some(Value::String(text)) => text.clone(),
            Some(value) => value.to_string(),
            None => "-".to_owned(),
        }
    }

    /// Where it stands, in few words: its own state, or that of its deliveries once it was handed on.
    pub fn standing(&self) -> String {
        if let Some(into) = self.merged_into {
            return format!("merged into sale {into}");
        }
        if self.state != "ready" {
            return match &self.code {
                Some(code) => format!("{}: {code}", self.state),
                None => self.state.clone(),
            };
        }
        let state = |delivery: &DeliveryView| {
            let what = if delivery.adjustment.is_some() { " refund" } else { "" };
            format!("{}{what} {}", delivery.upstream, delivery.state.as_str())
        };
        let states: Vec<String> = self.deliveries.iter().map(state).collect();
        if !self.possible_double_counts.is_empty() {
            return format!("{}, possible double count of {:?}", states.join(", "), self.possible_double_counts);
        }
        if states.is_empty() { "counted, no upstream".to_owned() } else { states.join(", ") }
    }

    /// Where a field came from, or why it is missing.
    pub fn whence(&self, field: &str) -> String {
        let origin = &self.trail[field];
        let text = |name: &str| origin[name].as_str().unwrap_or_default().to_owned();
        match origin["from"].as_str() {
            Some("request") if origin["type"].is_string() => format!("request {}, {}", origin["request"], text("type")),
            Some("request") => format!("request {} at {}", origin["request"], text("path")),
            Some("memory") => format!("remembered from request {}", origin["request"]),
            Some("fallback") => format!("{} of request {} stands in for it", text("of").replace('_', " "), origin["request"]),
            Some("receipt") => format!("the time at which request {} was received", origin["request"]),
            Some("key") => format!("its strongest id: {}", text("kind")),
            Some(_) | None => text("reason"),
        }
    }

    /// The payment in the other currency, where the provider told both: which side it is, and how much.
    pub fn other_side(&self) -> Option<(String, String)> {
        let other = self.amounts.get("other")?;
        let told = format!("{} minor units of {}", other["minor"], other["currency"].as_str().unwrap_or_default());
        Some((other["side"].as_str().unwrap_or_default().to_owned(), told))
    }
}

impl AdjustmentView {
    /// What was said, when and by which request.
    pub fn in_words(&self) -> String {
        let word = |name: &str| self.adjustment.get(name).map(|value| value.to_string().trim_matches('"').to_owned());
        let amount = match (word("amount"), word("currency")) {
            (Some(amount), Some(currency)) => format!("{amount} {currency}"),
            (Some(_) | None, Some(_) | None) => "all of it".to_owned(),
        };
        let all = if self.adjustment.contains_key("cumulative") { " in all so far" } else { "" };
        let id = word("id").map(|id| format!(" {id}")).unwrap_or_default();
        let (kind, at) = (word("adjustment").unwrap_or_default(), word("timestamp").unwrap_or_default());
        format!("{kind}{id}: {amount}{all}, at {at} (request {})", self.request)
    }
}
