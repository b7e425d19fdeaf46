//! URLs that requests are sent to, and the addresses that a name on the internet must not lead to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use http::Uri;
use url::Url;

/// A URL as requests are sent to it, read by the rules of the URL standard.
///
/// # Errors
/// It is none.
pub fn uri(text: &str) -> Result<Uri, String> {
    let url = Url::parse(text).map_err(|error| error.to_string())?;
    uri_of(&url)
}

/// The same of one that is read already.
///
/// # Errors
/// It has no host, or is too long.
pub fn uri_of(url: &Url) -> Result<Uri, String> {
    url.as_str().parse().map_err(|error: http::uri::InvalidUri| error.to_string())
}

/// Whether a URL is fit to be sent something secret: https, or plain http to where it was named literally that it is private.
///
/// # Errors
/// What is wrong with it, without the URL.
pub fn check_url(text: &str, allow_private: bool) -> Result<(), String> {
    let url = Url::parse(text).map_err(|error| format!("is not a URL: {error}"))?;
    let host = url.host_str().filter(|host| !host.is_empty()).ok_or("names no host")?;
    if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() || host.ends_with('.') {
        return Err("must be scheme, host, path and query only".to_owned());
    }
    match url.scheme() {
        "https" => Ok(()),
        "http" if names_private(text) || allow_private => Ok(()),
        "http" => Err("must be https: over plain http anyone on the way reads what is sent".to_owned()),
        _ => Err("must be https".to_owned()),
    }
}

/// True where the host of a URL names a private address literally.
pub fn names_private(url: &str) -> bool {
    let Ok(url) = Url::parse(url) else { return false };
    let host = url.host_str().unwrap_or_default();
    let address: Option<IpAddr> = host.trim_matches(['[', ']']).parse().ok();
    host == "localhost" || address.is_some_and(is_private)
}

/// Of the addresses that a name leads to, those that it may lead to: looked at for every new connection, whatever it led to before.
pub(super) fn allowed(found: Vec<SocketAddr>, allow_private: bool) -> Result<Vec<SocketAddr>, &'static str> {
    let allowed: Vec<SocketAddr> = found.into_iter().filter(|address| allow_private || !is_private(address.ip())).collect();
    if allowed.is_empty() {
        return Err("the host's name leads only to private addresses, which are refused unless allow_private is set");
    }
    Ok(allowed)
}

/// True for addresses that a name on the internet must not lead to: loopback, private, link-local (with the clouds' metadata
/// services), shared, unspecified, multicast, benchmarking and reserved ones (RFC 6890), also where IPv6 wraps them.
pub fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_private_v4(address),
        IpAddr::V6(address) => match wrapped(address) {
            Some(inner) => is_private_v4(inner),
            None => {
                let [first, second, third, ..] = address.segments();
                let is_unique_local = first & 0xfe00 == 0xfc00;
                let is_link_or_site_local = first & 0xff80 == 0xfe80;
                // RFC 8215: translated as the network likes.
                let is_local_nat64 = [first, second, third] == [0x64, 0xff9b, 1];
                is_unique_local || is_link_or_site_local || is_local_nat64 || address.is_multicast()
            }
        },
    }
}

/// The IPv4 address that an IPv6 address stands for: mapped and compatible ones (also ::1 and ::, which read as 0.0.0.1 and 0.0.0.0),
/// translated ones (RFC 6052 and 7915), and 6to4 (RFC 3056).
fn wrapped(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let segments = address.segments();
    let from = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match segments {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0, 0, 0, 0, 0xffff, 0, high, low] => Some(from(high, low)),
        [0x2002, high, low, ..] => Some(from(high, low)),
        _ => address.to_ipv4(),
    }
}

fn is_private_v4(address: Ipv4Addr) -> bool {
    let [first, second, third, _] = address.octets();
    let is_shared = first == 100 && second & 0xc0 == 64;
    let is_protocols = [first, second, third] == [192, 0, 0];
    let is_benchmark = first == 198 && second & 0xfe == 18;
    let is_reserved = first == 0 || first >= 240;
    let is_local = address.is_loopback() || address.is_private() || address.is_link_local() || address.is_multicast();
    is_local || is_shared || is_protocols || is_benchmark || is_reserved
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_what_a_name_leads_to_only_public_addresses_are_taken() {
        let address = |text: &str| SocketAddr::new(text.parse().expect("an address"), 443);
        let mixed = vec![address("169.254.169.254"), address("8.8.8.8"), address("::1")];
        assert_eq!(allowed(mixed.clone(), false), Ok(vec![address("8.8.8.8")]));
        assert_eq!(allowed(mixed.clone(), true), Ok(mixed));
        assert!(allowed(vec![address("10.0.0.1")], false).is_err());
    }

    #[test]
    fn private_addresses_are_known_in_every_form() {
        let private = "127.0.0.1 10.1.2.3 192.168.0.1 172.16.0.1 169.254.169.254 100.64.0.1 0.0.0.0 255.255.255.255 224.0.0.1 \
                       ::1 :: fe80::1 fd00::1 ::ffff:127.0.0.1 ::ffff:169.254.169.254 64:ff9b::7f00:1 ff02::1 \
                       64:ff9b:1::1 2002:a00:1:: ::ffff:0:a00:1 fec0::1 192.0.0.192 198.18.0.1 198.19.255.255";
        for address in private.split_whitespace() {
            assert!(is_private(address.parse().expect("an address")), "{address}");
        }
        for address in ["1.1.1.1", "8.8.8.8", "100.128.0.1", "2606:4700:4700::1111", "::ffff:1.1.1.1"] {
            assert!(!is_private(address.parse().expect("an address")), "{address}");
        }
    }
}
