//! Whole HTTP requests, made and signed before the clock starts as far as memory allows.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::body::Writer;

/// The source's secret, of every contender.
pub(crate) const SECRET: &str = "whsec_bench";

/// How requests are signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    /// Stripe's: the time and the body (<https://docs.stripe.com/webhooks/signature>).
    Stripe,
    /// The body alone, for a contender that does not know Stripe's.
    Body,
    /// Stripe's with another secret: nobody may take it.
    Wrong,
    /// The body alone with another secret.
    WrongBody,
}

impl Scheme {
    /// The same with another secret.
    pub(crate) fn wrong(self) -> Self {
        match self {
            Self::Stripe | Self::Wrong => Self::Wrong,
            Self::Body | Self::WrongBody => Self::WrongBody,
        }
    }
}

/// One webhook.
pub(crate) struct Request {
    /// By which it is known again at the sink.
    pub(crate) token: u64,
    pub(crate) bytes: Vec<u8>,
}

/// Requests without end: first those that are ready, then such as are signed when they are needed. (A signature of Stripe's scheme
/// holds for five minutes; no load is longer.)
pub(crate) struct Supply {
    address: String,
    path: &'static str,
    scheme: Scheme,
    ready: Vec<Arc<Request>>,
    taken: Cell<usize>,
    writer: RefCell<Writer>,
    repeats: bool,
}

impl Supply {
    /// `ready` of them are made now. One that `repeats` begins anew with the first instead of making more.
    pub(crate) fn new(address: &str, path: &'static str, scheme: Scheme, seed: u64, ready: usize, repeats: bool) -> Self {
        let mut supply = Self {
            address: address.to_owned(),
            path,
            scheme,
            ready: Vec::new(),
            taken: Cell::new(0),
            writer: RefCell::new(Writer::new(seed)),
            repeats,
        };
        supply.prepare(ready);
        supply
    }

    /// Makes so many more ready than have been taken.
    pub(crate) fn prepare(&mut self, count: usize) {
        if self.repeats && !self.ready.is_empty() {
            return;
        }
        self.ready.clear();
        self.taken.set(0);
        self.ready = (0..count).map(|_| Arc::new(self.make())).collect();
    }

    pub(crate) fn take(&self) -> Arc<Request> {
        let at = self.taken.replace(self.taken.get() + 1);
        if self.repeats {
            return Arc::clone(&self.ready[at % self.ready.len()]);
        }
        self.ready.get(at).map_or_else(|| Arc::new(self.make()), Arc::clone)
    }

    fn make(&self) -> Request {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(0));
        let (token, body) = self.writer.borrow_mut().next(now);
        let signature = match self.scheme {
            Scheme::Stripe => format!("Stripe-Signature: t={now},v1={}", sign(SECRET, &format!("{now}."), &body)),
            Scheme::Wrong => format!("Stripe-Signature: t={now},v1={}", sign("whsec_other", &format!("{now}."), &body)),
            Scheme::Body => format!("X-Hub-Signature-256: sha256={}", sign(SECRET, "", &body)),
            Scheme::WrongBody => format!("X-Hub-Signature-256: sha256={}", sign("whsec_other", "", &body)),
        };
        let (path, address) = (self.path, &self.address);
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: {address}\r\nUser-Agent: Stripe/1.0 (+https://stripe.com/docs/webhooks)\r\n\
             Accept: */*\r\nContent-Type: application/json; charset=utf-8\r\n{signature}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        Request { token, bytes: [head.as_bytes(), body.as_bytes()].concat() }
    }
}

fn sign(secret: &str, before: &str, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(before.as_bytes());
    mac.update(body.as_bytes());
    hex::encode(mac.finalize().into_bytes())
}
