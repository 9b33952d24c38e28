//! A server elsewhere, asked over HTTPS with the token of an admin.
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use http_body_util::combinators::BoxBody;

use crate::base::Secret;
use crate::config;
use crate::net::{Address, Client, Error, Limits, Trust};
use crate::roles::operator::{Reply, Request};

const LIMITS: Limits = Limits {
    connect_time_max: Duration::from_secs(10),
    // A push changes whole tables.
    answer_time_max: Duration::from_secs(300),
    // All collections that there can be, with room to spare.
    answer_bytes_max: 64 << 20,
};

pub(super) struct Remote {
    address: Address,
    client: Client,
    token: Secret<String>,
}

impl Remote {
    /// The server at an address, of an authority that browsers know, or of one whose certificate a file holds.
    pub fn new(url: &str, authority: Option<&Path>) -> anyhow::Result<Self> {
        let address = Address::parse(url).map_err(|cause| match cause {
            Error::Address(what) => anyhow::anyhow!("--url {what}; an example is https://api.example.com"),
            other => other.into(),
        })?;
        anyhow::ensure!(
            address.is_secret || address.is_near(),
            "--url must begin with https:// for another machine than this one: http:// sends the token so that all on the \
             way can read it"
        );
        let trust = authority.map_or_else(Trust::public, Trust::private).context("--ca")?;
        let token = config::token().context("STEADING_TOKEN must hold the access token of an admin")?;
        Ok(Self { address, client: Client { limits: LIMITS, trust }, token })
    }

    pub async fn ask(&self, request: Request) -> anyhow::Result<Reply> {
        let mut asked = http::Request::builder()
            .method(request.method)
            .uri(request.path)
            .header("content-type", request.media_type)
            .header("authorization", format!("Bearer {}", self.token.reveal()));
        if let Some(tag) = request.if_match {
            asked = asked.header("if-match", tag);
        }
        let asked = asked.body(BoxBody::<Bytes, std::io::Error>::from(request.body))?;
        let answer = self.client.ask(&self.address, asked).await.map_err(|cause| match cause {
            Error::Untrusted { is_unknown: true, .. } => {
                anyhow::anyhow!("{cause}; `--ca FILE` names the certificate of one of your own")
            }
            other => other.into(),
        })?;
        anyhow::ensure!(
            !(300..400).contains(&answer.status),
            "{} sends whoever asks elsewhere; a token is sent nowhere but to --url, so give the last address there",
            self.address.authority
        );
        Ok(Reply { status: answer.status, body: answer.body })
    }
}
