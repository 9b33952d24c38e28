//! The suite: each test is the sentence of a promise, kept through the whole stack.
#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot go on must fail")]
#![expect(clippy::duplicate_mod, reason = "the promises of live updates are kept at a relay too")]

mod accounts;
mod aggregates;
mod api_keys;
#[path = "../ask.rs"]
mod ask;
mod audit;
mod auth_fields;
mod bin;
mod collections;
mod contract;
mod cookies;
mod described;
mod dumps;
mod elsewhere;
mod expand;
mod explain;
mod fields;
mod guessing;
mod guides;
mod heartbeats;
mod impersonation;
mod imports;
mod invitations;
mod key_bounds;
mod leaving;
mod mail;
mod mail_delivery;
mod mail_words;
mod pages;
mod permissions;
mod preferences;
mod profiles;
mod realtime;
mod patches;
mod records;
mod relations;
mod relays;
mod roles;
mod rules;
mod schema;
mod schema_files;
mod search;
mod second_factor;
mod secrets;
mod seed;
#[path = "../server.rs"]
mod server;
mod sessions;
mod signing_keys;
mod support;
mod tidy;
mod transfers;
mod upgrade;
mod users;
mod view_promises;
mod views;
mod writing;

use self::support::live::Live;

/// What a WebSocket is closed with when the server stops that holds it.
const AT_STOP: u16 = 1001;
