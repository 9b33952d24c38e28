//! The mails that there are: what each is for, and what it can say.
use std::collections::BTreeMap;

use rust_embed::Embed;

/// A kind of mail.
#[derive(Debug)]
pub struct Template {
    pub name: &'static str,
    /// When it is sent.
    pub about: &'static str,
    pub variables: &'static [Variable],
}

/// Something that a template can say.
#[derive(Debug)]
pub struct Variable {
    pub name: &'static str,
    pub about: &'static str,
    /// For previews. In the form that the real one has.
    pub example: &'static str,
}

/// What a mail says: a text for each variable of its template.
pub type Data = BTreeMap<&'static str, String>;

/// The words of a mail, before anything is put into them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words {
    pub subject: String,
    pub text: String,
    pub html: String,
}

#[derive(Embed)]
#[folder = "assets/templates/emails"]
struct Files;

const NAME: Variable =
    Variable { name: "name", about: "What the receiver wants to be called; may be empty.", example: "Ada" };
const EMAIL: Variable = Variable { name: "email", about: "The receiver's address.", example: "ada@example.com" };
const LINK: Variable = Variable {
    name: "link",
    about: "Works once. Empty if there is no page for it.",
    example: "https://api.example.com/verify-email?token=ot_AZC2pH4sfDqfTisdXGp-gAAA",
};
const CODE: Variable = Variable { name: "code", about: "Eight digits, to type instead.", example: "48210937" };
const MINUTES: Variable = Variable { name: "minutes", about: "How long the link works.", example: "15" };
const CODE_MINUTES: Variable = Variable { name: "codeMinutes", about: "How long the code works.", example: "10" };
const TIME: Variable = Variable { name: "time", about: "When it happened.", example: "2026-11-21 17:05 UTC" };
const CLIENT: Variable = Variable {
    name: "client",
    about: "The program that was used, as it calls itself; may be empty.",
    example: "Firefox on Linux",
};
const ADDRESS: Variable =
    Variable { name: "address", about: "The network address that it came from.", example: "203.0.113.7" };

/// All of them.
pub const TEMPLATES: &[Template] = &[
    Template {
        name: "verification",
        about: "To someone who registered, to show that the address is theirs.",
        variables: &[NAME, EMAIL, LINK, CODE, MINUTES, CODE_MINUTES],
    },
    Template {
        name: "invitation",
        about: "To someone who is invited to make themselves an account.",
        variables: &[
            Variable { name: "name", about: "What the receiver is called; may be empty.", example: "Grace" },
            Variable { name: "email", about: "The receiver's address.", example: "grace@example.com" },
            Variable { name: "inviter", about: "The name of whoever invites; may be empty.", example: "Ada" },
            Variable {
                name: "message",
                about: "What whoever invites writes, in one line; may be empty.",
                example: "See you on Monday.",
            },
            Variable { name: "days", about: "How long the link works.", example: "7" },
            LINK,
        ],
    },
    Template {
        name: "welcome",
        about: "To someone whose address was verified for the first time.",
        variables: &[NAME, EMAIL],
    },
    Template {
        name: "already-registered",
        about: "To someone whose address was used to register, and who has an account already.",
        variables: &[NAME, EMAIL],
    },
    Template {
        name: "code",
        about: "To someone who wants to sign in without a password.",
        variables: &[NAME, EMAIL, LINK, CODE, MINUTES, CODE_MINUTES],
    },
    Template {
        name: "reset-password",
        about: "To someone who forgot their password.",
        variables: &[NAME, EMAIL, LINK, CODE, MINUTES, CODE_MINUTES],
    },
    Template {
        name: "change-email",
        about: "To a new address, to show that it is theirs.",
        variables: &[NAME, EMAIL, LINK, MINUTES],
    },
    Template {
        name: "password-changed",
        about: "To someone whose password was changed.",
        variables: &[
            NAME,
            EMAIL,
            TIME,
            CLIENT,
            ADDRESS,
            Variable { name: "keys", about: "How many API keys of theirs go on working.", example: "2" },
            Variable { name: "revokedKeys", about: "How many were revoked by it.", example: "0" },
        ],
    },
    Template {
        name: "email-changed",
        about: "To the old address of someone who has a new one.",
        variables: &[
            NAME,
            EMAIL,
            Variable { name: "newEmail", about: "The new address.", example: "ada@new.example.com" },
            TIME,
        ],
    },
    Template {
        name: "account-emptied",
        about: "To someone who came by mail to an account with their address that nobody had verified.",
        variables: &[NAME, EMAIL],
    },
    Template {
        name: "new-sign-in",
        about: "To someone who signed in with a program that they did not use before.",
        variables: &[NAME, EMAIL, TIME, CLIENT, ADDRESS],
    },
    Template {
        name: "second-factor-changed",
        about: "To someone whose codes of an app were turned on or off.",
        variables: &[
            NAME,
            EMAIL,
            Variable { name: "state", about: "`on` or `off`: what it is now.", example: "on" },
            TIME,
            CLIENT,
            ADDRESS,
        ],
    },
    Template {
        name: "second-factor-guessed",
        about: "To someone whose second factor somebody tries to get past, at most once a day.",
        variables: &[NAME, EMAIL, TIME],
    },
    Template {
        name: "api-key-changed",
        about: "To someone who has a new API key, or one with another secret.",
        variables: &[
            NAME,
            EMAIL,
            Variable { name: "key", about: "What the key is called.", example: "Backup script" },
            Variable { name: "change", about: "`made` or `rotated`.", example: "made" },
            TIME,
            CLIENT,
            ADDRESS,
        ],
    },
    Template {
        name: "impersonated",
        about: "To someone as whom somebody else began to act.",
        variables: &[NAME, EMAIL, TIME],
    },
    Template { name: "test", about: "To see whether mails arrive.", variables: &[EMAIL, TIME] },
];

/// Notices of what happened to an account, which its owner must not be kept from by mails that strangers ask for.
const NOTICES: &[&str] = &[
    "password-changed",
    "email-changed",
    "account-emptied",
    "new-sign-in",
    "second-factor-changed",
    "second-factor-guessed",
    "api-key-changed",
    "impersonated",
];

/// The template of that name.
pub(super) fn named(name: &str) -> Option<&'static Template> {
    TEMPLATES.iter().find(|it| it.name == name)
}

impl Template {
    /// Whether it is neither counted nor withheld where somebody gets many mails.
    pub(super) fn is_notice(&self) -> bool {
        NOTICES.contains(&self.name)
    }

    /// The words that are built in.
    pub(super) fn built_in(&self) -> Words {
        let file = |part: &str| file(&format!("{}/{part}", self.name)).unwrap_or_default();
        Words { subject: file("subject.txt").trim_end().to_owned(), text: file("body.txt"), html: file("body.html") }
    }

    /// The data of a preview.
    pub(super) fn example(&self) -> Data {
        self.variables.iter().map(|it| (it.name, it.example.to_owned())).collect()
    }
}

/// A file among the templates of mails.
pub(super) fn file(path: &str) -> Option<String> {
    Files::get(path).map(|it| String::from_utf8_lossy(&it.data).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_notice_is_a_template() {
        for name in NOTICES {
            assert!(named(name).is_some_and(Template::is_notice), "{name}");
        }
    }

    #[test]
    fn each_template_has_its_words_and_each_folder_its_template() {
        for template in TEMPLATES {
            let Words { subject, text, html } = template.built_in();
            assert!(!subject.is_empty() && !subject.contains('\n'), "{}", template.name);
            assert!(!text.is_empty() && !html.is_empty(), "{}", template.name);
        }
        for file in Files::iter() {
            let known = file.split_once('/').is_none_or(|(folder, _)| named(folder).is_some());
            assert!(known, "{file}");
        }
    }
}
