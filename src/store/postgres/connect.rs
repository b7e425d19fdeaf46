//! How the database is reached: the URL, TLS, and the pool of connections.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{Hook, HookError, Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use tokio_postgres::NoTls;
use tokio_postgres::config::{Config, Host, SslMode};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::session::failed;
use crate::domain::Secret;
use crate::store::Error;

/// A connection that cannot be had for so long is not waited for any more.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// So long nobody answers before a connection counts as dead: a server that vanished sends no farewell.
const DEAD_AFTER: Duration = Duration::from_secs(10);

/// What a connection is told first. A replica that stands still must not keep others waiting for what it has locked; and what is
/// committed must be on disk, whatever the server's default is.
const GREETING: &str = "SET idle_in_transaction_session_timeout = '10s'; SET lock_timeout = '10s'; SET statement_timeout = '60s';
    SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') IN ('off', 'local')";

/// A pool of at most `size` connections. Nothing is connected yet.
///
/// The URL is libpq's, with `sslmode` and `sslrootcert` (a PEM file). Unless it says otherwise, a server on another machine must speak
/// TLS; where TLS is spoken, its certificate is always checked.
pub(super) fn pool(url: &Secret, size: usize) -> Result<Pool, Error> {
    let (config, root) = parse(url)?;
    let manager = ManagerConfig { recycling_method: RecyclingMethod::Fast };
    let manager = if config.get_ssl_mode() == SslMode::Disable {
        Manager::from_config(config, NoTls, manager)
    } else {
        Manager::from_config(config, MakeRustlsConnect::new(tls(root.as_deref())?), manager)
    };
    let greet =
        Hook::async_fn(|client, _| Box::pin(async move { client.batch_execute(GREETING).await.map_err(HookError::Backend) }));
    let pool = Pool::builder(manager)
        .max_size(size)
        .runtime(Runtime::Tokio1)
        .wait_timeout(Some(DEAD_AFTER))
        .create_timeout(Some(2 * CONNECT_TIMEOUT))
        .post_create(greet);
    pool.build().map_err(|error| Error::Unusable(format!("store.url: {error}")))
}

/// The configuration in a URL, and the file of certificates that it names.
fn parse(url: &Secret) -> Result<(Config, Option<String>), Error> {
    let unusable = |cause: &str| Error::Unusable(format!("store.url: {cause}"));
    // What a parser says of a URL may repeat its password.
    let (base, query) = url.expose().split_once('?').unwrap_or((url.expose(), ""));
    let (mut mode, mut root) = (None, None);
    let mut rest = form_urlencoded::Serializer::new(String::new());
    for (name, value) in form_urlencoded::parse(query.as_bytes()).into_owned() {
        match &*name {
            "sslmode" => mode = Some(value),
            "sslrootcert" => root = Some(value),
            _ => drop(rest.append_pair(&name, &value)),
        }
    }
    // libpq writes a space as %20; a plus sign stands for itself.
    let text = format!("{base}?{}", rest.finish().replace('+', "%20"));
    let mut config: Config = text.parse().map_err(|_| unusable("is none: write postgres://USER:PASSWORD@HOST/DATABASE"))?;
    let is_near = config.get_hosts().iter().all(|host| match host {
        Host::Tcp(name) => name == "localhost" || name.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback()),
        Host::Unix(_) => true,
    });
    let is_near = is_near && config.get_hostaddrs().iter().all(std::net::IpAddr::is_loopback);
    let mode = match mode.as_deref() {
        None if is_near => SslMode::Disable,
        None | Some("require" | "verify-ca" | "verify-full") => SslMode::Require,
        Some("disable") => SslMode::Disable,
        Some(_) => return Err(unusable("sslmode must be disable, require or verify-full; certificates are always checked")),
    };
    config.ssl_mode(mode).connect_timeout(CONNECT_TIMEOUT).tcp_user_timeout(DEAD_AFTER).keepalives_idle(DEAD_AFTER);
    config.keepalives_interval(DEAD_AFTER / 4).keepalives_retries(4);
    if config.get_application_name().is_none() {
        config.application_name("salebridge");
    }
    Ok((config, root))
}

fn tls(root: Option<&str>) -> Result<ClientConfig, Error> {
    let mut roots = RootCertStore::empty();
    match root {
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        Some(path) => {
            let unusable = |cause: &dyn std::fmt::Display| Error::Unusable(format!("store.url: sslrootcert {path}: {cause}"));
            for certificate in CertificateDer::pem_file_iter(Path::new(path)).map_err(|error| unusable(&error))? {
                roots.add(certificate.map_err(|error| unusable(&error))?).map_err(|error| unusable(&error))?;
            }
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let versions = versions.map_err(|error| Error::Unusable(format!("TLS cannot be set up: {error}")))?;
    Ok(versions.with_root_certificates(roots).with_no_client_auth())
}

/// An error of the pool in our terms.
pub(super) fn unreachable(error: deadpool_postgres::PoolError) -> Error {
    match error {
        deadpool_postgres::PoolError::Backend(error)
        | deadpool_postgres::PoolError::PostCreateHook(HookError::Backend(error)) => failed(error),
        error @ (deadpool_postgres::PoolError::Timeout(_)
        | deadpool_postgres::PoolError::Closed
        | deadpool_postgres::PoolError::NoRuntimeSpecified
        | deadpool_postgres::PoolError::PostCreateHook(_)) => Error::Unavailable(format!("PostgreSQL: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(url: &str) -> Result<SslMode, String> {
        parse(&Secret::new(url)).map(|(config, _)| config.get_ssl_mode()).map_err(|error| error.to_string())
    }

    #[test]
    fn another_machine_is_spoken_to_by_tls() {
        assert_eq!(mode("postgres://bridge@db.example/sales"), Ok(SslMode::Require));
        assert_eq!(mode("postgres://bridge@db.example/sales?sslmode=verify-full&sslrootcert=/ca.pem"), Ok(SslMode::Require));
        assert_eq!(mode("postgresql://bridge@127.0.0.1:5433/sales"), Ok(SslMode::Disable));
        assert_eq!(mode("postgres://bridge@db.example/sales?sslmode=disable"), Ok(SslMode::Disable));
        assert!(mode("postgres://bridge@db.example/sales?sslmode=prefer").is_err());
        assert_eq!(mode("postgres://bridge@localhost/sales?hostaddr=10.0.0.5"), Ok(SslMode::Require), "wherever the name leads");
    }

    #[test]
    fn what_is_said_of_a_url_does_not_repeat_its_password() {
        for url in ["postgres://bridge:hunter2@db:port/sales", "hunter2", "postgres://bridge:hunter2@db/sales?nonsense=hunter2"] {
            let said = mode(url).expect_err("no such URL");
            assert!(!said.contains("hunter2"), "{said}");
        }
    }
}
