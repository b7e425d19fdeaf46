//! A signature that no secret of the source made: was it made by another secret, over another URL, or over another body?

use super::{BODY_LIMIT_BYTES, Case, Code, Finding, repair, secret, url};
use crate::domain::{Mode, Request};
use crate::pack::Source;
use crate::verify::Refusal;

impl Case<'_> {
    pub(super) fn mismatch(&self, refusal: &Refusal) -> Vec<Finding> {
        if !self.has_body {
            return vec![self.wrong(refusal)];
        }
        let found = self
            .secret_of_other()
            .or_else(|| self.secret_form())
            .or_else(|| self.url_differs())
            .or_else(|| self.body_changed())
            .or_else(|| self.signed_for_other());
        match found {
            Some(finding) => vec![finding],
            None => self.said_mode().into_iter().chain([self.wrong(refusal)]).collect(),
        }
    }

    /// Whether another source's keys made the signature, over this URL or over its own.
    pub(super) fn is_made_by(&self, other: &Source) -> bool {
        let scheme = &other.pack.scheme;
        let is_made = |request: &Request| scheme.is_made_with(&other.keys, request, self.certificate);
        is_made(self.request) || (scheme.signs_url() && is_made(&Request { url: other.url.clone(), ..self.request.clone() }))
    }

    fn secret_of_other(&self) -> Option<Finding> {
        let other = self.others.iter().find(|other| self.is_same_pack(other) && self.is_made_by(other))?;
        let (own, name, end) = (&self.source.name, &other.name, Self::end_of(other));
        let made = format!("The signature was made with the secret of the source {name}, not with one of {own}.");
        let swapped = format!("compare {} with the provider's dashboard", self.secrets_key());
        match (only_mode(self.source), only_mode(other)) {
            (Some(ours), Some(theirs)) if ours != theirs => {
                let (ours_said, theirs_said) = (word(ours), word(theirs));
                if self.source.mapping.mode_said(self.request) == Some(ours) {
                    let text = format!(
                        "{made} The event says that it is {ours_said}, as this source accepts, so {own} was given the \
                         {theirs_said} secret."
                    );
                    let advice =
                        format!("The {ours_said} and the {theirs_said} secret are swapped: {swapped}, {ours_said} mode.");
                    return Some(Finding::new(Code::SecretOfOtherMode, text, advice));
                }
                let text = format!(
                    "{made} That source accepts {theirs_said} events: this is {theirs_said} traffic at a source for {ours_said} \
                     events."
                );
                let advice = format!(
                    "In the {theirs_said} mode of the provider's dashboard, set the URL that ends in {end}. If the two secrets \
                     are swapped, {swapped}."
                );
                Some(Finding::new(traffic(theirs), text, advice))
            }
            (Some(_) | None, Some(_) | None) => {
                let advice = format!(
                    "If it belongs to {name}, set the URL that ends in {end} in the provider's dashboard; if the two secrets \
                     are swapped, {swapped}."
                );
                Some(Finding::new(Code::SecretOfOther, made, advice))
            }
        }
    }

    fn secret_form(&self) -> Option<Finding> {
        let scheme = &self.source.pack.scheme;
        let is_right = |change: &secret::Change| {
            let keys = scheme.keys_if(&self.source.keys, change.apply);
            keys.is_some_and(|keys| scheme.is_made_with(&keys, self.request, self.certificate))
        };
        let change = secret::CHANGES.iter().find(|change| is_right(change))?;
        let text = format!("The signature is right if the configured secret is taken {}.", change.words);
        let advice = format!("Write the secret exactly as the provider shows it into {}: {}.", self.secrets_key(), change.advice);
        Some(Finding::new(Code::SecretForm, text, advice))
    }

    fn url_differs(&self) -> Option<Finding> {
        if !self.source.pack.scheme.signs_url() {
            return None;
        }
        let configured = self.source.url.as_deref()?;
        let is_right = |url: &String| self.is_ours(&Request { url: Some(url.clone()), ..self.request.clone() });
        let signed = url::candidates(self.request, configured, &self.source.path()).into_iter().find(is_right)?;
        let token = self.source.path_token.as_ref();
        let shown = |url: &str| {
            let url = token.map_or_else(|| url.to_owned(), |token| url.replace(token.expose(), "[redacted]"));
            url::without_values(&url)
        };
        let (signed, configured) = (shown(&signed), shown(configured));
        let text = format!("The provider signed the URL {signed}, but the configuration says that it was given {configured}.");
        let advice = format!(
            "Set {} to {signed}, byte for byte as it stands in the provider's dashboard, or mend `public_url` of [server].",
            self.key("url")
        );
        Some(Finding::new(Code::UrlDiffers, text, advice))
    }

    fn body_changed(&self) -> Option<Finding> {
        let scheme = &self.source.pack.scheme;
        if self.request.body.len() > BODY_LIMIT_BYTES || !scheme.binds_body_of(&self.source.keys, self.request) {
            return None;
        }
        let mut tried = self.request.clone();
        let is_form = self.source.pack.envelope.is_form(self.request);
        let repair = repair::find(&self.request.body, is_form, |body| {
            tried.body = body;
            self.is_ours(&tried)
        })?;
        let text = format!("The secret is right, but the body was changed on its way: {repair}, the signature matches.");
        let advice = "Something between the provider and the bridge (a proxy, a gateway, a function, middleware that parses \
         JSON) reads the body and writes it anew. Let it pass the bytes on as they came. The bridge does not repair bodies, \
         because what it counts must be what was signed.";
        Some(Finding::new(Code::BodyChanged, text, advice))
    }

    /// What the event says of its own mode, which nobody has to believe.
    fn said_mode(&self) -> Option<Finding> {
        let said = self.source.mapping.mode_said(self.request).filter(|mode| !self.source.accepts(*mode))?;
        let other = match said {
            Mode::Live => Mode::Test,
            Mode::Test => Mode::Live,
        };
        let (said_word, other_word) = (word(said), word(other));
        let text = format!(
            "The event says that it is a {said_word} one, and this source accepts {other_word} ones: it was most likely signed \
             with the {said_word} secret."
        );
        let advice = format!(
            "Take this URL out of the {said_word} mode of the provider's dashboard, or configure a source of its own for it, \
             with `accept = \"{said_word}\"` and the {said_word} secret."
        );
        Some(Finding::new(traffic(said), text, advice))
    }

    fn wrong(&self, refusal: &Refusal) -> Finding {
        let what = match refusal {
            Refusal::SecretMismatch { place } => format!("What stands in {place} is not the configured secret"),
            Refusal::SignatureMismatch { .. }
            | Refusal::SignatureMissing { .. }
            | Refusal::NoWayFits { .. }
            | Refusal::SignatureMalformed { .. }
            | Refusal::PartMissing { .. }
            | Refusal::FieldRepeated
            | Refusal::TimestampMalformed
            | Refusal::TimestampStale { .. }
            | Refusal::TimestampAhead { .. }
            | Refusal::CertificateRefused { .. }
            | Refusal::CertificateUnavailable { .. }
            | Refusal::PathToken
            | Refusal::AddressNotAllowed => "No configured secret made this signature".to_owned(),
        };
        let scheme = &self.source.pack.scheme;
        let mut tried = String::new();
        if self.has_body {
            tried.push_str("; nor is it that of another source, or a miscopied one");
            if scheme.binds_body_of(&self.source.keys, self.request) {
                tried.push_str("; nor does any likely change of the body explain it");
            }
            if scheme.signs_url() {
                tried.push_str("; nor any likely change of the URL");
            }
        }
        let text = format!("{what}{tried}.");
        let advice = if self.source.pack.scheme.shares_secret() {
            format!(
                "Copy the secret of exactly this endpoint (and of its live or test mode) from the provider's dashboard into {}; \
                 during a rotation name both. If most requests are accepted and this one is not, it was \
                 forged, and nothing is to be done.",
                self.secrets_key()
            )
        } else {
            format!(
                "Copy the provider's public key for this endpoint into {}. If other requests are accepted, this one was forged.",
                self.secrets_key()
            )
        };
        Finding::new(Code::SecretWrong, text, advice)
    }
}

/// The only mode that a source accepts.
fn only_mode(source: &Source) -> Option<Mode> {
    match (source.accepts(Mode::Live), source.accepts(Mode::Test)) {
        (true, false) => Some(Mode::Live),
        (false, true) => Some(Mode::Test),
        (true, true) | (false, false) => None,
    }
}

fn word(mode: Mode) -> &'static str {
    match mode {
        Mode::Live => "live",
        Mode::Test => "test",
    }
}

fn traffic(mode: Mode) -> Code {
    match mode {
        Mode::Live => Code::LiveTraffic,
        Mode::Test => Code::TestTraffic,
    }
}
