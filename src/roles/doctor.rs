//! `doctor`: looks at the settings, the folder, the disk and the databases, and says what to do.
use std::path::Path;
use std::process::ExitCode;

use poem::http::Method;

use super::operator::Operator;
use super::{Context, advice, mail, say, schema, secrets};
use crate::base::TenantId;
use crate::base::text::chain;
use crate::db;

/// What was looked at, and what is wrong with it and can be done, if anything is.
struct Finding {
    part: &'static str,
    outcome: Result<String, String>,
}

pub(super) async fn run(context: &Context) -> anyhow::Result<ExitCode> {
    let mut findings = vec![settings(context), folder(&context.data)];
    if findings[1].outcome.is_ok() && context.data.is_dir() {
        findings.push(rights(&context.data));
    }
    if let Ok(settings) = context.settings() {
        findings.push(Finding { part: "mails", outcome: Ok(mail::examine(&settings.get().mail)) });
    }
    // Others' rights keep nothing from working.
    if context.data.is_dir() && findings[..2].iter().all(|it| it.outcome.is_ok()) {
        findings.extend(databases(context).await);
    }
    for Finding { part, outcome } in &findings {
        match outcome {
            Ok(text) => say(format!("ok    {part}: {text}"))?,
            Err(text) => say(format!("WRONG {part}: {text}"))?,
        }
    }
    Ok(if findings.iter().all(|it| it.outcome.is_ok()) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn settings(context: &Context) -> Finding {
    let outcome = match context.settings() {
        Ok(live) => Ok(live.file().map_or_else(|| "the defaults".to_owned(), |it| it.display().to_string())),
        Err(cause) => Err(cause.to_string()),
    };
    Finding { part: "settings", outcome }
}

/// Looks at the folder, and leaves it as it is: a mistyped name must not become one.
fn folder(data: &Path) -> Finding {
    let probe = data.join(".doctor");
    let is_there = data.symlink_metadata().is_ok();
    let outcome = if is_there {
        std::fs::read_dir(data)
            .and_then(|_| std::fs::write(&probe, b"probe"))
            .and_then(|()| std::fs::remove_file(&probe))
            .map(|()| format!("{} can be written", data.display()))
    } else {
        can_be_made(data).map(|()| format!("there is no folder {} yet; `steading serve` makes it", data.display()))
    };
    let outcome = outcome.map_err(|cause| {
        // A link that leads nowhere is there, and is not.
        let advice = match cause.kind() {
            std::io::ErrorKind::NotFound if is_there => {
                advice::about_path(data, &std::io::ErrorKind::NotADirectory.into(), data)
            }
            _ => advice::about_path(data, &cause, data),
        };
        let advice = advice.unwrap_or_else(|| "name another with --data".to_owned());
        format!("{} cannot be written: {cause}; {advice}", data.display())
    });
    Finding { part: "folder", outcome }
}

/// Who may look into the folder.
fn rights(data: &Path) -> Finding {
    let open = db::open_to_others(data);
    let outcome =
        if open.is_empty() { Ok("nobody else may look into the data".to_owned()) } else { Err(open.join("; ")) };
    Finding { part: "rights", outcome }
}

/// Whether the nearest folder above that exists can be written.
fn can_be_made(data: &Path) -> std::io::Result<()> {
    let above = data.ancestors().skip(1).find(|it| it.exists()).filter(|it| !it.as_os_str().is_empty());
    let above = above.unwrap_or(Path::new("."));
    if !above.is_dir() {
        return Err(std::io::ErrorKind::NotADirectory.into());
    }
    Ok(rustix::fs::access(above, rustix::fs::Access::WRITE_OK)?)
}

async fn databases(context: &Context) -> Vec<Finding> {
    let operator = match Operator::find(context).await {
        Ok(operator) => operator,
        Err(cause) => {
            let advice = advice::about(&cause, context).map(|it| format!("; {it}")).unwrap_or_default();
            let outcome = Err(format!("{cause:#}{advice}"));
            return vec![Finding { part: "databases", outcome }];
        }
    };
    let (health, sqlite) = match &operator {
        Operator::AtTheSocket(_) => (operator.ask(Method::GET, "/health", None).await, None),
        Operator::InProcess(app, _) => {
            (operator.ask(Method::GET, "/health", None).await, Some(app.db.examine(&TenantId::main())))
        }
    };
    let outcome = match health {
        Ok(reply) if reply.status == 200 => {
            Ok("there is room on the disk, and the databases can be written".to_owned())
        }
        Ok(reply) => {
            Err(format!("{}; free some room on the disk, or see the log", String::from_utf8_lossy(&reply.body)))
        }
        Err(cause) => Err(format!("{cause:#}")),
    };
    let mut findings = vec![Finding { part: "health", outcome }];
    let outcome = match sqlite {
        None => Ok("the server is running; stop it to have every page looked at".to_owned()),
        Some(Ok(wrong)) if wrong.is_empty() => Ok("every page and reference was looked at".to_owned()),
        Some(Ok(wrong)) => Err(format!("{}; restore a backup", wrong.join("; "))),
        Some(Err(cause)) => Err(format!("{}; restore a backup", chain(&cause))),
    };
    findings.push(Finding { part: "databases", outcome });
    findings.push(Finding { part: "secrets", outcome: secrets::examine(&operator).await });
    if let Ok(settings) = context.settings() {
        let outcome = schema::examine(&operator, &settings.get().schema.folder).await;
        findings.extend(outcome.map(|outcome| Finding { part: "schema", outcome }));
    }
    findings
}
