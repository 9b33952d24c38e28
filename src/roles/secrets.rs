//! `secrets keys` and `secrets rotate`: the master keys that people's secrets are encrypted with.
use std::process::ExitCode;

use clap::Subcommand;
use poem::http::Method;
use serde_json::Value;

use super::operator::Operator;
use super::{Context, say};

const KEYS: &str = "/api/v1/admin/secrets/keys";
const ROTATE: &str = "/api/v1/admin/secrets/rotate";

#[derive(Debug, Subcommand)]
pub(super) enum Args {
    /// List the master keys, and how many secrets each of them closes.
    Keys,
    /// Change the master key: to a new one, or to the first in `secrets.master_key`.
    Rotate,
}

pub(super) async fn run(context: &Context, args: Args) -> anyhow::Result<ExitCode> {
    let operator = Operator::find_existing(context).await?;
    match args {
        Args::Keys => {
            let keys = operator.ask(Method::GET, KEYS, None).await?.json()?;
            let keys = keys["data"].as_array().cloned().unwrap_or_default();
            if keys.is_empty() {
                say("no master key yet: the first is made with the first secret")?;
            }
            for key in keys {
                let missing = if key["isHere"] == false { ", and is not here" } else { "" };
                let (id, state, keeper) = (text(&key["id"]), text(&key["state"]), text(&key["keeper"]));
                say(format!("{id}  {state}, with the {keeper}, closes {}{missing}", key["secrets"]))?;
            }
        }
        Args::Rotate => {
            let begun = operator.ask(Method::POST, ROTATE, None).await?.json()?;
            say(format!("{} closes what is kept from now on", text(&begun["keyId"])))?;
            say(match operator {
                Operator::AtTheSocket(_) => "the rest is closed anew; `steading secrets keys` says how far that is",
                Operator::InProcess(..) => "the rest is closed anew when the server runs",
            })?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What `doctor` finds out of the master keys.
pub(super) async fn examine(operator: &Operator) -> Result<String, String> {
    let keys = async { operator.ask(Method::GET, KEYS, None).await?.json() }.await;
    let keys = keys.map_err(|cause| format!("{cause:#}"))?;
    let keys = keys["data"].as_array().cloned().unwrap_or_default();
    let closes = |key: &Value| key["secrets"].as_u64().unwrap_or_default();
    let missing: Vec<_> = keys
        .iter()
        .filter(|it| it["isHere"] == false && (0 < closes(it) || it["state"] == "current"))
        .map(|it| format!("`{}`, which closes {}", text(&it["id"]), closes(it)))
        .collect();
    if missing.is_empty() {
        return Ok("every master key is here".to_owned());
    }
    Err(format!(
        "a master key is missing: {}; put it back into `secrets.master_key`, or restore `system.db` and `records.db` of \
         one backup",
        missing.join("; ")
    ))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
