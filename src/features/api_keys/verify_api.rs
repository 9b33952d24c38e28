//! Verifying keys for other programs: a service of one's own that takes keys has them judged here.
use std::net::IpAddr;

use poem_openapi::payload::Json;
use poem_openapi::types::Example;
use poem_openapi::{Enum, Object, OpenApi};

use super::credits::Credits;
use super::error::Error;
use super::gate::{LetIn, Shows};
use super::keeping::Keeping;
use super::model::{ApiKey, KEYS_READ};
use super::store;
use crate::base::Timestamp;
use crate::features::roles;
use crate::http::openapi::Tag;
use crate::http::query::NoQuery;
use crate::http::{Caller, ClientAddress, Fault, Input, Problem};

/// As what it counts in the usage of a key.
const OPERATION: &str = "verify_api_key";

/// The endpoint that verifies keys, with what it needs.
#[derive(Clone, Debug)]
pub struct VerifyApi {
    pub keeping: Keeping,
}

/// What someone sends to have a key judged.
#[derive(Clone, Object)]
#[oai(rename = "ApiKeyToVerify", example, rename_all = "camelCase", deny_unknown_fields)]
struct ToVerify {
    /// The secret of the key, as it came.
    #[oai(validator(min_length = 1, max_length = 200))]
    secret: String,
    /// What the key has to let a program try, such as `records/posts:read`. Absent: anything.
    #[oai(validator(max_items = 20))]
    permissions: Option<Vec<String>>,
    /// From where the request came that had it. Absent: not asked.
    address: Option<String>,
    /// Whether the request reads alone. Absent: the limits for reads and those for writes both count.
    reads: Option<bool>,
    /// How many credits it costs; 1, if absent.
    #[oai(validator(maximum(value = "1000000")))]
    cost: Option<u64>,
}

impl Example for ToVerify {
    fn example() -> Self {
        Self {
            secret: "sk_live_0b7Qm2T5yV9cXw4Zr8Kp1Ls6Nd3Ft0Gh7Jk2Mv5Bq9D0aB3xZ".to_owned(),
            permissions: Some(vec!["records/posts:read".to_owned()]),
            address: Some("203.0.113.7".to_owned()),
            reads: Some(true),
            cost: None,
        }
    }
}

/// How a key was judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename = "ApiKeyVerdict", rename_all = "kebab-case")]
enum Verdict {
    Valid,
    /// It was mistyped, never made, rotated or revoked.
    NotFound,
    /// It, or the account that it belongs to.
    Disabled,
    Expired,
    /// It is not for that address.
    AddressRefused,
    InsufficientPermissions,
    /// It has too few credits left.
    Exhausted,
    RateLimited,
}

/// What is left of a limit of a key.
#[derive(Clone, Debug, Object)]
#[oai(rename = "ApiKeyAllowance", example, rename_all = "camelCase")]
struct Allowance {
    /// `key` is `rateLimit`.
    name: String,
    limit: u32,
    remaining: u32,
    resets_in_secs: u64,
}

impl From<crate::http::log::Allowance> for Allowance {
    fn from(it: crate::http::log::Allowance) -> Self {
        let (remaining, resets_in_secs) = (it.left, it.resets_in_secs);
        Self { name: it.name.to_string(), limit: it.limit, remaining, resets_in_secs }
    }
}

impl Example for Allowance {
    fn example() -> Self {
        Self { name: "key".to_owned(), limit: 1_000, remaining: 998, resets_in_secs: 41 }
    }
}

/// A key, judged.
#[derive(Clone, Debug, Object)]
#[oai(rename = "VerifiedApiKey", example, rename_all = "camelCase", skip_serializing_if_is_none)]
struct Verified {
    valid: bool,
    verdict: Verdict,
    /// Why, in words for whoever sent the key.
    detail: String,
    /// The key; only if it is valid.
    key: Option<ApiKey>,
    /// What is left of those of its limits that were asked.
    rate_limits: Vec<Allowance>,
    /// How many calls it has left; absent if they are not counted.
    credits: Option<Credits>,
    /// After how many seconds it is worth trying again.
    retry_after_secs: Option<u64>,
}

impl Example for Verified {
    fn example() -> Self {
        Self {
            valid: true,
            verdict: Verdict::Valid,
            detail: "it works".to_owned(),
            key: Some(ApiKey::example()),
            rate_limits: vec![Allowance::example()],
            credits: Some(Credits::example()),
            retry_after_secs: None,
        }
    }
}

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Keys")]
impl VerifyApi {
    /// Verify a key
    ///
    /// For a service of your own that takes these keys: it says whether one works, and counts the call against its limits
    /// and its credits as if it had come here. A key that is refused costs nothing. The answer is 200 whether it works or
    /// not.
    #[oai(path = "/admin/keys/verify", method = "post", operation_id = "verify_api_key")]
    async fn verify(&self, caller: Caller, _query: NoQuery, body: Input<ToVerify>) -> Result<Json<Verified>, Problem> {
        caller.must(KEYS_READ)?;

        let ToVerify { secret, permissions, address, reads, cost } = body.read()?;
        let mut faults = Vec::new();
        let wanted = roles::read_permissions(&permissions.unwrap_or_default(), "/permissions");
        let wanted = wanted.map_err(|found| faults.extend(found)).ok();
        let address = address.map(|it| it.parse::<IpAddr>()).transpose();
        let address = address.map_err(|_| faults.push(Fault::new("/address", "format", "is an address"))).ok();
        let (Some(wanted), Some(address)) = (wanted, address) else { return Err(Problem::invalid(faults)) };
        let address = address.map(|it| ClientAddress(Some(it)));
        let shows = Shows { secret: &secret, address, is_read: reads, cost: cost.unwrap_or(1) };
        let must = |holder: &Caller| roles::must_hold(holder, &wanted).map_err(Error::Role);

        let verified = match self.keeping.gate.let_in(caller.tenant(), shows, must).await {
            Ok(let_in) => self.valid(&caller, let_in).await?,
            Err(why) => refused(why, self.keeping.clock.now())?,
        };

        Ok(Json(verified))
    }
}

impl VerifyApi {
    async fn valid(&self, caller: &Caller, let_in: LetIn) -> Result<Verified, Error> {
        let LetIn { key: id, allowances, credits, .. } = let_in;
        self.keeping.usage.note(id, OPERATION, false, self.keeping.clock.now());
        let found = self.keeping.db.get(caller.tenant(), move |tx| store::find(tx, id)).await?;
        let key = found.map(|it| self.keeping.shown(it, self.keeping.clock.now()));
        let rate_limits = allowances.into_iter().map(Allowance::from).collect();
        let detail = "it works".to_owned();
        Ok(Verified { valid: true, verdict: Verdict::Valid, detail, key, rate_limits, credits, retry_after_secs: None })
    }
}

/// A refusal as an answer; what is no judgement stays an error.
fn refused(why: Error, now: Timestamp) -> Result<Verified, Error> {
    let detail = why.to_string();
    let mut verified = Verified {
        valid: false,
        verdict: Verdict::NotFound,
        detail,
        key: None,
        rate_limits: Vec::new(),
        credits: None,
        retry_after_secs: None,
    };
    verified.verdict = match why {
        Error::Mistyped | Error::Unknown => Verdict::NotFound,
        Error::Disabled => Verdict::Disabled,
        Error::Expired => Verdict::Expired,
        Error::Elsewhere => Verdict::AddressRefused,
        Error::Role(roles::Error::NotHeld { missing }) => {
            verified.detail = format!("it does not have {missing}");
            Verdict::InsufficientPermissions
        }
        Error::Exhausted { refills_at } => {
            let wait = refills_at.map(|it| now.until(it));
            verified.retry_after_secs = wait.map(|it| it.as_secs() + u64::from(0 < it.subsec_nanos()));
            Verdict::Exhausted
        }
        Error::LimitSpent { allowances } => {
            verified.retry_after_secs = allowances.last().map(|it| it.resets_in_secs);
            verified.rate_limits = allowances.into_iter().map(Allowance::from).collect();
            Verdict::RateLimited
        }
        other => return Err(other),
    };
    Ok(verified)
}
