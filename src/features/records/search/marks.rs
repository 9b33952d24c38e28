//! What of a text is shown of a hit: its surroundings, with marks that can stand in HTML.
use super::hits::{Found, Hit, Hits};

/// Longest text, in characters, that is shown whole.
const WHOLE_MAX: usize = 240;
/// What is shown of a longer one.
const EXCERPT: usize = 200;
/// How much of it stands before the first hit.
const BEFORE: usize = 40;
/// Longest text, in words, that hits are looked for in.
const WORDS_MAX: usize = 4_000;

/// The text around the hits, each between `<mark>` and `</mark>`, with everything else escaped. Nothing if there are
/// no hits.
pub(super) fn marked(hits: &Hits, text: &str) -> Option<String> {
    let Found { hits: mut found, .. } = hits.find(text, WORDS_MAX);
    found.sort_by_key(|it| (it.range.start, it.range.end));
    found.first()?;
    let (from, to) = excerpt(text, &found);
    let mut out = String::with_capacity(to - from + 40);
    if 0 < from {
        out.push('…');
    }
    let mut at = from;
    for Hit { range, .. } in found.iter().filter(|it| it.range.end <= to) {
        // Where hits overlap, the first one is marked.
        if at <= range.start {
            escape(&text[at..range.start], &mut out);
            out.push_str("<mark>");
            escape(&text[range.clone()], &mut out);
            out.push_str("</mark>");
            at = range.end;
        }
    }
    escape(&text[at..to], &mut out);
    if to < text.len() {
        out.push('…');
    }
    Some(out)
}

/// The part of a text to show: that with the most of what was looked for.
fn excerpt(text: &str, found: &[Hit]) -> (usize, usize) {
    if text.chars().nth(WHOLE_MAX).is_none() {
        return (0, text.len());
    }
    let end_of =
        |start: usize| text[start..].char_indices().nth(EXCERPT - BEFORE).map_or(text.len(), |(it, _)| start + it);
    let mut best = (0.0, 0);
    for (index, first) in found.iter().enumerate() {
        let end = end_of(first.range.start);
        let mut seen: Vec<(usize, f64)> = Vec::new();
        for hit in found[index..].iter().take_while(|it| it.range.end <= end) {
            match seen.iter_mut().find(|(part, _)| *part == hit.part) {
                Some((_, quality)) => *quality = quality.max(hit.quality) + 0.01,
                None => seen.push((hit.part, hit.quality)),
            }
        }
        let worth: f64 = seen.iter().map(|(_, quality)| quality).sum();
        if best.0 < worth {
            best = (worth, first.range.start);
        }
    }
    let start = text[..best.1].char_indices().rev().nth(BEFORE - 1).map_or(0, |(it, _)| it);
    // Not in the middle of a word.
    let start = match text[start..best.1].find(char::is_whitespace) {
        Some(space) if 0 < start => start + space,
        _ => start,
    };
    let start = start + (text[start..].len() - text[start..].trim_start().len());
    let hit_end = found.iter().find(|it| it.range.start == best.1).map_or(best.1, |it| it.range.end);
    let end = end_of(best.1).max(hit_end);
    let end = match text[hit_end..end].rfind(char::is_whitespace) {
        Some(space) if end < text.len() => hit_end + space,
        _ => end,
    };
    (start, end)
}

fn escape(text: &str, out: &mut String) {
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            letter => out.push(letter),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::sought::Sought;
    use super::*;

    fn show(search: &str, text: &str) -> Option<String> {
        marked(&Hits::new(&Sought::read(search).expect("fits"), &[]), text)
    }

    #[test]
    fn hits_are_marked_and_everything_else_is_escaped() {
        assert_eq!(
            show("light", "<b>Light</b> & 'lights'").as_deref(),
            Some("&lt;b&gt;<mark>Light</mark>&lt;/b&gt; &amp; &#39;<mark>lights</mark>&#39;")
        );
        assert_eq!(show("\"a b\" b", "a b").as_deref(), Some("<mark>a b</mark>"));
        assert_eq!(show("dark", "light"), None);
    }

    #[test]
    fn of_a_long_text_the_best_part_is_shown() {
        let filler = "words that fill the page ".repeat(50);
        let text = format!("{filler}red alone {filler}the red fox {filler}");

        let shown = show("red fox", &text).expect("a hit");

        assert!(shown.contains("<mark>red</mark> <mark>fox</mark>"), "{shown}");
        assert!(shown.starts_with('…') && shown.ends_with('…') && shown.chars().count() < 260, "{shown}");
    }

    #[test]
    fn a_text_without_spaces_is_cut_between_letters() {
        let text = format!("{}é{}", "ü".repeat(5), "日".repeat(1_000));

        let shown = show("日", &text).expect("a hit");

        assert!(shown.ends_with('…') && shown.starts_with("üüüüüé"), "{shown}");
    }
}
