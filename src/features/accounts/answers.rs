//! What the endpoints of accounts answer.
use poem_openapi::payload::Json;
use poem_openapi::types::Example;
use poem_openapi::{ApiResponse, Object};

use super::model::{SetupLink, SignedIn, User};
use crate::http::paging::ListMeta;

#[derive(ApiResponse)]
pub(super) enum Created {
    /// The account was made, and its owner is signed in.
    #[oai(status = 201)]
    SignedIn(Json<SignedIn>),
}

#[derive(ApiResponse)]
pub(super) enum CreatedUser {
    /// The account was made.
    #[oai(status = 201)]
    User(Json<User>, #[oai(header = "ETag")] String, #[oai(header = "Location")] String),
}

#[derive(ApiResponse)]
pub(super) enum CreatedLink {
    /// The link was made.
    #[oai(status = 201)]
    Link(Json<SetupLink>),
}

#[derive(ApiResponse)]
pub(super) enum Profile {
    /// The caller's own account.
    #[oai(status = 200)]
    User(Json<User>, #[oai(header = "ETag")] String),
}

#[derive(ApiResponse)]
pub(super) enum Done {
    /// It is done.
    #[oai(status = 204)]
    Done,
}

/// A page of people.
#[derive(Debug, Object)]
#[oai(example)]
pub struct UserList {
    pub data: Vec<User>,
    pub meta: ListMeta,
}

impl Example for UserList {
    fn example() -> Self {
        Self { data: vec![User::example()], meta: ListMeta::example() }
    }
}

#[derive(ApiResponse)]
pub(super) enum Users {
    /// A page of people.
    #[oai(status = 200)]
    Page(Json<UserList>, #[oai(header = "Link")] Option<String>),
}
