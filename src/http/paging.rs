//! Lists: how far a page goes, and where the next one begins.
use std::fmt::Write;

use aws_lc_rs::hmac;
use data_encoding::BASE64URL_NOPAD;

use super::problem::{Fault, Problem};

/// Most things on one page.
pub const LIMIT_MAX: u64 = 500;
/// Things on a page whose size nobody named.
pub const LIMIT: u64 = 30;
/// Furthest that numbered pages reach. Beyond, each costs more than the one before; cursors do not.
const SKIP_MAX: u64 = 100_000;

/// What a list is asked for, as it comes in the query.
#[derive(Debug, Default)]
pub struct Paging {
    pub limit: Option<u64>,
    pub cursor: Option<String>,
    pub page: Option<u64>,
    pub count: Option<String>,
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
}

impl Paging {
    /// Checks what was asked for. `scope` names the list and its caller: a cursor of another is refused.
    pub fn check(&self, cursors: &Cursors, scope: &str) -> Result<Page, Problem> {
        let mut faults = Vec::new();
        let mut fault = |name: &str, code, detail: &str| faults.push(Fault::new(format!("?{name}"), code, detail));
        let limit = self.limit.unwrap_or(LIMIT);
        if !(1..=LIMIT_MAX).contains(&limit) {
            fault("limit", "out-of-range", "must be 1 to 500");
        }
        let page = self.page.unwrap_or(1);
        let skip = page.saturating_sub(1).saturating_mul(limit);
        if page == 0 || SKIP_MAX < skip {
            fault("page", "out-of-range", "must be at least 1, and within the first 100,000; go on with `cursor`");
        }
        if self.page.is_some() && self.cursor.is_some() {
            fault("page", "conflict", "cannot be combined with `cursor`");
        }
        if self.count.as_deref().is_some_and(|it| it != "exact") {
            fault("count", "not-one-of", "must be `exact`");
        }
        let after = self.cursor.as_deref().map(|it| cursors.open(it, scope));
        if after == Some(None) {
            fault("cursor", "invalid", "is not a cursor of this list; begin again without it");
        }
        if !faults.is_empty() {
            return Err(Problem::invalid(faults));
        }
        Ok(Page { limit, skip, number: self.page, after: after.flatten(), with_total: self.count.is_some() })
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

/// The `Link` header (RFC 8288) to the next page, relative to `path`.
pub fn next_link(path: &str, page: &Page, next_cursor: Option<&str>) -> Option<String> {
    let cursor = next_cursor?;
    let mut link = format!("<{path}?limit={}", page.limit);
    let _ = match page.number {
        Some(number) => write!(link, "&page={}", number + 1),
        None => write!(link, "&cursor={cursor}"),
    };
    if page.with_total {
        link.push_str("&count=exact");
    }
    link.push_str(">; rel=\"next\"");
    Some(link)
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
        let asked =
            Paging { limit: Some(501), cursor: Some("x".to_owned()), page: Some(0), count: Some("all".to_owned()) };

        let problem = asked.check(&cursors(), "users").expect_err("refused");

        let pointers: Vec<_> = problem.errors.iter().map(|it| it.pointer.as_str()).collect();
        assert_eq!(pointers, ["?limit", "?page", "?page", "?count", "?cursor"]);
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
}
