//! What a client takes, as the `Accept…` headers say it (RFC 9110 section 12.5).
use poem::http::header::{ACCEPT, HeaderMap};

/// One part of a list: what it names, in small letters, and its weight from 0 to 1.
pub(super) fn part(text: &str) -> (String, f32) {
    let mut pieces = text.split(';').map(str::trim);
    let name = pieces.next().unwrap_or_default().to_ascii_lowercase();
    let weight = pieces.find_map(|it| it.strip_prefix("q=").or_else(|| it.strip_prefix("Q=")));
    (name, weight.map_or(1.0, |it| it.parse().unwrap_or(0.0)))
}

/// Whether a page is more welcome than JSON: so say browsers when somebody opens an address. What takes anything, as
/// `curl` and scripts do, gets JSON.
pub(super) fn prefers_page(headers: &HeaderMap) -> bool {
    let (mut page, mut json) = (0.0_f32, 0.0_f32);
    let values = headers.get_all(ACCEPT).iter().filter_map(|it| it.to_str().ok());
    for (name, weight) in values.flat_map(|it| it.split(',')).map(part) {
        match name.as_str() {
            "text/html" | "application/xhtml+xml" => page = page.max(weight),
            "application/json" | "application/problem+json" => json = json.max(weight),
            _ => {}
        }
    }
    json < page
}

pub const EVENT_STREAM: &str = "text/event-stream";
pub const JSON_LINES: &str = "application/x-ndjson";

/// The first sort of answer that is named, and wanted, of those that go on. Only whoever names one: a program that takes anything would
/// wait for ever.
pub fn wanted_stream(headers: &HeaderMap) -> Option<&'static str> {
    let values = headers.get_all(ACCEPT).iter().filter_map(|it| it.to_str().ok());
    let mut wanted = values.flat_map(|it| it.split(',')).map(part).filter(|(_, weight)| 0.0 < *weight);
    wanted.find_map(|(name, _)| [EVENT_STREAM, JSON_LINES].into_iter().find(|stream| name == *stream))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_prefers_a_page_and_a_program_does_not() {
        let prefers = |accept: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, accept.parse().expect("a header"));
            prefers_page(&headers)
        };

        assert!(prefers("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"));
        assert!(prefers("application/json;q=0.5, TEXT/HTML; q=0.9"));
        for accept in ["", "*/*", "application/json", "text/html, application/json", "text/html;q=0", "text/html;q=x"] {
            assert!(!prefers(accept), "{accept}");
        }
        assert!(!prefers_page(&HeaderMap::new()));
    }

    #[test]
    fn a_stream_is_wanted_only_by_whoever_names_one_with_some_weight() {
        let wanted = |accept: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, accept.parse().expect("a header"));
            wanted_stream(&headers)
        };

        assert_eq!(wanted("text/event-stream"), Some(EVENT_STREAM));
        assert_eq!(wanted("application/x-ndjson;q=0, text/event-stream;q=0.1"), Some(EVENT_STREAM));
        for accept in ["*/*", "application/json", "application/x-ndjson;q=0", "text/event-stream; q=0.0"] {
            assert_eq!(wanted(accept), None, "{accept}");
        }
    }
}
