//! On what terms the endpoints of the fields of profiles answer, beside what their signatures say.
use super::error::DATA_LOSS;
use crate::features::accounts::USERS_ADMIN;
use crate::http::openapi::{Terms, Who};

pub const TERMS: &[Terms] = &[
    Terms { operation: "show_profile_fields", who: Who::Holders(USERS_ADMIN), problems: &[] },
    Terms { operation: "replace_profile_fields", who: Who::Holders(USERS_ADMIN), problems: &[&DATA_LOSS] },
];
