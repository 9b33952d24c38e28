//! The endpoints of signing keys, for admins.
use poem_openapi::OpenApi;
use poem_openapi::payload::Json;

use super::model::{KeyRotation, SYSTEM_ADMIN, SigningKeyList};
use super::rotate::Rotating;
use crate::features::audit::Trail;
use crate::http::health::SYSTEM_READ;
use crate::http::openapi::Tag;
use crate::http::query::NoQuery;
use crate::http::{Caller, Input, Problem};

/// The endpoints of signing keys, with what they need.
#[derive(Clone, Debug)]
pub struct SigningKeysApi {
    pub rotating: Rotating,
}

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Keys")]
impl SigningKeysApi {
    /// List the keys that sign access tokens
    ///
    /// The one that signs, the next one, and those before, without their secrets.
    #[oai(path = "/admin/signing-keys", method = "get", operation_id = "list_signing_keys")]
    async fn list(&self, caller: Caller, _query: NoQuery) -> Result<Json<SigningKeyList>, Problem> {
        caller.must(SYSTEM_READ)?;

        Ok(Json(SigningKeyList { data: self.rotating.keys.list() }))
    }

    /// Replace the key that signs access tokens
    ///
    /// The next key signs from now on, and tokens of the one before work until they expire. With `revoke` no token
    /// works any more that was signed so far. It is done by itself as often as `accounts.signing_key_days` says.
    #[oai(path = "/admin/signing-keys/rotate", method = "post", operation_id = "rotate_signing_keys")]
    async fn rotate(
        &self,
        caller: Caller,
        trail: Trail,
        _query: NoQuery,
        body: Input<Option<KeyRotation>>,
    ) -> Result<Json<SigningKeyList>, Problem> {
        caller.must(SYSTEM_ADMIN)?;

        let revoke = body.read()?.is_some_and(|it| it.revoke);
        self.rotating.rotate(caller.tenant(), trail.of(&caller), revoke).await?;

        Ok(Json(SigningKeyList { data: self.rotating.keys.list() }))
    }
}
