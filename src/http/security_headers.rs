//! Headers that make a browser careful with what it gets from us.
use poem::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderMap, HeaderName, HeaderValue, REFERRER_POLICY,
    STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};

/// Each is set unless the handler chose its own: a page brings its CSP with a nonce, a public file its cache rules.
///
/// `Cross-Origin-Resource-Policy` stops `<img>` and `<script>` of other origins,
/// which never ask; a `fetch` that CORS allows is not touched by it.
const DEFAULTS: [(HeaderName, HeaderValue); 7] = [
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
    (CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'")),
    (CACHE_CONTROL, HeaderValue::from_static("no-store")),
];

/// A year, without subdomains: they may be other machines.
const HSTS: HeaderValue = HeaderValue::from_static("max-age=31536000");

/// Sets what the handler left open. `https` is about the browser's own connection.
pub(super) fn apply(headers: &mut HeaderMap, https: bool) {
    headers.reserve(DEFAULTS.len() + 1);
    for (name, value) in DEFAULTS {
        headers.entry(name).or_insert(value);
    }
    if https {
        headers.entry(STRICT_TRANSPORT_SECURITY).or_insert(HSTS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handlers_own_choice_stands() {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("script-src 'nonce-x'"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=60"));

        apply(&mut headers, false);

        assert_eq!(headers[CONTENT_SECURITY_POLICY], "script-src 'nonce-x'");
        assert_eq!(headers[CACHE_CONTROL], "public, max-age=60");
        assert_eq!(headers[X_CONTENT_TYPE_OPTIONS], "nosniff");
        assert_eq!(headers[X_FRAME_OPTIONS], "DENY");
    }

    /// Over plain HTTP browsers ignore it, and a homelab would lock itself out behind a later proxy.
    #[test]
    fn https_is_demanded_only_of_those_who_use_it() {
        let (mut plain, mut encrypted) = (HeaderMap::new(), HeaderMap::new());

        apply(&mut plain, false);
        apply(&mut encrypted, true);

        assert!(!plain.contains_key(STRICT_TRANSPORT_SECURITY));
        assert!(encrypted.contains_key(STRICT_TRANSPORT_SECURITY));
        assert_eq!(plain[CACHE_CONTROL], "no-store");
    }
}
