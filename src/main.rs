//! Reads the command line and calls a role.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser;
use steading::roles::{self, Command};

// A third less processor time on JSON than the allocator of a static glibc.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    give_memory_back();
    let command = Command::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(cause) => return roles::fail(&cause.into()),
    };
    match runtime.block_on(roles::run(command)) {
        Ok(code) => code,
        Err(cause) => roles::fail(&cause),
    }
}

/// Takes memory in small pages. The allocator asks for huge ones, of which a server at rest touches a corner
/// each: that is 15 MB of 38, and was not measurable in the speed of anything.
fn give_memory_back() {
    #[cfg(target_os = "linux")]
    let _ = rustix::thread::disable_transparent_huge_pages(true); // an old kernel keeps its huge pages
}
