//! From a `[verify]` table as written to a way that can be judged by: whatever is missing, superfluous or contradictory is a fault.

use std::net::IpAddr;

use ipnet::IpNet;

use super::alternative::{Alternative, Certificate, Cipher, Guard, Wanted};
use super::fields::Fields;
use super::signature::{Grammar, Label, Place, Spot};
use super::spec::{Also, Covers, Digest, Encoding, Format, GuardSpec, KeyForm, SchemeName, SignatureSpec, Spec, TimestampSpec};
use super::template::Template;
use super::timestamp::{Stamp, StampPlace};
use super::token::What;
use crate::domain::Faults;
use crate::envelope::{Envelope, Path};

/// Where faults of one table go.
struct Desk<'a> {
    file: &'a str,
    key: &'a str,
    faults: &'a mut Faults,
}

impl Desk<'_> {
    fn fault(&mut self, key: &str, cause: impl Into<String>) {
        let dot = if key.is_empty() { "" } else { "." };
        self.faults.add(self.file, format!("{}{dot}{key}", self.key), cause);
    }

    /// A key that the scheme needs, or must not have.
    fn settle<T>(&mut self, key: &str, value: Option<T>, is_needed: bool, scheme: SchemeName) -> Option<T> {
        match (&value, is_needed) {
            (None, true) => self.fault(key, format!("is missing: the scheme {} needs it", scheme.as_str())),
            (Some(_), false) => self.fault(key, format!("is of no use to the scheme {}", scheme.as_str())),
            (Some(_), true) | (None, false) => {}
        }
        value.filter(|_| is_needed)
    }
}

/// Checks one table; `key` is `verify` or `verify[1]`.
pub(super) fn alternative(spec: &Spec, envelope: &Envelope, file: &str, key: &str, faults: &mut Faults) -> Alternative {
    let mut desk = Desk { file, key, faults };
    let scheme = spec.scheme;
    let needs = Needs::of(scheme);
    let digest = desk.settle("digest", spec.digest, needs.digest, scheme);
    let encodings = desk.settle("encoding", spec.encoding.clone(), needs.encoding, scheme).unwrap_or_default().0;
    let forms = desk.settle("keys", spec.keys.clone(), needs.keys, scheme).unwrap_or_default();
    let signed = desk.settle("signed", spec.signed.clone(), needs.signed, scheme).unwrap_or_default().0;
    let signature = desk.settle("signature", spec.signature.clone(), needs.signature, scheme);
    let certificate = desk.settle("certificate", spec.certificate.clone(), scheme == SchemeName::Certificate, scheme);
    let cipher = desk.settle("cipher", spec.cipher.clone(), scheme == SchemeName::EncryptedHash, scheme);
    let ips = desk.settle("ips", spec.ips.clone(), scheme == SchemeName::Unsigned, scheme).unwrap_or_default();
    for (index, _) in ips.iter().enumerate().filter(|(_, net)| net.parse::<IpNet>().is_err() && net.parse::<IpAddr>().is_err()) {
        desk.fault(&format!("ips[{index}]"), "is not a network such as 192.0.2.0/24");
    }
    if needs.keys && forms.is_empty() && spec.keys.is_some() {
        desk.fault("keys", "name at least one form, such as \"utf8\"");
    }
    check_forms(scheme, digest, &forms, &mut desk);
    let signed: Vec<Template> =
        signed.iter().filter_map(|text| Template::parse(text).map_err(|cause| desk.fault("signed", cause)).ok()).collect();
    let fields = spec.fields.as_ref().and_then(|fields| Fields::new(fields).map_err(|cause| desk.fault("fields", cause)).ok());
    let place = signature.and_then(|spec| place(&spec, encodings, scheme, &mut desk));
    let each = spec.each.as_ref().and_then(|text| Path::parse(text).map_err(|cause| desk.fault("each", cause)).ok());
    let timestamp = spec.timestamp.as_ref().and_then(|stamp| self::stamp(stamp, spec.signature.as_ref(), &mut desk));
    let cipher = cipher.and_then(|cipher| match cipher.iv.as_bytes().try_into() {
        Ok(iv) => Some(Cipher { iv, salt_chars: cipher.salt_chars }),
        Err(_) => {
            desk.fault("cipher.iv", "must be 16 characters");
            None
        }
    });
    if let Some(certificate) = &certificate {
        if certificate.names.is_empty() {
            desk.fault("certificate.names", "names nobody, so any certificate of the web would do");
        }
        if !certificate.host.contains('.') || certificate.host.starts_with('.') {
            desk.fault("certificate.host", "is not a domain such as example.com");
        }
    }
    let certificate = certificate.map(|certificate| Certificate {
        header: certificate.header.to_ascii_lowercase(),
        host: certificate.host.to_ascii_lowercase(),
        names: certificate.names,
    });
    let guard = spec.when.as_ref().and_then(|when| guard(when, &mut desk));
    let alternative = Alternative {
        name: spec.name.clone(),
        guard,
        scheme,
        covers: spec.covers,
        digest: digest.unwrap_or(Digest::Sha256),
        forms,
        secret: spec.secret.clone(),
        signed,
        fields,
        each,
        place,
        timestamp,
        also_basic: spec.also == Some(Also::Basic),
        certificate,
        cipher,
        ips,
    };
    check_tokens(&alternative, spec, envelope, &mut desk);
    check_covers(&alternative, envelope, &mut desk);
    alternative
}

/// Which keys a scheme needs.
struct Needs {
    digest: bool,
    encoding: bool,
    keys: bool,
    signed: bool,
    signature: bool,
}

impl Needs {
    fn of(scheme: SchemeName) -> Self {
        let (digest, encoding, keys, signed, signature) = match scheme {
            SchemeName::Hmac | SchemeName::Rsa | SchemeName::EcdsaP256 | SchemeName::EncryptedHash => {
                (true, true, true, true, true)
            }
            SchemeName::Ed25519 => (false, true, true, true, true),
            SchemeName::Hash | SchemeName::Certificate => (true, true, false, true, true),
            SchemeName::Equal => (false, false, false, false, true),
            SchemeName::Basic | SchemeName::Unsigned => (false, false, false, false, false),
        };
        Self { digest, encoding, keys, signed, signature }
    }
}

fn check_forms(scheme: SchemeName, digest: Option<Digest>, forms: &[KeyForm], desk: &mut Desk<'_>) {
    let is_public = |form: &KeyForm| matches!(form, KeyForm::Pem | KeyForm::WhpkBase64);
    let needs_public = matches!(scheme, SchemeName::Rsa | SchemeName::EcdsaP256 | SchemeName::Ed25519);
    if forms.iter().any(|form| is_public(form) != needs_public) {
        let right = if needs_public { "this scheme takes public keys: \"pem\"" } else { "public keys are of no use here" };
        desk.fault("keys", right);
    }
    let fits = match scheme {
        SchemeName::Rsa => matches!(digest, None | Some(Digest::Sha1 | Digest::Sha256)),
        SchemeName::EcdsaP256 | SchemeName::Certificate => matches!(digest, None | Some(Digest::Sha256)),
        SchemeName::Hmac
        | SchemeName::Hash
        | SchemeName::Ed25519
        | SchemeName::EncryptedHash
        | SchemeName::Equal
        | SchemeName::Basic
        | SchemeName::Unsigned => true,
    };
    if !fits {
        desk.fault("digest", format!("the scheme {} does not work with this hash", scheme.as_str()));
    }
}

/// What the tokens of `signed` need, and what needs them.
fn check_tokens(alternative: &Alternative, spec: &Spec, envelope: &Envelope, desk: &mut Desk<'_>) {
    let has = |wanted: fn(&What) -> bool| alternative.tokens().any(wanted);
    let everywhere = |wanted: fn(&What) -> bool| {
        alternative.signed.iter().all(|template| template.firm_tokens().any(|token| wanted(&token.what)))
    };
    let is_secret = |what: &What| matches!(what, What::Secret(_));
    let is_own = |what: &What| matches!(what, What::Secret(_) | What::Url | What::UrlPath | What::PathToken);
    let pairs = [
        ("timestamp", has(|what| matches!(what, What::Timestamp)), spec.timestamp.is_some()),
        ("fields", has(|what| matches!(what, What::Fields)), spec.fields.is_some()),
        ("cipher", has(|what| matches!(what, What::Salt)), spec.cipher.is_some()),
    ];
    for (key, is_used, is_there) in pairs {
        match (is_used, is_there) {
            (true, false) => desk.fault(key, "is missing, though verify.signed holds its token"),
            (false, true) => desk.fault(key, "is useless unless verify.signed holds its token: anyone could change it"),
            (true, true) | (false, false) => {}
        }
    }
    if has(|what| matches!(what, What::Now(_) | What::Hmac)) {
        desk.fault("signed", "{now:…} and {hmac} belong to [reply]");
    }
    if alternative.scheme == SchemeName::Hash && !everywhere(is_secret) {
        desk.fault("signed", "does not always hold a {secret}, so anyone could make this hash");
    }
    if spec.timestamp.is_some() && !everywhere(|what| matches!(what, What::Timestamp)) {
        desk.fault("signed", "does not always hold {timestamp}, so anyone could change it");
    }
    if alternative.scheme == SchemeName::Certificate && !everywhere(is_own) {
        desk.fault("signed", "holds nothing of the source's own ({secret}, {url}), so it would believe what is meant for others");
    }
    if alternative.scheme == SchemeName::Certificate && alternative.secret.is_some() {
        desk.fault("secret", "is of no use to the scheme certificate");
    }
    let looks_at_form = alternative.looks_at_form() || matches!(&alternative.guard, Some(Guard { spot: Spot::Form(_), .. }));
    if looks_at_form && !envelope.may_be_form() {
        desk.fault("", "looks at fields of a form, so [envelope] must have format = \"form\" or \"auto\"");
    }
    if let Some(place) = &alternative.place
        && alternative.each.is_some()
        && !matches!(place.spot, Spot::Json(_))
    {
        desk.fault("each", "needs signature.json: each item carries its own signature");
    }
}

/// `covers` must be true.
fn check_covers(alternative: &Alternative, envelope: &Envelope, desk: &mut Desk<'_>) {
    let own = match alternative.place.as_ref().map(|place| &place.spot) {
        Some(Spot::Form(key)) => vec![key.clone()],
        Some(Spot::Json(path)) => {
            path.plain_names().and_then(|names| names.last().map(|name| (*name).to_owned())).into_iter().collect()
        }
        Some(Spot::Header(_) | Spot::Query(_)) | None => vec![],
    };
    let leaves_out_more = |fields: &Fields| fields.excluded().iter().any(|name| !own.contains(name));
    let is_whole_fields = alternative.fields.as_ref().is_some_and(|fields| fields.is_whole() && !leaves_out_more(fields));
    let is_inner = |what: &What| matches!(what, What::Form(key) if envelope.inner_field() == Some(key));
    // 32 bits can be met by another body: they bind what they are computed from no better than fields do.
    let is_weak = |what: &What| matches!(what, What::BodyCrc32) || (!is_whole_fields && matches!(what, What::Fields));
    let is_body = |what: &What| (what.is_body() && !is_weak(what)) || is_inner(what);
    let is_field = |what: &What| is_weak(what) || matches!(what, What::Json(_) | What::Form(_) | What::Query(_));
    let signs = !alternative.signed.is_empty();
    let holds_body_once = |template: &Template| {
        let firm = template.firm_tokens().filter(|token| is_body(&token.what)).count();
        let all = template.tokens().into_iter().filter(|token| is_body(&token.what)).count();
        firm == 1 && all == 1
    };
    let count = |template: &Template, wanted: &dyn Fn(&What) -> bool| {
        template.tokens().into_iter().filter(|token| wanted(&token.what)).count()
    };
    match alternative.covers {
        Covers::Body if signs && alternative.signed.iter().any(|template| !holds_body_once(template)) => {
            desk.fault("signed", "must hold {body} exactly once, or a body could be changed unseen");
        }
        Covers::Fields if alternative.signed.iter().any(|template| count(template, &is_body) > 0) => {
            desk.fault("covers", "is \"body\" where signed holds the body");
        }
        Covers::Fields if alternative.signed.iter().any(|template| count(template, &is_field) == 0) => {
            desk.fault("signed", "names no field of the request, so it covers \"nothing\"");
        }
        Covers::Nothing if alternative.tokens().any(|what| is_body(what) || is_field(what)) => {
            desk.fault("covers", "is \"fields\" or \"body\" where signed holds them");
        }
        Covers::Body | Covers::Fields | Covers::Nothing => {}
    }
    let may_cover_nothing =
        matches!(alternative.scheme, SchemeName::Hash | SchemeName::Equal | SchemeName::Basic | SchemeName::Unsigned);
    let may_cover_more = !matches!(alternative.scheme, SchemeName::Equal | SchemeName::Basic | SchemeName::Unsigned);
    if (alternative.covers == Covers::Nothing && !may_cover_nothing) || (alternative.covers != Covers::Nothing && !may_cover_more)
    {
        let cause = format!("a {} signature cannot cover \"{}\"", alternative.scheme.as_str(), alternative.covers.as_str());
        desk.fault("covers", cause);
    }
}

/// Exactly one of four places.
fn spot(
    header: Option<&String>,
    query: Option<&String>,
    form: Option<&String>,
    json: Option<&String>,
) -> Result<Option<Spot>, String> {
    match (header, query, form, json) {
        (Some(name), None, None, None) if is_header_name(name) => Ok(Some(Spot::Header(name.to_ascii_lowercase()))),
        (Some(_), None, None, None) => Err("header is not a header name".to_owned()),
        (None, Some(name), None, None) => Ok(Some(Spot::Query(name.clone()))),
        (None, None, Some(key), None) => Ok(Some(Spot::Form(key.clone()))),
        (None, None, None, Some(path)) => Path::parse(path).map(|path| Some(Spot::Json(path))),
        (None, None, None, None) => Ok(None),
        (_, _, _, _) => Err("give exactly one place".to_owned()),
    }
}

fn guard(spec: &GuardSpec, desk: &mut Desk<'_>) -> Option<Guard> {
    let found = spot(spec.header.as_ref(), spec.query.as_ref(), spec.form.as_ref(), spec.json.as_ref());
    let spot = match found {
        Ok(Some(spot)) => spot,
        Ok(None) => {
            desk.fault("when", "names no place: give header, query, form or json");
            return None;
        }
        Err(cause) => {
            desk.fault("when", cause);
            return None;
        }
    };
    let wanted = match (&spec.is, spec.exists) {
        (Some(values), None) => Wanted::Is(values.clone()),
        (None, Some(exists)) => Wanted::Exists(exists),
        (Some(_), Some(_)) | (None, None) => {
            desk.fault("when", "give exactly one of is and exists");
            return None;
        }
    };
    Some(Guard { spot, wanted })
}

fn place(spec: &SignatureSpec, encodings: Vec<Encoding>, scheme: SchemeName, desk: &mut Desk<'_>) -> Option<Place> {
    let spot = match spot(spec.header.as_ref(), spec.query.as_ref(), spec.form.as_ref(), spec.json.as_ref()) {
        Ok(Some(spot)) => spot,
        Ok(None) => {
            desk.fault("signature", "names no place: give header, query, form or json");
            return None;
        }
        Err(cause) => {
            desk.fault("signature", cause);
            return None;
        }
    };
    if scheme == SchemeName::Equal && spec.format != Format::Plain {
        desk.fault("signature.format", "the scheme equal takes the value as it is: \"plain\"");
    }
    let grammar = grammar(spec, desk)?;
    Some(Place { spot, grammar, encodings })
}

fn grammar(spec: &SignatureSpec, desk: &mut Desk<'_>) -> Option<Grammar> {
    let format = spec.format;
    let takes = |key: &str| match key {
        "separator" => true,
        "inside" => matches!(format, Format::Pairs | Format::Triples),
        "label" => matches!(format, Format::Pairs | Format::Versions | Format::Triples),
        "prefix" => format == Format::Plain,
        _ => format == Format::Positional,
    };
    let given = [
        ("inside", spec.inside.is_some()),
        ("label", spec.label.is_some()),
        ("prefix", spec.prefix.is_some()),
        ("first", spec.first.is_some()),
    ];
    for (key, _) in given.into_iter().filter(|(key, is_given)| *is_given && !takes(key)) {
        desk.fault(&format!("signature.{key}"), "is of no use to this format");
    }
    let labels: Vec<String> = spec.label.clone().unwrap_or_default().0.into_iter().filter(|label| !label.is_empty()).collect();
    let mut need = |key: &str, is_there: bool| {
        if !is_there {
            desk.fault(&format!("signature.{key}"), "is missing: this format needs it");
        }
        is_there.then_some(())
    };
    let grammar = match format {
        Format::Plain => Grammar::Plain { prefix: spec.prefix.clone().unwrap_or_default(), separator: spec.separator },
        Format::Pairs | Format::Versions => {
            let all = [need("separator", spec.separator.is_some()), need("label", !labels.is_empty())];
            all.into_iter().collect::<Option<Vec<()>>>()?;
            let inside = if format == Format::Versions { ',' } else { spec.inside.unwrap_or('=') };
            let label = |text: &String| match text.strip_prefix("{secret:").and_then(|rest| rest.strip_suffix('}')) {
                Some(name) => Label::Secret(name.to_owned()),
                None => Label::Text(text.clone()),
            };
            Grammar::Members { between: spec.separator?, inside, labels: labels.iter().map(label).collect() }
        }
        Format::Positional => {
            let all = [need("separator", spec.separator.is_some()), need("first", spec.first.is_some())];
            all.into_iter().collect::<Option<Vec<()>>>()?;
            Grammar::Positional { between: spec.separator?, first: spec.first? }
        }
        Format::Triples => {
            let all = [
                need("separator", spec.separator.is_some()),
                need("inside", spec.inside.is_some()),
                need("label", labels.len() == 1),
            ];
            all.into_iter().collect::<Option<Vec<()>>>()?;
            Grammar::Triples { between: spec.separator?, inside: spec.inside?, label: labels.into_iter().next()? }
        }
    };
    if let Grammar::Members { between, inside, .. } | Grammar::Triples { between, inside, .. } = &grammar
        && between == inside
    {
        desk.fault("signature.separator", format!("{between} already stands inside a member"));
    }
    Some(grammar)
}

fn stamp(spec: &TimestampSpec, signature: Option<&SignatureSpec>, desk: &mut Desk<'_>) -> Option<Stamp> {
    let format = signature.map(|signature| signature.format);
    let spot = spot(spec.header.as_ref(), spec.query.as_ref(), None, spec.json.as_ref());
    let place = match (spot, &spec.label, spec.position) {
        (Ok(Some(spot)), None, None) => StampPlace::Spot(spot),
        (Ok(None), Some(label), None) if format == Some(Format::Pairs) => StampPlace::Member(label.clone()),
        (Ok(None), None, Some(position)) if format == Some(Format::Positional) => StampPlace::Position(position),
        (Ok(_), _, _) => {
            desk.fault("timestamp", "needs exactly one of header, query and json, or label (pairs), or position (positional)");
            return None;
        }
        (Err(cause), _, _) => {
            desk.fault("timestamp", cause);
            return None;
        }
    };
    Some(Stamp { place, unit: spec.unit, max_age_secs: spec.max_age_secs, max_ahead_secs: spec.max_ahead_secs })
}

/// True for a name that HTTP allows (RFC 9110, section 5.6.2, without the odd characters).
pub(crate) fn is_header_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}
