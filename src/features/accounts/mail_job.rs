//! The mails of accounts, written and sent by jobs.
//!
//! A job names an address, and finds out itself whether there is an account behind it: so whoever asks for a mail cannot
//! tell by the time that the answer takes. The secret of a link is made when its mail is, so its time begins then, and no
//! queue holds it. Each attempt makes another one: one that arrived although the server said it did not works too.
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::invitations_model::{InvitationId, InvitationState};
use super::model::User;
use super::one_time::{OneTimeSecrets, Purpose, Row};
use super::{device_store, invitations_store, one_time_store, preferences_store, store};
use crate::base::text::chain;
use crate::base::{Clock, JobId, Random, TenantId, Timestamp, UserId};
use crate::config::{AccountsConfig, ServerConfig, View};
use crate::db::{self, Db, Tx};
use crate::features::mails::{Data, Delivered, Letter, Mails};
use crate::http::Client;
use crate::work::queue::{self, Failure, Kind, NewJob, Ticket};

pub(super) const KIND: &str = "accounts.mail";

/// Mails that are sent beside each other.
const AT_ONCE: usize = 4;
/// The pauses between attempts: whoever waits for a code waits for minutes, and a mail server that is moved is back
/// within hours.
const PAUSES: &[Duration] = &[
    Duration::from_secs(5),
    Duration::from_secs(30),
    Duration::from_secs(120),
    Duration::from_secs(600),
    Duration::from_secs(3_600),
    Duration::from_secs(4 * 3_600),
    Duration::from_secs(12 * 3_600),
];

/// The preference that names the language someone reads mails in (RFC 5646).
const LOCALE: &str = "locale";

/// A mail that is to be sent.
#[derive(Debug)]
struct Written {
    template: &'static str,
    to: String,
    locale: Option<String>,
    data: Data,
}

/// What is to be told to whom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "mail", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub(super) enum AccountMail {
    /// Someone registered with the address, or wants to verify it.
    Verification {
        email: String,
    },
    /// Someone tried to register with it, and it has an account.
    AlreadyRegistered {
        email: String,
    },
    /// Someone wants to sign in with it.
    Code {
        email: String,
    },
    ResetPassword {
        email: String,
    },
    /// Someone wants to have it from now on.
    ChangeEmail {
        user: String,
        email: String,
        /// How often the password had been replaced when it was asked for: what somebody asks for who knew the one before
        /// is not sent any more. Absent in jobs of before; those are not done.
        #[serde(default)]
        generation: Option<i64>,
    },
    Welcome {
        user: String,
    },
    /// Somebody is invited who has no account yet.
    Invitation {
        id: String,
    },
    PasswordChanged {
        user: String,
        at: i64,
        client: String,
        address: String,
        // Jobs of before this was told have none.
        #[serde(default)]
        keys: u64,
        #[serde(default)]
        revoked_keys: u64,
    },
    /// They have a new API key, or one with another secret.
    ApiKeyChanged {
        user: String,
        key: String,
        is_new: bool,
        at: i64,
        client: String,
        address: String,
    },
    /// Somebody began to act as them.
    Impersonated {
        user: String,
        at: i64,
    },
    /// It had been theirs.
    EmailChanged {
        user: String,
        email: String,
        at: i64,
    },
    SecondFactorChanged {
        user: String,
        is_on: bool,
        at: i64,
        client: String,
        address: String,
    },
    /// Too many wrong codes were shown for them, by somebody who knew their password.
    SecondFactorGuessed {
        user: String,
        at: i64,
    },
    /// The account is theirs alone now: what others may have made of it is gone.
    Emptied {
        user: String,
    },
    NewSignIn {
        user: String,
        at: i64,
        client: String,
        address: String,
    },
}

impl AccountMail {
    /// With how many API keys go on working, and how many were revoked.
    pub(super) fn password_changed(user: &User, client: &Client, at: Timestamp, keys: u64, revoked_keys: u64) -> Self {
        let Client { name, address } = client.clone();
        let (user, at) = (user.id.to_string(), at.millis());
        Self::PasswordChanged { user, at, client: name, address, keys, revoked_keys }
    }

    pub(super) fn second_factor_changed(user: UserId, is_on: bool, client: &Client, at: Timestamp) -> Self {
        let Client { name, address } = client.clone();
        Self::SecondFactorChanged { user: user.to_string(), is_on, at: at.millis(), client: name, address }
    }
}

/// Has a mail sent once this transaction is on the disk.
pub(super) fn promise(tx: &mut Tx<'_>, id: JobId, mail: &AccountMail, now: Timestamp) -> Result<(), db::Error> {
    let payload = serde_json::to_string(mail).unwrap_or_default();
    queue::insert(tx, &NewJob { id, kind: KIND, payload, due_at: now, created_at: now })
}

/// Has someone told that they have a new API key, or one with another secret.
pub fn tell_of_key(
    tx: &mut Tx<'_>,
    id: JobId,
    owner: UserId,
    key: &str,
    is_new: bool,
    client: &Client,
    now: Timestamp,
) -> Result<(), db::Error> {
    let (Client { name: client, address }, at) = (client.clone(), now.millis());
    let mail = AccountMail::ApiKeyChanged { user: owner.to_string(), key: key.to_owned(), is_new, at, client, address };
    promise(tx, id, &mail, now)
}

/// Writes the mails of accounts. Cheap to clone.
#[derive(Clone, Debug)]
pub struct AccountMails {
    pub db: Db,
    pub clock: Clock,
    pub random: Random,
    pub config: View<AccountsConfig>,
    pub server: View<ServerConfig>,
    pub mails: Mails,
    pub one_time: Arc<OneTimeSecrets>,
}

impl AccountMails {
    /// The kind of jobs that sends them.
    pub fn kind(self) -> Kind {
        Kind::new(KIND, AT_ONCE, PAUSES, move |ticket| {
            let own = self.clone();
            async move { own.run(ticket).await }
        })
    }

    async fn run(&self, ticket: Ticket) -> Result<(), Failure> {
        let mail: AccountMail = serde_json::from_value(ticket.payload.clone())
            .map_err(|cause| Failure::Permanent(format!("it is of another version: {cause}")))?;
        let written = self.write(&ticket.tenant, mail).await.map_err(|it| Failure::Temporary(chain(&it)))?;
        let Some(Written { template, to, locale, data }) = written else { return Ok(()) };
        let id = crate::base::Id::from_uuid(ticket.id.uuid());
        match self.mails.deliver(&ticket.tenant, Letter { id, template, to, locale, data }).await? {
            Delivered::Done => Ok(()),
            Delivered::Withheld(why) => ticket.note(&why).await.map_err(|it| Failure::Temporary(chain(&it))),
        }
    }

    /// The mail; nothing if there is nobody to tell, or nothing to tell any more.
    async fn write(&self, tenant: &TenantId, mail: AccountMail) -> Result<Option<Written>, db::Error> {
        use AccountMail::{
            AlreadyRegistered, ApiKeyChanged, ChangeEmail, Code, EmailChanged, Emptied, Impersonated, Invitation,
            NewSignIn, PasswordChanged, ResetPassword, SecondFactorChanged, SecondFactorGuessed, Verification, Welcome,
        };
        let user = match &mail {
            Verification { email } | AlreadyRegistered { email } | Code { email } | ResetPassword { email } => {
                self.by_email(tenant, email.clone()).await?
            }
            ChangeEmail { user, .. }
            | Welcome { user }
            | Emptied { user }
            | Impersonated { user, .. }
            | ApiKeyChanged { user, .. }
            | PasswordChanged { user, .. }
            | EmailChanged { user, .. }
            | SecondFactorChanged { user, .. }
            | SecondFactorGuessed { user, .. }
            | NewSignIn { user, .. } => self.by_id(tenant, user).await?,
            Invitation { id } => return self.invitation(tenant, id).await,
        };
        let Some(user) = user else { return Ok(None) };
        // What somebody called themselves who need not have the address is no greeting for whoever reads its mails.
        let is_theirs = user.email_verified && !matches!(mail, ChangeEmail { .. });
        let name = if is_theirs { user.name.clone() } else { String::new() };
        let mut data = Data::from([("name", name), ("email", user.email.clone())]);
        let (template, to) = match mail {
            Verification { .. } if user.email_verified => return Ok(None),
            AlreadyRegistered { .. } => ("already-registered", user.email.clone()),
            Verification { .. } => {
                self.add_secret(tenant, &user, Purpose::VerifyEmail, &user.email, &mut data).await?;
                ("verification", user.email.clone())
            }
            Code { .. } => {
                self.add_secret(tenant, &user, Purpose::SignIn, &user.email, &mut data).await?;
                ("code", user.email.clone())
            }
            ResetPassword { .. } => {
                self.add_secret(tenant, &user, Purpose::ResetPassword, &user.email, &mut data).await?;
                ("reset-password", user.email.clone())
            }
            ChangeEmail { email, generation, .. } => {
                let id = user.id;
                if generation != Some(self.db.read(tenant, move |tx| device_store::generation(tx, id)).await?) {
                    return Ok(None);
                }
                self.add_secret(tenant, &user, Purpose::ChangeEmail, &email, &mut data).await?;
                data.insert("email", email.clone());
                ("change-email", email)
            }
            // Written above: there is no account that it is about.
            Invitation { .. } => return Ok(None),
            Welcome { .. } => ("welcome", user.email.clone()),
            Emptied { .. } => ("account-emptied", user.email.clone()),
            ApiKeyChanged { key, is_new, at, client, address, .. } => {
                let change = if is_new { "made" } else { "rotated" };
                data.extend([("key", key), ("change", change.to_owned())]);
                data.extend([("time", minute(at)), ("client", client), ("address", address)]);
                ("api-key-changed", user.email.clone())
            }
            PasswordChanged { at, client, address, keys, revoked_keys, .. } => {
                data.extend([("keys", keys.to_string()), ("revokedKeys", revoked_keys.to_string())]);
                data.extend([("time", minute(at)), ("client", client), ("address", address)]);
                ("password-changed", user.email.clone())
            }
            Impersonated { at, .. } => {
                data.insert("time", minute(at));
                ("impersonated", user.email.clone())
            }
            SecondFactorGuessed { at, .. } => {
                data.insert("time", minute(at));
                ("second-factor-guessed", user.email.clone())
            }
            EmailChanged { email, at, .. } => {
                data.extend([("time", minute(at)), ("newEmail", user.email.clone()), ("email", email.clone())]);
                ("email-changed", email)
            }
            SecondFactorChanged { is_on, at, client, address, .. } => {
                let state = if is_on { "on" } else { "off" };
                data.extend([
                    ("time", minute(at)),
                    ("client", client),
                    ("address", address),
                    ("state", state.to_owned()),
                ]);
                ("second-factor-changed", user.email.clone())
            }
            NewSignIn { at, client, address, .. } => {
                data.extend([("time", minute(at)), ("client", client), ("address", address)]);
                ("new-sign-in", user.email.clone())
            }
        };
        let locale = self.locale(tenant, user.id).await?;
        Ok(Some(Written { template, to, locale, data }))
    }

    /// The language that someone's preferences name, if there is one.
    async fn locale(&self, tenant: &TenantId, user: UserId) -> Result<Option<String>, db::Error> {
        let (preferences, _) = self.db.read(tenant, move |tx| preferences_store::find(tx, user)).await?;
        Ok(preferences.0.get(LOCALE).and_then(|it| it.as_str()).map(ToOwned::to_owned))
    }

    /// The mail of an invitation that can still be accepted. Nobody knows the language of its receiver.
    async fn invitation(&self, tenant: &TenantId, id: &str) -> Result<Option<Written>, db::Error> {
        let (Ok(id), now): (Result<InvitationId, _>, _) = (id.parse(), self.clock.now()) else { return Ok(None) };
        let found = self
            .db
            .read(tenant, move |tx| {
                let found = invitations_store::find(tx, id, now)?;
                let Some(found) = found.filter(|it| it.state == InvitationState::Open) else { return Ok(None) };
                let inviter = match found.invited_by.parse() {
                    Ok(inviter) => store::find_user(tx, inviter)?.map(|it| it.name),
                    Err(_) => None,
                };
                Ok::<_, db::Error>(Some((found, inviter.unwrap_or_default())))
            })
            .await?;
        let Some((found, inviter)) = found else { return Ok(None) };
        let secret = self.one_time.link(tenant, Purpose::Invitation, crate::base::Id::from_uuid(id.uuid()));
        let days = now.until(found.expires_at).as_secs().div_ceil(24 * 3_600);
        let data = Data::from([
            ("name", found.name),
            ("email", found.email.clone()),
            ("inviter", inviter),
            ("message", found.message),
            ("days", days.to_string()),
            ("link", self.address(&self.config.get(), Purpose::Invitation, &secret)),
        ]);
        Ok(Some(Written { template: "invitation", to: found.email, locale: None, data }))
    }

    async fn by_email(&self, tenant: &TenantId, email: String) -> Result<Option<User>, db::Error> {
        self.db
            .read(tenant, move |tx| match store::find_user_and_hash(tx, &email)? {
                Some((id, _)) => store::find_user(tx, id),
                None => Ok(None),
            })
            .await
    }

    async fn by_id(&self, tenant: &TenantId, id: &str) -> Result<Option<User>, db::Error> {
        let Ok(id) = id.parse() else { return Ok(None) };
        self.db.read(tenant, move |tx| store::find_user(tx, id)).await
    }

    /// Makes a secret for someone and adds it to what their mail says.
    async fn add_secret(
        &self,
        tenant: &TenantId,
        user: &User,
        purpose: Purpose,
        email: &str,
        data: &mut Data,
    ) -> Result<(), db::Error> {
        let (config, now) = (self.config.get(), self.clock.now());
        let lifetime = match purpose {
            Purpose::VerifyEmail => Duration::from_secs(config.verification_link_hours * 3_600),
            Purpose::ResetPassword
            | Purpose::SignIn
            | Purpose::ChangeEmail
            | Purpose::SecondFactor
            | Purpose::Invitation => Duration::from_secs(config.reset_link_minutes * 60),
        };
        let (id, expires_at) = (self.random.id(&self.clock), now.plus(lifetime));
        let (user, email) = (user.id, email.to_owned());
        let row = Row { id, user, purpose, email, device: None, created_at: now, expires_at };
        // Also when the disk is nearly full: whoever is to make room may have forgotten the password.
        self.db.free(tenant, move |tx| one_time_store::insert(tx, &row)).await?;
        data.insert("link", self.address(&config, purpose, &self.one_time.link(tenant, purpose, id)));
        if purpose.has_code() {
            data.insert("code", self.one_time.code(tenant, purpose, id));
        }
        data.insert("minutes", (lifetime.as_secs() / 60).to_string());
        data.insert("codeMinutes", config.code_minutes.to_string());
        Ok(())
    }

    /// Where a link leads: to the app, or to a page of ours. Never to a host that a request named.
    fn address(&self, config: &AccountsConfig, purpose: Purpose, secret: &str) -> String {
        let (of_app, own) = match purpose {
            Purpose::VerifyEmail | Purpose::ChangeEmail => (&config.link_verify_email, Some("verify-email")),
            Purpose::Invitation => (&config.link_invitation, Some("accept-invitation")),
            Purpose::ResetPassword => (&config.link_reset_password, Some("reset-password")),
            Purpose::SignIn | Purpose::SecondFactor => (&config.link_sign_in, None),
        };
        match own {
            _ if !of_app.is_empty() => of_app.replace("{token}", secret),
            Some(page) => format!("{}/{page}?token={secret}", self.server.get().url()),
            None => String::new(),
        }
    }
}

/// A moment as people read it.
fn minute(millis: i64) -> String {
    let text = Timestamp::from_millis(millis).to_string().replace('T', " ");
    format!("{} UTC", text.get(..16).unwrap_or(&text))
}
