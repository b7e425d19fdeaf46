//! A bridge as an operator runs it, with a listener of the operator's own and an upstream that accepts everything until it is told not to.

use std::collections::HashMap;
use std::sync::Arc;

use salebridge::domain::{Clock as _, Secret, SystemClock};
use salebridge::pack::Source;
use salebridge::verify::Secrets;
use serde_json::Value;

use crate::harness::configuration;
use crate::harness::process::{Served, Sink, free_address, post};
use crate::harness::webhooks::signed;

pub(crate) struct Site {
    pub(crate) served: Served,
    pub(crate) upstream: Sink,
    /// Where the operator connects, such as `http://127.0.0.1:8081`.
    pub(crate) admin: String,
    public: String,
    sources: Arc<HashMap<String, Arc<Source>>>,
    folder: tempfile::TempDir,
}

impl Site {
    /// Starts one, with these lines in its `[admin]`, and waits until it is ready.
    pub(crate) fn start(admin_lines: &str) -> Self {
        let (folder, upstream) = (tempfile::tempdir().unwrap(), Sink::start());
        let (public, admin) = (free_address(), free_address());
        let admin_table = format!("[admin]\nlisten = \"{admin}\"\n{admin_lines}\n");
        let text = configuration(&public, &format!("http://{}", upstream.address), &admin_table);
        let file = folder.path().join("config.toml");
        std::fs::write(&file, text).unwrap();
        let sources = salebridge::app::load(&file).unwrap_or_else(|faults| panic!("{faults}")).sources;
        let served = Served::start(folder.path(), &public);
        Self { served, upstream, admin: format!("http://{admin}"), public, sources, folder }
    }

    /// A webhook, signed now as the provider of this source signs, is accepted.
    pub(crate) fn receives(&self, source: &str, body: &Value) {
        let answer = self.answers(&self.sources[source], body);
        assert!(matches!(answer, Some((200, _))), "{answer:?}");
    }

    /// A webhook, signed now with a secret that this source does not know, is refused.
    pub(crate) fn refuses(&self, source: &str, secret: &str, body: &Value) {
        let signer = self.sources[source].with_secrets(Secrets::of(&[Secret::new(secret)])).unwrap();
        let answer = self.answers(&signer, body);
        assert!(matches!(answer, Some((401, _))), "{answer:?}");
    }

    /// The operator changes the configuration and starts the bridge again, on the same store.
    pub(crate) fn mends(&mut self, change: impl Fn(&str) -> String) {
        let file = self.folder.path().join("config.toml");
        let text = std::fs::read_to_string(&file).unwrap();
        let changed = change(&text);
        assert_ne!(changed, text, "the configuration is not changed at all");
        assert!(self.served.stop(), "{}", self.served.log());
        std::fs::write(&file, changed).unwrap();
        self.sources = salebridge::app::load(&file).unwrap_or_else(|faults| panic!("{faults}")).sources;
        self.served = Served::start(self.folder.path(), &self.public);
    }

    fn answers(&self, signer: &Source, body: &Value) -> Option<(u16, Value)> {
        let body = body.to_string();
        let headers = signed(signer, body.as_bytes(), &[], SystemClock.now());
        post(&self.public, &signer.path(), &headers, body.as_bytes())
    }
}
