//! The cookie that a browser keeps instead of tokens.
//!
//! Where the browser's own connection is HTTPS it is `__Host-steading-session`: then neither a page of another host nor
//! somebody on the way can put one of theirs in its place. Over plain HTTP, which a home network has, that name cannot be
//! had, and it is `steading-session`. On each connection one of the names alone is looked at.
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use poem::http::header::{COOKIE, FORWARDED, HeaderMap, HeaderName, SET_COOKIE};
use poem::http::{HeaderValue, Method};
use poem::{FromRequest, Request, RequestBody};

use super::address::{ClientAddress, Reached};
use super::own_origin;
use super::policy::Policy;
use super::problem::{self, Kind, Problem};

const SECURE_NAME: &str = "__Host-steading-session";
const PLAIN_NAME: &str = "steading-session";
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

pub const NEEDS_HTTPS: Kind = Kind { status: 403, code: "cookie-needs-https", title: "A cookie needs HTTPS here" };

/// How a browser is told of its cookie, on a connection such as this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Jar {
    https: bool,
}

impl Jar {
    /// Where the public address is reached by HTTPS, so is a browser that asked for it, also if a proxy that is not known
    /// here does not say so. What came by plain HTTP all the same gets a cookie that the browser does not take.
    fn of(request: &Request) -> Self {
        let (reached, policy) = (request.extensions().get::<Reached>(), request.extensions().get::<Arc<Policy>>());
        let is_public = |reached: &Reached| policy.is_some_and(|it| it.is_public_by_https(reached.host()));
        Self { https: reached.is_some_and(|it| it.https || is_public(it)) }
    }

    /// The `Set-Cookie` that has the browser keep `value`, for that long at most.
    pub fn keep(self, value: &str, secs: u64) -> String {
        let name = self.name();
        let marks = match self.https {
            true => "Secure; HttpOnly; SameSite=Lax",
            false => "HttpOnly; SameSite=Strict",
        };
        format!("{name}={value}; Path=/; Max-Age={secs}; {marks}")
    }

    /// The `Set-Cookie` that has the browser forget it.
    pub fn clear(self) -> String {
        self.keep("", 0)
    }

    const fn name(self) -> &'static str {
        if self.https { SECURE_NAME } else { PLAIN_NAME }
    }

    /// The value of the cookie. Two of them that may be ours are refused: which one counts must not be a guess. What
    /// another program of this host keeps under the same name does not count beside one.
    fn find(self, headers: &HeaderMap) -> Result<Option<&str>, Problem> {
        let lines = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes);
        let pairs = lines.flat_map(|it| it.split(|it| *it == b';')).map(<[u8]>::trim_ascii);
        let values = pairs.filter_map(|it| it.strip_prefix(self.name().as_bytes())?.strip_prefix(b"="));
        let mut found = None;
        for value in values.filter(|it| !it.is_empty()) {
            match found {
                Some(other) if may_be_ours(other) && may_be_ours(value) && other != value => {
                    let detail =
                        format!("there are two cookies `{}`; remove those of this host and sign in again", self.name());
                    return Err(Problem::new(&problem::MALFORMED, detail));
                }
                Some(other) if may_be_ours(other) => {}
                _ => found = Some(value),
            }
        }
        // What is no text is no cookie of ours, and no secret: nothing signs it.
        Ok(found.map(|it| std::str::from_utf8(it).unwrap_or("?")))
    }
}

/// How every cookie of ours begins, and how long it is: a session's id with an HMAC-SHA-256, in Base64.
pub const PREFIX: &str = "sc_";
pub const VALUE_BYTES: usize = 16 + 32;
const VALUE_CHARS: usize = PREFIX.len() + VALUE_BYTES * 4 / 3;

fn may_be_ours(value: &[u8]) -> bool {
    value.len() == VALUE_CHARS && value.starts_with(PREFIX.as_bytes())
}

/// The cookie that a request shows.
pub(super) fn presented(request: &Request) -> Result<Option<&str>, Problem> {
    Jar::of(request).find(request.headers())
}

/// What tells one request with a cookie from another before anybody looks whether it is genuine.
pub fn mark(request: &Request) -> Option<&str> {
    presented(request).ok().flatten()
}

/// A refusal of a cookie that does not work, with which the browser forgets it.
pub(super) fn forgotten(problem: Problem, request: &Request) -> Problem {
    match HeaderValue::try_from(Jar::of(request).clear()) {
        Ok(clear) if problem.kind.status == 401 => problem.with_header(SET_COOKIE, clear),
        _ => problem,
    }
}

/// What a request tells of the browser that it comes from, for endpoints that give it a cookie, or take it away.
#[derive(Clone, Debug)]
pub struct Browser {
    jar: Jar,
    /// Why it gets no cookie.
    refused: Option<Problem>,
    /// The one that it shows, genuine or not.
    shown: Option<String>,
}

impl Browser {
    pub fn jar(&self) -> Jar {
        self.jar
    }

    /// The cookie that it shows. Nobody looked whether it is genuine.
    pub fn cookie(&self) -> Option<&str> {
        self.shown.as_deref()
    }

    /// Refuses a browser whose cookie others could read on the way, and a page that is not ours: it would sign its
    /// visitor in as somebody else.
    pub fn must_take_cookies(&self) -> Result<Jar, Problem> {
        self.refused.clone().map_or(Ok(self.jar), Err)
    }
}

impl<'a> FromRequest<'a> for Browser {
    async fn from_request(request: &'a Request, _body: &mut RequestBody) -> poem::Result<Self> {
        let jar = Jar::of(request);
        let refused = must_be_near(request).and_then(|()| own_origin::must_be_ours(request)).err();
        let shown = mark(request).map(ToOwned::to_owned);
        Ok(Self { jar, refused, shown })
    }
}

/// Refuses plain HTTP that comes from far, or came encrypted to somebody who is not known here.
fn must_be_near(request: &Request) -> Result<(), Problem> {
    let address = request.extensions().get::<ClientAddress>().and_then(|it| it.0);
    if request.extensions().get::<Reached>().is_some_and(|it| it.https) {
        return Ok(());
    }
    if address.is_some_and(|it| !is_near(it)) {
        let detail = "over plain HTTP everybody on the way could read the cookie: open this server by https://, or sign in \
                      without `session`";
        return Err(Problem::new(&NEEDS_HTTPS, detail));
    }
    if came_encrypted(request.headers()) {
        let detail = "a proxy says that this came by HTTPS, and is not believed: name it in `server.trusted_proxies`";
        return Err(Problem::new(&NEEDS_HTTPS, detail));
    }
    Ok(())
}

/// Whether nobody but the people of a house, or an office, is on the way.
fn is_near(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(it) => is_near_v4(it),
        IpAddr::V6(it) => {
            it.is_loopback()
                || Ipv6Addr::is_unique_local(&it)
                || it.is_unicast_link_local()
                || it.to_ipv4_mapped().is_some_and(is_near_v4)
        }
    }
}

const fn is_near_v4(address: Ipv4Addr) -> bool {
    address.is_loopback() || address.is_private() || address.is_link_local()
}

/// Whether anybody says so, believed or not.
fn came_encrypted(headers: &HeaderMap) -> bool {
    let says = |name: &HeaderName| headers.get_all(name).iter().map(|it| it.as_bytes().to_ascii_lowercase());
    let has = |value: &[u8], word: &[u8]| value.windows(word.len()).any(|it| it == word);
    says(&X_FORWARDED_PROTO).any(|it| has(&it, b"https")) || says(&FORWARDED).any(|it| has(&it, b"proto=https"))
}

/// Whether a request with that method may change something.
pub(super) fn changes(method: &Method) -> bool {
    ![Method::GET, Method::HEAD, Method::OPTIONS].contains(method)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(https: bool, lines: &[&[u8]]) -> Result<Option<String>, &'static str> {
        let headers = lines.iter().map(|it| (COOKIE, HeaderValue::from_bytes(it).expect("a value"))).collect();
        let found = Jar { https }.find(&headers).map(|it| it.map(ToOwned::to_owned));
        found.map_err(|it| it.kind.code)
    }

    #[test]
    fn a_cookie_is_found_among_others_and_on_several_lines() {
        let own = Ok(Some("sc_a=b".to_owned()));

        assert_eq!(find(false, &[b"steading-session=sc_a=b"]), own);
        assert_eq!(find(false, &[b"x=\xff; steading-session=sc_a=b;y=1"]), own);
        assert_eq!(find(false, &[b"x=1", b"steading-session=sc_a=b"]), own);
        assert_eq!(find(false, &[b"steading-session=sc_a=b; steading-session=sc_a=b"]), own);
        assert_eq!(find(false, &[b"steading-session=; steading-session=sc_a=b"]), own);
        assert_eq!(find(false, &[b"steading-session=\xff"]), Ok(Some("?".to_owned())));
        for none in [b"".as_slice(), b"steading-session", b"xsteading-session=a", b"Steading-Session=a", b"=; ;="] {
            assert_eq!(find(false, &[none]), Ok(None));
        }
    }

    /// A page of a sibling host, or somebody on the way, can set the plain name, and not the other.
    #[test]
    fn over_https_only_the_name_counts_that_nobody_else_can_set() {
        assert_eq!(find(true, &[b"steading-session=a"]), Ok(None));
        assert_eq!(find(true, &[b"steading-session=a; __Host-steading-session=b"]), Ok(Some("b".to_owned())));
        assert_eq!(find(false, &[b"__Host-steading-session=b"]), Ok(None));
    }

    #[test]
    fn two_cookies_are_no_guess() {
        let (one, two) = (format!("sc_{}", "a".repeat(64)), format!("sc_{}", "b".repeat(64)));
        let line = |values: &[&str]| values.iter().map(|it| format!("steading-session={it}")).collect::<Vec<_>>();

        let both = line(&[&one, &two]);
        assert_eq!(find(false, &[both.join("; ").as_bytes()]), Err("malformed-request"));
        assert_eq!(find(false, &[both[0].as_bytes(), both[1].as_bytes()]), Err("malformed-request"));
        for others in [[&one, "of another program"], ["sc_of another", &one]] {
            assert_eq!(find(false, &[line(&others).join("; ").as_bytes()]), Ok(Some(one.clone())));
        }
    }

    #[test]
    fn near_is_this_machine_and_its_private_network() {
        for near in ["127.0.0.1", "10.1.2.3", "172.31.0.1", "192.168.1.7", "169.254.3.4", "::1", "fd00::1", "fe80::1"] {
            assert!(is_near(near.parse().expect("an address")), "{near}");
        }
        for far in ["203.0.113.7", "172.32.0.1", "100.64.0.1", "0.0.0.0", "2001:db8::1", "::", "::ffff:203.0.113.7"] {
            assert!(!is_near(far.parse().expect("an address")), "{far}");
        }
    }

    #[test]
    fn a_browser_is_told_to_keep_it_from_scripts_and_other_sites() {
        let (https, plain) = (Jar { https: true }, Jar { https: false });

        assert_eq!(
            https.keep("sc_a", 60),
            "__Host-steading-session=sc_a; Path=/; Max-Age=60; Secure; HttpOnly; SameSite=Lax"
        );
        assert_eq!(plain.keep("sc_a", 60), "steading-session=sc_a; Path=/; Max-Age=60; HttpOnly; SameSite=Strict");
        assert_eq!(plain.clear(), "steading-session=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict");
    }
}
