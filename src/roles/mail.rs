//! `mail dkim`: what is to be published, so that others can verify the signatures of mails.
use std::process::ExitCode;

use clap::Subcommand;
use poem::http::Method;
use serde_json::Value;

use super::operator::Operator;
use super::{Context, say};
use crate::config::{MailConfig, MailServer};

const DKIM: &str = "/api/v1/admin/mail/dkim";

#[derive(Debug, Subcommand)]
pub(super) enum Args {
    /// Print the record to publish, so that others can verify the signatures of mails (DKIM).
    Dkim,
}

pub(super) async fn run(context: &Context, args: Args) -> anyhow::Result<ExitCode> {
    let Args::Dkim = args;
    let operator = Operator::find_to_look(context).await?;
    let record = operator.ask(Method::GET, DKIM, None).await?.json()?;
    let text = |it: &Value| it.as_str().unwrap_or_default().to_owned();
    for part in ["name", "type", "value"] {
        say(format!("{part:<5}  {}", text(&record[part])))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What `doctor` finds out of the settings of mails.
pub(super) fn examine(config: &MailConfig) -> String {
    let names: Vec<_> = config.servers().iter().map(MailServer::name).collect();
    if names.is_empty() {
        return "no server is set, so they land in the mailbox; see `[mail]`".to_owned();
    }
    let signed = match config.dkim.is_set() {
        true if !config.is_signed_as_itself() => {
            format!(
                "signed as `{}`, which is not the domain of `mail.from`: DMARC does not count it",
                config.dkim.domain
            )
        }
        true => {
            format!("signed as `{}`; `steading mail dkim` prints what is to be published", config.dkim.record_name())
        }
        false => "not signed, and more likely taken for unwanted; see `[mail.dkim]`".to_owned(),
    };
    format!("sent with {}; {signed}", names.join(", then "))
}
