//! A bridge in a process of its own, whose upstreams, provider's API and receiver of alarms all answer with what is marked.

use std::sync::Arc;

use salebridge::app;
use salebridge::domain::{Clock as _, SystemClock};
use serde_json::{Value, json};
use wiremock::matchers::{any, body_string_contains, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::caller::Caller;
use super::marks::{ADMIN_TOKEN, ALARM_TOKEN, API_KEY, FORGED, Marks, PATH_TOKEN};
use crate::harness::configuration;
use crate::harness::process::{Served, exchange, free_address, wait_until};
use crate::harness::webhooks::{SECRET, signed, stripe_checkout, who};

/// What an upstream or an API says of a request that it does not like: all that it was sent.
const ECHO: &str = r#"{"error":"MARKanswer of MARKname, MARKemail@example.com, by token-of-the-test","message":"MARKanswer"}"#;

pub(super) struct Scene {
    pub(super) served: Served,
    pub(super) folder: tempfile::TempDir,
    pub(super) public: String,
    pub(super) admin: String,
    pub(super) marks: Marks,
    /// What the upstreams were sent, and what alarms are posted to.
    pub(super) upstream: MockServer,
    pub(super) alarms: MockServer,
    _api: MockServer,
    sources: Arc<std::collections::HashMap<String, Arc<salebridge::pack::Source>>>,
}

impl Scene {
    /// Starts it, with everything logged, in this form.
    pub(super) async fn start(format: &str) -> Self {
        let (upstream, api, alarms) = (upstream().await, api().await, receiver().await);
        let (public, admin, folder) = (free_address(), free_address(), tempfile::tempdir().unwrap());
        let more = format!(
            r#"[[upstreams]]
name = "mine"
template = "webhook"
base_url = "{0}/mine"
signing_secrets = ["whsec_bWluZS1zZWNyZXQtb2YtdGhlLXRlc3Rz"]
[[upstreams]]
name = "quiet"
template = "log"
[[sources]]
name = "guarded"
pack = "stripe"
secrets = ["{SECRET}"]
path_token = "{PATH_TOKEN}"
[[sources]]
name = "mollie"
pack = "mollie-classic"
path_token = "{PATH_TOKEN}"
api_url = "{1}"
named_secrets = {{ api_key = "{API_KEY}" }}
[admin]
listen = "{admin}"
token = "{ADMIN_TOKEN}"
[alarms]
url = "{2}/services/{ALARM_TOKEN}?key={ALARM_TOKEN}"
[log]
format = "{format}"
"#,
            upstream.uri(),
            api.uri(),
            alarms.uri(),
        );
        let text = configuration(&public, &upstream.uri(), &more);
        let text = text.replace("[server]\n", "[server]\npublic_url = \"https://hooks.example.com\"\n");
        let file = folder.path().join("config.toml");
        std::fs::write(&file, text).unwrap();
        let sources = app::load(&file).unwrap_or_else(|faults| panic!("{faults}")).sources;
        let served = Served::start_with(folder.path(), &public, &[("SALEBRIDGE_LOG", "trace")]);
        Self { served, folder, public, admin, marks: Marks::new(), upstream, alarms, _api: api, sources }
    }

    /// Everything that a sender may do, right and wrong; answers with all that senders were told.
    pub(super) fn receives_everything(&mut self) -> Caller {
        let mut sender = Caller::new(&self.public);
        for number in 1..=3 {
            self.sends_checkout(&mut sender, number, "/webhooks/stripe?note=MARKquery&hmac=MARKhmac0123456789", 200);
        }
        self.sends_checkout(&mut sender, 4, &format!("/webhooks/guarded/{PATH_TOKEN}"), 200);
        self.sends_checkout(&mut sender, 5, "/webhooks/guarded/MARKwrongpathtoken0123", 401);
        self.sends_checkout(&mut sender, 6, "/webhooks/MARKpath?note=MARKquery", 404);
        self.sends_checkout(&mut sender, 7, "/MARKpath/MARKquery", 404);
        self.sends_checkout(&mut sender, 8, "/webhooks/stripe/MARKpath", 404);
        let forged = format!("t={},v1={FORGED}", SystemClock.now().as_second());
        let wrong = [("Stripe-Signature", forged.as_str()), ("Authorization", "Bearer MARKauthorization")];
        for (path, headers) in [
            ("/webhooks/stripe?note=MARKquery&token=MARKhmac", &wrong[..]),
            ("/webhooks/stripe", &[("Stripe-Signature", "MARKhmac0123456789")]),
            ("/webhooks/stripe", &wrong[1..]),
            (&format!("/webhooks/guarded/{PATH_TOKEN}"), &wrong[..1]),
        ] {
            assert_eq!(sender.asks("POST", path, headers, r#"{"email":"MARKrefused"}"#).status, 401, "{path}");
        }
        let form = [("Content-Type", "application/x-www-form-urlencoded")];
        for id in ["tr_1", "tr_MARKquery"] {
            let path = format!("/webhooks/mollie/{PATH_TOKEN}");
            assert_eq!(sender.asks("POST", &path, &form, &format!("id={id}&note=MARKdescription")).status, 200, "{id}");
        }
        for (method, path) in [
            ("PUT", "/webhooks/stripe?note=MARKquery"),
            ("GET", "/webhooks/guarded/MARKwrongpathtoken"),
            ("GET", "/MARKpath"),
            ("GET", "/healthz?note=MARKquery"),
        ] {
            sender.asks(method, path, &wrong, "MARKrefused");
        }
        let long = "MARKheader".repeat(2000);
        assert_eq!(sender.asks("POST", "/webhooks/stripe", &[("X-Long", &long)], "MARKrefused").status, 431);
        for address in [&self.public, &self.admin] {
            for broken in
                ["POST /MARKpath HTTP/9.9\r\nMARKheader\r\n\r\n", "GET /MARKpath HTTP/1.1\r\nHost x\r\n: MARKheader\r\n\r\n"]
            {
                drop(exchange(address, broken.as_bytes()));
            }
        }
        for what in [
            "a dead letter",
            "an attempt failed",
            "a sale was accepted",
            "the upstream is paused",
            "a request was refused",
            "what an event refers to was fetched",
            "what an event refers to could not be fetched",
        ] {
            wait_until(what, || self.served.log().contains(what));
        }
        sender
    }

    fn sends_checkout(&mut self, sender: &mut Caller, number: u32, path: &str, status: u16) {
        let mut body = stripe_checkout(number, &who(&format!("MARKclick{number}"), &format!("MARKcustomer{number}")));
        let object = &mut body["data"]["object"];
        object["customer_details"] = json!({"name": "MARKname", "email": "MARKemail@example.com"});
        object["description"] = "MARKdescription".into();
        let body = body.to_string();
        let headers = signed(&self.sources["stripe"], body.as_bytes(), &[], SystemClock.now());
        let signature = headers.iter().find(|(name, _)| name == "stripe-signature").unwrap().1.split("v1=").nth(1).unwrap();
        self.marks.add_secret("a genuine signature", signature);
        let mut all = vec![
            ("Authorization", "Bearer MARKauthorization"),
            ("Cookie", "session=MARKcookie"),
            ("X-Token", "MARKxtoken"),
            ("X-Note", "MARKheader"),
            ("User-Agent", "MARKheader"),
        ];
        all.extend(headers.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        let seen = sender.asks("POST", path, &all, &body);
        assert_eq!(seen.status, status, "{path}: {}", seen.body);
    }
}

/// Refuses one sale for good, cannot take the next, accepts all others; knows nobody who signs.
async fn upstream() -> MockServer {
    let server = MockServer::start().await;
    let answers = |status: u16| ResponseTemplate::new(status).set_body_raw(ECHO, "application/json");
    // Of a stranger's token it knows nothing.
    let unknown = ResponseTemplate::new(401).set_body_raw(ECHO.replace("token-of-the-test", "MARKanswer"), "application/json");
    Mock::given(path("/mine")).respond_with(unknown).mount(&server).await;
    Mock::given(body_string_contains("MARKclick1")).respond_with(answers(422)).mount(&server).await;
    Mock::given(body_string_contains("MARKclick2")).respond_with(answers(503)).mount(&server).await;
    let accepted = json!({"status": true, "data": "MARKanswer"});
    Mock::given(any()).respond_with(ResponseTemplate::new(200).set_body_json(accepted)).mount(&server).await;
    server
}

/// Mollie's API: knows one payment, and refuses to tell of any other.
async fn api() -> MockServer {
    let server = MockServer::start().await;
    let payment: Value = json!({
        "resource": "payment", "id": "tr_1", "mode": "live", "status": "paid", "createdAt": "2026-11-22T05:10:00+00:00",
        "paidAt": "2026-11-22T05:10:40+00:00", "amount": {"value": "49.99", "currency": "EUR"}, "sequenceType": "oneoff",
        "description": "MARKfetched", "details": {"consumerName": "MARKname"}, "metadata": {"clickId": "MARKclick9", "customerExternalId": "MARKcustomer9"}
    });
    let found = ResponseTemplate::new(200).set_body_json(payment);
    Mock::given(path("/v2/payments/tr_1")).respond_with(found).mount(&server).await;
    let refused = ResponseTemplate::new(401).set_body_raw(r#"{"detail":"MARKfetched"}"#, "application/json");
    Mock::given(any()).respond_with(refused).mount(&server).await;
    server
}

/// Takes no alarm at first.
async fn receiver() -> MockServer {
    let server = MockServer::start().await;
    let refused = ResponseTemplate::new(500).set_body_string("MARKanswer");
    Mock::given(any()).respond_with(refused).up_to_n_times(4).mount(&server).await;
    Mock::given(any()).respond_with(ResponseTemplate::new(200)).mount(&server).await;
    server
}
