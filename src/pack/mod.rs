//! Providers as data: a pack says how a provider signs and what its events mean; a source is one configured use of it.

mod case;
mod folder;
mod registry;
mod source;

pub use case::{Case, CaseError, Expected, Scenario, scenarios};
pub use folder::Folder;
pub use registry::Registry;
pub use source::{Accept, MetadataConfig, Source, SourceConfig};

use serde::Deserialize;

use crate::document;
use crate::domain::Faults;
use crate::map::{self, Context, EventSpec, KeysSpec, Mapping, MetadataKeys, MoneySpec, Reads, Rule};
use crate::verify::{self, Scheme};

/// A checked pack.
#[derive(Debug, Clone)]
pub struct Pack {
    /// What it is.
    pub about: About,
    /// How the provider signs.
    pub scheme: Scheme,
    /// What its events mean.
    pub mapping: map::Spec,
    /// Its folder, with README and cases.
    pub folder: Folder,
}

/// What a pack is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct About {
    /// Its name: the folder's, in lower case with hyphens.
    pub name: String,
    /// The provider's name as the provider writes it.
    pub title: String,
    /// The provider's page on webhooks.
    pub docs: String,
    /// The event types to switch on in the provider's dashboard.
    pub subscribe: Vec<String>,
}

/// `pack.toml` as written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    pack: About,
    verify: verify::Spec,
    event: EventSpec,
    #[serde(default)]
    reads: Reads,
    keys: KeysSpec,
    #[serde(default)]
    money: MoneySpec,
    events: Vec<Rule>,
}

impl Pack {
    /// Reads and checks a pack's folder.
    ///
    /// # Errors
    /// Every fault, each with file and key.
    pub fn load(folder: Folder) -> Result<Self, Faults> {
        let file = folder.label("pack.toml");
        let mut faults = Faults::default();
        let Some(text) = folder.text("pack.toml") else {
            faults.add(&file, "", "is missing or is not UTF-8: a pack's folder holds pack.toml");
            return Err(faults);
        };
        let document: Document = document::read(text, &file)?;
        if document.pack.name != folder.name() {
            faults.add(&file, "pack.name", format!("must be the folder's name, {}", folder.name()));
        }
        if !is_pack_name(&document.pack.name) {
            faults.add(&file, "pack.name", "must be lower-case letters, digits and hyphens");
        }
        let mapping = map::Spec {
            event: document.event,
            reads: document.reads,
            keys: document.keys,
            money: document.money,
            events: document.events,
        };
        let scheme = Scheme::new(&document.verify, &file).map_err(|found| faults.0.extend(found.0)).ok();
        let signed: Vec<&str> = scheme.iter().flat_map(Scheme::signed_headers).collect();
        if let Err(found) = Mapping::compile(&mapping, plain_context(&document.pack.name), &signed, &file) {
            faults.0.extend(found.0);
        }
        match scheme {
            Some(scheme) => faults.or(Self { about: document.pack, scheme, mapping, folder }),
            None => Err(faults),
        }
    }

    /// The name by which sources ask for it.
    pub fn name(&self) -> &str {
        &self.about.name
    }
}

/// What a source named as its pack adds when nothing is configured.
fn plain_context(name: &str) -> Context {
    Context {
        source: name.into(),
        account: name.into(),
        accepts_live: true,
        accepts_test: false,
        metadata_keys: MetadataKeys::default(),
        customer_from_reference: false,
        amount: map::AmountKind::Gross,
    }
}

fn is_pack_name(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !name.is_empty() && name.len() <= 60 && name.bytes().all(is_plain)
}
