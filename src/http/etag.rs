//! Versions of things on the wire: `ETag` and `If-Match` (RFC 9110 sections 8.8.3 and 13.1.1).
use super::problem::{self, Problem};

/// The tag of a thing that counts its changes.
pub fn of_version(version: i64) -> String {
    format!("\"{version}\"")
}

/// Which versions a change is meant for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IfMatch {
    /// Whatever is there.
    Any,
    /// One of these, as they stand between the quotes.
    OneOf(Vec<String>),
}

impl IfMatch {
    /// Reads the header; absent, it allows anything.
    pub fn parse(header: Option<&str>) -> Result<Self, Problem> {
        let Some(header) = header.map(str::trim) else { return Ok(Self::Any) };
        if header == "*" {
            return Ok(Self::Any);
        }
        tags(header)
            .map(Self::OneOf)
            .ok_or_else(|| Problem::new(&problem::MALFORMED, "`If-Match` must be an entity tag such as \"3\""))
    }

    pub fn allows(&self, version: i64) -> bool {
        match self {
            Self::Any => true,
            Self::OneOf(tags) => tags.iter().any(|it| *it == version.to_string()),
        }
    }
}

/// The strong tags of a list, without their quotes. Weak ones are left out: they match nothing.
fn tags(mut list: &str) -> Option<Vec<String>> {
    let mut tags = Vec::new();
    loop {
        let weak = list.strip_prefix("W/");
        // A tag may hold a comma, so the list cannot be split at them.
        let (tag, rest) = weak.unwrap_or(list).strip_prefix('"')?.split_once('"')?;
        if weak.is_none() {
            tags.push(tag.to_owned());
        }
        let rest = rest.trim_start();
        if rest.is_empty() {
            return Some(tags);
        }
        list = rest.strip_prefix(',')?.trim_start();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(header: Option<&str>, version: i64) -> Option<bool> {
        IfMatch::parse(header).ok().map(|it| it.allows(version))
    }

    #[test]
    fn a_change_is_allowed_for_the_version_that_it_names() {
        assert_eq!(allows(None, 3), Some(true));
        assert_eq!(allows(Some("*"), 3), Some(true));
        assert_eq!(allows(Some("\"3\""), 3), Some(true));
        assert_eq!(allows(Some("\"2\", \"3\""), 3), Some(true));
        assert_eq!(allows(Some("\"2\""), 3), Some(false));
        assert_eq!(allows(Some("\"a, b\" ,W/\"2\",\"3\""), 3), Some(true), "a comma may stand in a tag");
        assert_eq!(allows(Some("W/\"3\""), 3), Some(false), "weak tags never match");
    }

    #[test]
    fn what_is_no_tag_is_malformed() {
        for header in ["3", "\"3", "", "\"3\" \"4\"", ","] {
            assert_eq!(allows(Some(header), 3), None, "{header}");
        }
    }
}
