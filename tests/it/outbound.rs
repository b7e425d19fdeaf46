//! The way out by TLS: to whom the system's certificates lead, by HTTP/2 where both speak it, and to nobody else.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use rustls::ServerConfig;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use tokio_rustls::TlsAcceptor;

use crate::harness::process::{SALEBRIDGE, Served, free_address, post, wait_until};
use crate::harness::webhooks::{SECRET, stripe_checkout, who};
use crate::reloading::stripe_signature;

/// An upstream that speaks TLS: its port, and what it was sent.
struct Upstream {
    port: u16,
    seen: Arc<Mutex<Vec<Seen>>>,
}

/// What came, over which of its connections.
struct Seen {
    connection: usize,
    version: Version,
    agent: String,
    body: String,
}

impl Upstream {
    /// With a new certificate of `localhost`, which is left in `site.pem`.
    fn starts(folder: &Path, offered: &[&str]) -> Self {
        let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(folder.join("site.pem"), certified.cert.pem()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(certified.signing_key.serialize_pem().as_bytes()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider())).with_safe_default_protocol_versions();
        let config = config.unwrap().with_no_client_auth().with_single_cert(vec![certified.cert.der().clone()], key);
        let mut config = config.unwrap();
        config.alpn_protocols = offered.iter().map(|name| name.as_bytes().to_vec()).collect();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (port, seen) = (listener.local_addr().unwrap().port(), Arc::<Mutex<Vec<Seen>>>::default());
        let (acceptor, kept) = (TlsAcceptor::from(Arc::new(config)), Arc::clone(&seen));
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(serve(listener, acceptor, kept));
        });
        Self { port, seen }
    }

    fn count(&self) -> usize {
        self.seen.lock().unwrap().len()
    }
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor, seen: Arc<Mutex<Vec<Seen>>>) {
    listener.set_nonblocking(true).unwrap();
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    for connection in 0.. {
        let (socket, _) = listener.accept().await.unwrap();
        let (acceptor, seen) = (acceptor.clone(), Arc::clone(&seen));
        tokio::spawn(async move {
            // Whoever does not believe the certificate goes away.
            let Ok(stream) = acceptor.accept(socket).await else { return };
            let answers = hyper::service::service_fn(|request| answer(request, connection, Arc::clone(&seen)));
            drop(Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), answers).await);
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    connection: usize,
    seen: Arc<Mutex<Vec<Seen>>>,
) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let (version, agent) = (request.version(), request.headers()["user-agent"].to_str().unwrap().to_owned());
    let body = String::from_utf8(request.into_body().collect().await?.to_bytes().to_vec()).unwrap();
    seen.lock().unwrap().push(Seen { connection, version, agent, body });
    Ok(Response::new(Full::from(r#"{"status":true}"#)))
}

fn configures(folder: &Path, address: &str, port: u16) {
    let text = format!(
        "[server]\nlisten = \"{address}\"\n[store]\nurl = \"sqlite:test.db\"\n\
         [[sources]]\nname = \"stripe\"\npack = \"stripe\"\nsecrets = [\"{SECRET}\"]\n\
         [[upstreams]]\nname = \"mine\"\ntemplate = \"webhook\"\nbase_url = \"https://localhost:{port}/sales\"\nallow_private = true\n\
         signing_secrets = [\"whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD\"]\nrequests_per_minute = 60000\n"
    );
    std::fs::write(folder.join("config.toml"), text).unwrap();
}

/// Sends one test sale, as somebody who believes the certificates of this file.
fn tests(folder: &Path, believed: &Path) -> (bool, String) {
    let mut command = Command::new(SALEBRIDGE);
    command.arg("--config").arg(folder.join("config.toml")).args(["upstream", "test", "mine"]);
    let Output { status, stdout, stderr } = command.env("SSL_CERT_FILE", believed).output().unwrap();
    (status.success(), String::from_utf8([stdout, stderr].concat()).unwrap())
}

#[test]
fn sales_go_by_tls_to_whom_the_certificates_lead() {
    for (offered, version) in
        [(&["h2", "http/1.1"][..], Version::HTTP_2), (&["http/1.1"], Version::HTTP_11), (&[], Version::HTTP_11)]
    {
        let folder = tempfile::tempdir().unwrap();
        let upstream = Upstream::starts(folder.path(), offered);
        configures(folder.path(), &free_address(), upstream.port);
        let (is_well, said) = tests(folder.path(), &folder.path().join("site.pem"));
        assert!(is_well, "{said}");
        let seen = upstream.seen.lock().unwrap();
        let [only] = &seen[..] else { panic!("{} came", seen.len()) };
        assert_eq!(only.version, version, "{offered:?}");
        assert!(only.agent.starts_with("salebridge/"), "{}", only.agent);
        assert!(only.body.contains("salebridge-test"), "{}", only.body);
    }
}

#[test]
fn nothing_is_sent_to_whom_the_certificates_do_not_lead() {
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let upstream = Upstream::starts(folder.path(), &["h2", "http/1.1"]);
    drop(Upstream::starts(other.path(), &[]));
    configures(folder.path(), &free_address(), upstream.port);
    let (is_well, said) = tests(folder.path(), &other.path().join("site.pem"));
    assert!(!is_well && said.contains("certificate"), "{said}");
    assert_eq!(upstream.count(), 0);
}

#[test]
fn many_sales_share_one_connection_of_http_2() {
    let (folder, address) = (tempfile::tempdir().unwrap(), free_address());
    let upstream = Upstream::starts(folder.path(), &["h2"]);
    configures(folder.path(), &address, upstream.port);
    let believed = folder.path().join("site.pem");
    let mut served = Served::start_with(folder.path(), &address, &[("SSL_CERT_FILE", believed.to_str().unwrap())]);
    for number in 1..=40 {
        let body = stripe_checkout(number, &who(&format!("c-{number}"), &format!("user_{number}"))).to_string();
        let signature = vec![("Stripe-Signature".to_owned(), stripe_signature(SECRET, &body))];
        assert_eq!(post(&address, "/webhooks/stripe", &signature, body.as_bytes()).unwrap().0, 200);
        if number == 1 {
            // While the first connection is being made, others may be begun beside it.
            wait_until("the first is there", || upstream.count() == 1);
        }
    }
    wait_until("all are there", || upstream.count() == 40);
    assert!(served.stop());
    let seen = upstream.seen.lock().unwrap();
    assert!(seen.iter().all(|one| one.connection == seen[0].connection));
    assert!(seen.iter().all(|seen| seen.version == Version::HTTP_2));
}
