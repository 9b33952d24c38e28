//! Sending a mail, or keeping it where an admin reads it.
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::brand::Brand;
use super::error::Error;
use super::model::{MailId, MailInBox};
use super::references::References;
use super::render::{Broken, render};
use super::suppression::{DETAIL_CHARS_MAX, MailSuppression, SuppressionReason};
use super::suppression_store::{self, SUPPRESSIONS_MAX};
use super::templates::{self, Data, Template, Words};
use super::{locale, store};
use crate::base::text::{chain, normalize_email};
use crate::base::{Clock, Random, TenantId, Timestamp};
use crate::db::{self, Db, Tx};
use crate::features::audit::{Action, Actor, Entry};
use crate::mail::{self, Message, Postman};
use crate::work::queue::Failure;

/// Where mails go. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Mails {
    pub db: Db,
    pub clock: Clock,
    pub random: Random,
    pub postman: Postman,
    pub references: Arc<References>,
}

/// Something to tell someone.
#[derive(Clone, Debug)]
pub struct Letter {
    /// The same for each attempt, such as the id of the job.
    pub id: MailId,
    /// The name of its template.
    pub template: &'static str,
    pub to: String,
    /// The language of the receiver, as they wrote it; its words are taken if there are some.
    pub locale: Option<String>,
    /// What the template says: all its variables.
    pub data: Data,
}

/// What became of a letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivered {
    /// It was sent, or lies in the mailbox.
    Done,
    /// It was not sent and will not be, for this reason.
    Withheld(String),
}

impl Mails {
    /// Whether mails are sent, and do not land in the mailbox.
    pub fn are_sent(&self) -> bool {
        self.postman.is_set()
    }

    /// What the product is called, as people see it.
    pub async fn product_name(&self, tenant: &TenantId) -> Result<String, db::Error> {
        self.db.read(tenant, |tx| Ok(store::find_brand(tx)?.0.product_name)).await
    }

    /// Sends a letter, or puts it into the mailbox, as a step of a job.
    pub async fn deliver(&self, tenant: &TenantId, letter: Letter) -> Result<Delivered, Failure> {
        match self.send(tenant, letter).await {
            Ok(_) => Ok(Delivered::Done),
            Err(cause @ (Error::Suppressed { .. } | Error::EnoughToday { .. })) => {
                Ok(Delivered::Withheld(format!("not sent: {cause}")))
            }
            Err(Error::NotSent(mail::Error::Refused(why) | mail::Error::NoSuchReceiver(why))) => {
                Err(Failure::Permanent(why))
            }
            Err(Error::NotSent(mail::Error::NotNow(why))) => Err(Failure::Temporary(why)),
            Err(cause @ (Error::Stale | Error::Invalid(_) | Error::Db(_))) => Err(Failure::Temporary(chain(&cause))),
            Err(cause) => Err(Failure::Permanent(cause.to_string())),
        }
    }

    /// Sends a letter, and answers with the name of the server that took it; nothing if it lies in the mailbox.
    pub(super) async fn send(&self, tenant: &TenantId, letter: Letter) -> Result<Option<String>, Error> {
        let template = templates::named(letter.template).ok_or(Error::NotFound)?;
        let (name, locales) = (template.name, locale::fallbacks(letter.locale.as_deref()));
        let to = normalize_email(&letter.to).unwrap_or_else(|_| letter.to.clone());
        let address = to.clone();
        let (changed, brand, suppressed) = self
            .db
            .read(tenant, move |tx| {
                let suppressed = suppression_store::find(tx, &address)?;
                Ok::<_, db::Error>((store::find_all_words(tx, name, &locales)?, store::find_brand(tx)?.0, suppressed))
            })
            .await?;
        if let Some(MailSuppression { reason, .. }) = suppressed {
            return Err(Error::Suppressed { address: to, reason });
        }
        let Words { subject, text, html } = written(template, &changed, &brand, &letter.data)?;
        if self.postman.is_set() {
            let id = self.references.reference(tenant, letter.id, &to);
            let message = Message { id, to: letter.to, subject, text, html };
            let most = if template.is_notice() { None } else { self.postman.mails_per_recipient_max() };
            return self.hand_over(tenant, &to, &message, most).await.map(Some);
        }
        let template = name.to_owned();
        let created_at = self.clock.now();
        let mail = MailInBox { id: letter.id, template, to: letter.to, subject, text, html, created_at };
        // Also when the disk is nearly full: whoever is to make room may need the code in it.
        self.db.free(tenant, move |tx: &mut Tx<'_>| store::insert_mail(tx, &mail)).await?;
        Ok(None)
    }

    /// Has a mail sent, unless its receiver had the most for today, and remembers if there is no such receiver.
    async fn hand_over(
        &self,
        tenant: &TenantId,
        to: &str,
        message: &Message,
        most: Option<u32>,
    ) -> Result<String, Error> {
        let now = self.clock.now();
        if let Some(most) = most {
            let address = to.to_owned();
            let count = move |tx: &mut Tx<'_>| suppression_store::count_mail(tx, &address, now, most);
            if !self.db.free::<_, db::Error>(tenant, count).await? {
                let millis = suppression_store::millis_left(now).unsigned_abs();
                return Err(Error::EnoughToday { most, wait: Duration::from_millis(millis) });
            }
        }
        let refusal = match self.postman.send(message).await {
            Ok(server) => return Ok(server),
            Err(refusal) => refusal,
        };
        if most.is_some() {
            let address = to.to_owned();
            let uncount = move |tx: &mut Tx<'_>| suppression_store::uncount_mail(tx, &address, now);
            self.db.free::<_, db::Error>(tenant, uncount).await?;
        }
        if let mail::Error::NoSuchReceiver(why) = &refusal {
            self.suppress(tenant, to, SuppressionReason::Bounce, why, Actor::server()).await?;
        }
        Err(Error::NotSent(refusal))
    }

    /// Sends nothing to an address from now on. Answers with what there is then: it may have been there before. Nothing if
    /// there is no room for it.
    pub(super) async fn suppress(
        &self,
        tenant: &TenantId,
        address: &str,
        reason: SuppressionReason,
        detail: &str,
        actor: Actor,
    ) -> Result<Option<MailSuppression>, Error> {
        let fresh = self.suppression(address, reason, detail);
        let now = self.clock.now();
        let kept = self.db.free(tenant, move |tx: &mut Tx<'_>| {
            if SUPPRESSIONS_MAX <= suppression_store::count(tx, None)? && !suppression_store::make_room(tx)? {
                return suppression_store::find(tx, &fresh.address);
            }
            add(tx, &fresh, &actor, now).map(|(kept, _)| Some(kept))
        });
        let kept = kept.await?;
        if kept.is_none() {
            tracing::warn!(most = SUPPRESSIONS_MAX, "no room to remember an address to which nothing is to be sent");
        }
        Ok(kept)
    }

    pub(super) fn suppression(&self, address: &str, reason: SuppressionReason, detail: &str) -> MailSuppression {
        MailSuppression {
            id: self.random.id(&self.clock),
            address: address.to_owned(),
            reason,
            detail: detail.chars().take(DETAIL_CHARS_MAX).collect(),
            created_at: self.clock.now(),
        }
    }
}

/// Adds an address and says so in the trail, unless it is there. Answers with what there is then, and whether it is new.
pub(super) fn add(
    tx: &mut Tx<'_>,
    fresh: &MailSuppression,
    actor: &Actor,
    now: Timestamp,
) -> Result<(MailSuppression, bool), db::Error> {
    if let Some(kept) = suppression_store::find(tx, &fresh.address)? {
        return Ok((kept, false));
    }
    suppression_store::insert(tx, fresh)?;
    let after = json!({ "reason": fresh.reason.name(), "detail": fresh.detail });
    actor.append(tx, now, &Entry::new(Action::MailSuppress).about("email", &fresh.address).after(after))?;
    Ok((fresh.clone(), true))
}

/// The mail in the first words of an admin that do not fail, or in ours: nobody shall be locked out by a template.
fn written(template: &Template, changed: &[Words], brand: &Brand, data: &Data) -> Result<Words, Error> {
    for words in changed {
        match render(words, brand, data) {
            Ok(words) => return Ok(words),
            Err(broken) => {
                let why = broken.first().map(|it| format!("{}: {}", it.part, it.why)).unwrap_or_default();
                tracing::warn!(template = template.name, why, "a changed mail cannot be made; the next best is sent");
            }
        }
    }
    render(&template.built_in(), brand, data).map_err(|broken: Vec<Broken>| Error::Broken(broken))
}
