//! The endpoints of invitations: accounts that people make for themselves because somebody asked them to.
use poem::Request;
use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, OpenApi};
use serde_json::json;

use super::api::{AccountsApi, checked_email, checked_name};
use super::devices::Arrival;
use super::error::Error;
use super::invitations_model::{Acceptance, Invitation, InvitationId, InvitationList, InvitationState, NewInvitation};
use super::invitations_store as store;
use super::mail_job::{self, AccountMail};
use super::model::{Entered, USERS_READ, USERS_WRITE, User};
use super::one_time::Purpose;
use super::pending_store;
use super::signing_in::add;
use super::throttle;
use super::users_api::{must_be_given, must_hold_role};
use crate::base::{JobId, TenantId, Timestamp};
use crate::db::{self, Tx};
use crate::features::audit::{Action, Entry, Trail};
use crate::features::roles::{self, RoleName};
use crate::http::openapi::Tag;
use crate::http::paging::{ListPlace, Listed, Paging};
use crate::http::problem::{Fault, Problem};
use crate::http::query::{NoQuery, must_be_among};
use crate::http::{Browser, Caller, Client, ClientAddress, Input, Permissions, SentFrom};

const INVITATIONS: &str = "/api/v1/admin/invitations";
/// Most invitations that wait to be accepted: each is a mail to somebody who did not ask for it.
const OPEN_MAX: i64 = 1_000;

/// The endpoints of invitations, with what they need.
#[derive(Clone, Debug)]
pub struct InvitationsApi {
    pub accounts: AccountsApi,
}

#[derive(ApiResponse)]
enum Made {
    /// The invitation is on its way.
    #[oai(status = 201)]
    Invitation(Json<Invitation>),
}

#[derive(ApiResponse)]
enum SentAgain {
    /// It is on its way once more, and works from now on for as long as a new one.
    #[oai(status = 202)]
    Invitation(Json<Invitation>),
}

#[derive(ApiResponse)]
enum Gone {
    /// Its link does not work any more.
    #[oai(status = 204)]
    Gone,
}

#[derive(ApiResponse)]
enum Accepted {
    /// The account was made, and its owner is signed in.
    #[oai(status = 201)]
    Entered(Json<Entered>, #[oai(header = "Set-Cookie")] Option<String>),
}

#[derive(ApiResponse)]
enum Invitations {
    /// A page of invitations.
    #[oai(status = 200)]
    Page(Json<InvitationList>, #[oai(header = "Link")] Option<String>),
}

#[OpenApi(prefix_path = "/api/v1")]
impl InvitationsApi {
    /// Invite someone
    ///
    /// A link is sent to the address, with which they make themselves an account with this role, also where registration
    /// is closed. One to the same address from before does not work any more.
    #[oai(path = "/admin/invitations", method = "post", operation_id = "create_invitation", tag = "Tag::Users")]
    async fn create(
        &self,
        caller: Caller,
        trail: Trail,
        _query: NoQuery,
        body: Input<NewInvitation>,
    ) -> Result<Made, Problem> {
        caller.must(USERS_WRITE)?;

        let NewInvitation { email, role, name, tier, message } = body.read()?;
        let mut faults = Vec::new();
        let mut checked = |value: Result<String, Fault>| value.map_err(|it| faults.push(it)).unwrap_or_default();
        let email = checked(checked_email(&email));
        let name = checked(checked_name(&name.unwrap_or_default()));
        let message = checked_name(&message.unwrap_or_default());
        let message = checked(message.map_err(|it| Fault { pointer: "/message".to_owned(), ..it }));
        if !faults.is_empty() {
            return Err(Problem::invalid(faults));
        }
        let (own, tenant, now) = (&self.accounts, caller.tenant(), self.accounts.clock.now());
        self.count_mail(tenant, &email, now)?;
        let invitation = Invitation {
            id: own.random.id(&own.clock),
            email,
            name,
            role: role.unwrap_or_else(RoleName::user),
            tier,
            message,
            state: InvitationState::Open,
            invited_by: caller.name(),
            created_at: now,
            sent_at: now,
            expires_at: now.plus(own.config.get().invitation_lifetime()),
            accepted_at: None,
            user_id: None,
        };

        let (job, actor, inviter): (JobId, _, _) = (own.random.id(&own.clock), trail.of(&caller), caller.clone());
        let invitation = own
            .db
            .write(tenant, move |tx| {
                must_be_given(tx, &inviter, &invitation.role)?;
                if store::has_account(tx, &invitation.email)? {
                    return Err(Error::EmailTaken);
                }
                if OPEN_MAX <= store::count_open(tx, now)? {
                    return Err(Error::TooManyInvitations { max: OPEN_MAX });
                }
                // It takes the place of another's, which may be to more.
                if let Some(role) = store::find_open_role(tx, &invitation.email)? {
                    must_hold_role(tx, &inviter, &role)?;
                }
                store::insert(tx, &invitation)?;
                let told =
                    json!({ "email": invitation.email, "role": invitation.role.as_str(), "tier": invitation.tier });
                actor.append(tx, now, &about(Action::InvitationCreate, invitation.id).after(told))?;
                mail_job::promise(tx, job, &AccountMail::Invitation { id: invitation.id.to_string() }, now)?;
                Ok(invitation.clone())
            })
            .await?;

        Ok(Made::Invitation(Json(invitation)))
    }

    /// List invitations
    ///
    /// The newest first. Those that were accepted or expired stay for a month.
    #[oai(path = "/admin/invitations", method = "get", operation_id = "list_invitations", tag = "Tag::Users")]
    async fn list(
        &self,
        caller: Caller,
        /// Most invitations on a page: 1 to 500, or 30 if absent.
        limit: Query<Option<u64>>,
        /// `meta.nextCursor` of the page before.
        cursor: Query<Option<String>>,
        /// The number of a page, from 1; not beside `cursor`.
        page: Query<Option<u64>>,
        /// `exact` to get `meta.total`.
        count: Query<Option<String>>,
        request: &Request,
    ) -> Result<Invitations, Problem> {
        caller.must(USERS_READ)?;

        must_be_among(request, &["limit", "cursor", "page", "count"])?;
        let (own, now) = (&self.accounts, self.accounts.clock.now());
        let scope = format!("invitations {}", caller.tenant());
        let asked = Paging { limit: limit.0, cursor: cursor.0, page: page.0, count: count.0, ..Paging::default() };
        let page = asked.check(&own.cursors, &scope)?;
        let before = page.after.as_deref().and_then(|it| it.parse().ok());
        let (skip, wanted, with_total) = (page.skip, page.wanted(), page.with_total);

        let read = own
            .db
            .read(caller.tenant(), move |tx| {
                let total = if with_total { Some(store::count(tx)?) } else { None };
                Ok::<_, db::Error>((store::list(tx, before, skip, wanted, now)?, total))
            })
            .await?;

        let place = ListPlace { path: INVITATIONS, query: "", scope: &scope };
        let Listed { data, meta, link } = page.listed(&place, &own.cursors, read, |it| it.id.to_string());
        Ok(Invitations::Page(Json(InvitationList { data, meta }), link))
    }

    /// Send an invitation again
    ///
    /// It works for as long as a new one, and is one of whoever sends it again.
    #[oai(
        path = "/admin/invitations/:id/resend",
        method = "post",
        operation_id = "resend_invitation",
        tag = "Tag::Users"
    )]
    async fn resend(
        &self,
        caller: Caller,
        trail: Trail,
        _query: NoQuery,
        id: Path<String>,
    ) -> Result<SentAgain, Problem> {
        caller.must(USERS_WRITE)?;

        let id = read_id(&id)?;
        let (own, tenant, now) = (&self.accounts, caller.tenant(), self.accounts.clock.now());
        let found = own.db.read(tenant, move |tx| store::find(tx, id, now)).await?.ok_or(Error::NotFound)?;
        self.count_mail(tenant, &found.email, now)?;
        let expires_at = now.plus(own.config.get().invitation_lifetime());
        let (job, actor, sender): (JobId, _, _) = (own.random.id(&own.clock), trail.of(&caller), caller.clone());
        let invitation = own
            .db
            .write(tenant, move |tx| {
                let found = store::find(tx, id, now)?.ok_or(Error::NotFound)?;
                must_be_given(tx, &sender, &found.role)?;
                if [InvitationState::Accepted, InvitationState::Registered].contains(&found.state) {
                    return Err(Error::EmailTaken);
                }
                store::renew(tx, id, &sender.name(), now, expires_at)?;
                actor.append(tx, now, &about(Action::InvitationResend, id))?;
                mail_job::promise(tx, job, &AccountMail::Invitation { id: id.to_string() }, now)?;
                store::find(tx, id, now)?.ok_or(Error::NotFound)
            })
            .await?;

        Ok(SentAgain::Invitation(Json(invitation)))
    }

    /// Take an invitation back
    #[oai(path = "/admin/invitations/:id", method = "delete", operation_id = "delete_invitation", tag = "Tag::Users")]
    async fn delete(&self, caller: Caller, trail: Trail, _query: NoQuery, id: Path<String>) -> Result<Gone, Problem> {
        caller.must(USERS_WRITE)?;

        let id = read_id(&id)?;
        let (own, actor, now) = (&self.accounts, trail.of(&caller), self.accounts.clock.now());
        let taker = caller.clone();
        own.db
            .free(caller.tenant(), move |tx| {
                let found = store::find(tx, id, now)?.ok_or(Error::NotFound)?;
                must_hold_role(tx, &taker, &found.role)?;
                if !store::delete(tx, id)? {
                    return Err(Error::NotFound);
                }
                Ok(actor.append(tx, now, &about(Action::InvitationDelete, id))?)
            })
            .await?;

        Ok(Gone::Gone)
    }

    /// Accept an invitation
    ///
    /// With the secret of the link that was sent. The address counts as verified. Works once, also where registration is
    /// closed.
    #[oai(path = "/auth/accept-invitation", method = "post", operation_id = "accept_invitation", tag = "Tag::Accounts")]
    async fn accept(
        &self,
        _query: NoQuery,
        from: SentFrom,
        client: Client,
        browser: Browser,
        trail: Trail,
        body: Input<Acceptance>,
    ) -> Result<Accepted, Problem> {
        let Acceptance { token, password, name, session } = body.read()?;
        let way = self.accounts.way(session, &browser)?;
        let (own, tenant, now) = (&self.accounts, TenantId::main(), self.accounts.clock.now());
        let config = own.config.get();
        let attempt = throttle::attempt_setup(&own.kv, &config, from, now)?;
        let id = own.one_time.read_link(&tenant, Purpose::Invitation, &token).ok_or(Error::SecretInvalid)?;
        let id = InvitationId::from_uuid(id.uuid());
        let found = own.db.read(&tenant, move |tx| store::find(tx, id, now)).await?.ok_or(Error::SecretInvalid)?;
        must_be_open(&found)?;
        attempt.succeeded(&own.kv);
        let name = name.unwrap_or_else(|| found.name.clone());
        let newcomer = own.newcomer(&tenant, &found.email, password, Some(name), found.role.clone()).await?;
        let hash = own.passwords.hash(newcomer.password).await?;
        let user = User { tier: found.tier, email_verified: true, last_sign_in_at: Some(now), ..newcomer.user };
        let session = own.session(&config, user.id, Arrival::new(client, way), now);
        let (opened, actor) = (session.clone(), trail.of_user(user.id, &user.email));
        let welcome: JobId = own.random.id(&own.clock);

        let user = own
            .db
            .write(&tenant, move |tx| {
                // As it is now: the role may let them try more than a moment ago, the inviter less.
                let found = store::find(tx, id, now)?.ok_or(Error::SecretInvalid)?;
                must_be_open(&found)?;
                must_still_be_given(tx, &found, now)?;
                pending_store::make_room(tx, &user.email)?;
                let added = add(tx, &user, &hash)?;
                if !store::accept(tx, id, user.id, now)? {
                    return Err(Error::SecretInvalid);
                }
                store::set_invited(tx, &user)?;
                super::store::insert_session(tx, &opened)?;
                super::store::is_new_client(tx, user.id, &opened.client.name, now)?;
                let told = json!({ "email": user.email, "name": user.name, "role": user.role.as_str() });
                let entry = about(Action::InvitationAccept, id).after(told);
                actor.append(tx, now, &entry)?;
                mail_job::promise(tx, welcome, &AccountMail::Welcome { user: user.id.to_string() }, now)?;
                Ok(super::store::find_user(tx, user.id)?.unwrap_or(added))
            })
            .await?;

        let (entered, cookie) = own.admitted(&config, &tenant, &session, 0, user, way, now)?.entered();
        Ok(Accepted::Entered(Json(entered), cookie))
    }
}

impl InvitationsApi {
    /// Counts a mail to somebody who did not ask for it. Whoever invites a school invites many others.
    fn count_mail(&self, tenant: &TenantId, email: &str, now: Timestamp) -> Result<(), Error> {
        let own = &self.accounts;
        throttle::ask_for_mail(
            &own.kv,
            &own.config.get(),
            tenant,
            Purpose::Invitation,
            email,
            ClientAddress(None).into(),
            now,
        )
    }
}

fn must_be_open(invitation: &Invitation) -> Result<(), Error> {
    match invitation.state {
        InvitationState::Open => Ok(()),
        InvitationState::Registered => Err(Error::EmailTaken),
        InvitationState::Accepted | InvitationState::Expired => Err(Error::SecretInvalid),
    }
}

/// Refuses an invitation whose inviter could not send it any more.
fn must_still_be_given(tx: &mut Tx<'_>, invitation: &Invitation, now: Timestamp) -> Result<(), Error> {
    let given = roles::permissions_of(tx, &invitation.role)?.ok_or(Error::InvitationVoid)?;
    let by = invitation.invited_by.as_str();
    let theirs = match (by, by.strip_prefix("key:"), by.parse()) {
        ("operator", _, _) => Some(Permissions::All),
        (_, Some(key), _) => match key.parse() {
            Ok(key) => store::permissions_of_key(tx, key, now)?,
            Err(_) => None,
        },
        (_, None, Ok(user)) => roles::permissions_of_user(tx, user)?,
        (_, None, Err(_)) => None,
    };
    match theirs {
        Some(theirs) if theirs.allow(USERS_WRITE) && theirs.hold(&given) => Ok(()),
        _ => Err(Error::InvitationVoid),
    }
}

fn about(action: Action, id: InvitationId) -> Entry {
    Entry::new(action).about("invitation", &id)
}

fn read_id(id: &Path<String>) -> Result<InvitationId, Error> {
    id.0.parse().map_err(|_| Error::NotFound)
}
