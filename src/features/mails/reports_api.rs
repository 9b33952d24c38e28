//! The endpoint that takes reports about mails.
use poem::http::header::CONTENT_TYPE;
use poem::{Request, RequestBody};
use poem_openapi::payload::Json;
use poem_openapi::registry::{MetaMediaType, MetaRequest, MetaSchema, MetaSchemaRef};
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions, OpenApi};

use super::deliver::Mails;
use super::error::Error;
use super::model::MAIL_WRITE;
use super::report::{self, REPORT_BYTES_MAX};
use super::suppression::MailReportOutcome;
use crate::base::text::normalize_email;
use crate::features::audit::Trail;
use crate::http::openapi::Tag;
use crate::http::query::NoQuery;
use crate::http::{Caller, Problem, problem};

const MEDIA_TYPE: &str = "message/rfc822";

/// The endpoint that takes reports, with what it needs.
#[derive(Clone, Debug)]
pub struct MailReportsApi {
    pub mails: Mails,
}

/// A mail as it arrived. Nobody judged it yet.
struct Mail(Result<Vec<u8>, Problem>);

impl<'a> ApiExtractor<'a> for Mail {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];
    type ParamType = ();
    type ParamRawType = ();

    fn request_meta() -> Option<MetaRequest> {
        let text =
            MetaSchema { example: Some("Content-Type: multipart/report; …".into()), ..MetaSchema::new("string") };
        let schema = MetaSchemaRef::Inline(Box::new(text));
        let content = vec![MetaMediaType { content_type: MEDIA_TYPE, schema }];
        Some(MetaRequest { description: Some("A mail, as it came, of at most 1 MiB."), content, required: true })
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _options: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        let content_type = request.headers().get(CONTENT_TYPE).and_then(|it| it.to_str().ok()).unwrap_or_default();
        if !content_type.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(MEDIA_TYPE) {
            let detail = "send the report with `Content-Type: message/rfc822`";
            return Ok(Self(Err(Problem::new(&problem::UNSUPPORTED_MEDIA_TYPE, detail))));
        }
        let bytes = match body.take() {
            Ok(body) => body.into_bytes_limit(REPORT_BYTES_MAX).await,
            Err(error) => Err(error),
        };
        Ok(Self(bytes.map(Into::into).map_err(|error| Problem::from_body(&error))))
    }
}

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Mail")]
impl MailReportsApi {
    /// Hand in a report about a mail
    ///
    /// A delivery status notification (RFC 3464) or an abuse report (RFC 5965), as a mail server or a provider sends them to
    /// the address that mails come from. Nothing is sent any more to an address that it says does not exist, or whose owner
    /// complained, if it has the Message-ID of a mail that this server sent there.
    #[oai(path = "/admin/mail/reports", method = "post", operation_id = "report_mail")]
    async fn report(
        &self,
        caller: Caller,
        _query: NoQuery,
        trail: Trail,
        body: Mail,
    ) -> Result<Json<MailReportOutcome>, Problem> {
        caller.must(MAIL_WRITE)?;

        let report = report::read(&body.0?).map_err(Error::Unreadable)?;
        let Some(report) = report else { return Ok(Json(MailReportOutcome { suppressed: None })) };
        let (mails, tenant) = (&self.mails, caller.tenant());
        let addresses = report.addresses.iter().filter_map(|it| normalize_email(it).ok());
        let address = addresses.into_iter().find(|it| mails.references.is_of(tenant, &report.message_id, it));
        let address = address.ok_or(Error::Foreign)?;

        let kept = mails.suppress(tenant, &address, report.reason, &report.detail, trail.of(&caller)).await?;

        Ok(Json(MailReportOutcome { suppressed: Some(kept.ok_or(Error::NoRoom)?) }))
    }
}
