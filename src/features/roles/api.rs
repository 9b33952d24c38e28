//! The endpoints of roles.
use std::fmt;
use std::sync::Arc;

use poem_openapi::param::{Header, Path};
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, OpenApi};
use serde_json::{Value, json};

use super::error::{Error, must_hold};
use super::inheritance;
use super::model::{NewRole, PermissionList, Role, RoleList, RoleName, RolePatch};
use super::store;
use super::vocabulary::{self, ROLES_READ, ROLES_WRITE};
use crate::base::Clock;
use crate::base::text::normal;
use crate::db::{Db, Tx};
use crate::features::audit::{Action, Entry, Trail};
use crate::features::events;
use crate::http::etag::{self, IfMatch};
use crate::http::openapi::Tag;
use crate::http::query::NoQuery;
use crate::http::{Caller, Fault, Input, Problem};

/// Most roles: each is a line in every list of them, and few people keep more than ten apart.
const ROLES_MAX: u64 = 200;

/// Told after the commit which role lets people try something else now.
#[derive(Clone)]
pub struct Felt(pub Arc<dyn Fn(&RoleName) + Send + Sync>);

impl fmt::Debug for Felt {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Felt")
    }
}

/// The endpoints of roles, with what they need.
#[derive(Clone, Debug)]
pub struct RolesApi {
    pub db: Db,
    pub clock: Clock,
    pub felt: Felt,
}

#[derive(ApiResponse)]
enum Made {
    /// The role was made.
    #[oai(status = 201)]
    Role(Json<Role>, #[oai(header = "ETag")] String, #[oai(header = "Location")] String),
}

#[derive(ApiResponse)]
enum Shown {
    /// The role as it is now.
    #[oai(status = 200)]
    Role(Json<Role>, #[oai(header = "ETag")] String),
}

#[derive(ApiResponse)]
enum Gone {
    /// The role is gone.
    #[oai(status = 204)]
    Gone,
}

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Users")]
impl RolesApi {
    /// List permissions
    ///
    /// All that there are, each with a sentence.
    #[oai(path = "/admin/permissions", method = "get", operation_id = "list_permissions")]
    async fn permissions(&self, caller: Caller, _query: NoQuery) -> Result<Json<PermissionList>, Problem> {
        caller.must(ROLES_READ)?;

        Ok(Json(PermissionList { data: vocabulary::all() }))
    }

    /// List roles
    ///
    /// All of them, each with the number of accounts that have it.
    #[oai(path = "/admin/roles", method = "get", operation_id = "list_roles")]
    async fn list(&self, caller: Caller, _query: NoQuery) -> Result<Json<RoleList>, Problem> {
        caller.must(ROLES_READ)?;

        let data = self.db.read(caller.tenant(), store::list).await?;

        Ok(Json(RoleList { data }))
    }

    /// Make a role
    ///
    /// It lets someone try no more than its maker may, with what it inherits. Its name stays.
    #[oai(path = "/admin/roles", method = "post", operation_id = "create_role")]
    async fn create(
        &self,
        caller: Caller,
        trail: Trail,
        _query: NoQuery,
        body: Input<NewRole>,
    ) -> Result<Made, Problem> {
        caller.must(ROLES_WRITE)?;

        let NewRole { name, description, permissions, inherits } = body.read()?;
        let reserved =
            name.is_reserved().then(|| Fault::new("/name", "reserved", "is what someone without a role is called"));
        let given = match (vocabulary::read(&permissions, "/permissions"), reserved) {
            (Ok(given), None) => given,
            (read, reserved) => {
                let faults = reserved.into_iter().chain(read.err().into_iter().flatten());
                return Err(Error::Invalid(faults.collect()).into());
            }
        };
        let now = self.clock.now();
        let role = Role {
            name,
            description: normal(&description.unwrap_or_default()),
            permissions: given.names(),
            inherits: inherits.unwrap_or_default(),
            effective_permissions: Vec::new(),
            built_in: false,
            users: 0,
            created_at: now,
            updated_at: now,
            version: 1,
        };

        let (actor, maker) = (trail.of(&caller), caller.clone());
        let role = self
            .db
            .write(caller.tenant(), move |tx| {
                if store::find(tx, &role.name)?.is_some() {
                    return Err(Error::NameTaken { name: role.name.clone() });
                }
                if ROLES_MAX <= store::count(tx)? {
                    return Err(Error::TooMany { max: ROLES_MAX });
                }
                let (role, _) = inheritance::settle(tx, role.clone(), now)?;
                must_hold(&maker, &role.granted())?;
                store::insert(tx, &role)?;
                actor.append(tx, now, &about(Action::RoleCreate, &role).after(told(&role)))?;
                Ok(role)
            })
            .await?;

        let location = format!("/api/v1/admin/roles/{}", role.name);
        let tag = etag::of_version(role.version);
        Ok(Made::Role(Json(role), tag, location))
    }

    /// Read a role
    #[oai(path = "/admin/roles/:name", method = "get", operation_id = "show_role")]
    async fn show(&self, caller: Caller, _query: NoQuery, name: Path<String>) -> Result<Shown, Problem> {
        caller.must(ROLES_READ)?;

        let name: RoleName = name.0.parse().map_err(|_| Error::NotFound)?;
        let role = self.db.get(caller.tenant(), move |tx| store::find(tx, &name)).await?;

        let role = role.ok_or(Error::NotFound)?;
        let tag = etag::of_version(role.version);
        Ok(Shown::Role(Json(role), tag))
    }

    /// Change a role
    ///
    /// What is absent stays. Everyone who has it, or a role that inherits from it, feels the change with their next
    /// request, and live connections within a moment. What it lets someone try before and after is no more than its changer
    /// may, and so is what the roles do that inherit from it and feel it.
    #[oai(path = "/admin/roles/:name", method = "patch", operation_id = "update_role")]
    async fn update(
        &self,
        caller: Caller,
        trail: Trail,
        _query: NoQuery,
        name: Path<String>,
        /// The `ETag` of the role that the change is meant for.
        #[oai(name = "If-Match")]
        if_match: Header<Option<String>>,
        body: Input<RolePatch>,
    ) -> Result<Shown, Problem> {
        caller.must(ROLES_WRITE)?;

        let RolePatch { description, permissions, inherits } = body.read()?;
        let expected = IfMatch::parse(if_match.0.as_deref())?;
        let name: RoleName = name.0.parse().map_err(|_| Error::NotFound)?;
        let given = permissions.map(|it| vocabulary::read(&it, "/permissions")).transpose().map_err(Error::Invalid)?;
        let (now, changer, actor) = (self.clock.now(), caller.clone(), trail.of(&caller));

        let (role, felt) = self
            .db
            .write(caller.tenant(), move |tx| {
                let mut role = find_to_change(tx, &name, &expected)?;
                must_hold(&changer, &role.granted())?;
                let (before, was) = (role.granted(), told(&role));
                if let Some(description) = &description {
                    role.description = normal(description);
                }
                if let Some(given) = &given {
                    if name.is_admin() && before != *given {
                        return Err(Error::AdminStays);
                    }
                    role.permissions = given.names();
                }
                if let Some(inherits) = &inherits {
                    if name.is_admin() && !inherits.is_empty() {
                        return Err(Error::AdminStays);
                    }
                    role.inherits.clone_from(inherits);
                }
                (role.version, role.updated_at) = (role.version + 1, now);
                let (role, heirs) = inheritance::settle(tx, role, now)?;
                must_hold(&changer, &role.granted())?;
                for heir in &heirs {
                    must_hold(&changer, &heir.before)?;
                    store::update(tx, &heir.role)?;
                }
                store::update(tx, &role)?;
                let mut felt: Vec<_> = heirs.into_iter().map(|it| it.role.name).collect();
                let mut is = told(&role);
                if !felt.is_empty() {
                    is["feltBy"] = felt.iter().map(RoleName::as_str).collect();
                }
                actor.append(tx, now, &about(Action::RoleChange, &role).before(was).after(is))?;
                if before != role.granted() {
                    felt.push(role.name.clone());
                }
                if !felt.is_empty() {
                    events::append_about_accounts(tx, now)?;
                }
                Ok((role, felt))
            })
            .await?;

        felt.iter().for_each(|it| (self.felt.0)(it));
        let tag = etag::of_version(role.version);
        Ok(Shown::Role(Json(role), tag))
    }

    /// Drop a role
    ///
    /// Refused as long as accounts have it, or other roles inherit from it, and to whoever may not all that it lets try.
    #[oai(path = "/admin/roles/:name", method = "delete", operation_id = "delete_role")]
    async fn delete(
        &self,
        caller: Caller,
        trail: Trail,
        _query: NoQuery,
        name: Path<String>,
        /// The `ETag` of the role that shall go.
        #[oai(name = "If-Match")]
        if_match: Header<Option<String>>,
    ) -> Result<Gone, Problem> {
        caller.must(ROLES_WRITE)?;

        let expected = IfMatch::parse(if_match.0.as_deref())?;
        let name: RoleName = name.0.parse().map_err(|_| Error::NotFound)?;
        let (actor, now, dropper) = (trail.of(&caller), self.clock.now(), caller.clone());
        self.db
            .free(caller.tenant(), move |tx| {
                let role = find_to_change(tx, &name, &expected)?;
                // Rules may ask for its name, which could be had anew.
                must_hold(&dropper, &role.granted())?;
                if role.built_in {
                    return Err(Error::AlwaysThere { name: role.name });
                }
                // Counted where it is dropped, so that nobody gets it in between.
                if 0 < role.users {
                    return Err(Error::InUse { name: role.name, users: role.users });
                }
                let heirs = store::heirs(tx, &name)?;
                if !heirs.is_empty() {
                    return Err(Error::Inherited { name: role.name, heirs });
                }
                store::delete(tx, &name)?;
                Ok(actor.append(tx, now, &about(Action::RoleDelete, &role).before(told(&role)))?)
            })
            .await?;

        Ok(Gone::Gone)
    }
}

fn about(action: Action, role: &Role) -> Entry {
    Entry::new(action).about("role", &role.name)
}

/// What the audit trail is told of a role.
fn told(role: &Role) -> Value {
    let inherits: Vec<_> = role.inherits.iter().map(RoleName::as_str).collect();
    json!({ "description": role.description, "permissions": role.permissions, "inherits": inherits })
}

fn find_to_change(tx: &mut Tx<'_>, name: &RoleName, expected: &IfMatch) -> Result<Role, Error> {
    let role = store::find(tx, name)?.ok_or(Error::NotFound)?;
    if expected.allows(role.version) { Ok(role) } else { Err(Error::Stale) }
}
