//! Templates: how an upstream is spoken to, as data. Those in the binary stand under `upstreams/`; `template_dirs` adds to them.

mod check;
mod registry;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

pub use registry::Templates;

use crate::domain::{AttemptOutcome, Currency};

/// The newest format of templates that this program reads. It rises when a template that uses something new would be misread, or not be
/// read, by a program that does not know it.
pub const TEMPLATE_FORMAT: u32 = 1;

/// How an upstream is spoken to.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Template {
    /// What it is.
    pub upstream: About,
    /// What else the team has to say about its account there, by name.
    #[serde(default)]
    pub settings: BTreeMap<String, Setting>,
    /// How the team shows who it is.
    pub auth: Auth,
    /// Headers of every request.
    #[serde(default)]
    pub headers: BTreeMap<String, Text>,
    /// How fast, and for how long an answer is waited for.
    pub limits: Limits,
    /// How amounts are written.
    pub amount: AmountSpec,
    /// Which times are taken.
    #[serde(default)]
    pub time: TimeSpec,
    /// By what the upstream knows a repeat.
    pub idempotency: Idempotency,
    /// How a sale is told.
    pub request: RequestSpec,
    /// How money that went back is told.
    pub adjustments: Adjustments,
    /// What answers mean, before the general rules of `upstreams/answers.toml`; the first rule that matches wins.
    #[serde(default)]
    pub answers: Vec<Rule>,
}

/// What a template is.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct About {
    /// The format of templates that it needs; left out, the first. A program that does not know it refuses the template.
    pub format: Option<u32>,
    /// Its name: the file's.
    pub name: String,
    /// The vendor's name as the vendor writes it.
    pub title: String,
    /// The vendor's page on the API, where there is a vendor.
    pub docs: Option<String>,
    /// How it is reached.
    #[serde(default)]
    pub transport: Transport,
    /// Where the API is, unless the upstream says otherwise; without one the upstream has to.
    pub base_url: Option<String>,
    /// Which integration of the vendor's own would count the same sales once more, in words.
    pub counts_twice: Option<String>,
    /// What to compare in the vendor's dashboard after a first sale, in words.
    pub compare: String,
}

/// How an upstream is reached.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    /// By HTTP.
    #[default]
    Http,
    /// Not at all: the log names the delivery, what would be sent is kept with its attempt, and it counts as delivered.
    Log,
}

/// Something that the team has to say about its account, such as the id of a program.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Setting {
    /// What it is and where the vendor's dashboard shows it.
    pub about: String,
    /// True where the template can do without it.
    #[serde(default)]
    pub optional: bool,
}

/// How the team shows who it is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Auth {
    /// Not at all.
    None,
    /// `Authorization: Bearer TOKEN` (RFC 6750).
    Bearer,
    /// `Authorization: Basic …` (RFC 7617).
    Basic {
        /// The setting that is the user; the token is the password.
        user: String,
    },
    /// A header of its own.
    Header {
        /// Its name.
        name: String,
    },
    /// A parameter of the URL.
    Query {
        /// Its name.
        name: String,
    },
    /// A field of the body.
    Body {
        /// Its name.
        name: String,
    },
    /// Each request is signed by the Standard Webhooks scheme, with every one of `signing_secrets`.
    StandardWebhooks,
}

/// A text that stands in the template, is a setting, or a value of the sale.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub enum Text {
    /// The text itself.
    Literal(String),
    /// A setting's value.
    Setting {
        /// The setting's name.
        setting: String,
    },
    /// A value of the sale.
    Value {
        /// Which.
        value: FieldValue,
    },
}

/// How fast, and for how long an answer is waited for.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// At most so many requests in any 60 seconds, unless the upstream says otherwise.
    pub requests_per_minute: u32,
    /// At most so many requests at a time, unless the upstream says otherwise.
    pub max_in_flight: usize,
    /// For a connection.
    pub connect_timeout_secs: u64,
    /// For the whole answer, unless the upstream says otherwise.
    pub timeout_secs: u64,
}

/// How amounts are written.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AmountSpec {
    /// The units that the vendor may mean; the first unless the upstream says otherwise.
    pub units: Vec<AmountUnit>,
    /// A JSON number, or a text.
    #[serde(default, rename = "as")]
    pub written_as: WrittenAs,
    /// Major units only: the vendor takes no more decimals. A sale that needs more is refused, never rounded.
    pub max_decimals: Option<u8>,
    /// With hundredths: the currencies that the vendor wants in whole major units, by its own list.
    #[serde(default)]
    pub whole: Vec<Currency>,
    /// The currencies that the vendor takes; none named means all.
    #[serde(default)]
    pub currencies: Vec<Currency>,
    /// True where the vendor is told no currency: the upstream then has to be given the sales of one currency only.
    #[serde(default)]
    pub single_currency: bool,
}

/// The unit of amounts on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AmountUnit {
    /// Decimals of the major unit: 49.99 USD, 1580 JPY, 1.234 KWD.
    Major,
    /// Whole minor units by ISO 4217: 4999 for 49.99 USD, 1580 for 1580 JPY, 1234 for 1.234 KWD.
    Minor,
    /// Whole hundredths of the major unit, whatever the currency, but for those in `whole`: 4999 for 49.99 USD, 158000 for 1580 JPY.
    Hundredths,
}

impl AmountUnit {
    /// The word as the configuration writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Major => "major",
            Self::Minor => "minor",
            Self::Hundredths => "hundredths",
        }
    }
}

/// How a number is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WrittenAs {
    /// As a JSON number.
    #[default]
    Number,
    /// As a text.
    String,
}

/// Which times are taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimeSpec {
    /// With `timestamp = "when_recent"` the time of an older sale is left out.
    pub max_age_secs: Option<i64>,
    /// With `timestamp = "when_recent"` the time of a sale that is further ahead of our clock is left out.
    pub max_ahead_secs: Option<i64>,
}

/// By what the upstream knows a repeat.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Idempotency {
    /// The field or header; without one a repeat counts twice, so that what may have been accepted is never sent again by itself.
    pub key: Option<String>,
    /// For so long, where the vendor forgets it.
    pub window_secs: Option<u64>,
}

/// One request.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestSpec {
    /// The method.
    pub method: Method,
    /// The path, added to the base URL; `{name}` is a value of the sale, or a setting, percent-encoded.
    pub path: String,
    /// Fields of which the vendor needs one.
    #[serde(default)]
    pub one_of: Vec<OneOf>,
    /// The fields of the body, in order.
    #[serde(default)]
    pub body: Vec<Field>,
    /// Where the answer has the vendor's own id of what was told: a JSON pointer (RFC 6901).
    pub capture: Option<String>,
}

/// The methods that a template may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// POST.
    Post,
    /// PUT.
    Put,
    /// PATCH.
    Patch,
    /// DELETE.
    Delete,
}

/// Fields of which the vendor needs one.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OneOf {
    /// Their names on the wire.
    pub fields: Vec<String>,
    /// All that are known, or the first of them only.
    #[serde(default)]
    pub send: Send,
}

/// Which of several fields are sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Send {
    /// All that are known; at least one must be.
    #[default]
    All,
    /// The first that is known, because the vendor takes exactly one.
    First,
}

/// One field of a body. It holds a value of the sale, a literal or a setting.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Field {
    /// Its name on the wire; a dot leads into an object.
    pub name: String,
    /// A value of the sale; left out where the sale has no such value.
    pub value: Option<FieldValue>,
    /// A text, an integer or a truth value.
    pub literal: Option<toml::Value>,
    /// The name of a setting.
    pub setting: Option<String>,
    /// True where the upstream takes nothing without it.
    #[serde(default)]
    pub required: bool,
    /// The case of its letters.
    pub case: Option<Case>,
    /// How a time is written.
    pub time: Option<TimeForm>,
    /// How an amount is written, where that differs from the others.
    #[serde(rename = "as")]
    pub written_as: Option<WrittenAs>,
    /// The name of a setting that stands before the text, where it is set.
    pub prefix: Option<String>,
    /// What a text must be made of.
    pub format: Option<Format>,
    /// How long a text must be.
    pub min_chars: Option<usize>,
    /// How long a text may be.
    pub max_chars: Option<usize>,
    /// What becomes of a text that does not fit.
    pub unfit: Option<Unfit>,
}

/// The values of a sale, and of money that went back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FieldValue {
    /// The name of the event.
    Event,
    /// The team's own id of the customer.
    CustomerExternalId,
    /// The amount of the sale; in an adjustment, how much goes back with it.
    Amount,
    /// The currency's code.
    Currency,
    /// The click.
    ClickId,
    /// The invoice id.
    InvoiceId,
    /// The time of the sale; in an adjustment, when it was counted.
    Timestamp,
    /// The customer's e-mail address.
    Email,
    /// The customer's name.
    Name,
    /// The source that counted it.
    Source,
    /// `live` or `test`.
    Mode,
    /// True where it repeats an earlier purchase.
    Renewal,
    /// True for the first and for later payments of a subscription.
    Subscription,
    /// Adjustments only: its own id, made of the invoice id and a number.
    AdjustmentId,
    /// Adjustments only: the amount that goes back, with a minus.
    NegativeAmount,
    /// Adjustments only: all that went back of the sale so far.
    TakenBack,
    /// Adjustments only: what is left of the sale.
    Left,
    /// Adjustments only: the amount of the sale.
    SaleAmount,
    /// Adjustments only: the id that the vendor gave to the sale, by `capture` or `find`.
    UpstreamId,
}

/// The case of letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Case {
    /// Small letters.
    Lower,
    /// Capital letters.
    Upper,
}

/// How a time is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeForm {
    /// RFC 3339 in UTC, to the second: `2026-11-22T05:11:00Z`.
    #[default]
    Rfc3339,
    /// Seconds since 1970.
    EpochS,
    /// Milliseconds since 1970.
    EpochMs,
    /// Microseconds since 1970.
    EpochUs,
}

/// What a text must be made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// `A-Z a-z 0-9 _ -`.
    Id,
    /// An e-mail address.
    Email,
}

/// What becomes of a text that does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unfit {
    /// The field is left out. The rule for fields that are not required.
    Omit,
    /// It is cut to `max_chars`.
    Cut,
    /// The sale is a dead letter, with the reason. The rule for required fields.
    Refuse,
}

/// How money that went back is told.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Adjustments {
    /// Why the upstream cannot be told of it, in words for the operator.
    pub not_taken: Option<String>,
    /// How the vendor's own id of the sale is found, where the answer to the sale does not have it.
    pub find: Option<Find>,
    /// How it is told.
    pub request: Option<RequestSpec>,
    /// False where the vendor takes back whole sales only: a part of one is then not told.
    #[serde(default = "yes")]
    pub partial: bool,
    /// True where the vendor can be told that money came back after all (a dispute won, a refund that failed).
    #[serde(default)]
    pub reversible: bool,
    /// True where the same adjustment twice changes nothing, though the vendor knows no repeat of a sale.
    #[serde(default)]
    pub repeatable: bool,
    /// What answers to it mean, before the template's other rules.
    #[serde(default)]
    pub answers: Vec<Rule>,
}

/// How the vendor's own id of a sale is found: by a GET.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Find {
    /// The path and query, with `{name}` as in other paths.
    pub path: String,
    /// Where the answer has the id: a JSON pointer (RFC 6901).
    pub id: String,
    /// What it means that there is none, for the operator.
    pub advice: String,
}

/// What an answer means.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The statuses: `409`, or a class such as `5xx`.
    pub status: Vec<String>,
    /// What kind of body it must have.
    pub body: Option<BodyKind>,
    /// A JSON pointer (RFC 6901) into the body; without one `contains` is about the whole body.
    pub pointer: Option<String>,
    /// The value at `pointer`, as text.
    pub is: Option<String>,
    /// What the text holds, in small letters; both are compared in small letters.
    pub contains: Option<String>,
    /// True where there must be nothing at `pointer`, or null.
    pub absent: Option<bool>,
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

impl Template {
    /// Every rule for answers to a sale (`false`) or to an adjustment (`true`), in the order in which they are tried.
    pub fn rules(&self, is_adjustment: bool) -> impl Iterator<Item = &Rule> {
        let own = if is_adjustment { &self.adjustments.answers[..] } else { &[] };
        own.iter().chain(&self.answers)
    }

    /// Where the body has the amount of a sale: a JSON pointer.
    pub(super) fn amount_field(&self) -> Option<String> {
        let field = self.request.body.iter().find(|field| field.value == Some(FieldValue::Amount))?;
        Some(format!("/{}", field.name.replace('.', "/")))
    }

    /// True where what may have been accepted must not be sent again by itself: a sale (`false`) or an adjustment (`true`).
    pub fn counts_repeats(&self, is_adjustment: bool) -> bool {
        self.idempotency.key.is_none() && !(is_adjustment && self.adjustments.repeatable)
    }
}

impl Rule {
    /// True where it asks for nothing but a status.
    pub(super) fn is_plain(&self) -> bool {
        self.body.is_none() && self.pointer.is_none() && self.contains.is_none()
    }
}

impl Method {
    /// The method as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

impl FieldValue {
    /// True for what only an adjustment has.
    pub(super) fn is_of_adjustment(self) -> bool {
        match self {
            Self::AdjustmentId | Self::NegativeAmount | Self::TakenBack | Self::Left | Self::SaleAmount | Self::UpstreamId => {
                true
            }
            Self::Event
            | Self::CustomerExternalId
            | Self::Amount
            | Self::Currency
            | Self::ClickId
            | Self::InvoiceId
            | Self::Timestamp
            | Self::Email
            | Self::Name
            | Self::Source
            | Self::Mode
            | Self::Renewal
            | Self::Subscription => false,
        }
    }

    /// Its name, as templates write it.
    pub fn name(self) -> String {
        let mut name = String::new();
        for letter in format!("{self:?}").chars() {
            if letter.is_ascii_uppercase() && !name.is_empty() {
                name.push('_');
            }
            name.push(letter.to_ascii_lowercase());
        }
        name
    }

    /// True for amounts of money.
    pub(super) fn is_amount(self) -> bool {
        matches!(self, Self::Amount | Self::NegativeAmount | Self::TakenBack | Self::Left | Self::SaleAmount)
    }

    /// Reads a value's name, as it stands in a path.
    pub(super) fn parse(name: &str) -> Option<Self> {
        serde_json::from_value(name.into()).ok()
    }
}

fn yes() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::FieldValue;

    #[test]
    fn values_are_named_as_templates_name_them() {
        assert_eq!(FieldValue::CustomerExternalId.name(), "customer_external_id");
        assert_eq!(FieldValue::parse("customer_external_id"), Some(FieldValue::CustomerExternalId));
    }
}
