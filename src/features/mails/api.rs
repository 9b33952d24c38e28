//! The endpoints of mails: their words, their looks, and a test.
use poem_openapi::param::{Header, Path};
use poem_openapi::payload::Json;
use poem_openapi::types::Example;
use poem_openapi::{ApiResponse, OpenApi};
use serde_json::json;

use super::brand::{Brand, BrandPatch};
use super::deliver::{Letter, Mails};
use super::error::Error;
use super::model::{
    MAIL_ADMIN, MAIL_READ, MAIL_WRITE, MailTemplate, MailTemplateList, MailWords, TestMail, TestMailSent,
};
use super::render::render;
use super::store;
use super::templates::{self, Data, TEMPLATES, Template, Words};
use crate::base::Random;
use crate::base::text::normalize_email;
use crate::db::{self, Tx};
use crate::features::audit::{Action, Entry, Trail};
use crate::http::etag::{self, IfMatch};
use crate::http::openapi::Tag;
use crate::http::problem::Fault;
use crate::http::query::NoQuery;
use crate::http::{Caller, Input, Problem};

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
            TEMPLATES.iter().map(|it| Ok(MailTemplate::new(it, store::find_words(tx, it.name)?))).collect()
        };
        let data = self.mails.db.read::<Vec<_>, db::Error>(caller.tenant(), read).await?;

        Ok(Json(MailTemplateList { data }))
    }

    /// Read a kind of mail
    #[oai(path = "/admin/mail/templates/:name", method = "get", operation_id = "show_mail_template")]
    async fn show(&self, caller: Caller, _query: NoQuery, name: Path<String>) -> Result<Shown, Problem> {
        caller.must(MAIL_READ)?;

        let template = named(&name)?;
        let found = self.mails.db.read(caller.tenant(), |tx| store::find_words(tx, template.name)).await?;

        Ok(shown(MailTemplate::new(template, found)))
    }

    /// Change the words of a mail
    ///
    /// They are tried with the examples of the variables first.
    #[oai(path = "/admin/mail/templates/:name", method = "put", operation_id = "replace_mail_template")]
    async fn replace(
        &self,
        caller: Caller,
        _query: NoQuery,
        name: Path<String>,
        /// The `ETag` of the words that the change is meant for.
        #[oai(name = "If-Match")]
        if_match: Header<Option<String>>,
        trail: Trail,
        body: Input<MailWords>,
    ) -> Result<Shown, Problem> {
        caller.must(MAIL_ADMIN)?;

        let (template, expected) = (named(&name)?, IfMatch::parse(if_match.0.as_deref())?);
        let words = Words::from(body.read()?);
        render(&words, &Brand::example(), &template.example()).map_err(Error::Broken)?;
        let now = self.mails.clock.now();

        let (kept, actor) = (words.clone(), trail.of(&caller));
        let version = self
            .mails
            .db
            .write(caller.tenant(), move |tx| {
                let version = store::find_words(tx, template.name)?.map_or(0, |it| it.1);
                if !expected.allows(version) {
                    return Err(Error::Stale);
                }
                let after = json!({ "subject": kept.subject, "text": kept.text, "html": kept.html });
                let entry = Entry::new(Action::MailWordsChange).about("mail", &template.name).after(after);
                actor.append(tx, now, &entry)?;
                Ok(store::set_words(tx, template.name, &kept, now)?)
            })
            .await?;

        Ok(shown(MailTemplate::new(template, Some((words, version)))))
    }

    /// Go back to the built-in words of a mail
    #[oai(path = "/admin/mail/templates/:name", method = "delete", operation_id = "reset_mail_template")]
    async fn reset(&self, caller: Caller, _query: NoQuery, name: Path<String>, trail: Trail) -> Result<Shown, Problem> {
        caller.must(MAIL_ADMIN)?;

        let (template, actor, now) = (named(&name)?, trail.of(&caller), self.mails.clock.now());
        self.mails
            .db
            .free(caller.tenant(), move |tx| {
                store::delete_words(tx, template.name)?;
                actor.append(tx, now, &Entry::new(Action::MailWordsChange).about("mail", &template.name))
            })
            .await?;

        Ok(shown(MailTemplate::new(template, None)))
    }

    /// Look at a mail
    ///
    /// As it would be with these words, or with those that it has, and with the examples of the variables.
    #[oai(path = "/admin/mail/templates/:name/preview", method = "post", operation_id = "preview_mail_template")]
    async fn preview(
        &self,
        caller: Caller,
        _query: NoQuery,
        name: Path<String>,
        body: Input<Option<MailWords>>,
    ) -> Result<Json<MailWords>, Problem> {
        caller.must(MAIL_READ)?;

        let (template, sent) = (named(&name)?, body.read()?);
        let (kept, brand) = self
            .mails
            .db
            .read(caller.tenant(), |tx| {
                Ok::<_, db::Error>((store::find_words(tx, template.name)?, store::find_brand(tx)?.0))
            })
            .await?;
        let words = sent.map(Words::from).or(kept.map(|it| it.0)).unwrap_or_else(|| template.built_in());

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
        let letter = Letter { id: self.random.id(&self.mails.clock), template: "test", to, data };
        let server = self.mails.are_sent().then(|| self.mails.postman.server_name());
        self.mails.send(caller.tenant(), letter).await?;

        Ok(Json(TestMailSent { server }))
    }
}

fn named(name: &Path<String>) -> Result<&'static Template, Error> {
    templates::named(&name.0).ok_or(Error::NotFound)
}

fn shown(template: MailTemplate) -> Shown {
    let tag = etag::of_version(template.version);
    Shown::Template(Json(template), tag)
}
