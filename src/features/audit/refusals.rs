//! What was refused, in the trail: within bounds, so that whoever is refused again and again fills neither the trail nor
//! the disk.
use std::time::Duration;

use poem::Response;
use poem_openapi::OperationId;
use serde_json::json;

use super::action::Action;
use super::entry::Entry;
use super::trail::{Actor, Trail};
use crate::base::text::chain;
use crate::base::{Clock, TenantId};
use crate::db::Db;
use crate::http::Caller;
use crate::http::problem::{self, Problem};
use crate::kv::Kv;

/// Entries about refusals of one caller within a minute.
const OF_ONE_MAX: u32 = 5;
const MINUTE: Duration = Duration::from_secs(60);
/// Entries about refusals in all within an hour.
const OF_ALL_MAX: u32 = 1_000;
const HOUR: Duration = Duration::from_secs(3_600);
/// For how long it is counted what was not told.
const DAY: Duration = Duration::from_secs(24 * 3_600);

/// Tells of refusals. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Refusals {
    pub db: Db,
    pub kv: Kv,
    pub clock: Clock,
}

/// What says that somebody tried what they may not.
const TRIED: [&str; 3] = [problem::NOT_ALLOWED.code, problem::IMPERSONATED.code, "permission-not-held"];
/// What is called that is no operation.
const UNKNOWN: &str = "unknown";

impl Refusals {
    /// Tells of a request that was refused since its caller may not what it asked for.
    pub async fn look_at(&self, trail: &Trail, caller: &Caller, answer: &poem::Result<Response>) {
        let (problem, operation) = match answer {
            Ok(response) => (response.data::<Problem>(), response.data::<OperationId>()),
            Err(error) => (error.data::<Problem>(), error.data::<OperationId>()),
        };
        let Some(code) = problem.map(Problem::code).filter(|it| TRIED.contains(it)) else { return };
        let entry = Entry::new(Action::AccessRefuse).about("operation", &operation.map_or(UNKNOWN, |it| it.0));
        self.tell(caller.tenant(), &caller.name(), trail.of(caller), entry.refused(code)).await;
    }

    /// Tells that `who` was refused something. What is beyond the bounds is counted, and the next entry about them says
    /// how much that was.
    pub async fn tell(&self, tenant: &TenantId, who: &str, actor: Actor, entry: Entry) {
        let now = self.clock.now();
        let untold = format!("audit/untold/{tenant}/{who}");
        let is_too_much = OF_ONE_MAX < self.kv.count_up(&format!("audit/refused/{tenant}/{who}"), MINUTE, now).count
            || OF_ALL_MAX < self.kv.count_up(&format!("audit/refused/{tenant}"), HOUR, now).count;
        let counted = self.kv.count_up(&untold, DAY, now).count;
        if is_too_much {
            return;
        }
        self.kv.forget(&untold);
        let entry = if counted <= 1 { entry } else { entry.after(json!({ "notToldBefore": counted - 1 })) };
        // Also when the disk is nearly full: whoever breaks in does not wait for a better time.
        let told = self.db.free(tenant, move |tx| actor.append(tx, now, &entry)).await;
        // What was asked for is refused either way.
        if let Err(cause) = told {
            tracing::error!(cause = %chain(&cause), "a refusal is missing in the audit trail");
        }
    }
}
