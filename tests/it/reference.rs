//! The document of the API as a page: everything that stands in the one stands in the other, and no token in either.

use std::collections::BTreeSet;

use actix_web::http::Method;
use actix_web::test;
use serde_json::Value;

use crate::harness::Bridge;

#[actix_web::test]
async fn every_operation_of_the_document_is_on_the_page() {
    let bridge = Bridge::new().await;
    let document = bridge.operates(Method::GET, "/api/v1/openapi.json", Value::Null).await.body;
    let reply = bridge.operates(Method::GET, "/api", Value::Null).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    let page = reply.text;
    let words =
        page.replace("&#39;", "'").replace("&#34;", "\"").replace("&#38;", "&").replace("&#60;", "<").replace("&#62;", ">");
    let mut count = 0;
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            count += 1;
            let id = operation["operationId"].as_str().unwrap();
            let (_, told) = words.split_once(&format!("<h3 id=\"{id}\">")).unwrap_or_else(|| panic!("{id} has a heading"));
            let told = told.split("<h3 ").next().unwrap();
            let has = |what: &str| assert!(told.contains(what), "{id}: {what}: {told}");
            has(&format!(">{}</span> <code>{path}</code>", method.to_uppercase()));
            has(operation["summary"].as_str().unwrap());
            has("curl -H \"Authorization: Bearer $TOKEN\"");
            for parameter in operation["parameters"].as_array().unwrap() {
                has(&format!("<code>{}</code>", parameter["name"].as_str().unwrap()));
                has(parameter["description"].as_str().unwrap_or_default());
            }
            let body = &operation["requestBody"]["content"]["application/json"]["schema"]["properties"];
            for (name, field) in body.as_object().into_iter().flatten() {
                has(&format!("<code>{name}</code>"));
                has(field["description"].as_str().unwrap());
            }
            for (status, answer) in operation["responses"].as_object().unwrap() {
                has(&format!("<dt>{status}</dt>"));
                has(if status == "200" { "" } else { answer["description"].as_str().unwrap() });
            }
        }
    }
    assert!(count > 25, "{count}");
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        let (_, told) = words.split_once(&format!("<h3 id=\"schema-{name}\">")).unwrap_or_else(|| panic!("{name} is described"));
        let told = told.split("<h3 ").next().unwrap();
        for field in schema["properties"].as_object().into_iter().flat_map(|fields| fields.keys()) {
            assert!(told.contains(&format!("<code>{field}</code>")), "{name}: {field}");
        }
    }
    for limit in ["1 to 500", "at most 1000 of them", "1 to 500 characters", "string (date-time)", "list of "] {
        assert!(words.contains(limit), "{limit}");
    }
    assert!(words.contains("-d '{\"states\":[\"dead\"],\"dry_run\":true}'"), "an example that can be sent as it is");

    let values = |name: &str| -> Vec<&str> {
        page.split(&format!(" {name}=\"")).skip(1).map(|rest| rest.split('"').next().unwrap()).collect()
    };
    let ids = values("id");
    assert_eq!(ids.len(), ids.iter().collect::<BTreeSet<_>>().len(), "each id stands once");
    for place in values("href").into_iter().filter_map(|href| href.strip_prefix('#')) {
        assert!(ids.contains(&place), "#{place} leads somewhere");
    }
    assert!(!page.contains(bridge.token.unwrap()), "no token");
}

#[actix_web::test]
async fn only_who_was_let_in_reads_it() {
    let bridge = Bridge::new().await;
    let seen = bridge.asks_admin(Method::GET, "/api", b"", &[("Host", "127.0.0.1:8081")]).await;
    let header = |name: &str| seen.headers().get(name).unwrap().to_str().unwrap().to_owned();
    assert_eq!((seen.status().as_u16(), header("location").as_str()), (303, "/sign-in?next=%2Fapi"));
    assert!(header("content-security-policy").starts_with("default-src 'none'"));
    assert!(test::read_body(seen).await.is_empty());
}
