//! Whether an API does what its OpenAPI document says. `scripts/schemathesis` makes the requests up and judges the answers.

use std::process::Command;

use serde_json::{Value, json};
use wiremock::matchers::{header, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::browser::Site;
use crate::harness::webhooks::{stripe_checkout, who};

const TOKEN: &str = "admin-0123456789abcdef";

/// All that was said of the API at this URL, where it breaks a promise.
///
/// # Panics
/// The promises could not be looked into.
pub(crate) fn broken_promises(base: &str, token: &str, more: &[&str]) -> Option<String> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/schemathesis");
    let output = Command::new(script).arg(base).args(more).env("SALEBRIDGE_ADMIN_TOKEN", token).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    match output.status.code() {
        Some(0) => None,
        Some(1) => Some(said),
        code => panic!("{code:?}: {said}\n{}", String::from_utf8_lossy(&output.stderr)),
    }
}

/// An API of one operation that answers so to whoever shows the token.
async fn api_that_answers(answer: Value) -> MockServer {
    let server = MockServer::start().await;
    let problem = json!({"description": "A problem", "content": {"application/problem+json": {"schema": {"type": "object"}}}});
    let amount = json!({"type": "object", "required": ["amount"], "properties": {"amount": {"type": ["integer", "null"]}}});
    let document = json!({
        "openapi": "3.1.0", "info": {"title": "Proof", "version": "1"}, "security": [{"token": []}],
        "components": {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
        "paths": {"/sale": {"get": {"responses": {
            "200": {"description": "A sale", "content": {"application/json": {"schema": amount}}}, "401": problem, "405": problem
        }}}}
    });
    let problem = |status| ResponseTemplate::new(status).set_body_raw("{}", "application/problem+json");
    let authorised = format!("Bearer {TOKEN}");
    let get = |at| Mock::given(method("GET")).and(path(at));
    get("/api/v1/openapi.json").respond_with(ResponseTemplate::new(200).set_body_json(document)).mount(&server).await;
    let sale = ResponseTemplate::new(200).set_body_json(answer);
    get("/sale").and(header("Authorization", authorised.as_str())).respond_with(sale).mount(&server).await;
    get("/sale").respond_with(problem(401).insert_header("WWW-Authenticate", "Bearer")).mount(&server).await;
    Mock::given(path("/sale")).respond_with(problem(405).insert_header("Allow", "GET")).mount(&server).await;
    server
}

#[actix_web::test]
#[ignore = "needs scripts/schemathesis"]
async fn a_promise_that_is_broken_is_seen() {
    for (answer, is_kept) in [(json!({"amount": 4999}), true), (json!({"amount": "49.99"}), false)] {
        let server = api_that_answers(answer).await;
        let base = server.uri();
        let broken = actix_web::web::block(move || broken_promises(&base, TOKEN, &["--phases", "coverage"])).await.unwrap();
        assert_eq!(broken.is_none(), is_kept, "{broken:?}");
        assert!(broken.is_none_or(|said| said.contains("\"49.99\" is not of types") && !said.contains(TOKEN)));
    }
}

#[actix_web::test]
#[ignore = "needs scripts/schemathesis"]
async fn the_admin_api_keeps_its_promises() {
    let site = Site::start(&format!("token = \"{TOKEN}\""));
    for number in 1..=3 {
        site.receives("stripe", &stripe_checkout(number, &who("c-1", "user_1")));
    }
    site.receives("stripe", &json!({"id": "evt_9", "object": "event", "livemode": true, "type": "charge.captured"}));
    let base = site.admin.clone();
    let broken = actix_web::web::block(move || broken_promises(&base, TOKEN, &[])).await.unwrap();
    assert!(broken.is_none(), "{}", broken.unwrap_or_default());
}
