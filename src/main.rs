//! The `salebridge` command.

use std::process::ExitCode;

use clap::Parser as _;

/// For the whole process, SQLite and zstd as well: quicker than the system's where many small texts come and go, and it gives back what is
/// not needed any more (its settings stand in `.cargo/config.toml`).
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    salebridge::cli::run(salebridge::cli::Arguments::parse())
}
