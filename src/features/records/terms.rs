//! On what terms the endpoints of records answer, beside what their signatures say.
use super::error::{BATCH_FAILED, IN_USE, PATCH_FAILED, RULE_DENIED, TOO_MANY_MATCH, VALUE_TAKEN};
use crate::features::accounts::{IN_USE as ACCOUNT_IN_USE, RECORDS_ADMIN, RECORDS_READ, RECORDS_WRITE, USERS_ADMIN};
use crate::features::collections::{READ_ONLY, VIEW_BROKEN};
use crate::features::roles::PERMISSION_NOT_HELD;
use crate::http::openapi::{Terms, Who};
use crate::http::problem::INVALID;

pub const TERMS: &[Terms] = &[
    Terms {
        operation: "purge_user",
        who: Who::Holders(USERS_ADMIN),
        problems: &[&ACCOUNT_IN_USE, &PERMISSION_NOT_HELD],
    },
    Terms { operation: "list_records", who: Who::Ruled(RECORDS_READ, "list"), problems: &[&VIEW_BROKEN] },
    Terms {
        operation: "create_record",
        who: Who::Ruled(RECORDS_WRITE, "create"),
        problems: &[&VALUE_TAKEN, &RULE_DENIED, &READ_ONLY],
    },
    Terms { operation: "show_record", who: Who::Ruled(RECORDS_READ, "view"), problems: &[&VIEW_BROKEN] },
    Terms {
        operation: "update_record",
        who: Who::Ruled(RECORDS_WRITE, "update"),
        problems: &[&VALUE_TAKEN, &RULE_DENIED, &PATCH_FAILED, &READ_ONLY],
    },
    Terms {
        operation: "replace_record",
        who: Who::Ruled(RECORDS_WRITE, "update"),
        problems: &[&VALUE_TAKEN, &RULE_DENIED, &READ_ONLY],
    },
    Terms {
        operation: "delete_record",
        who: Who::Ruled(RECORDS_WRITE, "delete"),
        // There is no parameter, and one that is sent is not valid.
        problems: &[&INVALID, &IN_USE, &RULE_DENIED, &READ_ONLY],
    },
    Terms {
        operation: "put_record",
        who: Who::Ruled(RECORDS_WRITE, "update"),
        problems: &[&VALUE_TAKEN, &RULE_DENIED, &READ_ONLY],
    },
    Terms {
        operation: "patch_records",
        who: Who::Ruled(RECORDS_WRITE, "update"),
        problems: &[&VALUE_TAKEN, &RULE_DENIED, &TOO_MANY_MATCH, &READ_ONLY],
    },
    Terms {
        operation: "delete_many_records",
        who: Who::Ruled(RECORDS_WRITE, "delete"),
        problems: &[&TOO_MANY_MATCH, &READ_ONLY],
    },
    Terms {
        operation: "restore_record",
        who: Who::Ruled(RECORDS_WRITE, "delete"),
        problems: &[&INVALID, &RULE_DENIED, &READ_ONLY],
    },
    Terms { operation: "batch", who: Who::Each, problems: &[&BATCH_FAILED] },
    Terms { operation: "truncate_collection", who: Who::Holders(RECORDS_ADMIN), problems: &[&READ_ONLY] },
    Terms { operation: "import_records", who: Who::Holders(RECORDS_ADMIN), problems: &[&READ_ONLY] },
    Terms { operation: "aggregate_records", who: Who::Ruled(RECORDS_READ, "list"), problems: &[&VIEW_BROKEN] },
    Terms { operation: "show_json_schema", who: Who::Visitors(RECORDS_READ), problems: &[] },
    Terms { operation: "export_records", who: Who::Ruled(RECORDS_READ, "list"), problems: &[&VIEW_BROKEN] },
];
