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
        let tags = header.split(',').map(|it| {
            let it = it.trim();
            // A weak tag never matches strongly, so it names no version of ours.
            let tag = it.strip_prefix("W/").map_or(Some(it), |_| Some("\"W/\""));
            let tag = tag.and_then(|it| it.strip_prefix('"')?.strip_suffix('"')).filter(|it| !it.contains('"'));
            tag.map(ToOwned::to_owned)
        });
        let tags: Option<Vec<_>> = tags.collect();
        tags.map(Self::OneOf)
            .ok_or_else(|| Problem::new(&problem::MALFORMED, "`If-Match` must be an entity tag such as \"3\""))
    }

    pub fn allows(&self, version: i64) -> bool {
        match self {
            Self::Any => true,
            Self::OneOf(tags) => tags.iter().any(|it| *it == version.to_string()),
        }
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
        assert_eq!(allows(Some("W/\"3\""), 3), Some(false), "weak tags never match");
    }

    #[test]
    fn what_is_no_tag_is_malformed() {
        for header in ["3", "\"3", "", "\"3\" \"4\"", ","] {
            assert_eq!(allows(Some(header), 3), None, "{header}");
        }
    }
}
