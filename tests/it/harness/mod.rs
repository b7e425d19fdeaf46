//! A bridge for tests. It speaks the domain, its clock stands still, its stages are stepped by hand, and it fails a test that
//! leaves work behind, or a store that does not agree with itself.

pub(crate) mod database;
pub(crate) mod desk;
pub(crate) mod flaky;
pub(crate) mod process;
pub(crate) mod webhooks;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::ServiceResponse;
use actix_web::http::Method;
use actix_web::{App, test, web};
use arc_swap::ArcSwap;
use metrics_exporter_prometheus::PrometheusBuilder;
use salebridge::admin::{self, Door};
use salebridge::app;
use salebridge::attribute::Rules;
use salebridge::domain::{Clock as _, DeliveryState, FixedClock, Secret, Timestamp};
use salebridge::enrich::{Enricher, HttpFetcher};
use salebridge::forward::{Sender, Upstream};
use salebridge::pack::Source;
use salebridge::pipeline::{Bell, Pipeline};
use salebridge::receive::{self, Certificates};
use salebridge::rejudge::{Judged, Rejudge};
use salebridge::store::{Access, DeliveryView, RequestView, SaleView, Store};
use salebridge::verify::Chain;
use serde_json::Value;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

/// When every test begins.
pub(crate) const START: &str = "2026-11-22T05:11:00Z";

/// A bridge without threads: requests go through the real routes, the stages are stepped.
pub(crate) struct Bridge {
    pub(crate) clock: Arc<FixedClock>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) upstream: MockServer,
    pub(crate) sources: Arc<HashMap<String, Arc<Source>>>,
    config: receive::Config,
    pipeline: Pipeline,
    senders: Vec<Sender>,
    upstreams: Vec<Arc<Upstream>>,
    rules: Rules,
    /// Whoever shows this is the operator.
    pub(crate) token: Option<&'static str>,
    enrichers: Vec<Enricher>,
    /// Certificates by URL, as PEM; all others cannot be had.
    pub(crate) certificates: HashMap<String, String>,
    /// The address from which requests come.
    pub(crate) peer: std::net::SocketAddr,
    keeper: Option<receive::Keeper>,
    ring: Option<receive::Ring>,
    text: String,
    leaves_work: bool,
    folder: tempfile::TempDir,
}

/// What the sender of a request hears.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: Value,
    pub(crate) text: String,
}

struct Pems(HashMap<String, String>);

#[async_trait::async_trait]
impl Certificates for Pems {
    async fn certificate(&self, url: &str) -> Result<Arc<Chain>, String> {
        let pem = self.0.get(url).ok_or("the test has none there")?;
        Ok(Arc::new(Chain::from_pem(pem.as_bytes())))
    }

    fn proven(&self, _: &str, _: &Arc<Chain>) {}
}

impl Bridge {
    /// A bridge with a source for every pack, each named as its pack, and a CutMeShort-shaped upstream that accepts.
    pub(crate) async fn new() -> Self {
        Self::with("").await
    }

    /// As [`Bridge::new`], with more lines in the upstream's table, or whole tables after it.
    pub(crate) async fn with(more: &str) -> Self {
        let bridge = Self::with_silent_upstream(more).await;
        bridge.upstream_answers(200, r#"{"status":true,"data":"Sale tracked"}"#).await;
        bridge
    }

    /// As [`Bridge::with`], with more lines in `[server]`.
    pub(crate) async fn with_server(server: &str, more: &str) -> Self {
        let bridge = Self::made(server, more).await;
        bridge.upstream_answers(200, r#"{"status":true,"data":"Sale tracked"}"#).await;
        bridge
    }

    /// As [`Bridge::with`], but the upstream answers nothing until it is told to.
    pub(crate) async fn with_silent_upstream(more: &str) -> Self {
        Self::made("", more).await
    }

    /// A bridge whose only upstream, on the stand-in, has these lines; it answers nothing until it is told to.
    pub(crate) async fn with_only(upstream: &str) -> Self {
        let server = MockServer::start().await;
        let whole = configuration("127.0.0.1:0", &server.uri(), "");
        let (before, _) = whole.split_once("[[upstreams]]").unwrap();
        let uri = server.uri();
        let text =
            format!("{before}[[upstreams]]\nname = \"only\"\nbase_url = \"{uri}\"\nrequests_per_minute = 60000\n{upstream}\n");
        Self::of(server, &text)
    }

    async fn made(server: &str, more: &str) -> Self {
        let upstream = MockServer::start().await;
        let text = configuration("127.0.0.1:0", &upstream.uri(), more).replace("[server]\n", &format!("[server]\n{server}"));
        Self::of(upstream, &text)
    }

    fn of(upstream: MockServer, text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        std::fs::write(&path, text).unwrap();
        let checked = app::load(&path).unwrap_or_else(|faults| panic!("{faults}"));
        let store: Arc<dyn Store> = database::fresh(&folder.path().join("bridge.db")).open(Access::Scratch, 1024).unwrap();
        let clock = Arc::new(FixedClock::new(START.parse().unwrap()));
        let (keeper, ring) = receive::Ring::new(&checked.refused, Arc::clone(&store), Arc::clone(&checked.sources)).unzip();
        let sender = |upstream| Sender::new(upstream, Arc::clone(&store), Arc::clone(&clock) as _, Box::new(|| 0)).unwrap();
        let enrichers = checked.sources.values().filter_map(|source| {
            let fetcher = HttpFetcher::new(source.api.clone()?, Box::new(|| 7)).unwrap();
            Some(Enricher::new(Arc::clone(source), Arc::clone(&store), Arc::new(fetcher), Box::new(|| 0)))
        });
        Self {
            enrichers: enrichers.collect(),
            certificates: HashMap::new(),
            peer: "198.51.100.7:4000".parse().unwrap(),
            upstreams: checked.upstreams.clone(),
            rules: checked.rules.clone(),
            token: Some("a token that nobody can guess"),
            senders: checked.upstreams.into_iter().map(sender).collect(),
            pipeline: Pipeline::new(Arc::clone(&store), Arc::clone(&checked.sources), checked.rules),
            keeper,
            ring,
            text: text.to_owned(),
            sources: checked.sources,
            config: checked.server,
            clock,
            store,
            upstream,
            leaves_work: false,
            folder,
        }
    }

    /// A restart with another configuration of the sources, on the same store.
    pub(crate) fn mends(&mut self, change: impl Fn(&str) -> String) {
        let changed = change(&self.text);
        assert_ne!(changed, self.text, "the configuration is not changed at all");
        let path = self.folder.path().join("config.toml");
        std::fs::write(&path, &changed).unwrap();
        let checked = app::load(&path).unwrap_or_else(|faults| panic!("{faults}"));
        (self.keeper, self.ring) =
            receive::Ring::new(&checked.refused, Arc::clone(&self.store), Arc::clone(&checked.sources)).unzip();
        self.pipeline = Pipeline::new(Arc::clone(&self.store), Arc::clone(&checked.sources), checked.rules);
        (self.sources, self.config, self.text) = (checked.sources, checked.server, changed);
    }

    /// Examines and keeps what was refused.
    pub(crate) async fn keeps(&mut self) {
        if let Some(ring) = &mut self.ring {
            ring.step().await.unwrap();
        }
    }

    /// Judges a refused request again.
    pub(crate) async fn judges_again(&self, id: i64) -> Judged {
        let certificates = Arc::new(Pems(self.certificates.clone()));
        let trusted = self.config.trusted_proxies.clone();
        let rejudge = Rejudge::new(Arc::clone(&self.store), Arc::clone(&self.sources), trusted, certificates);
        rejudge.judge_again(id).await.unwrap()
    }

    /// From now on every request to the upstream is answered so.
    pub(crate) async fn upstream_answers(&self, status: u16, body: &str) {
        self.upstream_does(ResponseTemplate::new(status).set_body_raw(body, "application/json")).await;
    }

    pub(crate) async fn upstream_does(&self, answer: ResponseTemplate) {
        self.upstream.reset().await;
        Mock::given(any()).respond_with(answer).mount(&self.upstream).await;
    }

    /// The bodies that the upstream has been sent since it was last told how to answer.
    pub(crate) async fn upstream_bodies(&self) -> Vec<String> {
        let requests = self.upstream.received_requests().await.unwrap();
        requests.into_iter().map(|request| String::from_utf8(request.body).unwrap()).collect()
    }

    /// A request as its provider signs it now; accepted or not, the reply is the caller's to look at.
    pub(crate) async fn receives(&self, source: &str, body: &Value) -> Reply {
        self.receives_bytes(source, body.to_string().as_bytes(), &[]).await
    }

    /// As [`Bridge::receives`], with exact bytes and further headers.
    pub(crate) async fn receives_bytes(&self, source: &str, body: &[u8], headers: &[(&str, &str)]) -> Reply {
        let signed = webhooks::signed(&self.sources[source], body, headers, self.clock.now());
        self.posts(&self.sources[source].path(), body, &signed).await
    }

    /// A POST with exactly these headers and bytes.
    pub(crate) async fn posts(&self, path: &str, body: &[u8], headers: &[(String, String)]) -> Reply {
        self.asks(Method::POST, path, body, headers).await
    }

    pub(crate) async fn asks(&self, method: Method, path: &str, body: &[u8], headers: &[(String, String)]) -> Reply {
        let clock: Arc<FixedClock> = Arc::clone(&self.clock);
        let bell = Arc::new(Bell::default());
        let certificates = Arc::new(Pems(self.certificates.clone()));
        let state =
            receive::State::new(&self.config, Arc::clone(&self.sources), Arc::clone(&self.store), clock, bell, certificates)
                .with_keeper(self.keeper.clone());
        let service =
            test::init_service(App::new().app_data(web::Data::new(ArcSwap::from_pointee(state))).configure(receive::routes))
                .await;
        let mut request = test::TestRequest::with_uri(path).peer_addr(self.peer).method(method).set_payload(body.to_vec());
        for (name, value) in headers {
            request = request.append_header((name.as_str(), value.as_str()));
        }
        let response = test::call_service(&service, request.to_request()).await;
        let status = response.status().as_u16();
        let header = |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        let is_problem = header("content-type").as_deref() == Some("application/problem+json");
        let body = test::read_body(response).await;
        let text = String::from_utf8_lossy(&body).into_owned();
        let body: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
        assert_eq!(is_problem, body["code"].is_string(), "problems are application/problem+json with a code: {body}");
        Reply { status, body, text }
    }

    /// What the operator's listener works with.
    pub(crate) fn admin_state(&self) -> admin::State {
        admin::State {
            store: Arc::clone(&self.store),
            metrics: PrometheusBuilder::new().build_recorder().handle(),
            door: Door::new(self.token.map(Secret::new), [7; 32], false),
            sources: Arc::clone(&self.sources),
            upstreams: self.upstreams.clone(),
            rules: self.rules.clone(),
            rejudge: Rejudge::new(
                Arc::clone(&self.store),
                Arc::clone(&self.sources),
                Vec::new(),
                Arc::new(Pems(self.certificates.clone())),
            ),
            clock: Arc::clone(&self.clock) as _,
            public_url: Some("https://hooks.example.com".to_owned()),
            bells: Vec::new(),
            reloads: None,
        }
    }

    /// A request of the operator's listener, with exactly these headers and bytes.
    pub(crate) async fn asks_admin(&self, method: Method, path: &str, body: &[u8], headers: &[(&str, &str)]) -> ServiceResponse {
        let state = web::Data::new(self.admin_state());
        let service = test::init_service(App::new().app_data(state).configure(admin::routes)).await;
        let mut request = test::TestRequest::with_uri(path).peer_addr(self.peer).method(method).set_payload(body.to_vec());
        for (name, value) in headers {
            request = request.append_header((*name, *value));
        }
        match test::try_call_service(&service, request.to_request()).await {
            Ok(response) => response,
            Err(error) => {
                let request = test::TestRequest::default().to_http_request();
                ServiceResponse::new(request, error.error_response())
            }
        }
    }

    /// What a program with the token hears from the admin API.
    pub(crate) async fn operates(&self, method: Method, path: &str, body: Value) -> Reply {
        let authorization = format!("Bearer {}", self.token.unwrap_or_default());
        let headers =
            [("Authorization", authorization.as_str()), ("Content-Type", "application/json"), ("Host", "127.0.0.1:8081")];
        let bytes = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let response = self.asks_admin(method, path, &bytes, &headers).await;
        let status = response.status().as_u16();
        let text = String::from_utf8_lossy(&test::read_body(response).await).into_owned();
        Reply { status, body: serde_json::from_str(&text).unwrap_or(Value::Null), text }
    }

    /// Settles the inbox.
    pub(crate) async fn settles(&self) {
        while self.pipeline.step(self.clock.now()).await.unwrap() != salebridge::pipeline::Step::default() {}
    }

    /// Settles, and fetches everything that is due now, until nothing is left to be done.
    pub(crate) async fn fetches(&mut self) {
        self.settles().await;
        for enricher in &mut self.enrichers {
            while enricher.step(&*self.clock).await.unwrap().tried > 0 {}
        }
        self.settles().await;
    }

    /// Settles, then sends everything that is due now and waits for the answers.
    pub(crate) async fn forwards(&mut self) {
        self.settles().await;
        self.passes(Duration::from_secs(1)).await;
        for sender in &mut self.senders {
            while sender.step().await.unwrap() > 0 {
                sender.finish(Duration::from_secs(10)).await.unwrap();
            }
        }
    }

    /// Works through the queue as a process does, by steps and waits, until all is accepted. It hangs where nothing wakes the sender.
    pub(crate) async fn works_off(&mut self) {
        loop {
            self.senders[0].step().await.unwrap();
            if self.delivery_states().iter().all(|state| *state == DeliveryState::Delivered) {
                return;
            }
            self.senders[0].wait(Duration::from_secs(3600)).await;
        }
    }

    /// Time passes; whatever becomes due is settled, but nothing is sent.
    pub(crate) async fn passes(&self, time: Duration) {
        self.clock.set(self.clock.now() + time);
        self.settles().await;
    }

    /// This test means to end with deliveries in the queue.
    pub(crate) fn leaves_work(&mut self) {
        self.leaves_work = true;
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// All sales, oldest first.
    pub(crate) fn sales(&self) -> Vec<SaleView> {
        let mut sales = self.store.sales(1000).unwrap();
        sales.reverse();
        sales
    }

    /// The only sale.
    pub(crate) fn sale(&self) -> SaleView {
        let mut sales = self.sales();
        assert_eq!(sales.len(), 1, "one sale expected: {sales:#?}");
        sales.remove(0)
    }

    /// The newest request.
    pub(crate) fn last_request(&self) -> RequestView {
        self.store.requests(1).unwrap().remove(0)
    }

    /// All deliveries, oldest first.
    pub(crate) fn deliveries(&self) -> Vec<DeliveryView> {
        let mut deliveries = self.store.deliveries(1000).unwrap();
        deliveries.reverse();
        deliveries
    }

    pub(crate) fn delivery_states(&self) -> Vec<DeliveryState> {
        self.deliveries().into_iter().map(|delivery| delivery.state).collect()
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let findings = self.store.check().unwrap().findings;
        assert!(findings.is_empty(), "the test leaves a store behind that does not agree with itself: {findings:#?}");
        if self.leaves_work {
            return;
        }
        let queues = self.store.queues().unwrap();
        assert_eq!((queues.unsettled, queues.fetching, queues.due), (0, 0, 0), "the test leaves work behind: {queues:?}");
    }
}

/// A source for every pack, and one upstream with `more` lines.
pub(crate) fn configuration(listen: &str, upstream: &str, more: &str) -> String {
    let of_its_own = more.split('[').next().is_some_and(|lines| lines.contains("requests_per_minute"));
    let rate = if of_its_own { "" } else { "requests_per_minute = 60000\n" };
    let sources = ["stripe", "razorpay", "shopify", "paddle", "lemon-squeezy", "polar"]
        .map(|pack| format!("[[sources]]\nname = \"{pack}\"\npack = \"{pack}\"\nsecrets = [\"{}\"]\n", webhooks::SECRET));
    format!(
        "[server]\nlisten = \"{listen}\"\n[store]\nurl = \"sqlite:test.db\"\n{}\n[[upstreams]]\nname = \"cutmeshort\"\n\
         template = \"cutmeshort\"\ntoken = \"token-of-the-test\"\nbase_url = \"{upstream}\"\n{rate}{more}\n",
        sources.concat()
    )
}
