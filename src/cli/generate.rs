//! `salebridge completions` and `salebridge man`: what is made from the command line itself.

use std::path::PathBuf;

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;
use clap_mangen::Man as Page;

use super::print::Printer;
use super::{Answer, Failure};

#[derive(Debug, Args)]
pub(super) struct Completions {
    /// For which shell
    shell: Shell,
}

#[derive(Debug, Args)]
pub(super) struct Man {
    /// Write a page for each command into this folder, which is made where it is not there; without it the first page is printed
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

pub(super) fn completions(arguments: &Completions, printer: &Printer) -> Answer {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut super::Arguments::command(), "salebridge", &mut script);
    printer.text(&script);
    Ok(())
}

pub(super) fn man(arguments: &Man, printer: &Printer) -> Answer {
    let mut command = super::Arguments::command().disable_help_subcommand(true);
    command.build();
    let Some(dir) = &arguments.dir else {
        let mut page = Vec::new();
        Page::new(command).render(&mut page).map_err(|error| Failure::No(error.to_string()))?;
        printer.text(&page);
        return Ok(());
    };
    let failed = |error: std::io::Error| Failure::No(format!("{}: {error}", dir.display()));
    std::fs::create_dir_all(dir).map_err(failed)?;
    let mut written = Vec::new();
    write(command, dir, &mut written).map_err(failed)?;
    written.sort();
    if printer.is_json() {
        printer.json(&written)
    } else {
        written.iter().for_each(|file| printer.line(file))
    }
    Ok(())
}

/// One page for this command, and one for each below it.
fn write(command: clap::Command, dir: &std::path::Path, written: &mut Vec<String>) -> std::io::Result<()> {
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()).cloned() {
        write(below, dir, written)?;
    }
    let page = Page::new(command);
    let file = dir.join(page.get_filename());
    let mut text = Vec::new();
    page.render(&mut text)?;
    std::fs::write(&file, text)?;
    written.push(file.display().to_string());
    Ok(())
}
