//! The limits of a key: how often it may call in how much time, several of them by name.
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use poem_openapi::types::{Example, ParseFromJSON, ToJSON};
use poem_openapi::{Enum, Object};

use super::error::Error;
use super::model::RateLimit;
use crate::base::{ApiKeyId, TenantId, Timestamp, UserId};
use crate::http::Fault;
use crate::http::log::Allowance;
use crate::kv::Kv;

/// What the limit is called that has no name.
const UNNAMED: &str = "key";
const FORM: &str = "must be 1 to 40 characters of `a-z`, `0-9`, `-` and `_`, the first of them a letter";
const NAME_CHARS_MAX: usize = 40;

/// Which calls a limit counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Enum)]
#[oai(rename = "ApiKeyCalls", rename_all = "lowercase")]
pub enum Calls {
    #[default]
    All,
    /// `GET`, `HEAD` and `OPTIONS`.
    Reads,
    /// All others.
    Writes,
}

/// A limit with a name, beside others.
#[derive(Clone, Debug, PartialEq, Eq, Object)]
#[oai(rename = "ApiKeyNamedRateLimit", example, rename_all = "camelCase", deny_unknown_fields)]
pub struct NamedLimit {
    /// 1 to 40 characters of `a-z`, `0-9`, `-` and `_`, the first of them a letter; not `key`, which is `rateLimit`.
    #[oai(validator(max_length = 40))]
    pub name: String,
    #[oai(validator(minimum(value = "1"), maximum(value = "1000000")))]
    pub limit: u32,
    /// In so many seconds.
    #[oai(validator(minimum(value = "1"), maximum(value = "2678400")))]
    pub window_secs: u32,
    #[oai(default)]
    pub calls: Calls,
    /// Whether the keys of one owner share it: their calls are counted together under its name.
    #[oai(default)]
    pub shared: bool,
}

impl Example for NamedLimit {
    fn example() -> Self {
        Self { name: "burst".to_owned(), limit: 20, window_secs: 1, calls: Calls::All, shared: false }
    }
}

/// Limits as they are kept.
pub(super) fn written(limits: &[NamedLimit]) -> String {
    limits.to_vec().to_json_string()
}

/// What cannot be read is none.
pub(super) fn read(text: &str) -> Vec<NamedLimit> {
    Vec::parse_from_json_string(text).unwrap_or_default()
}

/// Says what is wrong with limits that somebody sent.
pub(super) fn check(limits: &[NamedLimit], has_owner: bool, faults: &mut Vec<Fault>) {
    let mut names = HashSet::new();
    for (index, limit) in limits.iter().enumerate() {
        let mut fault = |member: &str, code, detail: &str| {
            faults.push(Fault::new(format!("/rateLimits/{index}/{member}"), code, detail.to_owned()));
        };
        let is_inner = |it: u8| it.is_ascii_lowercase() || it.is_ascii_digit() || it == b'_' || it == b'-';
        let is_sound = (1..=NAME_CHARS_MAX).contains(&limit.name.len())
            && limit.name.bytes().all(is_inner)
            && limit.name.starts_with(|it: char| it.is_ascii_lowercase());
        if !is_sound {
            fault("name", "pattern", FORM);
        } else if limit.name == UNNAMED {
            fault("name", "reserved", "is what `rateLimit` is called");
        } else if !names.insert(&limit.name) {
            fault("name", "duplicate", "is the name of a limit before");
        }
        if limit.shared && !has_owner {
            fault("shared", "not-allowed", "is for keys with an owner alone");
        }
    }
}

/// Whose calls are counted, and which sort they are; `None` counts for each.
#[derive(Clone, Copy, Debug)]
pub(super) struct Called<'a> {
    pub tenant: &'a TenantId,
    pub key: ApiKeyId,
    pub owner: Option<UserId>,
    pub is_read: Option<bool>,
}

/// All limits of a key, those that begin anew the soonest first. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Limits(Arc<[(Arc<str>, NamedLimit)]>);

impl Limits {
    pub(super) fn of(unnamed: Option<RateLimit>, named: &[NamedLimit]) -> Self {
        let unnamed = unnamed.map(|RateLimit { limit, window_secs }| {
            let name = UNNAMED.to_owned();
            NamedLimit { name, limit, window_secs, calls: Calls::All, shared: false }
        });
        let mut all: Vec<_> = unnamed.into_iter().chain(named.iter().cloned()).collect();
        all.sort_by_key(|it| it.window_secs);
        Self(all.into_iter().map(|it| (it.name.as_str().into(), it)).collect())
    }

    /// Counts a call, and refuses it beyond a limit. It is counted first, so that fifty at once do not all see a free
    /// place; what one limit refuses, the others do not count.
    pub(super) fn count(&self, kv: &Kv, called: Called<'_>, now: Timestamp) -> Result<Vec<Allowance>, Error> {
        let (mut allowances, mut places) = (Vec::new(), Vec::new());
        for (name, limit) in self.0.iter().filter(|(_, it)| it.is_about(called.is_read)) {
            let place = limit.place(called);
            let counted = kv.count_up(&place, Duration::from_secs(limit.window_secs.into()), now);
            let wait = now.until(counted.resets_at);
            allowances.push(Allowance {
                name: Arc::clone(name),
                limit: limit.limit,
                left: limit.limit.saturating_sub(counted.count),
                window_secs: limit.window_secs.into(),
                resets_in_secs: wait.as_secs() + u64::from(0 < wait.subsec_nanos()),
            });
            if limit.limit < counted.count {
                // The others did not let it through.
                places.iter().for_each(|it: &String| kv.count_down(it));
                return Err(Error::LimitSpent { allowances });
            }
            places.push(place);
        }
        Ok(allowances)
    }
}

impl NamedLimit {
    fn is_about(&self, is_read: Option<bool>) -> bool {
        match self.calls {
            Calls::All => true,
            Calls::Reads => is_read != Some(false),
            Calls::Writes => is_read != Some(true),
        }
    }

    /// Where it is counted. Another window begins anew, and is not shared with this one.
    fn place(&self, called: Called<'_>) -> String {
        let (tenant, name, window) = (called.tenant, &self.name, self.window_secs);
        match called.owner.filter(|_| self.shared) {
            Some(owner) => format!("key-owner/{tenant}/{owner}/{name}/{window}"),
            None => format!("key/{tenant}/{}/{name}/{window}", called.key),
        }
    }
}
