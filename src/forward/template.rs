//! Templates: how an upstream is spoken to, as data. All of them are in the binary, one file each under `upstreams/`.

use std::collections::BTreeMap;
use std::sync::Arc;

use include_dir::{Dir, include_dir};
use serde::Deserialize;

use super::upstream::AmountUnit;
use crate::document;
use crate::domain::{AttemptOutcome, Faults};

static EMBEDDED: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/upstreams");

/// How an upstream is spoken to.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Template {
    /// What it is.
    pub upstream: About,
    /// What is sent.
    pub request: RequestSpec,
    /// How fast, and for how long an answer is waited for.
    pub limits: Limits,
    /// The fields of the body, in order.
    pub body: Vec<Field>,
    /// What becomes of money that went back.
    pub adjustments: Adjustments,
    /// What answers mean; the first rule that matches wins.
    pub answers: Vec<Rule>,
}

/// What becomes of refunds, disputes and voids.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Adjustments {
    /// Why the upstream cannot be told of them, in words for the operator: they are counted and reported here only.
    pub not_taken: String,
}

/// What a template is.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct About {
    /// Its name: the file's.
    pub name: String,
    /// The vendor's name as the vendor writes it.
    pub title: String,
    /// The vendor's page on the API.
    pub docs: String,
    /// Where the API is, unless the upstream says otherwise.
    pub base_url: String,
}

/// What is sent.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestSpec {
    /// The method.
    pub method: Method,
    /// The path, added to the base URL.
    pub path: String,
    /// How the token is shown.
    pub auth: Auth,
    /// The unit of amounts, unless the upstream says otherwise.
    pub amount_unit: AmountUnit,
}

/// The methods that a template may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum Method {
    /// POST.
    #[serde(rename = "POST")]
    Post,
}

/// How the token is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Auth {
    /// `Authorization: Bearer …` (RFC 6750).
    Bearer,
}

/// How fast, and for how long an answer is waited for.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// At most so many requests in any 60 seconds, unless the upstream says otherwise.
    pub requests_per_minute: u32,
    /// At most so many requests at a time.
    pub max_in_flight: usize,
    /// For a connection.
    pub connect_timeout_secs: u64,
    /// For the whole answer.
    pub timeout_secs: u64,
}

/// One field of the body.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Field {
    /// Its name on the wire.
    pub name: String,
    /// What of the canonical sale event it holds; left out where the sale has no such value.
    pub value: FieldValue,
    /// True where the upstream takes no sale without it.
    #[serde(default)]
    pub required: bool,
}

/// The values of the canonical sale event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FieldValue {
    /// The name of the event.
    Event,
    /// The team's own id of the customer.
    CustomerExternalId,
    /// The amount, as a number with its exact digits.
    Amount,
    /// The currency's upper-case code.
    Currency,
    /// The click.
    ClickId,
    /// The invoice id.
    InvoiceId,
    /// The time of the sale, RFC 3339 in UTC.
    Timestamp,
    /// The customer's e-mail address.
    Email,
    /// The customer's name.
    Name,
}

/// What an answer means.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The statuses: `409`, or a class such as `5xx`.
    pub status: Vec<String>,
    /// What kind of body it must have.
    pub body: Option<BodyKind>,
    /// A JSON pointer (RFC 6901) into the body, compared with `is`.
    pub pointer: Option<String>,
    /// The value at `pointer`, as text.
    pub is: Option<String>,
    /// What it comes to.
    pub outcome: AttemptOutcome,
    /// What happened and what to do, for the operator.
    pub advice: String,
}

/// Kinds of answers that matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BodyKind {
    /// A web page, where an API should have answered.
    Html,
}

/// All templates, by name.
#[derive(Debug, Clone)]
pub struct Templates(BTreeMap<String, Arc<Template>>);

impl Templates {
    /// The templates in the binary.
    ///
    /// # Errors
    /// Every fault of every template.
    pub fn load() -> Result<Self, Faults> {
        let mut faults = Faults::default();
        let mut templates = BTreeMap::new();
        for file in EMBEDDED.files() {
            let path = format!("upstreams/{}", file.path().display());
            let Some(stem) = file.path().file_stem().and_then(|stem| stem.to_str()) else { continue };
            match Template::read(file.contents_utf8().unwrap_or_default(), &path, stem) {
                Ok(template) => drop(templates.insert(stem.to_owned(), Arc::new(template))),
                Err(found) => faults.0.extend(found.0),
            }
        }
        faults.or(Self(templates))
    }

    /// The template of this name.
    pub fn get(&self, name: &str) -> Option<&Arc<Template>> {
        self.0.get(name)
    }

    /// The names of all templates.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

impl Template {
    /// Reads and checks a template whose file is named `stem`.
    ///
    /// # Errors
    /// Every fault.
    pub fn read(text: &str, file: &str, stem: &str) -> Result<Self, Faults> {
        let template: Self = document::read(text, file)?;
        let mut faults = Faults::default();
        if template.upstream.name != stem {
            faults.add(file, "upstream.name", format!("must be the file's name, {stem}"));
        }
        if !template.request.path.starts_with('/') {
            faults.add(file, "request.path", "must begin with a slash");
        }
        let limits = &template.limits;
        let times = [limits.connect_timeout_secs, limits.timeout_secs];
        if limits.requests_per_minute == 0 || limits.max_in_flight == 0 || times.contains(&0) {
            faults.add(file, "limits", "must all be at least 1");
        }
        for (index, rule) in template.answers.iter().enumerate() {
            if let Some(status) = rule.status.iter().find(|status| !is_status(status)) {
                faults.add(
                    file,
                    format!("answers[{index}].status"),
                    format!("{status} is neither a status nor a class like 5xx"),
                );
            }
            if rule.pointer.is_some() != rule.is.is_some() {
                faults.add(file, format!("answers[{index}]"), "pointer and is belong together");
            }
        }
        for class in ["2xx", "3xx", "4xx", "5xx"] {
            let is_general =
                |rule: &Rule| rule.body.is_none() && rule.pointer.is_none() && rule.status.iter().any(|status| status == class);
            if !template.answers.iter().any(is_general) {
                faults.add(file, "answers", format!("no rule says what {class} means in general"));
            }
        }
        faults.or(template)
    }
}

fn is_status(text: &str) -> bool {
    matches!(text, "2xx" | "3xx" | "4xx" | "5xx") || text.parse::<u16>().is_ok_and(|status| (100..600).contains(&status))
}
