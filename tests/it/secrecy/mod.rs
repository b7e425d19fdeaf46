//! No secret, signature or personal data in any log line, label or URL, and no secret in any page or answer: marked values are sent
//! everywhere, and everything that was written is searched.

mod caller;
mod marks;
mod scene;

use std::collections::BTreeMap;
use std::fs::File;
use std::process::{Command, Stdio};
use std::sync::Arc;

use salebridge::alarm::Watch;
use salebridge::domain::{Clock as _, SystemClock};
use salebridge::store::Access;
use serde_json::{Value, json};

use self::caller::Caller;
use self::marks::ADMIN_TOKEN;
use self::scene::Scene;
use crate::harness::configuration;
use crate::harness::process::{SALEBRIDGE, Served, Sink, free_address, post, run, wait_until};
use crate::harness::webhooks::{signed, stripe_checkout};

type Findings = BTreeMap<String, String>;

#[actix_web::test]
async fn nothing_marked_is_found_in_lines_for_people() {
    is_found_nowhere("pretty").await;
}

#[actix_web::test]
async fn nothing_marked_is_found_in_lines_for_programs() {
    is_found_nowhere("json").await;
}

async fn is_found_nowhere(format: &str) {
    let mut scene = Scene::start(format).await;
    let senders = scene.receives_everything();
    for request in scene.upstream.received_requests().await.unwrap() {
        if let Some(signature) = request.headers.get("webhook-signature") {
            scene.marks.add_secret("our own signature", signature.to_str().unwrap().trim_start_matches("v1,"));
        }
    }
    let mut findings = Findings::new();
    let operators = [stranger(&scene), person(&mut scene), program(&scene)];
    let metrics = operators[2].seen.iter().find(|seen| seen.asked == "GET /metrics").unwrap();
    assert!(metrics.body.contains("salebridge_requests_total{source=\"unknown\""), "{}", metrics.body);
    findings.extend(scene.marks.findings("/metrics", false, &metrics.body));
    for seen in &senders.seen {
        findings.extend(scene.marks.findings(&format!("what a sender was told ({})", seen.status), false, &seen.head));
        findings.extend(scene.marks.findings(&format!("what a sender was told ({})", seen.status), false, &seen.body));
    }
    for seen in operators.iter().flat_map(|operator| &operator.seen) {
        findings.extend(scene.marks.findings(&seen.asked, true, &seen.body));
        findings.extend(scene.marks.findings(&format!("a URL of {}", seen.asked), false, &seen.urls().join("\n")));
    }
    terminals(&scene, &mut findings);
    assert!(scene.served.stop());
    alarms(&scene, &mut findings).await;
    let log = scene.served.log();
    assert!(log.contains("TRACE") && log.contains("a request was stored") && log.contains("sign in with a wrong token"), "{log}");
    findings.extend(scene.marks.findings("the log", false, &log));
    assert!(findings.is_empty(), "{findings:#?}");
}

/// Somebody who was not let in.
fn stranger(scene: &Scene) -> Caller {
    let mut stranger = Caller::new(&scene.admin);
    for path in [
        "/sales?email=MARKemail@example.com&state=parked",
        "/sales?state=MARKemail%40example.com",
        "/sales/MARKemail@example.com",
        "/MARKpath/MARKsearch",
        "/requests/1?note=MARKquery",
        "/sources/MARKpath",
        "/sign-in?next=/sales%3Fclick%3DMARKclick&note=MARKquery",
        "/sign-in?next=/MARKpath",
        "/api/v1/sales/1?note=MARKquery",
        "/metrics?note=MARKquery",
    ] {
        stranger.gets(path);
    }
    let next = ("next", "/sales?email=MARKemail@example.com");
    for (token, status) in [("MARKwrongsignin0123456789", 403), (ADMIN_TOKEN, 303)] {
        assert_eq!(stranger.sends("/sign-in", "/sign-in", &[("token", token), next]).status, status);
    }
    for authorization in ["Bearer MARKwrongbearer0123456789", "Basic TUFSS3dyb25nYmVhcmVy"] {
        stranger.shows("Authorization", authorization);
        assert_eq!(stranger.gets("/api/v1/sales?note=MARKquery").status, 401);
        assert_eq!(stranger.gets("/metrics").status, 401);
    }
    stranger
}

/// The operator, at the dashboard.
fn person(scene: &mut Scene) -> Caller {
    let mut person = Caller::new(&scene.admin);
    let head = person.sends("/sign-in", "/sign-in", &[("token", ADMIN_TOKEN)]).head.clone();
    let cookie = head.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap().split(';').next().unwrap();
    scene.marks.add_secret("a session", cookie.rsplit_once('.').unwrap().1);
    person.shows("Cookie", cookie);
    for text in ["MARKemail@example.com", "MARKcustomer1", "MARKclick1", "MARKsearch"] {
        assert_eq!(person.sends("/sales", "/sales/search", &[("text", text)]).status, 200);
    }
    let upstream = "/upstreams/cutmeshort";
    for (from, path, fields) in [
        ("/deliveries", "/deliveries/retry", &[("id", "1"), ("id", "2")][..]),
        ("/sources/stripe", "/sources/stripe/test", &[]),
        ("/sources/guarded", "/sources/guarded/test", &[]),
        ("/requests/refused/1", "/requests/refused/1/judge", &[]),
        ("/upstreams", &format!("{upstream}/test"), &[("customer", "MARKcustomer"), ("click", "MARKclick")]),
        ("/upstreams", &format!("{upstream}/pause"), &[("reason", "a holiday")]),
        ("/upstreams", &format!("{upstream}/resume"), &[]),
    ] {
        let seen = person.sends(from, path, fields);
        assert!(matches!(seen.status, 200 | 303), "{path}: {} {}", seen.status, seen.body);
    }
    let pages = person.crawls();
    for page in ["/sales/1", "/requests/1", "/requests/refused/1", "/deliveries/1", "/sources/guarded", "/upstreams"] {
        assert!(pages.contains(page), "{page}: {pages:?}");
    }
    for path in [
        "/sales?email=MARKemail@example.com&cursor=2",
        "/sales?text=MARKsearch&back=2&order=oldest",
        "/requests?currency=MARKemail%40example.com&cursor=2",
        "/requests/refused?text=MARKsearch&source=stripe",
        "/deliveries?text=MARKsearch&cursor=2",
        "/sales?source=MARKsearch",
        "/sales?cursor=MARKsearch",
        "/sales/MARKpath",
        "/sources/MARKpath",
        "/MARKpath",
    ] {
        person.gets(path);
    }
    person
}

/// The operator's program.
fn program(scene: &Scene) -> Caller {
    let mut program = Caller::new(&scene.admin);
    program.shows("Authorization", &format!("Bearer {ADMIN_TOKEN}"));
    let names = ["stripe", "guarded", "mollie", "cutmeshort", "mine"];
    let read = program.reads_everything(1..=6, &names);
    assert!(read > 60, "{read}");
    for text in ["MARKemail@example.com", "MARKcustomer1", "MARKclick1", "MARKsearch"] {
        assert_eq!(program.posts("/api/v1/sales/search", &json!({"text": text})).status, 200);
        assert_eq!(program.posts("/api/v1/identities/search", &json!({"customer": text})).status, 200);
    }
    program.posts("/api/v1/deliveries/retry", &json!({"ids": [1, 2], "dry_run": true}));
    program.posts("/api/v1/requests/remap", &json!({"dry_run": true}));
    program.posts("/api/v1/refused/1/judge", &json!({}));
    for name in names {
        program.posts(&format!("/api/v1/sources/{name}/test"), &json!({}));
        program.posts(&format!("/api/v1/upstreams/{name}/test"), &json!({"dry_run": true}));
    }
    for path in [
        "/api/v1/sales?MARKquery=1",
        "/api/v1/sales?cursor=MARKsearch",
        "/api/v1/sales?state=MARKsearch",
        "/api/v1/sales/MARKpath",
        "/api/v1/report?source=MARKsearch",
        "/api/v1/MARKpath",
        "/api/MARKpath",
    ] {
        assert!((400..500).contains(&program.gets(path).status), "{path}");
    }
    assert_eq!(program.posts("/api/v1/sales/search", &json!({"MARKquery": "MARKsearch"})).status, 422);
    assert_eq!(program.asks("POST", "/api/v1/sales/search", &[], "MARKsearch").status, 415);
    program.gets("/metrics");
    program
}

/// What stands in the operator's terminal: no secret, and in what goes on for hours nothing of a customer either.
fn terminals(scene: &Scene, findings: &mut Findings) {
    let config = scene.folder.path().join("config.toml");
    let mut look = |arguments: &[&str], is_for_operator: bool| {
        let output = run(Some(&config), arguments);
        let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
        assert!(output.status.code().is_some_and(|code| code < 2) && !said.is_empty(), "{arguments:?}: {said}");
        findings.extend(scene.marks.findings(&format!("{arguments:?}"), is_for_operator, &said));
    };
    for arguments in [
        &["check"][..],
        &["requests", "list"],
        &["requests", "show", "1"],
        &["requests", "refused"],
        &["requests", "refused", "1"],
        &["sales", "list"],
        &["sales", "show", "1"],
        &["deliveries", "list"],
        &["deliveries", "show", "1"],
        &["deliveries", "show", "2"],
        &["upstream", "show", "cutmeshort"],
        &["upstream", "test", "mine", "--dry-run"],
        &["report"],
        &["alarms", "list"],
        &["alarms", "test"],
    ] {
        look(arguments, true);
        look(&[arguments, &["--json"]].concat(), true);
    }
    look(&["top", "--once"], false);
    look(&["top", "--json"], false);
    for arguments in [&["tail"][..], &["tail", "--json"]] {
        let place = scene.folder.path().join("tail");
        let mut tail = Command::new(SALEBRIDGE);
        tail.arg("--config").arg(&config).args(arguments).args(["--since", "2020-01-01"]);
        let mut tail = tail.stdout(File::create(&place).unwrap()).stderr(Stdio::null()).spawn().unwrap();
        let said = || std::fs::read_to_string(&place).unwrap();
        wait_until("attempts are told", || said().contains("rejected"));
        assert!(Command::new("kill").args(["-INT", &tail.id().to_string()]).status().unwrap().success());
        tail.wait().unwrap();
        findings.extend(scene.marks.findings(&format!("{arguments:?}"), false, &said()));
    }
}

/// What alarms say, and what is logged when they are not taken.
async fn alarms(scene: &Scene, findings: &mut Findings) {
    let checked = salebridge::app::load(&scene.folder.path().join("config.toml")).unwrap();
    let store = checked.store.open(Access::Visit, 16).unwrap();
    let log = scene.folder.path().join("alarm-log");
    let lines = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_ansi(false);
    let logging = tracing::subscriber::set_default(lines.with_writer(Arc::new(File::create(&log).unwrap())).finish());
    let (sources, upstreams) = (vec!["stripe".to_owned()], vec!["cutmeshort".to_owned(), "mine".to_owned()]);
    let config = checked.alarms.unwrap();
    let now = SystemClock.now();
    let mut watch = Watch::new(&config, "hooks.example.com", store, sources, upstreams, 1, now).unwrap();
    for _ in 0..6 {
        watch.step(SystemClock.now()).await.unwrap();
    }
    drop(logging);
    let log = std::fs::read_to_string(&log).unwrap();
    assert!(log.contains("could not be told") && log.contains("an alarm is on"), "{log}");
    findings.extend(scene.marks.findings("the log of alarms", false, &log));
    let told = scene.alarms.received_requests().await.unwrap();
    let told: Vec<&str> = told.iter().map(|request| std::str::from_utf8(&request.body).unwrap()).collect();
    assert!(told.iter().any(|text| text.contains("upstream_paused")), "{told:?}");
    findings.extend(scene.marks.findings("an alarm", false, &told.join("\n")));
}

#[test]
fn credentials_among_the_headers_are_not_stored() {
    let (folder, sink, address) = (tempfile::tempdir().unwrap(), Sink::start(), free_address());
    std::fs::write(folder.path().join("config.toml"), configuration(&address, &format!("http://{}", sink.address), "")).unwrap();
    let served = Served::start(folder.path(), &address);
    let body = stripe_checkout(1, &json!({})).to_string();
    let checked = salebridge::app::load(&folder.path().join("config.toml")).unwrap();
    let mut headers = signed(&checked.sources["stripe"], body.as_bytes(), &[], SystemClock.now());
    headers.push(("Authorization".to_owned(), "Bearer MARK".to_owned()));
    headers.push(("Cookie".to_owned(), "session=MARK".to_owned()));
    assert_eq!(post(&address, "/webhooks/stripe", &headers, body.as_bytes()).unwrap().0, 200);
    let shown: Value = served.json(&["requests", "show", "1"]);
    assert_eq!(shown["body"], body, "the exact bytes");
    assert!(!shown["headers"].to_string().contains("MARK"), "{shown}");
}
