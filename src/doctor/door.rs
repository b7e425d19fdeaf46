//! The source's own door: its path token and its addresses. What the signature says stands beside it, because it tells whether the
//! provider itself was turned away.

use super::{Case, Code, Finding};
use crate::verify::Refusal;

impl Case<'_> {
    /// A finding about the door, and then what would have been found behind it.
    pub(super) fn by_the_door(&self, door: Finding) -> Vec<Finding> {
        let mut findings = vec![door];
        let scheme = &self.source.pack.scheme;
        if scheme.is_unsigned() || !self.has_body {
            return findings;
        }
        match scheme.judge_signature(&self.source.keys, self.request, self.certificate) {
            Ok(()) => findings[0].text.push_str(" Its signature is right, so it comes from the provider."),
            // The door is not asked again, and a certificate is not fetched for a stranger.
            Err(Refusal::PathToken | Refusal::AddressNotAllowed | Refusal::CertificateUnavailable { .. }) => {}
            Err(refusal) => findings.extend(self.findings(&refusal)),
        }
        findings
    }

    pub(super) fn path_token(&self) -> Finding {
        let name = &self.source.name;
        let advice = format!(
            "Give the provider the whole URL, which ends in /webhooks/{name}/ and the token: {}. If a proxy rewrites the path, \
             let it pass on as it is.",
            self.key("path_token")
        );
        if self.request.path_token.is_none() {
            let text = format!("The URL that was called ends in /webhooks/{name}, without the path token that this source has.");
            return Finding::new(Code::PathTokenMissing, text, advice);
        }
        match self.others.iter().find(|other| other.keys.has_path_token_of(self.request)) {
            Some(other) => {
                let text = format!(
                    "The URL that was called ends in the path token of the source {}, not in that of {name}.",
                    other.name
                );
                Finding::new(Code::PathTokenOfOther, text, advice)
            }
            None => {
                let text = format!("The URL that was called ends in another text than the path token of the source {name}.");
                Finding::new(Code::PathTokenWrong, text, advice)
            }
        }
    }

    pub(super) fn address(&self) -> Finding {
        let address = self.request.peer.map_or_else(|| "an address that cannot be read".to_owned(), |peer| peer.to_string());
        let is_forwarded =
            ["x-forwarded-for", "forwarded", "x-real-ip"].iter().any(|name| self.request.headers.all(name).next().is_some());
        let text = format!("The request comes from {address}, which is not among the addresses that this source allows.");
        let advice = if is_forwarded {
            format!(
                "A proxy forwarded it. If {address} is your own proxy, name its network in `trusted_proxies` of [server]; else \
                 add the provider's network to {}.",
                self.key("allow_ips")
            )
        } else {
            format!("If the provider sends from there (its documents list its networks), add it to {}.", self.key("allow_ips"))
        };
        Finding::new(Code::AddressNotAllowed, text, advice)
    }
}
