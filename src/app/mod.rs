//! The wiring: a checked configuration becomes a running bridge, and a running bridge stops without losing anything.

mod bridge;
mod config;
mod environment;
mod index;
mod log;
mod metrics;
mod reference;
mod retention;

pub use bridge::{Bridge, StartError};
pub use config::{Checked, load, load_text, load_with, packs, source_names, store, templates, upstreams};
pub use environment::{Environment, environment_line, environment_warning, use_environment_file};
pub use log::{Config as Log, Format as LogFormat};
pub use metrics::{Kind, METRICS, Metric};
pub use reference::{reference, schema};
pub use retention::Config as Retention;
