//! The suite: each test is the sentence of a promise, kept through the whole stack.
#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot go on must fail")]

mod accounts;
mod contract;
mod pages;
mod roles;
#[path = "../server.rs"]
mod server;
mod support;
mod tidy;
mod upgrade;
