//! On what terms the endpoints of mails answer, beside what their signatures say.
use super::error::{
    DKIM_NOT_SET, ENOUGH_TODAY, NOT_SENT, REPORT_FOREIGN, REPORT_UNREADABLE, SUPPRESSED, SUPPRESSION_LIMIT_REACHED,
};
use super::model::{MAIL_ADMIN, MAIL_READ, MAIL_WRITE};
use crate::http::openapi::{Terms, Who};
use crate::http::problem::UNSUPPORTED_MEDIA_TYPE;

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
    Terms { operation: "send_test_mail", who: WRITERS, problems: &[&NOT_SENT, &SUPPRESSED, &ENOUGH_TODAY] },
    Terms { operation: "show_mail_dkim", who: READERS, problems: &[&DKIM_NOT_SET] },
    Terms { operation: "list_mail_suppressions", who: READERS, problems: &[] },
    Terms { operation: "create_mail_suppression", who: WRITERS, problems: &[&SUPPRESSION_LIMIT_REACHED] },
    Terms { operation: "delete_mail_suppression", who: WRITERS, problems: &[] },
    Terms {
        operation: "report_mail",
        who: WRITERS,
        problems: &[&REPORT_UNREADABLE, &REPORT_FOREIGN, &SUPPRESSION_LIMIT_REACHED, &UNSUPPORTED_MEDIA_TYPE],
    },
    Terms { operation: "list_mailbox", who: ADMINS, problems: &[] },
    Terms { operation: "show_mail", who: ADMINS, problems: &[] },
    Terms { operation: "delete_mail", who: ADMINS, problems: &[] },
    Terms { operation: "empty_mailbox", who: ADMINS, problems: &[] },
];
