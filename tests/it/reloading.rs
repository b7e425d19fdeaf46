//! A running bridge reads its configuration anew: all of it, or with any fault nothing.

use std::path::Path;

use salebridge::domain::{Clock as _, SystemClock};
use serde_json::Value;

use crate::harness::process::{Served, Sink, free_address, get, post, wait_until};
use crate::harness::webhooks::{SECRET, stripe_checkout, who};

/// The configuration of these tests, on the disk.
struct Site {
    folder: tempfile::TempDir,
    public: String,
    admin: String,
    sink: Sink,
}

impl Site {
    fn new() -> Self {
        let (folder, sink) = (tempfile::tempdir().unwrap(), Sink::start());
        Self { folder, public: free_address(), admin: free_address(), sink }
    }

    /// One source with its secrets, and more tables.
    fn writes(&self, secrets: &str, more: &str) {
        let (public, admin) = (&self.public, &self.admin);
        let text = format!(
            "[server]\nlisten = \"{public}\"\n[admin]\nlisten = \"{admin}\"\ntoken = \"a token of sixteen\"\n[store]\n\
             url = \"sqlite:test.db\"\n[[sources]]\nname = \"stripe\"\npack = \"stripe\"\nsecrets = [{secrets}]\n{more}\n"
        );
        std::fs::write(self.path(), text).unwrap();
    }

    fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("config.toml")
    }

    fn upstream(&self, name: &str, token: &str) -> String {
        let address = &self.sink.address;
        format!(
            "[[upstreams]]\nname = \"{name}\"\ntemplate = \"cutmeshort\"\ntoken = \"{token}\"\nbase_url = \"http://{address}\"\n\
             requests_per_minute = 60000\n"
        )
    }

    fn starts(&self) -> Served {
        Served::start(self.folder.path(), &self.public)
    }

    /// What a sale by this source, signed with this secret, is answered.
    fn sale(&self, source: &str, secret: &str, number: u32) -> (u16, Value) {
        let body = stripe_checkout(number, &who(&format!("c-{number}"), &format!("user_{number}"))).to_string();
        let headers = vec![("Stripe-Signature".to_owned(), stripe_signature(secret, &body))];
        post(&self.public, &format!("/webhooks/{source}"), &headers, body.as_bytes()).unwrap()
    }
}

pub(crate) fn stripe_signature(secret: &str, body: &str) -> String {
    use hmac::{KeyInit as _, Mac as _};
    let now = SystemClock.now().as_second();
    let mut mac = hmac::Hmac::<sha2::Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(format!("{now}.{body}").as_bytes());
    format!("t={now},v1={}", hex::encode(mac.finalize().into_bytes()))
}

/// What `salebridge reload` ends with: its exit code, and what it says.
fn reload(served: &Served) -> (i32, String) {
    let output = served.run(&["reload"]);
    let said = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(said).unwrap())
}

fn counted(served: &Served) -> usize {
    served.json(&["sales", "list"]).as_array().map_or(0, Vec::len)
}

fn config_of(site: &Site) -> String {
    site.path().display().to_string()
}

#[test]
fn a_reload_with_a_broken_file_changes_nothing_and_says_file_and_key() {
    let site = Site::new();
    site.writes(&format!("\"{SECRET}\""), "");
    let mut served = site.starts();
    // Wrong at three places, and right where the secret is another one: none of it may be applied.
    let broken = "accept = \"everything\"\n[[upstreams]]\nname = \"u\"\ntemplate = \"nobody\"\ntoken = \"file:nowhere\"\n";
    site.writes("\"another secret\"", broken);
    let (code, said) = reload(&served);
    assert_eq!(code, 1, "{said}");
    for key in ["sources[0].accept", "upstreams[0].token", "upstreams[0].template"] {
        assert!(said.contains(&format!("{}: {key}: ", config_of(&site))), "{key} is missing in:\n{said}");
    }
    assert!(said.contains("nothing is changed") && !said.contains("another secret"), "{said}");
    assert_eq!(site.sale("stripe", SECRET, 1).0, 200, "the secret from before is still the right one");
    assert_eq!(site.sale("stripe", "another secret", 2).0, 401);
    let log = served.log();
    assert!(log.contains("key=\"sources[0].accept\"") && log.contains("the one before it stays"), "{log}");

    // A file that is no TOML at all is told by SIGHUP in the log.
    std::fs::write(site.path(), "[server\n").unwrap();
    served.signal("HUP");
    wait_until("the fault is logged", || served.log().matches("the one before it stays").count() == 2);
    assert_eq!(site.sale("stripe", SECRET, 3).0, 200);
    let (code, said) = reload(&served);
    assert!(code == 1 && said.contains("config.toml: ") && said.contains("stays as it is"), "{said}");
    // What needs a restart is named, and keeps the rest away as well.
    site.writes("\"another secret\"", "[log]\nformat = \"json\"\n");
    let (code, said) = reload(&served);
    assert!(code == 1 && said.contains("log.format: is changed, which needs a restart"), "{said}");
    assert_eq!(site.sale("stripe", "another secret", 4).0, 401);
    let metrics = admin(&site, "/metrics");
    assert!(metrics.contains("salebridge_reloads_total{outcome=\"refused\"} 3"), "{metrics}");
    assert!(served.stop());
}

#[test]
fn a_reload_rotates_secrets_and_adds_and_removes_sources() {
    let site = Site::new();
    let secret = site.folder.path().join("secret");
    std::fs::write(&secret, "first secret").unwrap();
    site.writes("\"file:secret\"", "");
    let mut served = site.starts();
    assert_eq!(reload(&served), (0, "read anew; nothing is changed\n".to_owned()));
    assert_eq!(site.sale("stripe", "first secret", 1).0, 200);
    assert_eq!(site.sale("second", "its secret", 2).0, 404);

    std::fs::write(&secret, "second secret").unwrap();
    let second = "[[sources]]\nname = \"second\"\npack = \"stripe\"\nsecrets = [\"its secret\"]\n";
    site.writes("\"file:secret\", \"first secret\"", second);
    assert_eq!(reload(&served), (0, "sources.second: added\nsources.stripe.secrets: changed\n".to_owned()));
    for (number, secret) in [(3, "first secret"), (4, "second secret")] {
        assert_eq!(site.sale("stripe", secret, number).0, 200, "a rotation overlaps");
    }
    assert_eq!(site.sale("second", "its secret", 5).0, 200);

    // What waits when its source is removed is parked.
    wait_until("what came until then is counted", || counted(&served) == 4);
    // By a signal, as a service manager does; the answer is in the log.
    site.writes("\"file:secret\"", "[attribution]\nwaiting_room_secs = 1\n");
    served.signal("HUP");
    wait_until("it is applied", || served.log().contains("sources.second: removed"));
    assert!(served.log().contains("attribution.waiting_room_secs: changed"));
    assert_eq!(site.sale("stripe", "first secret", 6).0, 401);
    assert_eq!(site.sale("stripe", "second secret", 7).0, 200);
    assert_eq!(site.sale("second", "its secret", 8).0, 404);
    wait_until("all are counted", || counted(&served) == 5);
    assert!(served.stop());
    assert!(served.log().contains("left for the next start"), "{}", served.log());
}

#[test]
fn a_reload_adds_changes_and_removes_upstreams() {
    let site = Site::new();
    let secret = format!("\"{SECRET}\"");
    site.writes(&secret, "");
    let mut served = site.starts();
    site.writes(&secret, &site.upstream("one", "the-first-token"));
    assert_eq!(reload(&served), (0, "upstreams.one: added\n".to_owned()));
    site.sale("stripe", SECRET, 1);
    wait_until("the new upstream has it", || site.sink.bodies().len() == 1);

    // Another token, and one more beside it.
    let both = [site.upstream("one", "the-second-token"), site.upstream("two", "its-token")].concat();
    site.writes(&secret, &both);
    assert_eq!(reload(&served), (0, "upstreams.one.token: changed\nupstreams.two: added\n".to_owned()));
    site.sale("stripe", SECRET, 2);
    wait_until("both have it", || site.sink.bodies().len() == 3);

    // One that is removed keeps what waits for it.
    served.run(&["upstream", "pause", "one"]);
    site.sale("stripe", SECRET, 3);
    wait_until("the other one has it", || site.sink.bodies().len() == 4);
    site.writes(&secret, &site.upstream("two", "its-token"));
    let (code, said) = reload(&served);
    let stands = "upstreams.one: its queue stands still and is kept (deliveries in it: 1); it goes on once the upstream is configured again";
    assert!(code == 0 && said.contains("upstreams.one: removed\n") && said.contains(stands), "{said}");
    site.sale("stripe", SECRET, 4);
    wait_until("only the one that is left has it", || site.sink.bodies().len() == 5);
    site.writes(&secret, &both);
    assert_eq!(reload(&served).0, 0);
    served.run(&["upstream", "resume", "one"]);
    wait_until("what waited has gone", || site.sink.bodies().len() == 6);
    assert!(served.stop());
}

#[test]
fn a_mended_pack_and_another_token_of_the_operator_are_applied() {
    let site = Site::new();
    let secret = format!("\"{SECRET}\"");
    let providers = site.folder.path().join("providers/stripe");
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("providers/stripe");
    std::fs::create_dir_all(&providers).unwrap();
    for file in ["pack.toml", "README.md"] {
        std::fs::copy(shipped.join(file), providers.join(file)).unwrap();
    }
    site.writes(&secret, "");
    let whole = std::fs::read_to_string(site.path()).unwrap();
    std::fs::write(site.path(), format!("pack_dirs = [\"providers\"]\n{whole}")).unwrap();
    let mut served = site.starts();
    let pack = std::fs::read_to_string(providers.join("pack.toml")).unwrap();
    std::fs::write(providers.join("pack.toml"), pack.clone() + "\n# mended\n").unwrap();
    assert_eq!(reload(&served), (0, "sources.stripe: its pack stripe reads otherwise\n".to_owned()));
    std::fs::write(providers.join("pack.toml"), "surprise = true\n").unwrap();
    let (code, said) = reload(&served);
    assert!(code == 1 && said.contains("providers/stripe/pack.toml: surprise: "), "{said}");
    assert_eq!(site.sale("stripe", SECRET, 1).0, 200);

    std::fs::write(providers.join("pack.toml"), pack).unwrap();
    let other = std::fs::read_to_string(site.path()).unwrap().replace("a token of sixteen", "another token of sixteen");
    std::fs::write(site.path(), other).unwrap();
    let (code, said) = reload(&served);
    assert!(code == 1 && said.contains("another admin.token") && said.contains("kill -HUP"), "{said}");
    served.signal("HUP");
    wait_until("it is applied", || served.log().contains("admin.token: changed"));
    assert_eq!(reload(&served), (0, "read anew; nothing is changed\n".to_owned()));
    assert!(served.stop());
}

#[test]
fn a_service_manager_is_told_how_it_goes() {
    let site = Site::new();
    site.writes(&format!("\"{SECRET}\""), "");
    let path = site.folder.path().join("notify");
    let manager = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(std::time::Duration::from_secs(30))).unwrap();
    let told = || {
        let mut message = [0; 4096];
        let length = manager.recv(&mut message).unwrap();
        String::from_utf8(message[..length].to_vec()).unwrap()
    };
    let mut served = Served::start_with(site.folder.path(), &site.public, &[("NOTIFY_SOCKET", path.to_str().unwrap())]);
    assert!(told().starts_with("READY=1\n"));
    site.writes("", "");
    served.signal("HUP");
    let reloading = told();
    assert!(reloading.starts_with("RELOADING=1\n") && reloading.contains("\nMONOTONIC_USEC="), "{reloading}");
    let refused = told();
    assert!(refused.starts_with("READY=1\n") && refused.contains("by the former configuration"), "{refused}");
    assert!(served.stop());
    assert!(told().starts_with("STOPPING=1\n"));
}

#[test]
fn without_an_operators_listener_it_is_said_how() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.toml");
    std::fs::write(&path, "[[sources]]\nname = \"s\"\npack = \"stripe\"\nsecrets = [\"x\"]\n").unwrap();
    let said = crate::harness::process::run(Some(&path), &["reload"]);
    let text = String::from_utf8(said.stderr).unwrap();
    assert_eq!(said.status.code(), Some(1));
    assert!(text.contains("there is no [admin]") && text.contains("systemctl reload"), "{text}");
}

/// What the operator's listener answers.
fn admin(site: &Site, path: &str) -> String {
    let head = format!("GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n", site.admin);
    let request = format!("{head}Authorization: Bearer a token of sixteen\r\n\r\n");
    assert!(get(&site.admin, path).unwrap().contains("401"), "nobody else is answered");
    crate::harness::process::exchange(&site.admin, request.as_bytes()).unwrap()
}
