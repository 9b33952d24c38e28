//! Swagger UI at `/api-docs`, from the binary, with nothing loaded from elsewhere.
//!
//! poem-openapi carries it as one page of 1.6 MB with everything inline. Its script and
//! style are cut out, when somebody first asks for them, and served as files that a browser
//! keeps, beside a small page of ours, so that a strict Content-Security-Policy holds.
use std::sync::LazyLock;

use poem::endpoint::make;
use poem::http::header::{CONTENT_SECURITY_POLICY, HeaderValue};
use poem::{Endpoint, EndpointExt, Request, Response, Route};
use poem_openapi::OpenApiService;

use super::asset::{Asset, Caching, short_digest};
use super::pages::{versioned, without_slash};
use super::problem::Problem;

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

/// What is served, by the last part of its path; the page itself has none.
type Files = Vec<(String, Asset)>;

/// Cut out once, and not at the start: it takes longer than all the rest of it.
static FILES: LazyLock<Result<Files, Error>> =
    LazyLock::new(|| cut_up(&OpenApiService::new((), "Steading", "").swagger_ui_html()));

/// Adds the page and its files.
pub fn route(route: Route) -> Route {
    let page = with_policy(make(|request| serve(String::new(), request)), POLICY);
    without_slash(route.at("/api-docs", page), "/api-docs").at(
        "/api-docs/:file",
        // What is no text is the name of no file, and not of the page.
        make(|request: Request| serve(request.raw_path_param("file").unwrap_or("?").to_owned(), request)),
    )
}

async fn serve(name: String, request: Request) -> poem::Result<Response> {
    let files = FILES.as_ref().map_err(|error| Problem::internal(error))?;
    let (_, file) = files.iter().find(|(it, _)| *it == name).ok_or_else(Problem::not_found)?;
    file.call(request).await
}

fn cut_up(page: &str) -> Result<Files, Error> {
    let style = format!("{}\n{LOOKS}", cut(page, "<style charset=\"UTF-8\">", "</style>").ok_or(Error("style"))?);
    let script = cut(page, "<script charset=\"UTF-8\">", "</script>\n</head>").ok_or(Error("script"))?.to_owned();
    let style_name = format!("swagger-ui-{}.css", short_digest(style.as_bytes()));
    let script_name = format!("swagger-ui-{}.js", short_digest(script.as_bytes()));
    let starter_name = format!("start-{}.js", short_digest(STARTER.as_bytes()));
    let page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <meta name=\"description\" content=\"Every call of this server's API, to read and to try.\">\n\
         <title>Steading · API</title>\n\
         <link rel=\"icon\" href=\"{icon}\" type=\"image/svg+xml\">\n\
         <link rel=\"stylesheet\" href=\"/api-docs/{style_name}\">\n\
         <script src=\"/api-docs/{script_name}\" defer></script>\n\
         <script src=\"/api-docs/{starter_name}\" defer></script>\n</head>\n<body>\n\
         <a class=\"skip\" href=\"#ui\">To the content</a>\n\
         <header><a href=\"/\">Steading</a><nav aria-label=\"Everything\"><a href=\"/api-docs\">API</a> \
         <a href=\"/docs\">Guides</a> <a href=\"/problems\">Problems</a></nav></header>\n\
         <main id=\"ui\"><noscript><p>Swagger UI needs JavaScript. The document itself: <a href=\"/openapi.json\">OpenAPI \
         3.0</a>, <a href=\"/openapi-3.1.json\">3.1</a>.</p></noscript></main>\n</body>\n</html>\n",
        icon = versioned("icon.svg"),
    );
    const SCRIPT: &str = "text/javascript; charset=utf-8";
    Ok(vec![
        (String::new(), Asset::new(page, "text/html; charset=utf-8", Caching::Ask)),
        (style_name, Asset::new(style, "text/css; charset=utf-8", Caching::Forever)),
        (script_name, Asset::new(script, SCRIPT, Caching::Forever)),
        (starter_name, Asset::new(STARTER, SCRIPT, Caching::Forever)),
    ])
}

/// A page with a Content-Security-Policy of its own.
pub(super) fn with_policy(
    page: impl Endpoint<Output = Response> + 'static,
    policy: &'static str,
) -> impl Endpoint<Output = Response> + 'static {
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
    use super::*;

    /// `'unsafe-inline'` and `'unsafe-eval'` are not needed: the test in a browser would complain.
    #[test]
    fn the_policy_has_no_holes() {
        assert!(!POLICY.contains("unsafe") && !POLICY.contains('*') && !POLICY.contains("http"), "{POLICY}");
    }

    /// Fails when an update of poem-openapi brings another page.
    #[test]
    fn script_and_style_can_be_cut_out() {
        assert_eq!(FILES.as_ref().map(Vec::len).ok(), Some(4));
        assert!(cut_up("<html></html>").is_err());
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
