//! The things: templates as the API shows them, and mails in the mailbox.
use poem_openapi::Object;
use poem_openapi::types::Example;

use super::templates::{Template, Variable, Words};
use crate::base::{Id, Timestamp};
use crate::http::Permission;
use crate::http::paging::ListMeta;

pub const MAIL_READ: Permission = Permission("mail:read");
pub const MAIL_WRITE: Permission = Permission("mail:write");
/// Whoever reads the mailbox, or writes the words around a link, can have links that let people in.
pub const MAIL_ADMIN: Permission = Permission("mail:admin");

/// Marks ids of mails in the mailbox.
#[derive(Debug)]
pub enum Mail {}
pub type MailId = Id<Mail>;

/// A kind of mail.
#[derive(Clone, Debug, PartialEq, Eq, Object)]
#[oai(example, rename_all = "camelCase", skip_serializing_if_is_none)]
pub struct MailTemplate {
    pub name: String,
    /// When it is sent.
    pub about: String,
    /// The language that these words are for, if one was asked for.
    pub locale: Option<String>,
    /// The languages that have words of their own.
    pub locales: Vec<String>,
    /// Whether an admin changed its words, for this language if there is one.
    pub is_changed: bool,
    /// The subject, as a template: `{{ name }}` stands for a variable.
    pub subject: String,
    /// The mail as text.
    pub text: String,
    /// The mail as HTML. Variables are escaped. `{% extends "layout.html" %}` puts it into the frame of all mails.
    pub html: String,
    /// What the template can say, beside `brand.productName`, `brand.url`, `brand.logoUrl`, `brand.accentColor`,
    /// `brand.accentText` (black or white, to write on it),
    /// `brand.footer` and `brand.supportEmail`.
    pub variables: Vec<MailVariable>,
    // Counts changes, for the ETag; 0 for what is built in.
    #[oai(skip)]
    pub version: i64,
}

/// Something that a template can say.
#[derive(Clone, Debug, PartialEq, Eq, Object)]
#[oai(example, rename_all = "camelCase")]
pub struct MailVariable {
    pub name: String,
    pub about: String,
    /// What previews say.
    pub example: String,
}

impl From<&Variable> for MailVariable {
    fn from(it: &Variable) -> Self {
        Self { name: it.name.to_owned(), about: it.about.to_owned(), example: it.example.to_owned() }
    }
}

/// What an admin changed of a template.
#[derive(Debug)]
pub(super) struct Kept {
    /// The language that is asked for; empty: none.
    pub locale: String,
    pub locales: Vec<String>,
    /// The words for it, and how often they were changed.
    pub own: Option<(Words, i64)>,
    /// The words that its readers get without those.
    pub others: Option<Words>,
}

impl MailTemplate {
    pub(super) fn new(template: &Template, kept: Kept) -> Self {
        let Kept { locale, locales, own, others } = kept;
        let is_changed = own.is_some();
        let others = || (others.unwrap_or_else(|| template.built_in()), 0);
        let (Words { subject, text, html }, version) = own.unwrap_or_else(others);
        let variables = template.variables.iter().map(MailVariable::from).collect();
        let (name, about) = (template.name.to_owned(), template.about.to_owned());
        let locale = Some(locale).filter(|it| !it.is_empty());
        Self { name, about, locale, locales, is_changed, subject, text, html, variables, version }
    }
}

impl Example for MailVariable {
    fn example() -> Self {
        Self {
            name: "name".to_owned(),
            about: "What the receiver wants to be called; may be empty.".to_owned(),
            example: "Ada".to_owned(),
        }
    }
}

impl Example for MailTemplate {
    fn example() -> Self {
        let MailWords { subject, text, html } = MailWords::example();
        Self {
            name: "welcome".to_owned(),
            about: "To someone whose address was verified for the first time.".to_owned(),
            locale: None,
            locales: vec!["de".to_owned()],
            is_changed: true,
            subject,
            text,
            html,
            variables: vec![MailVariable::example()],
            version: 1,
        }
    }
}

/// All kinds of mail.
#[derive(Debug, Object)]
#[oai(example, rename_all = "camelCase")]
pub struct MailTemplateList {
    pub data: Vec<MailTemplate>,
}

impl Example for MailTemplateList {
    fn example() -> Self {
        Self { data: vec![MailTemplate::example()] }
    }
}

/// The words of a mail: templates to send, or what became of them.
#[derive(Clone, Debug, PartialEq, Eq, Object)]
#[oai(example, rename_all = "camelCase", deny_unknown_fields)]
pub struct MailWords {
    #[oai(validator(min_length = 1, max_length = 500))]
    pub subject: String,
    #[oai(validator(min_length = 1, max_length = 100_000))]
    pub text: String,
    #[oai(validator(min_length = 1, max_length = 100_000))]
    pub html: String,
}

impl From<Words> for MailWords {
    fn from(Words { subject, text, html }: Words) -> Self {
        Self { subject, text, html }
    }
}

impl From<MailWords> for Words {
    fn from(MailWords { subject, text, html }: MailWords) -> Self {
        Self { subject, text, html }
    }
}

impl Example for MailWords {
    fn example() -> Self {
        Self {
            subject: "Welcome to {{ brand.productName }}".to_owned(),
            text: "Hello {{ name }},\n\ngood to have you.\n".to_owned(),
            html:
                "{% extends \"layout.html\" %}{% block body %}<p>Hello {{ name }}, good to have you.</p>{% endblock %}"
                    .to_owned(),
        }
    }
}

/// What is to be published in the domain name system, so that others can verify what mails are signed with.
#[derive(Clone, Debug, Object)]
#[oai(example, rename_all = "camelCase")]
pub struct MailDkimRecord {
    pub name: String,
    /// The type of the record: `TXT`.
    #[oai(rename = "type")]
    pub kind: String,
    /// Whole; some programs want it in parts of at most 255 bytes.
    pub value: String,
}

impl Example for MailDkimRecord {
    fn example() -> Self {
        Self {
            name: "steading._domainkey.example.com".to_owned(),
            kind: "TXT".to_owned(),
            value: "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=".to_owned(),
        }
    }
}

/// Where a test is to be sent to.
#[derive(Clone, Debug, Object)]
#[oai(example, rename_all = "camelCase", deny_unknown_fields)]
pub struct TestMail {
    #[oai(validator(max_length = 254))]
    pub to: String,
}

impl Example for TestMail {
    fn example() -> Self {
        Self { to: "you@example.com".to_owned() }
    }
}

/// What became of a test.
#[derive(Clone, Debug, Object)]
#[oai(example, rename_all = "camelCase", skip_serializing_if_is_none)]
pub struct TestMailSent {
    /// The mail server that took it; absent if it lies in the mailbox.
    pub server: Option<String>,
}

impl Example for TestMailSent {
    fn example() -> Self {
        Self { server: Some("smtp.example.com:587".to_owned()) }
    }
}

/// A mail that was not sent, since there is no mail server.
#[derive(Clone, Debug, PartialEq, Eq, Object)]
#[oai(example, rename_all = "camelCase")]
pub struct MailInBox {
    pub id: MailId,
    /// What kind of mail it is.
    pub template: String,
    pub to: String,
    pub subject: String,
    pub text: String,
    pub html: String,
    pub created_at: Timestamp,
}

impl Example for MailInBox {
    fn example() -> Self {
        Self {
            id: MailId::example(),
            template: "welcome".to_owned(),
            to: "ada@example.com".to_owned(),
            subject: "Welcome to Example Notes".to_owned(),
            text: "Hello Ada,\n\ngood to have you.\n".to_owned(),
            html: "<!doctype html><html lang=\"en\">…</html>".to_owned(),
            created_at: Timestamp::example(),
        }
    }
}

/// A page of mails.
#[derive(Debug, Object)]
#[oai(example)]
pub struct MailboxList {
    pub data: Vec<MailInBox>,
    pub meta: ListMeta,
}

impl Example for MailboxList {
    fn example() -> Self {
        Self { data: vec![MailInBox::example()], meta: ListMeta::example() }
    }
}
