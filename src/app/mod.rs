//! The wiring: a checked configuration becomes a running bridge, and a running bridge stops without losing anything.

mod bridge;
mod config;
mod desk;
mod environment;
mod fill_in;
mod fold;
mod index;
mod learn;
mod log;
mod metrics;
mod reference;
mod reload;
mod retention;
mod service;
mod sockets;
mod workers;
mod written;

pub use crate::admin::API_VERSION;
pub use bridge::{Bridge, StartError};
pub use config::{
    CONFIG_FORMAT, Checked, admin, load, load_text, load_with, packs, server, source_names, store, templates, upstreams,
};
pub use environment::{Environment, environment_line, environment_warning, use_environment_file};
pub use log::{Config as Log, Format as LogFormat};
pub use metrics::{Kind, METRICS, Metric};
pub use reference::{reference, schema};
pub use reload::{Ask, Reloads, reloads};
pub use retention::Config as Retention;
pub use service::{Phase, tell};
pub use sockets::Sockets;
