//! Pages for people: problems, guides, and the frame around them.
//!
//! They are written in Markdown under `assets/`, rendered when somebody first asks for one, and kept.
use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use askama::Template;
use askama::filters::{Html, escape};
use poem::endpoint::{make, make_sync};
use poem::http::StatusCode;
use poem::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, LOCATION, VARY};
use poem::{Endpoint as _, IntoResponse, Request, Response, Route};
use rust_embed::Embed;

use super::accept_header::prefers_page;
use super::alias;
use super::asset::{self, Asset, Caching, embedded_digest};
use super::markdown::{Rendered, render};
use super::problem::{Kind, Problem};
use super::swagger::with_policy;

/// No inline script or style, nothing from elsewhere.
pub const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                          connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

#[derive(Embed)]
#[folder = "assets/docs"]
struct Guides;

#[derive(Embed)]
#[folder = "assets/problems"]
struct ProblemPages;

#[derive(Embed)]
#[folder = "assets/static"]
struct Statics;

const HTML: &str = "text/html; charset=utf-8";

/// A page of text.
#[derive(Template)]
#[template(path = "text.html", config = "assets/askama.toml")]
struct TextPage<'a> {
    title: &'a str,
    about: &'a str,
    body: &'a str,
    /// What one reads before and after it.
    before: Option<&'a Guide>,
    after: Option<&'a Guide>,
}

/// What a browser shows where there is nothing, or where something failed.
#[derive(Template)]
#[template(path = "problem.html", config = "assets/askama.toml")]
struct ProblemPage<'a> {
    kind: &'a Kind,
    detail: &'a str,
    request_id: &'a str,
}

/// One of the guides.
struct Guide {
    name: String,
    text: Rendered,
}

/// The guides in the order in which one reads them. Others follow by name.
const READING_ORDER: &[&str] = &[
    "start",
    "collections",
    "schema",
    "rules",
    "records",
    "batch",
    "search",
    "realtime",
    "relays",
    "accounts",
    "mail",
    "roles",
    "api-keys",
    "secrets",
    "audit",
    "configuration",
    "architecture",
];

/// Adds a page, in its final form and with the policy above. With a slash after it, its path leads there.
pub fn add(route: Route, path: &str, html: String) -> Route {
    let page = with_policy(Asset::new(html, HTML, Caching::Ask), POLICY);
    without_slash(route.at(path, page), path)
}

/// Lets a path with a slash after it lead to the one without, for ever.
pub(super) fn without_slash(route: Route, path: &str) -> Route {
    let lead = |request: Request| match asset::only_reads(&request) {
        true => without_last_slash(&request),
        false => Err(asset::only_read().into()),
    };
    route.at(format!("{path}/"), make_sync(lead))
}

fn without_last_slash(request: &Request) -> poem::Result<Response> {
    let path = request.uri().path().trim_end_matches('/');
    let location = match request.uri().query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    let location = HeaderValue::try_from(location).map_err(|cause| Problem::internal(&cause))?;
    Ok(StatusCode::PERMANENT_REDIRECT.with_header(LOCATION, location).into_response())
}

/// Pages by the last part of their path; the index of them has none.
type Shelf = HashMap<String, Asset>;

/// Adds pages that are rendered together, when somebody first asks for one of them.
fn add_shelf(route: Route, path: &str, fill: impl FnOnce() -> askama::Result<Shelf> + Send + 'static) -> Route {
    let fill: Box<dyn FnOnce() -> askama::Result<Shelf> + Send> = Box::new(fill);
    let shelf = Arc::new(LazyLock::new(fill));
    let page = |path: &str, leads_to_another: bool| {
        let (shelf, path) = (Arc::clone(&shelf), path.to_owned());
        let page = make(move |request: Request| {
            let (shelf, path) = (Arc::clone(&shelf), path.clone());
            async move {
                let asked = request.uri().path().strip_prefix(path.as_str()).unwrap_or_default();
                let name = asked.trim_matches('/');
                let shelf = LazyLock::force(&shelf).as_ref().map_err(|cause| Problem::internal(cause))?;
                let page = shelf.get(name).ok_or_else(Problem::not_found)?;
                if leads_to_another && asset::only_reads(&request) {
                    return without_last_slash(&request);
                }
                page.call(request).await
            }
        });
        with_policy(page, POLICY)
    };
    let route = route.at(path, page(path, false)).at(format!("{path}/"), page(path, true));
    route.at(format!("{path}/:page"), page(path, false)).at(format!("{path}/:page/"), page(path, true))
}

/// Adds the start page, the guides, the problems of all `kinds`, and the files that pages use.
pub fn route(route: Route, kinds: Vec<&'static Kind>) -> askama::Result<Route> {
    let route = add_shelf(route, "/docs", guide_pages);
    let route = add_shelf(route, "/problems", move || problem_pages(&kinds));
    let mut route = route.at("/", with_policy(Asset::new(text_page(&start())?, HTML, Caching::Ask), POLICY));
    for name in Statics::iter() {
        let Some(file) = Statics::get(&name) else { continue };
        let file = Asset::embedded(file, content_type(&name), Caching::Ask);
        if name == "icon.svg" {
            // Browsers ask for it here when they show what is no page of ours, such as the document.
            route = route.at("/favicon.ico", file.clone());
        }
        route = route.at(format!("/static/{name}"), file);
    }
    Ok(route)
}

fn shelved(name: &str, html: String) -> (String, Asset) {
    (name.to_owned(), Asset::new(html, HTML, Caching::Ask))
}

fn guide_pages() -> askama::Result<Shelf> {
    let guides = guides();
    let mut pages = Shelf::new();
    let mut index = String::from("<h1>Guides</h1><p>In the order in which one reads them.</p><ol class=\"guides\">");
    for (at, guide) in guides.iter().enumerate() {
        let Guide { name, text } = guide;
        let (title, about) = (escaped(&text.title), escaped(&text.about));
        index.push_str(&format!("<li><a href=\"/docs/{name}\">{title}</a><p>{about}</p></li>"));
        let page = TextPage {
            title: &text.title,
            about: &text.about,
            body: &text.html,
            before: at.checked_sub(1).and_then(|it| guides.get(it)),
            after: guides.get(at + 1),
        };
        pages.extend([shelved(name, page.render()?)]);
    }
    index.push_str(
        "</ol><p>Beside them: <a href=\"/api-docs\">the API</a>, to read and to try, and \
         <a href=\"/problems\">what each failure means</a>.</p>",
    );
    let about = "The guides to Steading, in the order in which one reads them.".to_owned();
    let index = Rendered { title: "Guides".to_owned(), about, html: index };
    pages.extend([shelved("", text_page(&index)?)]);
    Ok(pages)
}

fn problem_pages(kinds: &[&'static Kind]) -> askama::Result<Shelf> {
    let mut pages = Shelf::new();
    let about = "Every failure of the API is one of these.";
    let mut catalogue = format!("<h1>Problems</h1><p>{about}</p><dl>");
    for kind in kinds {
        let mut rendered = render(&text(ProblemPages::get(&format!("{}.md", kind.code))));
        catalogue.push_str(&format!(
            "<dt><a href=\"/problems/{0}\"><code>{0}</code></a> {1}</dt><dd>{2}</dd>",
            kind.code,
            kind.status,
            escaped(kind.title)
        ));
        let code = format!("</h1><p>Status {}, code <code>{}</code></p>", kind.status, kind.code);
        rendered.html = rendered.html.replacen("</h1>", &code, 1);
        rendered.html.push_str("<p><a href=\"/problems\">All problems</a></p>");
        pages.extend([shelved(kind.code, text_page(&rendered)?)]);
    }
    catalogue.push_str("</dl>");
    let catalogue = Rendered { title: "Problems".to_owned(), about: about.to_owned(), html: catalogue };
    pages.extend([shelved("", text_page(&catalogue)?)]);
    Ok(pages)
}

/// Whether somebody opened an address in a browser that is not one of the API.
pub(super) fn is_wanted(request: &Request) -> bool {
    let (method, path) = (request.method(), request.uri().path());
    let is_of_api = |path: &str| path == "/api" || path.starts_with("/api/");
    // In this order, so that it costs programs next to nothing.
    !is_of_api(path)
        && method.is_safe()
        && prefers_page(request.headers())
        && !alias::canonical(method, path).is_some_and(|it| is_of_api(&it))
}

/// Writes a problem as a page, if the response carries one. Called for who wants a page, when the id is known.
pub(super) fn finish(response: &mut Response, request_id: &str) {
    let Some(problem) = response.extensions().get::<Problem>() else { return };
    let page = ProblemPage { kind: problem.kind, detail: &problem.detail, request_id };
    let Ok(html) = page.render() else { return };
    response.extensions_mut().remove::<Problem>();
    response.set_body(html);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(HTML));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.append(VARY, HeaderValue::from_static("accept"));
}

fn text_page(text: &Rendered) -> askama::Result<String> {
    TextPage { title: &text.title, about: &text.about, body: &text.html, before: None, after: None }.render()
}

fn guides() -> Vec<Guide> {
    let mut names: Vec<String> = Guides::iter().filter_map(|it| Some(it.strip_suffix(".md")?.to_owned())).collect();
    names.sort_by_key(|it| (READING_ORDER.iter().position(|known| known == it).unwrap_or(usize::MAX), it.clone()));
    let guide = |name: String| Guide { text: render(&text(Guides::get(&format!("{name}.md")))), name };
    names.into_iter().map(guide).collect()
}

fn start() -> Rendered {
    render(&text(Statics::get("index.md")))
}

fn escaped(text: &str) -> String {
    escape(text, Html).map(|it| it.to_string()).unwrap_or_default()
}

/// How the page about a kind of problem begins: what happened, in a sentence or two.
pub(super) fn beginning(kind: &Kind) -> String {
    let page = text(ProblemPages::get(&format!("{}.md", kind.code)));
    let mut paragraphs = page.split("\n\n").filter(|it| !it.starts_with('#'));
    paragraphs.next().unwrap_or(kind.title).split_whitespace().collect::<Vec<_>>().join(" ")
}

fn text(file: Option<rust_embed::EmbeddedFile>) -> String {
    file.map(|it| String::from_utf8_lossy(&it.data).into_owned()).unwrap_or_default()
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "text/plain; charset=utf-8",
    }
}

/// The name of a file under `/static`, with a mark that changes with its content.
pub fn versioned(name: &str) -> String {
    let digest = Statics::get(name).map(|it| embedded_digest(&it)).unwrap_or_default();
    format!("/static/{name}?v={digest}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features;

    /// A code without a page is a dead link in every such answer.
    #[test]
    fn every_code_has_a_page_and_every_page_a_code() {
        for kind in features::problems() {
            let page = text(ProblemPages::get(&format!("{}.md", kind.code)));
            assert!(200 < page.len() && page.starts_with("# "), "{}", kind.code);
        }
        for page in ProblemPages::iter() {
            assert!(features::problems().iter().any(|it| format!("{}.md", it.code) == page.as_ref()), "{page}");
        }
    }

    #[test]
    fn guides_have_a_title_and_links_that_lead_somewhere() {
        for name in Guides::iter() {
            let rendered = render(&text(Guides::get(&name)));
            assert!(!rendered.title.is_empty(), "{name}");
            for link in rendered.html.split("href=\"").skip(1).filter_map(|it| it.split('"').next()) {
                let (path, place) = link.split_once('#').unwrap_or((link, ""));
                let own = name.trim_end_matches(".md");
                let Some(guide) = path.strip_prefix("/docs/").or_else(|| path.is_empty().then_some(own)) else {
                    continue;
                };
                let there = Guides::get(&format!("{guide}.md")).map(|it| render(&text(Some(it))).html);
                let there = there.unwrap_or_else(|| panic!("{name}: {link}"));
                assert!(place.is_empty() || there.contains(&format!("id=\"{place}\"")), "{name}: {link}");
            }
        }
    }

    /// The binary is used on machines without a way out, and nobody else shall see who reads what.
    #[test]
    fn no_file_of_a_page_comes_from_another_host() {
        let problems = ProblemPages::iter().filter_map(|it| ProblemPages::get(&it));
        let guides = Guides::iter().filter_map(|it| Guides::get(&it));
        let rendered = problems.chain(guides).map(|it| render(&text(Some(it))).html);
        let files = Statics::iter().map(|it| text(Statics::get(&it)));
        for content in rendered.chain(files) {
            for loads in
                ["src=\"http", "src=\"//", "url(http", "url(//", "url(\"http", "@import", "import(", "fetch('http"]
            {
                assert!(!content.contains(loads), "{loads} in {content:.80}");
            }
        }
    }
}
