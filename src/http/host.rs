//! Which host a request is meant for, and the refusal of requests that leave it open.
use poem::http::header::{HOST, HeaderMap, HeaderValue};
use poem::http::uri::Authority;
use poem::http::{Uri, Version};

use crate::base::web::host_and_port;

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
    if host_and_port(host.as_bytes()).is_none() {
        return Err("`Host` is malformed");
    }
    Ok(host)
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
        for bad in ["", ":80", "a b", "user:pw@a", "a,b"] {
            assert!(of(Version::HTTP_11, &Uri::from_static("/x"), &headers(&[bad])).is_err(), "{bad:?} was accepted");
        }
    }
}
