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
//!
//! A page in a browser keeps a cookie instead of tokens ([`way`]). A cookie goes along whoever wrote the page that sends
//! the request, so `http/own_origin` asks where that is from.

mod activity_api;
mod api;
mod blocked_api;
mod confirming;
mod cost;
mod device_store;
mod devices;
mod error;
mod fields;
mod first_admin;
mod flows;
mod flows_api;
mod flows_model;
mod gate;
mod hashing;
mod hashing_api;
mod hashing_store;
mod impersonation_api;
mod import;
mod import_api;
mod import_store;
mod invitations_api;
mod invitations_model;
mod invitations_store;
mod kept;
mod leaked;
mod leaving;
mod leaving_store;
mod mail_job;
mod model;
mod one_time;
mod owned_keys_store;
mod one_time_store;
pub(crate) mod pages;
mod password;
mod people;
mod pending_store;
mod people_api;
mod people_store;
mod preferences;
mod preferences_api;
mod preferences_store;
mod profile_api;
mod refresh;
mod requests;
mod second_factor_api;
mod second_factor_model;
mod second_factor_store;
mod refusals;
mod sessions;
mod sessions_api;
mod signing_in;
mod store;
mod strength;
mod stuffing;
mod sweep;
mod terms;
mod throttle;
mod token;
mod totp;
mod users_api;
mod way;

pub use activity_api::ActivityApi;
pub use api::AccountsApi;
pub use blocked_api::BlockedApi;
pub use confirming::{Confirmation, Confirmed};
pub use devices::DeviceTokens;
pub use error::{Error, IN_USE, PROBLEMS, SECOND_FACTOR_WRONG, TOKEN_INVALID};
pub use fields::{Fields, FieldsChange, JudgeFields};
pub use first_admin::{admin_exists, is_admin, open_setup_link};
pub use flows_api::FlowsApi;
pub use gate::{Gate, still_stands};
pub use hashing::Hashing;
pub use hashing_api::HashingApi;
pub use impersonation_api::ImpersonationApi;
pub use import_api::UsersImportApi;
pub use invitations_api::InvitationsApi;
pub use leaving::{find_in_bin, purge};
pub use leaving_store::deleted_before;
pub use mail_job::{AccountMails, tell_of_key};
pub use model::{RECORDS_ADMIN, RECORDS_READ, RECORDS_WRITE, SetupLink, USERS_ADMIN, USERS_READ, USERS_WRITE, User};
pub use one_time::OneTimeSecrets;
pub use password::Passwords;
pub use people_api::PeopleApi;
pub use preferences_api::PreferencesApi;
pub use profile_api::ProfilesApi;
pub use requests::{Requests, usage_worker};
pub use second_factor_api::SecondFactorApi;
pub use sessions_api::SessionsApi;
pub use stuffing::Stuffing;
pub use sweep::worker;
pub use terms::TERMS;
pub use token::Tokens;
pub use totp::SecondFactors;
pub use users_api::UsersApi;
