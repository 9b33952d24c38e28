//! The things: addresses to which nothing is sent.
use poem_openapi::types::Example;
use poem_openapi::{Enum, Object};

use crate::base::{Id, Timestamp};
use crate::http::paging::ListMeta;

/// Longest text that is kept of what was said about an address.
pub(super) const DETAIL_CHARS_MAX: usize = 500;

/// Marks ids of addresses to which nothing is sent.
#[derive(Debug)]
pub enum SuppressionMark {}
pub type SuppressionId = Id<SuppressionMark>;

/// Why nothing is sent to an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename_all = "lowercase")]
pub enum SuppressionReason {
    /// There is nobody at the address: a mail server said so for good.
    Bounce,
    /// Its owner takes the mails for unwanted.
    Complaint,
    /// Somebody chose it.
    Manual,
}

impl SuppressionReason {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bounce => "bounce",
            Self::Complaint => "complaint",
            Self::Manual => "manual",
        }
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        [Self::Bounce, Self::Complaint, Self::Manual].into_iter().find(|it| it.name() == name)
    }

    /// As the end of a sentence about mails that are not sent.
    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::Bounce => "a mail server said for good that there is nobody there",
            Self::Complaint => "its owner complained about a mail",
            Self::Manual => "an admin chose so",
        }
    }
}

/// An address to which nothing is sent.
#[derive(Clone, Debug, PartialEq, Eq, Object)]
#[oai(example, rename_all = "camelCase")]
pub struct MailSuppression {
    pub id: SuppressionId,
    pub address: String,
    pub reason: SuppressionReason,
    /// What a mail server, a report or an admin said; may be empty.
    pub detail: String,
    pub created_at: Timestamp,
}

impl Example for MailSuppression {
    fn example() -> Self {
        Self {
            id: SuppressionId::example(),
            address: "ada@example.com".to_owned(),
            reason: SuppressionReason::Bounce,
            detail: "smtp.example.com:587 refuses it: permanent error (550): 5.1.1 no such mailbox".to_owned(),
            created_at: Timestamp::example(),
        }
    }
}

/// An address to which nothing is to be sent.
#[derive(Clone, Debug, Object)]
#[oai(example, rename_all = "camelCase", deny_unknown_fields)]
pub struct NewMailSuppression {
    #[oai(validator(max_length = 254))]
    pub address: String,
    /// `manual` if absent.
    pub reason: Option<SuppressionReason>,
    /// Why, for other admins.
    #[oai(validator(max_length = 500))]
    pub detail: Option<String>,
}

impl Example for NewMailSuppression {
    fn example() -> Self {
        Self {
            address: "ada@example.com".to_owned(),
            reason: Some(SuppressionReason::Manual),
            detail: Some("asked for it by telephone".to_owned()),
        }
    }
}

/// A page of addresses.
#[derive(Debug, Object)]
#[oai(example)]
pub struct MailSuppressionList {
    pub data: Vec<MailSuppression>,
    pub meta: ListMeta,
}

impl Example for MailSuppressionList {
    fn example() -> Self {
        Self { data: vec![MailSuppression::example()], meta: ListMeta::example() }
    }
}

/// What became of a report.
#[derive(Clone, Debug, Object)]
#[oai(example, rename_all = "camelCase", skip_serializing_if_is_none)]
pub struct MailReportOutcome {
    /// The address to which nothing is sent any more; absent if the report says of no mail that it failed for good, or that
    /// it was unwanted.
    pub suppressed: Option<MailSuppression>,
}

impl Example for MailReportOutcome {
    fn example() -> Self {
        Self { suppressed: Some(MailSuppression::example()) }
    }
}
