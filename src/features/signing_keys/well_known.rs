//! What programs read that verify access tokens themselves, at the places that standards name (RFC 8615).
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, OpenApi};

use super::keys::SigningKeys;
use super::model::{Jwks, OpenidConfiguration};
use crate::base::Clock;
use crate::config::{ServerConfig, View};
use crate::http::openapi::Tag;

/// For how long a copy is good: what was revoked is not believed elsewhere for longer. A key is published long before it
/// signs.
const KEPT_FOR: &str = "public, max-age=300";

/// The endpoints for programs that verify access tokens, with what they need.
#[derive(Clone, Debug)]
pub struct WellKnownApi {
    pub clock: Clock,
    pub server: View<ServerConfig>,
    pub keys: SigningKeys,
}

#[derive(ApiResponse)]
enum Keys {
    /// The public halves of the keys that access tokens are signed with.
    #[oai(status = 200)]
    Set(Json<Jwks>, #[oai(header = "Cache-Control")] String),
}

#[derive(ApiResponse)]
enum Configuration {
    /// What is to be known of this server to verify its tokens.
    #[oai(status = 200)]
    Document(Json<OpenidConfiguration>, #[oai(header = "Cache-Control")] String),
}

#[OpenApi(prefix_path = "/.well-known", tag = "Tag::Keys")]
impl WellKnownApi {
    /// Read the keys that verify access tokens
    ///
    /// As a JSON Web Key Set (RFC 7517). The head of a token names its key by `kid`. A name that is not among these is
    /// reason to ask once more.
    #[oai(path = "/jwks.json", method = "get", operation_id = "show_jwks")]
    async fn jwks(&self) -> Keys {
        Keys::Set(Json(Jwks { keys: self.keys.published(self.clock.now()) }), KEPT_FOR.to_owned())
    }

    /// Read how to verify access tokens
    ///
    /// At the place where libraries for OpenID Connect look. Nobody signs in to other programs through this server yet, so
    /// there is no more in it than what verifying needs.
    #[oai(path = "/openid-configuration", method = "get", operation_id = "show_openid_configuration")]
    async fn openid_configuration(&self) -> Configuration {
        let document = OpenidConfiguration::of(&self.server.get().url());
        Configuration::Document(Json(document), KEPT_FOR.to_owned())
    }
}
