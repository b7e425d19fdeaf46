//! Whether a template says all that is needed, and nothing that cannot be.

use std::collections::BTreeSet;

use super::{AmountUnit, Auth, Field, FieldValue, RequestSpec, Rule, TEMPLATE_FORMAT, Template, Text, Transport};
use crate::document;
use crate::domain::Faults;

/// The most requests a minute that make sense.
const RATE_LIMIT: u32 = 6_000_000;

impl Template {
    /// Reads and checks a template whose file is named `stem`.
    ///
    /// # Errors
    /// Every fault.
    pub fn read(text: &str, file: &str, stem: &str) -> Result<Self, Faults> {
        let table = document::parse(text, file)?;
        document::check_format(&table, "upstream.format", TEMPLATE_FORMAT, file)?;
        let template: Self = document::read_table(table, file)?;
        let mut check = Check { template: &template, file, faults: Faults::default() };
        check.about(stem);
        check.auth();
        check.limits();
        check.request("request", &template.request, false);
        check.adjustments();
        let mut faults = check.faults;
        check_rules_at("answers", &template.answers, file, &mut faults);
        check_rules_at("adjustments.answers", &template.adjustments.answers, file, &mut faults);
        faults.or(template)
    }
}

struct Check<'a> {
    template: &'a Template,
    file: &'a str,
    faults: Faults,
}

impl Check<'_> {
    fn fault(&mut self, key: impl Into<String>, cause: impl Into<String>) {
        self.faults.add(self.file, key, cause);
    }

    fn about(&mut self, stem: &str) {
        let about = &self.template.upstream;
        if about.name != stem {
            self.fault("upstream.name", format!("must be the file's name, {stem}"));
        }
        if stem == "answers" {
            self.fault("upstream.name", "is taken by the general rules for answers");
        }
        let (amount, idempotency) = (&self.template.amount, &self.template.idempotency);
        if amount.units.is_empty() {
            self.fault("amount.units", "must name at least one of major, minor, hundredths");
        }
        if amount.max_decimals.is_some() && !amount.units.contains(&AmountUnit::Major) {
            self.fault("amount.max_decimals", "is about major units, which are not among amount.units");
        }
        if !amount.whole.is_empty() && !amount.units.contains(&AmountUnit::Hundredths) {
            self.fault("amount.whole", "is about hundredths, which are not among amount.units");
        }
        if idempotency.window_secs.is_some() && idempotency.key.is_none() {
            self.fault("idempotency.window_secs", "needs idempotency.key");
        }
    }

    fn auth(&mut self) {
        match &self.template.auth {
            Auth::Basic { user } => self.setting("auth.user", user),
            Auth::Header { name } | Auth::Query { name } | Auth::Body { name } if name.is_empty() => {
                self.fault("auth.name", "is empty");
            }
            Auth::None | Auth::Bearer | Auth::StandardWebhooks | Auth::Header { .. } | Auth::Query { .. } | Auth::Body { .. } => {
            }
        }
        for (name, text) in &self.template.headers {
            match text {
                Text::Setting { setting } => self.setting(&format!("headers.{name}"), setting),
                Text::Value { value } if value.is_of_adjustment() => {
                    self.fault(format!("headers.{name}"), "is known of adjustments only");
                }
                Text::Value { .. } | Text::Literal(_) => {}
            }
            let is_token = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
            if name.is_empty() || !name.bytes().all(is_token) {
                self.fault(format!("headers.{name}"), "is not the name of a header");
            }
        }
    }

    fn setting(&mut self, key: &str, name: &str) {
        if !self.template.settings.contains_key(name) {
            self.fault(key, format!("{name} is not one of the [settings]"));
        }
    }

    fn limits(&mut self) {
        let limits = &self.template.limits;
        let times = [limits.connect_timeout_secs, limits.timeout_secs];
        if limits.requests_per_minute == 0 || limits.max_in_flight == 0 || times.contains(&0) {
            self.fault("limits", "must all be at least 1");
        }
        if limits.requests_per_minute > RATE_LIMIT || limits.max_in_flight > 1000 || times.iter().any(|secs| *secs > 600) {
            self.fault("limits", format!("allow at most {RATE_LIMIT} requests a minute, 1000 at a time, and 600 seconds"));
        }
        if limits.connect_timeout_secs > limits.timeout_secs {
            self.fault("limits.connect_timeout_secs", "is longer than timeout_secs, which covers it");
        }
    }

    fn request(&mut self, key: &str, request: &RequestSpec, is_adjustment: bool) {
        let is_log = self.template.upstream.transport == Transport::Log;
        if !request.path.is_empty() && !request.path.starts_with('/') {
            self.fault(format!("{key}.path"), "must be empty or begin with a slash");
        }
        self.path(&format!("{key}.path"), &request.path, is_adjustment);
        let mut names = BTreeSet::new();
        if let Auth::Body { name } = &self.template.auth {
            names.insert(name.as_str());
        }
        for (index, field) in request.body.iter().enumerate() {
            let key = format!("{key}.body[{index}]");
            if field.name.is_empty() || field.name.split('.').any(str::is_empty) {
                self.fault(format!("{key}.name"), "is no name");
            }
            let is_inside = |other: &&str| {
                *other == field.name
                    || other.starts_with(&format!("{}.", field.name))
                    || field.name.starts_with(&format!("{other}."))
            };
            if names.iter().any(is_inside) {
                self.fault(format!("{key}.name"), format!("{} has its place already", field.name));
            }
            names.insert(field.name.as_str());
            self.field(&key, field, is_adjustment);
        }
        for (index, one_of) in request.one_of.iter().enumerate() {
            for name in one_of.fields.iter().filter(|name| !names.contains(name.as_str())) {
                self.fault(format!("{key}.one_of[{index}]"), format!("{name} is no field of the body"));
            }
            if one_of.fields.len() < 2 {
                self.fault(format!("{key}.one_of[{index}]"), "needs at least two fields; one alone is required");
            }
        }
        if request.capture.as_ref().is_some_and(|pointer| is_adjustment || !pointer.starts_with('/')) {
            self.fault(format!("{key}.capture"), "is a JSON pointer such as /data/id, and for sales only");
        }
        if is_log && !request.path.is_empty() {
            self.fault(format!("{key}.path"), "leads nowhere: nothing is sent by the log");
        }
    }

    fn path(&mut self, key: &str, path: &str, is_adjustment: bool) {
        match holes(path) {
            Ok(names) => {
                for name in names {
                    let value = FieldValue::parse(name).filter(|value| is_adjustment || !value.is_of_adjustment());
                    if value.is_none() && !self.template.settings.contains_key(name) {
                        self.fault(key, format!("{{{name}}} is neither a value nor one of the [settings]"));
                    }
                }
            }
            Err(cause) => self.fault(key, cause),
        }
    }

    fn field(&mut self, key: &str, field: &Field, is_adjustment: bool) {
        let holds = [field.value.is_some(), field.literal.is_some(), field.setting.is_some()];
        if holds.iter().filter(|holds| **holds).count() != 1 {
            self.fault(key, "must hold exactly one of value, literal and setting");
        }
        if let Some(setting) = &field.setting {
            self.setting(&format!("{key}.setting"), setting);
        }
        let is_plain = |literal: &toml::Value| literal.is_str() || literal.is_integer() || literal.is_bool();
        if field.literal.as_ref().is_some_and(|literal| !is_plain(literal)) {
            self.fault(format!("{key}.literal"), "must be a text, an integer or a truth value");
        }
        if field.value.is_some_and(|value| value.is_of_adjustment() && !is_adjustment) {
            self.fault(format!("{key}.value"), "is known of adjustments only");
        }
        if field.time.is_some() && field.value != Some(FieldValue::Timestamp) {
            self.fault(format!("{key}.time"), "is about value = \"timestamp\"");
        }
        if let Some(prefix) = &field.prefix {
            self.setting(&format!("{key}.prefix"), prefix);
        }
        if field.written_as.is_some() && !field.value.is_some_and(FieldValue::is_amount) {
            self.fault(format!("{key}.as"), "is about amounts");
        }
        if field.max_chars == Some(0) {
            self.fault(format!("{key}.max_chars"), "must be at least 1");
        }
        if field.unfit == Some(super::Unfit::Cut) && field.max_chars.is_none() {
            self.fault(format!("{key}.unfit"), "cut needs max_chars");
        }
        if field.unfit.is_some() && field.max_chars.is_none() && field.format.is_none() {
            self.fault(format!("{key}.unfit"), "needs max_chars or format");
        }
    }

    fn adjustments(&mut self) {
        let adjustments = &self.template.adjustments;
        match (&adjustments.not_taken, &adjustments.request) {
            (Some(_), Some(_)) | (None, None) => {
                self.fault("adjustments", "must say either not_taken or a request");
            }
            (Some(_), None)
                if !adjustments.answers.is_empty()
                    || adjustments.reversible
                    || adjustments.repeatable
                    || adjustments.find.is_some() =>
            {
                self.fault("adjustments", "are not taken, so nothing else can be said of them");
            }
            (Some(_), None) => {}
            (None, Some(request)) => {
                self.request("adjustments.request", request, true);
                let values = request.body.iter().filter_map(|field| field.value);
                let in_path = holes(&request.path).unwrap_or_default().contains(&"upstream_id");
                let needs_id = in_path || values.clone().any(|value| value == FieldValue::UpstreamId);
                if needs_id && self.template.request.capture.is_none() && adjustments.find.is_none() {
                    self.fault(
                        "adjustments.request",
                        "needs upstream_id, but neither request.capture nor adjustments.find says where it is",
                    );
                }
                if let Some(find) = &adjustments.find {
                    self.path("adjustments.find.path", &find.path, true);
                    if !find.path.starts_with('/') || !find.id.starts_with('/') || !needs_id {
                        self.fault("adjustments.find", "needs a path and a JSON pointer, and a request that uses upstream_id");
                    }
                }
            }
        }
    }
}

/// Checks rules for answers; `file` names them in faults.
pub(super) fn check_rules(rules: &[Rule], file: &str, faults: &mut Faults) {
    check_rules_at("answers", rules, file, faults);
}

fn check_rules_at(key: &str, rules: &[Rule], file: &str, faults: &mut Faults) {
    for (index, rule) in rules.iter().enumerate() {
        let key = format!("{key}[{index}]");
        let mut fault = |name: &str, cause: &str| faults.add(file, format!("{key}{name}"), cause);
        if rule.status.is_empty() {
            fault(".status", "names no status");
        }
        for status in rule.status.iter().filter(|status| !is_status(status)) {
            fault(".status", &format!("{status} is neither a status nor a class like 5xx"));
        }
        let tests = [rule.is.is_some(), rule.contains.is_some(), rule.absent.is_some()];
        let count = tests.iter().filter(|test| **test).count();
        if count > 1 || (rule.pointer.is_some() && count == 0) {
            fault("", "a pointer goes with exactly one of is, contains and absent");
        }
        if rule.pointer.as_ref().is_some_and(|pointer| !pointer.starts_with('/')) {
            fault(".pointer", "is not a JSON pointer such as /data/id");
        }
        if rule.pointer.is_none() && (rule.is.is_some() || rule.absent.is_some()) {
            fault("", "is and absent need a pointer");
        }
        if rule.absent == Some(false) {
            fault(".absent", "is true or left out");
        }
    }
}

/// The names in braces of a path.
pub(in crate::forward) fn holes(path: &str) -> Result<Vec<&str>, String> {
    let mut names = Vec::new();
    let mut rest = path;
    while let Some((_, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}').ok_or("a { is never closed")?;
        names.push(name);
        rest = after;
    }
    Ok(names)
}

fn is_status(text: &str) -> bool {
    matches!(text, "2xx" | "3xx" | "4xx" | "5xx") || text.parse::<u16>().is_ok_and(|status| (100..600).contains(&status))
}
