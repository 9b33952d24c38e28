//! Swagger UI at `/api-docs`, from the binary, with nothing loaded from elsewhere.
//!
//! poem-openapi carries it as one page of 1.6 MB with everything inline. Its script and
//! style are cut out once at the start and served as files that a browser keeps, beside
//! a small page of ours, so that a strict Content-Security-Policy holds.
use poem::http::header::{CONTENT_SECURITY_POLICY, HeaderValue};
use poem::{Endpoint, EndpointExt, Response, Route};

use super::asset::{Asset, Caching, short_digest};

/// Nothing from another host, no inline script or style. Swagger UI draws its icons from `data:`;
/// what it styles while it renders, it sets property by property, which no policy forbids.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const STARTER: &str = include_str!("../../assets/static/api-docs.js");
const LOOKS: &str = include_str!("../../assets/static/api-docs.css");

/// The page that poem-openapi carries is not the one that this was written for.
#[derive(Debug, thiserror::Error)]
#[error("Swagger UI's page has no {0} to cut out; poem-openapi has changed")]
pub struct Error(&'static str);

/// Adds the page and its files, cut out of `page` (`OpenApiService::swagger_ui_html`).
pub fn route(route: Route, page: &str) -> Result<Route, Error> {
    let style = format!("{}\n{LOOKS}", cut(page, "<style charset=\"UTF-8\">", "</style>").ok_or(Error("style"))?);
    let script = cut(page, "<script charset=\"UTF-8\">", "</script>\n</head>").ok_or(Error("script"))?.to_owned();
    let style_path = format!("/api-docs/swagger-ui-{}.css", short_digest(style.as_bytes()));
    let script_path = format!("/api-docs/swagger-ui-{}.js", short_digest(script.as_bytes()));
    let starter_path = format!("/api-docs/start-{}.js", short_digest(STARTER.as_bytes()));
    let page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>Steading API</title>\n\
         <link rel=\"icon\" href=\"data:,\">\n<link rel=\"stylesheet\" href=\"{style_path}\">\n\
         <script src=\"{script_path}\" defer></script>\n<script src=\"{starter_path}\" defer></script>\n</head>\n\
         <body><div id=\"ui\"></div></body>\n</html>\n"
    );
    Ok(route
        .at(style_path, Asset::new(style, "text/css; charset=utf-8", Caching::Forever))
        .at(script_path, Asset::new(script, "text/javascript; charset=utf-8", Caching::Forever))
        .at(starter_path, Asset::new(STARTER, "text/javascript; charset=utf-8", Caching::Forever))
        .at("/api-docs", with_policy(Asset::new(page, "text/html; charset=utf-8", Caching::Ask), POLICY)))
}

/// A page with a Content-Security-Policy of its own.
pub(super) fn with_policy(page: Asset, policy: &'static str) -> impl Endpoint<Output = Response> + 'static {
    page.after(move |answer: poem::Result<Response>| async move {
        let mut response = answer?;
        response.headers_mut().insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
        Ok(response)
    })
}

fn cut<'a>(page: &'a str, from: &str, to: &str) -> Option<&'a str> {
    let start = page.find(from)? + from.len();
    let length = page[start..].find(to)?;
    Some(&page[start..start + length]).filter(|it| 10_000 < it.len())
}

#[cfg(test)]
mod tests {
    use poem_openapi::OpenApiService;

    use super::*;

    /// `'unsafe-inline'` and `'unsafe-eval'` are not needed: the test in a browser would complain.
    #[test]
    fn the_policy_has_no_holes() {
        assert!(!POLICY.contains("unsafe") && !POLICY.contains('*') && !POLICY.contains("http"), "{POLICY}");
    }

    /// Fails when an update of poem-openapi brings another page.
    #[test]
    fn script_and_style_can_be_cut_out() {
        let page = OpenApiService::new((), "test", "1").swagger_ui_html();

        assert!(route(Route::new(), &page).is_ok());
        assert!(route(Route::new(), "<html></html>").is_err());
    }

    #[test]
    fn the_style_loads_nothing_from_another_host() {
        let page = OpenApiService::new((), "test", "1").swagger_ui_html();
        let style = cut(&page, "<style charset=\"UTF-8\">", "</style>").expect("a style");

        let loads: Vec<_> = style.split("url(").skip(1).map(|it| it.trim_start_matches('"')).collect();
        assert!(!loads.is_empty() && loads.iter().all(|it| it.starts_with("data:")), "{:?}", loads.len());
        assert!(!style.contains("@import") && !STARTER.contains("http"));
    }
}
