//! The pages behind links: the setup link, and those that come by mail.
use askama::Template;
use poem::Route;

use crate::config::AccountsConfig;
use crate::http::pages;

/// What someone sees who opens a setup link.
#[derive(Template)]
#[template(path = "accounts/setup.html", config = "assets/askama.toml")]
struct SetupPage {
    length_min: u32,
}

/// What someone sees who opens the link that verifies an address.
#[derive(Template)]
#[template(path = "accounts/verify_email.html", config = "assets/askama.toml")]
struct VerifyEmailPage;

/// What someone sees who opens the link to choose a new password.
#[derive(Template)]
#[template(path = "accounts/reset_password.html", config = "assets/askama.toml")]
struct ResetPasswordPage {
    length_min: u32,
}

/// What someone sees who opens the link of an invitation.
#[derive(Template)]
#[template(path = "accounts/accept_invitation.html", config = "assets/askama.toml")]
struct AcceptInvitationPage {
    length_min: u32,
    length_min_admin: u32,
}

pub fn route(route: Route, config: &AccountsConfig) -> askama::Result<Route> {
    let route = pages::add(route, "/setup", SetupPage { length_min: config.password_length_min_admin }.render()?);
    let route = pages::add(route, "/verify-email", VerifyEmailPage.render()?);
    let invited = AcceptInvitationPage {
        length_min: config.password_length_min,
        length_min_admin: config.password_length_min_admin,
    };
    let route = pages::add(route, "/accept-invitation", invited.render()?);
    Ok(pages::add(route, "/reset-password", ResetPasswordPage { length_min: config.password_length_min }.render()?))
}
