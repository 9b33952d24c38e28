//! The endpoints of what passwords cost.
use poem_openapi::payload::Json;
use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi};

use super::cost::{self, Cost};
use super::hashing::Hashing;
use super::model::USERS_ADMIN;
use crate::features::audit::{Action, Entry, Trail};
use crate::http::health::SYSTEM_READ;
use crate::http::openapi::Tag;
use crate::http::query::NoQuery;
use crate::http::{Caller, Problem};

/// The endpoints of what passwords cost, with what they need.
#[derive(Clone, Debug)]
pub struct HashingApi {
    pub hashing: Hashing,
}

/// What checking a password costs, and how many wait for it.
#[derive(Clone, Debug, Object)]
#[oai(example, rename_all = "camelCase")]
pub struct PasswordHashing {
    /// Memory that checking one password takes.
    pub memory_kib: u32,
    /// How many times it goes through that memory.
    pub iterations: u32,
    /// Whether any of the two was measured on this machine, and is not set by hand.
    pub is_measured: bool,
    /// That check passwords.
    pub threads: u32,
    /// Passwords that are checked at this moment.
    pub running: u32,
    /// Passwords that wait for a thread.
    pub waiting: u32,
    /// The longest that one waited since the server started.
    pub longest_wait_ms: u64,
}

impl Example for PasswordHashing {
    fn example() -> Self {
        Self {
            memory_kib: 47_104,
            iterations: 2,
            is_measured: true,
            threads: 2,
            running: 0,
            waiting: 0,
            longest_wait_ms: 12,
        }
    }
}

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Users")]
impl HashingApi {
    /// See what passwords cost
    ///
    /// And how many wait to be checked.
    #[oai(path = "/admin/password-hashing", method = "get", operation_id = "show_password_hashing")]
    async fn show(&self, caller: Caller, _query: NoQuery) -> Result<Json<PasswordHashing>, Problem> {
        caller.must(SYSTEM_READ)?;

        Ok(Json(self.now()))
    }

    /// Measure what passwords may cost
    ///
    /// On this machine, for about a second. New passwords are kept with it from now on, and others when their owners sign
    /// in. Where the settings say both numbers, nothing is measured.
    #[oai(path = "/admin/password-hashing/calibrate", method = "post", operation_id = "calibrate_password_hashing")]
    async fn calibrate(&self, caller: Caller, trail: Trail, _query: NoQuery) -> Result<Json<PasswordHashing>, Problem> {
        caller.must(USERS_ADMIN)?;

        if cost::is_automatic(&self.hashing.config.get()) {
            let entry = Entry::new(Action::PasswordCostMeasure);
            self.hashing.measure(caller.tenant(), trail.of(&caller), entry).await?;
        }

        Ok(Json(self.now()))
    }
}

impl HashingApi {
    fn now(&self) -> PasswordHashing {
        let Hashing { passwords, config, .. } = &self.hashing;
        let (Cost { memory_kib, iterations }, figures) = (passwords.cost(), passwords.figures());
        let small = |it: usize| u32::try_from(it).unwrap_or(u32::MAX);
        PasswordHashing {
            memory_kib,
            iterations,
            is_measured: cost::is_automatic(&config.get()),
            threads: small(figures.threads),
            running: small(figures.running),
            waiting: small(figures.waiting),
            longest_wait_ms: u64::try_from(figures.longest_wait.as_millis()).unwrap_or(u64::MAX),
        }
    }
}
