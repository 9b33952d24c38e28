//! What a client would like, and can do without (`Prefer`, RFC 7240).
use poem::http::header::HeaderMap;

const PREFER: &str = "prefer";

/// Whether the client prefers `name` to be `value`. Of a preference that is given twice the first counts.
pub fn prefers(headers: &HeaderMap, name: &str, value: &str) -> bool {
    let lines = headers.get_all(PREFER).iter().filter_map(|it| it.to_str().ok());
    let preferences = lines.flat_map(|it| it.split(',')).filter_map(|it| it.split(';').next());
    let mut named = preferences.map(|it| it.split_once('=').unwrap_or((it, "")));
    named
        .find(|(it, _)| it.trim().eq_ignore_ascii_case(name))
        .is_some_and(|(_, it)| it.trim().trim_matches('"').eq_ignore_ascii_case(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use poem::http::HeaderValue;

    #[test]
    fn the_first_of_a_preference_counts() {
        for (sent, is_exact) in [
            ("count=exact", true),
            ("Count = \"exact\" ; for=me", true),
            ("return=minimal, count=exact", true),
            ("count=planned, count=exact", false),
            ("count", false),
            ("", false),
        ] {
            let headers: HeaderMap =
                [(PREFER.parse().expect("a name"), HeaderValue::from_static(sent))].into_iter().collect();
            assert_eq!(prefers(&headers, "count", "exact"), is_exact, "{sent}");
        }
    }
}
