//! Lists: how far a page goes, and where the next one begins.
use std::fmt::Display;

use aws_lc_rs::hmac;
use data_encoding::BASE64URL_NOPAD;
use poem_openapi::Object;
use poem_openapi::types::Example;

use super::problem::{Fault, Problem};

/// Most things on one page.
pub const LIMIT_MAX: u64 = 500;
/// Things on a page whose size nobody named.
pub const LIMIT: u64 = 30;
/// Furthest that numbered pages reach. Beyond, each costs more than the one before; cursors do not.
const SKIP_MAX: u64 = 100_000;
/// Furthest page that there can be: of one thing each.
pub const PAGE_MAX: u64 = SKIP_MAX + 1;

/// What a limit must be.
pub const OF_LIMIT: &str = "must be a whole number from 1 to 500";
const OF_PAGE: &str = "must be a whole number from 1";

/// What a list is asked for, as it comes in the query.
#[derive(Debug, Default)]
pub struct Paging {
    pub limit: Option<u64>,
    pub cursor: Option<String>,
    pub page: Option<u64>,
    pub count: Option<String>,
    /// Whether there are estimates of this list.
    pub may_be_planned: bool,
}

/// What a list is asked for, checked.
#[derive(Debug, PartialEq, Eq)]
pub struct Page {
    pub limit: u64,
    /// How many to pass over: for numbered pages.
    pub skip: u64,
    pub number: Option<u64>,
    /// What a cursor remembers of the last thing on the page before.
    pub after: Option<String>,
    pub with_total: bool,
    /// Whether about how many there are will do.
    pub is_planned: bool,
}

/// That all are to be counted.
pub const EXACT: &str = "exact";
/// That an estimate will do, where there is one.
pub const PLANNED: &str = "planned";

impl Paging {
    /// Reads `limit` or `page` as it stands in a query. Whether it is in range is told by [`Paging::check`].
    pub fn read(&mut self, name: &str, text: &str) -> Result<(), Fault> {
        let is_limit = name == "limit";
        let detail = if is_limit { OF_LIMIT } else { OF_PAGE };
        let number = text.parse().map_err(|_| Fault::new(format!("?{name}"), "type", detail))?;
        *(if is_limit { &mut self.limit } else { &mut self.page }) = Some(number);
        Ok(())
    }

    /// Checks what was asked for. `scope` names the list and its caller: a cursor of another is refused.
    pub fn check(&self, cursors: &Cursors, scope: &str) -> Result<Page, Problem> {
        let mut faults = Vec::new();
        let mut fault = |name: &str, code, detail: &str| faults.push(Fault::new(format!("?{name}"), code, detail));
        let limit = self.limit.unwrap_or(LIMIT);
        if !(1..=LIMIT_MAX).contains(&limit) {
            fault("limit", "out-of-range", OF_LIMIT);
        }
        let page = self.page.unwrap_or(1);
        let skip = page.saturating_sub(1).saturating_mul(limit);
        if page == 0 || SKIP_MAX < skip {
            fault("page", "out-of-range", "must be 1 or more, and within the first 100,000; go on with `cursor`");
        }
        if self.page.is_some() && self.cursor.is_some() {
            fault("page", "conflict", "cannot be combined with `cursor`");
        }
        let is_planned = self.may_be_planned && self.count.as_deref() == Some(PLANNED);
        if !is_planned && self.count.as_deref().is_some_and(|it| it != EXACT) {
            let all = if self.may_be_planned { "must be `exact` or `planned`" } else { "must be `exact`" };
            fault("count", "not-one-of", all);
        }
        let after = self.cursor.as_deref().map(|it| cursors.open(it, scope));
        if after == Some(None) {
            fault("cursor", "invalid", "is not a cursor of this list; begin again without it");
        }
        if !faults.is_empty() {
            return Err(Problem::invalid(faults));
        }
        let with_total = self.count.is_some();
        Ok(Page { limit, skip, number: self.page, after: after.flatten(), with_total, is_planned })
    }
}

/// A page as it is answered.
#[derive(Debug)]
pub struct Listed<T> {
    pub data: Vec<T>,
    pub meta: ListMeta,
    pub link: Option<String>,
}

/// Which list a page is of.
#[derive(Clone, Copy, Debug)]
pub struct ListPlace<'a> {
    /// Where it is.
    pub path: &'a str,
    /// What else it was asked for, encoded, or empty.
    pub query: &'a str,
    /// As [`Paging::check`] got it.
    pub scope: &'a str,
}

impl Page {
    /// How many things to read: one more than the page holds tells whether there is a next one.
    pub fn wanted(&self) -> u64 {
        self.limit + 1
    }

    /// The page of what was read. `position` is what a cursor remembers of a thing.
    pub fn listed<T>(
        &self,
        place: &ListPlace<'_>,
        cursors: &Cursors,
        (mut data, total): (Vec<T>, Option<u64>),
        position: impl FnOnce(&T) -> String,
    ) -> Listed<T> {
        let has_more = self.limit < data.len() as u64;
        data.truncate(usize::try_from(self.limit).unwrap_or(usize::MAX));
        let next_cursor = data.last().filter(|_| has_more).map(|it| cursors.seal(&position(it), place.scope));
        let link = links(place.path, place.query, self, next_cursor.as_deref(), total);
        Listed {
            data,
            meta: ListMeta { limit: self.limit, next_cursor, page: self.number, total, is_estimate: None },
            link,
        }
    }
}

/// What is true of a list as a whole.
#[derive(Debug, Object)]
#[oai(example, rename_all = "camelCase", skip_serializing_if_is_none)]
pub struct ListMeta {
    /// Most things on this page.
    pub limit: u64,
    /// Where the next page begins; absent on the last one.
    pub next_cursor: Option<String>,
    /// The number of this page, if it was asked for by number.
    pub page: Option<u64>,
    /// How many there are in all, if `count` was asked for.
    pub total: Option<u64>,
    /// `true` if `total` was not counted; only lists of records estimate it, if `count=planned` was asked for.
    pub is_estimate: Option<bool>,
}

impl Example for ListMeta {
    fn example() -> Self {
        let next_cursor = Some("sXnAdq3mPHzXhWnW4l1pGzAxOTBiNmE0".to_owned());
        Self { limit: LIMIT, next_cursor, page: None, total: Some(1_234), is_estimate: None }
    }
}

/// Signs cursors, so that a position is ours or nobody's.
#[derive(Clone, Debug)]
pub struct Cursors(hmac::Key);

/// Bytes of the signature in a cursor: 128 bits cannot be guessed.
const TAG_BYTES: usize = 16;

impl Cursors {
    pub fn new(key: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    /// A cursor that remembers `position` and works only for `scope`.
    pub fn seal(&self, position: &str, scope: &str) -> String {
        let mut bytes = self.tag(position, scope);
        bytes.extend(position.as_bytes());
        BASE64URL_NOPAD.encode(&bytes)
    }

    fn open(&self, cursor: &str, scope: &str) -> Option<String> {
        let bytes = BASE64URL_NOPAD.decode(cursor.as_bytes()).ok()?;
        let (tag, position) = bytes.split_at_checked(TAG_BYTES)?;
        let position = std::str::from_utf8(position).ok()?;
        let is_ours = subtle::ConstantTimeEq::ct_eq(tag, self.tag(position, scope).as_slice());
        bool::from(is_ours).then(|| position.to_owned())
    }

    fn tag(&self, position: &str, scope: &str) -> Vec<u8> {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(b"cursor\0");
        context.update(&(scope.len() as u64).to_be_bytes());
        context.update(scope.as_bytes());
        context.update(position.as_bytes());
        context.sign().as_ref()[..TAG_BYTES].to_vec()
    }
}

/// Longest `Link` header. Clients refuse heads that are too long, and `nextCursor` says the same.
const LINK_BYTES_MAX: usize = 4_096;

/// The `Link` header (RFC 8288) of a page: the next one, and for numbered pages those around it.
///
/// `query` is what else the list was asked for, encoded (`role=admin`), or empty: a link
/// that dropped it would lead into another list.
pub fn links(path: &str, query: &str, page: &Page, next_cursor: Option<&str>, total: Option<u64>) -> Option<String> {
    let count = match page {
        Page { is_planned: true, .. } => "&count=planned",
        Page { with_total: true, .. } => "&count=exact",
        _ => "",
    };
    let rest = if query.is_empty() { String::new() } else { format!("&{query}") };
    let mut links = Vec::new();
    let mut link = |name: &str, value: &dyn Display, relation: &str| {
        links.push(format!("<{path}?limit={}&{name}={value}{count}{rest}>; rel=\"{relation}\"", page.limit));
    };
    match (page.number, next_cursor) {
        (Some(number), next) => {
            let within_reach = |number: u64| (number - 1).saturating_mul(page.limit) <= SKIP_MAX;
            if next.is_some() && within_reach(number + 1) {
                link("page", &(number + 1), "next");
            }
            if 1 < number {
                link("page", &(number - 1), "prev");
            }
            link("page", &1, "first");
            if let Some(last) = total.map(|it| it.div_ceil(page.limit).max(1)).filter(|it| within_reach(*it)) {
                link("page", &last, "last");
            }
        }
        (None, Some(cursor)) => link("cursor", &cursor, "next"),
        (None, None) => {}
    }
    Some(links.join(", ")).filter(|it| (1..=LINK_BYTES_MAX).contains(&it.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cursors() -> Cursors {
        Cursors::new(&[7; 32])
    }

    #[test]
    fn a_cursor_comes_back_whole_or_not_at_all() {
        let cursor = cursors().seal("12:abc", "users");

        assert_eq!(cursors().open(&cursor, "users").as_deref(), Some("12:abc"));
        assert_eq!(cursors().open(&cursor, "users of someone else"), None);
        assert_eq!(cursors().open(&cursor, "roles"), None, "as long as the right one");
        assert_eq!(Cursors::new(&[8; 32]).open(&cursor, "users"), None);
        let bytes = BASE64URL_NOPAD.decode(cursor.as_bytes()).expect("base64");
        for bit in 0..bytes.len() * 8 {
            let mut forged = bytes.clone();
            forged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(cursors().open(&BASE64URL_NOPAD.encode(&forged), "users"), None, "bit {bit}");
        }
    }

    #[test]
    fn what_cannot_be_is_told_all_at_once() {
        let asked = Paging {
            limit: Some(501),
            cursor: Some("x".to_owned()),
            page: Some(0),
            count: Some("all".to_owned()),
            ..Paging::default()
        };

        let problem = asked.check(&cursors(), "users").expect_err("refused");

        let pointers: Vec<_> = problem.errors.iter().map(|it| it.pointer.as_str()).collect();
        assert_eq!(pointers, ["?limit", "?page", "?page", "?count", "?cursor"]);
    }

    #[test]
    fn what_is_no_number_is_told_with_the_numbers_that_there_are() {
        let mut asked = Paging::default();
        asked.read("limit", "20").expect("a number");
        asked.read("page", "3").expect("a number");
        assert_eq!((asked.limit, asked.page), (Some(20), Some(3)));

        for text in ["abc", "-1", "", "1.0", "99999999999999999999"] {
            let fault = asked.read("limit", text).expect_err("refused");
            assert_eq!((fault.pointer.as_str(), fault.detail.as_str()), ("?limit", OF_LIMIT), "{text:?}");
            assert_eq!(asked.read("page", text).expect_err("refused").code, "type");
        }
    }

    #[test]
    fn a_page_far_away_is_refused_before_it_costs_anything() {
        let asked = Paging { page: Some(u64::MAX), ..Paging::default() };

        assert!(asked.check(&cursors(), "users").is_err());
    }

    #[test]
    fn nothing_asked_is_the_first_thirty() {
        let page = Paging::default().check(&cursors(), "users").expect("fits");

        assert_eq!((page.limit, page.skip, page.after, page.with_total), (30, 0, None, false));
    }

    #[test]
    fn a_numbered_page_knows_its_neighbours() {
        let page = |number| Page {
            limit: 10,
            skip: 0,
            number: Some(number),
            after: None,
            with_total: true,
            is_planned: false,
        };

        let middle = links("/u", "role=admin", &page(2), Some("c"), Some(31)).expect("links");
        let last = links("/u", "", &page(4), None, Some(31)).expect("links");
        let farthest = links("/u", "", &page(SKIP_MAX / 10 + 1), Some("c"), None).expect("links");

        assert_eq!(
            middle,
            "</u?limit=10&page=3&count=exact&role=admin>; rel=\"next\", \
             </u?limit=10&page=1&count=exact&role=admin>; rel=\"prev\", \
             </u?limit=10&page=1&count=exact&role=admin>; rel=\"first\", \
             </u?limit=10&page=4&count=exact&role=admin>; rel=\"last\""
        );
        assert!(!last.contains("next") && last.contains("page=3&count=exact>; rel=\"prev\""), "{last}");
        assert!(!farthest.contains("next"), "it would be refused: {farthest}");
    }

    #[test]
    fn a_page_after_a_cursor_knows_only_the_next() {
        let page = Page { limit: 30, skip: 0, number: None, after: None, with_total: false, is_planned: false };

        assert_eq!(links("/u", "", &page, Some("c"), None).as_deref(), Some("</u?limit=30&cursor=c>; rel=\"next\""));
        assert_eq!(links("/u", "", &page, None, None), None);
    }
}
