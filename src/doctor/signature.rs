//! Signatures that are missing, cannot be read, or are right at the wrong time; and certificates.

use super::{Case, Code, Finding};

/// So many headers that look like the one that is missing are named.
const SIMILAR_LIMIT: usize = 5;
/// No header of a provider has a longer name.
const NAME_LIMIT_BYTES: usize = 60;
/// What the name of a header that holds a signature usually contains.
const USUAL: [&str; 8] = ["signature", "hmac", "sign", "hash", "webhook", "digest", "authorization", "token"];
/// A clock that shows local time as UTC is off by whole hours, or by half of one; and seldom by more than a few seconds more.
const ZONE_STEP_SECS: i64 = 30 * 60;
const ZONE_NOISE_SECS: i64 = 60;

impl Case<'_> {
    pub(super) fn missing(&self) -> Vec<Finding> {
        let places = self.source.pack.scheme.signature_places(&self.source.keys).join(" or ");
        let title = &self.source.pack.about.title;
        if let Some(finding) = self.signed_for_other() {
            return vec![finding];
        }
        let similar = self.similar_headers();
        let (came, advice) = if similar.is_empty() {
            let advice = format!(
                "If it is {title} that sends: a proxy or a gateway dropped it, so let it pass all headers on. Else it was \
                 somebody else, and nothing is to be done."
            );
            ("Nothing like it came.".to_owned(), advice)
        } else {
            let advice = format!(
                "Compare what the provider says of its signature with `salebridge pack show {}`: another kind of webhook of \
                 {title}, or another provider, may have been given this URL; or a gateway renamed the header.",
                self.source.pack.name()
            );
            (format!("What came instead: {}.", similar.join(", ")), advice)
        };
        vec![Finding::new(
            Code::SignatureMissing,
            format!("The signature is missing: it is expected in {places}. {came}"),
            advice,
        )]
    }

    pub(super) fn malformed(&self, place: &str, why: &str) -> Vec<Finding> {
        if let Some(finding) = self.signed_for_other() {
            return vec![finding];
        }
        let text = format!(
            "There is something in {place}, but it is no signature as {} writes it: {why}.",
            self.source.pack.about.title
        );
        let advice = format!(
            "Compare it with `salebridge pack show {}`: another kind of webhook, or another provider, may have been given this \
             URL; or a gateway changed the header.",
            self.source.pack.name()
        );
        vec![Finding::new(Code::SignatureMalformed, text, advice)]
    }

    pub(super) fn part_missing(&self, part: &str) -> Vec<Finding> {
        if let Some(finding) = self.signed_for_other() {
            return vec![finding];
        }
        let text = format!("{} signs {part} as well, and the request lacks it.", self.source.pack.about.title);
        let advice = if part == "the URL" {
            format!("Set `public_url` of [server], or {}, to the URL that the provider was given.", self.key("url"))
        } else {
            "Let the proxy in front pass all headers, the query and the body on as they came.".to_owned()
        };
        vec![Finding::new(Code::PartMissing, text, advice)]
    }

    pub(super) fn field_repeated(&self) -> Finding {
        let text = "A field stands more than once in the form, so what is signed may not be what is read.";
        let advice = "This provider sends each field once: look for a proxy that adds fields. If nothing stands between, it was \
         forged, and nothing is to be done.";
        Finding::new(Code::FieldRepeated, text, advice)
    }

    pub(super) fn stale(&self, age_secs: i64, allowed_secs: u32) -> Finding {
        let text = format!(
            "The signature is right, but by the provider's clock it was made {age_secs} s before this machine's clock said that \
             it arrived; {allowed_secs} s are allowed{}.",
            zone(age_secs)
        );
        let advice = "Compare this machine's clock with the right time (`date -u`, NTP): if it is right, the request was held \
         back on its way, or somebody sent it a second time. Accepting it again does not help, because it is \
         judged as of its receipt; the provider signs anew when it sends it again.";
        Finding::new(Code::TimestampStale, text, advice)
    }

    pub(super) fn ahead(&self, ahead_secs: i64, allowed_secs: u32) -> Finding {
        let text = format!(
            "The signature is right, but by the provider's clock it was made {ahead_secs} s after this machine's clock said \
             that it arrived; {allowed_secs} s are allowed{}.",
            zone(ahead_secs)
        );
        let advice = "This machine's clock is slow: compare it with the right time (`date -u`) and let NTP keep it. The \
         provider then sends it again.";
        Finding::new(Code::TimestampAhead, text, advice)
    }

    pub(super) fn timestamp_malformed(&self) -> Finding {
        let text = format!("The signature is right, but its time is not written as {} writes it.", self.source.pack.about.title);
        let advice = format!(
            "Compare it with `salebridge pack show {}`: the provider may have a new version of its webhooks.",
            self.source.pack.name()
        );
        Finding::new(Code::TimestampMalformed, text, advice)
    }

    pub(super) fn certificate_refused(&self, why: &str) -> Finding {
        let text = format!("The certificate that the request names is not believed: {why}.");
        let advice = "A genuine request names a certificate of the provider: whoever sent this one is not it. If all requests \
         are refused so, compare this machine's clock with the right time (`date -u`).";
        Finding::new(Code::CertificateRefused, text, advice)
    }

    pub(super) fn certificate_unavailable(&self, why: &str) -> Finding {
        let text = format!("The certificate that the request names could not be had: {why}.");
        let advice = "The provider was asked to come back. If it lasts, let this machine reach the provider's host by HTTPS.";
        Finding::new(Code::CertificateUnavailable, text, advice)
    }

    /// The other source for which the request is signed, where it is.
    pub(super) fn signed_for_other(&self) -> Option<Finding> {
        if !self.has_body {
            return None;
        }
        let other = self.others.iter().find(|other| !self.is_same_pack(other) && self.is_made_by(other))?;
        let (name, pack) = (&other.name, &other.pack.about.title);
        let text = format!(
            "The request is signed as the source {name} ({pack}) expects it, but came to the URL of {}.",
            self.source.name
        );
        let advice = format!("In the dashboard of {pack}, set the URL that ends in {}.", Self::end_of(other));
        Some(Finding::new(Code::SignedForOther, text, advice))
    }

    /// Headers whose names look as if a signature stood in them, or like the one that is missing.
    fn similar_headers(&self) -> Vec<&str> {
        let expected = self.source.pack.scheme.private_headers();
        let words: Vec<&str> = expected.iter().flat_map(|name| name.split('-')).filter(|word| word.len() > 3).collect();
        let is_similar = |name: &str| USUAL.iter().chain(&words).any(|word| name.contains(word));
        let mut names: Vec<&str> = Vec::new();
        for (name, _) in self.request.headers.iter().filter(|(name, _)| name.len() <= NAME_LIMIT_BYTES && is_similar(name)) {
            if !names.contains(&name) && names.len() < SIMILAR_LIMIT {
                names.push(name);
            }
        }
        names
    }
}

/// What the size of a skew says.
fn zone(secs: i64) -> &'static str {
    let rest = secs.rem_euclid(ZONE_STEP_SECS);
    let is_near = secs >= ZONE_STEP_SECS - ZONE_NOISE_SECS && rest.min(ZONE_STEP_SECS - rest) <= ZONE_NOISE_SECS;
    if is_near && secs < 15 * 3600 {
        " (nearly whole or half hours: one of the two clocks may show local time as UTC)"
    } else {
        ""
    }
}

#[cfg(test)]
mod tests {
    use super::zone;

    #[test]
    fn whole_hours_point_at_a_time_zone() {
        for secs in [3600, 7200 + 59, 3600 - 59, 5 * 3600 + 1800] {
            assert!(!zone(secs).is_empty(), "{secs}");
        }
        for secs in [0, 59, 301, 3600 + 400, 86_400 * 3] {
            assert!(zone(secs).is_empty(), "{secs}");
        }
    }
}
