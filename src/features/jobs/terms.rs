//! On what terms the endpoints of jobs answer, beside what their signatures say.
use super::model::{JOBS_READ, JOBS_WRITE};
use crate::http::openapi::{Terms, Who};
use crate::http::problem::Kind;

pub(super) const HAS_ENDED: Kind = Kind { status: 409, code: "job-has-ended", title: "The job has ended" };
pub(super) const STILL_RUNS: Kind = Kind { status: 409, code: "job-still-runs", title: "The job runs, or is done" };

/// Problems only this feature reports; the catalogue page lists them.
pub const PROBLEMS: &[&Kind] = &[&HAS_ENDED, &STILL_RUNS];

const READERS: Who = Who::Holders(JOBS_READ);
const WRITERS: Who = Who::Holders(JOBS_WRITE);

pub const TERMS: &[Terms] = &[
    Terms { operation: "list_jobs", who: READERS, problems: &[] },
    Terms { operation: "count_jobs", who: READERS, problems: &[] },
    Terms { operation: "show_job", who: READERS, problems: &[] },
    Terms { operation: "retry_job", who: WRITERS, problems: &[&STILL_RUNS] },
    Terms { operation: "cancel_job", who: WRITERS, problems: &[&HAS_ENDED] },
];
