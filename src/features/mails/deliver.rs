//! Sending a mail, or keeping it where an admin reads it.
use super::brand::Brand;
use super::error::Error;
use super::model::{MailId, MailInBox};
use super::render::{Broken, render};
use super::store;
use super::templates::{self, Data, Template, Words};
use crate::base::{Clock, TenantId};
use crate::db::{Db, Tx};
use crate::mail::{self, Message, Postman};
use crate::work::queue::Failure;

/// Where mails go. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Mails {
    pub db: Db,
    pub clock: Clock,
    pub postman: Postman,
}

/// Something to tell someone.
#[derive(Clone, Debug)]
pub struct Letter {
    /// The same for each attempt, such as the id of the job.
    pub id: MailId,
    /// The name of its template.
    pub template: &'static str,
    pub to: String,
    /// What the template says: all its variables.
    pub data: Data,
}

impl Mails {
    /// Whether mails are sent, and do not land in the mailbox.
    pub fn are_sent(&self) -> bool {
        self.postman.is_set()
    }

    /// What the product is called, as people see it.
    pub async fn product_name(&self, tenant: &TenantId) -> Result<String, crate::db::Error> {
        self.db.read(tenant, |tx| Ok(store::find_brand(tx)?.0.product_name)).await
    }

    /// Sends a letter, or puts it into the mailbox, as a step of a job.
    pub async fn deliver(&self, tenant: &TenantId, letter: Letter) -> Result<(), Failure> {
        self.send(tenant, letter).await.map_err(|cause| match cause {
            Error::NotSent(mail::Error::Refused(why)) => Failure::Permanent(why),
            Error::NotFound | Error::Broken(_) => Failure::Permanent(cause.to_string()),
            Error::NotSent(mail::Error::NotNow(why)) => Failure::Temporary(why),
            Error::Stale | Error::Invalid(_) | Error::Db(_) => Failure::Temporary(crate::base::text::chain(&cause)),
        })
    }

    pub(super) async fn send(&self, tenant: &TenantId, letter: Letter) -> Result<(), Error> {
        let template = templates::named(letter.template).ok_or(Error::NotFound)?;
        let name = template.name;
        let (changed, brand) = self
            .db
            .read(tenant, move |tx| Ok::<_, crate::db::Error>((store::find_words(tx, name)?, store::find_brand(tx)?.0)))
            .await?;
        let Words { subject, text, html } = written(template, changed.map(|it| it.0), &brand, &letter.data)?;
        if self.postman.is_set() {
            let message = Message { id: letter.id.to_string(), to: letter.to, subject, text, html };
            return self.postman.send(&message).await.map_err(Error::NotSent);
        }
        let template = name.to_owned();
        let created_at = self.clock.now();
        let mail = MailInBox { id: letter.id, template, to: letter.to, subject, text, html, created_at };
        // Also when the disk is nearly full: whoever is to make room may need the code in it.
        self.db.free(tenant, move |tx: &mut Tx<'_>| store::insert_mail(tx, &mail)).await?;
        Ok(())
    }
}

/// The mail in the words of an admin, or in ours if those fail: nobody shall be locked out by a template.
fn written(template: &Template, changed: Option<Words>, brand: &Brand, data: &Data) -> Result<Words, Error> {
    if let Some(changed) = changed {
        match render(&changed, brand, data) {
            Ok(words) => return Ok(words),
            Err(broken) => {
                let why = broken.first().map(|it| format!("{}: {}", it.part, it.why)).unwrap_or_default();
                tracing::warn!(
                    template = template.name,
                    why,
                    "a changed mail cannot be made; the built-in one is sent"
                );
            }
        }
    }
    render(&template.built_in(), brand, data).map_err(|broken: Vec<Broken>| Error::Broken(broken))
}
