//! The endpoints of jobs.
use poem::Request;
use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, OpenApi};

use super::model::{JOBS_READ, JOBS_WRITE, Job, JobCount, JobCounts, JobList};
use super::terms::{HAS_ENDED, STILL_RUNS};
use crate::base::{Clock, JobId};
use crate::db::{self, Db, Tx};
use crate::features::audit::{Action, Entry, Trail};
use crate::http::openapi::Tag;
use crate::http::paging::{Cursors, ListPlace, Listed, Paging};
use crate::http::problem::Fault;
use crate::http::query::{NoQuery, must_be_among};
use crate::http::{Caller, Problem};
use crate::work::queue::{self, Queue, Sought, State};

const JOBS: &str = "/api/v1/admin/jobs";

/// The endpoints of jobs, with what they need.
#[derive(Clone, Debug)]
pub struct JobsApi {
    pub db: Db,
    pub clock: Clock,
    pub queue: Queue,
    pub cursors: Cursors,
}

#[derive(ApiResponse)]
enum Jobs {
    /// A page of jobs.
    #[oai(status = 200)]
    Page(Json<JobList>, #[oai(header = "Link")] Option<String>),
}

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Jobs")]
impl JobsApi {
    /// List jobs
    ///
    /// The newest first. Those that ended stay for a week.
    #[oai(path = "/admin/jobs", method = "get", operation_id = "list_jobs")]
    #[expect(clippy::too_many_arguments, reason = "each stands in the document")]
    async fn list(
        &self,
        caller: Caller,
        /// Only those in this state: `waiting`, `running`, `done`, `failed` or `cancelled`.
        state: Query<Option<String>>,
        /// Only those of this kind.
        kind: Query<Option<String>>,
        /// Most jobs on a page: 1 to 500, or 30 if absent.
        limit: Query<Option<u64>>,
        /// `meta.nextCursor` of the page before.
        cursor: Query<Option<String>>,
        /// The number of a page, from 1; not beside `cursor`.
        page: Query<Option<u64>>,
        /// `exact` to get `meta.total`.
        count: Query<Option<String>>,
        request: &Request,
    ) -> Result<Jobs, Problem> {
        caller.must(JOBS_READ)?;

        must_be_among(request, &["state", "kind", "limit", "cursor", "page", "count"])?;
        let given = [("state", state.0.as_deref()), ("kind", kind.0.as_deref())];
        let query = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(given.iter().filter_map(|(name, value)| Some((name, (*value)?))))
            .finish();
        let state = state.0.as_deref().map(read_state).transpose()?;
        let sought = Sought { state, kind: kind.0 };
        let scope = format!("jobs {} {query}", caller.tenant());
        let asked = Paging { limit: limit.0, cursor: cursor.0, page: page.0, count: count.0, ..Paging::default() };
        let page = asked.check(&self.cursors, &scope)?;
        let before = page.after.as_deref().and_then(|it| it.parse().ok());
        let (skip, wanted, with_total) = (page.skip, page.wanted(), page.with_total);

        let read = self
            .db
            .read(caller.tenant(), move |tx| {
                let found = queue::list(tx, &sought, before, skip, wanted)?;
                let total = if with_total { Some(queue::count(tx, &sought)?) } else { None };
                Ok::<_, db::Error>((found.into_iter().map(Job::from).collect::<Vec<_>>(), total))
            })
            .await?;

        let place = ListPlace { path: JOBS, query: &query, scope: &scope };
        let Listed { data, meta, link } = page.listed(&place, &self.cursors, read, |it| it.id.to_string());
        Ok(Jobs::Page(Json(JobList { data, meta }), link))
    }

    /// Count jobs
    ///
    /// How many of each kind are in each state.
    #[oai(path = "/admin/jobs/counts", method = "get", operation_id = "count_jobs")]
    async fn count(&self, caller: Caller, _query: NoQuery) -> Result<Json<JobCounts>, Problem> {
        caller.must(JOBS_READ)?;

        let counted = self.db.read(caller.tenant(), queue::summary).await?;

        Ok(Json(JobCounts { data: counted.into_iter().map(JobCount::from).collect() }))
    }

    /// Read a job
    #[oai(path = "/admin/jobs/:id", method = "get", operation_id = "show_job")]
    async fn show(&self, caller: Caller, _query: NoQuery, id: Path<String>) -> Result<Json<Job>, Problem> {
        caller.must(JOBS_READ)?;

        let id = read_id(&id)?;
        let found = self.db.read(caller.tenant(), move |tx| queue::find(tx, id)).await?;

        Ok(Json(found.ok_or_else(Problem::not_found)?.into()))
    }

    /// Do a job again
    ///
    /// One that failed or was cancelled, or at once one that waits for its next attempt.
    #[oai(path = "/admin/jobs/:id/retry", method = "post", operation_id = "retry_job")]
    async fn retry(
        &self,
        caller: Caller,
        _query: NoQuery,
        id: Path<String>,
        trail: Trail,
    ) -> Result<Json<Job>, Problem> {
        caller.must(JOBS_WRITE)?;

        let (id, now) = (read_id(&id)?, self.clock.now());
        // One that was cancelled a moment ago may not have noticed yet.
        let may_begin = !self.queue.is_running(id);
        let actor = trail.of(&caller);
        let retry = move |tx: &mut Tx<'_>| {
            let begun = may_begin && queue::retry(tx, id, now)?;
            if begun {
                actor.append(tx, now, &Entry::new(Action::JobRetry).about("job", &id))?;
            }
            Ok::<_, db::Error>((begun, queue::find(tx, id)?))
        };
        let (begun, job) = self.db.write(caller.tenant(), retry).await?;

        let job = job.ok_or_else(Problem::not_found)?;
        if begun {
            return Ok(Json(job.into()));
        }
        Err(Problem::new(&STILL_RUNS, "only a job that waits, failed or was cancelled can be done again"))
    }

    /// Cancel a job
    ///
    /// One that runs is told so, and ends at its next step.
    #[oai(path = "/admin/jobs/:id/cancel", method = "post", operation_id = "cancel_job")]
    async fn cancel(
        &self,
        caller: Caller,
        _query: NoQuery,
        id: Path<String>,
        trail: Trail,
    ) -> Result<Json<Job>, Problem> {
        caller.must(JOBS_WRITE)?;

        let (id, now) = (read_id(&id)?, self.clock.now());
        let actor = trail.of(&caller);
        let cancel = move |tx: &mut Tx<'_>| {
            let ended = queue::cancel(tx, id, now)?;
            if ended {
                actor.append(tx, now, &Entry::new(Action::JobCancel).about("job", &id))?;
            }
            Ok::<_, db::Error>((ended, queue::find(tx, id)?))
        };
        let (ended, job) = self.db.free(caller.tenant(), cancel).await?;

        let job = job.ok_or_else(Problem::not_found)?;
        if ended {
            self.queue.give_up(id);
            return Ok(Json(job.into()));
        }
        Err(Problem::new(&HAS_ENDED, "only a job that waits or runs can be cancelled"))
    }
}

/// What is no id is the id of nothing.
fn read_id(id: &Path<String>) -> Result<JobId, Problem> {
    id.0.parse().map_err(|_| Problem::not_found())
}

fn read_state(text: &str) -> Result<State, Problem> {
    State::named(text).ok_or_else(|| {
        let names = State::ALL.map(|it| format!("`{}`", it.name())).join(", ");
        Problem::invalid(vec![Fault::new("?state", "not-one-of", format!("must be one of {names}"))])
    })
}
