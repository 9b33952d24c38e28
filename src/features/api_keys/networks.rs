//! From where a key may be used: a list of addresses and networks.
use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};

/// How many bits of an IPv6 address stand before an IPv4 address that is wrapped in it.
const WRAPPING_BITS: u8 = 96;

/// Reads `203.0.113.7`, `203.0.113.0/24` or `2001:db8::/32`.
pub(super) fn read(text: &str) -> Result<IpNet, &'static str> {
    let text = text.trim();
    let read = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    read.map(plain).map_err(|_| "is an address or a network, such as `203.0.113.7` or `2001:db8::/32`")
}

/// IPv4 that is wrapped in IPv6 as what it is: callers come that way too.
fn plain(network: IpNet) -> IpNet {
    if let IpNet::V6(wrapped) = network
        && let Some(bits) = wrapped.prefix_len().checked_sub(WRAPPING_BITS)
        && let Some(address) = wrapped.addr().to_ipv4_mapped()
        && let Ok(network) = Ipv4Net::new(address, bits)
    {
        return IpNet::V4(network.trunc());
    }
    network.trunc()
}

/// Whether a caller is within. Where there is no network, everyone is; who has no address is in none.
pub(super) fn contain(networks: &[IpNet], address: Option<IpAddr>) -> bool {
    networks.is_empty() || address.is_some_and(|it| networks.iter().any(|net| net.contains(&it.to_canonical())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_holds_addresses_and_networks_of_both_kinds() {
        let networks = ["203.0.113.7", "198.51.100.77/24", "2001:db8::/32", "::ffff:192.0.2.0/120"];
        let networks: Vec<_> = networks.iter().map(|it| read(it).expect("a network")).collect();
        let is_within = |text: &str| contain(&networks, Some(text.parse().expect("an address")));

        for within in ["203.0.113.7", "198.51.100.1", "2001:db8:1::1", "192.0.2.255", "::ffff:203.0.113.7"] {
            assert!(is_within(within), "{within}");
        }
        for beyond in ["203.0.113.8", "198.51.101.1", "2001:db9::1", "192.0.3.0", "::1"] {
            assert!(!is_within(beyond), "{beyond}");
        }
        assert!(!contain(&networks, None) && contain(&[], None));
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in ["", "everywhere", "203.0.113.0/33", "203.0.113", "2001:db8::/129", "10.0.0.0/8 or so"] {
            assert!(read(text).is_err(), "{text:?}");
        }
    }
}
