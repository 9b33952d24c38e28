//! On what terms the endpoints of keys answer, beside what their signatures say.
use super::error::{OVER, TOO_MANY};
use super::model::{KEYS_READ, KEYS_WRITE};
use crate::features::accounts::SECOND_FACTOR_WRONG;
use crate::features::roles::PERMISSION_NOT_HELD;
use crate::http::openapi::{Terms, Who};
use crate::http::problem::TOO_MANY_REQUESTS;

const READERS: Who = Who::Holders(KEYS_READ);
const WRITERS: Who = Who::Holders(KEYS_WRITE);

pub const TERMS: &[Terms] = &[
    Terms { operation: "create_api_key", who: WRITERS, problems: &[&TOO_MANY, &PERMISSION_NOT_HELD] },
    Terms { operation: "list_api_keys", who: READERS, problems: &[] },
    Terms { operation: "verify_api_key", who: READERS, problems: &[] },
    Terms { operation: "show_api_key", who: READERS, problems: &[] },
    Terms { operation: "update_api_key", who: WRITERS, problems: &[&PERMISSION_NOT_HELD, &OVER] },
    Terms { operation: "set_api_key_scopes", who: WRITERS, problems: &[&PERMISSION_NOT_HELD, &OVER] },
    Terms { operation: "rotate_api_key", who: WRITERS, problems: &[&PERMISSION_NOT_HELD, &OVER] },
    Terms { operation: "revoke_api_key", who: WRITERS, problems: &[&PERMISSION_NOT_HELD] },
    Terms { operation: "show_api_key_usage", who: READERS, problems: &[] },
    Terms {
        operation: "create_own_key",
        who: Who::SignedIn,
        problems: &[&TOO_MANY, &PERMISSION_NOT_HELD, &SECOND_FACTOR_WRONG, &TOO_MANY_REQUESTS],
    },
    Terms { operation: "list_own_keys", who: Who::SignedIn, problems: &[] },
    Terms { operation: "show_own_key", who: Who::SignedIn, problems: &[] },
    Terms {
        operation: "rotate_own_key",
        who: Who::SignedIn,
        problems: &[&OVER, &SECOND_FACTOR_WRONG, &TOO_MANY_REQUESTS],
    },
    Terms { operation: "revoke_own_key", who: Who::SignedIn, problems: &[] },
    Terms { operation: "show_own_key_usage", who: Who::SignedIn, problems: &[] },
];
