//! All ways in which a provider signs, checked, and the one question: is this request genuine?

use std::collections::BTreeSet;

use super::Verified;
use super::alternative::{Alternative, BASIC};
use super::check::{self, alternative};
use super::input::Input;
use super::keys::{KeyFault, Keys, Secrets};
use super::public::Chain;
use super::refusal::{Refusal, Refused};
use super::signature::Spot;
use super::spec::{Covers, SchemeName, Spec};
use super::timestamp::StampPlace;
use super::token::What;
use crate::domain::{Faults, Request};
use crate::envelope::{Envelope, Shape};

pub(crate) use check::is_header_name;

/// How a provider signs, checked and ready to judge requests.
#[derive(Debug, Clone)]
pub struct Scheme {
    pub(super) alternatives: Vec<Alternative>,
    pub(super) envelope: Envelope,
    pub(super) shape: Shape,
}

impl Scheme {
    /// Checks the `[verify]` tables of a pack. Faults carry `file` and the key.
    ///
    /// # Errors
    /// Every fault that was found.
    pub fn new(specs: &[Spec], envelope: &Envelope, file: &str) -> Result<Self, Faults> {
        let mut faults = Faults::default();
        if specs.is_empty() {
            faults.add(file, "verify", "names no way to verify anything");
        }
        let mut alternatives = Vec::new();
        for (index, spec) in specs.iter().enumerate() {
            let key = if specs.len() == 1 { "verify".to_owned() } else { format!("verify[{index}]") };
            if (specs.len() > 1) != spec.name.is_some() {
                let cause = "must be there exactly where there are several [[verify]]";
                faults.add(file, format!("{key}.name"), cause);
            }
            alternatives.push(alternative(spec, envelope, file, &key, &mut faults));
        }
        check_downgrade(&alternatives, file, &mut faults);
        let is_whole = alternatives.iter().any(Alternative::needs_whole_body);
        let shape = if is_whole { Shape::whole() } else { Shape::of(alternatives.iter().flat_map(Alternative::paths)) };
        faults.or(Self { alternatives, envelope: envelope.clone(), shape })
    }

    /// The keys of a source's secrets under this scheme.
    ///
    /// # Errors
    /// Every secret that is missing or cannot be a key.
    pub fn keys(&self, secrets: Secrets) -> Result<Keys, Vec<KeyFault>> {
        let mut faults = Vec::new();
        let alternatives: Vec<_> = self.alternatives.iter().map(|way| way.keys(&secrets, &mut faults)).collect();
        for (name, _) in secrets.named.iter().filter(|(_, secret)| secret.is_blank()) {
            faults.push(KeyFault { key: format!("named_secrets.{name}"), cause: "the secret is empty".to_owned() });
        }
        if faults.is_empty() && alternatives.iter().all(Option::is_none) {
            let ways: Vec<String> = self.alternatives.iter().map(needed).collect();
            let cause = format!("without {} nothing can be verified", ways.join(", or "));
            faults.push(KeyFault { key: "secrets".to_owned(), cause });
        }
        if faults.is_empty() { Ok(Keys { secrets, alternatives }) } else { Err(faults) }
    }

    /// The one door to [`Verified`]: judges a request as of its receipt and takes it. What is a secret in it is not kept.
    /// `certificate` is what stands at [`Scheme::certificate_url`].
    ///
    /// # Errors
    /// The part that disagreed.
    pub fn verify(&self, keys: &Keys, request: Request, certificate: Option<&Chain>) -> Result<Verified, Refusal> {
        self.take(keys, request, certificate).map_err(|refused| refused.refusal)
    }

    /// [`Scheme::verify`] for a caller that wants a refused request back, as it was.
    ///
    /// # Errors
    /// The part that disagreed, with the request.
    pub fn take(&self, keys: &Keys, mut request: Request, certificate: Option<&Chain>) -> Result<Verified, Box<Refused>> {
        if let Err(refusal) = self.judge(keys, &request, certificate) {
            return Err(Box::new(Refused { request, refusal }));
        }
        for spot in self.alternatives.iter().filter_map(Alternative::secret_spot) {
            match spot {
                Spot::Header(name) if request.headers.all(name).next().is_some() => request.headers.set(name, "[redacted]"),
                Spot::Query(_) if request.query.is_some() => spot.write(&mut request, "[redacted]"),
                // The body is kept byte for byte.
                Spot::Header(_) | Spot::Query(_) | Spot::Form(_) | Spot::Json(_) => {}
            }
        }
        if let (Some(url), Some(token)) = (&request.url, &keys.secrets.path_token) {
            request.url = Some(url.replace(token.expose(), "[redacted]"));
        }
        request.path_token = None;
        request.peer = None;
        Ok(Verified(request))
    }

    /// Judges a request as of its receipt, without taking it.
    ///
    /// # Errors
    /// The part that disagreed.
    pub fn judge(&self, keys: &Keys, request: &Request, certificate: Option<&Chain>) -> Result<(), Refusal> {
        keys.admit(request)?;
        self.judge_signature(keys, request, certificate)
    }

    /// [`Scheme::judge`] without the source's own door. Only an explanation asks so; it makes no [`Verified`].
    ///
    /// # Errors
    /// The part that disagreed.
    pub(crate) fn judge_signature(&self, keys: &Keys, request: &Request, certificate: Option<&Chain>) -> Result<(), Refusal> {
        let input = Input::new(request, &self.envelope, &self.shape);
        let (way, index) = self.choose(keys, &input)?;
        if way.scheme == SchemeName::Unsigned && !keys.has_door() {
            return Err(Refusal::PathToken); // such keys cannot be made; nothing unsigned passes by an omission of ours either
        }
        way.judge(keys, keys.alternatives[index].as_deref().unwrap_or_default(), &input, certificate)
    }

    /// The URL of the certificate by which the request is to be judged, where its scheme needs one.
    ///
    /// # Errors
    /// The request names none that may be looked at.
    pub fn certificate_url(&self, keys: &Keys, request: &Request) -> Result<Option<String>, Refusal> {
        if self.alternatives.iter().all(|way| way.certificate.is_none()) {
            return Ok(None);
        }
        keys.admit(request)?;
        let input = Input::new(request, &self.envelope, &self.shape);
        let (way, _) = self.choose(keys, &input)?;
        if let Some(place) = way.place.as_ref().filter(|_| way.certificate.is_some()) {
            place.candidates(input.view(), &keys.secrets.named)?; // nothing is fetched for what is not even signed
        }
        way.certificate_url(request)
    }

    /// The first way for which there are secrets and whose guard holds; no other is tried.
    pub(super) fn choose(&self, keys: &Keys, input: &Input<'_>) -> Result<(&Alternative, usize), Refusal> {
        let usable = || self.alternatives.iter().enumerate().filter(|(index, _)| keys.alternatives[*index].is_some());
        let found = usable().find(|(_, way)| way.fits(input)).map(|(index, way)| (way, index));
        found.ok_or_else(|| {
            let names: Vec<&str> = usable().filter_map(|(_, way)| way.name.as_deref()).collect();
            Refusal::NoWayFits { ways: names.join(", ") }
        })
    }

    /// What every way binds, at least.
    pub fn covers(&self) -> Covers {
        self.alternatives.iter().map(|way| way.covers).min().unwrap_or(Covers::Nothing)
    }

    /// True where some way has no signature at all.
    pub fn is_unsigned(&self) -> bool {
        self.alternatives.iter().any(|way| way.scheme == SchemeName::Unsigned)
    }

    /// The networks from which the provider says it sends, where it does not sign.
    pub fn published_ips(&self) -> impl Iterator<Item = &str> {
        self.alternatives.iter().flat_map(|way| &way.ips).map(String::as_str)
    }

    /// True where every way binds this header, and no part of it could as well belong to its neighbour.
    pub fn signs_header(&self, name: &str) -> bool {
        let binds =
            |way: &Alternative| !way.signed.is_empty() && way.signed.iter().all(|template| template.isolates_header(name));
        self.alternatives.iter().all(binds)
    }

    /// True where every way binds this value of the query.
    pub fn signs_query(&self, name: &str) -> bool {
        self.binds(|what| matches!(what, What::Query(known) if known == name))
    }

    /// True where every way binds this field of the body, or all of it. A scheme that binds nothing believes its sender whole.
    pub fn signs_path(&self, path: &str) -> bool {
        let binds = |way: &Alternative, what: &What| match what.body_path() {
            Some(known) => known == path,
            None => matches!(what, What::BodyCrc32 | What::Fields) && !way.leaves_out(path),
        };
        self.alternatives.iter().all(|way| match way.covers {
            Covers::Body | Covers::Nothing => !way.leaves_out(path),
            Covers::Fields => way.signed.iter().all(|template| template.tokens().iter().any(|token| binds(way, &token.what))),
        })
    }

    /// True where every way binds what stands at this path of the whole document.
    pub fn signs_root_path(&self, path: &str) -> bool {
        self.alternatives.iter().all(|way| way.each.is_none()) && self.signs_path(path)
    }

    /// The paths to items that are signed one by one, of each way that binds only such items or only some fields.
    pub fn item_paths(&self) -> Vec<Option<&str>> {
        let ways = self.alternatives.iter().filter(|way| way.covers == Covers::Fields || way.each.is_some());
        ways.map(|way| way.each.as_ref().map(|each| &**each.text())).collect()
    }

    fn binds(&self, is_wanted: impl Fn(&What) -> bool) -> bool {
        let binds = |way: &Alternative| {
            !way.signed.is_empty()
                && way.signed.iter().all(|template| template.tokens().iter().any(|token| is_wanted(&token.what)))
        };
        self.alternatives.iter().all(binds)
    }

    /// True where the provider signs the URL that it was given.
    pub fn signs_url(&self) -> bool {
        self.alternatives.iter().any(|way| way.tokens().any(|what| matches!(what, What::Url | What::UrlPath)))
    }

    /// The headers that hold a signature or the time of signing, which are new in every retry.
    pub fn own_headers(&self) -> BTreeSet<&str> {
        self.own_spots().filter_map(|spot| if let Spot::Header(name) = spot { Some(name.as_str()) } else { None }).collect()
    }

    /// The values of the query that hold a signature or the time of signing.
    pub fn own_queries(&self) -> BTreeSet<&str> {
        self.own_spots().filter_map(|spot| if let Spot::Query(name) = spot { Some(name.as_str()) } else { None }).collect()
    }

    fn own_spots(&self) -> impl Iterator<Item = &Spot> {
        let places = self.alternatives.iter().filter_map(|way| way.place.as_ref()).map(|place| &place.spot);
        let stamps = self.alternatives.iter().filter_map(|way| match &way.timestamp.as_ref()?.place {
            StampPlace::Spot(spot) => Some(spot),
            StampPlace::Member(_) | StampPlace::Position(_) => None,
        });
        places.chain(stamps)
    }

    /// The named secrets that some way can use, and whether every way needs them.
    pub fn named_secrets(&self) -> BTreeSet<String> {
        let also = self.alternatives.iter().any(|way| way.also_basic).then(|| BASIC.map(str::to_owned));
        self.alternatives.iter().flat_map(Alternative::named_secrets).chain(also.into_iter().flatten()).collect()
    }

    /// What a source must have to go the first way, which is the one to prefer: `secrets` and names of named secrets.
    pub fn first_needs(&self) -> BTreeSet<String> {
        let first = self.alternatives.first();
        let own = first.is_some_and(|way| way.secret.is_none() && way.uses_own_secret()).then(|| "secrets".to_owned());
        first.into_iter().flat_map(Alternative::named_secrets).chain(own).collect()
    }

    /// True where some way uses the source's unnamed secrets.
    pub fn uses_unnamed_secrets(&self) -> bool {
        self.alternatives.iter().any(|way| way.secret.is_none() && way.uses_own_secret())
    }

    /// One sentence for each way, for people.
    pub fn describe(&self) -> Vec<String> {
        let named = |way: &Alternative| match &way.name {
            Some(name) => format!("{name}: {}", way.describe()),
            None => way.describe(),
        };
        self.alternatives.iter().map(named).collect()
    }

    /// The families of its ways, for listings.
    pub fn families(&self) -> Vec<&'static str> {
        let mut names: Vec<&str> = self.alternatives.iter().map(|way| way.scheme.as_str()).collect();
        names.dedup();
        names
    }
}

/// Who was given the secret of one way must not be able to go another that binds less.
fn check_downgrade(alternatives: &[Alternative], file: &str, faults: &mut Faults) {
    for (index, one) in alternatives.iter().enumerate() {
        for stronger in alternatives.iter().filter(|other| one.covers < other.covers) {
            if one.needs().is_subset(&stronger.needs()) {
                let [weak, strong] = [one, stronger].map(|way| way.name.clone().unwrap_or_default());
                let cause = format!("{weak} binds less than {strong} and needs no secret that {strong} does not take as well");
                faults.add(file, format!("verify[{index}]"), cause);
            }
        }
        let is_last = index + 1 == alternatives.len();
        if one.guard.is_none()
            && !is_last
            && one.secret.is_none()
            && alternatives[index + 1..].iter().all(|way| way.secret.is_none())
        {
            faults.add(file, format!("verify[{index}].when"), "is missing: no later way would ever be gone");
        }
    }
}

/// What a source must bring for a way.
fn needed(way: &Alternative) -> String {
    if way.scheme == SchemeName::Unsigned {
        return "path_token or allow_ips (this provider does not sign)".to_owned();
    }
    let own = (way.secret.is_none() && way.uses_own_secret()).then(|| "secrets".to_owned());
    let named = way.named_secrets().into_iter().map(|name| format!("named_secrets.{name}"));
    own.into_iter().chain(named).collect::<Vec<_>>().join(" and ")
}
