//! A bridge as an operator runs it, with a listener of the operator's own and an upstream that accepts everything.

use std::collections::HashMap;
use std::sync::Arc;

use salebridge::domain::{Clock as _, SystemClock};
use salebridge::pack::Source;
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
    _folder: tempfile::TempDir,
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
        Self { served, upstream, admin: format!("http://{admin}"), public, sources, _folder: folder }
    }

    /// A webhook, signed now as the provider of this source signs, is accepted.
    pub(crate) fn receives(&self, source: &str, body: &Value) {
        let (source, body) = (&self.sources[source], body.to_string());
        let headers = signed(source, body.as_bytes(), &[], SystemClock.now());
        let answer = post(&self.public, &source.path(), &headers, body.as_bytes());
        assert!(matches!(answer, Some((200, _))), "{answer:?}");
    }
}
