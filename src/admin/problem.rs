//! What went wrong, as programs are told it (RFC 9457).

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, ResponseError};
use schemars::JsonSchema;
use serde::Serialize;

use super::auth::Stranger;
use super::by_hand::NotDone;
use crate::domain::Faults;
use crate::store::Error;

/// The body of an answer that is no success.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(super) struct Details {
    /// What kind of problem it is, for people.
    title: String,
    /// The HTTP status.
    status: u16,
    /// The stable code, for programs.
    code: String,
    /// What happened and what to do.
    detail: String,
}

/// Why a request of the admin API is not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Problem {
    /// The token is missing or wrong.
    Unauthorized,
    /// It comes from another site.
    Elsewhere,
    /// There is no such thing, in words.
    NotFound(String),
    /// What was asked for makes no sense, in words.
    Invalid(String),
    /// The body is too large.
    TooLarge,
    /// The body is not JSON.
    NotJson,
    /// It does not go together with how things are, in words.
    Conflict(String),
    /// The configuration is wrong, and the one before it stays.
    Faulty(Faults),
    /// The store cannot be reached.
    Unavailable,
}

impl Problem {
    fn parts(&self) -> (StatusCode, &'static str, &'static str, String) {
        match self {
            Self::Unauthorized => (
                StatusCode::UNAUTHORIZED,
                "unauthorized",
                "Not signed in",
                "show admin.token as Authorization: Bearer …, or sign in at /sign-in".to_owned(),
            ),
            Self::Elsewhere => (
                StatusCode::FORBIDDEN,
                "another_site",
                "From another site",
                "requests of other sites, and by other names of this machine, are not answered".to_owned(),
            ),
            Self::NotFound(detail) => (StatusCode::NOT_FOUND, "not_found", "Not there", detail.clone()),
            Self::Invalid(detail) => (StatusCode::UNPROCESSABLE_ENTITY, "invalid", "Makes no sense", detail.clone()),
            Self::TooLarge => {
                (StatusCode::PAYLOAD_TOO_LARGE, "too_large", "Too large", "the body has more than 65536 bytes".to_owned())
            }
            Self::NotJson => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "not_json",
                "Not JSON",
                "the Content-Type must be application/json".to_owned(),
            ),
            Self::Conflict(detail) => (StatusCode::CONFLICT, "conflict", "Not possible now", detail.clone()),
            Self::Faulty(faults) => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "configuration_faulty",
                "The configuration is wrong; the one before it stays",
                faults.to_string(),
            ),
            Self::Unavailable => (
                StatusCode::SERVICE_UNAVAILABLE,
                "store_unavailable",
                "The store cannot be reached",
                "nothing was changed; see the log of the bridge, then try again".to_owned(),
            ),
        }
    }

    /// The body of the answer.
    pub(super) fn details(&self) -> Details {
        let (status, code, title, detail) = self.parts();
        Details { title: title.to_owned(), status: status.as_u16(), code: code.to_owned(), detail }
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.details().detail)
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.parts().0
    }

    fn error_response(&self) -> HttpResponse {
        let body = serde_json::to_string(&self.details()).unwrap_or_default();
        HttpResponse::build(self.status_code()).content_type("application/problem+json").body(body)
    }
}

impl From<Stranger> for Problem {
    fn from(stranger: Stranger) -> Self {
        match stranger {
            Stranger::Unknown => Self::Unauthorized,
            Stranger::Elsewhere => Self::Elsewhere,
        }
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::Conflict(what) => Self::Conflict(what),
            Error::Busy | Error::Unavailable(_) | Error::Unusable(_) | Error::Damaged(_) => {
                tracing::error!(%error, "the operator's request could not be answered");
                Self::Unavailable
            }
        }
    }
}

impl From<NotDone> for Problem {
    fn from(not_done: NotDone) -> Self {
        match not_done {
            NotDone::Missing(_) => Self::NotFound(not_done.to_string()),
            NotDone::Sent(_) | NotDone::Merged { .. } => Self::Conflict(not_done.to_string()),
            NotDone::Store(error) => error.into(),
        }
    }
}
