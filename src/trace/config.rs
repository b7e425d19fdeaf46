//! `[traces]` of the configuration.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::domain::Faults;

/// Where traces are sent. Without it there are none.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Traces")]
pub struct Config {
    /// The collector, which takes OTLP over HTTP at `/v1/traces` below it.
    pub endpoint: String,
    /// Which share of all requests is traced, from 0 to 1.
    #[serde(default = "Config::sample")]
    pub sample: f64,
}

impl Config {
    fn sample() -> f64 {
        1.0
    }

    /// Adds a fault for each option that is wrong, and where traces are not built in.
    pub fn check(&self, file: &str, faults: &mut Faults) {
        if !cfg!(feature = "otlp") {
            let cause = "this salebridge was built without traces: leave [traces] out, or build it with `--features otlp`";
            faults.add(file, "traces", cause);
        }
        let rest = self.endpoint.strip_prefix("https://").or_else(|| self.endpoint.strip_prefix("http://"));
        if rest.is_none_or(|rest| rest.is_empty() || rest.contains(['?', '#', '@'])) {
            faults.add(file, "traces.endpoint", "must be a URL of scheme, host and path only, such as http://127.0.0.1:4318");
        }
        if !(0.0..=1.0).contains(&self.sample) {
            faults.add(file, "traces.sample", "must be between 0 and 1");
        }
    }
}
