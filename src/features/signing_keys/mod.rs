//! Signing keys: what access tokens are signed with, one key after another.
//!
//! There is always a key that signs and the next one, which is published before it is used, so that whoever verifies
//! tokens knows it by then. A key that another has replaced verifies until the last token that it signed has expired.
//! A key that leaked is revoked, and with it all others, since they are kept in the same place: what they signed ends at
//! once, and people go on with their refresh tokens.
//!
//! The public halves are at `/.well-known/jwks.json`, for programs that verify tokens themselves. The server picks the
//! key of a token by its `kid` among its own; no address or key that a token names is ever looked at.
//!
//! Keys are in `system.db`, and the audit trail of a rotation is the tenant's. So a rotation is a job that is promised
//! with its entry in the trail ([`rotate`]), and does nothing the second time.
mod api;
mod error;
mod keys;
mod model;
mod rotate;
mod store;
mod terms;
mod well_known;

pub use api::SigningKeysApi;
pub use error::Error;
pub use keys::SigningKeys;
pub use rotate::Rotating;
pub use terms::TERMS;
pub use well_known::WellKnownApi;
