//! Providers as data: a pack says how a provider signs and what its events mean; a source is one configured use of it.

mod api;
mod case;
mod folder;
mod registry;
mod setup;
mod source;

pub use api::{Access, Api, Auth, AuthHmac, Credentials};
pub use case::{Case, CaseError, Expected, FETCHED, Fetched, Scenario, Step, scenarios};
pub use folder::Folder;
pub use registry::Registry;
pub use setup::{Block, Guide, Setup, WantedSecret};
pub use source::{Circumstances, MetadataConfig, Source, SourceConfig};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::api::ApiSpec;
use crate::document::{self, OneOrMany};
use crate::domain::{Faults, Request};
use crate::envelope::{self, Envelope};
use crate::map::{self, Context, EnrichSpec, EventSpec, KeysSpec, Mapping, MetadataKeys, MoneySpec, Reads, Rule, Trust};
use crate::verify::{self, Reply, ReplySpec, Scheme};

/// The newest format of `pack.toml` that this program reads. It rises when a pack that uses something new would be misread, or not be
/// read, by a program that does not know it.
pub const PACK_FORMAT: u32 = 1;

/// An unsigned request that is longer is no ping.
const PING_LIMIT_BYTES: usize = 1024;

/// A checked pack.
#[derive(Debug, Clone)]
pub struct Pack {
    /// What it is.
    pub about: About,
    /// How the provider signs.
    pub scheme: Scheme,
    /// How its bodies are packed.
    pub envelope: Envelope,
    /// What it insists on hearing.
    pub reply: Option<Reply>,
    /// Where more can be learned than a webhook says.
    pub api: Option<Api>,
    /// What its events mean.
    pub mapping: map::Spec,
    /// Its folder, with README and cases.
    pub folder: Folder,
    /// What a newcomer is asked for; `None` where the pack does not say.
    pub setup: Option<Setup>,
    pings: Vec<Ping>,
}

/// What a pack is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct About {
    /// The format of `pack.toml` that it needs; left out, the first. A program that does not know it refuses the pack.
    pub format: Option<u32>,
    /// Its name: the folder's, in lower case with hyphens.
    pub name: String,
    /// The provider's name as the provider writes it.
    pub title: String,
    /// The provider's page on webhooks.
    pub docs: String,
    /// The event types to switch on in the provider's dashboard.
    pub subscribe: Vec<String>,
    /// What stands behind the pack.
    pub evidence: Evidence,
    /// The vendor's own library against which it is checked.
    pub oracle: Option<String>,
}

/// What stands behind a pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Evidence {
    /// The vendor's documents or code.
    Vendor,
    /// Others who use it.
    Secondary,
    /// Something that decides about money or trust was not confirmed: the pack's README says what.
    Unverified,
}

/// An unsigned request that a provider makes to see whether the URL is there.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ping {
    /// The fields of its form body, all of them and no others.
    pub form: Vec<String>,
}

/// `pack.toml` as written.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Pack", title = "pack.toml", description = "How a provider signs its webhooks and what its events mean.")]
struct Document {
    /// What it is.
    pack: About,
    /// What a newcomer is asked for, in the provider's own words.
    setup: Option<Setup>,
    /// How the provider signs: one way, or several.
    verify: OneOrMany<verify::Spec>,
    /// How bodies are packed.
    envelope: Option<envelope::Spec>,
    /// Unsigned requests that are answered and forgotten.
    #[serde(default)]
    pings: Vec<Ping>,
    /// What the provider insists on hearing.
    reply: Option<ReplySpec>,
    /// Where more can be learned than a webhook says.
    api: Option<ApiSpec>,
    /// What has to be fetched before events can be mapped.
    #[serde(default)]
    enrich: Vec<EnrichSpec>,
    /// Where an event says what it is.
    event: EventSpec,
    /// Where the customer stands, unless a rule says otherwise.
    #[serde(default)]
    reads: Reads,
    /// The kinds of ids that tie events to a sale.
    keys: KeysSpec,
    /// What is peculiar about the provider's money.
    #[serde(default)]
    money: MoneySpec,
    /// The rules, first match wins.
    events: Vec<Rule>,
}

impl Evidence {
    /// The word as it is written in a pack.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Vendor => "vendor",
            Self::Secondary => "secondary",
            Self::Unverified => "unverified",
        }
    }
}

/// The JSON Schema of `pack.toml` (draft 2020-12), for editors.
pub fn schema() -> String {
    let schema = schemars::schema_for!(Document);
    serde_json::to_string_pretty(&schema).expect("a schema is JSON")
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
        let table = document::parse(text, &file)?;
        document::check_format(&table, "pack.format", PACK_FORMAT, &file)?;
        let document: Document = document::read_table(table, &file)?;
        if document.pack.name != folder.name() {
            faults.add(&file, "pack.name", format!("must be the folder's name, {}", folder.name()));
        }
        if !is_pack_name(&document.pack.name) {
            faults.add(&file, "pack.name", "must be lower-case letters, digits and hyphens");
        }
        if document.api.is_some() == document.enrich.is_empty() {
            faults.add(&file, "api", "[api] and [[enrich]] need each other");
        }
        let mut note = |found: Faults| faults.0.extend(found.0);
        let envelope = document.envelope.as_ref().map(|spec| Envelope::new(spec, &file)).transpose();
        let envelope = envelope.map_err(&mut note).ok().flatten().unwrap_or_default();
        let scheme = Scheme::new(&document.verify.0, &envelope, &file).map_err(&mut note).ok();
        let Some(scheme) = scheme else { return Err(faults) };
        let mut note = |found: Faults| faults.0.extend(found.0);
        let reply = document.reply.as_ref().map(|spec| Reply::new(spec, &scheme, &file));
        let reply = reply.transpose().map_err(&mut note).ok().flatten();
        let api = document.api.as_ref().map(|spec| Api::new(spec, &file)).transpose().map_err(&mut note).ok().flatten();
        if let Some(setup) = &document.setup {
            setup.check(&scheme, api.as_ref(), &file, &mut faults);
        }
        let mapping = map::Spec {
            event: document.event,
            enrich: document.enrich,
            reads: document.reads,
            keys: document.keys,
            money: document.money,
            events: document.events,
        };
        let context = plain_context(&document.pack.name, true);
        if let Err(found) = Mapping::compile(&mapping, context, &scheme, &envelope, &file) {
            faults.0.extend(found.0);
        }
        let Document { pack: about, setup, pings, .. } = document;
        faults.or(Self { about, scheme, envelope, reply, api, mapping, folder, setup, pings })
    }

    /// The name by which sources ask for it.
    pub fn name(&self) -> &str {
        &self.about.name
    }

    /// The secrets that a source of it may be given, those that it cannot do without first.
    pub fn wanted_secrets(&self) -> Vec<WantedSecret> {
        setup::wanted(self.setup.as_ref(), &self.scheme, self.api.as_ref())
    }

    /// Where to click, and how a checkout says who buys, by the pack's README; `url` is what the provider is given.
    pub fn guide(&self, url: &str) -> Guide {
        Guide::read(&self.folder, url)
    }

    /// True for an unsigned request by which the provider sees whether the URL is there: it holds nothing that could be believed.
    pub fn is_ping(&self, request: &Request) -> bool {
        let is_short = request.body.len() <= PING_LIMIT_BYTES;
        let names: Vec<_> = if is_short { envelope::pairs(&request.body).map(|(name, _)| name).collect() } else { Vec::new() };
        self.pings.iter().any(|ping| !names.is_empty() && names.iter().eq(ping.form.iter()))
    }

    /// The rules as a source of the pack's own name has them when nothing is configured.
    ///
    /// # Errors
    /// None, once the pack was loaded.
    pub fn plain_mapping(&self, can_fetch: bool) -> Result<Mapping, Faults> {
        let context = plain_context(self.name(), can_fetch);
        Mapping::compile(&self.mapping, context, &self.scheme, &self.envelope, &self.folder.label("pack.toml"))
    }
}

impl Trust for Scheme {
    fn binds_header(&self, name: &str) -> bool {
        self.signs_header(name)
    }

    fn binds_query(&self, name: &str) -> bool {
        self.signs_query(name)
    }

    fn binds_path(&self, path: &str) -> bool {
        self.signs_path(path)
    }

    fn binds_root_path(&self, path: &str) -> bool {
        self.signs_root_path(path)
    }

    fn item_paths(&self) -> Vec<Option<&str>> {
        Self::item_paths(self)
    }
}

/// What a source named as its pack adds when nothing is configured.
fn plain_context(name: &str, can_fetch: bool) -> Context {
    Context {
        source: name.into(),
        account: name.into(),
        accepts_live: true,
        accepts_test: false,
        metadata_keys: MetadataKeys::default(),
        customer_from_reference: false,
        amount: map::AmountKind::Gross,
        money: None,
        currency: None,
        can_fetch,
    }
}

fn is_pack_name(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !name.is_empty() && name.len() <= 60 && name.bytes().all(is_plain)
}
