//! That the harness sees what it is there to see: on a page of its own, with as strict a policy as a dashboard could have.

use std::panic::AssertUnwindSafe;
use std::path::Path;

use futures_util::FutureExt as _;
use serde_json::json;
use thirtyfour::Key;
use wiremock::matchers::path;
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::{Look, Site, handed, visit};
use crate::harness::process::wait_until;
use crate::harness::webhooks::{stripe_checkout, who};

const POLICY: &str = "default-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";
const PAGE: &str = r#"<!doctype html><html lang="en"><head><title>Proof</title><link rel="stylesheet" href="/style.css">
    <link rel="icon" href="data:,"><meta name="viewport" content="width=device-width"><script src="/script.js" defer></script></head>
    <body><main><h1>Proof</h1><label for="name">Name</label> <input id="name"> <button id="greet">Greet</button>
    <p id="greeting" hidden></p></main></body></html>"#;
const STYLE: &str = "
    body { color: #111; background: #fff } #greeting { width: 100% }
    @media (prefers-color-scheme: dark) { body { color: #eee; background: #111 } }";
const SCRIPT: &str = "
    document.querySelector('#greet').addEventListener('click', () => setTimeout(() => {
        const greeting = document.querySelector('#greeting');
        greeting.textContent = `Hello ${document.querySelector('#name').value}`;
        greeting.hidden = false;
    }, 200));";

async fn page_of(body: &str) -> MockServer {
    let server = MockServer::start().await;
    for (at, kind, text) in
        [("/", "text/html", body), ("/style.css", "text/css", STYLE), ("/script.js", "text/javascript", SCRIPT)]
    {
        let answer = ResponseTemplate::new(200).set_body_raw(text, kind).insert_header("Content-Security-Policy", POLICY);
        Mock::given(path(at)).respond_with(answer).mount(&server).await;
    }
    server
}

#[actix_web::test]
#[ignore = "needs scripts/with-browser"]
async fn the_operators_listener_is_seen() {
    let site = Site::start("");
    site.receives("stripe", &stripe_checkout(1, &who("c-1", "user_1")));
    wait_until("the sale is forwarded", || site.upstream.bodies().len() == 1);
    visit(Look::DESKTOP, async |page| {
        page.go(&format!("{}/metrics", site.admin)).await;
        assert!(page.text("body").await.contains("salebridge_requests_total{source=\"stripe\",outcome=\"accepted\"} 1"));
        assert_eq!(page.url().await, format!("{}/metrics", site.admin));
        // The browser asks every site for an icon, and this one has none.
        let complaints = page.complaints().await;
        assert!(complaints.iter().all(|complaint| complaint.contains("/favicon.ico")), "{complaints:?}");
    })
    .await;
    assert_eq!(site.served.json(&["sales", "list"]).as_array().map(Vec::len), Some(1));
}

#[actix_web::test]
#[ignore = "needs scripts/with-browser"]
async fn every_look_is_as_it_says_and_can_be_used() {
    let server = page_of(PAGE).await;
    for look in Look::ALL {
        visit(look, async |page| {
            page.go(&server.uri()).await;
            page.wait_until("the style is there", "document.styleSheets.length == 1").await;
            let seen = page
                .run(
                    "const matches = query => matchMedia(query).matches;
                     return [innerWidth, innerHeight, matches('(prefers-color-scheme: dark)'), matches('(pointer: coarse)'),
                         matches('(prefers-reduced-motion)'), new Intl.DateTimeFormat().resolvedOptions().timeZone]",
                    vec![],
                )
                .await;
            let wanted = match look.name().as_str() {
                "desktop-light" => json!([1280, 800, false, false, true, "UTC"]),
                "desktop-dark" => json!([1280, 800, true, false, true, "UTC"]),
                "phone-light" => json!([390, 844, false, true, true, "UTC"]),
                _ => json!([390, 844, true, true, true, "UTC"]),
            };
            assert_eq!(seen, wanted);

            page.fill("#name", "nobody").await;
            page.fill("#name", "world").await;
            page.click("#greet").await;
            page.wait_for_text("#greeting", "Hello world").await;
            // As someone without a mouse does: back into the field, whose words are then selected, and on to the button.
            page.press(Key::Shift + Key::Tab).await;
            page.press("you").await;
            page.press(Key::Tab).await;
            page.press(Key::Enter).await;
            page.wait_for_text("#greeting", "Hello you").await;
            assert_eq!(page.count("p").await, 1);
            page.can_be_used_by_all().await;
            page.can_be_used_by_all().await;
            let picture = page.picture(&format!("proof-{}", look.name())).await;
            let bytes = std::fs::read(picture).unwrap();
            let size = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
            assert_eq!(json!([size(16), size(20)]), json!([wanted[0], wanted[1]]), "the picture is as large as the window");
        })
        .await;
    }
}

#[actix_web::test]
#[ignore = "needs scripts/with-browser"]
async fn what_the_browser_complains_of_is_heard() {
    let broken = PAGE.replace("<h1>", "<script>document.title = 'inline'</script><img src=\"https://example.com/a.png\"><h1>");
    let server = page_of(&broken).await;
    visit(Look::DESKTOP, async |page| {
        page.go(&server.uri()).await;
        page.find("h1").await;
        assert_eq!(page.run("return document.title", vec![]).await, "Proof");
        let complaints = page.complaints().await;
        let told = |words: &str| complaints.iter().any(|complaint| complaint.contains(words));
        assert!(told("inline script") && told("example.com/a.png"), "{complaints:#?}");
        assert_eq!(page.complaints().await, Vec::<String>::new(), "what was taken is gone");

        page.run(
            "setTimeout(() => { throw new Error('thrown') }); Promise.reject(new Error('rejected')); console.error('said')",
            vec![],
        )
        .await;
        page.run("return fetch('/missing').then(answer => answer.status)", vec![]).await;
        let complaints = page.complaints().await;
        let told = |words: &str| complaints.iter().any(|complaint| complaint.contains(words));
        assert!(told("thrown") && told("rejected") && told("said") && told("/missing"), "{complaints:#?}");

        let found = page.axe().await;
        let image = found.iter().find(|violation| violation.id == "image-alt").unwrap();
        assert_eq!(image.impact.as_deref(), Some("critical"));
        assert!(image.help.contains("alternative text") && image.nodes[0].starts_with("img"), "{image:?}");
    })
    .await;
}

#[actix_web::test]
#[ignore = "needs scripts/with-browser"]
async fn a_visit_that_goes_wrong_fails_the_test() {
    let picture =
        Path::new(&handed("SALEBRIDGE_TEST_PICTURES")).join("failed-browser-proof-a_visit_that_goes_wrong_fails_the_test.png");
    drop(std::fs::remove_file(&picture));

    let quiet_page = "data:text/html,<h1>Quiet";
    let complaint = visit(Look::DESKTOP, async |page| {
        page.go(quiet_page).await;
        page.run("console.error('not so quiet')", vec![]).await;
    });
    let panic = AssertUnwindSafe(complaint).catch_unwind().await.unwrap_err();
    assert!(panic.downcast_ref::<String>().unwrap().contains("not so quiet"), "a complaint that nobody took is told");
    assert!(!picture.exists());

    let failure = visit(Look::PHONE, async |page| {
        page.go(quiet_page).await;
        assert_eq!(page.text("h1").await, "Loud");
    });
    let panic = AssertUnwindSafe(failure).catch_unwind().await.unwrap_err();
    assert!(panic.downcast_ref::<String>().unwrap().contains("Loud"), "the test's own words are told");
    assert!(picture.exists(), "what the window showed is kept");
}
