//! Whose page sends a request with a cookie. A cookie goes along whoever wrote the page, so that has to be one of ours.
//!
//! A browser says where the page is from in `Origin`, and in `Sec-Fetch-Site`, which no script can set. Pages of this
//! server are ours, and those of the origins that `[cors]` lists with credentials.
use std::sync::Arc;

use poem::http::HeaderValue;
use poem::http::header::{HeaderName, ORIGIN};
use poem::{FromRequest, Request, RequestBody};

use super::address::{ClientAddress, Reached};
use super::policy::Policy;
use super::problem::{Kind, Problem};
use super::{accept_header, cookie, websocket};
use crate::base::web::Site;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Where streams go on for as long as somebody listens. Elsewhere one is a file, and reading it is reading.
const LIVE: &str = "/api/v1/realtime";

pub const REFUSED: Kind =
    Kind { status: 403, code: "origin-refused", title: "A page of another origin may not do this" };

/// Refuses a request that changes something, or that opens a connection to stay, if a page of somebody else sent it.
pub(super) fn check(request: &Request) -> Result<(), Problem> {
    let is_stream = request.uri().path() == LIVE && accept_header::wanted_stream(request.headers()).is_some();
    let stays = is_stream || websocket::is_wanted(request.headers());
    if stays || cookie::changes(request.method()) { must_be_ours(request) } else { Ok(()) }
}

/// From where a guess comes, for those who count guesses.
///
/// A page may have the browsers of its visitors send wrong guesses without their knowing. So what pages of other origins
/// send is counted apart, and locks out such pages alone: neither programs, nor pages of ours, nor those of origins that
/// `[cors]` lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SentFrom {
    pub client: ClientAddress,
    pub by_foreign_page: bool,
}

impl From<ClientAddress> for SentFrom {
    /// By a program.
    fn from(client: ClientAddress) -> Self {
        Self { client, by_foreign_page: false }
    }
}

impl<'a> FromRequest<'a> for SentFrom {
    async fn from_request(request: &'a Request, body: &mut RequestBody) -> poem::Result<Self> {
        let client = ClientAddress::from_request(request, body).await?;
        Ok(Self { client, by_foreign_page: is_of_foreign_page(request) })
    }
}

fn is_of_foreign_page(request: &Request) -> bool {
    let headers = request.headers();
    let mut sites = headers.get_all(SEC_FETCH_SITE).iter();
    // No page can say this of itself. Behind a proxy that does not tell how it was reached, it is all that is right.
    if headers.contains_key(SEC_FETCH_SITE) && sites.all(|it| it == "same-origin") {
        return false;
    }
    let policy = request.extensions().get::<Arc<Policy>>();
    let own = own(request, policy.map(AsRef::as_ref));
    let is_own = |it: &HeaderValue| own.as_ref().is_some_and(|own| own.as_bytes() == it.as_bytes());
    let is_listed = |it: &HeaderValue| policy.is_some_and(|policy| policy.cors.lists(it));
    headers.get_all(ORIGIN).iter().any(|it| !is_own(it) && !is_listed(it))
}

/// Refuses what a page of somebody else sent, and what says of no page that it sent it.
pub(super) fn must_be_ours(request: &Request) -> Result<(), Problem> {
    let policy = request.extensions().get::<Arc<Policy>>();
    let own = own(request, policy.map(AsRef::as_ref));
    let mut origins = request.headers().get_all(ORIGIN).iter();
    let (origin, more) = (origins.next(), origins.next());
    let mut sites = request.headers().get_all(SEC_FETCH_SITE).iter();
    let (is_said, is_same) = (request.headers().contains_key(SEC_FETCH_SITE), sites.all(|it| it == "same-origin"));
    let is_own = |it: &HeaderValue| own.as_ref().is_some_and(|own| own.as_bytes() == it.as_bytes());
    let is_listed = |it: &HeaderValue| policy.is_some_and(|policy| policy.cors.trusts(it));
    let is_ours = match origin {
        Some(_) if more.is_some() => false,
        Some(origin) => (is_own(origin) && is_same) || is_listed(origin),
        None => is_said && is_same,
    };
    if is_ours {
        return Ok(());
    }
    let own = own.unwrap_or_else(|| "its own".to_owned());
    let detail = format!(
        "with a cookie, only pages of {own} may do this, and those of origins that `cors.origins` lists with \
         `cors.credentials`; the request has to say so in `Origin`"
    );
    Err(Problem::new(&REFUSED, detail))
}

/// The origin of this server's own pages.
fn own(request: &Request, policy: Option<&Policy>) -> Option<String> {
    if let Some(set) = policy.and_then(|it| it.own_origin.clone()) {
        return Some(set);
    }
    let reached = request.extensions().get::<Reached>()?;
    let scheme = if reached.https { "https" } else { "http" };
    Site::parse(&format!("{scheme}://{}", reached.host())).map(|it| it.origin())
}

#[cfg(test)]
mod tests {
    use poem::http::Method;

    use super::*;
    use crate::http::cors::{Cors, Origins};

    fn asked(method: Method, headers: &[(&str, &str)], policy: Policy) -> bool {
        asked_of(LIVE, method, headers, policy)
    }

    fn asked_of(path: &str, method: Method, headers: &[(&str, &str)], policy: Policy) -> bool {
        let mut request = Request::builder().method(method).uri_str(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.finish();
        request.extensions_mut().insert(Arc::new(policy));
        request.extensions_mut().insert(Reached::new(false, HeaderValue::from_static("NAS:8088")));
        check(&request).is_ok()
    }

    fn posted(headers: &[(&str, &str)]) -> bool {
        asked(Method::POST, headers, Policy::default())
    }

    const OWN: (&str, &str) = ("origin", "http://nas:8088");

    #[test]
    fn a_page_of_our_own_may_and_no_other() {
        assert!(posted(&[OWN]));
        assert!(posted(&[OWN, ("sec-fetch-site", "same-origin")]));
        assert!(posted(&[("sec-fetch-site", "same-origin")]));
        for origin in
            ["http://nas", "https://nas:8088", "http://nas:80888", "http://nas:8088/", "null", "", "http://NAS:8088"]
        {
            assert!(!posted(&[("origin", origin)]), "{origin}");
            assert!(!posted(&[("origin", origin), ("sec-fetch-site", "same-origin")]), "{origin}");
        }
        for site in ["same-site", "cross-site", "none", "", "SAME-ORIGIN"] {
            assert!(!posted(&[("sec-fetch-site", site)]), "{site}");
            assert!(!posted(&[OWN, ("sec-fetch-site", site)]), "{site}");
        }
        assert!(!posted(&[]), "who says nothing");
        assert!(!posted(&[OWN, OWN]), "who says it twice");
        assert!(!posted(&[OWN, ("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")]));
    }

    #[test]
    fn the_public_address_counts_where_one_is_set() {
        let policy = || Policy { own_origin: Some("https://api.example.com".to_owned()), ..Policy::default() };

        assert!(asked(Method::POST, &[("origin", "https://api.example.com")], policy()));
        assert!(!asked(Method::POST, &[OWN], policy()));
    }

    #[test]
    fn a_listed_origin_may_if_it_is_listed_with_credentials() {
        let policy = |credentials| {
            let origins = Origins::Only { origins: vec!["https://app.example".to_owned()], credentials };
            Policy { cors: Cors { origins, ..Cors::default() }, ..Policy::default() }
        };
        let page = [("origin", "https://app.example"), ("sec-fetch-site", "cross-site")];

        assert!(asked(Method::DELETE, &page, policy(true)));
        assert!(!asked(Method::DELETE, &page, policy(false)));
        assert!(!asked(Method::DELETE, &page, Policy::default()), "any origin is none that is trusted");
        assert!(!asked(Method::DELETE, &[("origin", "https://app.example.evil")], policy(true)));
        assert!(asked(Method::DELETE, &[OWN], policy(true)));
    }

    #[test]
    fn programs_and_pages_that_are_ours_or_listed_are_told_from_those_of_others() {
        let listed = Origins::Only { origins: vec!["https://app.example".to_owned()], credentials: false };
        let policy = Arc::new(Policy { cors: Cors { origins: listed, ..Cors::default() }, ..Policy::default() });
        let is_foreign = |headers: &[(&str, &str)]| {
            let mut request = Request::builder().method(Method::POST);
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let mut request = request.finish();
            request.extensions_mut().insert(Arc::clone(&policy));
            request.extensions_mut().insert(Reached::new(false, HeaderValue::from_static("nas:8088")));
            is_of_foreign_page(&request)
        };
        let (app, evil) = (("origin", "https://app.example"), ("origin", "https://evil.example"));

        assert!(!is_foreign(&[]) && !is_foreign(&[OWN]) && !is_foreign(&[app]));
        assert!(!is_foreign(&[("origin", "https://nas:8088"), ("sec-fetch-site", "same-origin")]));
        assert!(is_foreign(&[evil]) && is_foreign(&[("origin", "null")]) && is_foreign(&[OWN, evil]));
        assert!(is_foreign(&[evil, ("sec-fetch-site", "cross-site")]));
        assert!(is_foreign(&[evil, ("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")]));
    }

    #[test]
    fn reading_is_not_asked_about_and_connections_that_stay_are() {
        let socket = [("upgrade", "h2c, WebSocket")];
        let events = [("accept", "text/html, text/event-stream;q=0.5")];
        for method in [Method::GET, Method::HEAD, Method::OPTIONS] {
            assert!(asked(method, &[("origin", "https://evil.example")], Policy::default()));
        }
        for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::TRACE] {
            assert!(!asked(method, &[("origin", "https://evil.example")], Policy::default()));
        }
        // Pages take exports with a cookie over plain HTTP too, where nothing says whose they are.
        let lines = [("accept", "application/x-ndjson")];
        assert!(asked_of("/api/v1/collections/a/records/export", Method::GET, &lines, Policy::default()));
        for stays in [socket, events, lines] {
            assert!(!asked(Method::GET, &stays, Policy::default()));
            assert!(!asked(Method::GET, &[stays[0], ("origin", "https://evil.example")], Policy::default()));
            assert!(asked(Method::GET, &[stays[0], OWN], Policy::default()));
            assert!(asked(Method::GET, &[stays[0], ("sec-fetch-site", "same-origin")], Policy::default()));
        }
    }
}
