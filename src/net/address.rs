//! Where a server is.
use http::Uri;

use super::Error;

/// The address of a server: `https://api.example.com/base`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    pub is_secret: bool,
    pub host: String,
    pub port: u16,
    /// The host, and the port if it is not the usual one.
    pub authority: String,
    /// What stands before each path, without a slash at its end.
    pub base: String,
}

impl Address {
    pub fn parse(text: &str) -> Result<Self, Error> {
        let uri: Uri = text.trim_end_matches('/').parse().map_err(|_| Error::Address("is no address"))?;
        let authority = uri.authority().ok_or(Error::Address("must begin with https:// or http://"))?;
        let (is_secret, usual) = match uri.scheme_str() {
            Some("https") => (true, 443),
            Some("http") => (false, 80),
            _ => return Err(Error::Address("must begin with https:// or http://")),
        };
        if authority.as_str().contains('@') {
            return Err(Error::Address("must not hold a name or a password"));
        }
        if uri.query().is_some() {
            return Err(Error::Address("must have no parameters"));
        }
        Ok(Self {
            is_secret,
            host: authority.host().trim_matches(['[', ']']).to_owned(),
            port: authority.port_u16().unwrap_or(usual),
            authority: authority.to_string(),
            base: uri.path().trim_end_matches('/').to_owned(),
        })
    }

    /// Whether it is on this machine, so that nobody on the way can read along.
    pub fn is_near(&self) -> bool {
        self.host == "localhost" || self.host.parse::<std::net::IpAddr>().is_ok_and(|it| it.is_loopback())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_scheme_a_host_and_nothing_that_does_not_belong_there() {
        let parts = |text: &str| {
            let it = Address::parse(text).expect("an address");
            (it.is_secret, it.host, it.port, it.base)
        };
        let of = |is_secret, host: &str, port, base: &str| (is_secret, host.to_owned(), port, base.to_owned());

        assert_eq!(parts("https://api.example.com"), of(true, "api.example.com", 443, ""));
        assert_eq!(parts("https://api.example.com:8443/a/b/"), of(true, "api.example.com", 8443, "/a/b"));
        assert_eq!(parts("http://[::1]:8088/"), of(false, "::1", 8088, ""));
        for wrong in ["localhost", "ftp://a", "https://", "http://a:b@localhost", "http://localhost?x=1", "", "a b"] {
            assert!(Address::parse(wrong).is_err(), "{wrong}");
        }
        for (text, is_near) in [("http://[::1]", true), ("http://127.9.9.9", true), ("http://localhost.example", false)]
        {
            assert_eq!(Address::parse(text).expect("an address").is_near(), is_near, "{text}");
        }
    }
}
