//! On what terms the endpoints of mails answer, beside what their signatures say.
use super::error::NOT_SENT;
use super::model::{MAIL_ADMIN, MAIL_READ, MAIL_WRITE};
use crate::http::openapi::{Terms, Who};

const READERS: Who = Who::Holders(MAIL_READ);
const WRITERS: Who = Who::Holders(MAIL_WRITE);
const ADMINS: Who = Who::Holders(MAIL_ADMIN);

pub const TERMS: &[Terms] = &[
    Terms { operation: "list_mail_templates", who: READERS, problems: &[] },
    Terms { operation: "show_mail_template", who: READERS, problems: &[] },
    Terms { operation: "replace_mail_template", who: ADMINS, problems: &[] },
    Terms { operation: "reset_mail_template", who: ADMINS, problems: &[] },
    Terms { operation: "preview_mail_template", who: READERS, problems: &[] },
    Terms { operation: "show_brand", who: READERS, problems: &[] },
    Terms { operation: "update_brand", who: WRITERS, problems: &[] },
    Terms { operation: "send_test_mail", who: WRITERS, problems: &[&NOT_SENT] },
    Terms { operation: "list_mailbox", who: ADMINS, problems: &[] },
    Terms { operation: "show_mail", who: ADMINS, problems: &[] },
    Terms { operation: "delete_mail", who: ADMINS, problems: &[] },
    Terms { operation: "empty_mailbox", who: ADMINS, problems: &[] },
];
