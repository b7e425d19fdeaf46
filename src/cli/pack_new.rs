//! `salebridge pack new`: a pack to begin with. It loads, and its cases pass; what is invented in it says so.

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, ValueEnum};

use super::print::Printer;
use super::{Answer, Failure};
use crate::domain::{Request, Timestamp};
use crate::pack::{Case, Folder, Pack, Source};

/// The clock of the cases.
const AT: &str = "2026-11-22T05:11:00Z";
/// The secret of the cases; of a form that every way takes.
const SECRET: &str = "whsec_c2VjcmV0LW9mLXRoZS1jYXNlcw==";

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Its name: lower-case letters, digits and hyphens
    name: String,
    /// The provider's name as it writes it
    #[arg(long)]
    title: Option<String>,
    /// The provider's page on webhooks
    #[arg(long, value_name = "URL")]
    docs: Option<String>,
    /// How the provider signs
    #[arg(long, value_enum)]
    scheme: Option<Way>,
    /// The header with the signature or the token
    #[arg(long, value_name = "NAME")]
    header: Option<String>,
    /// The folder in which the pack's folder is made
    #[arg(long, default_value = "providers", value_name = "DIR")]
    dir: PathBuf,
}

/// How a provider signs, as far as one can begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Way {
    /// HMAC-SHA256 of the body in hexadecimal
    Body,
    /// The same with the time before the body: `t=…,v1=…`
    Time,
    /// Standard Webhooks: webhook-id, webhook-timestamp, webhook-signature
    StandardWebhooks,
    /// A fixed token in a header
    Token,
    /// HTTP Basic
    Basic,
}

impl Way {
    fn default_header(self) -> &'static str {
        match self {
            Self::Body => "X-Signature",
            Self::Time => "Webhook-Signature",
            Self::StandardWebhooks => "webhook-signature",
            Self::Token => "X-Webhook-Token",
            Self::Basic => "Authorization",
        }
    }

    /// The tables of `[verify]`.
    fn verify(self, header: &str) -> String {
        let hmac = "[verify]\nscheme = \"hmac\"\ncovers = \"body\"\ndigest = \"sha256\"\n";
        match self {
            Self::Body => format!(
                "{hmac}encoding = \"hex\"\nkeys = [\"utf8\"]\nsigned = \"{{body}}\"\nsignature = {{ header = \"{header}\", format = \"plain\" }}\n"
            ),
            Self::Time => format!(
                "{hmac}encoding = \"hex\"\nkeys = [\"utf8\"]\nsigned = \"{{timestamp}}.{{body}}\"\n\
                 signature = {{ header = \"{header}\", format = \"pairs\", separator = \",\", label = \"v1\" }}\n\
                 timestamp = {{ label = \"t\", unit = \"seconds\", max_age_secs = 300, max_ahead_secs = 300 }}\n"
            ),
            Self::StandardWebhooks => format!(
                "{hmac}encoding = \"base64\"\nkeys = [\"whsec-base64\"]\nsigned = \"{{header:webhook-id}}.{{timestamp}}.{{body}}\"\n\
                 signature = {{ header = \"{header}\", format = \"versions\", separator = \" \", label = \"v1\" }}\n\
                 timestamp = {{ header = \"webhook-timestamp\", unit = \"seconds\", max_age_secs = 300, max_ahead_secs = 300 }}\n"
            ),
            Self::Token => format!(
                "[verify]\nscheme = \"equal\"\ncovers = \"nothing\" # the token does not bind the body\n\
                 signature = {{ header = \"{header}\", format = \"plain\" }}\n"
            ),
            Self::Basic => {
                "[verify]\nscheme = \"basic\"\ncovers = \"nothing\" # the password does not bind the body\n".to_owned()
            }
        }
    }

    /// The remarks of a case that hold its secrets.
    fn secrets(self) -> String {
        match self {
            Self::Basic => format!("# secret.username: shop\n# secret.password: {SECRET}\n"),
            Self::Body | Self::Time | Self::StandardWebhooks | Self::Token => format!("# secret: {SECRET}\n"),
        }
    }
}

pub(super) fn run(arguments: &Arguments, printer: &Printer) -> Answer {
    let name = &arguments.name;
    let folder = arguments.dir.join(name);
    if folder.exists() {
        return Err(Failure::Usage(format!("{}: is there already; nothing was changed", folder.display())));
    }
    let title = asked(arguments.title.clone(), "the provider's name as it writes it", name)?;
    let docs = asked(arguments.docs.clone(), "its page on webhooks", "https://example.com/webhooks")?;
    let way = match arguments.scheme {
        Some(way) => way,
        None => asked_way()?,
    };
    let header = asked(arguments.header.clone(), "the header with the signature or the token", way.default_header())?;
    let text = pack_toml(name, &title, &docs, way, &header);
    // Nothing is written that would not load.
    let pack = Pack::load(Folder::of(name, &arguments.dir.display().to_string(), &[("pack.toml", text.as_bytes())]))?;
    let files = files(&Arc::new(pack), &text, &title, way).map_err(Failure::No)?;
    for (file, bytes) in &files {
        write(&folder.join(file), bytes)?;
    }
    printer.line(format!("{}: made; it loads, and its cases pass: salebridge pack test {}", folder.display(), folder.display()));
    printer.line(
        "what to do now: put the provider's own bodies, signed by its own library, into cases/, and make pack.toml fit them",
    );
    printer.line("every key is explained in providers/README.md; pack_dirs in config.toml makes the bridge use it");
    Ok(())
}

fn write(path: &Path, bytes: &[u8]) -> Answer {
    let fault = |error: std::io::Error| Failure::Usage(format!("{}: cannot be written: {error}", path.display()));
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(fault)?;
    }
    std::fs::write(path, bytes).map_err(fault)
}

/// What a flag says, else what a person answers, else the default.
fn asked(given: Option<String>, question: &str, default: &str) -> Result<String, Failure> {
    match given {
        Some(given) => Ok(given),
        None if !std::io::stdin().is_terminal() => Ok(default.to_owned()),
        None => {
            let unreadable = |error: std::io::Error| Failure::No(format!("no answer could be read: {error}"));
            let mut output = std::io::stderr();
            write!(output, "{question} [{default}]: ").and_then(|()| output.flush()).map_err(unreadable)?;
            let mut line = String::new();
            std::io::stdin().lock().read_line(&mut line).map_err(unreadable)?;
            let line = line.trim();
            Ok(if line.is_empty() { default.to_owned() } else { line.to_owned() })
        }
    }
}

fn asked_way() -> Result<Way, Failure> {
    let names: Vec<String> =
        Way::value_variants().iter().filter_map(|way| Some(way.to_possible_value()?.get_name().to_owned())).collect();
    let answer = asked(None, &format!("how it signs ({})", names.join(", ")), "body")?;
    Way::from_str(&answer, true).map_err(|_| Failure::Usage(format!("{answer} is not one of {}", names.join(", "))))
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

fn pack_toml(name: &str, title: &str, docs: &str, way: Way, header: &str) -> String {
    let verify = way.verify(header);
    let (title_text, docs_text) = (quoted(title), quoted(docs));
    format!(
        r#"# {title}. What each table means: providers/README.md. Where the facts come from: README.md beside this file.

[pack]
name = "{name}"
title = {title_text}
docs = {docs_text}
subscribe = ["payment.paid", "payment.refunded"]
evidence = "unverified" # "vendor" once the scheme and the fields are from the vendor's documents or code

{verify}
[event]
type = "$.type"
id = "$.id" # leave it out if you are not sure that it is new for every event
at = {{ paths = ["$.created_at"], form = "auto" }}
# mode = {{ paths = ["$.livemode"], test = ["false"] }} # where the provider flags its sandbox

[reads]
customer = ["$.data.customer.id"]
metadata = ["$.data.metadata['{{key}}']"]
email = ["$.data.customer.email"]
name = [["$.data.customer.name"]]

[keys]
identifying = ["payment"]
globally_unique = false # true only if the provider's ids are unique in the world

# The money. First find out which events speak of the same money, and which id they share.
[[events]]
types = ["payment.paid"]
when = [{{ path = "$.data.status", is = ["paid"] }}]
sale = "payment_captured"
rank = 1
amount = {{ paths = ["$.data.amount"], unit = "minor" }} # whole cents; "major" for decimals
currency = ["$.data.currency"]
keys = {{ payment = ["$.data.id"] }}

[[events]]
types = ["payment.paid", "payment.failed"]
ignore = {{ code = "payment_failed", reason = "no money arrived" }}
keys = {{ payment = ["$.data.id"] }}

[[events]]
types = ["payment.refunded"]
adjustment = "refund" # money that went back; providers/README.md names the others
id = ["$.data.refund.id"]
amount = {{ paths = ["$.data.refund.amount"], unit = "minor" }}
currency = ["$.data.currency"]
keys = {{ payment = ["$.data.id"] }}
"#
    )
}

/// Everything else in the folder: a README, and cases that pass.
fn files(pack: &Arc<Pack>, text: &str, title: &str, way: Way) -> Result<Vec<(String, Vec<u8>)>, String> {
    let name = pack.name();
    let body = |kind: &str, status: &str| {
        format!(
            r#"{{"id":"evt_1","type":"{kind}","created_at":"2026-11-22T05:10:58Z","data":{{"id":"pay_1","status":"{status}","amount":4999,"currency":"USD","customer":{{"id":"cus_1","email":"jane@example.com","name":"Jane Doe"}},"metadata":{{"clickId":"5e6e1650-3f0a-4a3c-9a51-3c1d7f0b2a94","customerExternalId":"user_42"}}}}}}"#
        )
    };
    let sale = format!(
        "{{\n  \"event\": \"payment_captured\",\n  \"customerExternalId\": \"user_42\",\n  \"amount\": 49.99,\n  \"currency\": \"USD\",\n  \
         \"clickId\": \"5e6e1650-3f0a-4a3c-9a51-3c1d7f0b2a94\",\n  \"invoiceId\": \"{name}-pay_1\",\n  \
         \"timestamp\": \"2026-11-22T05:10:58Z\",\n  \"email\": \"jane@example.com\",\n  \"name\": \"Jane Doe\"\n}}\n"
    );
    let refunded =
        body("payment.refunded", "paid").replace("\"customer\":", "\"refund\":{\"id\":\"re_1\",\"amount\":1000},\"customer\":");
    let refund = "{\n  \"adjustment\": \"refund\",\n  \"id\": \"re_1\",\n  \"amount\": 10.00,\n  \"currency\": \"USD\",\n  \
         \"timestamp\": \"2026-11-22T05:10:58Z\",\n  \"keys\": [\"payment:pay_1\"]\n}\n"
        .to_owned();
    let paid = signed(pack, way, &body("payment.paid", "paid"))?;
    let altered = replace_once(&paid, b"4999", b"9999");
    Ok(vec![
        ("pack.toml".to_owned(), text.as_bytes().to_vec()),
        ("README.md".to_owned(), readme(name, title).into_bytes()),
        ("cases/paid.http".to_owned(), paid.clone()),
        ("cases/paid.sale.json".to_owned(), sale.into_bytes()),
        ("cases/failed.http".to_owned(), signed(pack, way, &body("payment.failed", "failed"))?),
        ("cases/failed.ignored.txt".to_owned(), b"payment_failed\n".to_vec()),
        ("cases/refunded.http".to_owned(), signed(pack, way, &refunded)?),
        ("cases/refunded.adjustment.json".to_owned(), refund.into_bytes()),
        (
            "cases/forged.http".to_owned(),
            if pack.scheme.covers() == crate::verify::Covers::Body { altered } else { forged(&paid) },
        ),
        ("cases/forged.refused.txt".to_owned(), b"signature_mismatch\n".to_vec()),
    ])
}

/// A case with this body, signed as the pack says.
fn signed(pack: &Arc<Pack>, way: Way, body: &str) -> Result<Vec<u8>, String> {
    let secrets = way.secrets();
    let id = if way == Way::StandardWebhooks { "webhook-id: msg_1\n" } else { "" };
    let head = format!("# at: {AT}\n{secrets}POST /webhooks/{} HTTP/1.1\nContent-Type: application/json\n{id}", pack.name());
    let case = Case::parse(format!("{head}\n{body}\n").as_bytes()).map_err(|error| error.to_string())?;
    let source = Source::plain(pack, case.circumstances(false)?)?;
    let now: Timestamp = AT.parse().expect("the clock of the cases is a time");
    let mut request: Request = case.request(pack.name(), now);
    pack.scheme.sign(&source.keys, &mut request).map_err(|error| error.to_string())?;
    let mut text = format!("# at: {AT}\n{secrets}POST /webhooks/{} HTTP/1.1\n", pack.name());
    for (name, value) in request.headers.iter() {
        text.push_str(&format!("{name}: {value}\n"));
    }
    Ok([text.as_bytes(), b"\n", &request.body, b"\n"].concat())
}

/// The same from somebody who does not know the secret.
fn forged(case: &[u8]) -> Vec<u8> {
    replace_once(case, SECRET.as_bytes(), b"whsec_YW5vdGhlci1zZWNyZXQ=")
}

fn replace_once(text: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    match text.windows(from.len()).position(|window| window == from) {
        Some(at) => [&text[..at], to, &text[at + from.len()..]].concat(),
        None => text.to_vec(),
    }
}

fn readme(name: &str, title: &str) -> String {
    format!(
        "# {title}\n\n## Switch on\n1. Where in the dashboard: to be written.\n2. URL `https://YOUR-HOST/webhooks/{name}`. Events: `payment.paid`, `payment.refunded`.\n\
         3. Where the secret stands: to be written. Put it into `secrets`.\n\n## Say who buys\nHow `clickId` and `customerExternalId` get into a checkout \
         of this provider: to be written.\n\n## Quirks\n- Everything in this pack is invented until it is checked against the provider's documents.\n"
    )
}
