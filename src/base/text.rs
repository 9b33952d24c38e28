//! What is done to text: addresses and names brought to one form, and near misses named.
use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};
use unicode_normalization::UnicodeNormalization;

/// Longest address that RFC 5321 section 4.5.3.1 lets through.
const EMAIL_BYTES_MAX: usize = 254;

/// Longest address of a page, in bytes, as browsers and proxies agree on.
const URL_BYTES_MAX: usize = 2_000;

/// Whether a text is the address of something in the web, and not a script or a file.
pub fn is_web_address(text: &str) -> bool {
    let address = text.parse::<http::Uri>().ok().filter(|_| text.len() <= URL_BYTES_MAX);
    address.is_some_and(|it| {
        let authority = it.authority().map_or("", |it| it.as_str());
        let has_port =
            |host: &str| authority.rsplit_once(host).is_some_and(|(_, port)| port.len() < 2 || it.port().is_some());
        matches!(it.scheme_str(), Some("http" | "https")) && it.host().is_some_and(|it| !it.is_empty() && has_port(it))
    })
}

/// Brings an e-mail address to the one form it is compared in, or says what is wrong with it.
///
/// Spaces around it are dropped and letters are made small, in the part before
/// the `@` too: no mail system in use tells `Ada@` from `ada@`, and people do not either.
/// Letters with marks are composed, and what cannot be seen is refused, so that two
/// addresses that look the same are the same as far as Unicode tells. A domain has one
/// spelling, that which is read.
pub fn normalize_email(text: &str) -> Result<String, &'static str> {
    let text = normal(&text.trim().to_lowercase());
    if EMAIL_BYTES_MAX < text.len() {
        return Err("must be at most 254 bytes long");
    }
    let Some((local, domain)) = text.rsplit_once('@') else {
        return Err("must be an e-mail address, such as ada@example.com");
    };
    let local_fits = !local.is_empty()
        && local.len() <= 64
        && local
            .chars()
            .all(|it| !it.is_whitespace() && !it.is_control() && !is_invisible(it) && !"@()<>[],;:\\\"".contains(it))
        && !local.starts_with('.')
        && !local.ends_with('.')
        && !local.contains("..");
    if !local_fits || !is_domain(domain) {
        return Err("must be an e-mail address, such as ada@example.com");
    }
    let domain =
        normal_domain(domain).ok_or("must have a domain that there can be, such as that of ada@example.com")?;
    let text = format!("{local}@{domain}");
    if EMAIL_BYTES_MAX < text.len() {
        return Err("must be at most 254 bytes long");
    }
    Ok(text)
}

fn is_domain(text: &str) -> bool {
    text.split('.').all(|label| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|it| it.is_alphanumeric() || it == '-')
    })
}

/// A domain as it is read, whichever of its spellings was typed: mail goes to the same place for all of them, such as
/// `xn--bcher-kva` for `bücher` (RFC 5891, UTS 46). Nothing if no name server could know it.
fn normal_domain(domain: &str) -> Option<String> {
    let uts = Uts46::new();
    let ascii = uts.to_ascii(domain.as_bytes(), AsciiDenyList::URL, Hyphens::Allow, DnsLength::Verify).ok()?;
    let (read, outcome) = uts.to_unicode(ascii.as_bytes(), AsciiDenyList::URL, Hyphens::Allow);
    outcome.ok().map(|()| read.into_owned()).filter(|it| is_domain(it))
}

/// Brings a name, which others will see, to one line of text, or says what is wrong with it.
///
/// What steers a terminal, splits the header of a mail or turns the direction of reading
/// around is part of nobody's name. Joiners are: Persian and many emoji need them.
pub fn normalize_name(text: &str) -> Result<String, &'static str> {
    let text = normal(text.trim());
    if text.chars().any(|it| it.is_control() || is_direction_or_break(it)) {
        return Err("must be one line of text, without control characters");
    }
    Ok(text)
}

/// Text with each letter and its marks composed (Unicode NFC): keyboards differ in how they write `ü`.
pub fn normal(text: &str) -> String {
    text.nfc().collect()
}

/// Characters that turn the direction of reading around, or end a line or paragraph.
fn is_direction_or_break(it: char) -> bool {
    matches!(it, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Characters that are not drawn (Unicode's `Default_Ignorable_Code_Point`).
fn is_invisible(it: char) -> bool {
    matches!(it,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fff8}'
        | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// Text as it may stand in a log or at a terminal: what steers those, or cannot be seen, is written as an escape.
pub fn visible(text: &str) -> String {
    let mut visible = String::with_capacity(text.len());
    for it in text.chars() {
        if it.is_control() || is_direction_or_break(it) || is_invisible(it) {
            visible.extend(it.escape_default());
        } else {
            visible.push(it);
        }
    }
    visible
}

/// Longest word that a near miss is looked for: what is longer is none, and comparing takes time in its square.
const NEAR_MISS_BYTES_MAX: usize = 64;

/// The candidate that `typed` was most likely meant to be, if any is near.
pub fn nearest<'a>(typed: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if NEAR_MISS_BYTES_MAX < typed.len() {
        return None;
    }
    let length = typed.chars().count();
    candidates
        .into_iter()
        .map(|it| (it, it.len().max(3) / 3))
        // The comparison costs the product of both lengths, and what is typed may be very long.
        .filter(|(it, far)| it.chars().count().abs_diff(length) <= *far)
        .map(|(it, far)| (strsim::damerau_levenshtein(typed, it), far, it))
        // With every letter another one it is not near, however short it is.
        .filter(|(distance, far, it)| distance <= far && *distance < it.chars().count())
        .min_by_key(|(distance, _, it)| (*distance, *it))
        .map(|(_, _, it)| it)
}

/// An error and all its causes in one line, for a log.
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    std::iter::successors(Some(error), |it| it.source()).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// Appends a text as JSON, in quotes.
///
/// Nearly all texts stand there as they are. That is seen many bytes at a time, which a loop over an array of
/// known size is compiled to.
pub fn write_json(text: &str, out: &mut Vec<u8>) {
    const STEP: usize = 32;
    let is_plain =
        |bytes: &[u8]| !bytes.iter().fold(false, |odd, it| odd | (*it < b' ') | (*it == b'"') | (*it == b'\\'));
    let (steps, rest) = text.as_bytes().as_chunks::<STEP>();
    if steps.iter().all(|it| is_plain(it)) && is_plain(rest) {
        out.reserve(text.len() + 2);
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    } else {
        // Writing to a vector cannot fail.
        let _ = serde_json::to_writer(out, text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_web_address_has_a_port_that_there_is() {
        for fine in ["https://a.example", "https://a.example:8080/x", "https://a.example:/", "http://[::1]:65535/"] {
            assert!(is_web_address(fine), "{fine}");
        }
        for odd in ["https://a.example:65536/", "https://a.example:99999", "http://[::1]:70000/"] {
            assert!(!is_web_address(odd), "{odd}");
        }
        assert_eq!(nearest("T", ["b", "title"]), None);
    }

    #[test]
    fn text_becomes_the_json_that_it_is_for_everyone_else() {
        let odd: Vec<String> = (0..=0x80).filter_map(char::from_u32).map(String::from).collect();
        let long = odd.iter().flat_map(|it| [0, 31, 32, 100].map(|at| format!("{}{it}ü", "x".repeat(at))));
        for text in long.chain(odd.iter().cloned()).chain([String::new()]) {
            let mut written = b"1,".to_vec();
            write_json(&text, &mut written);
            assert_eq!(String::from_utf8(written), Ok(format!("1,{}", serde_json::Value::from(text))));
        }
    }

    #[test]
    fn an_address_has_one_form() {
        assert_eq!(normalize_email("  Ada.Lovelace+x@Example.COM ").as_deref(), Ok("ada.lovelace+x@example.com"));
        assert_eq!(normalize_email("ada@localhost").as_deref(), Ok("ada@localhost"));
        assert_eq!(normalize_email("jürgen@bücher.example").as_deref(), Ok("jürgen@bücher.example"));
        assert_eq!(normalize_email("ju\u{308}rgen@bu\u{308}cher.example").as_deref(), Ok("jürgen@bücher.example"));
        for spelled in ["xn--bcher-kva.example", "XN--BCHER-KVA.example", "bücher.ｅxample", "bü\u{24d2}her.example"]
        {
            assert_eq!(normalize_email(&format!("a@{spelled}")).as_deref(), Ok("a@bücher.example"), "{spelled}");
        }
        for kept in ["a@r3---sn.example.com", "a@straße.example", "a@例え.テスト"] {
            assert_eq!(normalize_email(kept).as_deref(), Ok(kept));
        }
        // The last one is read as a label of 66 bytes.
        for none in ["a@xn--a.example", "a@xn--bücher.example", "a@xn--koyaaaaaaaaaaaaaaaaaaaaa.example"] {
            assert!(normalize_email(none).is_err(), "{none}");
        }
        assert_eq!(normalize_email("\u{212a}im@example.com").as_deref(), Ok("kim@example.com"), "the sign for kelvin");
    }

    #[test]
    fn what_is_no_address_is_refused() {
        let long = format!("{}@example.com", "a".repeat(65));
        let longer = format!("a@{}", "a.".repeat(130));
        let grows = format!("{}@b", "\u{130}".repeat(32)); // a small `İ` takes more bytes than a capital one
        for text in [
            "",
            "@",
            "ada",
            "ada@",
            "@example.com",
            "a b@example.com",
            "a@b c",
            "a@-b.com",
            "a@b..c",
            "a..b@c",
            ".a@b",
            "a\n@b",
            "a@b\r\nBcc: c@d",
            "\"a\"@b",
            "ad\u{200b}a@b",
            "\u{202e}ada@b",
            "\u{ad}ada@b",
            grows.as_str(),
            long.as_str(),
            longer.as_str(),
        ] {
            assert!(normalize_email(text).is_err(), "{text:?} was accepted");
        }
    }

    #[test]
    fn a_name_is_one_line_and_keeps_the_joiners_that_scripts_need() {
        assert_eq!(normalize_name("  Ada Lovelace ").as_deref(), Ok("Ada Lovelace"));
        assert_eq!(normalize_name("ju\u{308}rgen").as_deref(), Ok("jürgen"));
        assert!(normalize_name("م\u{200c}ن 👩\u{200d}🔬").is_ok());
        for text in ["a\nb", "a\u{0}", "a\u{85}b", "\u{1b}[2J", "a\u{2028}b", "\u{202e}a", "\u{2066}a"] {
            assert!(normalize_name(text).is_err(), "{text:?} was accepted");
        }
    }

    #[test]
    fn a_near_miss_is_named_and_a_far_one_is_not() {
        let known = ["listen", "public_url", "request_bytes_max"];

        assert_eq!(nearest("lisen", known), Some("listen"));
        assert_eq!(nearest("public-url", known), Some("public_url"));
        assert_eq!(nearest("colour", known), None);
    }

    /// A name of a megabyte must not cost seconds.
    #[test]
    fn a_very_long_name_is_near_nothing_and_costs_nothing() {
        let (long, known) = ("a".repeat(1 << 20), vec!["public_url"; 1_000]);

        assert_eq!(nearest(&long, known), None);
    }

    #[test]
    fn what_steers_a_terminal_is_written_as_an_escape() {
        assert_eq!(
            visible("a\nb \u{1b}[2J \u{202e}c \u{200b}d ü \"e\""),
            "a\\nb \\u{1b}[2J \\u{202e}c \\u{200b}d ü \"e\""
        );
    }
}
