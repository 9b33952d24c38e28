//! The endpoints of secrets.
use poem_openapi::param::Path;
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, OpenApi};

use super::error::Error;
use super::model::{
    KeptSecret, NewSecret, SECRETS_ADMIN, SecretKeyList, SecretKeyRotation, SecretList, SecretName, ShownSecret,
    VALUE_BYTES_MAX,
};
use super::vault::{self, Vault};
use crate::base::Secret;
use crate::base::text::normal;
use crate::features::accounts::{AccountsApi, Confirmation};
use crate::features::audit::Trail;
use crate::http::openapi::Tag;
use crate::http::query::NoQuery;
use crate::http::{Caller, Fault, Input, Problem, SentFrom};

/// The endpoints of secrets, with what they need.
#[derive(Clone, Debug)]
pub struct SecretsApi {
    pub vault: Vault,
    pub accounts: AccountsApi,
}

#[derive(ApiResponse)]
enum Kept {
    /// The secret took the place of the one of that name.
    #[oai(status = 200)]
    Replaced(Json<KeptSecret>),
    /// The secret is kept.
    #[oai(status = 201)]
    New(Json<KeptSecret>, #[oai(header = "Location")] String),
}

#[derive(ApiResponse)]
enum Removed {
    /// It is gone.
    #[oai(status = 204)]
    Removed,
}

#[derive(ApiResponse)]
enum Rotating {
    /// What is kept from now on is closed with the other master key; the rest is closed anew by a job.
    #[oai(status = 202)]
    Begun(Json<SecretKeyRotation>),
}

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Secrets")]
impl SecretsApi {
    /// List one's own secrets
    ///
    /// By name, without what they are.
    #[oai(path = "/auth/secrets", method = "get", operation_id = "list_secrets")]
    async fn list(&self, caller: Caller, _query: NoQuery) -> Result<Json<SecretList>, Problem> {
        let (user, _) = caller.user()?;

        let data = vault::list(&self.vault.db, caller.tenant(), user).await?;

        Ok(Json(SecretList { data }))
    }

    /// Keep a secret
    ///
    /// Such as the key of another service, under a name of `a-z`, `0-9`, `-`, `_` and `.`; in place of the one of that
    /// name. It is encrypted before it is written, and shown to nobody but its owner.
    #[oai(path = "/auth/secrets/:name", method = "put", operation_id = "put_secret")]
    async fn put(
        &self,
        caller: Caller,
        trail: Trail,
        _query: NoQuery,
        name: Path<String>,
        body: Input<NewSecret>,
    ) -> Result<Kept, Problem> {
        let (user, _) = caller.user()?;

        let NewSecret { value, description } = body.read()?;
        let value = Secret::new(value);
        let name: Result<SecretName, _> = name.0.parse();
        let mut faults: Vec<_> =
            name.as_ref().err().map(|why| Fault::new("?name", "format", *why)).into_iter().collect();
        if VALUE_BYTES_MAX < value.reveal().len() {
            faults.push(Fault::new("/value", "too-long", format!("must be at most {VALUE_BYTES_MAX} bytes")));
        }
        let name = match (name, faults.is_empty()) {
            (Ok(name), true) => name,
            _ => return Err(Problem::invalid(faults)),
        };
        let description = normal(&description.unwrap_or_default());

        let (actor, tenant) = (trail.of(&caller), caller.tenant());
        let (kept, is_new) = self.vault.keep(tenant, user, &name, description, value, actor).await?;

        let place = format!("/api/v1/auth/secrets/{}", kept.name);
        Ok(if is_new { Kept::New(Json(kept), place) } else { Kept::Replaced(Json(kept)) })
    }

    /// Remove a secret
    #[oai(path = "/auth/secrets/:name", method = "delete", operation_id = "delete_secret")]
    async fn delete(
        &self,
        caller: Caller,
        trail: Trail,
        _query: NoQuery,
        name: Path<String>,
    ) -> Result<Removed, Problem> {
        let (user, _) = caller.user()?;

        let name = read_name(&name)?;
        self.vault.remove(caller.tenant(), user, &name, trail.of(&caller)).await?;

        Ok(Removed::Removed)
    }

    /// Show a secret
    ///
    /// To its owner, who shows once more who they are: with the password, or with a code where a second factor is on.
    #[oai(path = "/auth/secrets/:name/reveal", method = "post", operation_id = "reveal_secret")]
    async fn reveal(
        &self,
        caller: Caller,
        trail: Trail,
        _query: NoQuery,
        name: Path<String>,
        from: SentFrom,
        body: Input<Confirmation>,
    ) -> Result<Json<ShownSecret>, Problem> {
        let (user, _) = caller.user()?;

        let shown = body.read()?;
        let name = read_name(&name)?;
        let confirmed = self.accounts.confirm_again(&caller, shown, from, &trail).await.map_err(Error::Account)?;
        let actor = trail.of(&caller);
        let value = self.vault.reveal(caller.tenant(), user, &name, confirmed, actor).await?;

        Ok(Json(ShownSecret { name: name.as_str().to_owned(), value: value.reveal().clone() }))
    }

    /// List master keys
    ///
    /// Of those that close the secrets of all people: which they are, and how many secrets each closes.
    #[oai(path = "/admin/secrets/keys", method = "get", operation_id = "list_secret_keys")]
    async fn keys(&self, caller: Caller, _query: NoQuery) -> Result<Json<SecretKeyList>, Problem> {
        caller.must(SECRETS_ADMIN)?;

        let data = self.vault.keys(caller.tenant()).await?;

        Ok(Json(SecretKeyList { data }))
    }

    /// Change the master key
    ///
    /// To a new one, or to the first in `secrets.master_key`. Secrets can be used all the while. A key of the server's
    /// own is removed when it closes nothing any more.
    #[oai(path = "/admin/secrets/rotate", method = "post", operation_id = "rotate_secret_keys")]
    async fn rotate(&self, caller: Caller, trail: Trail, _query: NoQuery) -> Result<Rotating, Problem> {
        caller.must(SECRETS_ADMIN)?;

        let begun = self.vault.rotate(caller.tenant(), trail.of(&caller)).await?;

        Ok(Rotating::Begun(Json(begun)))
    }
}

/// What is no name is the name of nothing.
fn read_name(name: &Path<String>) -> Result<SecretName, Error> {
    name.0.parse().map_err(|_| Error::NotFound)
}
