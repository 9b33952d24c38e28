//! On what terms the endpoint answers, beside what its signature says.
use crate::features::roles::ROLES_READ;
use crate::http::openapi::{Terms, Who};
use crate::http::problem::NOT_FOUND;

pub const TERMS: &[Terms] =
    &[Terms { operation: "explain_access", who: Who::Holders(ROLES_READ), problems: &[&NOT_FOUND] }];
