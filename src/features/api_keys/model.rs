//! The things: keys, and what is sent to make or change them.
use ipnet::IpNet;
use poem_openapi::types::{Any, Example, MaybeUndefined};
use poem_openapi::{Enum, Object};
use serde_json::{Value, json};

use super::credits::{Credits, NewCredits};
use super::limits::NamedLimit;
use crate::base::{ApiKeyId, Timestamp, UserId};
use crate::features::accounts::Confirmation;
use crate::http::paging::ListMeta;
use crate::http::{Permission, Permissions};

pub const KEYS_READ: Permission = Permission("keys:read");
pub const KEYS_WRITE: Permission = Permission("keys:write");

/// Whether a key works, and why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename = "ApiKeyState", rename_all = "lowercase")]
pub enum State {
    Active,
    Disabled,
    Expired,
    /// It has no credits left.
    Exhausted,
    Revoked,
}

/// How often a key may call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Object)]
#[oai(rename = "ApiKeyRateLimit", example, rename_all = "camelCase", deny_unknown_fields)]
pub struct RateLimit {
    #[oai(validator(minimum(value = "1"), maximum(value = "1000000")))]
    pub limit: u32,
    /// In so many seconds.
    #[oai(validator(minimum(value = "1"), maximum(value = "2678400")))]
    pub window_secs: u32,
}

impl Example for RateLimit {
    fn example() -> Self {
        Self { limit: 1_000, window_secs: 60 }
    }
}

/// A key as the server remembers it: everything but the secret.
#[derive(Clone, Debug, Object)]
#[oai(example, rename_all = "camelCase", skip_serializing_if_is_none)]
pub struct ApiKey {
    pub id: ApiKeyId,
    pub name: String,
    /// May be empty.
    pub description: String,
    /// Beginning and end of the secret, to tell keys apart.
    pub hint: String,
    pub state: State,
    /// What it lets a program try, as far as its owner may; one vocabulary with roles.
    pub scopes: Vec<String>,
    /// On whose behalf it calls: rules know it as `auth.id`. Absent: nobody's.
    pub owner: Option<UserId>,
    /// The id of an account, `operator`, or `key:` and the id of a key.
    pub created_by: String,
    /// Addresses and networks that it works from. Empty: from anywhere.
    pub allowed_ips: Vec<String>,
    /// What rules know as `auth.tier`. Absent: that of its owner.
    pub tier: Option<String>,
    /// Absent: none of its own.
    pub rate_limit: Option<RateLimit>,
    /// Limits with a name, which count beside `rateLimit`.
    pub rate_limits: Vec<NamedLimit>,
    /// How many calls it has left. Absent: they are not counted.
    pub credits: Option<Credits>,
    /// What its makers keep with it; nothing is done with it.
    pub metadata: Any<Value>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// Absent: never.
    pub expires_at: Option<Timestamp>,
    /// When it last got another secret.
    pub rotated_at: Option<Timestamp>,
    /// Until when the secret before works too.
    pub old_secret_until: Option<Timestamp>,
    /// Written every few seconds.
    pub last_used_at: Option<Timestamp>,
    pub revoked_at: Option<Timestamp>,
    // Counts changes, for the ETag.
    #[oai(skip)]
    pub version: i64,
    #[oai(skip)]
    pub disabled_at: Option<Timestamp>,
    // When its credits were filled up, or given.
    #[oai(skip)]
    pub refilled_at: Option<Timestamp>,
    // Counts how often it was given credits.
    #[oai(skip)]
    pub credits_grant: i64,
}

impl ApiKey {
    /// What its scopes let it try. What cannot be read lets it do nothing.
    pub fn granted(&self) -> Permissions {
        Permissions::read(self.scopes.iter().map(String::as_str)).unwrap_or_else(|_| Permissions::none())
    }

    pub fn networks(&self) -> Vec<IpNet> {
        self.allowed_ips.iter().filter_map(|it| it.parse().ok()).collect()
    }

    pub fn state_at(&self, now: Timestamp) -> State {
        match self {
            Self { revoked_at: Some(_), .. } => State::Revoked,
            Self { expires_at: Some(at), .. } if *at <= now => State::Expired,
            Self { disabled_at: Some(_), .. } => State::Disabled,
            Self { credits: Some(Credits { remaining: 0, .. }), .. } => State::Exhausted,
            _ => State::Active,
        }
    }

    /// The same with what depends on the time.
    pub fn at(mut self, now: Timestamp) -> Self {
        self.old_secret_until = self.old_secret_until.filter(|it| now < *it);
        let refilled_at = self.refilled_at.unwrap_or(self.created_at);
        self.credits = self.credits.map(|it| it.at(refilled_at, now));
        self.state = self.state_at(now);
        self
    }

    /// Whether anything but its scopes bounds it.
    pub fn is_bounded(&self) -> bool {
        self.expires_at.is_some()
            || !self.allowed_ips.is_empty()
            || self.rate_limit.is_some()
            || !self.rate_limits.is_empty()
            || self.credits.is_some()
    }
}

impl Example for ApiKey {
    fn example() -> Self {
        let NewApiKey { name, description, scopes, allowed_ips, rate_limit, rate_limits, metadata, .. } =
            NewApiKey::example();
        let at = Timestamp::example();
        Self {
            id: ApiKeyId::example(),
            name,
            description: description.unwrap_or_default(),
            hint: "sk_live_…4xKq".to_owned(),
            state: State::Active,
            scopes,
            owner: Some(UserId::example()),
            created_by: "operator".to_owned(),
            allowed_ips: allowed_ips.unwrap_or_default(),
            tier: None,
            rate_limit,
            rate_limits: rate_limits.unwrap_or_default(),
            credits: Some(Credits::example()),
            metadata: metadata.unwrap_or_else(|| Any(json!({}))),
            created_at: at,
            updated_at: at,
            expires_at: Some(at),
            rotated_at: None,
            old_secret_until: None,
            last_used_at: Some(at),
            revoked_at: None,
            version: 1,
            disabled_at: None,
            refilled_at: None,
            credits_grant: 1,
        }
    }
}

/// What someone sends to make a key.
#[derive(Clone, Debug, Object)]
#[oai(example, rename_all = "camelCase", deny_unknown_fields)]
pub struct NewApiKey {
    #[oai(validator(min_length = 1, max_length = 80))]
    pub name: String,
    #[oai(validator(max_length = 500))]
    pub description: Option<String>,
    /// What it lets a program try: `records:read`, `records/posts:write`; no more than its maker may.
    #[oai(validator(min_items = 1, max_items = 200))]
    pub scopes: Vec<String>,
    /// Absent: never.
    pub expires_at: Option<Timestamp>,
    /// How often it may call. Absent: as often as anyone.
    pub rate_limit: Option<RateLimit>,
    /// More limits, each with a name.
    #[oai(validator(max_items = 8))]
    pub rate_limits: Option<Vec<NamedLimit>>,
    /// How many calls it has. Absent: they are not counted.
    pub credits: Option<NewCredits>,
    /// Addresses and networks that it works from. Absent: from anywhere.
    #[oai(validator(max_items = 50))]
    pub allowed_ips: Option<Vec<String>>,
    /// An object of up to 4 KiB, for its makers.
    pub metadata: Option<Any<Value>>,
    /// The account on whose behalf it calls; its maker may as much as that. Absent: nobody's.
    pub owner: Option<UserId>,
    /// A word of up to 40 characters of `a-z`, `0-9`, `-` and `_`; rules know it as `auth.tier`.
    #[oai(validator(pattern = "^[a-z0-9][a-z0-9_-]{0,39}$"))]
    pub tier: Option<String>,
}

impl Example for NewApiKey {
    fn example() -> Self {
        Self {
            name: "Nightly import".to_owned(),
            description: Some("Runs on the build server.".to_owned()),
            scopes: vec!["records/posts:write".to_owned()],
            expires_at: None,
            rate_limit: Some(RateLimit::example()),
            rate_limits: Some(vec![NamedLimit::example()]),
            credits: Some(NewCredits::example()),
            allowed_ips: Some(vec!["203.0.113.0/24".to_owned()]),
            metadata: Some(Any(json!({ "team": "content" }))),
            owner: None,
            tier: None,
        }
    }
}

/// What someone sends to make a key of their own, with `password`, or with `code` where a second factor is on.
#[derive(Clone, Object)]
#[oai(example, rename_all = "camelCase", deny_unknown_fields)]
pub struct NewOwnKey {
    #[oai(validator(min_length = 1, max_length = 80))]
    pub name: String,
    #[oai(validator(max_length = 500))]
    pub description: Option<String>,
    /// What it lets a program try; no more than its maker may.
    #[oai(validator(min_items = 1, max_items = 200))]
    pub scopes: Vec<String>,
    /// Absent: never.
    pub expires_at: Option<Timestamp>,
    /// How often it may call. Absent: as often as anyone.
    pub rate_limit: Option<RateLimit>,
    /// More limits, each with a name.
    #[oai(validator(max_items = 8))]
    pub rate_limits: Option<Vec<NamedLimit>>,
    /// How many calls it has. Absent: they are not counted.
    pub credits: Option<NewCredits>,
    /// Addresses and networks that it works from. Absent: from anywhere.
    #[oai(validator(max_items = 50))]
    pub allowed_ips: Option<Vec<String>>,
    /// An object of up to 4 KiB, for its maker.
    pub metadata: Option<Any<Value>>,
    #[oai(validator(min_length = 1, max_length = 1024))]
    pub password: Option<String>,
    /// Six digits of the app, or a recovery code.
    #[oai(validator(min_length = 1, max_length = 32))]
    pub code: Option<String>,
}

impl NewOwnKey {
    /// The key, and what its maker shows to have it.
    pub fn of(self, owner: UserId) -> (NewApiKey, Confirmation) {
        let key = NewApiKey {
            name: self.name,
            description: self.description,
            scopes: self.scopes,
            expires_at: self.expires_at,
            rate_limit: self.rate_limit,
            rate_limits: self.rate_limits,
            credits: self.credits,
            allowed_ips: self.allowed_ips,
            metadata: self.metadata,
            owner: Some(owner),
            tier: None,
        };
        (key, Confirmation { password: self.password, code: self.code })
    }
}

impl Example for NewOwnKey {
    fn example() -> Self {
        let NewApiKey { name, description, .. } = NewApiKey::example();
        let scopes = vec!["records:read".to_owned()];
        Self {
            name,
            description,
            scopes,
            expires_at: None,
            rate_limit: None,
            rate_limits: None,
            credits: None,
            allowed_ips: None,
            metadata: None,
            password: Some("correct horse battery staple".to_owned()),
            code: None,
        }
    }
}

/// What someone sends to change a key. What is absent stays.
#[derive(Clone, Debug, Object)]
#[oai(example, rename_all = "camelCase", deny_unknown_fields)]
pub struct ApiKeyPatch {
    #[oai(validator(min_length = 1, max_length = 80))]
    pub name: Option<String>,
    #[oai(validator(max_length = 500))]
    pub description: Option<String>,
    /// A key that is disabled does not work until it is enabled again.
    pub disabled: Option<bool>,
    /// `null`: never.
    pub expires_at: MaybeUndefined<Timestamp>,
    /// `null`: none of its own.
    pub rate_limit: MaybeUndefined<RateLimit>,
    /// All of them.
    #[oai(validator(max_items = 8))]
    pub rate_limits: Option<Vec<NamedLimit>>,
    /// `null`: its calls are not counted any more.
    pub credits: MaybeUndefined<NewCredits>,
    #[oai(validator(max_items = 50))]
    pub allowed_ips: Option<Vec<String>>,
    /// All of it, up to 4 KiB.
    pub metadata: Option<Any<Value>>,
    /// `null`: that of its owner.
    #[oai(validator(pattern = "^[a-z0-9][a-z0-9_-]{0,39}$"))]
    pub tier: MaybeUndefined<String>,
}

impl Example for ApiKeyPatch {
    fn example() -> Self {
        Self {
            name: Some("Nightly import".to_owned()),
            description: None,
            disabled: Some(false),
            expires_at: MaybeUndefined::Undefined,
            rate_limit: MaybeUndefined::Value(RateLimit::example()),
            rate_limits: None,
            credits: MaybeUndefined::Undefined,
            allowed_ips: None,
            metadata: None,
            tier: MaybeUndefined::Undefined,
        }
    }
}

/// What someone sends to change what a key lets a program try.
#[derive(Clone, Debug, Object)]
#[oai(example, rename_all = "camelCase", deny_unknown_fields)]
pub struct ScopeChange {
    /// All of them; no more than who changes them may.
    #[oai(validator(min_items = 1, max_items = 200))]
    pub scopes: Vec<String>,
}

impl Example for ScopeChange {
    fn example() -> Self {
        Self { scopes: NewApiKey::example().scopes }
    }
}

/// What someone sends to give a key another secret.
#[derive(Clone, Copy, Debug, Object)]
#[oai(example, rename_all = "camelCase", deny_unknown_fields)]
pub struct Rotation {
    /// For so many seconds the secret before works too, though never beyond the key's own end. Absent: 0.
    #[oai(validator(maximum(value = "604800")))]
    pub grace_secs: Option<u32>,
}

impl Example for Rotation {
    fn example() -> Self {
        Self { grace_secs: Some(3_600) }
    }
}

/// What someone sends to give a key of their own another secret: `password`, or `code` where a second factor is on.
#[derive(Clone, Object)]
#[oai(example, rename_all = "camelCase", deny_unknown_fields)]
pub struct OwnRotation {
    /// For so many seconds the secret before works too, though never beyond the key's own end. Absent: 0.
    #[oai(validator(maximum(value = "604800")))]
    pub grace_secs: Option<u32>,
    #[oai(validator(min_length = 1, max_length = 1024))]
    pub password: Option<String>,
    /// Six digits of the app, or a recovery code.
    #[oai(validator(min_length = 1, max_length = 32))]
    pub code: Option<String>,
}

impl Example for OwnRotation {
    fn example() -> Self {
        Self { grace_secs: Some(3_600), password: Some("correct horse battery staple".to_owned()), code: None }
    }
}

/// A key with its secret.
#[derive(Clone, Object)]
#[oai(example, rename_all = "camelCase")]
pub struct ShownApiKey {
    pub key: ApiKey,
    /// Shown this once.
    pub secret: String,
}

impl Example for ShownApiKey {
    fn example() -> Self {
        let secret = "sk_live_0b7Qm2T5yV9cXw4Zr8Kp1Ls6Nd3Ft0Gh7Jk2Mv5Bq9D0aB3xZ".to_owned();
        Self { key: ApiKey::example(), secret }
    }
}

/// A page of keys.
#[derive(Debug, Object)]
#[oai(example)]
pub struct ApiKeyList {
    pub data: Vec<ApiKey>,
    pub meta: ListMeta,
}

impl Example for ApiKeyList {
    fn example() -> Self {
        Self { data: vec![ApiKey::example()], meta: ListMeta::example() }
    }
}

/// All of someone's own keys.
#[derive(Debug, Object)]
#[oai(example)]
pub struct OwnKeyList {
    pub data: Vec<ApiKey>,
}

impl Example for OwnKeyList {
    fn example() -> Self {
        Self { data: vec![ApiKey::example()] }
    }
}

/// How often a key called an operation on one day.
#[derive(Clone, Debug, PartialEq, Eq, Object)]
#[oai(rename = "ApiKeyUsage", example, rename_all = "camelCase")]
pub struct Used {
    /// UTC, as `2026-01-02`.
    pub day: String,
    /// Its id, as this document has it.
    pub operation: String,
    pub calls: u64,
    /// Of these, how many were refused: answered with 4xx.
    pub refused: u64,
}

impl Example for Used {
    fn example() -> Self {
        Self { day: "2026-01-02".to_owned(), operation: "list_records".to_owned(), calls: 120, refused: 3 }
    }
}

/// What a key was used for.
#[derive(Debug, Object)]
#[oai(rename = "ApiKeyUsageReport", example, rename_all = "camelCase")]
pub struct UsageReport {
    /// Of the days asked for.
    pub calls: u64,
    pub refused: u64,
    #[oai(skip_serializing_if_is_none)]
    pub last_used_at: Option<Timestamp>,
    /// By day and operation, the newest day first.
    pub data: Vec<Used>,
}

impl Example for UsageReport {
    fn example() -> Self {
        let used = Used::example();
        Self { calls: used.calls, refused: used.refused, last_used_at: Some(Timestamp::example()), data: vec![used] }
    }
}
