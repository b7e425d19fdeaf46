//! How an alarm is told: one POST to the operator's URL, as an object or as a text that Slack takes.

use std::time::Duration;

use serde_json::{Value, json};

use super::config::{Config, Format};
use super::{Alarm, Kind, Phase};
use crate::domain::{Secret, Timestamp};
use crate::outbound::{Client, HeaderMap, Limits, Request, uri};

/// A reason may hold what an upstream answered; so much of a sentence is told.
const SENTENCE_LIMIT_CHARS: usize = 600;

/// The way to the operator's URL.
pub struct Teller {
    url: Secret,
    format: Format,
    bridge: String,
    client: Client,
}

impl Teller {
    /// A way to the URL of a configuration; `bridge` says which bridge it is that tells.
    ///
    /// # Errors
    /// This machine cannot make a client.
    pub fn new(config: &Config, bridge: &str) -> Result<Self, String> {
        let client = Client::new(Limits {
            connect_timeout: Duration::from_secs(5),
            timeout: Duration::from_secs(10),
            idle_connections: 0,
            answer_limit_bytes: 1024,
            allow_private: config.may_be_private(),
        })?;
        Ok(Self { url: config.url.clone(), format: config.format, bridge: bridge.to_owned(), client })
    }

    /// Tells an alarm.
    ///
    /// # Errors
    /// Why it was not taken, in words, without the URL.
    pub async fn tell(&self, alarm: &Alarm, now: Timestamp) -> Result<(), String> {
        let body = match self.format {
            Format::Json => object(alarm, &self.bridge, now),
            Format::Slack => json!({"text": escaped(&text(alarm, &self.bridge))}),
        };
        self.post(&body).await
    }

    /// Tells that nothing has happened, to see whether alarms arrive.
    ///
    /// # Errors
    /// As [`Teller::tell`].
    pub async fn test(&self, now: Timestamp) -> Result<(), String> {
        let what = "this is a test: alarms of this bridge arrive here";
        let body = match self.format {
            Format::Json => {
                json!({"alarm": "test", "phase": "begins", "bridge": self.bridge, "what": what, "at": now.to_string()})
            }
            Format::Slack => json!({"text": escaped(&format!("salebridge {}: {what}", self.bridge))}),
        };
        self.post(&body).await
    }

    async fn post(&self, body: &Value) -> Result<(), String> {
        let url = uri(self.url.expose()).map_err(|_| "alarms.url is no URL".to_owned())?;
        let body = Some(("application/json", body.to_string()));
        let request = Request { method: "POST", url, body, headers: HeaderMap::new() };
        let answer = self.client.ask(request).await.map_err(|failure| failure.to_string())?;
        match answer.status {
            200..300 => Ok(()),
            status => Err(format!("the receiver answered {status}")),
        }
    }
}

fn object(alarm: &Alarm, bridge: &str, now: Timestamp) -> Value {
    json!({
        "alarm": alarm.kind.as_str(), "about": alarm.about, "phase": alarm.phase.as_str(), "bridge": bridge,
        "what": bounded(&alarm.what), "next": alarm.next, "since": alarm.since.to_string(), "at": now.to_string(),
    })
}

/// One message for people: what, where, and what to do next.
fn text(alarm: &Alarm, bridge: &str) -> String {
    let (title, about) = (alarm.kind.title(), &alarm.about);
    let place = match alarm.kind {
        Kind::UpstreamPaused | Kind::DeadLetters => format!("upstream {about}"),
        Kind::SourceSilent | Kind::RefusalsSurge | Kind::UnattributedSurge => format!("source {about}"),
        Kind::QueueOld => about.clone(),
    };
    let what = bounded(&alarm.what);
    match alarm.phase {
        Phase::Begins => format!("salebridge {bridge}: {title}\n{place}: {what}\nNext: {}", alarm.next),
        Phase::Reminds => {
            format!("salebridge {bridge}: still {title}, since {:.0}\n{place}: {what}\nNext: {}", alarm.since, alarm.next)
        }
        Phase::Ends => format!("salebridge {bridge}: over: {title}, since {:.0}\n{place}: {what}", alarm.since),
    }
}

fn bounded(text: &str) -> String {
    text.chars().take(SENTENCE_LIMIT_CHARS).collect()
}

/// <https://docs.slack.dev/messaging/formatting-message-text>: these three have a meaning of their own.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
