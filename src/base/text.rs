//! What is done to text: addresses brought to one form, and near misses named.

/// Longest address that RFC 5321 section 4.5.3.1 lets through.
const EMAIL_BYTES_MAX: usize = 254;

/// Brings an e-mail address to the one form it is compared in, or says what is wrong with it.
///
/// Spaces around it are dropped and letters are made small, in the part before
/// the `@` too: no mail system in use tells `Ada@` from `ada@`, and people do not either.
pub fn normalize_email(text: &str) -> Result<String, &'static str> {
    let text = text.trim();
    if EMAIL_BYTES_MAX < text.len() {
        return Err("must be at most 254 bytes long");
    }
    let Some((local, domain)) = text.rsplit_once('@') else {
        return Err("must be an e-mail address, such as ada@example.com");
    };
    let local_fits = !local.is_empty()
        && local.len() <= 64
        && local.chars().all(|it| !it.is_whitespace() && !it.is_control() && !"@()<>[],;:\\\"".contains(it))
        && !local.starts_with('.')
        && !local.ends_with('.')
        && !local.contains("..");
    let domain_fits = domain.split('.').all(|label| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|it| it.is_alphanumeric() || it == '-')
    });
    if !local_fits || !domain_fits {
        return Err("must be an e-mail address, such as ada@example.com");
    }
    Ok(text.to_lowercase())
}

/// The candidate that `typed` was most likely meant to be, if any is near.
pub fn nearest<'a>(typed: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|it| (strsim::damerau_levenshtein(typed, it), it))
        .filter(|(distance, it)| *distance <= it.len().max(3) / 3)
        .min()
        .map(|(_, it)| it)
}

/// An error and all its causes in one line, for a log.
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    std::iter::successors(Some(error), |it| it.source()).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_one_form() {
        assert_eq!(normalize_email("  Ada.Lovelace+x@Example.COM ").as_deref(), Ok("ada.lovelace+x@example.com"));
        assert_eq!(normalize_email("ada@localhost").as_deref(), Ok("ada@localhost"));
        assert_eq!(normalize_email("jürgen@bücher.example").as_deref(), Ok("jürgen@bücher.example"));
    }

    #[test]
    fn what_is_no_address_is_refused() {
        let long = format!("{}@example.com", "a".repeat(65));
        let longer = format!("a@{}", "a.".repeat(130));
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
            long.as_str(),
            longer.as_str(),
        ] {
            assert!(normalize_email(text).is_err(), "{text:?} was accepted");
        }
    }

    #[test]
    fn a_near_miss_is_named_and_a_far_one_is_not() {
        let known = ["listen", "public_url", "request_bytes_max"];

        assert_eq!(nearest("lisen", known), Some("listen"));
        assert_eq!(nearest("public-url", known), Some("public_url"));
        assert_eq!(nearest("colour", known), None);
    }
}
