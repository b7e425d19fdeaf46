//! The `salebridge` command.

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    salebridge::cli::run(salebridge::cli::Arguments::parse())
}
