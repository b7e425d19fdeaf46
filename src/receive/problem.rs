//! What a sender is told when its request was not taken: RFC 9457, with a short stable code and never the cause in detail.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, RETRY_AFTER};

/// Seconds after which a sender may come back.
const RETRY_AFTER_SECS: u32 = 5;

/// A request was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Problem {
    /// The signature is missing, wrong or stale; the code says which.
    Refused(&'static str),
    /// A certificate that the signature needs cannot be had; the sender may come back.
    Certificate,
    /// No source of this name, or no such path.
    UnknownSource,
    /// A method that this path does not take.
    Method,
    /// The body is longer than allowed.
    BodyTooLarge,
    /// The headers are longer than allowed.
    HeadersTooLarge,
    /// The body did not arrive in time.
    TooSlow,
    /// The connection broke, or the body is not framed as HTTP frames it.
    Broken,
    /// Too much is under way; the sender may come back.
    Busy,
    /// The disk or the database refuses; the sender may come back.
    StoreUnavailable,
}

impl Problem {
    /// The stable code.
    pub(super) fn code(self) -> &'static str {
        match self {
            Self::Refused(code) => code,
            Self::Certificate => "certificate_unavailable",
            Self::UnknownSource => "unknown_source",
            Self::Method => "method_not_allowed",
            Self::BodyTooLarge => "body_too_large",
            Self::HeadersTooLarge => "headers_too_large",
            Self::TooSlow => "request_too_slow",
            Self::Broken => "request_broken",
            Self::Busy => "busy",
            Self::StoreUnavailable => "store_unavailable",
        }
    }

    pub(super) fn response(self) -> HttpResponse {
        let (status, title) = match self {
            Self::Refused(_) => (StatusCode::UNAUTHORIZED, "The request is not signed as this source expects"),
            Self::Certificate => (StatusCode::SERVICE_UNAVAILABLE, "The certificate could not be had; come back later"),
            Self::UnknownSource => (StatusCode::NOT_FOUND, "There is no such source"),
            Self::Method => (StatusCode::METHOD_NOT_ALLOWED, "This method is not taken here"),
            Self::BodyTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "The body is too large"),
            Self::HeadersTooLarge => (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "The headers are too large"),
            Self::TooSlow => (StatusCode::REQUEST_TIMEOUT, "The request did not arrive in time"),
            Self::Broken => (StatusCode::BAD_REQUEST, "The request could not be read"),
            Self::Busy => (StatusCode::SERVICE_UNAVAILABLE, "Too much is under way; come back later"),
            Self::StoreUnavailable => (StatusCode::SERVICE_UNAVAILABLE, "The request could not be stored; come back later"),
        };
        let mut response = HttpResponse::build(status);
        response.content_type("application/problem+json");
        match self {
            Self::Busy | Self::StoreUnavailable | Self::Certificate => {
                response.insert_header((RETRY_AFTER, RETRY_AFTER_SECS.to_string()));
            }
            Self::Method => {
                response.insert_header((ALLOW, "POST, GET, HEAD"));
            }
            Self::Refused(_)
            | Self::UnknownSource
            | Self::BodyTooLarge
            | Self::HeadersTooLarge
            | Self::TooSlow
            | Self::Broken => {}
        }
        let code = self.code();
        response.body(format!(r#"{{"type":"about:blank","title":"{title}","status":{},"code":"{code}"}}"#, status.as_u16()))
    }
}
