//! The dashboard: pages that are written here and need no script; with a little of one they follow what changes.
//!
//! | path | room |
//! |---|---|
//! | `/` | how it goes |
//! | `/sales…` | the ledger: listed, searched, told whole, kept back and let go |
//! | `/requests…` | the inbox: what came, to the byte, and what today's pack makes of it |
//! | `/deliveries…` | the queues: every attempt, and sending again |
//! | `/sources…` | where webhooks come from: what to paste, what to switch on, a test |
//! | `/upstreams…` | where sales go: pause, resume, a test sale |
//! | `/api` | what programs can ask, from the API's own document |
//! | `/sign-in`, `/sign-out`, `/static/…`, `/live` | the door, what pages are made of, what changes |
//!
//! Everything but the door and `/static/` takes a [`visitor::Visitor`] or a [`visitor::Form`], which nobody gets who was not let in.

mod again;
mod assets;
mod chart;
mod deliveries;
mod html;
mod layout;
mod live;
mod overview;
mod paging;
mod reference;
mod refused;
mod requests;
mod sale;
mod sales;
mod sign_in;
mod sources;
mod terms;
mod upstreams;
mod visitor;

use actix_web::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS};
use actix_web::middleware::DefaultHeaders;
use actix_web::web::{self, Data};
use actix_web::{HttpRequest, guard};

use self::visitor::{Answer, Fault, Visitor};

/// What pages may do: nothing that is not ours, nothing inline, in nobody's frame.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; \
                      form-action 'self'; frame-ancestors 'none'; base-uri 'none'";
/// No form of ours is longer.
const FORM_LIMIT_BYTES: usize = 64 * 1024;

/// The table of contents. It answers whatever is not below `/api/`, so it comes after everything else that is not.
pub(super) fn routes(service: &mut web::ServiceConfig) {
    // What is asked for by its number is not there where it is none.
    let path = web::PathConfig::default().error_handler(|_, _| Fault::NotFound("There is no such page.".to_owned()).into());
    let headers = DefaultHeaders::new()
        .add((CONTENT_SECURITY_POLICY, POLICY))
        .add((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        // Not no-referrer: with that a browser sends `Origin: null` with our own forms, and they could not be told from others'.
        .add((REFERRER_POLICY, "same-origin"))
        .add((X_FRAME_OPTIONS, "DENY"))
        .add(("Cross-Origin-Opener-Policy", "same-origin"))
        .add(("Cross-Origin-Resource-Policy", "same-origin"))
        .add((CACHE_CONTROL, "no-store"));
    let pages = web::scope("")
        .guard(guard::fn_guard(|asked| !asked.head().uri.path().starts_with("/api/")))
        .app_data(web::PayloadConfig::new(FORM_LIMIT_BYTES))
        .app_data(path)
        // One for each worker; the operator's listener has one.
        .app_data(Data::new(live::Live::default()))
        .wrap(headers)
        .route("/static/{hash}/{name}", web::get().to(assets::asset))
        .route("/sign-in", web::get().to(sign_in::show))
        .route("/sign-in", web::post().to(sign_in::enter))
        .route("/sign-out", web::post().to(sign_in::leave))
        .route("/live", web::get().to(live::watch))
        .route("/", web::get().to(overview::show))
        .route("/sales", web::get().to(sales::list))
        .route("/sales/search", web::post().to(sales::search))
        .route("/sales/{id}", web::get().to(sale::show))
        .route("/sales/{id}/park", web::post().to(sale::park))
        .route("/sales/{id}/release", web::post().to(sale::release))
        .route("/requests", web::get().to(requests::list))
        .route("/requests/refused", web::get().to(refused::list))
        .route("/requests/refused/{id}", web::get().to(refused::show))
        .route("/requests/refused/{id}/judge", web::post().to(refused::judge))
        .route("/requests/{id}", web::get().to(requests::show))
        .route("/requests/{id}/body", web::get().to(requests::body))
        .route("/deliveries", web::get().to(deliveries::list))
        .route("/deliveries/retry", web::post().to(again::preview))
        .route("/deliveries/retry/confirm", web::post().to(again::confirm))
        .route("/deliveries/{id}", web::get().to(deliveries::show))
        .route("/sources", web::get().to(sources::list))
        .route("/sources/{name}", web::get().to(sources::show))
        .route("/sources/{name}/test", web::post().to(sources::test))
        .route("/upstreams", web::get().to(upstreams::list))
        .route("/upstreams/{name}/pause", web::post().to(upstreams::pause))
        .route("/upstreams/{name}/resume", web::post().to(upstreams::resume))
        .route("/upstreams/{name}/test", web::post().to(upstreams::test))
        .route("/upstreams/{name}/test/send", web::post().to(upstreams::send))
        .route("/api", web::get().to(reference::show))
        .default_service(web::to(nowhere));
    service.service(pages);
}

/// Whoever was not let in does not even hear what there is.
async fn nowhere(_: Visitor, request: HttpRequest) -> Answer {
    let is_post = request.method() == actix_web::http::Method::POST;
    let text = if is_post { "There is nothing here to send a form to." } else { "There is no such page." };
    Err(Fault::NotFound(text.to_owned()))
}
