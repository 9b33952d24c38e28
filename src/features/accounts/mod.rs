//! Accounts: who someone is, how they sign in, and for how long.
//!
//! A password is kept as an argon2id hash only, and checked on threads of its own, so
//! that a flood of sign-ins slows sign-ins and nothing else. Signing in opens a
//! [`Session`](model::TokenPair): a short-lived access token (a signed JWT) and a refresh
//! token. An unknown address costs the same time and gets the same words as a wrong password.
//!
//! A request with a token goes through [`Gate`]: a look into the map of verified tokens,
//! and only for a token not seen before a signature and a point read. Whatever ends a
//! session empties the map after its commit, so it is felt at once.

mod api;
mod confirming;
mod error;
mod first_admin;
mod flows;
mod flows_api;
mod flows_model;
mod gate;
mod impersonation_api;
mod invitations_api;
mod invitations_model;
mod invitations_store;
mod mail_job;
mod model;
mod one_time;
mod owned_keys_store;
mod one_time_store;
pub(crate) mod pages;
mod password;
mod refresh;
mod second_factor_api;
mod second_factor_model;
mod second_factor_store;
mod refusals;
mod sessions;
mod sessions_api;
mod signing_in;
mod store;
mod strength;
mod sweep;
mod terms;
mod throttle;
mod token;
mod totp;
mod users_api;

pub use api::AccountsApi;
pub use confirming::{Confirmation, Confirmed};
pub use error::{Error, PROBLEMS, SECOND_FACTOR_WRONG, TOKEN_INVALID};
pub use first_admin::{admin_exists, is_admin, open_setup_link};
pub use flows_api::FlowsApi;
pub use gate::{Gate, still_stands};
pub use impersonation_api::ImpersonationApi;
pub use invitations_api::InvitationsApi;
pub use mail_job::{AccountMails, tell_of_key};
pub use model::{RECORDS_ADMIN, RECORDS_READ, RECORDS_WRITE, SetupLink, USERS_READ, User};
pub use one_time::OneTimeSecrets;
pub use password::Passwords;
pub use second_factor_api::SecondFactorApi;
pub use sessions_api::SessionsApi;
pub use sweep::worker;
pub use terms::TERMS;
pub use token::Tokens;
pub use totp::SecondFactors;
pub use users_api::UsersApi;
