//! What an upstream or a template does, for people and for programs.

use serde_json::{Value, json};

use super::print::Printer;
use crate::forward::{Auth, Field, Rule, Template, Transport, Upstream};

/// How fast, in few words.
pub(super) fn limits(template: &Template) -> String {
    let limits = &template.limits;
    format!("{} a minute, {} at a time", limits.requests_per_minute, limits.max_in_flight)
}

/// A template as data; with an upstream, as that is configured.
pub(super) fn describe(template: &Template, upstream: Option<&Upstream>) -> Value {
    let about = &template.upstream;
    let adjustments = &template.adjustments;
    let request = adjustments.request.as_ref().map(|request| {
        json!({"method": request.method.as_str(), "path": request.path, "fields": request.body.iter().map(field).collect::<Vec<_>>()})
    });
    json!({
        "name": upstream.map_or(about.name.as_str(), |upstream| &upstream.name), "template": about.name, "title": about.title,
        "docs": about.docs, "base_url": upstream.map_or(about.base_url.clone(), |upstream| upstream.base_url.as_ref().map(ToString::to_string)),
        "auth": auth(template), "counts_twice": about.counts_twice,
        "settings": template.settings.iter().map(|(name, setting)| (name.clone(), json!({"about": setting.about, "optional": setting.optional}))).collect::<serde_json::Map<_, _>>(),
        "amount_units": template.amount.units.iter().map(|each| each.as_str()).collect::<Vec<_>>(),
        "amount_unit": upstream.map(|upstream| upstream.amount_unit.as_str()),
        "currencies": template.amount.currencies.iter().map(|currency| currency.code()).collect::<Vec<_>>(),
        "idempotency_key": template.idempotency.key, "idempotency_window_secs": template.idempotency.window_secs,
        "requests_per_minute": upstream.map_or(template.limits.requests_per_minute, |upstream| upstream.requests_per_minute),
        "max_in_flight": upstream.map_or(template.limits.max_in_flight, |upstream| upstream.max_in_flight),
        "request": {
            "method": template.request.method.as_str(), "path": template.request.path,
            "fields": template.request.body.iter().map(field).collect::<Vec<_>>(),
        },
        "adjustments": {"not_taken": adjustments.not_taken, "request": request, "partial": adjustments.partial, "reversible": adjustments.reversible, "repeatable": adjustments.repeatable},
        "answers": template.rules(false).map(rule).collect::<Vec<_>>(),
        "answers_to_adjustments": request_rules(template),
    })
}

fn request_rules(template: &Template) -> Vec<Value> {
    if template.adjustments.request.is_none() { Vec::new() } else { template.rules(true).map(rule).collect() }
}

fn field(field: &Field) -> Value {
    json!({"name": field.name, "holds": holds(field), "required": field.required})
}

fn rule(rule: &Rule) -> Value {
    json!({"status": rule.status, "where": condition(rule), "outcome": rule.outcome.as_str(), "advice": rule.advice})
}

/// A template in plain words; with an upstream, as that is configured.
pub(super) fn show(template: &Template, upstream: Option<&Upstream>, printer: &Printer) {
    let about = &template.upstream;
    let say = |what: &str, text: &str| printer.line(format!("{what:<10}{text}"));
    match upstream {
        Some(upstream) => {
            say("upstream", &format!("{}, by the template {} ({})", upstream.name, about.name, about.title));
            say("where", &format!("{}, {}", upstream.place(), auth(template)));
            say("amounts", &format!("in {} units", upstream.amount_unit.as_str()));
            let (rate, at_once) = (upstream.requests_per_minute, upstream.max_in_flight);
            say("limits", &format!("{rate} a minute, {at_once} at a time, {} s for an answer", upstream.timeout.as_secs()));
            say("takes", &upstream.takes());
        }
        None => {
            say("template", &format!("{} ({})", about.name, about.title));
            say("where", &format!("{}, {}", place(template), auth(template)));
            let units = template.amount.units.iter().map(|each| each.as_str()).collect::<Vec<_>>().join(" or ");
            say("amounts", &format!("in {units} units"));
            say("limits", &limits(template));
        }
    }
    if let Some(docs) = &about.docs {
        say("docs", docs);
    }
    for (name, setting) in &template.settings {
        let optional = if setting.optional { ", optional" } else { "" };
        say("setting", &format!("{name}{optional}: {}", setting.about));
    }
    say("repeats", &repeats(template));
    if let Some(warning) = &about.counts_twice {
        say("beware", &printer.bad(warning));
    }
    printer.line("");
    say("a sale", &format!("{} {}", template.request.method.as_str(), template.request.path));
    show_fields(&template.request.body, printer);
    let adjustments = &template.adjustments;
    match (&adjustments.request, &adjustments.not_taken) {
        (Some(request), _) => {
            let parts = if adjustments.partial { "in parts or whole" } else { "whole sales only" };
            let back = if adjustments.reversible { "; money that came back is told as well" } else { "" };
            say("a refund", &format!("{} {} ({parts}{back})", request.method.as_str(), request.path));
            show_fields(&request.body, printer);
        }
        (None, why) => say("a refund", &format!("is not told: {}", why.as_deref().unwrap_or_default())),
    }
    printer.line("");
    let rows = template.rules(false).map(|rule| {
        vec![rule.status.join(", "), condition(rule).unwrap_or_default(), rule.outcome.as_str().to_owned(), rule.advice.clone()]
    });
    printer.table(&["ANSWER", "WHERE", "COMES TO", "MEANING"], rows);
}

fn show_fields(fields: &[Field], printer: &Printer) {
    for field in fields {
        let is_always = field.required || field.value.is_none();
        let known = if is_always { "" } else { ", where known" };
        printer.line(format!("    {:<27} {}{}", field.name, holds(field), printer.quiet(known)));
    }
}

pub(super) fn place(template: &Template) -> &str {
    match template.upstream.transport {
        Transport::Log => "the log",
        Transport::Http => template.upstream.base_url.as_deref().unwrap_or("your base_url"),
    }
}

pub(super) fn auth(template: &Template) -> String {
    match &template.auth {
        Auth::None => "no token".to_owned(),
        Auth::Bearer => "the token as Authorization: Bearer".to_owned(),
        Auth::Basic { user } => format!("settings.{user} and the token as Authorization: Basic"),
        Auth::Header { name } => format!("the token as {name}"),
        Auth::Query { name } => format!("the token as {name} in the URL"),
        Auth::Body { name } => format!("the token as {name} in the body"),
        Auth::StandardWebhooks => "signed by the Standard Webhooks scheme with signing_secrets".to_owned(),
    }
}

pub(super) fn repeats(template: &Template) -> String {
    match (&template.idempotency.key, template.idempotency.window_secs) {
        (Some(key), Some(secs)) => format!("known by {key} for {} days; a later one would count twice", secs / 86_400),
        (Some(key), None) => format!("known by {key}"),
        (None, _) => {
            "count twice: what may have been accepted is a dead letter, for a person to look at, and never sent again by itself"
                .to_owned()
        }
    }
}

pub(super) fn holds(field: &Field) -> String {
    match (&field.value, &field.literal, &field.setting) {
        (Some(value), _, _) => value.name(),
        (None, Some(literal), _) => literal.to_string(),
        (None, None, setting) => format!("settings.{}", setting.as_deref().unwrap_or_default()),
    }
}

pub(super) fn condition(rule: &Rule) -> Option<String> {
    let place = rule.pointer.as_deref().unwrap_or("the body");
    if let Some(wanted) = &rule.is {
        return Some(format!("{place} is {wanted}"));
    }
    if let Some(part) = &rule.contains {
        return Some(format!("{place} holds \"{part}\""));
    }
    if rule.absent == Some(true) {
        return Some(format!("there is no {place}"));
    }
    rule.body.map(|_| "it is a web page".to_owned())
}
