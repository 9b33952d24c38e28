//! On what terms the endpoints of accounts answer, beside what their signatures say.
use super::error::{
    ADDRESS_BLOCKED, EMAIL_TAKEN, INVITATION_VOID, LAST_ADMIN, NOT_IMPERSONATED, REGISTRATION_CLOSED, SECOND_FACTOR_ON,
    SECOND_FACTOR_WRONG, SECRET_INVALID, SETUP_LINK_INVALID, STILL_PENDING, TOKEN_INVALID, TOO_MANY_INVITATIONS,
    WRONG_CREDENTIALS,
};
use super::model::{USERS_ADMIN, USERS_READ, USERS_WRITE};
use crate::features::roles::PERMISSION_NOT_HELD;
use crate::http::cookie::NEEDS_HTTPS;
use crate::http::health::SYSTEM_READ;
use crate::http::openapi::{Terms, Who};
use crate::http::own_origin::REFUSED as ORIGIN_REFUSED;
use crate::http::problem::{INVALID, NEEDS_SESSION, NOT_FOUND, TOO_MANY_REQUESTS};

pub const TERMS: &[Terms] = &[
    Terms {
        operation: "register",
        who: Who::Anyone,
        problems: &[&EMAIL_TAKEN, &REGISTRATION_CLOSED, &ORIGIN_REFUSED, &NEEDS_HTTPS, &TOO_MANY_REQUESTS],
    },
    Terms {
        operation: "set_up",
        who: Who::Anyone,
        problems: &[&EMAIL_TAKEN, &SETUP_LINK_INVALID, &ORIGIN_REFUSED, &NEEDS_HTTPS, &TOO_MANY_REQUESTS],
    },
    Terms { operation: "check_setup_link", who: Who::Anyone, problems: &[&SETUP_LINK_INVALID, &TOO_MANY_REQUESTS] },
    Terms {
        operation: "login",
        who: Who::Anyone,
        problems: &[&WRONG_CREDENTIALS, &ORIGIN_REFUSED, &NEEDS_HTTPS, &TOO_MANY_REQUESTS, &ADDRESS_BLOCKED],
    },
    Terms { operation: "refresh_token", who: Who::Anyone, problems: &[&TOKEN_INVALID] },
    Terms {
        operation: "verify_email",
        who: Who::Anyone,
        problems: &[&SECRET_INVALID, &EMAIL_TAKEN, &TOO_MANY_REQUESTS],
    },
    Terms { operation: "resend_verification", who: Who::Anyone, problems: &[&TOO_MANY_REQUESTS] },
    Terms { operation: "forgot_password", who: Who::Anyone, problems: &[&TOO_MANY_REQUESTS] },
    Terms { operation: "reset_password", who: Who::Anyone, problems: &[&SECRET_INVALID, &TOO_MANY_REQUESTS] },
    Terms { operation: "request_sign_in_code", who: Who::Anyone, problems: &[&TOO_MANY_REQUESTS] },
    Terms {
        operation: "sign_in_with_code",
        who: Who::Anyone,
        problems: &[&SECRET_INVALID, &ORIGIN_REFUSED, &NEEDS_HTTPS, &TOO_MANY_REQUESTS],
    },
    Terms { operation: "change_password", who: Who::SignedIn, problems: &[&NOT_FOUND, &TOO_MANY_REQUESTS] },
    Terms { operation: "change_email", who: Who::SignedIn, problems: &[&TOO_MANY_REQUESTS] },
    Terms { operation: "show_second_factor", who: Who::SignedIn, problems: &[] },
    Terms { operation: "enable_second_factor", who: Who::SignedIn, problems: &[&SECOND_FACTOR_ON, &TOO_MANY_REQUESTS] },
    Terms {
        operation: "verify_second_factor",
        who: Who::SignedIn,
        problems: &[&SECOND_FACTOR_ON, &SECOND_FACTOR_WRONG, &TOO_MANY_REQUESTS],
    },
    Terms {
        operation: "renew_recovery_codes",
        who: Who::SignedIn,
        problems: &[&SECOND_FACTOR_WRONG, &TOO_MANY_REQUESTS],
    },
    Terms {
        operation: "disable_second_factor",
        who: Who::SignedIn,
        problems: &[&SECOND_FACTOR_WRONG, &TOO_MANY_REQUESTS],
    },
    Terms {
        operation: "show_code",
        who: Who::Anyone,
        problems: &[
            &SECRET_INVALID,
            &SECOND_FACTOR_WRONG,
            &ORIGIN_REFUSED,
            &NEEDS_HTTPS,
            &TOO_MANY_REQUESTS,
            &WRONG_CREDENTIALS,
        ],
    },
    Terms { operation: "remove_second_factor", who: Who::Holders(USERS_ADMIN), problems: &[&PERMISSION_NOT_HELD] },
    Terms { operation: "list_sessions", who: Who::SignedIn, problems: &[] },
    Terms { operation: "end_session", who: Who::SignedIn, problems: &[&NOT_FOUND] },
    Terms { operation: "logout", who: Who::SignedIn, problems: &[] },
    Terms { operation: "logout_all", who: Who::SignedIn, problems: &[] },
    // Who was removed a moment ago is believed to be there for a few seconds.
    Terms { operation: "show_profile", who: Who::SignedIn, problems: &[&NOT_FOUND] },
    Terms { operation: "update_profile", who: Who::SignedIn, problems: &[&NOT_FOUND] },
    Terms {
        operation: "delete_profile",
        who: Who::SignedIn,
        problems: &[&NOT_FOUND, &LAST_ADMIN, &SECOND_FACTOR_WRONG, &TOO_MANY_REQUESTS],
    },
    Terms { operation: "delete_user", who: Who::Holders(USERS_ADMIN), problems: &[&LAST_ADMIN, &PERMISSION_NOT_HELD] },
    Terms { operation: "restore_user", who: Who::Holders(USERS_ADMIN), problems: &[&PERMISSION_NOT_HELD] },
    Terms { operation: "create_user", who: Who::Holders(USERS_WRITE), problems: &[&EMAIL_TAKEN, &PERMISSION_NOT_HELD] },
    Terms {
        operation: "update_user",
        who: Who::Holders(USERS_WRITE),
        problems: &[&LAST_ADMIN, &PERMISSION_NOT_HELD, &STILL_PENDING],
    },
    Terms {
        operation: "set_user_role",
        who: Who::Holders(USERS_WRITE),
        problems: &[&LAST_ADMIN, &PERMISSION_NOT_HELD, &STILL_PENDING],
    },
    Terms { operation: "show_user", who: Who::Owner(USERS_READ), problems: &[] },
    Terms { operation: "list_activity", who: Who::Owner(USERS_READ), problems: &[] },
    Terms { operation: "show_preferences", who: Who::SignedIn, problems: &[] },
    Terms { operation: "replace_preferences", who: Who::SignedIn, problems: &[&NOT_FOUND] },
    Terms { operation: "update_preferences", who: Who::SignedIn, problems: &[&NOT_FOUND] },
    Terms { operation: "update_user_profile", who: Who::Owner(USERS_WRITE), problems: &[&PERMISSION_NOT_HELD] },
    Terms { operation: "replace_user_profile", who: Who::Owner(USERS_WRITE), problems: &[&PERMISSION_NOT_HELD] },
    Terms { operation: "list_users", who: Who::Holders(USERS_READ), problems: &[] },
    Terms { operation: "search_users", who: Who::Holders(USERS_READ), problems: &[] },
    Terms { operation: "import_users", who: Who::Holders(USERS_ADMIN), problems: &[&TOKEN_INVALID] },
    Terms { operation: "show_password_hashing", who: Who::Holders(SYSTEM_READ), problems: &[] },
    Terms { operation: "calibrate_password_hashing", who: Who::Holders(USERS_ADMIN), problems: &[] },
    Terms { operation: "list_blocked_addresses", who: Who::Holders(USERS_WRITE), problems: &[] },
    Terms { operation: "lift_blocked_address", who: Who::Holders(USERS_WRITE), problems: &[] },
    Terms {
        operation: "create_invitation",
        who: Who::Holders(USERS_WRITE),
        problems: &[&EMAIL_TAKEN, &PERMISSION_NOT_HELD, &TOO_MANY_INVITATIONS, &TOO_MANY_REQUESTS],
    },
    Terms { operation: "list_invitations", who: Who::Holders(USERS_READ), problems: &[] },
    Terms {
        operation: "resend_invitation",
        who: Who::Holders(USERS_WRITE),
        problems: &[&EMAIL_TAKEN, &INVALID, &PERMISSION_NOT_HELD, &TOO_MANY_REQUESTS],
    },
    Terms { operation: "delete_invitation", who: Who::Holders(USERS_WRITE), problems: &[&PERMISSION_NOT_HELD] },
    Terms {
        operation: "accept_invitation",
        who: Who::Anyone,
        problems: &[&EMAIL_TAKEN, &SECRET_INVALID, &INVITATION_VOID, &ORIGIN_REFUSED, &NEEDS_HTTPS, &TOO_MANY_REQUESTS],
    },
    Terms {
        operation: "impersonate_user",
        who: Who::Holders(USERS_ADMIN),
        problems: &[&PERMISSION_NOT_HELD, &NOT_IMPERSONATED, &NEEDS_SESSION],
    },
    Terms { operation: "create_setup_link", who: Who::Holders(USERS_ADMIN), problems: &[&PERMISSION_NOT_HELD] },
];
