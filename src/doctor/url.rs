//! The URLs that a provider may have signed instead of the configured one.

use crate::domain::Request;

/// A longer name is no host.
const HOST_LIMIT_BYTES: usize = 255;
/// At most so many are tried.
const LIMIT: usize = 400;

/// Every URL by scheme, host, port, path, final slash and query, but the configured one. `path` is the source's own path here.
pub(super) fn candidates(request: &Request, configured: &str, path: &str) -> Vec<String> {
    let (scheme, rest) = configured.split_once("://").unwrap_or(("https", configured));
    let at = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, target) = rest.split_at(at);
    let (own_path, own_query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    let mut hosts = vec![authority.to_owned()];
    for name in ["x-forwarded-host", "x-original-host", "host"] {
        let first = request.headers.one(name).and_then(|value| value.split(',').next()).map(str::trim);
        hosts.extend(first.filter(|host| is_host(host)).map(str::to_owned));
    }
    let bare: Vec<String> = hosts.iter().filter_map(|host| without_port(host)).map(str::to_owned).collect();
    hosts.extend(bare);
    let mut schemes = vec![scheme, "https", "http"];
    let mut queries = vec![own_query, None, request.query.as_deref()];
    dedupe(&mut hosts);
    dedupe(&mut schemes);
    dedupe(&mut queries);
    let mut paths: Vec<String> = Vec::new();
    for path in [own_path, path] {
        let cut = path.trim_end_matches('/');
        paths.extend([path.to_owned(), cut.to_owned(), format!("{cut}/")]);
    }
    dedupe(&mut paths);
    // A port that nobody wrote is the least likely.
    let with_ports: Vec<String> = hosts.iter().flat_map(|host| usual_ports(host)).collect();
    hosts.extend(with_ports);
    let mut found = Vec::new();
    for host in &hosts {
        for scheme in &schemes {
            for path in &paths {
                for query in &queries {
                    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
                    found.push(format!("{scheme}://{host}{path}{query}"));
                }
            }
        }
    }
    dedupe(&mut found);
    found.retain(|url| url != configured);
    found.truncate(LIMIT);
    found
}

/// A URL as it may be shown: people put secrets into queries.
pub(super) fn without_values(url: &str) -> String {
    let Some((before, query)) = url.split_once('?') else { return url.to_owned() };
    let names = query.split('&').map(|pair| match pair.split_once('=') {
        Some((name, _)) => format!("{name}=…"),
        None => "…".to_owned(),
    });
    format!("{before}?{}", names.collect::<Vec<_>>().join("&"))
}

/// A host without a port, with the usual ones.
fn usual_ports(host: &str) -> Vec<String> {
    if without_port(host).is_some() { Vec::new() } else { vec![format!("{host}:443"), format!("{host}:80")] }
}

fn without_port(host: &str) -> Option<&str> {
    let (name, port) = host.rsplit_once(':')?;
    (!port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit())).then_some(name)
}

fn is_host(host: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
    !host.is_empty() && host.len() <= HOST_LIMIT_BYTES && host.bytes().all(is_plain)
}

fn dedupe<T: PartialEq>(values: &mut Vec<T>) {
    let mut kept: Vec<T> = Vec::new();
    for value in values.drain(..) {
        if !kept.contains(&value) {
            kept.push(value);
        }
    }
    *values = kept;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Headers, Timestamp};

    #[test]
    fn the_url_may_differ_in_every_part() {
        let mut headers = Headers::default();
        headers.add("host", "bridge.internal:8080");
        headers.add("x-forwarded-host", "shop.example.com, cdn.example.net");
        let request = Request {
            source: "square".to_owned(),
            headers,
            body: Vec::new(),
            query: Some("a=b".to_owned()),
            url: None,
            path_token: None,
            peer: None,
            received_at: Timestamp::UNIX_EPOCH,
        };
        let found = candidates(&request, "https://hooks.example.com/webhooks/square", "/webhooks/square");
        for url in [
            "http://hooks.example.com/webhooks/square",
            "https://hooks.example.com/webhooks/square/",
            "https://hooks.example.com:443/webhooks/square",
            "https://hooks.example.com/webhooks/square?a=b",
            "https://shop.example.com/webhooks/square",
            "http://bridge.internal:8080/webhooks/square",
            "https://bridge.internal/webhooks/square",
        ] {
            assert!(found.contains(&url.to_owned()), "{url}: {found:#?}");
        }
        assert!(found.len() <= LIMIT && !found.contains(&"https://hooks.example.com/webhooks/square".to_owned()));
        let elsewhere = candidates(&request, "https://shop.example.com/wh", "/webhooks/square");
        assert!(elsewhere.contains(&"https://shop.example.com/webhooks/square".to_owned()));
    }
}
