//! `salebridge init`: every pack and every template can be begun with, no secret gets where it does not belong, nonsense is refused, and
//! the way in docs/start.md leads from nothing to a forwarded sale.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;

use salebridge::forward::Templates;
use salebridge::pack::{Block, Case, Expected, Pack, Registry, scenarios};
use serde_json::Value;

use crate::harness::process::{SALEBRIDGE, Served, Sink, free_address, wait_until};

/// What no environment and no case says.
const SETTINGS: [&str; 9] = [
    "patreon.currency=USD",
    "authorize-net.currency=USD",
    "btcpay.api_url=https://pay.example.com",
    "chargebee.api_url=https://acme.chargebee.com",
    "webhook.base_url=https://app.example.com/hooks",
    "endorsely.currency=USD",
    "endorsely.organization_id=org-1",
    "firstpromoter.account_id=acc-1",
    "partnerstack.public_key=pk-1",
];
const SECRET: &str = "whsec_c2VjcmV0LW9mLXRoZS1uZXdjb21lcg==";

/// `init` in a folder, with nothing in its environment but this.
fn init(folder: &Path, arguments: &[&str], environment: &BTreeMap<String, String>) -> Output {
    let mut command = Command::new(SALEBRIDGE);
    command.env_clear().envs(environment).arg("init").arg("--dir").arg(folder).args(arguments).output().unwrap()
}

fn environment(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A pack's first case that counts as a sale: it holds secrets of the right form.
fn a_case(pack: &Arc<Pack>) -> Case {
    let (all, _) = scenarios(&pack.folder);
    let sale = all.iter().find(|scenario| matches!(scenario.expected, Expected::Sales(_)));
    sale.unwrap_or_else(|| panic!("{} has no sale", pack.name())).steps[0].case.clone()
}

#[test]
fn every_pack_and_every_template_is_begun_with_and_no_secret_leaves_its_file() {
    let (packs, templates) = (Registry::load(&[]).unwrap(), Templates::load(&[]).unwrap());
    let mut arguments = vec!["--public-url", "https://hooks.example.com", "--yes", "--json", "--admin"];
    packs.iter().for_each(|pack| arguments.extend(["--provider", pack.name()]));
    templates.names().for_each(|name| arguments.extend(["--upstream", name]));
    SETTINGS.iter().for_each(|setting| arguments.extend(["--set", setting]));
    let folder = tempfile::tempdir().unwrap();
    let empty = init(&folder.path().join("empty"), &arguments, &environment(&[]));
    assert!(empty.status.success(), "{}", said(&empty));
    let told: Value = serde_json::from_slice(&empty.stdout).unwrap();
    assert_eq!((told["sources"].as_array().unwrap().len(), told["ok"].as_bool()), (packs.iter().count(), Some(false)));

    let mut values = BTreeMap::new();
    for source in told["sources"].as_array().unwrap() {
        let pack = packs.get(source["pack"].as_str().unwrap()).unwrap();
        let case = a_case(pack);
        for secret in source["secrets"].as_array().unwrap() {
            let name = secret["name"].as_str();
            let wanted = pack.wanted_secrets().into_iter().find(|wanted| wanted.name.as_deref() == name).unwrap();
            let known = match name {
                None => case.secrets.first().cloned(),
                Some(name) => case.named_secrets.get(name).cloned(),
            };
            let known = known.map(|secret| secret.expose().to_owned());
            if let Some(value) = known.or_else(|| wanted.is_for_api.then(|| format!("invented-{}", pack.name()))) {
                values.insert(secret["variable"].as_str().unwrap().to_owned(), value);
            }
        }
    }
    for template in templates.names().filter(|name| !["log", "webhook"].contains(name)) {
        values.insert(format!("{}_TOKEN", template.to_uppercase()), format!("invented-token-of-{template}"));
    }
    let whole = folder.path().join("whole");
    let output = init(&whole, &arguments, &values);
    assert!(output.status.success(), "{}", said(&output));
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["ok"], true, "{}", said(&output));
    let (config, file) = (whole.join("config.toml"), whole.join("salebridge.env"));
    let text = std::fs::read_to_string(&config).unwrap();
    // What is shorter is no secret but a user's name.
    for value in values.values().filter(|value| value.len() >= 12) {
        assert!(!text.contains(value.as_str()) && !said(&output).contains(value.as_str()), "{value}");
    }
    let variables = std::fs::read_to_string(&file).unwrap();
    for line in variables.lines().filter(|line| line.contains("_PATH_TOKEN=") || line.contains("ADMIN_TOKEN=")) {
        let (_, token) = line.split_once('=').unwrap();
        assert!(token.len() >= 40 && !text.contains(token) && !said(&output).contains(token), "{line}");
    }
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let mut check = Command::new(SALEBRIDGE);
    check.env_clear().arg("--config").arg(&config).arg("--env-file").arg(&file).args(["check", "--json"]);
    let checked = check.output().unwrap();
    let answer: Value = serde_json::from_slice(&checked.stdout).unwrap_or_else(|error| panic!("{error}: {}", said(&checked)));
    assert_eq!((answer["ok"].as_bool(), &answer["warnings"]), (Some(true), &serde_json::json!([])));
    assert_eq!(answer["sources"].as_array().unwrap().len(), packs.iter().count());

    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
    let warned = said(&check.output().unwrap());
    assert!(warned.contains("its mode is 640") && warned.contains("chmod 600"), "{warned}");
}

#[test]
fn every_pack_says_what_a_newcomer_needs() {
    for pack in Registry::load(&[]).unwrap().iter() {
        let name = pack.name();
        assert!(pack.setup.is_some(), "{name} has no [setup]");
        let url = "https://hooks.example.com/webhooks/mine";
        let guide = pack.guide(url);
        let text = |blocks: &[Block]| {
            let texts = blocks.iter().map(|block| match block {
                Block::Step(text) | Block::Text(text) | Block::Code(text) => text.as_str(),
            });
            texts.collect::<Vec<_>>().join("\n")
        };
        let (clicks, buys) = (text(&guide.switch_on), text(&guide.who_buys));
        assert!(buys.contains("customerExternalId") || buys.contains("customer_external_id"), "{name}: {buys}");
        assert!(
            !clicks.contains("YOUR-HOST") && !buys.contains("YOUR-HOST") && !clicks.contains("**"),
            "{name}: {clicks}\n{buys}"
        );
        // The two generic packs have no dashboard, and Midtrans is given a URL of its own.
        if !["generic-hmac", "standard-webhooks", "midtrans-snap"].contains(&name) {
            assert!(clicks.contains(url) || buys.contains(url), "{name} does not say where the URL is pasted: {clicks}");
        }
        // What is ticked is selected by a rule, where it is the type of an event and not a label of the dashboard.
        let mapping = pack.plain_mapping(pack.api.is_some()).unwrap();
        let types = mapping.types();
        let is_selected = |event: &str| {
            let patterns = types.counted.iter().chain(&types.taken_back).chain(&types.other);
            patterns.into_iter().any(|pattern| match pattern.strip_suffix('*') {
                Some(prefix) => event.starts_with(prefix),
                None => *pattern == event,
            })
        };
        for event in pack.about.subscribe.iter().filter(|event| !event.contains(' ') && event.contains(['.', '_', ':', '/'])) {
            assert!(is_selected(event), "{name}: no rule selects {event}");
        }
    }
}

#[test]
fn nonsense_is_refused_before_anything_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("new");
    let url = ["--public-url", "https://hooks.example.com", "--yes"];
    let refused = |arguments: &[&str], values: &BTreeMap<String, String>, word: &str| {
        let output = init(&dir, arguments, values);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", said(&output));
        assert!(said(&output).contains(word), "{arguments:?}: {word} in {}", said(&output));
        assert!(!dir.join("config.toml").exists() && !dir.join("salebridge.env").exists(), "{arguments:?}");
        said(&output)
    };
    let nothing = environment(&[]);
    let missing = refused(&[], &nothing, "--provider");
    assert!(missing.contains("--public-url URL") && missing.contains("--upstream NAME"), "{missing}");
    refused(
        &[&url[..2], &["--provider", "stripe", "--upstream", "log"]].concat(),
        &nothing,
        "STRIPE_WEBHOOK_SECRET in the environment",
    );
    refused(&[&url[..], &["--provider", "strpe"]].concat(), &nothing, "is stripe meant?");
    refused(&[&url[..], &["--provider", "stripe", "--upstream", "cutmeshrt"]].concat(), &nothing, "is cutmeshort meant?");
    refused(&[&url[..], &["--provider", "stripe", "--provider", "stripe"]].concat(), &nothing, "twice");
    refused(&[&url[..], &["--provider", "A/b=stripe"]].concat(), &nothing, "lower-case");
    refused(&[&url[..], &["--provider", "patreon"]].concat(), &nothing, "--set patreon.currency=VALUE");
    refused(&[&url[..], &["--provider", "stripe", "--set", "stripe.colour=red"]].concat(), &nothing, "stripe.colour");
    refused(&[&url[..], &["--provider", "patreon", "--set", "patreon.currency=US\nD"]].concat(), &nothing, "--set");
    refused(
        &[&url[..], &["--provider", "patreon", "--set", "patreon.currency=Dollars"]].concat(),
        &nothing,
        "sources[0].currency",
    );
    refused(&[&url[..], &["--provider", "stripe", "--listen", "nowhere"]].concat(), &nothing, "server.listen");
    for url in ["http://hooks.example.com", "https://me:very-private@hooks.example.com", "https://hooks.example.com/?a"] {
        let text = refused(&["--yes", "--provider", "stripe", "--public-url", url], &nothing, "--public-url");
        assert!(!text.contains("very-private"), "{text}");
    }
    let torn = environment(&[("STRIPE_WEBHOOK_SECRET", "whsec_very\nprivate=1")]);
    let text = refused(&[&url[..], &["--provider", "stripe"]].concat(), &torn, "STRIPE_WEBHOOK_SECRET: holds a line break");
    assert!(!text.contains("whsec_very"), "{text}");
}

#[test]
fn what_is_there_is_not_written_over_and_old_secrets_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["--public-url", "https://hooks.example.com", "--yes", "--provider", "stripe"];
    let secret = environment(&[("STRIPE_WEBHOOK_SECRET", SECRET)]);
    assert!(init(folder.path(), &arguments, &secret).status.success());
    let (config, file) = (folder.path().join("config.toml"), folder.path().join("salebridge.env"));
    let before = std::fs::read_to_string(&file).unwrap();
    let again = init(folder.path(), &arguments, &environment(&[]));
    assert_eq!((again.status.code(), std::fs::read_to_string(&file).unwrap()), (Some(2), before), "{}", said(&again));
    assert!(said(&again).contains("is there already") && said(&again).contains("--force"), "{}", said(&again));
    let mut more = std::fs::read_to_string(&file).unwrap();
    more.push_str("OTHER='a b'\n");
    std::fs::write(&file, more).unwrap();
    let forced = init(folder.path(), &[&arguments[..], &["--provider", "razorpay", "--force"]].concat(), &environment(&[]));
    assert!(forced.status.success(), "{}", said(&forced));
    let after = std::fs::read_to_string(&file).unwrap();
    for line in [format!("STRIPE_WEBHOOK_SECRET={SECRET}"), "RAZORPAY_WEBHOOK_SECRET=".to_owned(), "OTHER='a b'".to_owned()] {
        assert!(after.lines().any(|other| other == line), "{line} in {after}");
    }
    assert!(std::fs::read_to_string(&config).unwrap().contains("razorpay"));
    // Without the file nothing is known.
    let unknown = Command::new(SALEBRIDGE).env_clear().arg("--config").arg(&config).arg("check").output().unwrap();
    assert!(said(&unknown).contains("STRIPE_WEBHOOK_SECRET is missing"), "{}", said(&unknown));
}

#[test]
fn a_sample_is_signed_with_the_new_secret_and_seen_as_a_sale() {
    let folder = tempfile::tempdir().unwrap();
    let arguments =
        ["--public-url", "https://hooks.example.com", "--yes", "--json", "--sample", "--upstream", "cutmeshort", "--provider"];
    let secrets = environment(&[("STRIPE_WEBHOOK_SECRET", SECRET), ("CUTMESHORT_TOKEN", "never-used-here")]);
    let output = init(&folder.path().join("a"), &[&arguments[..], &["stripe"]].concat(), &secrets);
    assert!(output.status.success(), "{}", said(&output));
    let told: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", said(&output)));
    assert_eq!((told["sample"]["status"].as_u64(), told["sample"]["sales"].as_array().unwrap().len()), (Some(200), 1), "{told}");
    assert!(told["sample"]["sales"][0]["clickId"].is_string(), "{told}");
    assert!(!folder.path().join("a/salebridge.db").exists(), "the sample went through a file of its own");
    // Only PayPal can sign as PayPal.
    let paypal = environment(&[("PAYPAL_WEBHOOK_SECRET", "8PT597110X687430L")]);
    let output = init(&folder.path().join("b"), &[&arguments[..], &["paypal"]].concat(), &paypal);
    assert!(output.status.success() && said(&output).contains("no sample was sent"), "{}", said(&output));
}

/// docs/start.md is a transcript: each command in it is run in a shell, and what it prints must stand below it. Its prose is written by
/// hand, its outputs by this test with `SALEBRIDGE_WRITE=1`.
#[test]
fn the_way_of_a_newcomer_is_as_it_is_told() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/start.md");
    let told = std::fs::read_to_string(path).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (sink, address) = (Sink::start(), free_address());
    let mut walk = Walk { folder: folder.path(), exports: String::new(), served: None, address, upstream: sink.address.clone() };
    let mut seen = String::new();
    let mut lines = told.lines().peekable();
    let mut is_transcript = false;
    while let Some(line) = lines.next() {
        seen.push_str(line);
        seen.push('\n');
        is_transcript = if line.starts_with("```") { line == "```console" } else { is_transcript };
        if let Some(command) = line.strip_prefix("$ ").filter(|_| is_transcript) {
            while lines.next_if(|line| !line.starts_with("$ ") && !line.starts_with("```")).is_some() {}
            seen.push_str(&walk.step(command));
        }
    }
    assert_eq!(sink.bodies().len(), 1, "one sale was forwarded, once");
    if std::env::var_os("SALEBRIDGE_WRITE").is_some() {
        std::fs::write(path, &seen).unwrap();
        return;
    }
    assert_eq!(seen, told, "docs/start.md is not current: run this test with SALEBRIDGE_WRITE=1");
}

/// A newcomer's shell.
struct Walk<'a> {
    folder: &'a Path,
    /// What was exported so far.
    exports: String,
    served: Option<Served>,
    /// Where the bridge listens, which is 127.0.0.1:8080 in the transcript.
    address: String,
    /// Where the stand-in upstream listens, which is 127.0.0.1:9000 there.
    upstream: String,
}

impl Walk<'_> {
    /// Runs a command; answers with what it printed, as the transcript has it.
    fn step(&mut self, command: &str) -> String {
        let real = command.replace("127.0.0.1:8080", &self.address).replace("127.0.0.1:9000", &self.upstream);
        if real.starts_with("export ") {
            self.exports.push_str(&format!("{real}\n"));
            return String::new();
        }
        if real == "salebridge serve &" {
            let file = self.folder.join("shop/salebridge.env");
            let environment = [("SALEBRIDGE_ENV_FILE", file.to_str().unwrap())];
            self.served = Some(Served::start_with(&self.folder.join("shop"), &self.address, &environment));
            return String::new();
        }
        let printed = self.shell(&real);
        if real.contains("salebridge send ") {
            wait_until("it is delivered", || self.shell("salebridge deliveries list --json").contains("\"delivered\""));
        }
        self.usual(&printed)
    }

    fn shell(&self, command: &str) -> String {
        let bin = Path::new(SALEBRIDGE).parent().unwrap().display();
        let script = format!("PATH={bin}:/usr/bin:/bin\n{}{command} 2>&1", self.exports);
        let output = Command::new("sh").env_clear().arg("-c").arg(script).current_dir(self.folder).output().unwrap();
        assert!(output.status.success(), "{command}: {}", said(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// The same with the addresses and times of the transcript.
    fn usual(&self, printed: &str) -> String {
        let text = printed.replace(&self.address, "127.0.0.1:8080").replace(&self.upstream, "127.0.0.1:9000");
        text.lines().map(|line| format!("{}\n", timeless(line.trim_end()))).collect()
    }
}

/// Times of this run become the one of the transcript; how long something took becomes 3 ms.
fn timeless(line: &str) -> String {
    let today = salebridge::domain::Clock::now(&salebridge::domain::SystemClock).to_string();
    let mut line = line.to_owned();
    if let Some(end) = line.find(" ms)")
        && let Some(begin) = line[..end].rfind('(')
    {
        line.replace_range(begin + 1..end, "3");
    }
    while let Some(at) = line.find(&today[..10]) {
        let end = line[at..].find(|c: char| !c.is_ascii_digit() && !"-:.TZ".contains(c)).map_or(line.len(), |length| at + length);
        let is_whole = line[at..end].contains('T');
        let time = if is_whole { "2026-11-22T05:11:00Z" } else { "2026-11-22" };
        line.replace_range(at..end, time);
        if time.starts_with(&today[..10]) {
            break;
        }
    }
    line
}
