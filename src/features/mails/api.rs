//! The endpoints of mails: their words, their looks, and a test.
use poem::Request;
use poem_openapi::param::{Header, Path, Query};
use poem_openapi::payload::Json;
use poem_openapi::types::Example;
use poem_openapi::{ApiResponse, OpenApi};
use serde_json::json;

use super::brand::{Brand, BrandPatch};
use super::deliver::{Letter, Mails};
use super::error::Error;
use super::model::{
    Kept, MAIL_ADMIN, MAIL_READ, MAIL_WRITE, MailDkimRecord, MailTemplate, MailTemplateList, MailWords, TestMail,
    TestMailSent,
};
use super::render::render;
use super::templates::{self, Data, TEMPLATES, Template, Words};
use super::{locale, store};
use crate::base::Random;
use crate::base::text::normalize_email;
use crate::db::{self, Tx};
use crate::features::audit::{Action, Entry, Trail};
use crate::http::etag::{self, IfMatch};
use crate::http::openapi::Tag;
use crate::http::problem::Fault;
use crate::http::query::{NoQuery, must_be_among};
use crate::http::{Caller, Input, Problem};
use crate::mail::Record;

/// Most languages that a template has words of its own for: more than any product speaks.
const LOCALES_MAX: usize = 100;

/// The endpoints of mails, with what they need.
#[derive(Clone, Debug)]
pub struct MailsApi {
    pub mails: Mails,
    pub random: Random,
}

#[derive(ApiResponse)]
enum Shown {
    /// The template as it is now.
    #[oai(status = 200)]
    Template(Json<MailTemplate>, #[oai(header = "ETag")] String),
}

#[derive(ApiResponse)]
enum Looks {
    /// The looks as they are now.
    #[oai(status = 200)]
    Brand(Json<Brand>, #[oai(header = "ETag")] String),
}

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Mail")]
impl MailsApi {
    /// List kinds of mail
    #[oai(path = "/admin/mail/templates", method = "get", operation_id = "list_mail_templates")]
    async fn list(&self, caller: Caller, _query: NoQuery) -> Result<Json<MailTemplateList>, Problem> {
        caller.must(MAIL_READ)?;

        let read = |tx: &mut Tx<'_>| {
            TEMPLATES.iter().map(|it| Ok(MailTemplate::new(it, kept(tx, it, String::new())?))).collect()
        };
        let data = self.mails.db.read::<Vec<_>, db::Error>(caller.tenant(), read).await?;

        Ok(Json(MailTemplateList { data }))
    }

    /// Read a kind of mail
    ///
    /// In the words for a language those are told that its readers get: if it has none of its own, those of the language
    /// around it (`de` for `de-AT`), or those for all others.
    #[oai(path = "/admin/mail/templates/:name", method = "get", operation_id = "show_mail_template")]
    async fn show(
        &self,
        caller: Caller,
        name: Path<String>,
        /// A language tag, such as `de` or `de-AT`.
        locale: Query<Option<String>>,
        request: &Request,
    ) -> Result<Shown, Problem> {
        caller.must(MAIL_READ)?;

        let (template, locale) = (named(&name)?, asked(request, locale)?);
        let read = move |tx: &mut Tx<'_>| kept(tx, template, locale.clone());
        let found = self.mails.db.read(caller.tenant(), read).await?;

        Ok(shown(MailTemplate::new(template, found)))
    }

    /// Change the words of a mail
    ///
    /// They are tried with the examples of the variables first. With a language they are for its readers, who are those
    /// with that `locale` among their preferences, and otherwise for all others.
    #[oai(path = "/admin/mail/templates/:name", method = "put", operation_id = "replace_mail_template")]
    #[expect(clippy::too_many_arguments, reason = "each stands in the document")]
    async fn replace(
        &self,
        caller: Caller,
        name: Path<String>,
        /// A language tag, such as `de` or `de-AT`.
        locale: Query<Option<String>>,
        /// The `ETag` of the words that the change is meant for.
        #[oai(name = "If-Match")]
        if_match: Header<Option<String>>,
        trail: Trail,
        request: &Request,
        body: Input<MailWords>,
    ) -> Result<Shown, Problem> {
        caller.must(MAIL_ADMIN)?;

        let (template, expected) = (named(&name)?, IfMatch::parse(if_match.0.as_deref())?);
        let locale = asked(request, locale)?;
        let words = Words::from(body.read()?);
        render(&words, &Brand::example(), &template.example()).map_err(Error::Broken)?;
        let now = self.mails.clock.now();

        let actor = trail.of(&caller);
        let kept = self
            .mails
            .db
            .write(caller.tenant(), move |tx| {
                let before = kept(tx, template, locale.clone())?;
                if !expected.allows(before.own.as_ref().map_or(0, |it| it.1)) {
                    return Err(Error::Stale);
                }
                if before.own.is_none() && !locale.is_empty() && LOCALES_MAX <= before.locales.len() {
                    let detail = format!("would be more than {LOCALES_MAX} languages");
                    return Err(Error::Invalid(vec![Fault::new("?locale", "too-many", detail)]));
                }
                let Words { subject, text, html } = &words;
                let after = json!({ "subject": subject, "text": text, "html": html });
                let about = about(template, &locale);
                actor.append(tx, now, &Entry::new(Action::MailWordsChange).about("mail", &about).after(after))?;
                store::set_words(tx, template.name, &locale, &words, now)?;
                Ok(kept(tx, template, locale.clone())?)
            })
            .await?;

        Ok(shown(MailTemplate::new(template, kept)))
    }

    /// Go back to the built-in words of a mail
    ///
    /// With a language, to the words that its readers get without any of their own.
    #[oai(path = "/admin/mail/templates/:name", method = "delete", operation_id = "reset_mail_template")]
    async fn reset(
        &self,
        caller: Caller,
        name: Path<String>,
        /// A language tag, such as `de` or `de-AT`.
        locale: Query<Option<String>>,
        trail: Trail,
        request: &Request,
    ) -> Result<Shown, Problem> {
        caller.must(MAIL_ADMIN)?;

        let (template, actor, now) = (named(&name)?, trail.of(&caller), self.mails.clock.now());
        let locale = asked(request, locale)?;
        let kept = self
            .mails
            .db
            .free(caller.tenant(), move |tx| {
                store::delete_words(tx, template.name, &locale)?;
                let entry = Entry::new(Action::MailWordsChange).about("mail", &about(template, &locale));
                actor.append(tx, now, &entry)?;
                kept(tx, template, locale.clone())
            })
            .await?;

        Ok(shown(MailTemplate::new(template, kept)))
    }

    /// Look at a mail
    ///
    /// As it would be with these words, or with those that it has, and with the examples of the variables.
    #[oai(path = "/admin/mail/templates/:name/preview", method = "post", operation_id = "preview_mail_template")]
    async fn preview(
        &self,
        caller: Caller,
        name: Path<String>,
        /// A language tag, such as `de` or `de-AT`.
        locale: Query<Option<String>>,
        request: &Request,
        body: Input<Option<MailWords>>,
    ) -> Result<Json<MailWords>, Problem> {
        caller.must(MAIL_READ)?;

        let (template, locale) = (named(&name)?, asked(request, locale)?);
        let (sent, locales) = (body.read()?, locale::fallbacks(Some(&locale)));
        let (kept, brand) = self
            .mails
            .db
            .read(caller.tenant(), move |tx| {
                Ok::<_, db::Error>((store::find_all_words(tx, template.name, &locales)?, store::find_brand(tx)?.0))
            })
            .await?;
        let words = sent.map(Words::from).or_else(|| kept.into_iter().next()).unwrap_or_else(|| template.built_in());

        let made = render(&words, &brand, &template.example()).map_err(Error::Broken)?;
        Ok(Json(MailWords::from(made)))
    }

    /// Read the looks of mails
    #[oai(path = "/admin/mail/brand", method = "get", operation_id = "show_brand")]
    async fn show_brand(&self, caller: Caller, _query: NoQuery) -> Result<Looks, Problem> {
        caller.must(MAIL_READ)?;

        let (brand, version) = self.mails.db.read(caller.tenant(), store::find_brand).await?;

        Ok(Looks::Brand(Json(brand), etag::of_version(version)))
    }

    /// Change the looks of mails
    ///
    /// Only what is sent is changed; `null` takes away.
    #[oai(path = "/admin/mail/brand", method = "patch", operation_id = "update_brand")]
    async fn update_brand(
        &self,
        caller: Caller,
        _query: NoQuery,
        /// The `ETag` of the looks that the change is meant for.
        #[oai(name = "If-Match")]
        if_match: Header<Option<String>>,
        trail: Trail,
        body: Input<BrandPatch>,
    ) -> Result<Looks, Problem> {
        caller.must(MAIL_WRITE)?;

        let (expected, patch, now) = (IfMatch::parse(if_match.0.as_deref())?, body.read()?, self.mails.clock.now());

        let actor = trail.of(&caller);
        let (brand, version) = self
            .mails
            .db
            .write(caller.tenant(), move |tx| {
                let (old, version) = store::find_brand(tx)?;
                if !expected.allows(version) {
                    return Err(Error::Stale);
                }
                let before = json!(old);
                let brand = old.patched(patch.clone()).map_err(Error::Invalid)?;
                let entry = Entry::new(Action::MailBrandChange).before(before).after(json!(brand));
                actor.append(tx, now, &entry)?;
                let version = store::set_brand(tx, &brand, now)?;
                Ok((brand, version))
            })
            .await?;

        Ok(Looks::Brand(Json(brand), etag::of_version(version)))
    }

    /// Send a test
    ///
    /// At once, to see whether mails arrive; what the mail server has against it is told.
    #[oai(path = "/admin/mail/test", method = "post", operation_id = "send_test_mail")]
    async fn test(
        &self,
        caller: Caller,
        _query: NoQuery,
        body: Input<TestMail>,
    ) -> Result<Json<TestMailSent>, Problem> {
        caller.must(MAIL_WRITE)?;

        let TestMail { to } = body.read()?;
        let to = normalize_email(&to).map_err(|why| Error::Invalid(vec![Fault::new("/to", "email", why)]))?;
        let time = self.mails.clock.now().to_string();
        let data = Data::from([("email", to.clone()), ("time", time)]);
        let letter = Letter { id: self.random.id(&self.mails.clock), template: "test", to, locale: None, data };
        let server = self.mails.send(caller.tenant(), letter).await?;

        Ok(Json(TestMailSent { server }))
    }

    /// Read what mails are signed with
    ///
    /// As a record to be published in the domain name system (DKIM, RFC 6376), so that receivers can tell that they are
    /// yours.
    #[oai(path = "/admin/mail/dkim", method = "get", operation_id = "show_mail_dkim")]
    async fn show_dkim(&self, caller: Caller, _query: NoQuery) -> Result<Json<MailDkimRecord>, Problem> {
        caller.must(MAIL_READ)?;

        let Record { name, value } = self.mails.postman.dkim_record().ok_or(Error::NotSigned)?;

        Ok(Json(MailDkimRecord { name, kind: "TXT".to_owned(), value }))
    }
}

fn named(name: &Path<String>) -> Result<&'static Template, Error> {
    templates::named(&name.0).ok_or(Error::NotFound)
}

/// The language that a request asks for, in its usual form; empty: none.
fn asked(request: &Request, locale: Query<Option<String>>) -> Result<String, Problem> {
    must_be_among(request, &["locale"])?;
    let Some(typed) = locale.0 else { return Ok(String::new()) };
    let wrong =
        || Problem::invalid(vec![Fault::new("?locale", "invalid", "must be a language tag such as de or de-AT")]);
    locale::normal(&typed).ok_or_else(wrong)
}

/// What an admin changed of a template, for a language.
fn kept(tx: &mut Tx<'_>, template: &Template, locale: String) -> Result<Kept, db::Error> {
    let others = store::find_all_words(tx, template.name, &locale::fallbacks(Some(&locale)))?.into_iter().next();
    let locales = store::list_locales(tx, template.name)?;
    Ok(Kept { own: store::find_words(tx, template.name, &locale)?, locale, locales, others })
}

/// What an entry of the trail is about: the name of a template, and the language if its words are for one.
fn about(template: &Template, locale: &str) -> String {
    if locale.is_empty() { template.name.to_owned() } else { format!("{}/{locale}", template.name) }
}

fn shown(template: MailTemplate) -> Shown {
    let tag = etag::of_version(template.version);
    Shown::Template(Json(template), tag)
}
