//! On what terms the endpoints of the audit trail answer, beside what their signatures say.
use super::model::AUDIT_READ;
use crate::http::openapi::{Terms, Who};
use crate::http::problem::BUSY;

const READERS: Who = Who::Holders(AUDIT_READ);

pub const TERMS: &[Terms] = &[
    Terms { operation: "list_audit_entries", who: READERS, problems: &[] },
    Terms { operation: "show_audit_entry", who: READERS, problems: &[] },
    Terms { operation: "show_audit_head", who: READERS, problems: &[] },
    Terms { operation: "export_audit", who: READERS, problems: &[&BUSY] },
    Terms { operation: "verify_audit", who: READERS, problems: &[&BUSY] },
];
