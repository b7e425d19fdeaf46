//! `[alarms]` of the configuration.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::{Faults, Secret};
use crate::outbound::{check_url, names_private};

/// Where alarms are sent, and what they begin at. Without it there are none.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Alarms")]
pub struct Config {
    /// Where they are posted.
    pub url: Secret,
    /// What is posted.
    #[serde(default)]
    pub format: Format,
    /// True where the URL's name may lead to a private or loopback address.
    #[serde(default)]
    pub allow_private: bool,
    /// A source is silent where so long a pause would come about by chance on fewer than one of so many days; 0: never.
    #[serde(default = "Config::silence_odds")]
    pub silence_odds: u64,
    /// Fewer refused requests within two hours are no surge; 0: none ever is.
    #[serde(default = "Config::refusals_least")]
    pub refusals_least: u64,
    /// A surge is so many times what is usual.
    #[serde(default = "Config::refusals_factor")]
    pub refusals_factor: u64,
    /// Fewer sales in 24 hours say nothing about their clicks; 0: none ever do.
    #[serde(default = "Config::unattributed_least")]
    pub unattributed_least: u64,
    /// A surge is so many more sales of 100 without a click than usual.
    #[serde(default = "Config::unattributed_points")]
    pub unattributed_points: u64,
    /// A request that is not settled, or a delivery that is due and not sent, for so long is an alarm; 0: never.
    #[serde(default = "Config::queue_age_secs")]
    pub queue_age_secs: u64,
}

/// What is posted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "AlarmFormat")]
pub enum Format {
    /// An object with a field for each part.
    #[default]
    Json,
    /// `{"text": …}`, as Slack's incoming webhooks and many others take it.
    Slack,
}

/// What alarms begin at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Thresholds {
    /// See [`Config::silence_odds`].
    pub silence_odds: u64,
    /// See [`Config::refusals_least`].
    pub refusals_least: u64,
    /// See [`Config::refusals_factor`].
    pub refusals_factor: u64,
    /// See [`Config::unattributed_least`].
    pub unattributed_least: u64,
    /// See [`Config::unattributed_points`].
    pub unattributed_points: u64,
    /// See [`Config::queue_age_secs`].
    pub queue_age_secs: u64,
}

impl Config {
    fn silence_odds() -> u64 {
        1000
    }

    fn refusals_least() -> u64 {
        20
    }

    fn refusals_factor() -> u64 {
        10
    }

    fn unattributed_least() -> u64 {
        30
    }

    fn unattributed_points() -> u64 {
        25
    }

    fn queue_age_secs() -> u64 {
        15 * 60
    }

    /// What alarms begin at.
    pub fn thresholds(&self) -> Thresholds {
        Thresholds {
            silence_odds: self.silence_odds,
            refusals_least: self.refusals_least,
            refusals_factor: self.refusals_factor,
            unattributed_least: self.unattributed_least,
            unattributed_points: self.unattributed_points,
            queue_age_secs: self.queue_age_secs,
        }
    }

    /// Adds a fault for each option that is wrong.
    pub fn check(&self, file: &str, faults: &mut Faults) {
        if let Err(cause) = check_url(self.url.expose(), self.allow_private) {
            faults.add(file, "alarms.url", cause);
        }
        let limits = [
            ("silence_odds", self.silence_odds, 0, 1_000_000_000),
            ("refusals_least", self.refusals_least, 0, 1_000_000_000),
            ("refusals_factor", self.refusals_factor, 1, 1_000_000),
            ("unattributed_least", self.unattributed_least, 0, 1_000_000_000),
            ("unattributed_points", self.unattributed_points, 1, 100),
            ("queue_age_secs", self.queue_age_secs, 0, 31 * 24 * 60 * 60),
        ];
        for (name, value, least, most) in limits {
            if value < least || value > most {
                faults.add(file, format!("alarms.{name}"), format!("must be between {least} and {most}"));
            }
        }
    }

    /// The host that they are sent to: the rest of the URL may be a secret.
    pub fn host(&self) -> &str {
        let rest = self.url.expose().split_once("://").map_or("", |(_, rest)| rest);
        rest.split(['/', '?']).next().unwrap_or_default()
    }

    /// Whether a name may lead to a private address.
    pub(super) fn may_be_private(&self) -> bool {
        self.allow_private || names_private(self.url.expose())
    }
}
