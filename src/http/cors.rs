//! Which pages of other origins may call the API from a browser (Fetch standard, "CORS protocol").
//!
//! By default any may, without credentials: a bearer token is not ambient, so a
//! page that has none learns what any stranger would. Cookies are let through only
//! for origins that are listed one by one.
use poem::http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD,
    HeaderMap, HeaderValue, ORIGIN, VARY,
};
use poem::http::{Method, StatusCode};
use poem::{IntoResponse, Response};

use crate::config::CorsConfig;

const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE");
/// Named one by one: `*` would not cover `Authorization`.
const REQUEST_HEADERS: HeaderValue = HeaderValue::from_static(
    "Authorization, Content-Type, X-API-Key, Idempotency-Key, If-Match, If-None-Match, Accept-Language, \
     X-Request-Id, traceparent, X-Tenant",
);
const RESPONSE_HEADERS: HeaderValue = HeaderValue::from_static(
    "X-Request-Id, X-Response-Time, ETag, Link, Location, RateLimit, RateLimit-Policy, X-RateLimit-Limit, \
     X-RateLimit-Remaining, X-RateLimit-Reset, Retry-After, Idempotency-Replayed",
);

/// Who may call from a browser.
#[derive(Clone, Debug)]
pub struct Cors {
    pub origins: Origins,
    /// The status of a preflight: 200, or 204.
    pub preflight_status: StatusCode,
    /// How long a browser may remember a preflight.
    pub max_age_secs: u64,
}

/// The origins that may read answers. Credentials with any origin cannot be said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origins {
    /// Any, without cookies.
    Any,
    /// These only, exactly as a browser sends them: `https://app.example`.
    Only { origins: Vec<String>, credentials: bool },
}

impl From<&CorsConfig> for Cors {
    fn from(cors: &CorsConfig) -> Self {
        let origins = if cors.allows_any() {
            Origins::Any
        } else {
            Origins::Only { origins: cors.origins.clone(), credentials: cors.credentials }
        };
        let preflight_status = StatusCode::from_u16(cors.preflight_status).unwrap_or(StatusCode::OK);
        Self { origins, preflight_status, max_age_secs: cors.max_age_secs }
    }
}

impl Default for Cors {
    /// What holds without any settings: any origin, without cookies.
    fn default() -> Self {
        Self::from(&CorsConfig::default())
    }
}

impl Cors {
    /// Answers a preflight; nothing if the request is not one.
    pub fn preflight(&self, method: &Method, headers: &HeaderMap) -> Option<Response> {
        if *method != Method::OPTIONS
            || !headers.contains_key(ORIGIN)
            || !headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
        {
            return None;
        }
        let mut response = self.preflight_status.into_response();
        let headers = response.headers_mut();
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, REQUEST_HEADERS);
        headers.insert(ACCESS_CONTROL_MAX_AGE, self.max_age_secs.into());
        Some(response)
    }

    /// Whether pages of that origin act in the name of their visitors.
    pub fn trusts(&self, origin: &HeaderValue) -> bool {
        match &self.origins {
            Origins::Only { origins, credentials: true } => {
                origins.iter().any(|one| one.as_bytes() == origin.as_bytes())
            }
            Origins::Only { .. } | Origins::Any => false,
        }
    }

    /// Whether an origin was named one by one, with credentials or without.
    pub fn lists(&self, origin: &HeaderValue) -> bool {
        match &self.origins {
            Origins::Only { origins, .. } => origins.iter().any(|one| one.as_bytes() == origin.as_bytes()),
            Origins::Any => false,
        }
    }

    /// Tells the browser whether the page that asked may read the answer.
    pub fn mark(&self, origin: Option<&HeaderValue>, answer: &mut HeaderMap) {
        let allowed = match &self.origins {
            Origins::Any => origin.map(|_| HeaderValue::from_static("*")),
            Origins::Only { origins, credentials } => {
                // The answer depends on who asks, also when nobody was named: a cache must know.
                answer.append(VARY, HeaderValue::from_static("Origin"));
                let listed = origin.filter(|it| origins.iter().any(|one| one.as_bytes() == it.as_bytes()));
                if listed.is_some() && *credentials {
                    answer.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
                }
                listed.cloned()
            }
        };
        if let Some(allowed) = allowed {
            answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
            answer.insert(ACCESS_CONTROL_EXPOSE_HEADERS, RESPONSE_HEADERS);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only(credentials: bool) -> Cors {
        let origins = vec!["https://app.example".to_owned()];
        Cors { origins: Origins::Only { origins, credentials }, ..Cors::default() }
    }

    fn marks(cors: &Cors, origin: Option<&[u8]>) -> HeaderMap {
        let origin = origin.map(|it| HeaderValue::from_bytes(it).expect("a header value"));
        let mut headers = HeaderMap::new();
        cors.mark(origin.as_ref(), &mut headers);
        headers
    }

    #[test]
    fn any_origin_may_read_but_never_with_credentials() {
        let marks = marks(&Cors::default(), Some(b"https://anyone.example"));

        assert_eq!(marks[ACCESS_CONTROL_ALLOW_ORIGIN], "*");
        assert!(!marks.contains_key(ACCESS_CONTROL_ALLOW_CREDENTIALS));
        assert!(marks[ACCESS_CONTROL_EXPOSE_HEADERS].to_str().expect("ASCII").contains("X-Request-Id"));
    }

    #[test]
    fn a_list_lets_in_only_what_is_on_it() {
        let listed = marks(&only(true), Some(b"https://app.example"));
        let silent = marks(&only(false), Some(b"https://app.example"));

        assert_eq!(listed[ACCESS_CONTROL_ALLOW_ORIGIN], "https://app.example");
        assert_eq!(listed[ACCESS_CONTROL_ALLOW_CREDENTIALS], "true");
        assert!(!silent.contains_key(ACCESS_CONTROL_ALLOW_CREDENTIALS));
        for stranger in [
            b"https://app.example.evil.example".as_slice(),
            b"http://app.example",
            b"https://app.example:8443",
            b"null",
            b"\xff\xfe",
        ] {
            let marks = marks(&only(true), Some(stranger));
            assert!(!marks.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN));
            assert!(!marks.contains_key(ACCESS_CONTROL_ALLOW_CREDENTIALS));
        }
    }

    /// A cache between us and two pages must not hand one the other's permission.
    #[test]
    fn an_answer_that_depends_on_the_origin_says_so() {
        assert_eq!(marks(&only(true), Some(b"https://app.example"))[VARY], "Origin");
        assert_eq!(marks(&only(true), None)[VARY], "Origin");
        assert!(!marks(&Cors::default(), None).contains_key(VARY));
    }

    #[test]
    fn an_origin_that_is_not_ascii_does_no_harm() {
        assert_eq!(marks(&Cors::default(), Some(b"https://\xff.example"))[ACCESS_CONTROL_ALLOW_ORIGIN], "*");
    }

    #[test]
    fn a_preflight_names_methods_and_headers_and_plain_options_is_no_preflight() {
        let mut asked = HeaderMap::new();
        asked.insert(ORIGIN, HeaderValue::from_static("https://app.example"));
        assert!(Cors::default().preflight(&Method::OPTIONS, &asked).is_none());
        asked.insert(ACCESS_CONTROL_REQUEST_METHOD, HeaderValue::from_static("PATCH"));
        assert!(Cors::default().preflight(&Method::GET, &asked).is_none());

        let answer = Cors::default().preflight(&Method::OPTIONS, &asked).expect("a preflight");

        assert_eq!(answer.status(), StatusCode::OK);
        assert!(answer.header("access-control-allow-methods").expect("methods").contains("PATCH"));
        assert!(answer.header("access-control-allow-headers").expect("headers").contains("Idempotency-Key"));
        assert_eq!(answer.header("access-control-max-age"), Some("600"));
    }
}
