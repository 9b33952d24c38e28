//! Where a request really comes from, behind as many proxies as are trusted.
//!
//! Anyone can write `X-Forwarded-For`. So it is read only when the peer is a
//! trusted proxy, from the right, and only as far as the hops are trusted: the
//! first that is not is the client. `Forwarded` (RFC 7239) is read only when there
//! is no `X-Forwarded-For`, because most proxies write the latter and pass the
//! former on as the client sent it; a proxy that writes `Forwarded` must remove
//! `X-Forwarded-For`.
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use ipnet::IpNet;
use poem::http::header::{FORWARDED, HeaderMap, HeaderName, HeaderValue};
use poem::{FromRequest, Request, RequestBody};

use crate::base::web::host_and_port;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// The address of the client, in the extensions of every request. Absent at the operator's socket.
/// IPv4 is never wrapped in IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientAddress(pub Option<IpAddr>);

impl ClientAddress {
    /// What a limit per address counts by.
    pub fn throttle_key(self) -> Option<IpAddr> {
        self.0.map(throttle_key)
    }

    /// What a higher limit for neighbours counts by.
    pub fn neighbourhood_key(self) -> Option<IpAddr> {
        self.0.map(neighbourhood_key)
    }
}

impl<'a> FromRequest<'a> for ClientAddress {
    async fn from_request(request: &'a Request, _body: &mut RequestBody) -> poem::Result<Self> {
        Ok(request.extensions().get::<Self>().copied().unwrap_or(Self(None)))
    }
}

/// What a limit per address counts by. With IPv6 that is the /64: one customer has all of it.
pub fn throttle_key(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => IpAddr::V6(first_bits(address, 64)),
    }
}

/// What a limit counts by that is to hold for everyone nearby. With IPv6 that is the /48: a site has that much, and so
/// 65,536 times what [`throttle_key`] takes for one customer.
pub fn neighbourhood_key(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => IpAddr::V6(first_bits(address, 48)),
    }
}

fn first_bits(address: Ipv6Addr, count: u32) -> Ipv6Addr {
    Ipv6Addr::from(u128::from(address) & (u128::MAX << (128 - count)))
}

/// How the client reached us, in the extensions of every request.
///
/// The host is what the request says: fit for choosing a tenant or building a link
/// to the same page, never for a link in a mail to someone else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reached {
    /// Whether the client's own connection is encrypted.
    pub https: bool,
    host: HeaderValue,
}

impl Reached {
    pub fn new(https: bool, host: HeaderValue) -> Self {
        Self { https, host }
    }

    /// The host with its port, as sent; empty if an HTTP/1.0 request named none.
    pub fn host(&self) -> &str {
        self.host.to_str().unwrap_or_default()
    }
}

/// What trusted proxies say about a request, or the peer itself if it is not one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    pub client: Option<IpAddr>,
    /// Absent: a trusted proxy does not say.
    pub https: Option<bool>,
    /// The host that the client asked for, if a proxy says so.
    pub host: Option<HeaderValue>,
}

/// Finds the client of a request that came from `peer`, or from the operator's socket.
pub fn of(peer: Option<IpAddr>, headers: &HeaderMap, trusted: &[IpNet]) -> Origin {
    let Some(peer) = peer.map(|it| it.to_canonical()) else {
        return Origin { client: None, https: Some(false), host: None };
    };
    let direct = Origin { client: Some(peer), https: Some(false), host: None };
    if !is_trusted(peer, trusted) {
        return direct;
    }
    if headers.contains_key(X_FORWARDED_FOR) {
        from_x_forwarded(peer, headers, trusted)
    } else if headers.contains_key(FORWARDED) {
        from_forwarded(peer, headers, trusted)
    } else {
        Origin { https: last(headers, &X_FORWARDED_PROTO).map(is_https), ..direct }
    }
}

pub fn is_trusted(address: IpAddr, trusted: &[IpNet]) -> bool {
    trusted.iter().any(|it| it.contains(&address))
}

fn from_x_forwarded(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> Origin {
    let mut client = peer;
    for hop in headers.get_all(X_FORWARDED_FOR).iter().rev().flat_map(|it| it.to_str().unwrap_or("?").rsplit(',')) {
        // What cannot be read was not written by a proxy of ours: who wrote it is unknown, so the proxy stands for it.
        let Some(address) = address_in(hop.trim()) else { break };
        client = address;
        if !is_trusted(address, trusted) {
            break;
        }
    }
    let host = headers
        .get_all(X_FORWARDED_HOST)
        .iter()
        .next_back()
        .filter(|it| host_and_port(it.as_bytes()).is_some())
        .cloned();
    Origin { client: Some(client), https: last(headers, &X_FORWARDED_PROTO).map(is_https), host }
}

fn from_forwarded(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> Origin {
    let mut origin = Origin { client: Some(peer), https: Some(false), host: None };
    for line in headers.get_all(FORWARDED).iter().rev() {
        for element in split_unquoted(line.to_str().unwrap_or("?"), ',').into_iter().rev() {
            let Some(hop) = Hop::read(element) else { return origin };
            origin = Origin { client: Some(hop.client), https: hop.https, host: hop.host };
            if !is_trusted(hop.client, trusted) {
                return origin;
            }
        }
    }
    origin
}

/// One element of `Forwarded`: what one proxy says about the one before it.
struct Hop {
    client: IpAddr,
    https: Option<bool>,
    host: Option<HeaderValue>,
}

impl Hop {
    fn read(element: &str) -> Option<Self> {
        let (mut client, mut https, mut host) = (None, None, None);
        for pair in split_unquoted(element, ';') {
            let (name, value) = pair.split_once('=')?;
            let value = value.trim();
            let value = value.strip_prefix('"').and_then(|it| it.strip_suffix('"')).unwrap_or(value);
            match name.trim() {
                name if name.eq_ignore_ascii_case("for") => client = address_in(value),
                name if name.eq_ignore_ascii_case("proto") => https = Some(is_https(value)),
                name if name.eq_ignore_ascii_case("host") && host_and_port(value.as_bytes()).is_some() => {
                    host = HeaderValue::from_str(value).ok();
                }
                _ => {}
            }
        }
        Some(Self { client: client?, https, host })
    }
}

/// Splits at `separator` where it is not inside quotes.
fn split_unquoted(text: &str, separator: char) -> Vec<&str> {
    let mut quoted = false;
    text.split(|it| {
        quoted ^= it == '"';
        it == separator && !quoted
    })
    .collect()
}

/// An address with or without a port: `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]:80`.
fn address_in(text: &str) -> Option<IpAddr> {
    let address = text
        .parse::<IpAddr>()
        .or_else(|_| text.parse::<SocketAddr>().map(|it| it.ip()))
        .ok()
        .or_else(|| text.strip_prefix('[')?.strip_suffix(']')?.parse::<Ipv6Addr>().ok().map(IpAddr::V6))?;
    Some(address.to_canonical())
}

/// The last value of a list: what the nearest proxy wrote. What is no text is nothing that anybody means.
fn last<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get_all(name).iter().next_back()?.to_str().unwrap_or_default().rsplit(',').next()
}

fn is_https(proto: &str) -> bool {
    proto.trim().eq_ignore_ascii_case("https")
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROXY: &str = "10.0.0.1";

    fn of_peer(peer: &str, sent: &[(&'static str, &str)]) -> Origin {
        let headers = sent
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).expect("a value")))
            .collect();
        let trusted = ["10.0.0.0/8".parse().expect("a network"), "fd00::/8".parse().expect("a network")];
        of(Some(peer.parse().expect("an address")), &headers, &trusted)
    }

    fn client(peer: &str, sent: &[(&'static str, &str)]) -> String {
        of_peer(peer, sent).client.expect("an address").to_string()
    }

    /// Otherwise anyone gets a fresh limit, and another's ban, with one header.
    #[test]
    fn a_forged_header_is_ignored() {
        let forged = [
            ("x-forwarded-for", "192.0.2.7"),
            ("forwarded", "for=192.0.2.7;proto=https;host=evil.example"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "evil.example"),
            ("x-real-ip", "192.0.2.7"),
        ];

        let origin = of_peer("198.51.100.1", &forged);

        let itself = "198.51.100.1".parse().expect("an address");
        assert_eq!(origin, Origin { client: Some(itself), https: Some(false), host: None });
    }

    #[test]
    fn the_client_is_the_right_most_hop_that_is_not_trusted() {
        assert_eq!(client(PROXY, &[("x-forwarded-for", "192.0.2.7")]), "192.0.2.7");
        assert_eq!(client(PROXY, &[("x-forwarded-for", "6.6.6.6, 192.0.2.7, 10.0.0.2")]), "192.0.2.7");
        assert_eq!(
            client(PROXY, &[("x-forwarded-for", "6.6.6.6"), ("x-forwarded-for", "192.0.2.7,10.0.0.2")]),
            "192.0.2.7"
        );
        assert_eq!(client(PROXY, &[("x-forwarded-for", "10.0.0.3, 10.0.0.2")]), "10.0.0.3");
        assert_eq!(client(PROXY, &[]), PROXY);
    }

    #[test]
    fn what_cannot_be_read_is_not_passed_over() {
        assert_eq!(client(PROXY, &[("x-forwarded-for", "6.6.6.6, unknown")]), PROXY);
        assert_eq!(client(PROXY, &[("x-forwarded-for", "6.6.6.6, unknown, 10.0.0.2")]), "10.0.0.2");
        assert_eq!(client(PROXY, &[("x-forwarded-for", "")]), PROXY);
        assert_eq!(client(PROXY, &[("forwarded", "for=6.6.6.6, for=_hidden")]), PROXY);
        assert_eq!(client(PROXY, &[("forwarded", "nonsense")]), PROXY);
    }

    #[test]
    fn ports_brackets_and_wrapped_addresses_are_understood() {
        assert_eq!(client(PROXY, &[("x-forwarded-for", "192.0.2.7:4711")]), "192.0.2.7");
        assert_eq!(client(PROXY, &[("x-forwarded-for", "[2001:db8::1]:4711")]), "2001:db8::1");
        assert_eq!(client(PROXY, &[("x-forwarded-for", "::ffff:192.0.2.7")]), "192.0.2.7");
        assert_eq!(client("::ffff:10.0.0.1", &[("x-forwarded-for", "192.0.2.7")]), "192.0.2.7");
        assert_eq!(client("::ffff:198.51.100.1", &[]), "198.51.100.1");
    }

    #[test]
    fn forwarded_is_read_when_it_is_alone() {
        let sent = r#"for=6.6.6.6, For="[2001:db8::1]:80";Proto=https;host="a.example:8443";by="a,b;c", for=10.0.0.2"#;

        let origin = of_peer(PROXY, &[("forwarded", sent)]);

        assert_eq!(origin.client, "2001:db8::1".parse().ok());
        assert_eq!(origin.https, Some(true));
        assert_eq!(origin.host, Some(HeaderValue::from_static("a.example:8443")));
        assert_eq!(client(PROXY, &[("forwarded", "for=6.6.6.6"), ("x-forwarded-for", "192.0.2.7")]), "192.0.2.7");
    }

    #[test]
    fn a_trusted_proxy_says_how_the_client_reached_it() {
        let origin = of_peer(
            PROXY,
            &[
                ("x-forwarded-for", "192.0.2.7"),
                ("x-forwarded-proto", "http, https"),
                ("x-forwarded-host", "a.example"),
            ],
        );

        assert_eq!(origin.https, Some(true));
        assert_eq!(origin.host, Some(HeaderValue::from_static("a.example")));
        assert_eq!(
            of_peer(PROXY, &[("x-forwarded-for", "192.0.2.7"), ("x-forwarded-host", "a b")]).host,
            None,
            "a malformed host was believed"
        );
    }

    #[test]
    fn a_trusted_proxy_that_does_not_say_how_it_was_reached_is_told_from_one_that_says_so() {
        let https = |sent: &[(&'static str, &str)]| of_peer(PROXY, sent).https;

        for silent in [&[][..], &[("x-forwarded-for", "192.0.2.7")], &[("forwarded", "for=192.0.2.7;host=a.example")]] {
            assert_eq!(https(silent), None, "{silent:?}");
        }
        for plain in [
            &[("x-forwarded-proto", "http")][..],
            &[("x-forwarded-for", "192.0.2.7"), ("x-forwarded-proto", "https, http")],
            &[("x-forwarded-for", "192.0.2.7"), ("x-forwarded-proto", "")],
            &[("forwarded", "for=192.0.2.7;proto=http")],
            &[("forwarded", "nonsense")],
        ] {
            assert_eq!(https(plain), Some(false), "{plain:?}");
        }
        assert_eq!(of_peer("198.51.100.1", &[]).https, Some(false), "who is no proxy came as they came");
    }

    #[test]
    fn a_customers_whole_ipv6_network_counts_as_one() {
        let key = |text: &str| throttle_key(text.parse().expect("an address")).to_string();

        assert_eq!(key("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(key("192.0.2.7"), "192.0.2.7");
    }
}
