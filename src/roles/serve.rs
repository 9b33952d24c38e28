//! `serve`: the server, from its first word to its last.
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use poem::http::Method;
use serde_json::json;
use tokio::net::UnixListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::operator::{Request, SOCKET, ask_shell};
use super::{Context, advice, logs, say, schema};
use crate::app::App;
use crate::base::text::chain;
use crate::base::{Clock, Random, TenantId};
use crate::config::{Config, Flags, Live, SetupConfig};
use crate::db;
use crate::features::accounts;
use crate::features::audit::Actor;
use crate::http::{Door, Shell};
use crate::work::Lifecycle;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Where to listen, instead of `server.listen`.
    #[arg(long, value_name = "ADDR", value_parser = address)]
    listen: Option<SocketAddr>,
    /// For your own machine: loopback only, readable logs, relaxed limits.
    #[arg(long)]
    dev: bool,
}

/// An address with a port, of which `localhost` is the one name: others may have several.
pub(super) fn address(text: &str) -> Result<SocketAddr, &'static str> {
    let text = text.strip_prefix("localhost:").map_or_else(|| text.to_owned(), |port| format!("127.0.0.1:{port}"));
    text.parse().map_err(|_| "it must be an address with a port, such as 127.0.0.1:8088 or [::]:8088")
}

impl Args {
    pub(super) fn flags(&self) -> Flags {
        Flags { listen: self.listen, dev: self.dev }
    }
}

pub(super) async fn run(context: &Context) -> anyhow::Result<ExitCode> {
    let config = context.settings()?;
    let settings = config.get();
    logs::start(&settings.log);
    let signals = Signals::receive().context("cannot receive signals")?;
    let app = App::open(&context.data, config.clone(), Clock::system(), Random::system()).await?;
    // What is slow or full now is measured at another start; until then passwords cost the least that is safe.
    if let Err(cause) = app.accounts.hashing.measure_once(&TenantId::main()).await {
        tracing::warn!(cause = %chain(&cause), "what a password may cost could not be measured");
    }
    for what in db::open_to_others(&context.data) {
        tracing::warn!("{what}");
    }
    let (folder, writes_back) = (settings.schema.folder.as_str(), context.sources.flags.dev);
    schema::apply(&app, folder, writes_back).await?;
    // The folder is ours now, so a socket in it is a stale one.
    let socket = open_socket(&context.data.join(SOCKET))?;
    let listen = settings.server.listen;
    let tcp = Door::open_tcp(listen)
        .map_err(|cause| anyhow::anyhow!("cannot listen on {listen}: {cause}; {}", advice::about_listening(&cause)))?;
    let address = tcp.local_addr()?;

    let shell = Arc::new(app.shell(app.routes()?));
    make_first_admin(&app, &settings.setup, &shell).await?;
    greet(&app, &settings, address, &context.data).await?;

    let lifecycle = Lifecycle::new();
    app.start(&lifecycle);
    if writes_back && !folder.is_empty() {
        let (_, known) = app.schema.canonical(&TenantId::main()).await?;
        lifecycle.task("schema.follow", schema::follow(app.clone(), folder.into(), known, lifecycle.stop_token()));
    }
    lifecycle.task("signals", obey(signals, app.stopping.clone(), lifecycle.stop_token(), config.clone()));
    // The system may have no watches left, which is no reason to serve nobody.
    let _watch = config.watch().inspect_err(|cause| {
        tracing::warn!(%cause, "the settings are not watched; SIGHUP takes up a change");
    });
    let (stop, grace) = (lifecycle.stop_token(), settings.server.stop_grace());
    let doors = vec![Door::Tcp(tcp), Door::Socket(socket)];
    // Requests and workers end beside each other, so that both together take one grace.
    let workers = async {
        stop.cancelled().await;
        lifecycle.stop(grace).await
    };
    let ((), all_stopped) = tokio::join!(crate::http::serve(doors, shell, stop.clone(), grace), workers);

    if let Err(cause) = app.close().await {
        tracing::warn!(cause = %chain(&cause), "what the cache kept back is lost");
    }
    let _ = std::fs::remove_file(context.data.join(SOCKET));
    tracing::info!(all_stopped, "stopped");
    Ok(if lifecycle.has_failed() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Opens the operator's socket, for this user only.
fn open_socket(path: &Path) -> anyhow::Result<UnixListener> {
    let open = || {
        match std::fs::remove_file(path) {
            Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => return Err(cause),
            _ => {}
        }
        let socket = UnixListener::bind(path)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
        Ok(socket)
    };
    open().with_context(|| format!("cannot open the socket {}", path.display()))
}

/// Makes the admin that the settings name, unless there is an admin already.
async fn make_first_admin(app: &App, setup: &SetupConfig, shell: &Shell) -> anyhow::Result<()> {
    if setup.admin_email.is_empty() {
        return Ok(());
    }
    if accounts::admin_exists(&app.db, &TenantId::main()).await? {
        if !accounts::is_admin(&app.db, &TenantId::main(), &setup.admin_email).await? {
            tracing::warn!(
                email = setup.admin_email,
                "the admin of the settings was not made: there is another already; `steading admin create` makes more"
            );
        }
        return Ok(());
    }
    let body = json!({ "email": setup.admin_email, "password": setup.admin_password.reveal(), "role": "admin" });
    let request = Request::of_json(Method::POST, "/api/v1/admin/users", body.to_string());
    let reply = ask_shell(shell, request).await?;
    match reply.status {
        201 => tracing::info!("the admin of the settings was made"),
        409 => tracing::warn!("the admin of the settings was not made: someone else has an account with the address"),
        // A restart on a full disk, so that something can be deleted.
        507 => tracing::warn!("there was no room to look after the admin of the settings"),
        _ => {
            let faults = reply.faults();
            if !faults.is_empty() {
                let line = |(pointer, detail): (String, String)| {
                    let key = format!("admin_{}", pointer.trim_start_matches('/'));
                    format!("{}: `setup.{key}` {detail}", app.config.place("setup", &key))
                };
                let lines: Vec<_> = faults.into_iter().map(line).collect();
                anyhow::bail!("the settings have mistakes:\n{}", lines.join("\n"));
            }
            reply.json().context("the admin of the settings was refused")?;
        }
    }
    Ok(())
}

/// Tells the person at the terminal where everything is, and how to become the first admin.
async fn greet(app: &App, settings: &Config, address: SocketAddr, data: &Path) -> anyhow::Result<()> {
    let url = if settings.server.public_url.is_empty() && settings.server.listen.port() == 0 {
        format!("http://{address}") // the system chose a port
    } else {
        settings.server.url()
    };
    let mut lines = vec![
        format!("Steading {}", env!("CARGO_PKG_VERSION")),
        format!("  API      {url}/api/v1   documentation {url}/api-docs"),
    ];
    let main = TenantId::main();
    if !accounts::admin_exists(&app.db, &main).await? {
        let lifetime = settings.accounts.setup_link_lifetime();
        match accounts::open_setup_link(&app.db, &main, Actor::server(), &url, lifetime, &app.random, &app.clock).await
        {
            Ok(link) => {
                lines.push(format!("  setup    {}", link.url));
                lines.push(format!("           makes you the first admin; works once, until {}", link.expires_at));
            }
            // A restart on a full disk, so that something can be deleted.
            Err(accounts::Error::Db(db::Error::StorageFull)) => {
                tracing::warn!(
                    "there was no room for a link that makes the first admin; `steading admin link` makes one"
                );
            }
            Err(cause) => return Err(cause.into()),
        }
    }
    // Last, so that a program that reads along knows that everything was said.
    lines.push(format!("  listens  {address}   data {}", data.display()));
    // A full disk behind it must not keep the server from its work.
    let _ = say(lines.join("\n"));
    Ok(())
}

/// The signals that we receive, from the moment that this is made.
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    pub(super) fn receive() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }
}

/// Stops on SIGINT and SIGTERM, at once on the second; reloads the settings on SIGHUP.
pub(super) async fn obey(signals: Signals, stopping: CancellationToken, stop: CancellationToken, config: Live) {
    let Signals { mut interrupt, mut terminate, mut hangup } = signals;
    loop {
        tokio::select! {
            _ = interrupt.recv() => break,
            _ = terminate.recv() => break,
            _ = hangup.recv() => reload(&config),
            () = stop.cancelled() => return,
        }
    }
    tracing::info!("stopping; once more to stop at once");
    abort_on_the_second(interrupt, terminate);
    stopping.cancel();
    // A worker that dies meanwhile ends the delay too.
    let delay = config.get().server.stop_delay();
    let _ = stop.run_until_cancelled(tokio::time::sleep(delay)).await;
    stop.cancel();
}

/// Takes up changed settings. What changed, and a mistake, is logged where that happens; whoever sent the signal
/// also wants to know that it came when nothing did.
fn reload(config: &Live) {
    if let Ok(false) = config.reload() {
        tracing::info!("SIGHUP came; no setting has changed since they were last read");
    }
}

/// Ends the process at the second signal, whatever is still under way.
#[expect(clippy::disallowed_methods, reason = "the operator asked twice; nothing waits for this task")]
fn abort_on_the_second(mut interrupt: Signal, mut terminate: Signal) {
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        std::process::exit(130)
    });
}
