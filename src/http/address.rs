//! Whose address a request comes from, when proxies stand in between.
use std::net::IpAddr;

use ipnet::IpNet;
use poem::http::HeaderMap;
use poem::{FromRequest, Request, RequestBody};

/// The address of the client, as far as it can be trusted. Absent at the socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientAddress(pub Option<IpAddr>);

impl<'a> FromRequest<'a> for ClientAddress {
    async fn from_request(request: &'a Request, _body: &mut RequestBody) -> poem::Result<Self> {
        Ok(request.extensions().get::<Self>().copied().unwrap_or(Self(None)))
    }
}

/// The client's address: the peer's, or what trusted proxies say.
///
/// Each proxy adds the address it saw at the right. So the list is read from the right,
/// for as long as the one who speaks is trusted; what stands further left anyone can write.
pub fn client_address(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let is_trusted = |it: IpAddr| trusted.iter().any(|net| net.contains(&it));
    let mut address = peer.to_canonical();
    if !is_trusted(address) {
        return address;
    }
    let listed = headers.get_all("x-forwarded-for").iter().filter_map(|it| it.to_str().ok());
    let listed: Vec<&str> = listed.flat_map(|it| it.split(',')).map(str::trim).collect();
    for hop in listed.into_iter().rev() {
        let Some(seen) = parse_hop(hop) else { break };
        address = seen;
        if !is_trusted(address) {
            break;
        }
    }
    address
}

/// An address with or without a port: `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]:80`.
fn parse_hop(hop: &str) -> Option<IpAddr> {
    let address = hop.parse::<IpAddr>().ok();
    let address = address.or_else(|| hop.parse::<std::net::SocketAddr>().ok().map(|it| it.ip()));
    address.or_else(|| hop.strip_prefix('[')?.strip_suffix(']')?.parse().ok()).map(|it| it.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(peer: &str, forwarded: &[&str], trusted: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append("x-forwarded-for", value.parse().expect("a header"));
        }
        let trusted: Vec<IpNet> = trusted.iter().map(|it| it.parse().expect("a network")).collect();
        client_address(peer.parse().expect("an address"), &headers, &trusted).to_string()
    }

    /// Anyone can send the header; only a proxy of ours is believed.
    #[test]
    fn a_forged_header_is_ignored() {
        assert_eq!(seen("203.0.113.9", &["10.0.0.1"], &[]), "203.0.113.9");
        assert_eq!(seen("203.0.113.9", &["10.0.0.1"], &["127.0.0.0/8"]), "203.0.113.9");
    }

    #[test]
    fn the_right_most_untrusted_hop_counts() {
        let trusted = ["127.0.0.0/8", "10.0.0.0/8"];

        assert_eq!(seen("127.0.0.1", &["198.51.100.7"], &trusted), "198.51.100.7");
        assert_eq!(seen("127.0.0.1", &["1.1.1.1, 198.51.100.7, 10.0.0.2"], &trusted), "198.51.100.7");
        assert_eq!(seen("127.0.0.1", &["1.1.1.1", "198.51.100.7:4711"], &trusted), "198.51.100.7");
        assert_eq!(seen("127.0.0.1", &["[2001:db8::1]:80"], &trusted), "2001:db8::1");
    }

    #[test]
    fn what_is_no_address_ends_the_search() {
        assert_eq!(seen("127.0.0.1", &["1.1.1.1, unknown, 10.0.0.2"], &["127.0.0.0/8", "10.0.0.0/8"]), "10.0.0.2");
        assert_eq!(seen("127.0.0.1", &["garbage"], &["127.0.0.0/8"]), "127.0.0.1");
    }

    #[test]
    fn a_mapped_address_is_the_one_that_it_maps() {
        assert_eq!(seen("::ffff:203.0.113.9", &[], &[]), "203.0.113.9");
    }
}
