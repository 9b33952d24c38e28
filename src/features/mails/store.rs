//! The SQL of mails.
use super::brand::Brand;
use super::model::{MailId, MailInBox};
use super::suppression_store;
use super::templates::Words;
use crate::base::Timestamp;
use crate::db::{self, Row, Tx, Value};

/// The words of a template that an admin changed for those who read a language, and how often. `""`: for all others.
pub(super) fn find_words(tx: &mut Tx<'_>, name: &str, locale: &str) -> Result<Option<(Words, i64)>, db::Error> {
    tx.find(
        "SELECT subject, text_body, html_body, version FROM mail_words WHERE name = $1 AND locale = $2",
        &[name.into(), locale.into()],
        |row| {
            let text = |column| row.text(column).map(ToOwned::to_owned);
            Ok((Words { subject: text(0)?, text: text(1)?, html: text(2)? }, row.integer(3)?))
        },
    )
}

/// The changed words for those of these languages that have some, in their order.
pub(super) fn find_all_words(tx: &mut Tx<'_>, name: &str, locales: &[String]) -> Result<Vec<Words>, db::Error> {
    let mut found = Vec::new();
    for locale in locales {
        found.extend(find_words(tx, name, locale)?.map(|(words, _)| words));
    }
    Ok(found)
}

/// The languages for which a template has words of its own.
pub(super) fn list_locales(tx: &mut Tx<'_>, name: &str) -> Result<Vec<String>, db::Error> {
    let sql = "SELECT locale FROM mail_words WHERE name = $1 AND locale <> '' ORDER BY locale";
    tx.query(sql, &[name.into()], |row| row.text(0).map(ToOwned::to_owned))
}

/// Keeps changed words, and tells how often they were changed.
pub(super) fn set_words(
    tx: &mut Tx<'_>,
    name: &str,
    locale: &str,
    words: &Words,
    now: Timestamp,
) -> Result<i64, db::Error> {
    let Words { subject, text, html } = words;
    let version = tx.find(
        "INSERT INTO mail_words (name, locale, subject, text_body, html_body, version, updated_at)
         VALUES ($1, $2, $3, $4, $5, 1, $6)
         ON CONFLICT (name, locale) DO UPDATE SET subject = $3, text_body = $4, html_body = $5, version = version + 1,
                                                  updated_at = $6
         RETURNING version",
        &[name.into(), locale.into(), subject.into(), text.into(), html.into(), now.into()],
        |row| row.integer(0),
    )?;
    Ok(version.unwrap_or(1))
}

/// Goes back to the words for all others, and of those to the ones that are built in.
pub(super) fn delete_words(tx: &mut Tx<'_>, name: &str, locale: &str) -> Result<(), db::Error> {
    tx.execute("DELETE FROM mail_words WHERE name = $1 AND locale = $2", &[name.into(), locale.into()]).map(drop)
}

/// The looks, and how often they were changed.
pub(super) fn find_brand(tx: &mut Tx<'_>) -> Result<(Brand, i64), db::Error> {
    let found = tx.find("SELECT content, version FROM settings WHERE name = 'brand'", &[], |row| {
        let brand = serde_json::from_str(row.text(0)?);
        Ok((brand.map_err(|_| db::Error::Column { column: 0, expected: "a brand" })?, row.integer(1)?))
    })?;
    Ok(found.unwrap_or_default())
}

pub(super) fn set_brand(tx: &mut Tx<'_>, brand: &Brand, now: Timestamp) -> Result<i64, db::Error> {
    let content = serde_json::to_string(brand).unwrap_or_default();
    let version = tx.find(
        "INSERT INTO settings (name, content, version, updated_at) VALUES ('brand', $1, 1, $2)
         ON CONFLICT (name) DO UPDATE SET content = $1, version = version + 1, updated_at = $2
         RETURNING version",
        &[(&content).into(), now.into()],
        |row| row.integer(0),
    )?;
    Ok(version.unwrap_or(1))
}

const MAIL: &str = "id, template, to_address, subject, text_body, html_body, created_at";

fn read_mail(row: &Row<'_>) -> Result<MailInBox, db::Error> {
    let text = |column| row.text(column).map(ToOwned::to_owned);
    Ok(MailInBox {
        id: row.id(0)?,
        template: text(1)?,
        to: text(2)?,
        subject: text(3)?,
        text: text(4)?,
        html: text(5)?,
        created_at: row.timestamp(6)?,
    })
}

/// Puts a mail into the mailbox. One that lies there already stays as it is: a job may be done twice.
pub(super) fn insert_mail(tx: &mut Tx<'_>, mail: &MailInBox) -> Result<(), db::Error> {
    tx.execute(
        "INSERT INTO mailbox (id, template, to_address, subject, text_body, html_body, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)
         ON CONFLICT (id) DO NOTHING",
        &[
            mail.id.into(),
            (&mail.template).into(),
            (&mail.to).into(),
            (&mail.subject).into(),
            (&mail.text).into(),
            (&mail.html).into(),
            mail.created_at.into(),
        ],
    )
    .map(drop)
}

/// One page of mails, the newest first, before the mail `before`.
pub(super) fn list_mails(
    tx: &mut Tx<'_>,
    to: Option<&str>,
    before: Option<MailId>,
    skip: u64,
    limit: u64,
) -> Result<Vec<MailInBox>, db::Error> {
    let (limit, skip) = (Value::Integer(limit.cast_signed()), Value::Integer(skip.cast_signed()));
    let before = before.map(|it| it.to_string());
    let sql = format!(
        "SELECT {MAIL} FROM mailbox WHERE ($1 IS NULL OR to_address = $1) AND ($2 IS NULL OR id < $2)
         ORDER BY id DESC LIMIT $3 OFFSET $4"
    );
    tx.query(&sql, &[to.into(), before.into(), limit, skip], read_mail)
}

pub(super) fn count_mails(tx: &mut Tx<'_>, to: Option<&str>) -> Result<u64, db::Error> {
    let sql = "SELECT count(*) FROM mailbox WHERE ($1 IS NULL OR to_address = $1)";
    Ok(tx.find(sql, &[to.into()], |row| row.integer(0))?.unwrap_or(0).unsigned_abs())
}

pub(super) fn find_mail(tx: &mut Tx<'_>, id: MailId) -> Result<Option<MailInBox>, db::Error> {
    tx.find(&format!("SELECT {MAIL} FROM mailbox WHERE id = $1"), &[id.into()], read_mail)
}

/// False if there was no such mail.
pub(super) fn delete_mail(tx: &mut Tx<'_>, id: MailId) -> Result<bool, db::Error> {
    Ok(tx.execute("DELETE FROM mailbox WHERE id = $1", &[id.into()])? == 1)
}

pub(super) fn delete_all_mails(tx: &mut Tx<'_>) -> Result<(), db::Error> {
    tx.execute("DELETE FROM mailbox", &[]).map(drop)
}

/// Removes the mails to one address from the mailbox, and how many it got: it is nobody's any more. That nothing is to be
/// sent to it stays: whoever wished so has it still.
pub fn delete_mails_to(tx: &mut Tx<'_>, address: &str) -> Result<(), db::Error> {
    suppression_store::delete_counts_of(tx, address)?;
    tx.execute("DELETE FROM mailbox WHERE to_address = $1", &[address.into()]).map(drop)
}

/// Removes up to `limit` mails that are too old, or beyond the newest `most`, and tells how many.
pub(super) fn prune_mails(tx: &mut Tx<'_>, too_old: Timestamp, most: i64, limit: i64) -> Result<u64, db::Error> {
    tx.execute(
        "DELETE FROM mailbox WHERE id IN
            (SELECT id FROM mailbox
             WHERE created_at <= $1 OR id <= (SELECT id FROM mailbox ORDER BY id DESC LIMIT 1 OFFSET $2)
             ORDER BY id LIMIT $3)",
        &[too_old.into(), most.into(), limit.into()],
    )
}
