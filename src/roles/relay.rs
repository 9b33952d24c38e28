//! `relay`: holds the WebSockets of a server elsewhere.
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use ipnet::IpNet;
use tokio_util::sync::CancellationToken;

use super::serve::{Signals, address, obey};
use super::{Context, advice, logs, say};
use crate::base::{Clock, Random};
use crate::config;
use crate::http::{Door, Policy};
use crate::net::{Address, Error, Trust};
use crate::relay::protocol::NAME_CHARS_MAX;
use crate::relay::{Relay, Settings};
use crate::work::Lifecycle;

/// The name of the machine, where Linux has it.
const HOSTNAME: &str = "/proc/sys/kernel/hostname";

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The server whose WebSockets it holds: `https://api.example.com`. An API key with the permission `relays:admin`
    /// is in the variable STEADING_TOKEN.
    #[arg(long, value_name = "URL")]
    origin: String,
    /// Where to listen.
    #[arg(long, value_name = "ADDR", value_parser = address, default_value = "127.0.0.1:8091")]
    listen: SocketAddr,
    /// The certificate of the authority that the origin's is of, if browsers do not know it (PEM).
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Let the link go to another machine over http://: where nobody on the way can read along.
    #[arg(long)]
    plaintext: bool,
    /// What the origin shows it as, instead of the name of the machine.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Most connections.
    #[arg(long, value_name = "COUNT", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(8..=1_000_000))]
    connections_max: u32,
    /// Networks whose word is taken for where a client comes from (`X-Forwarded-For`, `Forwarded`), instead of
    /// `server.trusted_proxies`.
    #[arg(long, value_name = "NETWORK", value_delimiter = ',')]
    trusted_proxies: Vec<IpNet>,
}

impl Args {
    fn settings(&self) -> anyhow::Result<Settings> {
        let origin = Address::parse(&self.origin).map_err(|cause| match cause {
            Error::Address(what) => anyhow::anyhow!("--origin {what}; an example is https://api.example.com"),
            other => other.into(),
        })?;
        anyhow::ensure!(
            origin.is_secret || origin.is_near() || self.plaintext,
            "--origin must begin with https:// for another machine than this one: over http:// all on the way read the key, \
             and what clients say and hear; --plaintext does it all the same"
        );
        let trust = self.ca.as_deref().map_or_else(Trust::public, Trust::private).context("--ca")?;
        let key = config::token().context(
            "STEADING_TOKEN must hold an API key with the permission `relays:admin`; at the server, \
                      `steading admin key create --name relays --scope relays:admin` makes one",
        )?;
        let name = self.name.clone().or_else(|| std::fs::read_to_string(HOSTNAME).ok()).unwrap_or_default();
        let name: String = name.trim().chars().take(NAME_CHARS_MAX).collect();
        let name = if name.is_empty() { "relay".to_owned() } else { name };
        Ok(Settings { origin, trust, key, name })
    }
}

pub(super) async fn run(context: &Context, args: Args) -> anyhow::Result<ExitCode> {
    let config = context.settings()?;
    let mut settings = (*config.get()).clone();
    Arc::make_mut(&mut settings.http).connections_max = usize::try_from(args.connections_max)?;
    if !args.trusted_proxies.is_empty() {
        Arc::make_mut(&mut settings.server).trusted_proxies.clone_from(&args.trusted_proxies);
    }
    logs::start(&settings.log);
    let of_relay = args.settings()?;
    let signals = Signals::receive().context("cannot receive signals")?;
    let listen = args.listen;
    let tcp = Door::open_tcp(listen)
        .map_err(|cause| anyhow::anyhow!("cannot listen on {listen}: {cause}; {}", advice::about_listening(&cause)))?;
    let lines = [
        format!("Steading {} as a relay", env!("CARGO_PKG_VERSION")),
        format!("  origin   {}   name {}", args.origin, of_relay.name),
        format!("  listens  {}", tcp.local_addr()?),
    ];
    let _ = say(lines.join("\n"));

    let lifecycle = Lifecycle::new();
    let relay = Relay::new(of_relay, Random::system(), lifecycle.stop_token());
    let stopping = CancellationToken::new();
    let shell = Arc::new(relay.shell(Policy::from(&settings), Clock::system(), stopping.clone()));
    lifecycle.task("relay", relay.run());
    lifecycle.task("signals", obey(signals, stopping, lifecycle.stop_token(), config.clone()));
    let (stop, grace) = (lifecycle.stop_token(), settings.server.stop_grace());
    let workers = async {
        stop.cancelled().await;
        lifecycle.stop(grace).await
    };
    let ((), all_stopped) = tokio::join!(crate::http::serve(vec![Door::Tcp(tcp)], shell, stop.clone(), grace), workers);
    tracing::info!(all_stopped, "stopped");
    Ok(if lifecycle.has_failed() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
