//! `admin create`, `admin link`, `admin rotate-keys` and `admin key create`.
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Subcommand;
use poem::http::Method;
use serde_json::json;

use super::operator::Operator;
use super::{Context, say};

const USERS: &str = "/api/v1/admin/users";
const ROTATE_KEYS: &str = "/api/v1/admin/signing-keys/rotate";
const KEYS: &str = "/api/v1/admin/keys";
const SETUP_LINKS: &str = "/api/v1/admin/setup-links";

#[derive(Debug, Subcommand)]
pub(super) enum Args {
    /// Make an account, an admin's unless `--role` says otherwise.
    Create {
        #[arg(long)]
        email: String,
        /// The password. Others on this machine can see it in the list of processes; see `--password-file`.
        #[arg(long, required_unless_present = "password_file", conflicts_with = "password_file")]
        password: Option<String>,
        /// A file whose first line is the password; `-` for standard input.
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
        #[arg(long, default_value = "admin", value_parser = ["admin", "user", "readonly"])]
        role: String,
        #[arg(long)]
        name: Option<String>,
    },
    /// Make a link with which whoever opens it becomes an admin, once.
    Link,
    /// Replace the key that signs access tokens. Those that it signed work until they expire.
    RotateKeys {
        /// A key leaked: replace all of them, and end every access token at once. Sessions go on.
        #[arg(long)]
        revoke: bool,
    },
    /// Make API keys, with which programs call the API.
    #[command(subcommand)]
    Key(KeyArgs),
}

#[derive(Debug, Subcommand)]
pub(super) enum KeyArgs {
    /// Make an API key, and print its secret, this once.
    Create {
        #[arg(long)]
        name: String,
        /// What it lets a program try, such as `records:read`; may be given several times.
        #[arg(long = "scope", value_name = "PERMISSION", required = true)]
        scopes: Vec<String>,
        #[arg(long)]
        description: Option<String>,
        /// The id of the account on whose behalf it calls; nobody's without.
        #[arg(long, value_name = "ID")]
        owner: Option<String>,
        /// When it stops working, such as `2027-01-01T00:00:00Z`; never without.
        #[arg(long, value_name = "TIME")]
        expires_at: Option<String>,
        /// An address or a network that it works from; may be given several times, from anywhere without.
        #[arg(long = "allow", value_name = "NETWORK")]
        allowed_ips: Vec<String>,
    },
}

pub(super) async fn run(context: &Context, args: Args) -> anyhow::Result<ExitCode> {
    match args {
        Args::Create { email, password, password_file, role, name } => {
            let password = match password_file {
                Some(file) => read_password(&file)?,
                None => password.unwrap_or_default(),
            };
            let mut body = json!({ "email": email, "password": password, "role": role });
            if let Some(name) = name {
                body["name"] = name.into();
            }
            let operator = Operator::find_to_make(context, USERS, Some(&body)).await?;
            let user = operator.ask(Method::POST, USERS, Some(&body)).await?.json()?;
            say(format!("made {} {} ({})", text(&user["role"]), text(&user["email"]), text(&user["id"])))?;
            say_where(context, &operator)?;
        }
        Args::Key(KeyArgs::Create { name, scopes, description, owner, expires_at, allowed_ips }) => {
            let mut body = json!({ "name": name, "scopes": scopes });
            let optional = [("description", description), ("owner", owner), ("expiresAt", expires_at)];
            for (member, value) in optional.into_iter().filter_map(|(member, value)| Some((member, value?))) {
                body[member] = value.into();
            }
            if !allowed_ips.is_empty() {
                body["allowedIps"] = allowed_ips.into();
            }
            let operator = Operator::find_existing(context).await?;
            let made = operator.ask(Method::POST, KEYS, Some(&body)).await?.json()?;
            // Alone on its line and first, for a script that keeps it.
            say(text(&made["secret"]))?;
            say(format!("is shown this once; the key's id is {}", text(&made["key"]["id"])))?;
            say_where(context, &operator)?;
        }
        Args::Link => {
            let operator = Operator::find_to_make(context, SETUP_LINKS, None).await?;
            let link = operator.ask(Method::POST, SETUP_LINKS, None).await?.json()?;
            say(text(&link["url"]))?;
            say(format!("works once, until {}", text(&link["expiresAt"])))?;
            say_where(context, &operator)?;
        }
        Args::RotateKeys { revoke } => {
            let operator = Operator::find_existing(context).await?;
            let keys = operator.ask(Method::POST, ROTATE_KEYS, Some(&json!({ "revoke": revoke }))).await?.json()?;
            for key in keys["data"].as_array().into_iter().flatten() {
                let until = key["verifiesUntil"].as_str().map(|it| format!(" (verifies until {it})"));
                say(format!("{:<8} {}{}", text(&key["state"]), text(&key["kid"]), until.unwrap_or_default()))?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Without a running server the folder may be a new one, in a place that was not meant.
fn say_where(context: &Context, operator: &Operator) -> anyhow::Result<()> {
    match operator {
        Operator::AtTheSocket(_) => Ok(()),
        Operator::InProcess(..) => {
            let folder = std::path::absolute(&context.data).unwrap_or_else(|_| context.data.clone());
            say(format!("in {}, which no server uses at the moment", folder.display()))
        }
    }
}

fn text(value: &serde_json::Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn read_password(file: &std::path::Path) -> anyhow::Result<String> {
    let text = if file.as_os_str() == "-" {
        std::io::read_to_string(std::io::stdin()).context("cannot read standard input")?
    } else {
        std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?
    };
    Ok(text.lines().next().unwrap_or_default().to_owned())
}
