//! What stands beside a body: by what right it is sent, and what else the template says. Most of it no sale changes, so it is made once.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{REDACTED, RenderError};
use crate::domain::{Outgoing, Secret, Timestamp};
use crate::forward::sign;
use crate::forward::template::{Auth, Text};
use crate::forward::upstream::Upstream;
use crate::outbound::{HeaderMap, put_header};

/// Headers as they are sent, and as they may be shown.
#[derive(Clone, Default, PartialEq)]
pub(in crate::forward) struct Headers {
    all: Vec<(String, Secret)>,
    wire: HeaderMap,
    shown: String,
}

impl Headers {
    fn put(&mut self, name: &str, value: Secret, is_secret: bool) -> Result<(), RenderError> {
        let unfit = |_| RenderError::Unfit { field: format!("the header {name}"), why: "it holds what no header may".to_owned() };
        put_header(&mut self.wire, name, value.expose(), is_secret).map_err(unfit)?;
        self.shown.extend([name, ": ", if is_secret { REDACTED } else { value.expose() }, "\n"]);
        self.all.push((name.to_owned(), value));
        Ok(())
    }

    fn open(&mut self, name: &str, value: &str) -> Result<(), RenderError> {
        self.put(name, Secret::new(value), false)
    }

    fn secret(&mut self, name: &str, value: impl Into<String>) -> Result<(), RenderError> {
        self.put(name, Secret::new(value), true)
    }

    /// A line for each, without secrets.
    pub(super) fn shown(&self) -> &str {
        &self.shown
    }

    /// A line for each, with its secrets.
    pub(super) fn whole(&self) -> String {
        self.all.iter().map(|(name, value)| format!("{name}: {}\n", value.expose())).collect()
    }

    /// For the wire.
    pub(super) fn wire(&self) -> HeaderMap {
        self.wire.clone()
    }
}

/// As they may be shown.
impl fmt::Debug for Headers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.shown)
    }
}

impl Upstream {
    /// The headers that no sale changes.
    ///
    /// # Errors
    /// One of them cannot be a header.
    pub(in crate::forward) fn constant_headers(&self) -> Result<Headers, RenderError> {
        let token = self.token.expose();
        let mut headers = Headers::default();
        headers.open("Accept", "application/json")?;
        match &self.template.auth {
            Auth::Bearer => headers.secret("Authorization", format!("Bearer {token}"))?,
            Auth::Basic { user } => headers.secret("Authorization", format!("Basic {}", self.basic_credentials(user)))?,
            Auth::Header { name } => headers.secret(name, token)?,
            Auth::StandardWebhooks | Auth::None | Auth::Query { .. } | Auth::Body { .. } => {}
        }
        for (name, text) in &self.template.headers {
            match text {
                Text::Literal(text) => headers.open(name, text)?,
                Text::Setting { setting } => {
                    self.settings.get(setting).map_or(Ok(()), |value| headers.open(name, value))?;
                }
                Text::Value { .. } => {}
            }
        }
        Ok(headers)
    }

    /// The headers of a request with this body.
    pub(super) fn headers(&self, outgoing: &Outgoing, now: Timestamp, body: &str) -> Result<Arc<Headers>, RenderError> {
        let mut headers = Arc::clone(&self.headers);
        if matches!(self.template.auth, Auth::StandardWebhooks) {
            let missing = || RenderError::Missing { field: "webhook-id".to_owned(), value: "invoice_id".to_owned() };
            let id = outgoing.id().ok_or_else(missing)?;
            let [id, at, (signature, value)] = sign::headers(&self.signing_keys, &id, now, body);
            let own = Arc::make_mut(&mut headers);
            [id, at].iter().try_for_each(|(name, value)| own.open(name, value))?;
            own.secret(signature, value)?;
        }
        for (name, text) in &self.template.headers {
            let Text::Value { value } = text else { continue };
            if let Some(value) = self.named(&value.name(), outgoing, now)? {
                Arc::make_mut(&mut headers).open(name, &value)?;
            }
        }
        Ok(headers)
    }

    /// User and password as RFC 7617 writes them; `user` is the setting that is the user.
    pub(super) fn basic_credentials(&self, user: &str) -> String {
        let user = self.settings.get(user).map_or("", String::as_str);
        STANDARD.encode(format!("{user}:{}", self.token.expose()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_sent_and_never_shown_and_what_no_header_may_hold_is_refused() {
        let mut headers = Headers::default();
        headers.open("Account-ID", "acc_1").expect("it fits");
        headers.secret("Authorization", "Bearer t").expect("it fits");
        assert_eq!(headers.shown(), "Account-ID: acc_1\nAuthorization: [redacted]\n");
        assert_eq!(headers.whole(), "Account-ID: acc_1\nAuthorization: Bearer t\n");
        assert_eq!(headers.wire()["authorization"], "Bearer t");
        assert!(!format!("{headers:?} {:?}", headers.wire()).contains("Bearer"));
        let refused = headers.open("x-name", "Jane\r\nx-other: 1").expect_err("it would begin another header");
        assert_eq!(refused.to_string(), "the header x-name does not fit the upstream: it holds what no header may");
    }
}
