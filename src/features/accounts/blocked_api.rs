//! The endpoints of addresses that sign nobody in for a while.
use std::net::IpAddr;

use poem_openapi::param::Path;
use poem_openapi::payload::Json;
use poem_openapi::types::Example;
use poem_openapi::{ApiResponse, Object, OpenApi};

use super::api::AccountsApi;
use super::error::Error;
use super::model::USERS_WRITE;
use super::stuffing::{self, Block};
use crate::base::Timestamp;
use crate::db::Tx;
use crate::features::audit::{Action, Entry, Trail};
use crate::http::openapi::Tag;
use crate::http::query::NoQuery;
use crate::http::{Caller, Problem};

/// Most addresses that are shown at once.
const SHOWN_MAX: usize = 1_000;

/// The endpoints of blocked addresses, with what they need.
#[derive(Clone, Debug)]
pub struct BlockedApi {
    pub accounts: AccountsApi,
}

/// An address from which many wrong passwords of many accounts were tried.
#[derive(Clone, Debug, Object)]
#[oai(example, rename_all = "camelCase")]
pub struct BlockedAddress {
    pub address: String,
    /// How many bits of it count: 32, or 64 or 48 with IPv6.
    pub prefix_length: u32,
    /// Whether only what pages of other origins send from there is refused: their visitors may know nothing of it.
    pub of_pages: bool,
    /// Until then it signs nobody in, but from devices that their accounts know.
    pub until: Timestamp,
}

impl Example for BlockedAddress {
    fn example() -> Self {
        Self { address: "203.0.113.7".to_owned(), prefix_length: 32, of_pages: false, until: Timestamp::example() }
    }
}

impl From<Block> for BlockedAddress {
    fn from(Block { place, until }: Block) -> Self {
        Self { address: place.address.to_string(), prefix_length: place.bits.into(), of_pages: place.of_pages, until }
    }
}

/// The addresses that are blocked.
#[derive(Debug, Object)]
#[oai(example)]
struct BlockedAddresses {
    data: Vec<BlockedAddress>,
}

impl Example for BlockedAddresses {
    fn example() -> Self {
        Self { data: vec![BlockedAddress::example()] }
    }
}

#[derive(ApiResponse)]
enum Lifted {
    /// It signs people in again.
    #[oai(status = 204)]
    Lifted,
}

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Users")]
impl BlockedApi {
    /// List blocked addresses
    ///
    /// From which many distinct wrong pairs of an account and a password were tried. Those first that are blocked for
    /// longest yet, at most 1,000.
    #[oai(path = "/admin/blocked-addresses", method = "get", operation_id = "list_blocked_addresses")]
    async fn list(&self, caller: Caller, _query: NoQuery) -> Result<Json<BlockedAddresses>, Problem> {
        caller.must(USERS_WRITE)?;

        let own = &self.accounts;
        let data = stuffing::blocks(&own.kv, own.clock.now()).into_iter().take(SHOWN_MAX).map(Into::into).collect();

        Ok(Json(BlockedAddresses { data }))
    }

    /// Lift the block of an address
    ///
    /// And with IPv6 that of its customer and its site. What was tried there is forgotten.
    #[oai(path = "/admin/blocked-addresses/:address", method = "delete", operation_id = "lift_blocked_address")]
    async fn lift(
        &self,
        caller: Caller,
        trail: Trail,
        _query: NoQuery,
        address: Path<String>,
    ) -> Result<Lifted, Problem> {
        caller.must(USERS_WRITE)?;

        let address: IpAddr = address.0.parse().map_err(|_| Error::NotFound)?;
        let (own, now) = (&self.accounts, self.accounts.clock.now());
        if !own.stuffing.lift(&own.kv, address, now) {
            return Err(Error::NotFound.into());
        }
        let (actor, entry) = (trail.of(&caller), Entry::new(Action::AddressLift).about("address", &address));
        let note = move |tx: &mut Tx<'_>| Ok::<_, Error>(actor.append(tx, now, &entry)?);
        own.db.free(caller.tenant(), note).await?;

        Ok(Lifted::Lifted)
    }
}
