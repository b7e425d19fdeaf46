//! Who looks at a page or sends a form. A handler that takes a [`Visitor`] is only reached by someone who was let in; one that takes a
//! [`Form`] only by a form of our own.

use std::future::{Ready, ready};
use std::pin::Pin;
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::http::header::LOCATION;
use actix_web::web::{Bytes, Data};
use actix_web::{FromRequest, HttpMessage as _, HttpRequest, HttpResponse, ResponseError, web};
use askama::Template;

use super::layout::{Layout, Room};
use super::paging::is_filter;
use crate::admin::State;
use crate::admin::auth::Stranger;
use crate::admin::by_hand::NotDone;
use crate::domain::Timestamp;
use crate::store::{Error, Store};

/// The field of every form that holds its word.
pub(super) const WORD: &str = "word";
/// No URL of ours is longer.
const NEXT_LIMIT: usize = 500;
/// The first parts of the paths of pages.
const ROOMS: [&str; 7] = ["", "sales", "requests", "deliveries", "sources", "upstreams", "api"];

/// Someone who was let in.
#[derive(Clone)]
pub(super) struct Visitor {
    /// What the handlers share.
    pub(super) state: Data<State>,
    /// When they came.
    pub(super) now: Timestamp,
    word: String,
}

/// A form of our own, sent by someone who was let in.
pub(super) struct Form {
    /// Who sent it.
    pub(super) visitor: Visitor,
    fields: Vec<(String, String)>,
}

/// The answer of a page.
pub(super) type Answer = Result<HttpResponse, Fault>;

/// Why a page is not shown.
#[derive(Debug)]
pub(super) enum Fault {
    /// They have to sign in first, and want to go there then.
    SignIn(String),
    /// It was sent by another site, or by a page that was open for too long.
    Elsewhere(&'static str),
    /// There is no such thing, in words.
    NotFound(String),
    /// What was asked for makes no sense, in words.
    Invalid(String),
    /// It does not go together with how things are, in words.
    Conflict(String),
    /// Too many look at once.
    Busy,
    /// The store cannot be reached.
    Unavailable,
    /// A template failed, which none should.
    Unwritten(String),
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage<'a> {
    layout: Layout,
    text: &'a str,
}

impl Visitor {
    fn of(request: &HttpRequest) -> Result<Self, Fault> {
        let state = request.app_data::<Data<State>>().cloned().ok_or(Fault::Unavailable)?;
        let now = state.clock.now();
        state.door.admit(request, now).map_err(|stranger| match stranger {
            Stranger::Unknown => Fault::SignIn(next(&state, request)),
            Stranger::Elsewhere => Fault::Elsewhere("By this name the dashboard is not reached: use an address of this machine."),
        })?;
        let word = state.door.form_word(request);
        Ok(Self { state, now, word })
    }

    /// The frame of a page.
    pub(super) fn layout(&self, room: Room, title: &str) -> Layout {
        Layout::new(room, title, Some(self.word.clone()), self.state.door.is_locked())
    }

    /// Reads the store on a thread where that stands in nobody's way.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        job: impl FnOnce(&dyn Store) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Fault> {
        let store = Arc::clone(&self.state.store);
        Ok(web::block(move || job(&*store)).await.map_err(|_| Fault::Unavailable)??)
    }
}

impl FromRequest for Visitor {
    type Error = Fault;
    type Future = Ready<Result<Self, Fault>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Self::of(request))
    }
}

impl FromRequest for Form {
    type Error = Fault;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Fault>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let visitor = Visitor::of(request);
        let (request, body) = (request.clone(), Bytes::from_request(request, payload));
        Box::pin(async move {
            let visitor = visitor?;
            let fields = fields(&request, body.await)?;
            let form = Self { visitor, fields };
            is_own(&form.visitor.state, &request, form.one(WORD).unwrap_or_default())?;
            Ok(form)
        })
    }
}

impl Form {
    /// The trimmed value of a field; `None` where it is empty or missing.
    pub(super) fn one(&self, name: &str) -> Option<&str> {
        let of_name = self.fields.iter().filter(|(known, _)| known == name);
        of_name.map(|(_, value)| value.trim()).find(|value| !value.is_empty())
    }

    /// All values of a field that are not empty.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> + 'a {
        let of_name = self.fields.iter().filter(move |(known, _)| known == name);
        of_name.map(|(_, value)| value.trim()).filter(|value| !value.is_empty())
    }

    /// As [`Form::one`], but not longer than `most` characters and without what no text holds.
    ///
    /// # Errors
    /// It is longer, or holds a zero.
    pub(super) fn text(&self, name: &str, most: usize) -> Result<Option<String>, Fault> {
        let Some(value) = self.one(name) else { return Ok(None) };
        if value.chars().count() > most || value.contains('\0') {
            return Err(Fault::Invalid(format!("What was entered is longer than {most} characters, or is no text.")));
        }
        Ok(Some(value.to_owned()))
    }

    /// Why a person does something, which is asked for.
    ///
    /// # Errors
    /// It is missing, or longer than 500 characters.
    pub(super) fn reason(&self) -> Result<String, Fault> {
        self.text("reason", 500)?.ok_or_else(|| Fault::Invalid("Say why, for whoever looks at it next.".to_owned()))
    }
}

/// The fields of a form.
pub(super) fn fields(request: &HttpRequest, body: Result<Bytes, actix_web::Error>) -> Result<Vec<(String, String)>, Fault> {
    if !request.content_type().eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return Err(Fault::Invalid("This is not a form as browsers send it.".to_owned()));
    }
    let body = body.map_err(|_| Fault::Invalid("The form could not be read, or holds too much.".to_owned()))?;
    Ok(form_urlencoded::parse(&body).into_owned().collect())
}

/// Whether a form was meant, and is one that we wrote for this session.
pub(super) fn is_own(state: &State, request: &HttpRequest, word: &str) -> Result<(), Fault> {
    let stranger = "The form came from another site, so nothing was done.";
    state.door.is_meant(request).map_err(|_| Fault::Elsewhere(stranger))?;
    let stale = "The form was not written for this session, so nothing was done. Go back, load the page anew, and send it again.";
    if state.door.is_own_form(request, word) { Ok(()) } else { Err(Fault::Elsewhere(stale)) }
}

/// Where a person wanted to go; the start, where that cannot be shown again.
fn next(state: &State, request: &HttpRequest) -> String {
    let is_page = request.method() == actix_web::http::Method::GET && request.path() != "/live";
    let asked = request.uri().path_and_query().map(|asked| asked.as_str()).filter(|_| is_page);
    asked.and_then(|asked| page_of(state, asked)).unwrap_or_else(|| "/".to_owned())
}

/// The page of ours to which a URL leads, with its filters; `None` where it leads elsewhere. Whatever else stands in it is left out:
/// it goes into a URL that we write, and somebody may have typed an address or a name.
pub(super) fn page_of(state: &State, url: &str) -> Option<String> {
    let (path, query) = url.split_once('?').unwrap_or((url, ""));
    let mut parts = path.strip_prefix('/')?.split('/');
    let room = parts.next().filter(|room| ROOMS.contains(room))?;
    let is_ours = |part: &str| part.parse::<u32>().is_ok() || part == "refused" || state.sources.contains_key(part);
    if url.len() > NEXT_LIMIT || (room.is_empty() && path != "/") || !parts.all(is_ours) {
        return None;
    }
    let filters = form_urlencoded::parse(query.as_bytes()).filter(|(name, value)| is_filter(name, value));
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(filters).finish();
    Some(if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") })
}

/// Writes a page.
pub(super) fn page(template: &impl Template) -> Answer {
    let html = template.render().map_err(|error| Fault::Unwritten(error.to_string()))?;
    Ok(HttpResponse::Ok().content_type("text/html; charset=utf-8").body(html))
}

/// Leads on to a page of ours, so that to load it anew does nothing twice.
pub(super) fn lead_to(url: &str) -> HttpResponse {
    HttpResponse::SeeOther().insert_header((LOCATION, url)).finish()
}

impl Fault {
    fn words(&self) -> (StatusCode, &str, &str) {
        match self {
            Self::SignIn(_) => (StatusCode::SEE_OTHER, "Sign in", ""),
            Self::Elsewhere(text) => (StatusCode::FORBIDDEN, "Not from here", text),
            Self::NotFound(text) => (StatusCode::NOT_FOUND, "Not there", text),
            Self::Invalid(text) => (StatusCode::UNPROCESSABLE_ENTITY, "That makes no sense", text),
            Self::Conflict(text) => (StatusCode::CONFLICT, "Not possible now", text),
            Self::Busy => (StatusCode::SERVICE_UNAVAILABLE, "Too many at once", "Too many windows follow what changes."),
            Self::Unavailable => (
                StatusCode::SERVICE_UNAVAILABLE,
                "The store cannot be reached",
                "Nothing was changed. Look into the log of the bridge, then try again.",
            ),
            Self::Unwritten(_) => {
                (StatusCode::INTERNAL_SERVER_ERROR, "The page could not be written", "The log of the bridge says why.")
            }
        }
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.words().2)
    }
}

impl ResponseError for Fault {
    fn status_code(&self) -> StatusCode {
        self.words().0
    }

    fn error_response(&self) -> HttpResponse {
        if let Self::SignIn(next) = self {
            let query = form_urlencoded::Serializer::new(String::new()).append_pair("next", next).finish();
            return lead_to(&if next == "/" { "/sign-in".to_owned() } else { format!("/sign-in?{query}") });
        }
        if let Self::Unwritten(error) = self {
            tracing::error!(%error, "a page could not be written");
        }
        let (status, title, text) = self.words();
        let html = ErrorPage { layout: Layout::new(Room::None, title, None, false), text }.render();
        HttpResponse::build(status).content_type("text/html; charset=utf-8").body(html.unwrap_or_else(|_| text.to_owned()))
    }
}

impl From<NotDone> for Fault {
    fn from(not_done: NotDone) -> Self {
        let text = format!("Nothing was changed, because {not_done}.");
        match not_done {
            NotDone::Missing(_) => Self::NotFound(text),
            NotDone::Sent(_) | NotDone::Merged { .. } => Self::Conflict(text),
            NotDone::Store(error) => error.into(),
        }
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        match error {
            Error::Conflict(what) => Self::Conflict(what),
            Error::Busy | Error::Unavailable(_) | Error::Unusable(_) | Error::Damaged(_) => {
                tracing::error!(%error, "a page could not be shown");
                Self::Unavailable
            }
        }
    }
}
