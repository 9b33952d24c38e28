//! Secrets of people: the keys of other services that they give to this one, such as that of an AI provider.
//!
//! A secret is closed with a key of its own (AES-256-GCM), made for it when it is kept. That key is closed in turn with a
//! master key, of which there is one at a time ([`sealing`]): so another master key means to close some keys anew, and no
//! secret is opened for it. Both are bound to the tenant, the account and the name: a row that is copied to somebody else
//! does not open.
//!
//! Master keys are in `system.db`, apart from the rows, or with the operator (`[secrets] master_key_file`). Each is known
//! by an id that is made of it ([`master`]), and each row says which one closes it. After a rotation rows are closed anew
//! by a job in batches ([`rewrap_job`]); the old master key opens the rest meanwhile, and goes when it closes nothing any
//! more. That no row comes to an old key in between is made sure in the transaction that keeps a secret: it looks which
//! key the tenant closes with now.
//!
//! Nobody but its owner is shown a secret, and only after showing who they are once more. Features that use one for its
//! owner ask [`Vault::open`].
mod api;
mod error;
mod master;
mod model;
mod rewrap_job;
mod sealing;
mod store;
mod terms;
mod vault;

pub use api::SecretsApi;
pub use error::{Error, PROBLEMS};
pub use rewrap_job::kind;
pub use terms::TERMS;
pub use vault::Vault;
