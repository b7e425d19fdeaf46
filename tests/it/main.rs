//! All integration tests, in one binary because each further one costs a link.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::float_arithmetic,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::print_stdout
)]

mod harness;

mod adjustments;
mod admin;
mod alarms;
mod architecture;
mod attribution;
mod browser;
mod care;
mod command_line;
mod configuration;
mod crash;
mod dashboard;
mod doctor;
mod documents;
mod door;
mod enriching;
mod faults;
mod forwarding;
mod grafana;
mod handover;
mod histories;
mod hostile;
mod logging;
mod memory;
mod metrics;
mod model;
mod money;
mod outbound;
mod packaging;
mod packed;
mod packs;
mod promises;
mod reference;
mod reloading;
mod remapping;
mod reporting;
mod sales;
mod secrecy;
mod signatures;
mod starting;
mod store;
mod storm;
mod telling;
mod terminal;
mod tls;
#[cfg(feature = "otlp")]
mod traces;
mod upgrades;
mod upstreams;
