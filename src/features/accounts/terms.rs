//! On what terms the endpoints of accounts answer, beside what their signatures say.
use super::error::{
    EMAIL_TAKEN, INVITATION_VOID, LAST_ADMIN, NOT_IMPERSONATED, REGISTRATION_CLOSED, SECOND_FACTOR_ON,
    SECOND_FACTOR_WRONG, SECRET_INVALID, SETUP_LINK_INVALID, TOKEN_INVALID, TOO_MANY_INVITATIONS, WRONG_CREDENTIALS,
};
use super::model::{USERS_ADMIN, USERS_READ, USERS_WRITE};
use crate::features::roles::PERMISSION_NOT_HELD;
use crate::http::openapi::{Terms, Who};
use crate::http::problem::{INVALID, NEEDS_SESSION, NOT_FOUND, TOO_MANY_REQUESTS};

pub const TERMS: &[Terms] = &[
    Terms {
        operation: "register",
        who: Who::Anyone,
        problems: &[&EMAIL_TAKEN, &REGISTRATION_CLOSED, &TOO_MANY_REQUESTS],
    },
    Terms { operation: "set_up", who: Who::Anyone, problems: &[&EMAIL_TAKEN, &SETUP_LINK_INVALID, &TOO_MANY_REQUESTS] },
    Terms { operation: "check_setup_link", who: Who::Anyone, problems: &[&SETUP_LINK_INVALID, &TOO_MANY_REQUESTS] },
    Terms { operation: "login", who: Who::Anyone, problems: &[&WRONG_CREDENTIALS, &TOO_MANY_REQUESTS] },
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
    Terms { operation: "sign_in_with_code", who: Who::Anyone, problems: &[&SECRET_INVALID, &TOO_MANY_REQUESTS] },
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
        problems: &[&SECRET_INVALID, &SECOND_FACTOR_WRONG, &TOO_MANY_REQUESTS, &WRONG_CREDENTIALS],
    },
    Terms { operation: "remove_second_factor", who: Who::Holders(USERS_ADMIN), problems: &[&PERMISSION_NOT_HELD] },
    Terms { operation: "list_sessions", who: Who::SignedIn, problems: &[] },
    Terms { operation: "end_session", who: Who::SignedIn, problems: &[&NOT_FOUND] },
    Terms { operation: "logout", who: Who::SignedIn, problems: &[] },
    Terms { operation: "logout_all", who: Who::SignedIn, problems: &[] },
    // Who was removed a moment ago is believed to be there for a few seconds.
    Terms { operation: "show_profile", who: Who::SignedIn, problems: &[&NOT_FOUND] },
    Terms { operation: "update_profile", who: Who::SignedIn, problems: &[&NOT_FOUND] },
    Terms { operation: "create_user", who: Who::Holders(USERS_WRITE), problems: &[&EMAIL_TAKEN, &PERMISSION_NOT_HELD] },
    Terms { operation: "update_user", who: Who::Holders(USERS_WRITE), problems: &[&LAST_ADMIN, &PERMISSION_NOT_HELD] },
    Terms {
        operation: "set_user_role",
        who: Who::Holders(USERS_WRITE),
        problems: &[&LAST_ADMIN, &PERMISSION_NOT_HELD],
    },
    Terms { operation: "show_user", who: Who::Holders(USERS_READ), problems: &[] },
    Terms { operation: "list_users", who: Who::Holders(USERS_READ), problems: &[] },
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
    Terms { operation: "delete_invitation", who: Who::Holders(USERS_WRITE), problems: &[] },
    Terms {
        operation: "accept_invitation",
        who: Who::Anyone,
        problems: &[&EMAIL_TAKEN, &SECRET_INVALID, &INVITATION_VOID, &TOO_MANY_REQUESTS],
    },
    Terms {
        operation: "impersonate_user",
        who: Who::Holders(USERS_ADMIN),
        problems: &[&PERMISSION_NOT_HELD, &NOT_IMPERSONATED, &NEEDS_SESSION],
    },
    Terms { operation: "create_setup_link", who: Who::Holders(USERS_ADMIN), problems: &[&PERMISSION_NOT_HELD] },
];
