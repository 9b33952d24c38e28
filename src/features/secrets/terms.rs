//! On what terms the endpoints of secrets answer, beside what their signatures say.
use super::error::{KEY_IN_USE, TOO_MANY, UNREADABLE};
use super::model::SECRETS_ADMIN;
use crate::features::accounts::SECOND_FACTOR_WRONG;
use crate::http::openapi::{Terms, Who};
use crate::http::problem::TOO_MANY_REQUESTS;

const ADMINS: Who = Who::Holders(SECRETS_ADMIN);

pub const TERMS: &[Terms] = &[
    Terms { operation: "list_secrets", who: Who::SignedIn, problems: &[] },
    Terms { operation: "put_secret", who: Who::SignedIn, problems: &[&TOO_MANY, &UNREADABLE] },
    Terms { operation: "delete_secret", who: Who::SignedIn, problems: &[] },
    Terms {
        operation: "reveal_secret",
        who: Who::SignedIn,
        problems: &[&SECOND_FACTOR_WRONG, &TOO_MANY_REQUESTS, &UNREADABLE],
    },
    Terms { operation: "list_secret_keys", who: ADMINS, problems: &[] },
    Terms { operation: "rotate_secret_keys", who: ADMINS, problems: &[&KEY_IN_USE] },
];
