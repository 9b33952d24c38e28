//! What can go wrong with live updates, in words fit for the client.
use poem::http::header::{HeaderValue, UPGRADE};

use crate::http::problem::{Kind, Problem};
use crate::http::websocket::UPGRADE_REQUIRED;

pub(super) const CONNECTION_LIMIT: Kind =
    Kind { status: 429, code: "connection-limit-reached", title: "Too many live connections are open" };
pub(super) const SUBSCRIPTION_LIMIT: Kind =
    Kind { status: 422, code: "subscription-limit-reached", title: "Too many subscriptions on one connection" };

pub(super) const RELAY_VERSION: Kind =
    Kind { status: 422, code: "relay-version-unsupported", title: "The relay is of another version" };
pub(super) const PRESENCE_LIMIT: Kind =
    Kind { status: 422, code: "presence-limit-reached", title: "Too many are there already" };

/// Problems only this feature reports; the catalogue page lists them.
pub const PROBLEMS: &[&Kind] =
    &[&CONNECTION_LIMIT, &SUBSCRIPTION_LIMIT, &PRESENCE_LIMIT, &RELAY_VERSION, &UPGRADE_REQUIRED];

pub(super) fn too_many_connections(of_whom: &str, max: usize) -> Problem {
    Problem::new(&CONNECTION_LIMIT, format!("{of_whom} may have {max} live connections; close one of them"))
}

pub(super) fn too_many_subscriptions(max: usize) -> Problem {
    Problem::new(&SUBSCRIPTION_LIMIT, format!("a connection may have {max} subscriptions; end one of them"))
}

pub(super) fn too_many_present(of_whom: &str, max: usize) -> Problem {
    let detail = format!("{max} of {of_whom} are there already, who all hear of each other; try again later");
    Problem::new(&PRESENCE_LIMIT, detail)
}

pub(super) fn too_many_relays(max: usize) -> Problem {
    Problem::new(&CONNECTION_LIMIT, format!("at most {max} relays are let in"))
}

pub(super) fn relay_version(asked: &str, known: u32) -> Problem {
    let detail =
        format!("the relay speaks version {asked}, and this server version {known}: run the same release on both");
    Problem::new(&RELAY_VERSION, detail)
}

pub(super) fn upgrade_required() -> Problem {
    let detail = "ask for a WebSocket (RFC 6455), or for a stream with `Accept: text/event-stream` or \
                  `Accept: application/x-ndjson`";
    Problem::new(&UPGRADE_REQUIRED, detail).with_header(UPGRADE, HeaderValue::from_static("websocket"))
}
