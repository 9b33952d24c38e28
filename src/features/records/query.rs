//! What a list is asked for, as it stands in the query.
use std::borrow::Cow;

use poem::http::header::HeaderMap;

use crate::base::text::nearest;
use crate::db::record_tables::quoted;
use crate::expr::Condition;
use crate::features::collections::Entry;
use crate::http::paging::{EXACT, PLANNED, Paging};
use crate::http::prefer::prefers;
use crate::http::{Fault, Problem};

/// Most parameters of one request: more is no question but an attack.
const PARAMETERS_MAX: usize = 200;
/// What can be asked for by name; `where[…]` besides.
const KNOWN: [&str; 11] =
    ["limit", "cursor", "page", "count", "sort", "filter", "fields", "expand", "search", "highlight", "trashed"];

/// What is said of a name that looks like the rest of a filter.
const ENCODE: &str = "is no parameter; in a filter, encode & as %26";

/// The parameters of a list.
#[derive(Debug, Default)]
pub(super) struct Asked {
    pub paging: Paging,
    pub sort: Option<String>,
    pub filter: Option<String>,
    pub fields: Option<String>,
    pub expand: Option<String>,
    pub search: Option<String>,
    /// Whether what was found is shown with marks.
    pub highlight: bool,
    pub conditions: Vec<Condition>,
    /// Which of those that were deleted; absent: none.
    pub trashed: Option<Trashed>,
}

/// Which records, where those that are deleted are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trashed {
    /// Those in the bin among the others.
    With,
    /// Those in the bin alone.
    Only,
}

impl Trashed {
    fn name(self) -> &'static str {
        match self {
            Self::With => "with",
            Self::Only => "only",
        }
    }
}

impl Asked {
    /// Reads a query. Unknown names and names given twice are refused: a typing error must not widen a list.
    pub fn read(query: &str) -> Result<Self, Problem> {
        let mut asked = Self::default();
        asked.paging.may_be_planned = true;
        let mut faults = Vec::new();
        let mut seen: Vec<String> = Vec::new();
        // As two signs in a row of a filter that was not encoded leave it.
        let has_gap = query.contains("&&");
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let (name, value) = (name.into_owned(), value.into_owned());
            let mut fault =
                |code, detail: &str| faults.push(Fault::new(format!("?{}", shortened(&name)), code, detail));
            if PARAMETERS_MAX <= seen.len() {
                fault("too-many", "comes after 200 other parameters");
                break;
            }
            if seen.contains(&name) {
                fault("duplicate", "is given more than once");
                continue;
            }
            seen.push(name.clone());
            match name.as_str() {
                "limit" | "page" => faults.extend(asked.paging.read(&name, &value).err()),
                "cursor" => asked.paging.cursor = Some(value),
                "count" => asked.paging.count = Some(value),
                "sort" => asked.sort = Some(value),
                "filter" => asked.filter = Some(value),
                "fields" => asked.fields = Some(value),
                "expand" => asked.expand = Some(value),
                "trashed" => match value.as_str() {
                    "with" => asked.trashed = Some(Trashed::With),
                    "only" => asked.trashed = Some(Trashed::Only),
                    _ => fault("not-one-of", "must be `with` or `only`"),
                },
                "search" => asked.search = Some(value),
                "highlight" => match value.parse() {
                    Ok(flag) => asked.highlight = flag,
                    Err(_) => fault("type", "must be `true` or `false`"),
                },
                _ => match condition(&name, value) {
                    Some(condition) => asked.conditions.push(condition),
                    None if has_gap => fault("unknown", ENCODE),
                    None => fault("unknown", &hint(&name)),
                },
            }
        }
        if faults.is_empty() { Ok(asked) } else { Err(Problem::invalid(faults)) }
    }

    /// As [`Asked::read`], but for parameters that are read elsewhere, and for those of pages, of which there are
    /// none: `detail` says so.
    pub fn read_without(query: &str, names: &[&str], detail: &str) -> Result<Self, Problem> {
        let mut rest = form_urlencoded::Serializer::new(String::new());
        let (mut faults, mut seen) = (Vec::new(), Vec::new());
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match names.iter().find(|it| **it == name) {
                Some(name) if seen.contains(name) => {
                    faults.push(Fault::new(format!("?{name}"), "duplicate", "is given more than once"));
                }
                Some(name) => seen.push(name),
                None => {
                    rest.append_pair(&name, &value);
                }
            }
        }
        let asked = match Self::read(&rest.finish()) {
            Ok(asked) => asked,
            Err(mut problem) => {
                problem.errors.extend(faults);
                return Err(problem);
            }
        };
        let Paging { limit, cursor, page, count, .. } = &asked.paging;
        let of_lists = [
            ("limit", limit.is_some()),
            ("cursor", cursor.is_some()),
            ("page", page.is_some()),
            ("count", count.is_some()),
            ("search", asked.search.is_some()),
            ("highlight", asked.highlight),
            ("sort", asked.sort.is_some()),
            ("fields", asked.fields.is_some()),
            ("expand", asked.expand.is_some()),
        ];
        let refused = of_lists.iter().filter(|(_, is_there)| *is_there);
        faults.extend(refused.map(|(name, _)| Fault::new(format!("?{name}"), "unknown", detail)));
        if faults.is_empty() { Ok(asked) } else { Err(Problem::invalid(faults)) }
    }

    /// What the records are read from.
    pub fn from<'a>(&self, entry: &'a Entry) -> Cow<'a, str> {
        if self.trashed.is_some() { quoted(&entry.rows).into() } else { (&entry.from).into() }
    }

    /// As [`Asked::read`], for groups of records, of which there are no pages.
    pub fn read_of_groups(query: &str) -> Result<Self, Problem> {
        let asked = Self::read(query)?;
        let Paging { limit: _, cursor, page, count, .. } = &asked.paging;
        let of_lists = [
            ("cursor", cursor.is_some()),
            ("page", page.is_some()),
            ("count", count.is_some()),
            ("fields", asked.fields.is_some()),
            ("expand", asked.expand.is_some()),
            ("search", asked.search.is_some()),
            ("highlight", asked.highlight),
            ("trashed", asked.trashed.is_some()),
        ];
        refuse(&of_lists)?;
        Ok(asked)
    }

    /// Does as the client would like, and tells what that was.
    pub fn prefer(&mut self, headers: &HeaderMap) -> Option<String> {
        let preferred = [EXACT, PLANNED].into_iter().find(|it| prefers(headers, "count", it));
        let preferred = preferred.filter(|_| self.paging.count.is_none())?;
        self.paging.count = Some(preferred.to_owned());
        Some(format!("count={preferred}"))
    }

    /// Refuses what only makes sense for a list.
    pub fn must_be_about_one(&self) -> Result<(), Problem> {
        let Paging { limit, cursor, page, count, .. } = &self.paging;
        let asked = [
            ("limit", limit.is_some()),
            ("cursor", cursor.is_some()),
            ("page", page.is_some()),
            ("count", count.is_some()),
            ("sort", self.sort.is_some()),
            ("filter", self.filter.is_some()),
            ("search", self.search.is_some()),
            ("highlight", self.highlight),
            ("where", !self.conditions.is_empty()),
        ];
        refuse(&asked)
    }

    /// Everything that decides which records are in the list and in which order, but not the page.
    pub fn scope(&self) -> String {
        let texts = [&self.sort, &self.filter, &self.search];
        let mut parts: Vec<_> = texts.into_iter().map(|it| it.clone().unwrap_or_default()).collect();
        parts.extend(self.conditions.iter().map(|it| format!("{}={}", it.parameter, it.value)));
        parts.extend(self.trashed.map(|it| it.name().to_owned()));
        parts.join("\0")
    }

    /// The parameters that the links to other pages must repeat, encoded.
    pub fn repeated(&self) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        let named = [
            ("sort", &self.sort),
            ("filter", &self.filter),
            ("fields", &self.fields),
            ("expand", &self.expand),
            ("search", &self.search),
        ];
        for (name, value) in named.iter().filter_map(|(name, value)| Some((name, value.as_ref()?))) {
            query.append_pair(name, value);
        }
        if let Some(trashed) = self.trashed {
            query.append_pair("trashed", trashed.name());
        }
        if self.highlight {
            query.append_pair("highlight", "true");
        }
        for condition in &self.conditions {
            query.append_pair(&condition.parameter, &condition.value);
        }
        query.finish()
    }
}

/// Refuses those of some parameters of lists that are there.
fn refuse(asked: &[(&str, bool)]) -> Result<(), Problem> {
    let fault = |name| Fault::new(format!("?{name}"), "unknown", "is for lists");
    let faults: Vec<_> = asked.iter().filter(|(_, is_there)| *is_there).map(|(name, _)| fault(name)).collect();
    if faults.is_empty() { Ok(()) } else { Err(Problem::invalid(faults)) }
}

/// Reads `where[path]` and `where[path][operator]`.
fn condition(name: &str, value: String) -> Option<Condition> {
    let rest = name.strip_prefix("where[")?;
    let (path, rest) = rest.split_once(']')?;
    let operator = match rest {
        "" => "eq",
        _ => rest.strip_prefix('[')?.strip_suffix(']')?,
    };
    Some(Condition { parameter: name.to_owned(), path: path.to_owned(), operator: operator.to_owned(), value })
}

fn hint(name: &str) -> String {
    if name.is_empty() || name.contains([' ', '=', '\'', '"', '(']) {
        return ENCODE.to_owned();
    }
    match nearest(name, KNOWN) {
        Some(meant) => format!("is no parameter; did you mean `{meant}`?"),
        None => "is no parameter of this list".to_owned(),
    }
}

/// Enough of a name to be recognized.
fn shortened(name: &str) -> String {
    name.chars().take(100).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(query: &str) -> Vec<(String, String)> {
        let problem = Asked::read(query).expect_err("refused");
        problem.errors.into_iter().map(|it| (it.pointer, it.detail)).collect()
    }

    #[test]
    fn conditions_come_with_their_operator() {
        let asked = Asked::read("where[pos]=noun&where[views][gte]=10&filter=a%20%26%26%20b&limit=5").expect("fits");

        let conditions: Vec<_> =
            asked.conditions.iter().map(|it| (it.path.as_str(), it.operator.as_str(), it.value.as_str())).collect();
        assert_eq!(conditions, [("pos", "eq", "noun"), ("views", "gte", "10")]);
        assert_eq!((asked.filter.as_deref(), asked.paging.limit), (Some("a && b"), Some(5)));
        assert_eq!(asked.repeated(), "filter=a+%26%26+b&where%5Bpos%5D=noun&where%5Bviews%5D%5Bgte%5D=10");
    }

    /// A parameter that nobody reads would show more than was asked for.
    #[test]
    fn what_is_unknown_or_given_twice_is_refused() {
        assert_eq!(faults("limt=5"), [("?limt".to_owned(), "is no parameter; did you mean `limit`?".to_owned())]);
        assert_eq!(faults("sort=a&sort=b"), [("?sort".to_owned(), "is given more than once".to_owned())]);
        assert_eq!(faults("limit=ten"), [("?limit".to_owned(), "must be a whole number from 1 to 500".to_owned())]);
        for odd in ["where=1", "where[a=1", "where[a]b=1", "where[a][b=1"] {
            assert_eq!(faults(odd).len(), 1, "{odd}");
        }
    }

    #[test]
    fn an_ampersand_that_was_not_encoded_gets_a_hint() {
        let told = faults("filter=a == 1 && b == 2");

        assert!(told.iter().any(|(_, it)| it.contains("encode & as %26")), "{told:?}");
    }

    #[test]
    fn a_flood_of_parameters_is_cut_short() {
        let query: Vec<_> = (0..5_000).map(|it| format!("where[f{it}]=1")).collect();

        assert_eq!(faults(&query.join("&")).len(), 1);
    }
}
