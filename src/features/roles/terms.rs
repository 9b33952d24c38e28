//! On what terms the endpoints of roles answer, beside what their signatures say.
use super::error::{BUILT_IN, IN_USE, NAME_TAKEN, PERMISSION_NOT_HELD, TOO_MANY};
use super::vocabulary::{ROLES_READ, ROLES_WRITE};
use crate::http::openapi::{Terms, Who};

const READERS: Who = Who::Holders(ROLES_READ);
const WRITERS: Who = Who::Holders(ROLES_WRITE);

pub const TERMS: &[Terms] = &[
    Terms { operation: "list_permissions", who: READERS, problems: &[] },
    Terms { operation: "list_roles", who: READERS, problems: &[] },
    Terms { operation: "create_role", who: WRITERS, problems: &[&NAME_TAKEN, &TOO_MANY, &PERMISSION_NOT_HELD] },
    Terms { operation: "show_role", who: READERS, problems: &[] },
    Terms { operation: "update_role", who: WRITERS, problems: &[&BUILT_IN, &PERMISSION_NOT_HELD] },
    Terms { operation: "delete_role", who: WRITERS, problems: &[&BUILT_IN, &IN_USE, &PERMISSION_NOT_HELD] },
];
