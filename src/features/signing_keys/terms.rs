//! On what terms the endpoints of signing keys answer, beside what their signatures say.
use super::model::SYSTEM_ADMIN;
use crate::http::health::SYSTEM_READ;
use crate::http::openapi::{Terms, Who};

pub const TERMS: &[Terms] = &[
    Terms { operation: "list_signing_keys", who: Who::Holders(SYSTEM_READ), problems: &[] },
    Terms { operation: "rotate_signing_keys", who: Who::Holders(SYSTEM_ADMIN), problems: &[] },
    Terms { operation: "show_jwks", who: Who::Anyone, problems: &[] },
    Terms { operation: "show_openid_configuration", who: Who::Anyone, problems: &[] },
];
