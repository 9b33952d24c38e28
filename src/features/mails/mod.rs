//! Mails: their words, their looks, and where they go.
//!
//! The words are templates ([`templates`]): built in, and changed by an admin where they wish. The looks are the
//! [`Brand`]. A feature that has something to tell gives the data of a template to [`Mails::deliver`], in a job: with a
//! mail server set it is sent, and without one it lands in the mailbox, where an admin reads it. So everything that
//! needs a mail works on the first day.
//!
//! Nothing is sent to addresses that an admin chose, at which there is nobody, or whose owners complained
//! ([`suppression`]): a mail server that refuses a receiver for good says so, and reports that others send say so
//! ([`report`]), if they can be shown to be about a mail of ours ([`references`]). Nobody gets more mails than a day's.
//!
//! A template is a program of its writer, an admin: it sees the data of its mail and nothing else, has a bounded number of
//! steps, and one that fails when it matters is passed over for the one that is built in.
mod api;
mod bounds;
mod brand;
mod deliver;
mod error;
mod locale;
mod mailbox_api;
mod model;
mod references;
mod render;
mod report;
mod reports_api;
mod store;
mod suppression;
mod suppression_store;
mod suppressions_api;
mod sweep;
mod templates;
mod terms;

pub use api::MailsApi;
pub use deliver::{Delivered, Letter, Mails};
pub use error::{Error, PROBLEMS};
pub use mailbox_api::MailboxApi;
pub use references::References;
pub use reports_api::MailReportsApi;
pub use store::delete_mails_to;
pub use suppressions_api::MailSuppressionsApi;
pub use sweep::worker;
pub use templates::Data;
pub use terms::TERMS;
