//! The endpoints of the fields of profiles.
use std::collections::BTreeMap;

use poem::Request;
use poem_openapi::param::{Header, Query};
use poem_openapi::payload::Json;
use poem_openapi::types::ToJSON;
use poem_openapi::{ApiResponse, OpenApi};

use super::error::Error;
use super::judging;
use super::model::{LostField, ProfileFields, ProfileFieldsReport};
use super::store;
use crate::base::Clock;
use crate::db::Db;
use crate::features::accounts::USERS_ADMIN;
use crate::features::audit::{Action, Entry, Trail};
use crate::features::collections::{self, Catalogues};
use crate::http::etag::{self, IfMatch};
use crate::http::openapi::Tag;
use crate::http::query::{NoQuery, must_be_among};
use crate::http::{Caller, Fault, Input, Problem};

/// The endpoints of the fields of profiles, with what they need.
#[derive(Clone, Debug)]
pub struct ProfileFieldsApi {
    pub db: Db,
    pub clock: Clock,
    pub catalogues: Catalogues,
}

#[derive(ApiResponse)]
enum Shown {
    /// The fields as they are now.
    #[oai(status = 200)]
    Fields(Json<ProfileFields>, #[oai(header = "ETag")] String),
}

#[derive(ApiResponse)]
enum Replaced {
    /// The fields as they are now, or would be, and what went or would go.
    #[oai(status = 200)]
    Report(Json<ProfileFieldsReport>, #[oai(header = "ETag")] String),
}

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Users")]
impl ProfileFieldsApi {
    /// Read the fields of profiles
    #[oai(path = "/admin/profile-fields", method = "get", operation_id = "show_profile_fields")]
    async fn show(&self, caller: Caller, _query: NoQuery) -> Result<Shown, Problem> {
        caller.must(USERS_ADMIN)?;

        let (fields, version) = self.db.read(caller.tenant(), store::find).await?;
        Ok(Shown::Fields(Json(fields), etag::of_version(version)))
    }

    /// Replace the fields of profiles
    ///
    /// Values of a field that is there no more go with it, which is refused without `allowLoss` if there are any, and in any
    /// case while the rule of a collection asks for it. Values that are there are judged anew when somebody sets them.
    #[oai(path = "/admin/profile-fields", method = "put", operation_id = "replace_profile_fields")]
    #[expect(clippy::too_many_arguments, reason = "each stands in the document, or guards it")]
    async fn replace(
        &self,
        caller: Caller,
        trail: Trail,
        /// Only says what would be lost.
        #[oai(name = "dryRun")]
        dry_run: Query<Option<bool>>,
        /// Whether values may be lost.
        #[oai(name = "allowLoss")]
        allow_loss: Query<Option<bool>>,
        /// The `ETag` of the fields that are replaced.
        #[oai(name = "If-Match")]
        if_match: Header<Option<String>>,
        request: &Request,
        body: Input<ProfileFields>,
    ) -> Result<Replaced, Problem> {
        caller.must(USERS_ADMIN)?;

        must_be_among(request, &["dryRun", "allowLoss"])?;
        let (new, expected) = (body.read()?, IfMatch::parse(if_match.0.as_deref())?);
        judging::judges(&new).map_err(Error::Invalid)?;
        let (actor, now) = (trail.of(&caller), self.clock.now());
        let (is_rehearsal, may_lose) = (dry_run.0 == Some(true), allow_loss.0 == Some(true));

        let before = self.catalogues.current(caller.tenant()).await?;
        let (report, version) = self
            .db
            .write(caller.tenant(), move |tx| {
                let (old, version) = store::find(tx)?;
                if !expected.allows(version) {
                    return Err(Error::Stale);
                }
                let faults = changed_types(&old, &new);
                if !faults.is_empty() {
                    return Err(Error::Invalid(faults));
                }
                let mut lost = Vec::new();
                let is_kept = |name: &str| new.fields.iter().any(|it| it.name == name);
                for field in old.fields.iter().filter(|it| !is_kept(&it.name)) {
                    let accounts = store::count_values(tx, &field.name)?;
                    if 0 < accounts {
                        lost.push(LostField { name: field.name.clone(), accounts });
                    }
                }
                if old.fields.iter().any(|it| !is_kept(&it.name)) {
                    let faults = asked_by_rules(collections::faults_with(tx, &store::known_of_callers(&new))?);
                    if !faults.is_empty() {
                        return Err(Error::Invalid(faults));
                    }
                }
                let report = |lost| ProfileFieldsReport { fields: new.fields.clone(), lost };
                if is_rehearsal || new == old {
                    return Ok((report(lost), version));
                }
                if !lost.is_empty() && !may_lose {
                    return Err(Error::WouldLose { lost });
                }
                for gone in &lost {
                    store::delete_values(tx, &gone.name)?;
                }
                let version = store::set(tx, &new, now)?;
                collections::outdate(tx)?;
                let told = |it: &ProfileFields| it.to_json().unwrap_or_default();
                let entry = Entry::new(Action::ProfileFieldsChange).before(told(&old)).after(told(&new));
                actor.append(tx, now, &entry)?;
                Ok((report(lost), version))
            })
            .await?;
        if !is_rehearsal {
            // Rules that are saved from now on are judged by these fields.
            self.catalogues.newer_than(caller.tenant(), &before).await?;
        }

        Ok(Replaced::Report(Json(report), etag::of_version(version)))
    }
}

/// Rules that ask for a field which would be gone.
fn asked_by_rules(faults: BTreeMap<String, Vec<Fault>>) -> Vec<Fault> {
    let told = |collection: String, it: Fault| {
        let rule = it.pointer.trim_start_matches("/rules/").to_owned();
        let detail = format!("the rule `{rule}` of `{collection}` asks for a field that would be gone: {}", it.detail);
        Fault::new("/fields", "in-use", detail)
    };
    faults.into_iter().flat_map(|(name, faults)| faults.into_iter().map(move |it| told(name.clone(), it))).collect()
}

/// Fields that would get another type: what values they have would not fit.
fn changed_types(old: &ProfileFields, new: &ProfileFields) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (index, field) in new.fields.iter().enumerate() {
        let before = old.fields.iter().find(|it| it.name.eq_ignore_ascii_case(&field.name));
        if before.is_some_and(|it| it.field_type != field.field_type || it.name != field.name) {
            let detail = "of a field that is there stays as it is, and so does its name; remove the field first";
            faults.push(Fault::new(format!("/fields/{index}/type"), "conflict", detail));
        }
    }
    faults
}
