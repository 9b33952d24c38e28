//! Pages for people: problems, guides, and the frame around them.
//!
//! They are written in Markdown under `assets/`, rendered once at the start, and cached.
use askama::Template;
use poem::{Endpoint, Response, Route};
use pulldown_cmark::{Event, HeadingLevel, Options, Parser, Tag, TagEnd, html};
use rust_embed::Embed;

use super::asset::{Asset, Caching, short_digest};
use super::problem::Kind;
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

/// A page of text.
#[derive(Template)]
#[template(path = "text.html", config = "assets/askama.toml")]
struct TextPage<'a> {
    title: &'a str,
    body: &'a str,
}

/// The guides in the order in which one reads them. Others follow by name.
const READING_ORDER: &[&str] = &["start", "collections", "rules", "records", "configuration", "architecture"];

/// Chapters from which on a page begins with a list of them.
const CHAPTERS_MIN: usize = 5;

/// A page in its final form, with the policy above.
pub fn page(html: String) -> impl Endpoint<Output = Response> + 'static {
    with_policy(Asset::new(html, "text/html; charset=utf-8", Caching::Ask), POLICY)
}

/// Adds the start page, the guides, the problems of all `kinds`, and the files that pages use.
pub fn route(mut route: Route, kinds: &[&'static Kind]) -> askama::Result<Route> {
    let mut names: Vec<String> = Guides::iter().filter_map(|it| Some(it.strip_suffix(".md")?.to_owned())).collect();
    names.sort_by_key(|it| (READING_ORDER.iter().position(|known| known == it).unwrap_or(usize::MAX), it.clone()));
    let mut index = String::from("<h1>Guides</h1><ul>");
    for name in names {
        let rendered = render(&text(Guides::get(&format!("{name}.md"))));
        index.push_str(&format!("<li><a href=\"/docs/{name}\">{}</a></li>", rendered.title));
        route = route.at(format!("/docs/{name}"), page(rendered.page()?));
    }
    index.push_str("</ul><p><a href=\"/api-docs\">The API, to read and to try</a></p>");

    let mut catalogue = String::from("<h1>Problems</h1><p>Every failure of the API is one of these.</p><dl>");
    for kind in kinds {
        let rendered = render(&text(ProblemPages::get(&format!("{}.md", kind.code))));
        catalogue.push_str(&format!(
            "<dt><a href=\"/problems/{0}\"><code>{0}</code></a> {1}</dt><dd>{2}</dd>",
            kind.code, kind.status, kind.title
        ));
        route = route.at(format!("/problems/{}", kind.code), page(rendered.page()?));
    }
    catalogue.push_str("</dl>");

    for name in Statics::iter() {
        let (body, kind) =
            (Statics::get(&name).map(|it| it.data.into_owned()).unwrap_or_default(), content_type(&name));
        route = route.at(format!("/static/{name}"), Asset::new(body, kind, Caching::Ask));
    }
    let start = text(Statics::get("index.md"));
    Ok(route
        .at("/docs", page(TextPage { title: "Guides", body: &index }.render()?))
        .at("/problems", page(TextPage { title: "Problems", body: &catalogue }.render()?))
        .at("/", page(render(&start).page()?)))
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

/// A text with its first heading as its title.
struct Rendered {
    title: String,
    html: String,
}

impl Rendered {
    fn page(&self) -> askama::Result<String> {
        TextPage { title: &self.title, body: &self.html }.render()
    }
}

fn render(markdown: &str) -> Rendered {
    let mut events: Vec<_> = Parser::new_ext(markdown, Options::ENABLE_TABLES).collect();
    let headings: Vec<_> = events.iter().enumerate().filter_map(|(at, it)| Some((at, level(it)?))).collect();
    let mut title = String::new();
    let mut chapters = Vec::new();
    for (at, level) in headings {
        let words = words(&events[at..]);
        if level == HeadingLevel::H1 {
            title = words;
            continue;
        }
        let anchor = anchor(&words);
        if let Event::Start(Tag::Heading { id, .. }) = &mut events[at] {
            *id = Some(anchor.clone().into());
        }
        if level == HeadingLevel::H2 {
            chapters.push((at, anchor, words));
        }
    }
    if let [(first, ..), ..] = chapters[..]
        && CHAPTERS_MIN <= chapters.len()
    {
        events.splice(first..first, contents(chapters));
    }
    let mut body = String::new();
    html::push_html(&mut body, events.into_iter());
    Rendered { title, html: body }
}

fn level(event: &Event<'_>) -> Option<HeadingLevel> {
    match event {
        Event::Start(Tag::Heading { level, .. }) => Some(*level),
        _ => None,
    }
}

/// A list of chapters, each a link to its heading.
fn contents(chapters: Vec<(usize, String, String)>) -> Vec<Event<'static>> {
    let html = |text: String| Event::Html(text.into());
    let link = |(_, anchor, words): (usize, String, String)| {
        [html(format!("<li><a href=\"#{anchor}\">")), Event::Text(words.into()), html("</a></li>".to_owned())]
    };
    let mut list = vec![html("<ul class=\"contents\">".to_owned())];
    list.extend(chapters.into_iter().flat_map(link));
    list.push(html("</ul>".to_owned()));
    list
}

/// The words of the heading that begins here.
fn words(events: &[Event<'_>]) -> String {
    let inside = events.iter().take_while(|it| !matches!(it, Event::End(TagEnd::Heading(_))));
    let text = |it: &Event<'_>| match it {
        Event::Text(text) | Event::Code(text) => Some(text.to_string()),
        _ => None,
    };
    inside.filter_map(text).collect()
}

/// What a link to a heading ends in: its words in small letters, with `-` between.
fn anchor(words: &str) -> String {
    let letters = words.to_lowercase().replace(' ', "-");
    letters.chars().filter(|it| it.is_ascii_alphanumeric() || *it == '-').collect()
}

/// The name of a file under `/static`, with a mark that changes with its content.
pub fn versioned(name: &str) -> String {
    let bytes = Statics::get(name).map(|it| it.data).unwrap_or_default();
    format!("/static/{name}?v={}", short_digest(&bytes))
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
