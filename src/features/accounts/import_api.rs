//! The endpoint that imports accounts.
use poem::{Body, Request, RequestBody};
use poem_openapi::param::Query;
use poem_openapi::payload::Json;
use poem_openapi::registry::{MetaMediaType, MetaRequest, MetaSchema, MetaSchemaRef};
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions, OpenApi};

use super::api::AccountsApi;
use super::import::UserImportReport;
use super::model::USERS_ADMIN;
use crate::base::Timestamp;
use crate::db::{self, Tx};
use crate::features::audit::Trail;
use crate::http::openapi::Tag;
use crate::http::query::must_be_among;
use crate::http::{BodyCap, Caller, Problem};

/// The endpoint that imports accounts, with what it needs.
#[derive(Clone, Debug)]
pub struct UsersImportApi {
    pub accounts: AccountsApi,
    /// Whether a caller is still who they were when their request began, keys included.
    pub still_stands: fn(&mut Tx<'_>, &Caller, Timestamp) -> Result<bool, db::Error>,
}

/// A file of accounts on its way in, of any length.
struct UsersFile(Body);

impl<'a> ApiExtractor<'a> for UsersFile {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];
    type ParamType = ();
    type ParamRawType = ();

    fn request_meta() -> Option<MetaRequest> {
        let example = r#"{"email":"ada@example.com","name":"Ada","passwordHash":"$2b$12$…"}"#;
        let text = MetaSchema { example: Some(example.into()), ..MetaSchema::new("string") };
        let schema = MetaSchemaRef::Inline(Box::new(text));
        let content = vec![MetaMediaType { content_type: "application/x-ndjson", schema }];
        Some(MetaRequest { description: Some("One JSON object a line."), content, required: true })
    }

    async fn from_request(
        _request: &'a Request,
        body: &mut RequestBody,
        _options: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        Ok(Self(body.take()?))
    }
}

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Users")]
impl UsersImportApi {
    /// Import accounts
    ///
    /// One JSON object a line (NDJSON), of any length: `email`, and if wanted `name`, `role`, `tier`, `emailVerified`,
    /// `passwordHash`, `createdAt`, `disabled`. Hashes of argon2, bcrypt, scrypt, Firebase's scrypt and PBKDF2 are taken, and
    /// become ours when their owners sign in; without one, the account has no password until its owner asks for one. Each
    /// account is judged alone: those that do not fit are refused with their line and their faults, and all others are imported.
    #[oai(path = "/admin/users/import", method = "post", operation_id = "import_users")]
    async fn import(
        &self,
        caller: Caller,
        trail: Trail,
        /// Only says what would be refused.
        #[oai(name = "dryRun")]
        dry_run: Query<Option<bool>>,
        request: &Request,
        body: UsersFile,
    ) -> Result<Json<UserImportReport>, Problem> {
        caller.must(USERS_ADMIN)?;

        must_be_among(request, &["dryRun"])?;
        let cap = request.data::<BodyCap>().cloned();
        let report = self.import_file(&caller, trail.of(&caller), body.0, cap, dry_run.0 == Some(true)).await?;

        Ok(Json(report))
    }
}
