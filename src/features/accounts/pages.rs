//! The page behind a setup link.
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

pub fn route(route: Route, config: &AccountsConfig) -> askama::Result<Route> {
    let html = SetupPage { length_min: config.password_length_min_admin }.render()?;
    Ok(pages::add(route, "/setup", html))
}
