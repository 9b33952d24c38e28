//! The features. In reading order, each using only those before it, through their `mod.rs`:
//!
//! - [`server_keys`]: the secrets that the server signs with
//! - [`events`]: what happened to records, in one order
//! - [`audit`]: who did what, in a chain that cannot be changed unnoticed
//! - [`signing_keys`]: what access tokens are signed with, one key after another
//! - [`jobs`]: work that is done after the request that asked for it
//! - [`mails`]: their words, their looks, and where they go
//! - [`roles`]: what people may try, under a name
//! - [`accounts`]: people: registering, signing in, sessions
//! - [`api_keys`]: how programs, as opposed to people, are let in
//! - [`secrets`]: the keys of other services that people give to this one
//! - [`collections`]: the kinds of records that people make for themselves
//! - [`profiles`]: what a team wants to know of people beside their name and address
//! - [`records`]: what is in the collections: reading, writing, finding
//! - [`explain`]: why someone may do something, or may not
//! - [`realtime`]: telling those who want to know while it happens
pub mod accounts;
pub mod api_keys;
pub mod audit;
pub mod collections;
pub mod events;
pub mod explain;
pub mod jobs;
pub mod mails;
pub mod profiles;
pub mod realtime;
pub mod records;
pub mod roles;
pub mod secrets;
pub mod server_keys;
pub mod signing_keys;

use crate::http::health;
use crate::http::openapi::Told;
use crate::http::own_origin;
use crate::http::problem::{self, Kind};

/// Every kind of problem that the product reports; the catalogue page lists them.
pub fn problems() -> Vec<&'static Kind> {
    [
        problem::PROBLEMS,
        jobs::PROBLEMS,
        mails::PROBLEMS,
        roles::PROBLEMS,
        accounts::PROBLEMS,
        api_keys::PROBLEMS,
        secrets::PROBLEMS,
        collections::PROBLEMS,
        profiles::PROBLEMS,
        records::PROBLEMS,
        realtime::PROBLEMS,
    ]
    .concat()
}

/// What may be wrong with a caller, at any endpoint that looks who it is.
const PROBLEMS_OF_CALLERS: &[&Kind] = &[
    &problem::TWO_CALLERS,
    &own_origin::REFUSED,
    &accounts::TOKEN_INVALID,
    &api_keys::INVALID,
    &api_keys::ELSEWHERE,
    &api_keys::EXHAUSTED,
    &problem::TOO_MANY_REQUESTS,
];

/// What the OpenAPI document says of the endpoints beside their signatures.
pub fn told() -> Told {
    Told {
        kinds: problems(),
        of_callers: PROBLEMS_OF_CALLERS,
        insiders: collections::COLLECTIONS_READ,
        terms: &[
            audit::TERMS,
            signing_keys::TERMS,
            jobs::TERMS,
            mails::TERMS,
            roles::TERMS,
            accounts::TERMS,
            api_keys::TERMS,
            secrets::TERMS,
            collections::TERMS,
            profiles::TERMS,
            records::TERMS,
            explain::TERMS,
            realtime::TERMS,
            health::TERMS,
        ],
    }
}
