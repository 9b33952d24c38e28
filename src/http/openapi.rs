//! The OpenAPI document.
use poem_openapi::Tags;

/// The chapters of the document.
#[derive(Clone, Copy, Debug, Tags)]
pub enum Tag {
    /// Registering, signing in and out, one's own profile.
    Accounts,
    /// Everyone's accounts, for admins.
    Users,
}
