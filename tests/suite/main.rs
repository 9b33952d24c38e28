//! The suite: each test is the sentence of a promise, kept through the whole stack.
#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot go on must fail")]

mod accounts;
mod aggregates;
#[path = "../ask.rs"]
mod ask;
mod collections;
mod contract;
mod guides;
mod pages;
mod records;
mod relations;
mod roles;
mod rules;
mod search;
#[path = "../server.rs"]
mod server;
mod support;
mod tidy;
mod transfers;
mod upgrade;
