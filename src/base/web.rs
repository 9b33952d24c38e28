//! Where a server is on the web: hosts, and `scheme://host:port`.
use std::net::Ipv6Addr;

/// The longest name that DNS knows, an address in brackets, and a port.
const HOST_BYTES_MAX: usize = 255 + ":65535".len();

/// Splits a host into its name or address and its port (RFC 9110 section 7.2); nothing if it is none.
///
/// `_` is let through: compose files name services with it.
pub fn host_and_port(host: &[u8]) -> Option<(&str, Option<u16>)> {
    let host = std::str::from_utf8(host).ok().filter(|it| it.len() <= HOST_BYTES_MAX)?;
    let (name, port) = match host.strip_prefix('[') {
        Some(rest) => {
            let end = rest.find(']')? + "[]".len();
            rest[..end - "[]".len()].parse::<Ipv6Addr>().ok()?;
            match &host[end..] {
                "" => (&host[..end], None),
                after => (&host[..end], Some(after.strip_prefix(':')?)),
            }
        }
        None => match host.split_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (host, None),
        },
    };
    let is_name = |it: &str| {
        !it.is_empty() && it.bytes().all(|it| it.is_ascii_alphanumeric() || matches!(it, b'-' | b'.' | b'_'))
    };
    if !name.starts_with('[') && !is_name(name) {
        return None;
    }
    match port {
        None => Some((name, None)),
        Some(port) if port.bytes().all(|it| it.is_ascii_digit()) => Some((name, Some(port.parse().ok()?))),
        Some(_) => None,
    }
}

/// The start of a web address, and what comes after it.
#[derive(Debug, PartialEq, Eq)]
pub struct Site<'a> {
    pub scheme: &'a str,
    /// A name, an IPv4 address, or an IPv6 address in brackets.
    pub host: &'a str,
    pub port: Option<u16>,
    /// Path, query and fragment.
    pub rest: &'a str,
}

impl<'a> Site<'a> {
    /// Reads an address such as `https://example.com:8443/path`. Who names a user in it is refused.
    pub fn parse(text: &'a str) -> Option<Self> {
        let (scheme, after) = text.split_once("://")?;
        let is_scheme = scheme.starts_with(|it: char| it.is_ascii_alphabetic())
            && scheme.bytes().all(|it| it.is_ascii_alphanumeric() || matches!(it, b'+' | b'-' | b'.'));
        let (host, rest) = after.split_at(after.find(['/', '?', '#', '\\']).unwrap_or(after.len()));
        let (host, port) = host_and_port(host.as_bytes())?;
        let labels_fit = host.starts_with('[') || host.split('.').all(|it| !it.is_empty());
        (is_scheme && labels_fit && port != Some(0)).then_some(Self { scheme, host, port, rest })
    }

    /// The origin of the address as a browser sends it: small letters, and no port that goes without saying.
    pub fn origin(&self) -> String {
        let (scheme, host) = (self.scheme.to_ascii_lowercase(), self.host.to_ascii_lowercase());
        let host = match host.trim_start_matches('[').trim_end_matches(']').parse::<Ipv6Addr>() {
            Ok(address) => format!("[{address}]"),
            Err(_) => host,
        };
        let usual = match scheme.as_str() {
            "http" => Some(80),
            "https" => Some(443),
            _ => None,
        };
        match self.port.filter(|it| Some(*it) != usual) {
            Some(port) => format!("{scheme}://{host}:{port}"),
            None => format!("{scheme}://{host}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_or_an_address_with_or_without_a_port() {
        for (host, expected) in [
            ("a", ("a", None)),
            ("a.example:8088", ("a.example", Some(8088))),
            ("my_service:80", ("my_service", Some(80))),
            ("127.0.0.1", ("127.0.0.1", None)),
            ("[::1]", ("[::1]", None)),
            ("[::1]:8088", ("[::1]", Some(8088))),
            ("xn--bcher-kva.ch", ("xn--bcher-kva.ch", None)),
        ] {
            assert_eq!(host_and_port(host.as_bytes()), Some(expected), "{host:?}");
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
            "[::1]:",
            "[a]",
            "[]",
            "::1",
            "a\t",
            "b\u{fc}cher",
            long.as_str(),
        ] {
            assert_eq!(host_and_port(bad.as_bytes()), None, "{bad:?}");
        }
    }

    #[test]
    fn an_address_is_taken_apart() {
        let site = Site::parse("https://api.example.com:8443/path?q#f").expect("an address");

        assert_eq!(
            (site.scheme, site.host, site.port, site.rest),
            ("https", "api.example.com", Some(8443), "/path?q#f")
        );
        for bad in [
            "",
            "null",
            "*",
            "example.com",
            "//example.com",
            "https:/example.com",
            "https://",
            "https:///path",
            "https://user@example.com",
            "https://user:pw@example.com",
            "https://*.example.com",
            "https://example..com",
            "https://.example.com",
            "https://example.com:0",
            "https://ex ample.com",
            "https://example.com\n",
            "ht tps://example.com",
            "1://example.com",
        ] {
            assert_eq!(Site::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn an_origin_is_written_as_browsers_send_it() {
        for (text, origin) in [
            ("https://app.example.com", "https://app.example.com"),
            ("HTTPS://App.Example.com/path", "https://app.example.com"),
            ("https://app.example.com:443", "https://app.example.com"),
            ("http://app.example.com:443", "http://app.example.com:443"),
            ("http://[0:0::1]:3000", "http://[::1]:3000"),
            ("capacitor://localhost", "capacitor://localhost"),
        ] {
            assert_eq!(Site::parse(text).expect("an address").origin(), origin, "{text}");
        }
    }
}
