//! On what terms the endpoints of live updates answer, beside what their signatures say.
use super::error::{CONNECTION_LIMIT, RELAY_VERSION, SUBSCRIPTION_LIMIT};
use super::model::{REALTIME_READ, RELAYS_ADMIN};
use crate::features::accounts::RECORDS_READ;
use crate::http::openapi::{Terms, Who};
use crate::http::problem::NOT_FOUND;
use crate::http::websocket::UPGRADE_REQUIRED;

pub const TERMS: &[Terms] = &[
    Terms {
        operation: "listen",
        who: Who::Visitors(RECORDS_READ),
        problems: &[&NOT_FOUND, &SUBSCRIPTION_LIMIT, &UPGRADE_REQUIRED, &CONNECTION_LIMIT],
    },
    Terms {
        operation: "join_relay",
        who: Who::Holders(RELAYS_ADMIN),
        problems: &[&RELAY_VERSION, &UPGRADE_REQUIRED, &CONNECTION_LIMIT],
    },
    Terms { operation: "show_realtime", who: Who::Holders(REALTIME_READ), problems: &[] },
];
