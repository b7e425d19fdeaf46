//! The `salebridge` command.

use std::process::ExitCode;

use clap::Parser as _;

/// The fold and the requests allocate many small texts, which the system's allocator serves slowly.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    salebridge::cli::run(salebridge::cli::Arguments::parse())
}
