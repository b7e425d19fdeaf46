//! TLS on the public listener: by two files, taken anew when they change, and never worse than before.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::ring::default_provider;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion};

use crate::harness::process::{Served, free_address, run, wait_until};
use crate::harness::webhooks::{SECRET, stripe_checkout, who};
use crate::reloading::stripe_signature;

/// Writes a new certificate of `localhost` and its key; answers with the certificate.
fn certify(folder: &Path) -> CertificateDer<'static> {
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(folder.join("site.pem"), certified.cert.pem()).unwrap();
    std::fs::write(folder.join("site.key"), certified.signing_key.serialize_pem()).unwrap();
    certified.cert.der().clone()
}

fn writes(folder: &Path, address: &str, admin: &str) {
    let text = format!(
        "[server]\nlisten = \"{address}\"\nbody_limit_bytes = 4096\ntls = {{ certificate = \"site.pem\", key = \"site.key\" }}\n\
         [admin]\nlisten = \"{admin}\"\n[store]\nurl = \"sqlite:test.db\"\n\
         [[sources]]\nname = \"stripe\"\npack = \"stripe\"\nsecrets = [\"{SECRET}\"]\n"
    );
    std::fs::write(folder.join("config.toml"), text).unwrap();
}

/// One exchange by TLS with somebody who believes this certificate alone: the answer, and what was agreed on.
fn exchange(
    address: &str,
    believed: &CertificateDer<'static>,
    versions: &[&'static SupportedProtocolVersion],
    offered: &[&str],
    bytes: &[u8],
) -> Result<(String, Option<String>), String> {
    let mut roots = RootCertStore::empty();
    roots.add(believed.clone()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider())).with_protocol_versions(versions).unwrap();
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = offered.iter().map(|name| name.as_bytes().to_vec()).collect();
    let connection = ClientConnection::new(Arc::new(config), ServerName::try_from("localhost").unwrap()).unwrap();
    let socket = TcpStream::connect(address).map_err(|error| error.to_string())?;
    let mut stream = StreamOwned::new(connection, socket);
    stream.write_all(bytes).map_err(|error| error.to_string())?;
    let mut answer = Vec::new();
    if let Err(error) = stream.read_to_end(&mut answer) {
        assert!(!answer.is_empty(), "{error}");
    }
    let agreed = stream.conn.alpn_protocol().map(|name| String::from_utf8(name.to_vec()).unwrap());
    Ok((String::from_utf8(answer).unwrap(), agreed))
}

const BOTH: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13, &rustls::version::TLS12];

fn sale(number: u32) -> Vec<u8> {
    let body = stripe_checkout(number, &who("c-1", "user_1")).to_string();
    let signature = stripe_signature(SECRET, &body);
    let length = body.len();
    format!(
        "POST /webhooks/stripe HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}\r\nStripe-Signature: {signature}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// Ready, as somebody sees it who believes this certificate.
fn ready(address: &str, believed: &CertificateDer<'static>) -> bool {
    let probe = b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    exchange(address, believed, BOTH, &[], probe).is_ok_and(|(answer, _)| answer.starts_with("HTTP/1.1 200"))
}

/// Starts a bridge that speaks TLS; `Served::start` would probe it without.
fn starts(folder: &Path, address: &str, admin: &str, believed: &CertificateDer<'static>) -> Served {
    let [public, desk] = [address, admin].map(|address| std::net::TcpListener::bind(address).unwrap());
    let served = Served::start_on(crate::harness::process::SALEBRIDGE, folder, &public, &desk);
    wait_until("the bridge is ready", || ready(address, believed));
    served
}

#[test]
fn webhooks_come_by_tls_1_2_and_1_3_and_by_http_1_1_alone() {
    let (folder, address, admin) = (tempfile::tempdir().unwrap(), free_address(), free_address());
    writes(folder.path(), &address, &admin);
    let certificate = certify(folder.path());
    let mut served = starts(folder.path(), &address, &admin, &certificate);
    for (number, version) in [(1, &rustls::version::TLS12), (2, &rustls::version::TLS13)] {
        let (answer, agreed) = exchange(&address, &certificate, &[version], &["h2", "http/1.1"], &sale(number)).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\"accepted\""), "{version:?}: {answer}");
        assert_eq!(agreed.as_deref(), Some("http/1.1"), "of both that are offered it takes the one whose limits are known");
    }
    let only_h2 = exchange(&address, &certificate, BOTH, &["h2"], &sale(3));
    assert!(only_h2.is_err(), "{only_h2:?}");
    let too_long = format!(
        "POST /webhooks/stripe HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 5000\r\n\r\n{}",
        "x".repeat(5000)
    );
    let (answer, _) = exchange(&address, &certificate, BOTH, &[], too_long.as_bytes()).unwrap();
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    let plain = crate::harness::process::exchange(&address, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(plain.is_none_or(|answer| !answer.contains("HTTP/1.1 200")), "plain HTTP is not answered");
    assert!(served.stop());
}

#[test]
fn another_certificate_is_taken_on_a_reload_and_a_broken_pair_is_not() {
    let (folder, address, admin) = (tempfile::tempdir().unwrap(), free_address(), free_address());
    writes(folder.path(), &address, &admin);
    let first = certify(folder.path());
    let mut served = starts(folder.path(), &address, &admin, &first);
    let second = certify(folder.path());
    assert!(!ready(&address, &second), "not before it is read anew");
    let said = served.run(&["reload"]);
    assert_eq!(String::from_utf8(said.stdout).unwrap(), "server.tls: another certificate\n");
    assert!(ready(&address, &second) && !ready(&address, &first));

    // A key of another certificate, and no key at all.
    let key = std::fs::read(folder.path().join("site.key")).unwrap();
    certify(folder.path());
    std::fs::write(folder.path().join("site.key"), key).unwrap();
    for cause in ["is not the key of that certificate", "holds no private key"] {
        let said = String::from_utf8(served.run(&["reload"]).stderr).unwrap();
        assert!(said.contains("server.tls.key: ") && said.contains(cause), "{said}");
        assert!(ready(&address, &second), "the pair from before is kept");
        std::fs::write(folder.path().join("site.key"), "nothing").unwrap();
    }
    assert!(served.stop());
}

#[test]
fn a_key_that_everybody_may_read_is_warned_of() {
    let folder = tempfile::tempdir().unwrap();
    writes(folder.path(), "127.0.0.1:9", "127.0.0.1:10");
    certify(folder.path());
    let said_with = |mode: u32| {
        std::fs::set_permissions(folder.path().join("site.key"), std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
        let output = run(Some(&folder.path().join("config.toml")), &["check"]);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let open = said_with(0o644);
    assert!(open.contains("server.tls.key: ") && open.contains("everybody on this machine may read the key"), "{open}");
    assert!(open.contains("https://127.0.0.1:9/webhooks/stripe"), "{open}");
    assert!(!said_with(0o640).contains("everybody"));
    let missing = run(Some(&folder.path().join("config.toml")), &["check"]);
    assert!(missing.status.success());
    std::fs::remove_file(folder.path().join("site.key")).unwrap();
    let missing = run(Some(&folder.path().join("config.toml")), &["check"]);
    assert!(String::from_utf8_lossy(&missing.stderr).contains("config.toml: server.tls.key: "), "{missing:?}");
}

#[test]
fn files_that_change_are_found_without_a_reload_and_a_broken_pair_is_not_taken() {
    use salebridge::receive::{Certificate, Pair, TlsConfig};
    let folder = tempfile::tempdir().unwrap();
    let first = certify(folder.path());
    let files = TlsConfig { certificate: "site.pem".into(), key: "site.key".into() }.within(folder.path());
    let certificate = Arc::new(Certificate::new(Pair::read(&files).unwrap()));
    let shown = || {
        let mut roots = RootCertStore::empty();
        roots.add(first.clone()).unwrap();
        let server = Arc::new(Arc::clone(&certificate).server().unwrap());
        let mut server = rustls::ServerConnection::new(server).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider())).with_protocol_versions(BOTH).unwrap();
        let config = Arc::new(config.with_root_certificates(roots).with_no_client_auth());
        let mut client = ClientConnection::new(config, ServerName::try_from("localhost").unwrap()).unwrap();
        let mut bytes = Vec::new();
        client.write_tls(&mut bytes).unwrap();
        server.read_tls(&mut &bytes[..]).unwrap();
        server.process_new_packets().unwrap();
        bytes.clear();
        while server.wants_write() {
            server.write_tls(&mut bytes).unwrap();
        }
        client.read_tls(&mut &bytes[..]).unwrap();
        // Whoever believes the first certificate alone.
        client.process_new_packets().is_ok()
    };
    assert!(shown() && certificate.refresh() == Ok(false));
    std::fs::write(folder.path().join("site.pem"), "nothing").unwrap();
    let fault = certificate.refresh().unwrap_err();
    assert!(fault.starts_with("server.tls.certificate: ") && fault.contains("holds no certificate"), "{fault}");
    assert!(shown(), "the pair from before is kept");
    certify(folder.path());
    assert!(certificate.refresh() == Ok(true) && !shown());
    assert_eq!(certificate.refresh(), Ok(false));
}
