//! The endpoints of preferences.
use poem_openapi::param::Header;
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, OpenApi};
use serde_json::{Map, Value};

use super::api::AccountsApi;
use super::error::Error;
use super::preferences::Preferences;
use super::{preferences_store, store};
use crate::db::Tx;
use crate::http::etag::{self, IfMatch};
use crate::http::input::Body;
use crate::http::openapi::Tag;
use crate::http::query::NoQuery;
use crate::http::{Caller, Fault, Input, Problem};

/// The endpoints of preferences, with what they need.
#[derive(Clone, Debug)]
pub struct PreferencesApi {
    pub accounts: AccountsApi,
}

#[derive(ApiResponse)]
enum Shown {
    /// The preferences as they are now.
    #[oai(status = 200)]
    Preferences(Json<Preferences>, #[oai(header = "ETag")] String),
}

impl Shown {
    fn new((preferences, version): (Preferences, i64)) -> Self {
        Self::Preferences(Json(preferences), etag::of_version(version))
    }
}

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Accounts")]
impl PreferencesApi {
    /// Read one's own preferences
    ///
    /// What apps keep for someone, on every device. Nobody else reads them.
    #[oai(path = "/auth/preferences", method = "get", operation_id = "show_preferences")]
    async fn show(&self, caller: Caller, _query: NoQuery) -> Result<Shown, Problem> {
        let (user, _) = caller.user()?;

        let found = self.accounts.db.get(caller.tenant(), move |tx| preferences_store::find(tx, user)).await?;
        Ok(Shown::new(found))
    }

    /// Replace one's own preferences
    #[oai(path = "/auth/preferences", method = "put", operation_id = "replace_preferences")]
    async fn replace(
        &self,
        caller: Caller,
        _query: NoQuery,
        /// The `ETag` of the preferences that are replaced.
        #[oai(name = "If-Match")]
        if_match: Header<Option<String>>,
        body: Input<Preferences>,
    ) -> Result<Shown, Problem> {
        let members = read(&caller, body)?;
        self.write(&caller, if_match.0.as_deref(), move |_| Preferences(members.clone())).await
    }

    /// Change one's own preferences
    ///
    /// With a JSON Merge Patch: what is absent stays, null removes, and objects are laid over those that are there.
    #[oai(path = "/auth/preferences", method = "patch", operation_id = "update_preferences")]
    async fn update(
        &self,
        caller: Caller,
        _query: NoQuery,
        /// The `ETag` of the preferences that the change is meant for.
        #[oai(name = "If-Match")]
        if_match: Header<Option<String>>,
        body: Input<Preferences>,
    ) -> Result<Shown, Problem> {
        let patch = read(&caller, body)?;
        self.write(&caller, if_match.0.as_deref(), move |old| old.patched(&patch)).await
    }
}

impl PreferencesApi {
    /// Writes what `change` makes of the preferences, in one transaction. What is as it was before is not written.
    async fn write(
        &self,
        caller: &Caller,
        if_match: Option<&str>,
        change: impl Fn(Preferences) -> Preferences + Send + 'static,
    ) -> Result<Shown, Problem> {
        let (user, _) = caller.user()?;

        let (expected, now) = (IfMatch::parse(if_match)?, self.accounts.clock.now());
        let write = move |tx: &mut Tx<'_>| {
            store::find_user(tx, user)?.ok_or(Error::NotFound)?;
            let (old, version) = preferences_store::find(tx, user)?;
            if !expected.allows(version) {
                return Err(Error::Stale);
            }
            let new = change(old.clone());
            if new == old {
                return Ok((old, version));
            }
            let faults = new.faults();
            if !faults.is_empty() {
                return Err(Error::Invalid(faults));
            }
            let version = preferences_store::set(tx, user, &new, now)?;
            Ok((new, version))
        };
        Ok(Shown::new(self.accounts.db.write(caller.tenant(), write).await?))
    }
}

/// The object that was sent, by someone who has preferences.
fn read(caller: &Caller, body: Input<Preferences>) -> Result<Map<String, Value>, Problem> {
    caller.user()?;
    let Body { value, mut faults } = Body::read(&body.bytes()?)?;
    match value {
        Value::Object(members) if faults.is_empty() => return Ok(members),
        Value::Object(_) => {}
        _ => faults.push(Fault::new("", "type", "must be an object")),
    }
    Err(Problem::invalid(faults))
}
