//! Which host a request is meant for, and the refusal of requests that leave it open.
use poem::http::header::{HOST, HeaderMap, HeaderValue};
use poem::http::uri::Authority;
use poem::http::{Uri, Version};

/// Finds the one host that a request names, or says why it cannot be taken.
///
/// HTTP/1.1 names it in `Host`, HTTP/2 in `:authority`. Where both are there, or an
/// absolute URL beside `Host`, they must agree: two readers of such a request
/// (a cache, a proxy, a tenant look-up) would otherwise believe different ones.
/// HTTP/1.0 had no `Host`; health checkers still speak it, so there it may be
/// absent, and the host is then empty.
pub(super) fn of(version: Version, uri: &Uri, headers: &HeaderMap) -> Result<HeaderValue, &'static str> {
    let mut sent = headers.get_all(HOST).iter();
    let header = sent.next();
    if sent.next().is_some() {
        return Err("send `Host` once");
    }
    let authority = uri.authority().map(Authority::as_str);

    if let (Some(header), Some(authority)) = (header, authority)
        && !header.as_bytes().eq_ignore_ascii_case(authority.as_bytes())
    {
        return Err("`Host` and the address in the request line differ");
    }
    let host = match (header, authority) {
        (Some(header), _) => header.clone(),
        (None, Some(authority)) if version != Version::HTTP_11 => {
            HeaderValue::from_str(authority).map_err(|_| "`:authority` is malformed")?
        }
        (None, None) if version < Version::HTTP_11 => return Ok(HeaderValue::from_static("")),
        (None, _) => return Err("`Host` is missing"),
    };
    if !is_well_formed(host.as_bytes()) {
        return Err("`Host` is malformed");
    }
    Ok(host)
}

/// Whether `host` is a name or an address, with or without a port (RFC 9110 section 7.2).
/// `_` is let through: compose files name services with it.
pub(super) fn is_well_formed(host: &[u8]) -> bool {
    /// The longest name that DNS knows, an address in brackets, and a port.
    const HOST_BYTES_MAX: usize = 255 + ":65535".len();

    let Ok(host) = std::str::from_utf8(host) else { return false };
    if HOST_BYTES_MAX < host.len() {
        return false;
    }
    let (name, port) = match host.strip_prefix('[') {
        Some(rest) => {
            let Some((address, after)) = rest.split_once(']') else { return false };
            if address.parse::<std::net::Ipv6Addr>().is_err() {
                return false;
            }
            match after.strip_prefix(':') {
                Some(port) => ("", Some(port)),
                None if after.is_empty() => ("", None),
                None => return false,
            }
        }
        None => {
            let (name, port) = match host.split_once(':') {
                Some((name, port)) => (name, Some(port)),
                None => (host, None),
            };
            if name.is_empty() {
                return false;
            }
            (name, port)
        }
    };
    let name_fits = name.bytes().all(|it| it.is_ascii_alphanumeric() || matches!(it, b'-' | b'.' | b'_'));
    let port_fits = port.is_none_or(|it| it.bytes().all(|digit| digit.is_ascii_digit()) && it.parse::<u16>().is_ok());
    name_fits && port_fits
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(hosts: &[&'static str]) -> HeaderMap {
        hosts.iter().map(|it| (HOST, HeaderValue::from_static(it))).collect()
    }

    #[test]
    fn a_missing_or_doubled_host_is_refused() {
        let uri = Uri::from_static("/x");

        assert!(of(Version::HTTP_11, &uri, &headers(&[])).is_err());
        assert!(of(Version::HTTP_11, &uri, &headers(&["a", "a"])).is_err());
        assert!(of(Version::HTTP_10, &uri, &headers(&["a", "b"])).is_err());
        assert_eq!(of(Version::HTTP_11, &uri, &headers(&["a:80"])), Ok(HeaderValue::from_static("a:80")));
    }

    /// Health checkers that speak HTTP/1.0 send none.
    #[test]
    fn http_1_0_may_leave_the_host_out() {
        assert_eq!(of(Version::HTTP_10, &Uri::from_static("/health"), &headers(&[])), Ok(HeaderValue::from_static("")));
    }

    #[test]
    fn http_2_names_the_host_in_its_authority() {
        let uri = Uri::from_static("http://a.example/x");

        assert_eq!(of(Version::HTTP_2, &uri, &headers(&[])), Ok(HeaderValue::from_static("a.example")));
        assert!(of(Version::HTTP_2, &uri, &headers(&["A.example"])).is_ok());
        assert!(of(Version::HTTP_2, &Uri::from_static("/x"), &headers(&[])).is_err());
    }

    /// A proxy that routes by one and a server that answers for the other is how caches are poisoned.
    #[test]
    fn two_different_hosts_are_refused() {
        let uri = Uri::from_static("http://a.example/x");

        assert!(of(Version::HTTP_2, &uri, &headers(&["b.example"])).is_err());
        assert!(of(Version::HTTP_11, &uri, &headers(&["b.example"])).is_err());
        assert!(of(Version::HTTP_11, &uri, &headers(&[])).is_err());
    }

    #[test]
    fn what_is_no_host_is_malformed() {
        for good in
            ["a", "a.example:8088", "nas", "my_service:80", "127.0.0.1", "[::1]", "[::1]:8088", "xn--bcher-kva.ch"]
        {
            assert!(is_well_formed(good.as_bytes()), "{good:?} was refused");
        }
        let long = "a".repeat(300);
        for bad in [
            "",
            ":80",
            "a:",
            "a:x",
            "a:65536",
            "a:+80",
            "a b",
            "a/b",
            "a@b",
            "user:pw@a",
            "a,b",
            "[::1",
            "[::1]x",
            "[a]",
            "::1",
            "a\t",
            "b\u{fc}cher",
            long.as_str(),
        ] {
            assert!(!is_well_formed(bad.as_bytes()), "{bad:?} was accepted");
        }
    }
}
