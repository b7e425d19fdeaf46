//! In and out: the token is shown once, and a session's cookie stands for it from then on.

use actix_web::web::{Bytes, Data};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;

use super::layout::{Layout, Room};
use super::paging::Asked;
use super::visitor::{Answer, Fault, Form, WORD, fields, is_own, lead_to, page_of};
use crate::admin::State;
use crate::admin::auth::SignIn;
use crate::domain::Secret;

#[derive(Template)]
#[template(path = "sign_in.html")]
struct Page<'a> {
    layout: Layout,
    word: String,
    next: &'a str,
    problem: Option<&'static str>,
}

/// `GET /sign-in`.
pub(super) async fn show(request: HttpRequest, state: Data<State>) -> Answer {
    let asked = Asked::of(&request);
    let next = asked.get("next").and_then(|next| page_of(&state, next)).unwrap_or_else(|| "/".to_owned());
    if !state.door.is_locked() || state.door.admit(&request, state.clock.now()).is_ok() {
        return Ok(lead_to(&next));
    }
    answer(&request, &state, &next, None)
}

/// `POST /sign-in`.
pub(super) async fn enter(request: HttpRequest, state: Data<State>, body: Result<Bytes, actix_web::Error>) -> Answer {
    let fields = fields(&request, body)?;
    let one = |name: &str| fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.trim()).unwrap_or_default();
    is_own(&state, &request, one(WORD))?;
    let next = page_of(&state, one("next")).unwrap_or_else(|| "/".to_owned());
    if !state.door.is_locked() {
        return Ok(lead_to(&next));
    }
    match state.door.sign_in(&Secret::new(one("token")), rand::random(), state.clock.now()) {
        SignIn::Welcome(cookie) => {
            let mut response = lead_to(&next);
            response.add_cookie(&cookie).map_err(|error| Fault::Unwritten(error.to_string()))?;
            Ok(response)
        }
        SignIn::Wrong => {
            tracing::warn!("somebody tried to sign in with a wrong token");
            answer(&request, &state, &next, Some("That is not the token. It is admin.token of the configuration."))
        }
        SignIn::Later => {
            answer(&request, &state, &next, Some("Too many wrong tokens were tried. Wait a minute, then try again."))
        }
    }
}

/// `POST /sign-out`.
pub(super) async fn leave(form: Form) -> Answer {
    let mut response = lead_to("/sign-in");
    response.add_cookie(&form.visitor.state.door.sign_out()).map_err(|error| Fault::Unwritten(error.to_string()))?;
    Ok(response)
}

fn answer(request: &HttpRequest, state: &State, next: &str, problem: Option<&'static str>) -> Answer {
    let layout = Layout::new(Room::None, "Sign in", None, false);
    let html = Page { layout, word: state.door.form_word(request), next, problem }.render();
    let html = html.map_err(|error| Fault::Unwritten(error.to_string()))?;
    let mut response = if problem.is_some() { HttpResponse::Forbidden() } else { HttpResponse::Ok() };
    Ok(response.content_type("text/html; charset=utf-8").body(html))
}
