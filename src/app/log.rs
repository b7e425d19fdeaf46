//! How log lines look. What is logged is said where it happens; how much of it, by `SALEBRIDGE_LOG`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `[log]` of the configuration.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Log")]
pub struct Config {
    /// The form of a line.
    pub format: Format,
}

/// The form of a log line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "LogFormat")]
pub enum Format {
    /// For people.
    #[default]
    Pretty,
    /// One JSON object a line, for programs: `timestamp`, `level`, `target`, `message`, and each field under its own name.
    Json,
}

impl Format {
    /// Reads a form as it is written.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "pretty" => Some(Self::Pretty),
            "json" => Some(Self::Json),
            _ => None,
        }
    }
}
