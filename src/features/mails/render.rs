//! From words and data to a mail.
use askama::filters::{Html, escape};
use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value, escape_formatter, filters, tests as judgements};

use super::bounds;
use super::brand::Brand;
use super::templates::{self, Data, Words};

/// Most steps that a template may take: a hundred times those of ours.
const STEPS_MAX: u64 = 50_000;
/// Longest mail, in bytes. Mail programs cut HTML off at some 100 KiB.
const BYTES_MAX: usize = 256 * 1024;

/// Which part of a mail cannot be made, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// `subject`, `text` or `html`.
    pub part: &'static str,
    pub why: String,
}

/// Puts data into words. What they name and the data does not have is told, not left out.
pub(super) fn render(words: &Words, brand: &Brand, data: &Data) -> Result<Words, Vec<Broken>> {
    let texts = data.iter().map(|(name, text)| (*name, Value::from(text.as_str())));
    let data = Value::from_pairs(texts.chain([("brand", brand.as_data())]));
    let environment = environment();
    let mut broken = Vec::new();
    let mut part = |part: &'static str, name: &str, source: &str| {
        let outcome = match bounds::refusal(source) {
            Some(why) => Err(why),
            None => written(&environment, name, source, &data),
        };
        outcome.unwrap_or_else(|why| {
            broken.push(Broken { part, why });
            String::new()
        })
    };
    let subject = part("subject", "subject.txt", &words.subject).split_whitespace().collect::<Vec<_>>().join(" ");
    let (text, html) = (part("text", "body.txt", &words.text), part("html", "body.html", &words.html));
    if broken.is_empty() { Ok(Words { subject, text, html }) } else { Err(broken) }
}

/// What comes out of a template, as far as it is no longer than a mail.
fn written(environment: &Environment<'_>, name: &str, source: &str, data: &Value) -> Result<String, String> {
    let mut out = Bounded::default();
    let outcome = environment
        .template_from_named_str(name, source)
        .and_then(|it| it.render_captured_to(data.clone(), &mut out).map(drop));
    if out.is_full {
        return Err(format!("would be longer than {BYTES_MAX} bytes"));
    }
    outcome.map_err(|cause| told(&cause))?;
    String::from_utf8(out.bytes).map_err(|_| "cannot be made: it is no text".to_owned())
}

/// Takes what is written until it is too much.
#[derive(Default)]
struct Bounded {
    bytes: Vec<u8>,
    is_full: bool,
}

impl std::io::Write for Bounded {
    fn write(&mut self, part: &[u8]) -> std::io::Result<usize> {
        if BYTES_MAX < self.bytes.len() + part.len() {
            self.is_full = true;
            return Err(std::io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(part);
        Ok(part.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn environment() -> Environment<'static> {
    // Nothing is there but what `bounds` lets through, so that what it overlooks calls nothing.
    let mut environment = Environment::empty();
    environment.add_filter("upper", filters::upper);
    environment.add_filter("lower", filters::lower);
    environment.add_filter("title", filters::title);
    environment.add_filter("capitalize", filters::capitalize);
    environment.add_filter("trim", filters::trim);
    environment.add_filter("default", filters::default);
    environment.add_filter("first", filters::first);
    environment.add_filter("last", filters::last);
    environment.add_filter("length", filters::length);
    environment.add_test("defined", judgements::is_defined);
    environment.add_test("undefined", judgements::is_undefined);
    environment.add_test("none", judgements::is_none);
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(STEPS_MAX));
    environment
        .set_auto_escape_callback(|name| if name.ends_with(".html") { AutoEscape::Html } else { AutoEscape::None });
    // Without this, addresses in mails would have their slashes escaped too, and be hard to read as source.
    environment.set_formatter(|out, state, value| {
        if !matches!(state.auto_escape(), AutoEscape::Html) || value.is_safe() {
            return escape_formatter(out, state, value);
        }
        let text = value.to_string();
        match escape(&text, Html) {
            Ok(safe) => out.write_str(&safe.to_string()).map_err(minijinja::Error::from),
        }
    });
    // The frames that our own words stand in, for those of an admin too.
    environment.set_loader(|name| Ok(if name.contains('/') { None } else { templates::file(name) }));
    environment
}

/// What is wrong, and in which line.
fn told(cause: &minijinja::Error) -> String {
    let detail = cause.detail().map_or_else(|| cause.kind().to_string(), ToOwned::to_owned);
    match cause.line() {
        Some(line) => format!("cannot be made: line {line}: {detail}"),
        None => format!("cannot be made: {detail}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use templates::TEMPLATES;

    #[test]
    fn every_mail_can_be_made_with_what_it_is_promised() {
        for template in TEMPLATES {
            let made = render(&template.built_in(), &Brand::default(), &template.example())
                .unwrap_or_else(|broken| panic!("{}: {broken:?}", template.name));

            assert!(made.html.starts_with("<!doctype html>") && made.html.trim_end().ends_with("</html>"));
            for variable in template.variables.iter().filter(|it| ["link", "code", "newEmail"].contains(&it.name)) {
                assert!(made.text.contains(variable.example), "{}: {}", template.name, variable.name);
                assert!(made.html.contains(variable.example), "{}: {}", template.name, variable.name);
            }
        }
    }

    /// A name is what a stranger chose.
    #[test]
    fn what_people_call_themselves_is_text_in_html_and_one_line_in_the_subject() {
        let words = |it: &str| Words { subject: it.to_owned(), text: it.to_owned(), html: it.to_owned() };
        let name = "<a href=\"https://evil.example\">Ada</a>\r\nBcc: all@example.com {{ 7 * 7 }}";
        let data = Data::from([("name", name.to_owned())]);

        let made = render(&words("Hello {{ name }}"), &Brand::default(), &data).expect("made");

        assert!(!made.html.contains("<a"), "{}", made.html);
        assert!(!made.subject.contains(['\r', '\n']), "{}", made.subject);
        assert!(made.text.contains("{{ 7 * 7 }}"), "data is not a template: {}", made.text);
    }

    #[test]
    fn a_template_that_cannot_be_made_says_where() {
        let words = Words {
            subject: "Hello {{ nam }}".to_owned(),
            text: "a\n{% if %}".to_owned(),
            html: "{% for a in range(9999) %}x{% endfor %}".to_owned(),
        };

        let broken = render(&words, &Brand::default(), &Data::new()).expect_err("broken");

        let parts: Vec<_> = broken.iter().map(|it| it.part).collect();
        assert_eq!(parts, ["subject", "text", "html"], "{broken:?}");
        assert!(broken[1].why.contains("line 2"), "{broken:?}");
    }

    #[test]
    fn what_the_bounds_let_through_is_there_and_nothing_else_is() {
        let environment = environment();
        let made =
            |source: &str| environment.render_named_str("body.txt", source, Value::from_pairs([("name", "ada")]));
        let all =
            "{{ name|upper|lower|title|capitalize|trim|default('x') }}{{ name|first }}{{ name|last }}{{ name|length }}";
        assert_eq!(made(all).expect("made"), "Adaaa3");
        assert_eq!(made("{% if name is defined and 'a' in name %}yes{% endif %}").expect("made"), "yes");
        for missing in
            ["{{ name|indent(9) }}", "{{ range(9) }}", "{{ dict() }}", "{{ debug() }}", "{{ name|replace('a', 'b') }}"]
        {
            assert!(made(missing).is_err(), "{missing}");
        }
    }

    #[test]
    fn a_template_reads_no_files() {
        for name in ["/etc/passwd", "../../Cargo.toml", "welcome/body.txt", "file:///etc/passwd"] {
            let words =
                Words { subject: String::new(), text: format!("{{% include \"{name}\" %}}"), html: String::new() };

            assert!(render(&words, &Brand::default(), &Data::new()).is_err(), "{name}");
        }
    }
}
