//! Markdown as a page shows it: with a title, a place to link to at each heading, and a list of chapters.
use pulldown_cmark::{Event, HeadingLevel, Options, Parser, Tag, TagEnd, html};

/// Chapters from which on a page begins with a list of them.
const CHAPTERS_MIN: usize = 5;

/// A text with its first heading as its title, and the first sentence below it as what it is about.
pub(super) struct Rendered {
    pub title: String,
    pub about: String,
    pub html: String,
}

pub(super) fn render(markdown: &str) -> Rendered {
    let mut events: Vec<_> = Parser::new_ext(markdown, Options::ENABLE_TABLES).collect();
    let headings: Vec<_> = events.iter().enumerate().filter_map(|(at, it)| Some((at, level(it)?))).collect();
    let (mut title, mut about, mut chapters) = (String::new(), String::new(), Vec::new());
    // From the last one on, so that what is put in moves nothing that is still to be looked at.
    for (at, level) in headings.into_iter().rev() {
        let words = words(&events[at..]);
        if level == HeadingLevel::H1 {
            about = first_sentence(&events[at..]);
            title = words;
            continue;
        }
        let anchor = anchor(&words);
        if let Event::Start(Tag::Heading { id, .. }) = &mut events[at] {
            *id = Some(anchor.clone().into());
        }
        let end = events[at..].iter().position(|it| matches!(it, Event::End(TagEnd::Heading(_)))).unwrap_or_default();
        events.insert(at + end, link_to(&anchor));
        if level == HeadingLevel::H2 {
            chapters.push((anchor, words));
        }
    }
    if CHAPTERS_MIN <= chapters.len() {
        let first = events.iter().position(|it| level(it) == Some(HeadingLevel::H2)).unwrap_or_default();
        chapters.reverse();
        events.splice(first..first, contents(chapters));
    }
    let mut body = String::new();
    html::push_html(&mut body, events.into_iter());
    Rendered { title, about, html: body }
}

fn level(event: &Event<'_>) -> Option<HeadingLevel> {
    match event {
        Event::Start(Tag::Heading { level, .. }) => Some(*level),
        _ => None,
    }
}

/// Shown beside a heading, for whoever wants to send somebody there.
fn link_to(anchor: &str) -> Event<'static> {
    Event::InlineHtml(
        format!(" <a class=\"anchor\" href=\"#{anchor}\" aria-label=\"Link to this chapter\">#</a>").into(),
    )
}

/// A list of chapters, each a link to its heading.
fn contents(chapters: Vec<(String, String)>) -> Vec<Event<'static>> {
    let html = |text: String| Event::Html(text.into());
    let link = |(anchor, words): (String, String)| {
        [html(format!("<li><a href=\"#{anchor}\">")), Event::Text(words.into()), html("</a></li>".to_owned())]
    };
    let mut list = vec![html("<nav class=\"contents\" aria-label=\"On this page\"><ul>".to_owned())];
    list.extend(chapters.into_iter().flat_map(link));
    list.push(html("</ul></nav>".to_owned()));
    list
}

/// The words of the heading that begins here.
fn words(events: &[Event<'_>]) -> String {
    text_of(events.iter().take_while(|it| !matches!(it, Event::End(TagEnd::Heading(_)))))
}

/// The first sentence of the paragraph that follows the heading that begins here, if one follows.
fn first_sentence(events: &[Event<'_>]) -> String {
    let mut after = events.iter().skip_while(|it| !matches!(it, Event::End(TagEnd::Heading(_)))).skip(1);
    if !matches!(after.next(), Some(Event::Start(Tag::Paragraph))) {
        return String::new();
    }
    let paragraph = text_of(after.take_while(|it| !matches!(it, Event::End(TagEnd::Paragraph))));
    let end = paragraph.find(". ").map_or(paragraph.len(), |it| it + 1);
    paragraph[..end].to_owned()
}

fn text_of<'a>(events: impl Iterator<Item = &'a Event<'a>>) -> String {
    let text = |it: &Event<'_>| match it {
        Event::Text(text) | Event::Code(text) => Some(text.to_string()),
        Event::SoftBreak => Some(" ".to_owned()),
        _ => None,
    };
    events.filter_map(text).collect()
}

/// What a link to a heading ends in: its words in small letters, with `-` between.
fn anchor(words: &str) -> String {
    let letters = words.to_lowercase().replace(' ', "-");
    letters.chars().filter(|it| it.is_ascii_alphanumeric() || *it == '-').collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_about_the_first_sentence_below_its_heading() {
        let rendered = render("# One `two`\n\nIt is *this* and\n`that`. More.\n\n## Part\n\nWords.\n");

        assert_eq!((rendered.title.as_str(), rendered.about.as_str()), ("One two", "It is this and that."));
        assert!(rendered.html.contains("<h2 id=\"part\">Part <a class=\"anchor\" href=\"#part\""), "{}", rendered.html);
        assert_eq!(render("# One\n\n## Part\n\nWords.\n").about, "");
    }

    #[test]
    fn a_long_text_has_a_list_of_its_chapters_before_the_first() {
        let long: String =
            ["# T\n\nIntro.\n".to_owned()].into_iter().chain((1..=5).map(|it| format!("## C {it}\n\nx\n\n"))).collect();

        let html = render(&long).html;

        let list = html.find("<nav class=\"contents\"").expect("a list");
        assert!(html.find("Intro").expect("an intro") < list && list < html.find("<h2").expect("a chapter"));
        let places: Vec<_> = (1..=5).map(|it| html.find(&format!("href=\"#c-{it}\">C")).expect("a link")).collect();
        assert!(places.is_sorted());
        assert!(!render("# T\n\n## One\n\n## Two\n").html.contains("<nav"));
    }
}
